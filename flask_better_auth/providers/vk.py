"""VK: a request for a profile carries the token in its body, and one for tokens the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..oauth.client import Client
from ..oauth.provider import Arrival, ProviderError, Tokens
from .base import Social
from .options import ProviderOptions


@dataclass(frozen=True)
class VKOptions(ProviderOptions):
    """Options of VK.

    Args:
        scheme: the colours of its pages.
    """

    scheme: Literal["light", "dark"] | None = None


class VKProvider(Social):
    def exchange_params(self, arrival: Arrival) -> Mapping[str, str]:
        return {"device_id": arrival.device_id} if arrival.device_id else {}

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        if not tokens.access_token:
            raise ProviderError("there is no access token")
        form = {"access_token": tokens.access_token, "client_id": self.client_id}
        answer = client.json("POST", "https://id.vk.com/oauth2/user_info", form=form)
        if not isinstance(answer, Mapping) or not isinstance(answer.get("user"), Mapping):
            raise ProviderError("the profile is no object")
        return answer
