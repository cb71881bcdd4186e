"""Signing in with a provider: the whole way, what is stored, and what the caller gets of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from conftest import PASSWORD, Site, work
from support.google import CLIENT, GINA, SECRET, GoogleOnLoopback, error_of

from flask_better_auth import (
    AccountLinking,
    AccountOptions,
    AdditionalField,
    APIError,
    ErrorCode,
    Hook,
    Hooks,
    UserOptions,
    signals,
)
from flask_better_auth.context import Call, Record, Reply
from flask_better_auth.oauth.provider import Tokens
from flask_better_auth.plugin import Plugin
from flask_better_auth.providers.base import Social

Make = Callable[..., Site]


@pytest.fixture
def social(make_auth: Make, google: GoogleOnLoopback) -> Callable[..., Site]:
    """Builds applications with Google: ``social(hd="example.com", options={"account": ...})``."""

    def make(*, options: dict[str, Any] | None = None, **of_google: Any) -> Site:
        return make_auth(social_providers=[google.option(**of_google)], **(options or {}))

    return make


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


# ---------------------------------------------------------------- there and back


def test_a_stranger_signs_up_and_comes_back_as_the_same_user(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    first, later = site.browser(), site.browser()
    answer = google.sign_in(first, newUserCallbackURL="/welcome")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/welcome")
    user = first.session()["user"]
    assert (user["email"], user["emailVerified"], user["name"]) == ("gina@example.com", True, "Gina")
    renamed = {**GINA, "name": "Renamed", "email": "GINA@example.com"}
    again = google.sign_in(later, renamed, newUserCallbackURL="/welcome")
    assert again.headers["Location"] == "/home"
    assert later.session()["user"] == user
    assert (len(site.rows("user")), len(site.rows("account")), len(site.rows("verification"))) == (1, 1, 0)


def test_the_account_holds_what_the_token_endpoint_gave(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    google.sign_in(site.browser())
    (account,) = site.rows("account")
    assert (account.provider_id, account.account_id, account.scope) == ("google", "g-1", "email,profile,openid")
    assert account.access_token in google.provider.access_tokens
    assert account.refresh_token in google.provider.refresh_tokens
    assert account.id_token.count(".") == 2
    assert account.password is None
    assert timedelta(minutes=50) < account.access_token_expires_at - datetime.now(timezone.utc) < timedelta(minutes=61)


def test_without_a_callback_url_the_browser_comes_home(social: Any, google: GoogleOnLoopback) -> None:
    browser = social().browser()
    answer = google.sign_in(browser, callbackURL="")
    assert answer.headers["Location"] == "http://localhost"


def test_what_an_error_leads_to(social: Any, google: GoogleOnLoopback) -> None:
    browser = social().browser()
    url = google.start(browser, errorCallbackURL="/oops?a=1#top")
    answer = browser.get(google.consent(url, error="access_denied"))
    target = answer.headers["Location"]
    assert target.startswith("/oops?a=1&error=access_denied")
    assert target.endswith("#top")
    assert browser.session() is None


def test_a_form_is_turned_into_a_link(social: Any, google: GoogleOnLoopback) -> None:
    browser = social().browser()
    back = google.consent(google.start(browser))
    path, _, sent = back.partition("?")
    posted = browser.site.browser().request(
        "POST", path, data=sent, content_type="application/x-www-form-urlencoded", headers={"Origin": "https://a.test"}
    )
    assert posted.status_code == 302
    assert posted.headers["Location"] == f"http://localhost/api/auth{path}?{sent}"
    assert browser.get(back).headers["Location"] == "/home"


def test_an_id_token_signs_in_at_once(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser = site.browser()
    answer = browser.post("/sign-in/social", {"provider": "google", "idToken": {"token": google.id_token()}})
    assert answer.status_code == 200
    assert answer.json["redirect"] is False
    assert answer.json["user"]["email"] == "gina@example.com"
    assert browser.session()["session"]["token"] == answer.json["token"]
    (account,) = site.rows("account")
    assert (account.access_token, account.scope) == (None, None)


def test_the_server_signs_in_too(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    headers, result = site.api.sign_in_social(provider="google", callback_url="/home", return_headers=True)
    assert result["redirect"] is True
    browser = site.browser()
    browser.keep(headers.getlist("Set-Cookie"))
    back = query("http://x" + google.consent(result["url"]))
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with pytest.raises(APIError) as caught:
        site.api.callback_oauth(id="google", query=back, headers={"Cookie": cookie})
    assert caught.value.headers["Location"] == "/home"
    browser.keep(caught.value.headers.getlist("Set-Cookie"))
    assert browser.session()["user"]["email"] == "gina@example.com"


@pytest.mark.parametrize("strategy", ["database", "cookie"])
def test_where_the_state_is_kept(social: Any, google: GoogleOnLoopback, strategy: str) -> None:
    site = social(options={"account": {"store_state_strategy": strategy}})
    browser = site.browser()
    url = google.start(browser)
    assert len(site.rows("verification")) == (strategy == "database")
    assert set(browser.cookies) == {"better-auth.state" if strategy == "database" else "better-auth.oauth_state"}
    assert browser.get(google.consent(url)).headers["Location"] == "/home"
    assert set(browser.cookies) == {"better-auth.session_token"}


def test_the_state_in_a_secondary_storage_counts_once_too(social: Any, google: GoogleOnLoopback) -> None:
    site = social(options={"secondary_storage": "memory"})
    browser = site.browser()
    url = google.start(browser)
    assert site.rows("verification") == []
    kept = dict(browser.cookies)
    assert browser.get(google.consent(url)).headers["Location"] == "/home"
    assert browser.session()["user"]["email"] == "gina@example.com"
    browser.cookies = kept
    assert error_of(browser.get(google.consent(url))) == "state_mismatch"


def test_without_stored_sessions_accounts_are_added_all_the_same(social: Any, google: GoogleOnLoopback) -> None:
    site = social(options={"session": {"stateless": True}, "account": {"store_account_cookie": True}})
    browser = site.sign_up("gina")
    assert google.link(browser).headers["Location"] == "/home"
    later = site.browser()
    assert google.sign_in(later).headers["Location"] == "/home"
    assert later.session()["user"]["email"] == "gina@example.com"
    assert later.post("/get-access-token", {"useAccountCookie": True}).status_code == 200
    assert site.rows("session") == []


def test_tables_of_the_typescript_library_do_as_well(social: Any, google: GoogleOnLoopback) -> None:
    site = social(options={"naming": "camelCase"})
    first, second = site.browser(), site.browser()
    google.sign_in(first)
    google.sign_in(second)
    assert first.session()["user"] == second.session()["user"]
    assert [account.provider_id for account in site.rows("account")] == ["google"]


def test_what_the_client_wants_to_be_kept_is_there_when_it_is_back(social: Any, google: GoogleOnLoopback) -> None:
    seen = []

    def look(call: Call) -> None:
        if call.flow is not None:
            seen.append((dict(call.flow.additional), call.flow.callback_url))

    site = social(options={"hooks": Hooks(after=Hook(look, "/callback/*"))})
    google.sign_in(site.browser(), additionalData={"plan": "pro", "callbackURL": "/elsewhere", "codeVerifier": "x"})
    assert seen == [({"plan": "pro"}, "/home")]


def test_the_authorization_request_says_what_the_application_wants(social: Any, google: GoogleOnLoopback) -> None:
    browser = social(
        scope=["calendar"], prompt="consent", access_type="offline", hd="example.com", display="popup"
    ).browser()
    sent = query(google.start(browser, scopes=["drive"], loginHint="gina", additionalParams={"ui_locales": "de"}))
    assert sent.pop("state")
    assert sent.pop("code_challenge")
    assert sent == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "http://localhost/api/auth/callback/google",
        "scope": "email profile openid calendar drive",
        "prompt": "consent",
        "access_type": "offline",
        "hd": "example.com",
        "display": "popup",
        "include_granted_scopes": "true",
        "login_hint": "gina",
        "ui_locales": "de",
        "code_challenge_method": "S256",
    }


# ---------------------------------------------------------------- who may sign up


def test_nobody_signs_up_where_that_is_off(social: Any, google: GoogleOnLoopback) -> None:
    site = social(disable_sign_up=True)
    assert error_of(google.sign_in(site.browser(), requestSignUp=True)) == "signup_disabled"
    token = {"provider": "google", "idToken": {"token": google.id_token()}}
    answer = site.browser().post("/sign-in/social", token)
    assert (answer.status_code, answer.json) == (401, {"code": "OAUTH_LINK_ERROR", "message": "signup disabled"})
    assert site.rows("user") == []


def test_who_asks_for_it_signs_up_where_it_has_to_be_asked_for(social: Any, google: GoogleOnLoopback) -> None:
    site = social(disable_implicit_sign_up=True)
    assert error_of(google.sign_in(site.browser())) == "signup_disabled"
    assert google.sign_in(site.browser(), requestSignUp=True).headers["Location"] == "/home"
    assert google.sign_in(site.browser()).headers["Location"] == "/home"


def test_an_address_that_has_to_be_proven_gets_a_link_and_no_session(social: Any, google: GoogleOnLoopback) -> None:
    mails: list[Any] = []
    site = social(
        require_email_verification=True,
        options={
            "email_verification": {"send_verification_email": lambda **m: mails.append(m), "send_on_sign_in": True}
        },
    )
    browser = site.browser()
    unproven = {**GINA, "email_verified": False}
    assert error_of(google.sign_in(browser, unproven)) == "email_not_verified"
    assert (len(site.rows("user")), len(site.rows("account")), len(site.rows("session"))) == (1, 1, 0)
    assert error_of(google.sign_in(browser, unproven)) == "email_not_verified"
    assert [mail["user"]["email"] for mail in mails] == ["gina@example.com"] * 2
    assert browser.get(mails[0]["url"].partition("/api/auth")[2]).headers["Location"] == "/home"
    assert google.sign_in(browser, unproven).headers["Location"] == "/home"
    assert browser.session()["user"]["emailVerified"] is True


def test_the_provider_overrides_where_it_shall(social: Any, google: GoogleOnLoopback) -> None:
    browser = social(override_user_info_on_sign_in=True).browser()
    google.sign_in(browser)
    google.sign_in(browser, {**GINA, "name": "Gina II", "picture": "https://i.test/2", "email": "gina2@example.com"})
    user = browser.session()["user"]
    assert (user["name"], user["image"], user["email"]) == ("Gina II", "https://i.test/2", "gina2@example.com")


def test_an_override_leaves_an_address_that_is_somebody_elses(social: Any, google: GoogleOnLoopback) -> None:
    site = social(override_user_info_on_sign_in=True)
    site.sign_up("ada")
    browser = site.browser()
    google.sign_in(browser)
    google.sign_in(browser, {**GINA, "name": "Gina II", "email": "ada@example.com"})
    user = browser.session()["user"]
    assert (user["name"], user["email"]) == ("Gina II", "gina@example.com")


def test_what_the_application_reads_from_a_profile(social: Any, google: GoogleOnLoopback) -> None:
    def read(profile: Any) -> dict[str, Any]:
        return {"name": profile["name"].upper(), "points": 7, "role": "admin", "id": "chosen", "banned": False}

    role = AdditionalField(input=False, default="user")
    fields = {"points": AdditionalField(type="number", required=False), "role": role}
    site = social(map_profile_to_user=read, options={"user": {"additional_fields": fields}})
    browser = site.browser()
    google.sign_in(browser)
    user = browser.session()["user"]
    assert (user["name"], user["points"], user["role"]) == ("GINA", 7, "user")
    assert user["id"] != "chosen"


def test_the_application_may_refuse(social: Any, google: GoogleOnLoopback) -> None:
    seen = []

    def check(*, user: Any, source: Any) -> None:
        seen.append((user["email"], source["action"], source["method"], source.get("oauth", {}).get("provider_id")))
        if user["email"].startswith("gina"):
            raise APIError(ErrorCode("Not you", 403, "NOT_YOU"))

    site = social(options={"user": UserOptions(validate_user_info=check)})
    assert error_of(google.sign_in(site.browser())) == "NOT_YOU"
    refused = site.browser().post("/sign-in/social", {"provider": "google", "idToken": {"token": google.id_token()}})
    assert (refused.status_code, refused.json["code"]) == (403, "NOT_YOU")
    signed_up = site.browser().post("/sign-up/email", {"name": "G", "email": "gina2@example.com", "password": PASSWORD})
    assert (signed_up.status_code, signed_up.json["code"]) == (403, "NOT_YOU")
    assert site.rows("user") == []
    assert seen == [
        ("gina@example.com", "create-user", "oauth", "google"),
        ("gina@example.com", "create-user", "oauth", "google"),
        ("gina2@example.com", "create-user", "email-password", None),
    ]


def test_a_plugin_that_stops_a_sign_in_stops_this_one(social: Any, google: GoogleOnLoopback) -> None:
    class Banned(Plugin):
        id = "banned"

        def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
            assert method == "oauth"
            raise APIError(ErrorCode("You are banned", 403, "BANNED_USER"))

    site = social(options={"plugins": [Banned()]})
    assert error_of(google.sign_in(site.browser())) == "BANNED_USER"
    assert site.rows("user") == []


def test_signals_tell_of_a_new_user_an_account_and_a_session(social: Any, google: GoogleOnLoopback) -> None:
    site, told = social(), []
    with (
        signals.user_signed_up.connected_to(lambda app, **k: told.append("up"), sender=site.app),
        signals.account_linked.connected_to(lambda app, **k: told.append(k["provider_id"]), sender=site.app),
        signals.user_signed_in.connected_to(lambda app, **k: told.append(k["method"]), sender=site.app),
    ):
        google.sign_in(site.browser())
        google.sign_in(site.browser())
    assert told == ["up", "google", "oauth", "oauth"]


# ---------------------------------------------------------------- linking


def proven(site: Site, who: str = "gina") -> Any:
    """A browser of a user with a password whose address is proven."""
    browser = site.sign_up(who)
    site.api.update_user(user_id=browser.session()["user"]["id"], data={"email_verified": True})
    return browser


def test_a_sign_in_adds_the_account_to_who_has_the_address(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    owner = proven(site)
    browser = site.browser()
    assert google.sign_in(browser).headers["Location"] == "/home"
    assert browser.session()["user"]["id"] == owner.session()["user"]["id"]
    assert [account["providerId"] for account in owner.get("/list-accounts").json] == ["credential", "google"]


@pytest.mark.parametrize(
    ("linking", "verified", "refused"),
    [
        (AccountLinking(enabled=False), True, True),
        (AccountLinking(disable_implicit_linking=True), True, True),
        (AccountLinking(), False, True),
        (AccountLinking(trusted_providers=("google",)), False, False),
        (AccountLinking(trusted_providers=lambda request: ["google"]), False, False),
    ],
)
def test_when_a_sign_in_adds_none(
    social: Any, google: GoogleOnLoopback, linking: AccountLinking, verified: bool, refused: bool
) -> None:
    site = social(options={"account": AccountOptions(account_linking=linking)})
    proven(site)
    answer = google.sign_in(site.browser(), {**GINA, "email_verified": verified})
    assert (error_of(answer) == "account_not_linked") is refused
    assert len(site.rows("account")) == 2 - refused


def test_who_is_signed_in_adds_an_account(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser = site.sign_up("gina")
    assert google.link(browser).headers["Location"] == "/home"
    assert [account["providerId"] for account in browser.get("/list-accounts").json] == ["credential", "google"]
    assert google.sign_in(site.browser()).headers["Location"] == "/home"
    assert len(site.rows("user")) == 1


def test_an_account_that_is_added_again_gets_new_tokens_and_more_scopes(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser = site.sign_up("gina")
    google.link(browser)
    before = site.rows("account")[-1].access_token
    google.link(browser, scopes=["calendar"])
    account = next(a for a in site.rows("account") if a.provider_id == "google")
    assert account.access_token != before
    assert account.scope == "email,profile,openid,calendar"


def test_another_address_is_added_where_that_is_allowed(social: Any, google: GoogleOnLoopback) -> None:
    strict = social()
    browser = strict.sign_up("ada")
    assert error_of(google.link(browser)) == "email_does_not_match"
    answer = browser.post("/link-social", {"provider": "google", "idToken": {"token": google.id_token()}})
    assert (answer.status_code, answer.json["code"]) == (401, "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED")


def test_another_address_and_name_are_added_where_that_is_wanted(social: Any, google: GoogleOnLoopback) -> None:
    linking = AccountLinking(allow_different_emails=True, update_user_info_on_link=True)
    site = social(options={"account": {"account_linking": linking}})
    browser = site.sign_up("ada")
    assert google.link(browser).headers["Location"] == "/home"
    user = browser.session()["user"]
    assert (user["name"], user["image"], user["email"]) == ("Gina", "https://i.test/g", "ada@example.com")


def test_an_id_token_adds_an_account(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser = site.sign_up("gina")
    body = {"provider": "google", "idToken": {"token": google.id_token()}}
    for _ in range(2):  # the second time it is there already
        answer = browser.post("/link-social", body)
        assert (answer.status_code, answer.json) == (200, {"url": "", "status": True, "redirect": False})
    assert len(site.rows("account")) == 2
    other = site.sign_up("bob")
    answer = other.post("/link-social", body)
    assert (answer.status_code, answer.json["code"]) == (409, "SOCIAL_ACCOUNT_ALREADY_LINKED")


# ---------------------------------------------------------------- tokens


def signed_in(site: Site, google: GoogleOnLoopback) -> tuple[Any, str]:
    browser = site.browser()
    google.sign_in(browser)
    return browser, browser.get("/list-accounts").json[0]["id"]


def test_an_access_token_is_made_anew_when_it_is_over(social: Any, google: GoogleOnLoopback) -> None:
    browser, account_id = signed_in(social(), google)
    first = browser.post("/get-access-token", {"accountId": account_id}).json
    assert browser.post("/get-access-token", {"accountId": account_id}).json == first
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=1)):
        later = browser.post("/get-access-token", {"accountId": account_id}).json
    assert later["accessToken"] != first["accessToken"]
    assert later["scopes"] == ["email", "profile", "openid"]


def test_a_refresh_stores_what_the_provider_gave(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser, account_id = signed_in(site, google)
    (before,) = site.rows("account")
    answer = browser.post("/refresh-token", {"accountId": account_id}).json
    (after,) = site.rows("account")
    assert (after.access_token, after.refresh_token) == (answer["accessToken"], answer["refreshToken"])
    assert after.refresh_token != before.refresh_token


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("path", ["/refresh-token", "/get-access-token"])
def test_of_two_refreshes_at_once_the_slower_gets_what_the_faster_stored(
    social: Any, google: GoogleOnLoopback, monkeypatch: pytest.MonkeyPatch, path: str, encrypted: bool
) -> None:
    """A provider takes a refresh token once."""
    site = social(options={"account": {"encrypt_oauth_tokens": encrypted}})
    browser, account_id = signed_in(site, google)
    refresh, faster = Social.refresh, []

    def slowly(provider: Social, client: Any, token: str) -> Tokens:
        if not faster:
            faster.append(None)
            faster[0] = browser.post(path, {"accountId": account_id}).json
        return refresh(provider, client, token)

    monkeypatch.setattr(Social, "refresh", slowly)
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=1)):
        slower = browser.post(path, {"accountId": account_id})
    assert (slower.status_code, slower.json) == (200, faster[0])
    assert slower.json["accessToken"] in google.provider.access_tokens
    assert len(google.provider.exchanges("token")) == 3


def test_an_account_cookie_from_before_a_refresh_is_no_dead_end(social: Any, google: GoogleOnLoopback) -> None:
    options = {"account": {"store_account_cookie": True}, "session": {"cookie_cache": {"max_age": timedelta(hours=3)}}}
    browser = (site := social(options=options)).browser()
    google.sign_in(browser)
    old = dict(browser.cookies)
    (account,) = site.rows("account")
    browser.post("/refresh-token", {"accountId": account.id})
    browser.cookies = old
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=2)):
        answer = browser.post("/get-access-token", {"useAccountCookie": True})
    assert answer.status_code == 200
    assert answer.json["accessToken"] in google.provider.access_tokens


def test_what_the_provider_says_of_the_caller(social: Any, google: GoogleOnLoopback) -> None:
    browser, account_id = signed_in(social(), google)
    answer = browser.get(f"/account-info?accountId={account_id}").json
    assert answer["user"] == {
        "name": "Gina",
        "email": "gina@example.com",
        "emailVerified": True,
        "image": "https://i.test/g",
    }
    assert answer["data"]["sub"] == "g-1"
    assert answer["account"] == {"id": account_id, "providerId": "google", "accountId": "g-1"}


def test_what_the_provider_says_long_after_the_id_token_is_over(social: Any, google: GoogleOnLoopback) -> None:
    google.provider.misbehave("token", fields={"refresh_token": None, "expires_in": None})
    browser, account_id = signed_in(social(), google)
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=3)):
        assert browser.get(f"/account-info?accountId={account_id}").json["user"]["name"] == "Gina"


def test_the_server_asks_for_any_user(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser, account_id = signed_in(site, google)
    user_id = browser.session()["user"]["id"]
    token = site.api.get_access_token(user_id=user_id, account_id=account_id)
    assert token["access_token"] in google.provider.access_tokens
    info = site.api.account_info(user_id=user_id, account_id=account_id)
    assert info["user"]["email_verified"] is True
    with pytest.raises(APIError) as caught:
        site.api.get_access_token(account_id=account_id)
    assert caught.value.code == "USER_ID_OR_SESSION_REQUIRED"


def test_the_account_cookie_stands_in_for_the_identifier(social: Any, google: GoogleOnLoopback) -> None:
    site = social(options={"account": {"store_account_cookie": True}})
    browser = site.browser()
    google.sign_in(browser)
    assert "better-auth.account_data" in browser.cookies
    answer = browser.post("/get-access-token", {"useAccountCookie": True})
    assert answer.json["accessToken"] in google.provider.access_tokens
    browser.post("/sign-out")
    assert set(browser.cookies) == set()


def test_an_account_without_a_refresh_token_cannot_be_refreshed(social: Any, google: GoogleOnLoopback) -> None:
    google.provider.misbehave("token", fields={"refresh_token": None})
    browser, account_id = signed_in(social(), google)
    answer = browser.post("/refresh-token", {"accountId": account_id})
    assert (answer.status_code, answer.json["code"]) == (400, "REFRESH_TOKEN_NOT_FOUND")


def test_an_account_of_a_provider_that_is_gone(social: Any, google: GoogleOnLoopback) -> None:
    site = social()
    browser, account_id = signed_in(site, google)
    site.app.extensions["better_auth"].providers = {}
    for method, path, code in (
        ("POST", "/get-access-token", "PROVIDER_NOT_SUPPORTED"),
        ("POST", "/refresh-token", "PROVIDER_NOT_SUPPORTED"),
        ("GET", "/account-info", "PROVIDER_NOT_CONFIGURED"),
    ):
        if method == "GET":
            answer = browser.get(f"{path}?accountId={account_id}")
        else:
            answer = browser.post(path, {"accountId": account_id})
        assert (answer.status_code, answer.json["code"]) == (400, code)


# ---------------------------------------------------------------- what it costs


def test_what_a_sign_in_costs(social: Any, google: GoogleOnLoopback) -> None:
    """State and account are found by an index; the exchange holds no transaction open."""
    site = social()
    google.sign_in(site.browser())
    browser = site.browser()
    with work(site) as start:
        url = google.start(browser)
    assert {name: n for name, n in start.items() if name in ("statement SELECT", "statement INSERT")} == {
        "statement INSERT": 1
    }
    back = google.consent(url)
    with work(site) as arrival:
        browser.get(back)
    assert arrival["statement SELECT"] <= 3
    assert arrival["statement UPDATE"] == 1
    assert arrival["statement INSERT"] == 1


def test_settings_make_a_provider(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(settings={"BETTER_AUTH_GOOGLE_CLIENT_ID": CLIENT, "BETTER_AUTH_GOOGLE_CLIENT_SECRET": SECRET})
    assert google.sign_in(site.browser()).headers["Location"] == "/home"


def test_the_log_tells_why_nobody_was_let_in(
    social: Any, google: GoogleOnLoopback, caplog: pytest.LogCaptureFixture
) -> None:
    google.provider.misbehave("token", status=500)
    with caplog.at_level(logging.INFO):
        assert error_of(google.sign_in(social().browser())) == "invalid_code"
    assert "google" in caplog.text
