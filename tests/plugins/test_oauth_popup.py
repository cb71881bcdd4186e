"""OAuth popup: the end of a sign-in is told to the page that opened the window, and to no other."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
import time_machine
from conftest import DISGUISED, ORIGIN, Browser, Site
from flask import Response
from support.google import CLIENT, GoogleOnLoopback

from flask_better_auth import APIError, Hook, Hooks
from flask_better_auth.context import Call, Record, Reply
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, Profile, Provider, ProviderError, Start, Tokens
from flask_better_auth.plugin import Plugin
from flask_better_auth.plugins import Bearer, OAuthPopup

APP, EVIL = "https://app.example", "https://evil.example"
COOKIE, SESSION, STATE = "better-auth.oauth_popup", "better-auth.session_token", "better-auth.state"
NONCE = "n</script><!--\u2028'&1"
Make = Callable[..., Site]


@pytest.fixture
def popup(make_auth: Make, google: GoogleOnLoopback) -> Make:
    """Builds applications with the plugin and Google: ``popup(google={"disable_sign_up": True})``."""

    def make(*, of_google: dict[str, Any] | None = None, plugins: Any = (), **options: Any) -> Site:
        options = {"trusted_origins": [APP], **options}
        return make_auth(
            plugins=[OAuthPopup(), *plugins], social_providers=[google.option(**(of_google or {}))], **options
        )

    return make


def start(browser: Browser, **query: str) -> Response:
    """What the window opens."""
    sent = {"provider": "google", "popupOrigin": APP, "popupNonce": NONCE, **query}
    return browser.get("/oauth-popup/start", query_string=sent)


def begin(browser: Browser, **query: str) -> str:
    """Where the window goes from there."""
    answer = start(browser, **query)
    assert answer.status_code == 302, answer.data
    return answer.headers["Location"]


def told(answer: Response) -> Any:
    """What a page tells, and whom; it must be one of ours."""
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8"), answer.data
    html = answer.text
    (data,) = re.findall(r'<script type="application/json" id="better-auth-oauth-popup">(.*?)</script>', html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in answer.headers["Content-Security-Policy"]
    assert html.count("<script") == html.count("</script>") == 2
    message = json.loads(data)
    assert list(message)[:3] == ["type", "targetOrigin", "nonce"]
    assert message.pop("type") == "better-auth:oauth-popup"
    return message


def failed(code: str, description: str | None = None) -> dict[str, Any]:
    """What the page is told of a failure."""
    more = {"description": description} if description else {}
    return {"targetOrigin": APP, "nonce": NONCE, "error": {"code": code, **more}}


def kept(browser: Browser) -> dict[str, str]:
    """What the cookie says."""
    return json.loads(unquote(browser.cookies[COOKIE]).rpartition(".")[0])


# ---------------------------------------------------------------- there and back


def test_a_window_ends_on_a_page_that_tells_its_page(popup: Make, google: GoogleOnLoopback) -> None:
    site = popup()
    browser = site.browser()
    url = begin(browser, callbackURL="/dash", newUserCallbackURL=APP + "/new")
    assert set(browser.cookies) == {STATE, COOKIE}
    assert kept(browser) == {"popupOrigin": APP, "popupNonce": NONCE}

    answer = browser.get(google.consent(url))
    token = unquote(browser.cookies[SESSION])
    assert told(answer) == {"targetOrigin": APP, "nonce": NONCE, "token": token, "redirectTo": APP + "/new"}
    assert answer.headers["Location"] == APP + "/new"
    assert set(browser.cookies) == {SESSION}
    assert browser.session()["session"]["token"] == token.rpartition(".")[0]

    again = browser.get(google.consent(begin(browser, callbackURL="/dash")))
    assert told(again)["redirectTo"] == "/dash"
    assert told(browser.get(google.consent(begin(browser))))["redirectTo"] == ORIGIN + "/api/auth"
    assert len(site.rows("user")) == 1


def test_the_cookie_lives_as_long_as_the_sign_in(popup: Make) -> None:
    plain, secure = popup(), popup(settings={"BETTER_AUTH_URL": "https://auth.example"})
    state, line = start(plain.browser()).headers.getlist("Set-Cookie")
    assert state.startswith(STATE)
    assert line.startswith(f"{COOKIE}=%7B%22popupOrigin%22%3A%22https%3A%2F%2Fapp.example%22%2C%22popupNonce%22")
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax")
    line = start(secure.browser()).headers.getlist("Set-Cookie")[1]
    assert line.startswith("__Secure-" + COOKIE)
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax")


def test_headers_of_the_page(popup: Make, google: GoogleOnLoopback) -> None:
    browser = popup().browser()
    on_the_way = start(browser)
    pages = [browser.get(google.consent(on_the_way.headers["Location"])), start(browser, provider="nobody")]
    for answer in pages:
        told(answer)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert policy.endswith("; base-uri 'none'; frame-ancestors 'none'; form-action 'none'")
        assert "unsafe" not in policy
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Pragma"] == "no-cache"
    for answer in (*pages, on_the_way):
        assert answer.headers.getlist("Cache-Control") == ["no-store"]
        assert answer.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"


def test_the_authorization_request_is_that_of_the_provider(popup: Make) -> None:
    url = begin(popup().browser(), scopes="drive,,calendar", loginHint="x", additionalParams="y")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert sent["scope"] == "email profile openid drive calendar"
    assert sent["redirect_uri"] == ORIGIN + "/api/auth/callback/google"
    assert (sent["client_id"], sent["code_challenge_method"]) == (CLIENT, "S256")
    assert "login_hint" not in sent


def test_j8_what_the_client_wants_to_be_kept_stands_for_nothing_else(popup: Make, google: GoogleOnLoopback) -> None:
    seen = []

    def look(call: Call) -> None:
        if call.flow is not None:
            seen.append((dict(call.flow.additional), call.flow.callback_url, call.flow.link, call.flow.request_sign_up))

    site = popup(hooks=Hooks(after=Hook(look, "/callback/*")))
    wanted = {"plan": "pro", "callbackURL": EVIL, "link": {"userId": "1", "email": "a@b.c"}, "requestSignUp": True}
    for text in (json.dumps(wanted | {"serverContext": {"oauth_popup": "x"}}), "{", '["a"]', '"text"', "7"):
        browser = site.browser()
        told(browser.get(google.consent(begin(browser, callbackURL="/dash", additionalData=text))))
    assert seen == [({"plan": "pro"}, "/dash", None, False)] + [({}, "/dash", None, False)] * 4


@pytest.mark.parametrize(("asked", "signs_up"), [("true", True), ("1", False), ("", False), (None, False)])
def test_who_asks_for_it_signs_up(popup: Make, google: GoogleOnLoopback, asked: str | None, signs_up: bool) -> None:
    browser = popup(of_google={"disable_implicit_sign_up": True}).browser()
    more = {} if asked is None else {"requestSignUp": asked}
    message = told(browser.get(google.consent(begin(browser, **more))))
    assert ("token" in message) is signs_up
    assert signs_up or message == failed("signup_disabled")


@pytest.mark.parametrize("strategy", ["database", "cookie"])
@pytest.mark.parametrize("hardening", [True, False])
def test_wherever_the_state_is_kept(popup: Make, google: GoogleOnLoopback, strategy: str, hardening: bool) -> None:
    browser = popup(account={"store_state_strategy": strategy}, hardening=hardening).browser()
    assert told(browser.get(google.consent(begin(browser))))["token"]
    assert set(browser.cookies) == {SESSION}


def test_the_token_serves_as_a_bearer(popup: Make, google: GoogleOnLoopback) -> None:
    site = popup(plugins=[Bearer(require_signature=True)])
    browser = site.browser()
    answer = browser.get(google.consent(begin(browser)))
    token = told(answer)["token"]
    assert answer.headers["set-auth-token"] == token
    session = site.browser().get("/get-session", headers={"Authorization": f"Bearer {token}"})
    assert session.json["user"]["email"] == "gina@example.com"


def test_the_server_comes_by_the_page_too(popup: Make, google: GoogleOnLoopback) -> None:
    site = popup()
    with pytest.raises(APIError) as caught:
        site.api.oauth_popup_start(provider="google", popup_origin=APP, popup_nonce="n")
    browser = site.browser()
    browser.keep(caught.value.headers.getlist("Set-Cookie"))
    back = google.consent(caught.value.headers["Location"]).partition("?")[2]
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    html = site.api.callback_oauth(
        id="google", query={n: v[0] for n, v in parse_qs(back).items()}, headers={"Cookie": cookie}
    )
    assert '"token":' in html
    with pytest.raises(APIError) as refused:
        site.api.oauth_popup_start(provider="google", popup_origin=EVIL)
    assert refused.value.code == "INVALID_ORIGIN"


# ---------------------------------------------------------------- whom the page tells


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "/",
        "null",
        "*",
        EVIL,
        "http://app.example",
        APP + ".evil.example",
        APP + "@evil.example",
        APP + ":444",
        APP + "\n",
        "https://",
        "javascript:alert(1)",
        "data:text/html,x",
        *DISGUISED,
    ],
)
def test_no_page_elsewhere_can_open_one(popup: Make, origin: str) -> None:
    site = popup()
    browser = site.browser()
    answer = start(browser, popupOrigin=origin)
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_ORIGIN")
    assert (browser.cookies, site.rows("verification")) == ({}, [])


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        (APP + "/a/b?c#d", APP),
        ("HTTPS://APP.example:443", APP),
        (ORIGIN, ORIGIN),
        ("https://a.wild.example/x", "https://a.wild.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_the_target_is_the_origin_and_nothing_else(popup: Make, sent: str, target: str) -> None:
    site = popup(trusted_origins=[APP, "https://*.wild.example", "capacitor://localhost"])
    browser = site.browser()
    begin(browser, popupOrigin=sent)
    assert kept(browser)["popupOrigin"] == target
    assert told(start(browser, popupOrigin=sent, provider="nobody"))["targetOrigin"] == target


def test_an_origin_that_is_trusted_no_more_gets_no_token(popup: Make, google: GoogleOnLoopback) -> None:
    trusted = [APP]
    browser = popup(trusted_origins=[lambda request: trusted]).browser()
    url = begin(browser)
    trusted.clear()
    answer = browser.get(google.consent(url))
    assert (answer.status_code, answer.headers["Location"], answer.text) == (302, ORIGIN + "/api/auth", "")


@pytest.mark.parametrize("hardening", [True, False])
def test_a_cookie_that_is_not_ours_makes_no_page(popup: Make, google: GoogleOnLoopback, hardening: bool) -> None:
    site = popup(hardening=hardening)
    jar = site.app.extensions["better_auth"].cookies
    forged = json.dumps({"popupOrigin": EVIL, "popupNonce": NONCE})
    right = json.dumps({"popupOrigin": APP, "popupNonce": NONCE})
    for value in (
        None,
        "",
        quote(forged + "." + "A" * 43 + "="),
        quote(right + "." + "A" * 43 + "="),
        jar.signed(forged),
        jar.signed("not JSON"),
        jar.signed("[]"),
        jar.signed("7"),
        jar.signed(json.dumps({"popupOrigin": APP})),
        jar.signed(json.dumps({"popupOrigin": 7, "popupNonce": NONCE})),
        jar.signed(json.dumps({"popupOrigin": [APP], "popupNonce": NONCE})),
    ):
        browser = site.browser()
        url = begin(browser, callbackURL="/dash")
        del browser.cookies[COOKIE]
        if value is not None:
            browser.cookies[COOKIE] = value
        answer = browser.get(google.consent(url))
        assert (answer.status_code, answer.headers["Location"], answer.text) == (302, "/dash", ""), value
        assert browser.session()["user"]["email"] == "gina@example.com"


def test_a_sign_in_that_began_otherwise_goes_its_way(popup: Make, google: GoogleOnLoopback) -> None:
    site = popup()
    browser = site.browser()
    begin(browser)  # in a window that was closed
    answer = google.sign_in(browser)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/home")
    refused = browser.get(google.consent(google.start(browser, errorCallbackURL="/oops"), error="access_denied"))
    assert refused.status_code == 302
    linked = google.link(browser)
    assert (linked.status_code, linked.headers["Location"]) == (302, "/home")


def test_without_hardening_it_ends_in_the_window_as_in_the_reference(popup: Make, google: GoogleOnLoopback) -> None:
    browser = popup(hardening=False).browser()
    begin(browser)
    assert told(google.sign_in(browser))["redirectTo"] == "/home"


def test_a_page_that_was_not_opened_as_one_gets_no_message(popup: Make, google: GoogleOnLoopback) -> None:
    mine, other = popup().browser(), None
    other = mine.site.browser()
    begin(other)
    answer = other.get(google.consent(begin(mine)))  # the state of another browser (SECURITY J1)
    assert told(answer) == failed("state_mismatch")
    assert other.session() is None


# ---------------------------------------------------------------- failures


def test_what_is_missing_or_twice_is_refused(popup: Make) -> None:
    browser = popup().browser()
    missing = "Invalid input: expected string, received undefined"
    answer = browser.get("/oauth-popup/start")
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json["message"] == f"[query.provider] {missing}; [query.popupOrigin] {missing}"
    answer = browser.get(f"/oauth-popup/start?provider=google&provider=x&popupOrigin={APP}")
    assert answer.json["message"] == "[query.provider] Invalid input: expected string, received array"
    assert browser.post(f"/oauth-popup/start?provider=google&popupOrigin={APP}").status_code == 404
    assert browser.cookies == {}


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("callbackURL", "invalid_callback_url"),
        ("errorCallbackURL", "invalid_error_callback_url"),
        ("newUserCallbackURL", "invalid_new_user_callback_url"),
    ],
)
@pytest.mark.parametrize(
    "target", ["https://evil.example/<a>", "javascript:alert(1)", APP + "@evil.example", *DISGUISED]
)
def test_a5_places_that_are_not_trusted_are_told_of(popup: Make, field: str, code: str, target: str) -> None:
    site = popup()
    browser = site.browser()
    assert told(start(browser, **{field: target})) == failed(code, f"Untrusted URL: {target}")
    assert (browser.cookies, site.rows("verification")) == ({}, [])


def test_places_that_are_left_empty_are_none(popup: Make) -> None:
    assert begin(popup().browser(), callbackURL="", errorCallbackURL="", newUserCallbackURL="", scopes="")


def test_a_provider_that_nobody_knows_is_told_of(popup: Make) -> None:
    browser = popup().browser()
    assert told(start(browser, provider="<nope>")) == failed("provider_not_found", "Unknown provider: <nope>")
    answer = browser.get(f"/oauth-popup/start?provider=nope&popupOrigin={APP}")
    assert told(answer)["nonce"] == ""


class Away(Provider):
    """Cannot be reached, which shows at once."""

    id, name = "away", "Away"

    def authorization_url(self, client: Client, start: Start) -> str:
        raise ProviderError("no document")

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        raise NotImplementedError

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        raise NotImplementedError


def test_a_provider_that_is_away_is_told_of(make_auth: Make) -> None:
    browser = make_auth(plugins=[OAuthPopup()], social_providers=[Away()], trusted_origins=[APP]).browser()
    answer = start(browser, provider="away")
    assert told(answer) == failed("popup_sign_in_failed", "Failed to start the OAuth flow.")
    assert COOKIE not in browser.cookies


def test_j10_what_the_provider_says_is_told_and_shown_nowhere(popup: Make, google: GoogleOnLoopback) -> None:
    browser = popup().browser()
    url = begin(browser, errorCallbackURL="/err?x=1#f")
    evil = "</script><script>alert(1)</script>\r\n\u2028<!-- \xe9"
    back = google.consent(url, error="access_denied", extra={"error_description": evil})
    answer = browser.get(back)
    assert told(answer) == failed("access_denied", evil)
    assert "alert(1)</script>" not in answer.text
    assert answer.headers["Location"].startswith("/err?x=1&error=access_denied&error_description=%3C%2Fscript%3E")
    assert browser.cookies == {}


def test_lost_flows_are_told_of(popup: Make, google: GoogleOnLoopback) -> None:
    site = popup()
    browser = site.browser()
    begin(browser)
    assert told(browser.get("/callback/google?code=x&state=wrong")) == failed("state_mismatch")
    begin(browser)
    assert told(browser.get("/callback/google?code=x")) == failed("state_not_found")
    url = begin(browser)
    cookies = dict(browser.cookies)
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(minutes=10, seconds=1)):
        assert told(browser.get(google.consent(url))) == failed("state_mismatch")
    browser.cookies = cookies
    assert told(browser.get(google.consent(url))) == failed("state_mismatch")
    assert (site.rows("user"), google.provider.exchanges("token")) == ([], [])


def test_a_form_that_comes_back_leaves_the_page_to_the_link(popup: Make, google: GoogleOnLoopback) -> None:
    for error in (None, "access_denied"):
        browser = popup().browser()
        back = google.consent(begin(browser), error=error)
        path, _, sent = back.partition("?")
        form = {"data": sent, "content_type": "application/x-www-form-urlencoded"}
        posted = browser.request("POST", path, **form)
        assert posted.status_code == 302
        assert COOKIE in browser.cookies
        message = told(browser.get(posted.headers["Location"].partition("/api/auth")[2]))
        assert ("token" in message) is (error is None)


def test_a_plugin_that_asks_for_more_first_is_heard(popup: Make, google: GoogleOnLoopback) -> None:
    class Asks(Plugin):
        id = "asks"

        def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
            return Reply({"ask": method})

    site = popup(plugins=[Asks()])
    browser = site.browser()
    answer = browser.get(google.consent(begin(browser)))
    assert (answer.status_code, answer.json) == (200, {"ask": "oauth"})
    assert site.rows("session") == []


def test_other_redirects_are_left_alone(popup: Make, google: GoogleOnLoopback) -> None:
    browser = popup().browser()
    begin(browser)
    assert browser.get("/error?error=x").content_type != "application/json"
    answer = browser.get("/verify-email?token=x&callbackURL=/there")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/there?error=INVALID_TOKEN")
    assert COOKIE in browser.cookies
