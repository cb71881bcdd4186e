"""Facebook: access tokens say for which application they are to whoever asks, ID tokens come by Limited Login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ..oauth.client import Client
from ..oauth.provider import Profile, ProviderError, Tokens
from .base import Social
from .options import ProviderOptions


@dataclass(frozen=True)
class FacebookOptions(ProviderOptions):
    """Options of Facebook.

    Args:
        fields: what to ask for of a user, beside id, name, email and picture.
        config_id: of Facebook Login for Business.
    """

    fields: tuple[str, ...] = ()
    config_id: str | None = None

    @property
    def all_fields(self) -> str:
        """The parameter of a request for a profile."""
        return "%2C".join(("id", "name", "email", "picture", *self.fields))


class FacebookProvider(Social):
    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        if self.options.get_user_info is not None and not _is_id_token(tokens):
            self._user_of(client, tokens)
        return super().profile(client, tokens, nonce=nonce, user=user)

    def person(
        self, client: Client, tokens: Tokens, nonce: str | None, user: Any
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        if _is_id_token(tokens):
            claims = self.claims(client, tokens, nonce)
            return claims, {**self.user(claims), "email_verified": False}
        whose = self._user_of(client, tokens)
        data = self.said(client, tokens, nonce, user)
        if data.get("id") != whose:
            raise ProviderError("the access token is of another user than the profile")
        return data, self.user(data)

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        return super().said(client, Tokens(tokens.access_token or tokens.id_token), nonce, user)

    def verify(self, client: Client, token: str, nonce: str | None) -> None:
        if _is_id_token(Tokens(id_token=token)):
            super().verify(client, token, nonce)
        else:
            self._user_of(client, Tokens(token))

    def _user_of(self, client: Client, tokens: Tokens) -> str:
        """Whose access token that is; it must be for us, for every application gets some (SECURITY J6)."""
        token, secret = tokens.access_token or tokens.id_token, self.secret()
        if not token or not secret:
            raise ProviderError("there is no access token, or no client_secret to ask about it")
        query = urlencode({"input_token": token, "access_token": f"{self.client_id}|{secret}"})
        answer = client.json("GET", f"https://graph.facebook.com/debug_token?{query}")
        said = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(said, Mapping) or said.get("is_valid") is not True:
            raise ProviderError("the access token does not count")
        if said.get("app_id") not in self.options.client_ids:
            raise ProviderError("the access token is for another application")
        whose = said.get("user_id")
        if not isinstance(whose, str) or not whose:
            raise ProviderError("the access token is nobody's")
        return whose


def _is_id_token(tokens: Tokens) -> bool:
    return tokens.id_token is not None and tokens.id_token.count(".") == 2
