"""Google: the profile stands in the ID token, and may have to be of one domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..oauth.provider import ProviderError
from .base import Social
from .options import ProviderOptions


@dataclass(frozen=True)
class GoogleOptions(ProviderOptions):
    """Options of Google.

    Args:
        access_type: ``"offline"`` for a refresh token.
        display: ``"page"``, ``"popup"``, ``"touch"`` or ``"wap"``.
        hd: the domain of a Google Workspace, whose users alone are let in; ``"*"`` for those of any.
        include_granted_scopes: what was granted before is granted again.
    """

    access_type: Literal["offline", "online"] | None = None
    display: Literal["page", "popup", "touch", "wap"] | None = None
    hd: str | None = None
    include_granted_scopes: bool = True


class GoogleProvider(Social):
    def accept(self, claims: Mapping[str, Any]) -> None:
        wanted, claimed = self.options.hd, claims.get("hd")
        if wanted and (not claimed if wanted == "*" else str(claimed).lower() != wanted.lower()):
            raise ProviderError("the user is of another domain than the application asks for")
