"""OAuth proxy: two deployments, one of which the provider knows, and what goes from one to the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import time_machine
from conftest import DISGUISED, ORIGIN, SECRET, Browser, Site, at_once, build_site, tear_down
from flask import Flask, Response
from sqlalchemy import update
from support.provider import LoopbackProvider

from flask_better_auth import (
    AccountOptions,
    APIError,
    BetterAuth,
    Call,
    ConfigError,
    ErrorCode,
    Plugin,
    Reply,
    UserOptions,
)
from flask_better_auth.context import Record
from flask_better_auth.crypto import Secrets
from flask_better_auth.oauth import id_token
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, Profile, Provider, ProviderError, Start, Tokens, subject_of
from flask_better_auth.plugins import OAuthProxy
from flask_better_auth.plugins.oauth_proxy import _UNDER_WAY, OAuthProxyOptions
from flask_better_auth.services import verifications
from flask_better_auth.urls import with_params

PRODUCTION, EVIL = "https://prod.example", "https://evil.example"
ADA = {"sub": "1815", "name": "Ada", "email": "Ada@Example.com", "email_verified": True, "picture": "https://pic/1"}
STATE_COOKIE, SESSION_COOKIE = "better-auth.state", "better-auth.session_token"
SHARED = "a-secret-of-all-the-previews-0123456789"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "oauth_proxy.json").read_text())
STRATEGIES = pytest.mark.parametrize("strategy", ["database", "cookie"])


class Loopback(Provider):
    """The provider on loopback, as an application has it."""

    id, name = "loopback", "Loopback"

    def __init__(self, server: LoopbackProvider, **flags: Any) -> None:
        self.server, self.own_origins = server, (server.url,)
        self.__dict__.update(flags)

    def issuer(self, client: Client) -> str | None:
        return self.server.url

    def authorization_url(self, client: Client, start: Start) -> str:
        params = {
            "response_type": "code",
            "client_id": "client",
            "state": start.state,
            "redirect_uri": start.redirect_uri,
            "scope": "profile email",
            **id_token.challenge_of(start.code_verifier),
        }
        return with_params(self.server.url_for("authorize"), params)

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        url, sent = self.server.url_for("token"), {"redirect_uri": arrival.redirect_uri, "code": arrival.code}
        return Tokens.of(
            client.tokens(
                url,
                lambda session: session.fetch_token(
                    url, grant_type="authorization_code", code_verifier=arrival.code_verifier, **sent
                ),
                client_id="client",
                client_secret="secret",
                auth="client_secret_post",
            )
        )

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        data = client.json("GET", self.server.url_for("userinfo"), token=tokens.access_token)
        user = {name: data[claim] for name, claim in CLAIMS.items() if claim in data}
        return Profile(subject_of(data.get("sub")), user, data)


CLAIMS = {"name": "name", "email": "email", "email_verified": "email_verified", "image": "picture"}


class Recorded(Provider):
    """A provider that says what one said when the vectors were recorded, to who has the code verifier."""

    id, name = "loopback", "Recorded"

    def __init__(self, payload: Mapping[str, Any], code_verifier: str) -> None:
        self.payload, self.code_verifier = payload, code_verifier

    def authorization_url(self, client: Client, start: Start) -> str:
        return f"https://idp.example/authorize?state={start.state}"

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        if (arrival.code_verifier, arrival.redirect_uri) != (
            self.code_verifier,
            f"{PRODUCTION}/api/auth/callback/loopback",
        ):
            raise ProviderError("no")
        account = self.payload["account"]
        expires_at = datetime.fromisoformat(account["accessTokenExpiresAt"].replace("Z", "+00:00"))
        tokens = (account["accessToken"], account["refreshToken"], account["idToken"])
        return Tokens(*tokens, expires_at, None, tuple(self.payload["scopes"]))

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        said, account = self.payload["userInfo"], self.payload["account"]
        shown = {"name": said["name"], "email": said["email"], "image": said["image"]}
        return Profile(
            account["accountId"], {**shown, "email_verified": said["emailVerified"]}, self.payload["profile"]
        )


# ---------------------------------------------------------------- two deployments


@dataclass
class Pair:
    """A preview and production, and how a browser goes from one to the other."""

    preview: Site
    production: Site
    server: LoopbackProvider

    def begin(self, browser: Browser, path: str = "/sign-in/social", **body: Any) -> str:
        """Where the preview sends the browser."""
        answer = browser.post(path, {"provider": "loopback", "callbackURL": "/dash", **body})
        assert answer.status_code == 200, answer.data
        url: str = answer.json["url"]
        return url

    def at_production(self, address: str, **options: Any) -> Response:
        """What production answers to a browser that comes to ``address``, without any cookies of it."""
        assert address.startswith(f"{PRODUCTION}/")
        method = options.pop("method", "GET")
        return self.production.browser().request(
            method, "~" + address.removeprefix(PRODUCTION), base_url=PRODUCTION, **options
        )

    def return_trip(
        self, browser: Browser, person: Mapping[str, Any] = ADA, path: str = "/sign-in/social", **body: Any
    ) -> str:
        """Where production sends a browser that has been at the provider: back to the preview."""
        answer = self.at_production(self.server.consent(self.begin(browser, path, **body), dict(person)))
        assert answer.status_code == 302, answer.data
        location: str = answer.headers["Location"]
        assert location.startswith(f"{ORIGIN}/api/auth/callback/loopback/oauth-proxy?callbackURL="), location
        return location

    def finish(self, browser: Browser, location: str) -> Response:
        """What the preview answers then."""
        answer = browser.get("~" + location.removeprefix(ORIGIN))
        assert answer.status_code == 302, answer.data
        return answer

    def sign_in(self, browser: Browser, person: Mapping[str, Any] = ADA, **body: Any) -> str:
        """The whole way, to its end."""
        return self.finish(browser, self.return_trip(browser, person, **body)).headers["Location"]

    def payload(self, location: str) -> dict[str, Any]:
        """What production says of the user."""
        text = seals(self.preview).decrypt(query(location)["profile"], purpose="oauth-proxy-profile")
        payload: dict[str, Any] = json.loads(text)
        return payload

    def sealed(
        self, location: str, payload: Any, purpose: str = "oauth-proxy-profile", secret: str | None = None
    ) -> str:
        """``location`` with another payload."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        by = Secrets(secret) if secret else seals(self.preview)
        return with_params(location, {"profile": by.encrypt(text, purpose=purpose)})


