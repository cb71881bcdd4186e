"""Twitter: the address is told by a second answer, to those who may ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..oauth.client import Client
from ..oauth.provider import ProviderError, Tokens
from .base import Ask, Social

_ADDRESS = Ask("https://api.x.com/2/users/me?user.fields=confirmed_email", inside="data")


class TwitterProvider(Social):
    def person(
        self, client: Client, tokens: Tokens, nonce: str | None, user: Any
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        profile = self.said(client, tokens, nonce, user)
        try:
            email = self.ask(client, _ADDRESS, tokens.access_token).get("confirmed_email")
        except ProviderError:  # the scope was not granted
            email = None
        person = profile.get("data")
        if not isinstance(person, Mapping):
            raise ProviderError("the profile is no object")
        if email:
            profile = {**profile, "data": {**person, "email": email}}
        return profile, {**self.user(profile), "email_verified": bool(email)}
