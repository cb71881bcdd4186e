"""Microsoft: which tenants may come, which addresses their administrators do not choose, and pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..oauth.client import Client
from ..oauth.provider import ProviderError, Tokens, is_true
from .base import Social
from .options import ProviderOptions, TokenEndpointAuth

#: The tenant of everybody whose account is their own.
_CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"


@dataclass(frozen=True)
class MicrosoftOptions(ProviderOptions):
    """Options of Microsoft.

    Args:
        tenant_id: whose users may come: one tenant's, or ``"organizations"``, ``"consumers"`` or ``"common"`` for both.
        authority: where it is, for national clouds.
        client_assertion: called with the address of the token endpoint, returns a JWT that tells who we are, in place
            of ``client_secret``.
        disable_profile_photo: ask for no picture.
        profile_photo_size: its pixels.
    """

    tenant_id: str = "common"
    authority: str = "https://login.microsoftonline.com"
    client_assertion: Callable[[str], str] | None = None
    disable_profile_photo: bool = False
    profile_photo_size: Literal[48, 64, 96, 120, 240, 360, 432, 504, 648] = 48

    @property
    def token_endpoint_auth(self) -> TokenEndpointAuth | None:
        """How we authenticate, if not by a secret."""
        return TokenEndpointAuth("private_key_jwt", self.client_assertion) if self.client_assertion else None


class MicrosoftProvider(Social):
    def accept(self, claims: Mapping[str, Any]) -> None:
        tenant, wanted = claims.get("tid"), self.options.tenant_id
        if not isinstance(tenant, str) or claims.get("iss") != f"{self.url('{authority}')}/{tenant}/v2.0":
            raise ProviderError("the ID token is from somebody else")
        let_in = {"common": True, "organizations": tenant != _CONSUMERS, "consumers": tenant == _CONSUMERS}
        if not let_in.get(wanted, tenant == wanted):
            raise ProviderError("the user is of another tenant than the application asks for")

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        claims = super().said(client, tokens, nonce, user)
        if not isinstance(claims.get("oid"), str):
            raise ProviderError("the ID token does not say whom it is of")
        picture = None if self.options.disable_profile_photo else self._picture(client, tokens.access_token)
        return {**claims, "picture": picture} if picture else claims

    def _picture(self, client: Client, token: str | None) -> str | None:
        size = self.options.profile_photo_size
        try:
            url = f"https://graph.microsoft.com/v1.0/me/photos/{size}x{size}/%24value"
            image = client.content("GET", url, token=token) if token else b""
        except ProviderError:  # there is none, or the scope was not granted
            return None
        return f"data:image/jpeg;base64, {base64.b64encode(image).decode()}" if image else None

    def refresh_params(self) -> Mapping[str, str]:
        scope = self.scope()
        return {"scope": scope} if scope else {}


def vouched(claims: Mapping[str, Any]) -> bool:
    """Whether Microsoft says that the address is the user's, which an administrator may set to anything."""
    said, email = claims.get("email_verified"), claims.get("email")
    if said is not None:
        return is_true(said)
    lists = (claims.get("verified_primary_email"), claims.get("verified_secondary_email"))
    return bool(email) and any(isinstance(listed, list) and email in listed for listed in lists)