def seals(site: Site) -> Secrets:
    state = site.app.extensions["better_auth"]
    return state.options(OAuthProxyOptions).seals(state)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def error_of(answer: Response | str) -> str:
    """The error that a redirect tells, and that it signs nobody in."""
    if isinstance(answer, str):
        return query(answer)["error"]
    assert SESSION_COOKIE not in str(answer.headers.getlist("Set-Cookie"))
    return query(answer.headers["Location"])["error"]


@pytest.fixture
def pair(make_auth: Callable[..., Site], loopback: LoopbackProvider, tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Builds pairs: ``pair(preview={...}, production={...}, options={...}, flags={...})``."""
    loopback.reset()
    loopback.register("client", "secret", redirect_uris=[f"{PRODUCTION}/api/auth/callback/loopback"])
    made: list[Site] = []

    def make(
        *,
        preview: dict[str, Any] | None = None,
        production: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        flags: dict[str, Any] | None = None,
        of_preview: dict[str, Any] | None = None,
        plugins: tuple[Plugin, ...] = (),
    ) -> Pair:
        proxy = {"production_url": PRODUCTION, **(options or {})}
        first = make_auth(
            plugins=[OAuthProxy(**proxy), *plugins],
            social_providers=[Loopback(loopback, **(flags or {}), **(of_preview or {}))],
            **(preview or {}),
        )
        second = build_site(
            f"sqlite:///{tmp_path}/production{len(made)}.db",
            {"BETTER_AUTH_URL": PRODUCTION},
            None,
            {
                "plugins": [OAuthProxy(**proxy)],
                "social_providers": [Loopback(loopback, **(flags or {}))],
                **(production or {}),
            },
        )
        made.append(second)
        return Pair(first, second, loopback)

    yield make
    for site in made:
        tear_down(site)


def by(strategy: str) -> dict[str, Any]:
    return {"account": AccountOptions(store_state_strategy=strategy)}


# ---------------------------------------------------------------- the whole way


@STRATEGIES
def test_a_stranger_signs_up_on_the_preview_by_way_of_production(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy), production=by(strategy))
    browser, before = both.preview.browser(), both.production.snapshot()
    assert both.sign_in(browser, newUserCallbackURL="/welcome") == "/welcome"
    user = browser.session()["user"]
    assert (user["email"], user["emailVerified"], user["name"]) == ("ada@example.com", True, "Ada")
    assert user["image"] == "https://pic/1"
    assert both.production.snapshot() == before
    (account,) = both.preview.rows("account")
    assert (account.provider_id, account.account_id, account.scope) == ("loopback", "1815", "profile,email")
    assert account.access_token in both.server.access_tokens
    assert account.refresh_token in both.server.refresh_tokens
    assert timedelta(minutes=50) < account.access_token_expires_at - datetime.now(timezone.utc) < timedelta(minutes=61)
    assert both.preview.rows("verification") == []
    assert set(browser.cookies) == {SESSION_COOKIE}


@STRATEGIES
def test_a_user_comes_back_as_who_they_are(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy), production=by(strategy))
    first, later = both.preview.browser(), both.preview.browser()
    both.sign_in(first)
    renamed = {**ADA, "name": "Renamed", "email": "other@example.com"}
    assert both.sign_in(later, renamed, newUserCallbackURL="/welcome") == "/dash"
    assert later.session()["user"] == first.session()["user"]


def test_neither_what_the_provider_gets_nor_what_comes_back_can_be_read(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    url = both.begin(browser)
    assert query(url)["redirect_uri"] == f"{PRODUCTION}/api/auth/callback/loopback"
    location = both.return_trip(browser)
    (access_token,) = both.server.access_tokens
    for address in (url, location):
        sealed = bytes.fromhex(query(address).get("state") or query(address)["profile"])
        assert len(sealed) > 400
        assert b"1815" not in sealed  # in the hex chance would write it
        for inside in ("Ada@Example.com", "ada@example.com", access_token):
            assert inside not in unquote(address)
            assert inside.encode() not in sealed


@pytest.mark.parametrize("stays", [True, False])
def test_body_and_header_lead_the_same_way(pair: Callable[..., Pair], stays: bool) -> None:
    both = pair()
    answer = both.preview.browser().post(
        "/sign-in/social", {"provider": "loopback", "callbackURL": "/dash", "disableRedirect": stays}
    )
    assert answer.json["redirect"] is not stays
    assert answer.headers.get("Location") == (None if stays else answer.json["url"])
    assert len(query(answer.json["url"])["state"]) > 1000


def test_an_account_is_added_to_who_asked_for_it(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.sign_up("ada")
    token = browser.cookies[SESSION_COOKIE]
    location = both.return_trip(browser, path="/link-social", callbackURL="/linked")
    answer = both.finish(browser, location)
    assert answer.headers["Location"] == "/linked"
    assert browser.cookies == {SESSION_COOKIE: token}
    assert sorted(account.provider_id for account in both.preview.rows("account")) == ["credential", "loopback"]


def test_an_account_with_another_address_is_not_added(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.sign_up("grace")
    location = both.return_trip(browser, path="/link-social", errorCallbackURL="/oops")
    assert both.finish(browser, location).headers["Location"] == "/oops?error=email_does_not_match"
    assert len(both.preview.rows("account")) == 1


def test_the_session_of_who_adds_an_account_does_not_leave_the_preview(pair: Callable[..., Pair]) -> None:
    both = pair()
    url = both.begin(both.preview.sign_up("ada"), "/link-social", additionalData={"hi": 1})
    package = json.loads(seals(both.preview).decrypt(query(url)["state"], purpose="oauth-proxy-package"))
    told = json.loads(seals(both.preview).decrypt(package["stateCookie"], purpose="oauth-proxy-state"))
    assert told["hi"] == 1
    assert not {"link", "serverContext"} & set(told)


def test_a_form_ends_at_production_as_a_link_does(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    back = both.server.consent(both.begin(browser), ADA)
    answer = both.at_production(
        back.partition("?")[0],
        method="POST",
        data=query(back),
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": "null"},
    )
    assert both.finish(browser, answer.headers["Location"]).headers["Location"] == "/dash"
    assert browser.session()["user"]["name"] == "Ada"


def test_the_older_address_ends_a_sign_in_too(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser).replace("/callback/loopback/oauth-proxy?", "/oauth-proxy-callback?")
    assert both.finish(browser, location).headers["Location"] == "/dash"
    assert browser.session()["user"]["name"] == "Ada"


def test_no_page_learns_the_address_that_a_profile_came_by(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    at_production = both.at_production(both.server.consent(both.begin(browser), ADA))
    for answer in (at_production, both.finish(browser, at_production.headers["Location"])):
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_shared_secret_takes_the_place_of_the_own_ones(pair: Callable[..., Pair]) -> None:
    settings = {"secret": "another-secret-of-production-0123456789"}
    both = pair(options={"secret": SHARED}, production=settings)
    assert both.sign_in(both.preview.browser()) == "/dash"
    apart = pair(production=settings)
    answer = apart.at_production(apart.server.consent(apart.begin(apart.preview.browser()), ADA))
    assert answer.headers["Location"] == f"{PRODUCTION}/api/auth/error?error=state_mismatch"


def test_a_shared_secret_can_be_changed(pair: Callable[..., Pair]) -> None:
    both = pair(options={"secret": SHARED, "secrets": [(2, "a-newer-secret-of-the-previews-0123456789")]})
    browser = both.preview.browser()
    location = both.return_trip(browser)
    assert query(location)["profile"].startswith("$ba$2$")
    assert (
        both.finish(browser, both.sealed(location, both.payload(location), secret=SHARED)).headers["Location"]
        == "/dash"
    )


# ---------------------------------------------------------------- where it does nothing


def proxied(answer: Response) -> bool:
    assert answer.status_code == 200, answer.data
    sent = query(answer.json["url"])
    aside = sent["redirect_uri"] == f"{PRODUCTION}/api/auth/callback/loopback"
    assert aside is (len(sent["state"]) > 32)
    return aside


BODY = {"provider": "loopback", "callbackURL": "/dash"}


def test_a_header_keeps_a_sign_in_here(pair: Callable[..., Pair]) -> None:
    browser = pair().preview.browser()
    assert proxied(browser.post("/sign-in/social", BODY))
    assert not proxied(browser.post("/sign-in/social", BODY, headers={"X-Skip-OAuth-Proxy": "1"}))
    assert proxied(browser.post("/sign-in/social", BODY, headers={"X-Skip-OAuth-Proxy": ""}))


@pytest.mark.parametrize("production_url", [ORIGIN, f"{ORIGIN}:80/", "HTTP://LOCALHOST/some/path", None])
def test_production_signs_in_by_itself(pair: Callable[..., Pair], production_url: str | None) -> None:
    both = pair(options={"production_url": production_url})
    assert not proxied(both.preview.browser().post("/sign-in/social", BODY))


def test_an_id_token_is_nobody_elses_business(pair: Callable[..., Pair]) -> None:
    seen: list[str | None] = []

    class IdTokens(Loopback):
        accepts_id_tokens = True

        def verify_id_token(self, client: Client, token: str, nonce: str | None) -> None:
            assert token == "token"

        def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
            return Profile("1815", {"name": "Ada", "email": "ada@example.com", "email_verified": False}, {})

    mails = {"send_verification_email": lambda **told: seen.append(told["url"])}
    both = pair(preview={"email_verification": mails})
    both.preview.app.extensions["better_auth"].providers["loopback"] = IdTokens(
        both.server, require_email_verification=True
    )
    answer = both.preview.browser().post("/sign-in/social", {**BODY, "idToken": {"token": "token"}})
    assert answer.json["code"] == "EMAIL_NOT_VERIFIED"
    (url,) = seen
    assert query(url)["callbackURL"] == "/dash"


def test_the_place_of_the_request_counts_where_it_is_trusted(pair: Callable[..., Pair]) -> None:
    both = pair(preview={"trusted_origins": ["https://pr-7.example"]})
    browser = both.preview.browser()

    def callback(base_url: str) -> str:
        url = browser.post("/sign-in/social", BODY, base_url=base_url).json["url"]
        package = json.loads(seals(both.preview).decrypt(query(url)["state"], purpose="oauth-proxy-package"))
        told = json.loads(seals(both.preview).decrypt(package["stateCookie"], purpose="oauth-proxy-state"))
        back: str = told["callbackURL"]
        return back

    rest = "/api/auth/callback/loopback/oauth-proxy?callbackURL=%2Fdash"
    assert callback("https://pr-7.example") == f"https://pr-7.example{rest}"
    assert callback("https://pr-8.example") == f"{ORIGIN}{rest}"
    assert callback(ORIGIN) == f"{ORIGIN}{rest}"


def test_previews_may_share_the_base_url_of_production(pair: Callable[..., Pair]) -> None:
    trusted = {"trusted_origins": ["https://pr-7.example"]}
    both = pair(options={"production_url": None}, production=trusted)
    browser = both.production.browser()
    sent = {"base_url": "https://pr-7.example", "headers": {"Origin": "https://pr-7.example"}}
    url = browser.post("/sign-in/social", BODY, **sent).json["url"]
    location = both.at_production(both.server.consent(url, ADA)).headers["Location"]
    assert location.startswith("https://pr-7.example/api/auth/callback/loopback/oauth-proxy?")
    answer = browser.get("~" + location.removeprefix("https://pr-7.example"), base_url="https://pr-7.example")
    assert answer.headers["Location"] == "/dash"
    assert browser.post("/sign-in/social", BODY, base_url=PRODUCTION, headers={"Origin": PRODUCTION}).status_code == 200
    assert not proxied_at_production(browser)


def proxied_at_production(browser: Browser) -> bool:
    answer = browser.post("/sign-in/social", BODY, base_url=PRODUCTION, headers={"Origin": PRODUCTION})
    return len(query(answer.json["url"])["state"]) > 32


def test_the_current_url_names_and_trusts_this_deployment(pair: Callable[..., Pair]) -> None:
    both, here = pair(options={"current_url": "https://pr-7.example/"}), "https://pr-7.example"
    browser = both.preview.browser()
    url = browser.post("/sign-in/social", {"provider": "loopback"}).json["url"]
    location = both.at_production(both.server.consent(url, ADA)).headers["Location"]
    assert location.startswith(f"{here}/api/auth/callback/loopback/oauth-proxy?")
    assert query(location)["callbackURL"] == here
    assert browser.get("~" + location.removeprefix(here)).headers["Location"] == here


def test_an_untrusted_callback_url_is_refused_before_anything(pair: Callable[..., Pair]) -> None:
    both = pair()
    answer = both.preview.browser().post("/sign-in/social", {**BODY, "callbackURL": EVIL})
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_CALLBACK_URL")
    assert both.preview.rows("verification") == []


@pytest.mark.parametrize(
    "body", [{}, {"provider": 7}, {"provider": "loopback", "callbackURL": 7}, {"provider": "none"}]
)
def test_what_is_no_sign_in_is_refused_as_ever(pair: Callable[..., Pair], body: dict[str, Any]) -> None:
    with_it = pair().preview.browser().post("/sign-in/social", body)
    without = pair(options={"production_url": None}).preview.browser().post("/sign-in/social", body)
    assert (with_it.status_code, with_it.json) == (without.status_code, without.json)
    assert with_it.status_code in (400, 403, 404)


# ---------------------------------------------------------------- what production refuses


def refused_by_production(both: Pair, back: str) -> str:
    answer = both.at_production(back)
    assert answer.status_code == 302
    assert answer.headers.getlist("Set-Cookie") == []
    location: str = answer.headers["Location"]
    assert "profile=" not in location
    return location


def test_what_the_provider_refuses_with_is_told(pair: Callable[..., Pair]) -> None:
    both = pair()
    told = {"error": "access_denied", "error_description": "no", "code": None}
    back = both.server.consent(both.begin(both.preview.browser()), ADA, extra=told)
    assert refused_by_production(both, back) == f"{PRODUCTION}/api/auth/error?error=access_denied"
    url = both.begin(both.preview.browser(), errorCallbackURL=f"{ORIGIN}/oops?x=1#f")
    back = both.server.consent(url, ADA, error="access_denied")
    assert refused_by_production(both, back) == f"{ORIGIN}/oops?x=1&error=access_denied#f"


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({"code": None}, "no_code"),
        ({"code": "another"}, "invalid_code"),
        ({"iss": EVIL}, "issuer_mismatch"),
        ({"state": "zzz"}, "state_mismatch"),
        ({"state": "00" * 60}, "state_mismatch"),
    ],
)
def test_what_comes_back_must_be_right(pair: Callable[..., Pair], extra: dict[str, str | None], error: str) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), ADA, extra=extra)
    assert error_of(refused_by_production(both, back)) == error


def test_a_profile_without_an_address_is_refused(pair: Callable[..., Pair]) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), {"sub": "1", "name": "Nobody"})
    assert error_of(refused_by_production(both, back)) == "email_not_found"


def test_a_provider_that_production_does_not_have_is_refused(pair: Callable[..., Pair]) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), ADA).replace("/callback/loopback", "/callback/none")
    assert error_of(refused_by_production(both, back)) == "oauth_provider_not_found"


def test_a_code_counts_once(pair: Callable[..., Pair]) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), ADA)
    assert "profile=" in both.at_production(back).headers["Location"]
    assert error_of(refused_by_production(both, back)) == "invalid_code"


def test_a_package_counts_ten_minutes(pair: Callable[..., Pair]) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), ADA)
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(minutes=10, seconds=1)):
        assert error_of(refused_by_production(both, back)) == "state_mismatch"
    assert both.server.exchanges("token") == []


PACKAGE = ("oauth-proxy-package", "oauth-proxy-state")
#: What package and state are encrypted for, and what else is wrong with the package.
FORGED: list[tuple[tuple[str, str | None], dict[str, Any]]] = [
    (("oauth-proxy-profile", "oauth-proxy-state"), {}),
    (("oauth-state-cookie", "oauth-proxy-state"), {}),
    (("oauth-proxy-state", "oauth-proxy-state"), {}),
    (("oauth-proxy-package", "oauth-state-cookie"), {}),
    (("oauth-proxy-package", "oauth-proxy-package"), {}),
    (("oauth-proxy-package", None), {}),
    (PACKAGE, {"isOAuthProxy": False}),
    (PACKAGE, {"isOAuthProxy": None}),
    (PACKAGE, {"state": ""}),
    (PACKAGE, {"state": "another-state-than-that-of-cookie"}),
    (PACKAGE, {"stateCookie": "junk"}),
]


def test_j16_a_package_that_is_none_asks_no_provider(pair: Callable[..., Pair]) -> None:
    both = pair()
    back = both.server.consent(both.begin(both.preview.browser()), ADA)
    sealing = seals(both.preview)
    package = json.loads(sealing.decrypt(query(back)["state"], purpose="oauth-proxy-package"))
    told = sealing.decrypt(package["stateCookie"], purpose="oauth-proxy-state")
    for purposes, changes in FORGED:
        forged = {**package, "stateCookie": sealing.encrypt(told, purpose=purposes[1]), **changes}
        sent = with_params(back, {"state": sealing.encrypt(json.dumps(forged), purpose=purposes[0])})
        assert error_of(refused_by_production(both, sent)) == "state_mismatch", (purposes, changes)
    assert both.server.exchanges("token") == []
    assert "profile=" in both.at_production(back).headers["Location"]


def test_j4_a_package_of_one_provider_is_none_at_the_callback_of_another(pair: Callable[..., Pair]) -> None:
    class Other(Loopback):
        id = "other"

    both = pair()
    both.production.app.extensions["better_auth"].providers["other"] = Other(both.server)
    back = both.server.consent(both.begin(both.preview.browser()), ADA).replace("/callback/loopback", "/callback/other")
    assert error_of(refused_by_production(both, back)) == "state_mismatch"
    assert both.server.exchanges("token") == []


def test_a_profile_that_is_no_json_ends_on_the_error_page(pair: Callable[..., Pair]) -> None:
    class Odd(Loopback):
        data: Any

        def profile(self, client: Client, tokens: Tokens, **rest: Any) -> Profile:
            return Profile("1815", {"name": 7, "email": "ada@example.com", "image": ["x"]}, self.data)

    both = pair()
    odd = both.production.app.extensions["better_auth"].providers["loopback"] = Odd(both.server, data={"odd": object()})
    back = both.server.consent(both.begin(both.preview.browser()), ADA)
    assert error_of(refused_by_production(both, back)) == "unable_to_get_user_info"
    odd.data = ["no", "object"]
    browser = both.preview.browser()
    assert both.sign_in(browser) == "/dash"
    assert (browser.session()["user"]["name"], browser.session()["user"]["image"]) == ("", None)


# ---------------------------------------------------------------- a sign-in on production that comes by


@pytest.mark.parametrize("path", ["/callback/loopback/oauth-proxy", "/oauth-proxy-callback"])
@pytest.mark.parametrize(
    ("inner", "end"),
    [
        ("%2Fdone", "/done"),
        ("https%3A%2F%2Fprod.example%2Fdone", f"{PRODUCTION}/done"),
        ("https%3A%2F%2Fevil.example", None),
        ("%2F%2Fevil.example", None),
    ],
)
def test_a_sign_in_on_production_goes_straight_to_its_end(
    pair: Callable[..., Pair], path: str, inner: str, end: str | None
) -> None:
    both = pair()
    browser, here = both.production.browser(), {"base_url": PRODUCTION}
    callback = f"{PRODUCTION}/api/auth{path}?callbackURL={inner}"
    body = {"provider": "loopback", "callbackURL": callback}
    url = browser.post("/sign-in/social", body, headers={"Origin": PRODUCTION}, **here).json["url"]
    assert len(query(url)["state"]) == 32
    back = both.server.consent(url, ADA)
    answer = browser.get("~" + back.removeprefix(PRODUCTION), **here)
    assert answer.headers["Location"] == (end or callback)
    if end is None:
        assert browser.get("~" + callback.removeprefix(PRODUCTION), **here).status_code == 403


# ---------------------------------------------------------------- what the preview refuses


def test_what_the_query_must_hold(pair: Callable[..., Pair]) -> None:
    both = pair()
    for path in ("/callback/loopback/oauth-proxy", "/oauth-proxy-callback"):
        answer = both.preview.browser().get(f"{path}?profile=aa")
        message = "[query.callbackURL] Invalid input: expected string, received undefined"
        assert (answer.status_code, answer.json) == (400, {"message": message, "code": "VALIDATION_ERROR"})
        assert both.preview.browser().post(f"{path}?callbackURL=/x&profile=aa").status_code == 404
        for sent, error in {
            "": "missing_profile",
            "&profile=": "missing_profile",
            "&profile=aa": "invalid_profile",
        }.items():
            answer = both.preview.browser().get(f"{path}?callbackURL=/x{sent}")
            assert answer.headers["Location"] == f"{ORIGIN}/api/auth/error?error={error}"
        assert error_of(both.preview.browser().get(f"{path}?callbackURL=&profile=aa")) == "invalid_profile"


def test_a5_the_callback_url_is_checked_and_nothing_used_up(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    before, path = both.preview.snapshot(), urlsplit(location).path
    for url in (EVIL, *DISGUISED):
        for address in (path, "/api/auth/oauth-proxy-callback"):
            sent = {"callbackURL": url, "profile": query(location)["profile"]}
            answer = browser.get("~" + address, query_string=sent)
            assert (answer.status_code, answer.json["code"]) == (403, "INVALID_CALLBACK_URL"), url
    assert both.preview.snapshot() == before
    assert both.finish(browser, location).headers["Location"] == "/dash"


def test_a_browser_ends_where_it_wanted_to_whatever_comes_back(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    payload = {**both.payload(location), "callbackURL": EVIL, "newUserURL": EVIL, "errorURL": EVIL}
    stale = both.sealed(location, {**payload, "timestamp": 0})
    assert both.finish(browser, stale).headers["Location"] == f"{ORIGIN}/api/auth/error?error=payload_expired"
    forged = with_params(both.sealed(location, payload), {"callbackURL": "/elsewhere"})
    assert both.finish(browser, forged).headers["Location"] == "/dash"


@pytest.mark.parametrize(
    ("age", "error"),
    [(61, "payload_expired"), (60.9, "payload_expired"), (59, None), (-9.5, None), (-10.5, "payload_expired")],
)
def test_j16_a_payload_counts_a_minute(pair: Callable[..., Pair], age: float, error: str | None) -> None:
    both = pair()
    browser, now = both.preview.browser(), datetime.now(timezone.utc)
    with time_machine.travel(now, tick=False):
        location = both.return_trip(browser, errorCallbackURL="/oops?x=1")
    with time_machine.travel(now + timedelta(seconds=age), tick=False):
        end = both.finish(browser, location).headers["Location"]
    assert end == ("/dash" if error is None else f"/oops?x=1&error={error}")
    assert len(both.preview.rows("user")) == (error is None)


def test_max_age_is_the_previews_to_say(pair: Callable[..., Pair]) -> None:
    both = pair(options={"max_age": timedelta(minutes=5)})
    browser, now = both.preview.browser(), datetime.now(timezone.utc)
    location = both.return_trip(browser)
    with time_machine.travel(now + timedelta(minutes=4)):
        assert both.finish(browser, location).headers["Location"] == "/dash"


def test_j16_a_payload_that_was_sealed_for_something_else_is_refused(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    for purpose in ("oauth-state-cookie", "oauth-link-session-token", "oauth-proxy-state", "oauth-proxy-package", None):
        forged = both.sealed(location, both.payload(location), purpose=purpose)
        assert error_of(both.finish(browser, forged)) == "invalid_profile"
    assert both.preview.rows("user") == []
    assert both.finish(browser, location).headers["Location"] == "/dash"


def test_j16_a_payload_of_another_deployment_is_refused(
    pair: Callable[..., Pair], caplog: pytest.LogCaptureFixture
) -> None:
    both = pair(options={"secret": SHARED})
    browser = both.preview.browser()
    location = both.return_trip(browser)
    for secret in (SECRET, "the-secret-of-somebody-else-0123456789"):
        forged = both.sealed(location, both.payload(location), secret=secret)
        assert error_of(both.finish(browser, forged)) == "invalid_profile"
    assert caplog.text.count("sealed by another secret") == 2
    assert both.finish(browser, location).headers["Location"] == "/dash"


@STRATEGIES
def test_j16_a_cookie_of_ours_is_no_payload(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview={**by(strategy), "session": {"cookie_cache": {"enabled": True, "strategy": "jwe"}}})
    browser = both.preview.sign_up("grace")
    location = both.return_trip(browser)
    for value in browser.cookies.values():
        assert error_of(both.finish(browser, with_params(location, {"profile": value}))) == "invalid_profile"


def test_a_payload_that_was_changed_is_refused(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    for place in (0, 30, 100, -1):
        raw = bytearray(bytes.fromhex(query(location)["profile"]))
        raw[place] ^= 1
        assert error_of(both.finish(browser, with_params(location, {"profile": raw.hex()}))) == "invalid_profile"


WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in ("timestamp", "account", "userInfo") for value in (None, "1", [], True)),
    *((name, value) for name in ("state", "callbackURL") for value in (None, "", 7)),
    ("disableSignUp", "x"),
    ("disableSignUp", None),
    ("newUserURL", 7),
    ("errorURL", 7),
    ("scopes", "a b"),
    ("profile", []),
    *((f"userInfo.{name}", 7) for name in ("id", "email", "name", "image", "emailVerified")),
    *((f"userInfo.{name}", None) for name in ("id", "email", "name", "emailVerified")),
    ("userInfo.name", "NUL\0"),
    *(
        (f"account.{name}", 7)
        for name in ("providerId", "accountId", "accessToken", "refreshToken", "idToken", "scope")
    ),
    *(("account.accessTokenExpiresAt", value) for value in (7, "soon", "2026-11-24", "0001-01-01T00:00:00+14:00")),
    ("account.refreshTokenExpiresAt", "soon"),
    ("account.accountId", ""),
    ("account.accountId", "undefined"),
    ("account.accountId", "x" * 300),
]


def test_a_payload_of_another_shape_is_refused_and_nothing_used_up(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    for field, value in WRONG:
        payload, (outer, _, inner) = both.payload(location), field.partition(".")
        (payload[outer] if inner else payload)[inner or outer] = value
        answer = both.finish(browser, both.sealed(location, payload))
        assert error_of(answer) == "invalid_payload", (field, value)
    for text in ("", "{{", "[]", "7", "{}", '{"a":NaN}', '{"state":"a","state":"b"}', "[" * 5000):
        assert error_of(both.finish(browser, both.sealed(location, text))) == "invalid_payload", text
    for timestamp in (10**400, -(10**400), 1e308, 0):
        payload = {**both.payload(location), "timestamp": timestamp}
        assert error_of(both.finish(browser, both.sealed(location, payload))) == "payload_expired", timestamp
    assert both.preview.rows("user") == []
    assert both.finish(browser, location).headers["Location"] == "/dash"


def test_more_than_there_has_to_be_does_no_harm(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    payload = {**both.payload(location), "more": 1}
    payload["userInfo"] |= {"role": "admin", "image": None}
    payload["account"] |= {"password": "x", "accessTokenExpiresAt": None, "userId": "1"}
    for name in ("profile", "scopes"):
        del payload[name]
    assert both.finish(browser, both.sealed(location, payload)).headers["Location"] == "/dash"
    (account,) = both.preview.rows("account")
    assert (account.password, account.access_token_expires_at, account.scope) == (None, None, "profile,email")


def test_an_address_that_is_none_signs_nobody_in(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    payload = both.payload(location)
    payload["userInfo"]["email"] = "no address"
    assert error_of(both.finish(browser, both.sealed(location, payload))) == "email_not_found"


# ---------------------------------------------------------------- whose sign-in it is


class Twin(Loopback):
    """A second provider, whose users are others."""

    id = "twin"


def test_j16_a_payload_of_one_provider_is_none_at_the_address_of_another(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.preview.app.extensions["better_auth"].providers["twin"] = Twin(both.server)
    browser = both.preview.browser()
    location = both.return_trip(browser, errorCallbackURL="/oops")
    elsewhere = location.replace("/callback/loopback/", "/callback/twin/")
    assert both.finish(browser, elsewhere).headers["Location"] == "/oops?error=provider_mismatch"
    assert both.finish(browser, location).headers["Location"] == "/dash"


@STRATEGIES
@pytest.mark.parametrize("path", ["/callback/twin/oauth-proxy", "/oauth-proxy-callback"])
def test_j16_a_payload_of_one_provider_ends_no_sign_in_with_another(
    pair: Callable[..., Pair], strategy: str, path: str
) -> None:
    both = pair(preview=by(strategy))
    both.preview.app.extensions["better_auth"].providers["twin"] = Twin(both.server)
    browser = both.preview.browser()
    location = both.return_trip(browser)
    payload = both.payload(location)
    payload["account"]["providerId"] = "twin"
    forged = both.sealed(location, payload).replace("/callback/loopback/oauth-proxy", path)
    assert error_of(both.finish(browser, forged)) == "state_mismatch"
    assert both.preview.rows("user") == []


def test_a_provider_that_the_preview_does_not_have_is_refused(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    both.preview.app.extensions["better_auth"].providers.pop("loopback")
    assert error_of(both.finish(browser, location)) == "oauth_provider_not_found"


@STRATEGIES
def test_j2_a_payload_signs_in_the_browser_that_began_and_no_other(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy))
    mallory, victim = both.preview.browser(), both.preview.browser()
    location = both.return_trip(mallory)
    assert error_of(both.finish(victim, location)) == "state_mismatch"
    both.begin(victim)  # has a state of its own
    assert error_of(both.finish(victim, location)) == "state_mismatch"
    assert victim.session() is None
    assert both.finish(mallory, location).headers["Location"] == "/dash"


def test_the_check_of_the_cookie_can_be_switched_off(pair: Callable[..., Pair]) -> None:
    both = pair(preview={"account": AccountOptions(skip_state_cookie_check=True)})
    location = both.return_trip(both.preview.browser())
    assert both.finish(both.preview.browser(), location).headers["Location"] == "/dash"


def test_j16_nobody_signs_in_on_production_with_what_previews_can_seal(pair: Callable[..., Pair]) -> None:
    both = pair(options={"secret": SHARED})
    mallory = both.production.browser()
    location = both.return_trip(both.preview.browser())
    begun = mallory.post("/sign-in/social", BODY, base_url=PRODUCTION, headers={"Origin": PRODUCTION}).json["url"]
    forged = both.sealed(location, {**both.payload(location), "state": query(begun)["state"]})
    for path in ("/callback/loopback/oauth-proxy", "/oauth-proxy-callback"):
        answer = mallory.get(f"{path}?{urlsplit(forged).query}", base_url=PRODUCTION)
        assert error_of(answer) == "state_mismatch"
    assert both.production.rows("user") == []


@STRATEGIES
def test_j16_a_payload_counts_once_whatever_cookies_are_kept(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy))
    browser = both.preview.browser()
    location = both.return_trip(browser, errorCallbackURL="/oops")
    kept = dict(browser.cookies)
    assert both.finish(browser, location).headers["Location"] == "/dash"
    again = both.preview.browser()
    again.cookies = kept
    assert both.finish(again, location).headers["Location"] == "/oops?error=state_mismatch"
    assert again.session() is None
    assert len(both.preview.rows("session")) == 1


@STRATEGIES
def test_s10_of_many_at_once_one_gets_in(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy))
    browser = both.preview.browser()
    location = both.return_trip(browser)
    kept = dict(browser.cookies)

    def finish(number: int) -> str:
        mine = both.preview.browser()
        mine.cookies = dict(kept)
        return both.finish(mine, location).headers["Location"]

    ends = at_once(6, finish)
    assert ends.count("/dash") == 1
    assert all("error=state_mismatch" in end for end in ends if end != "/dash")
    assert len(both.preview.rows("session")) == 1


@STRATEGIES
def test_j16_a_payload_of_a_state_that_was_never_begun_is_refused(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy))
    browser = both.preview.browser()
    location = both.return_trip(browser)
    forged = both.sealed(location, {**both.payload(location), "state": "x" * 32})
    assert error_of(both.finish(browser, forged)) == "state_mismatch"
    assert both.finish(browser, location).headers["Location"] == "/dash"


@STRATEGIES
def test_a_sign_in_that_began_too_long_ago_does_not_end(pair: Callable[..., Pair], strategy: str) -> None:
    both = pair(preview=by(strategy), options={"max_age": timedelta(hours=1)})
    browser, now = both.preview.browser(), datetime.now(timezone.utc)
    location = both.return_trip(browser)
    with time_machine.travel(now + timedelta(minutes=10, seconds=1)):
        assert error_of(both.finish(browser, location)) == "state_mismatch"


@pytest.mark.parametrize("kind", verifications.KINDS, ids=lambda kind: kind.prefix)
def test_k2_a_secret_of_another_kind_ends_no_sign_in(pair: Callable[..., Pair], kind: verifications.Kind[Any]) -> None:
    assert not kind.prefix.startswith(_UNDER_WAY.prefix)
    assert not _UNDER_WAY.prefix.startswith(kind.prefix)
    both = pair(preview=by("cookie"))
    browser = both.preview.browser()
    location = both.return_trip(browser)
    (row,) = both.preview.rows("verification")
    assert row.identifier == f"oauth-proxy:{both.payload(location)['state']}"
    model = both.preview.auth.Verification
    with both.preview.app.app_context():
        renamed = kind.prefix + row.identifier.removeprefix(_UNDER_WAY.prefix)
        both.preview.db.session.execute(update(model).values(identifier=renamed))
        both.preview.db.session.commit()
    assert error_of(both.finish(browser, location)) == "state_mismatch"
    assert both.preview.rows("user") == []


# ---------------------------------------------------------------- who may come in


@pytest.mark.parametrize("place", ["flags", "of_preview"])
def test_j15_nobody_signs_up_where_that_is_off(pair: Callable[..., Pair], place: str) -> None:
    both = pair(**{place: {"disable_sign_up": True}})
    assert both.sign_in(both.preview.browser(), errorCallbackURL="/oops") == "/oops?error=signup_disabled"
    assert both.preview.rows("user") == []


def test_j15_who_asks_for_it_signs_up_where_it_has_to_be_asked_for(pair: Callable[..., Pair]) -> None:
    both = pair(flags={"disable_implicit_sign_up": True})
    assert error_of(both.sign_in(both.preview.browser())) == "signup_disabled"
    assert both.sign_in(both.preview.browser(), requestSignUp=True) == "/dash"


def test_j15_production_says_that_nobody_signs_up(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.production.app.extensions["better_auth"].providers["loopback"].disable_sign_up = True
    assert error_of(both.sign_in(both.preview.browser())) == "signup_disabled"


def test_j15_the_application_may_refuse(pair: Callable[..., Pair]) -> None:
    asked: list[dict[str, Any]] = []

    def check(*, user: Any, source: Any) -> None:
        asked.append({"email": user["email"], "id": user.get("id"), **source["oauth"]})
        raise APIError(ErrorCode("Not you", 403, "NOT_YOU"))

    both = pair(preview={"user": UserOptions(validate_user_info=check)})
    end = both.sign_in(both.preview.browser(), errorCallbackURL="/oops")
    assert end == "/oops?error=NOT_YOU&error_description=Not+you"
    (told,) = asked
    assert (told["email"], told["id"], told["provider_id"]) == ("ada@example.com", None, "loopback")
    assert told["profile"]["sub"] == "1815"
    assert both.preview.rows("user") == []


@pytest.mark.parametrize("answer", [APIError(ErrorCode("Banned", 403, "BANNED_USER")), Reply({"second": True})])
def test_j15_a_plugin_that_stops_a_sign_in_stops_this_one(pair: Callable[..., Pair], answer: APIError | Reply) -> None:
    class Gate(Plugin):
        id = "gate"

        def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
            assert method == "oauth"
            if isinstance(answer, APIError):
                raise answer
            return Reply(answer.body)

    both = pair(plugins=(Gate(),))
    browser = both.preview.browser()
    location = both.return_trip(browser)
    got = browser.get("~" + location.removeprefix(ORIGIN))
    if isinstance(answer, Reply):
        assert (got.status_code, got.json) == (200, {"second": True})
    else:
        assert error_of(got) == "BANNED_USER"
    assert browser.session() is None
    assert both.preview.rows("session") == []


def test_an_address_that_is_somebodys_is_not_enough(pair: Callable[..., Pair]) -> None:
    both = pair()
    both.preview.sign_up("ada")
    assert error_of(both.sign_in(both.preview.browser())) == "account_not_linked"
    with both.preview.app.app_context():
        both.preview.db.session.execute(update(both.preview.auth.User).values(email_verified=True))
        both.preview.db.session.commit()
    unproven = {**ADA, "email_verified": False}
    assert error_of(both.sign_in(both.preview.browser(), unproven)) == "account_not_linked"
    assert both.sign_in(both.preview.browser(), newUserCallbackURL="/welcome") == "/dash"
    assert len(both.preview.rows("user")) == 1


def test_an_address_that_has_to_be_proven_opens_no_session(pair: Callable[..., Pair]) -> None:
    both = pair(flags={"require_email_verification": True})
    browser = both.preview.browser()
    location = both.return_trip(browser, {**ADA, "email_verified": False})
    assert error_of(both.finish(browser, location)) == "email_not_verified"
    assert len(both.preview.rows("user")) == 1
    assert both.preview.rows("session") == []


def test_tokens_are_sealed_by_the_preview_where_it_seals_them(pair: Callable[..., Pair]) -> None:
    both = pair(preview={"account": AccountOptions(encrypt_oauth_tokens=True)})
    both.sign_in(both.preview.browser())
    (account,) = both.preview.rows("account")
    assert account.access_token not in both.server.access_tokens
    opened = both.preview.app.extensions["better_auth"].secrets.decrypt(account.access_token)
    assert opened in both.server.access_tokens


# ---------------------------------------------------------------- the reference on the other side


def recorded(strategy: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The vectors, and what was said in them."""
    vector = VECTORS[strategy]
    return vector, json.loads(vector["state_text"]), json.loads(vector["profile_text"])


@pytest.fixture
def node(make_auth: Callable[..., Site]) -> Callable[..., Site]:
    """An application in the place of one of the recorded ones."""

    def make(url: str, provider: Provider, **options: Any) -> Site:
        plugins = [OAuthProxy(production_url=PRODUCTION)]
        settings = {"BETTER_AUTH_URL": url, "BETTER_AUTH_SECRET": VECTORS["secret"]}
        return make_auth(settings=settings, plugins=plugins, social_providers=[provider], **options)

    return make


@STRATEGIES
def test_production_serves_a_preview_of_the_reference(node: Callable[..., Site], strategy: str) -> None:
    vector, begun, payload = recorded(strategy)
    site = node(PRODUCTION, Recorded(payload, begun["codeVerifier"]))
    with time_machine.travel(payload["timestamp"] / 1000, tick=False):
        sent = {"code": "code", "state": vector["package"]}
        answer = site.browser().get("/callback/loopback", query_string=sent, base_url=PRODUCTION)
    location = answer.headers["Location"]
    assert location.startswith(
        "http://localhost:4001/api/auth/callback/loopback/oauth-proxy?callbackURL=%2Fdash&profile="
    )
    text = seals(site).decrypt(query(location)["profile"], purpose="oauth-proxy-profile")
    assert text == vector["profile_text"]  # to the letter, and so in the order of its names


def test_production_serves_a_preview_that_adds_an_account(node: Callable[..., Site]) -> None:
    begun, payload = json.loads(VECTORS["link"]["state_text"]), recorded("database")[2]
    assert begun["link"]["encryptedSessionToken"]
    site = node(PRODUCTION, Recorded(payload, begun["codeVerifier"]))
    with time_machine.travel(payload["timestamp"] / 1000, tick=False):
        sent = {"code": "code", "state": VECTORS["link"]["package"]}
        answer = site.browser().get("/callback/loopback", query_string=sent, base_url=PRODUCTION)
    told = json.loads(seals(site).decrypt(query(answer.headers["Location"])["profile"], purpose="oauth-proxy-profile"))
    assert (told["state"], told["callbackURL"]) == (begun["oauthState"], "/linked")


def test_the_preview_ends_what_production_of_the_reference_answered(node: Callable[..., Site]) -> None:
    vector, begun, payload = recorded("database")
    site = node(VECTORS["preview"], Recorded(payload, ""))
    browser = site.browser()
    browser.keep([vector["cookie"]])
    with time_machine.travel(payload["timestamp"] / 1000, tick=False):
        with site.app.app_context():
            expires_at = datetime.now(timezone.utc) + timedelta(minutes=10)
            row = {"identifier": f"auth-state:{begun['oauthState']}", "value": vector["state_text"]}
            site.db.session.add(site.auth.Verification(id="row", expires_at=expires_at, **row))
            site.db.session.commit()
        sent = {"callbackURL": "/dash", "profile": vector["profile"]}
        answer = browser.get("/callback/loopback/oauth-proxy", query_string=sent, base_url=VECTORS["preview"])
        assert answer.headers["Location"] == "/new"
        user = browser.get("/get-session", base_url=VECTORS["preview"]).json["user"]
    assert (user["email"], user["name"], user["emailVerified"]) == ("w@x.com", "Wen", True)
    (account,) = site.rows("account")
    assert (account.account_id, account.access_token) == ("s1", payload["account"]["accessToken"])


@STRATEGIES
def test_a_package_is_as_the_reference_makes_it(node: Callable[..., Site], strategy: str) -> None:
    vector, begun, payload = recorded(strategy)
    site = node(VECTORS["preview"], Recorded(payload, ""), **by(strategy), hardening=False)
    body = {"provider": "loopback", "callbackURL": "/dash", "newUserCallbackURL": "/new", "errorCallbackURL": "/oops"}
    answer = site.browser().post(
        "/sign-in/social",
        {**body, "additionalData": {"hi": 1}},
        base_url=VECTORS["preview"],
        headers={"Origin": VECTORS["preview"]},
    )

    def opened(package: str) -> tuple[dict[str, Any], dict[str, Any]]:
        outer = json.loads(seals(site).decrypt(package, purpose="oauth-proxy-package"))
        return outer, json.loads(seals(site).decrypt(outer["stateCookie"], purpose="oauth-proxy-state"))

    ours, theirs = opened(query(answer.json["url"])["state"]), opened(vector["package"])
    assert list(ours[0]) == list(theirs[0]) == ["state", "stateCookie", "isOAuthProxy"]
    assert theirs[1] == begun
    assert ours[0]["state"] == ours[1]["oauthState"]
    made = {"codeVerifier", "expiresAt", "oauthState"}
    theirs[1].pop("idTokenNonce")  # this provider binds none
    assert [type(value) for value in ours[1].values()] == [type(value) for value in theirs[1].values()]
    assert {n: v for n, v in ours[1].items() if n not in made} == {n: v for n, v in theirs[1].items() if n not in made}


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize("option", ["production_url", "current_url"])
def test_what_is_no_url_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"OAuthProxy\({option}=\.\.\.\) must be like"):
        OAuthProxy(**{option: "prod.example"})


@pytest.mark.parametrize("secret", [{"secret": "short"}, {"secrets": [(1, "short")]}])
def test_a_weak_secret_is_refused_in_production(secret: dict[str, Any]) -> None:
    app = Flask(__name__)
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=PRODUCTION)
    with pytest.raises(ConfigError, match="at least 32 characters"):
        BetterAuth(app, plugins=[OAuthProxy(**secret)])


def test_no_secret_shows_in_a_repr() -> None:
    options = OAuthProxy(secret=SHARED, secrets=[(1, SHARED)]).options
    assert SHARED not in repr(options)


def test_the_server_ends_a_sign_in_too(pair: Callable[..., Pair]) -> None:
    both = pair()
    browser = both.preview.browser()
    location = both.return_trip(browser)
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    with pytest.raises(APIError) as raised:
        both.preview.api.oauth_proxy_completion(
            id="loopback", callback_url="/dash", profile=query(location)["profile"], headers=headers
        )
    assert (raised.value.status, raised.value.headers["Location"]) == ("FOUND", "/dash")
