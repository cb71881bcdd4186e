"""Discord: pictures are at addresses that have to be put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..oauth.client import Client
from ..oauth.provider import Start, Tokens
from .base import Social
from .options import ProviderOptions


@dataclass(frozen=True)
class DiscordOptions(ProviderOptions):
    """Options of Discord.

    Args:
        permissions: what a bot may do, as Discord's bits; only with the scope ``bot``.
    """

    permissions: int | None = None


class DiscordProvider(Social):
    def params(self, start: Start) -> Mapping[str, str | None]:
        bot = "bot" in (*self.options.scope, *start.scopes) and self.options.permissions is not None
        return {**super().params(start), **({"permissions": str(self.options.permissions)} if bot else {})}

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        profile = super().said(client, tokens, nonce, user)
        return {**profile, "image_url": _picture(profile)}


def _picture(data: Mapping[str, Any]) -> str:
    avatar, tag = data.get("avatar"), str(data.get("discriminator"))
    cdn = "https://cdn.discordapp.com"
    if isinstance(avatar, str):
        form = "gif" if avatar.startswith("a_") else "png"
        return f"{cdn}/avatars/{data.get('id')}/{avatar}.{form}"
    # without an own picture Discord shows one by the number of the user, or by the old number behind the name
    number = str(data.get("id"))
    if tag == "0":
        index = (int(number) >> 22) % 6 if _is_number(number) else 0
    else:
        index = int(tag) % 5 if _is_number(tag) else 0
    return f"{cdn}/embed/avatars/{index}.png"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
