"""WeChat: OAuth with other names, by GET, with errors in answers that say 200."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from ..oauth.client import Client
from ..oauth.provider import Arrival, ProviderError, Tokens
from .base import Social
from .options import ProviderOptions

_API = "https://api.weixin.qq.com/sns"


@dataclass(frozen=True)
class WeChatOptions(ProviderOptions):
    """Options of WeChat.

    Args:
        lang: of its page.
        platform_type: the one kind of application that there is here.
    """

    lang: Literal["cn", "en"] = "cn"
    platform_type: Literal["WebsiteApp"] = "WebsiteApp"


class WeChatProvider(Social):
    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        sent = {"secret": self.secret(), "code": arrival.code, "grant_type": "authorization_code"}
        return self._granted(client, "oauth2/access_token", sent)

    def refresh(self, client: Client, refresh_token: str) -> Tokens:
        if self.options.refresh_access_token is not None:
            return super().refresh(client, refresh_token)
        sent = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._granted(client, "oauth2/refresh_token", sent)

    def _granted(self, client: Client, name: str, sent: Mapping[str, str]) -> Tokens:
        answer = _checked(client.json("GET", f"{_API}/{name}?{urlencode({'appid': self.client_id, **sent})}"))
        scope = answer.get("scope")
        tokens = Tokens.of({**answer, "scope": scope.split(",") if isinstance(scope, str) else scope})
        if not tokens.access_token:
            raise ProviderError("the token endpoint gave no token")
        return tokens

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        openid = tokens.raw.get("openid")
        if not tokens.access_token or not openid:
            raise ProviderError("there is no access token, or nobody whose it is")
        query = urlencode({"access_token": tokens.access_token, "openid": openid, "lang": "zh_CN"})
        return _checked(client.json("GET", f"{_API}/userinfo?{query}"))


def _checked(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping) or answer.get("errcode"):
        raise ProviderError("WeChat refused")
    return answer
