"""PayPal: the profile must be of whom the ID token is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..oauth import id_token
from ..oauth.client import Client
from ..oauth.provider import ProviderError, Tokens
from .base import Social
from .options import ProviderOptions


@dataclass(frozen=True)
class PayPalOptions(ProviderOptions):
    """Options of PayPal.

    Args:
        environment: ``"sandbox"``, or ``"live"`` or ``"production"`` for real people.
        request_shipping_address: without effect, as in the reference: which data it shares is set at PayPal.
    """

    environment: Literal["sandbox", "live", "production"] = "sandbox"
    request_shipping_address: bool = False

    @property
    def host(self) -> str:
        """What follows the first name of its hosts."""
        return "sandbox.paypal.com" if self.environment == "sandbox" else "paypal.com"


class PayPalProvider(Social):
    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        profile = super().said(client, tokens, nonce, user)
        if tokens.id_token:
            said = profile.get("sub")
            whose = id_token.claims_of(tokens.id_token).get("sub")
            if not whose or whose != (profile.get("user_id") if said is None else said):
                raise ProviderError("the ID token is of another user than the profile")
        return profile
