"""LINE: it verifies ID tokens itself, for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping

from ..oauth.client import Client
from ..oauth.provider import ProviderError
from .base import Social


class LineProvider(Social):
    verifies = True

    def verify(self, client: Client, token: str, nonce: str | None) -> None:
        form = {"id_token": token, "client_id": self.client_id, **({"nonce": nonce} if nonce else {})}
        claims = client.json("POST", "https://api.line.me/oauth2/v2.1/verify", form=form)
        if not isinstance(claims, Mapping) or claims.get("aud") != self.client_id:
            raise ProviderError("the ID token is for somebody else")
        if claims.get("nonce") != (nonce or None):
            raise ProviderError("the ID token answers another request")
