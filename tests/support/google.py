"""Google as tests play it: the loopback provider at Google's addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from flask import Response

from flask_better_auth.oauth import outbound
from flask_better_auth.providers import Google
from support.provider import LoopbackProvider

if TYPE_CHECKING:
    from conftest import Browser

CLIENT, SECRET = "google-client", "google-secret"
ISSUER = "https://accounts.google.com"
#: Google's addresses, and what of the loopback provider stands in for them.
PLACES = {
    "https://accounts.google.com/o/oauth2/v2/auth": "authorize",
    "https://oauth2.googleapis.com/token": "token",
    "https://www.googleapis.com/oauth2/v3/certs": "jwks",
}
GINA = {
    "sub": "g-1",
    "email": "gina@example.com",
    "email_verified": True,
    "name": "Gina",
    "picture": "https://i.test/g",
}


class GoogleOnLoopback:
    """Signs people in at ``provider`` as if it were Google.

    Args:
        provider: started, and reset.
        monkeypatch: of the test.
    """

    def __init__(self, provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = provider
        provider.register(CLIENT, SECRET)
        provider.id_token_claims = {"iss": ISSUER}
        make, request = outbound.Outbound.__init__, outbound.Outbound.request

        def made(session: Any, own: Any = (), **options: Any) -> None:
            make(session, [*own, provider.url], **options)

        def elsewhere(session: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            place = PLACES.get(url)
            return request(session, method, provider.url_for(place) if place else url, *arguments, **options)

        monkeypatch.setattr(outbound.Outbound, "__init__", made)
        monkeypatch.setattr(outbound.Outbound, "request", elsewhere)

    @staticmethod
    def option(**options: Any) -> Google:
        """The provider for ``social_providers=[...]``."""
        return Google(client_id=CLIENT, client_secret=SECRET, **options)

    def consent(self, url: str, profile: Mapping[str, Any] = GINA, **options: Any) -> str:
        """Where the browser comes back to, below the base path."""
        here = url.replace("https://accounts.google.com/o/oauth2/v2/auth", self.provider.url_for("authorize"), 1)
        back = self.provider.consent(here, dict(profile), **options)
        return back.partition("/api/auth")[2]

    def start(self, browser: Browser, path: str = "/sign-in/social", **body: Any) -> str:
        """Where a browser is sent to."""
        answer = browser.post(path, {"provider": "google", "callbackURL": "/home", **body})
        assert answer.status_code == 200, answer.data
        url: str = answer.json["url"]
        return url

    def sign_in(self, browser: Browser, profile: Mapping[str, Any] = GINA, **body: Any) -> Response:
        """The whole way, to the answer of the callback."""
        return browser.get(self.consent(self.start(browser, **body), profile))

    def link(self, browser: Browser, profile: Mapping[str, Any] = GINA, **body: Any) -> Response:
        """The same, to add the account to the browser's user."""
        return browser.get(self.consent(self.start(browser, "/link-social", **body), profile))

    def id_token(self, profile: Mapping[str, Any] = GINA, **claims: Any) -> str:
        """What a page gets from Google itself."""
        return self.provider.id_token({"iss": ISSUER, "aud": CLIENT, **profile, **claims})


def error_of(answer: Response) -> str:
    """The error in the address that a callback leads to."""
    assert answer.status_code == 302, (answer.status_code, answer.data)
    return answer.headers["Location"].partition("error=")[2].partition("&")[0]
