"""GitHub: which address is proven is told by a second answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..oauth.client import Client
from ..oauth.provider import ProviderError, Tokens
from .base import Social


class GitHubProvider(Social):
    def person(
        self, client: Client, tokens: Tokens, nonce: str | None, user: Any
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        profile = dict(self.said(client, tokens, nonce, user))
        try:
            listed = client.json(
                "GET",
                "https://api.github.com/user/emails",
                token=tokens.access_token,
                headers={"User-Agent": "better-auth"},
            )
        except ProviderError:  # the scope was not granted
            listed = []
        addresses = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
        if not profile.get("email"):
            chosen = next((e for e in addresses if e.get("primary")), next(iter(addresses), {}))
            profile["email"] = chosen.get("email")
        mine = (entry for entry in addresses if entry.get("email") == profile.get("email"))
        return profile, {**self.user(profile), "email_verified": next(mine, {}).get("verified", False)}
