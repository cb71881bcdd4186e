"""Generic OAuth: any provider by its URLs, the whole way there and back, and what may go wrong on it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import ORIGIN, Browser, Site, open_site, work
from flask import Response, request
from support.provider import LoopbackProvider

from flask_better_auth import ConfigError
from flask_better_auth.oauth.provider import Tokens
from flask_better_auth.plugins import GenericOAuth
from flask_better_auth.plugins.generic_oauth import GenericProvider, GenericProviderOptions, TokenEndpointAuth, presets
from flask_better_auth.providers import GitHub

Make = Callable[..., Site]

CLIENT, SECRET = "acme-client", "acme-secret:with/colon"
WEN = {
    "sub": "w-1",
    "id": "w-1",
    "email": "wen@example.com",
    "email_verified": True,
    "name": "Wen",
    "picture": "https://i.test/w",
}
METADATA = "http://169.254.169.254/latest/meta-data"


@pytest.fixture
def idp(loopback: LoopbackProvider) -> LoopbackProvider:
    loopback.reset()
    loopback.register(CLIENT, SECRET)
    return loopback


def discovered(idp: LoopbackProvider, **options: Any) -> dict[str, Any]:
    """A provider by its discovery document."""
    client = {"provider_id": "acme", "client_id": CLIENT, "client_secret": SECRET}
    return {**client, "discovery_url": idp.url_for("discovery"), "scopes": ["openid", "email", "profile"], **options}


def plain(idp: LoopbackProvider, **options: Any) -> dict[str, Any]:
    """The same by its URLs alone."""
    return {
        "provider_id": "acme",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "authorization_url": idp.url_for("authorize"),
        "token_url": idp.url_for("token"),
        "user_info_url": idp.url_for("userinfo"),
        "scopes": ["email"],
        **options,
    }


@pytest.fixture
def acme(make_auth: Make, idp: LoopbackProvider) -> Callable[..., Site]:
    """Builds applications with the provider: ``acme(pkce=False)``, or ``acme(plain, ...)``."""

    def make(known: Any = discovered, *, options: dict[str, Any] | None = None, **of_provider: Any) -> Site:
        return make_auth(plugins=[GenericOAuth(config=[known(idp, **of_provider)])], **(options or {}))

    return make


def start(browser: Browser, **body: Any) -> str:
    """Where the browser is sent."""
    answer = browser.post("/sign-in/social", {"provider": "acme", "callbackURL": "/home", **body})
    assert answer.status_code == 200, answer.data
    url: str = answer.json["url"]
    return url


def back(browser: Browser, idp: LoopbackProvider, url: str, person: dict[str, Any] = WEN, **how: Any) -> Response:
    """What the browser gets that comes back from the provider."""
    return browser.get(idp.consent(url, person, **how).removeprefix(f"{ORIGIN}/api/auth"))


def sign_in(browser: Browser, idp: LoopbackProvider, person: dict[str, Any] = WEN, **body: Any) -> Response:
    return back(browser, idp, start(browser, **body), person)


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def error_of(answer: Response) -> str:
    assert answer.status_code == 302, answer.data
    assert answer.headers["Location"].startswith(f"{ORIGIN}/api/auth/error?"), answer.headers["Location"]
    return query(answer.headers["Location"])["error"]


def nobody_came_in(site: Site, answer: Response, code: str) -> None:
    assert error_of(answer) == code
    assert site.rows("user") == site.rows("account") == site.rows("session") == []


# ---------------------------------------------------------------- there and back


def test_a_stranger_signs_up_and_comes_back_as_the_same_user(acme: Any, idp: LoopbackProvider) -> None:
    site = acme()
    browser, later = site.browser(), site.browser()
    idp.require_pkce = True
    answer = sign_in(browser, idp, newUserCallbackURL="/welcome")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/welcome")
    user = browser.session()["user"]
    assert (user["email"], user["emailVerified"], user["name"]) == ("wen@example.com", True, "Wen")
    assert user["image"] == "https://i.test/w"
    (account,) = site.rows("account")
    assert (account.provider_id, account.account_id, account.scope) == ("acme", "w-1", "openid,email,profile")
    assert account.access_token in idp.access_tokens
    assert account.id_token.count(".") == 2
    again = sign_in(later, idp, {**WEN, "email": "other@example.com"}, newUserCallbackURL="/welcome")
    assert again.headers["Location"] == "/home"
    assert later.session()["user"]["id"] == user["id"]


def test_the_document_is_asked_for_at_first_use_and_kept(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(discovery_headers={"X-Tenant": "acme"})
    assert idp.log == []
    sign_in(site.browser(), idp)
    sign_in(site.browser(), idp)
    (asked,) = idp.exchanges("discovery")
    (keys,) = idp.exchanges("jwks")
    assert asked.headers["X-Tenant"] == keys.headers["X-Tenant"] == "acme"
    assert "X-Tenant" not in idp.exchanges("token")[0].headers


def test_what_the_authorization_request_says(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(
        scopes=["email"],
        prompt="consent",
        access_type="offline",
        response_mode="query",
        authorization_url_params={"audience": "api", "state": "evil", "nonce": "evil", "prompt": "login"},
        redirect_uri="https://cb.example.com/back",
    )
    url = start(site.browser(), scopes=["extra"], loginHint="wen@example.com", additionalParams={"x": "1"})
    sent = query(url)
    assert len(sent.pop("state")) == len(sent.pop("nonce")) == 32
    assert len(sent.pop("code_challenge")) == 43
    assert sent == {
        "response_type": "code",
        "client_id": CLIENT,
        "scope": "openid extra email",
        "redirect_uri": "https://cb.example.com/back",
        "login_hint": "wen@example.com",
        "prompt": "login",
        "access_type": "offline",
        "response_mode": "query",
        "code_challenge_method": "S256",
        "audience": "api",
        "x": "1",
    }


@pytest.mark.parametrize(
    ("registered", "options"),
    [
        ("client_secret_post", {}),
        ("client_secret_post", {"authentication": "post"}),
        ("client_secret_basic", {"authentication": "basic"}),
        ("client_secret_basic", {"token_endpoint_auth": {"method": "client_secret_basic"}, "authentication": "post"}),
        ("none", {"client_secret": ""}),
        ("none", {"client_secret": "", "token_endpoint_auth": TokenEndpointAuth("none")}),
    ],
)
def test_how_the_client_authenticates(acme: Any, idp: LoopbackProvider, registered: Any, options: Any) -> None:
    idp.register(CLIENT, SECRET, auth_method=registered)
    browser = acme(**options).browser()
    assert sign_in(browser, idp).headers["Location"] == "/home"
    (exchange,) = idp.exchanges("token")
    assert ("Authorization" in exchange.headers) == ("basic" in registered)
    assert ("client_secret" in exchange.form) == ("post" in registered)
    assert browser.session()


def test_an_assertion_and_a_request_of_ones_own(acme: Any, idp: LoopbackProvider) -> None:
    idp.register(CLIENT, auth_method="none")
    asked: list[Any] = []

    def assertion(url: str) -> str:
        asked.append(url)
        return "signed"

    auth = {"method": "private_key_jwt", "get_client_assertion": assertion}
    assert sign_in(acme(client_secret="", token_endpoint_auth=auth).browser(), idp).headers["Location"] == "/home"
    (exchange,) = idp.exchanges("token")
    assert (exchange.form["client_assertion"], asked) == ("signed", [idp.url_for("token")])
    assert exchange.form["client_assertion_type"].endswith(":jwt-bearer")

    def customize(client: Any, method: str, url: str, headers: Any, body: str) -> Any:
        return url, {**headers, "x-own": method}, f"{body}&client_id={CLIENT}"

    auth = {"method": "custom", "customize_request": customize}
    assert sign_in(acme(token_endpoint_auth=auth, client_secret="").browser(), idp).headers["Location"] == "/home"
    exchange = idp.exchanges("token")[-1]
    assert exchange.headers["x-own"] == "POST"


def test_the_token_request_takes_parameters_and_headers(acme: Any, idp: LoopbackProvider) -> None:
    params = {"resource": "r", "code": "evil", "grant_type": "evil", "client_secret": "evil"}
    site = acme(plain, token_url_params=params, authorization_headers={"X-Own": "1"}, pkce=False)
    url = start(site.browser())
    assert "code_challenge" not in query(url)
    sign_in(site.browser(), idp)
    (exchange,) = idp.exchanges("token")
    assert (exchange.form["resource"], exchange.form["grant_type"]) == ("r", "authorization_code")
    assert exchange.form["code"] != "evil"
    assert exchange.form["client_secret"] == SECRET
    assert exchange.headers["X-Own"] == "1"
    assert "code_verifier" not in exchange.form


def test_a_provider_by_its_urls_alone(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(plain)
    url = start(site.browser())
    assert "nonce" not in query(url)
    assert query(url)["scope"] == "email"
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"
    assert idp.exchanges("discovery") == []
    (account,) = site.rows("account")
    assert account.account_id == "w-1"


@pytest.mark.parametrize("subject", [None, "", " ", "undefined", "null", True, 1.5, [], {"a": 1}, "a\0b", "x" * 256])
def test_without_an_identifier_nobody_comes_in(acme: Any, idp: LoopbackProvider, subject: Any) -> None:
    site = acme(plain)
    nobody_came_in(site, sign_in(site.browser(), idp, {**WEN, "id": subject}), "unable_to_get_user_info")


def test_the_application_says_what_the_identifier_is(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(plain, account_subject=lambda tokens, profile: f"{profile['name']}-{len(tokens.scopes)}")
    sign_in(site.browser(), idp)
    (account,) = site.rows("account")
    assert account.account_id == "Wen-1"


def test_a_name_that_is_none_is_left_out(acme: Any, idp: LoopbackProvider) -> None:
    browser = acme(plain).browser()
    person = {**WEN, "name": {"first": "Wen"}, "picture": ["x"]}
    assert sign_in(browser, idp, person).headers["Location"] == "/home"
    assert (browser.session()["user"]["name"], browser.session()["user"]["image"]) == ("", None)


# ---------------------------------------------------------------- ID tokens and userinfo


@pytest.mark.parametrize("nonce", [None, "other", ""])
def test_an_id_token_must_hold_the_nonce(acme: Any, idp: LoopbackProvider, nonce: str | None) -> None:
    idp.id_token_claims = {"nonce": nonce}
    site = acme()
    nobody_came_in(site, sign_in(site.browser(), idp), "unable_to_get_user_info")


def test_the_nonce_can_be_done_without(acme: Any, idp: LoopbackProvider) -> None:
    idp.id_token_claims = {"nonce": None}
    site = acme(disable_id_token_nonce_binding=True)
    assert "nonce" not in query(start(site.browser()))
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"


def test_a_sign_in_that_began_without_a_nonce_ends(acme: Any, idp: LoopbackProvider, database_url: str) -> None:
    site = acme(disable_id_token_nonce_binding=True)
    browser = site.browser()
    url = start(browser)
    stricter = open_site(database_url, options={"plugins": [GenericOAuth(config=[discovered(idp)])]})
    browser.site = stricter
    nobody_came_in(site, back(browser, idp, url), "nonce_binding_missing")
    assert idp.exchanges("token") == []
    with stricter.app.app_context():
        stricter.db.engine.dispose()


@pytest.mark.parametrize(
    "wrong",
    [
        {"id_token_claims": {"aud": "other"}},
        {"id_token_claims": {"iss": "https://evil.test"}},
        {"id_token_claims": {"exp": 1}},
        {"id_token_claims": {"at_hash": "AAAA"}},
        {"id_token_header": {"alg": "none"}},
        {"id_token_header": {"alg": "HS256"}},
        {"id_token_header": {"alg": "RS512"}},
        {"id_token_header": {"kid": "unknown"}},
        {"signing_key": "foreign"},
    ],
    ids=str,
)
def test_an_id_token_that_does_not_count(acme: Any, idp: LoopbackProvider, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(idp, name, idp.foreign_key if value == "foreign" else value)
    site = acme()
    nobody_came_in(site, sign_in(site.browser(), idp), "unable_to_get_user_info")
    assert idp.exchanges("userinfo") == []


@pytest.mark.parametrize("algorithms", [None, [], ["HS256", "none"], "RS256"])
def test_without_algorithms_that_count_it_is_rs256(acme: Any, idp: LoopbackProvider, algorithms: Any) -> None:
    idp.misbehave("discovery", fields={"id_token_signing_alg_values_supported": algorithms})
    site = acme()
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"
    idp.id_token_header = {"alg": "ES256", "kid": "ec"}
    assert error_of(sign_in(site.browser(), idp)) == "unable_to_get_user_info"


def test_userinfo_tells_what_the_id_token_does_not(acme: Any, idp: LoopbackProvider) -> None:
    idp.id_token_claims = {"email": None}
    site = acme()
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"
    (asked,) = idp.exchanges("userinfo")
    assert asked.headers["Authorization"].startswith("Bearer ")
    assert site.rows("user")[0].email == "wen@example.com"


@pytest.mark.parametrize("sub", [None, "w-2", "", "W-1"])
def test_userinfo_of_somebody_else_is_refused(acme: Any, idp: LoopbackProvider, sub: str | None) -> None:
    idp.id_token_claims = {"email": None}
    idp.misbehave("userinfo", fields={"sub": sub})
    site = acme()
    nobody_came_in(site, sign_in(site.browser(), idp), "unable_to_get_user_info")


def test_without_an_id_token_it_is_userinfo_unless_one_is_required(acme: Any, idp: LoopbackProvider) -> None:
    idp.misbehave("token", fields={"id_token": None})
    site = acme(require_id_token_verification=True)
    nobody_came_in(site, sign_in(site.browser(), idp), "unable_to_get_user_info")
    site = acme()
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"
    (account,) = site.rows("account")
    assert account.account_id == "w-1"


def test_a_client_signs_in_by_an_id_token(acme: Any, idp: LoopbackProvider) -> None:
    site = acme()
    token = idp.id_token({"aud": CLIENT, "nonce": "n", **WEN})
    body = {"provider": "acme", "idToken": {"token": token, "nonce": "n"}}
    browser = site.browser()
    answer = browser.post("/sign-in/social", body)
    assert (answer.status_code, answer.json["user"]["email"]) == (200, "wen@example.com")
    assert browser.session()
    for wrong in ({"token": idp.id_token({"aud": "other", **WEN})}, {"token": token, "nonce": "m"}, {"token": "x"}):
        answer = browser.post("/sign-in/social", {"provider": "acme", "idToken": wrong})
        assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN")


@pytest.mark.parametrize("own", [False, True])
def test_the_access_token_of_a_client_is_not_asked_with(acme: Any, idp: LoopbackProvider, own: bool) -> None:
    """It could be the one of somebody else who signed in to another application of the client's."""
    seen: list[Tokens] = []

    def get_user_info(tokens: Tokens) -> None:
        seen.append(tokens)

    site = acme(**({"get_user_info": get_user_info} if own else {}))
    sign_in(site.browser(), idp) if not own else None
    victim = next(iter(idp.access_tokens), "victims")
    token = idp.id_token({"aud": CLIENT, "sub": "eve"})
    idp.log.clear()
    body = {"provider": "acme", "idToken": {"token": token, "accessToken": victim}}
    answer = site.browser().post("/sign-in/social", body)
    assert (answer.status_code, answer.json["code"]) == (401, "FAILED_TO_GET_USER_INFO")
    assert idp.exchanges("userinfo") == []
    assert [tokens.access_token for tokens in seen] == [None] * own


def test_a_provider_without_keys_takes_no_id_tokens(acme: Any, idp: LoopbackProvider) -> None:
    body = {"provider": "acme", "idToken": {"token": idp.id_token({"aud": CLIENT, **WEN})}}
    answer = acme(plain).browser().post("/sign-in/social", body)
    assert (answer.status_code, answer.json["code"]) == (404, "ID_TOKEN_NOT_SUPPORTED")
    idp.misbehave("discovery", fields={"jwks_uri": None})
    answer = acme().browser().post("/sign-in/social", body)
    assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN")


# ---------------------------------------------------------------- a provider that is away, or lies

AWAY = {
    "500": {"status": 500},
    "HTML": {"body": "<html>"},
    "a list": {"body": []},
    "a redirect": {"redirect": METADATA},
    "long": {"size": 2 << 20},
    "a bomb": {"gzip_bomb": 10 << 20},
    "another issuer": {"fields": {"issuer": "https://evil.test"}},
    "a part of the issuer": {"fields": {"issuer": "http://localhost"}},
    "no issuer": {"fields": {"issuer": None}},
    "a template": {"fields": {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}},
    "an issuer that is none": {"fields": {"issuer": 7}},
    "a script": {"fields": {"authorization_endpoint": "javascript:alert(1)//"}},
    "plain http": {"fields": {"token_endpoint": "http://id.example.com/token"}},
    "the metadata service": {"fields": {"jwks_uri": METADATA}},
    "no text": {"fields": {"userinfo_endpoint": ["x"]}},
    "a user name": {"fields": {"token_endpoint": "https://a@id.example.com/token"}},
    "no authorization endpoint": {"fields": {"authorization_endpoint": None}},
}


@pytest.mark.parametrize("how", AWAY.values(), ids=AWAY)
def test_a_discovery_document_that_does_not_count(
    acme: Any, idp: LoopbackProvider, how: Any, caplog: pytest.LogCaptureFixture
) -> None:
    idp.misbehave("discovery", **how)
    site = acme()
    browser = site.browser()
    answer = browser.post("/sign-in/social", {"provider": "acme"})
    assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "better-auth: acme: " in caplog.text
    assert site.rows("user") == site.rows("account") == []
    if "fields" not in how:  # what is no document at all is not kept
        idp.reset()
        assert start(browser)


@pytest.mark.parametrize("how", ["500", "a redirect", "another issuer", "the metadata service"])
def test_a_callback_while_the_document_is_away(acme: Any, idp: LoopbackProvider, database_url: str, how: str) -> None:
    site = acme()
    browser = site.browser()
    target = idp.consent(start(browser), WEN).removeprefix(f"{ORIGIN}/api/auth")
    idp.misbehave("discovery", **AWAY[how])
    other = open_site(database_url, options={"plugins": [GenericOAuth(config=[discovered(idp)])]})
    browser.site = other
    nobody_came_in(site, browser.get(target), "invalid_code")
    assert idp.exchanges("token") == []
    with other.app.app_context():
        other.db.engine.dispose()


def test_configured_urls_do_not_stand_in_for_the_document(acme: Any, idp: LoopbackProvider) -> None:
    """Without it ID tokens would not be verified any more."""
    idp.misbehave("discovery", status=500)
    browser = acme(lambda idp: {**plain(idp), "discovery_url": idp.url_for("discovery")}).browser()
    answer = browser.post("/sign-in/social", {"provider": "acme"})
    assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")


def test_another_issuer_can_be_named(acme: Any, idp: LoopbackProvider) -> None:
    """As of a provider that is asked inside of a network, and known by its name outside."""
    idp.misbehave("discovery", fields={"issuer": "https://id.acme.example/"})
    idp.id_token_claims = {"iss": "https://id.acme.example/"}
    idp.send_iss = False
    site = acme(issuer="https://id.acme.example")
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"


BROKEN = {
    "500": {"status": 500, "body": "<html>"},
    "a refusal": {"status": 400, "body": {"error": "invalid_grant", "error_description": "\r\n<b>"}},
    "HTML": {"body": "<html>"},
    "a list": {"body": []},
    "nothing": {"body": {}},
    "an error": {"body": {"error": "x"}},
    "a redirect": {"redirect": METADATA},
    "long": {"size": 2 << 20},
    "a bomb": {"gzip_bomb": 10 << 20},
}


@pytest.mark.parametrize("how", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("endpoint", ["token", "userinfo", "jwks"])
def test_an_endpoint_that_misbehaves(acme: Any, idp: LoopbackProvider, endpoint: str, how: Any) -> None:
    if endpoint == "userinfo":
        idp.id_token_claims = {"email": None}
    site = acme()
    idp.misbehave(endpoint, **how)
    code = "invalid_code" if endpoint == "token" else "unable_to_get_user_info"
    nobody_came_in(site, sign_in(site.browser(), idp), code)


@pytest.mark.parametrize("iss", ["https://evil.test", "http://localhost"])
def test_an_answer_of_another_issuer(acme: Any, idp: LoopbackProvider, iss: str) -> None:
    site = acme()
    browser = site.browser()
    nobody_came_in(site, back(browser, idp, start(browser), extra={"iss": iss}), "issuer_mismatch")
    assert idp.exchanges("token") == []


# ---------------------------------------------------------------- functions of the application


def fails(*_: Any) -> Any:
    raise RuntimeError("secret")


@pytest.mark.parametrize(
    ("name", "functions", "code"),
    [
        ("get_token", [fails, lambda *_: None, lambda *_: 7, lambda *_: []], "invalid_code"),
        ("get_user_info", [fails, lambda *_: None, lambda *_: 7, lambda *_: {}], "unable_to_get_user_info"),
        ("map_profile_to_user", [fails, lambda *_: 7], "unable_to_get_user_info"),
        ("account_subject", [fails, lambda *_: None, lambda *_: "", lambda *_: 1.5], "unable_to_get_user_info"),
    ],
    ids=["get_token", "get_user_info", "map_profile_to_user", "account_subject"],
)
def test_a_function_that_fails_lets_nobody_in(
    acme: Any, idp: LoopbackProvider, name: str, functions: list[Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    for function in functions:
        site = acme(plain, **{name: function})
        nobody_came_in(site, sign_in(site.browser(), idp), code)
    assert "secret" not in caplog.text


def test_tokens_and_profile_of_ones_own(acme: Any, idp: LoopbackProvider) -> None:
    def get_token(arrival: Any) -> dict[str, Any]:
        assert (arrival.code, len(arrival.code_verifier)) == ("c-1", 128)
        return {"access_token": "a-1", "scope": "x y"}

    def get_user_info(tokens: Tokens) -> dict[str, Any]:
        assert tokens.access_token == "a-1"
        return {"id": 7, "email": "Own@example.com", "email_verified": True, "name": "Own"}

    site = acme(plain, get_token=get_token, get_user_info=get_user_info, access_token_expires_in=60)
    browser = site.browser()
    state = query(start(browser))["state"]
    assert browser.get("/callback/acme", query_string={"state": state, "code": "c-1"}).headers["Location"] == "/home"
    (account,), (user,) = site.rows("account"), site.rows("user")
    assert (account.account_id, account.access_token, account.scope) == ("7", "a-1", "x,y")
    assert account.access_token_expires_at is not None
    assert (user.email, user.email_verified, user.name) == ("own@example.com", True, "Own")
    assert idp.log == []


def test_tokens_of_ones_own_are_asked_with(acme: Any, idp: LoopbackProvider) -> None:
    asked: list[Tokens] = []
    person = {"id": "w-1", "email": "wen@example.com"}
    site = acme(
        plain, get_token=lambda arrival: Tokens("a-1"), get_user_info=lambda tokens: asked.append(tokens) or person
    )
    assert sign_in(site.browser(), idp).headers["Location"] == "/home"
    assert [tokens.access_token for tokens in asked] == ["a-1"]


def test_what_a_mapper_may_say(acme: Any, idp: LoopbackProvider) -> None:
    fields = {"team": {"required": False}, "role": {"required": False, "input": False}}
    mapped = {"name": "Mapped", "image": None, "team": "a", "role": "admin", "id": "x", "email_verified": True}
    site = acme(plain, options={"user": {"additional_fields": fields}}, map_profile_to_user=lambda profile: mapped)
    sign_in(site.browser(), idp, {**WEN, "email_verified": False})
    (user,) = site.rows("user")
    assert (user.name, user.image, user.team, user.role) == ("Mapped", None, "a", None)
    assert user.email_verified is False
    assert site.rows("account")[0].account_id == "w-1"


def test_an_address_that_a_mapper_names_is_not_proven(acme: Any, idp: LoopbackProvider) -> None:
    linking = {"account": {"account_linking": {"require_local_email_verified": False}}}
    site = acme(plain, options=linking, map_profile_to_user=lambda profile: {"email": profile["upn"]})
    site.sign_up("ada")
    assert error_of(sign_in(site.browser(), idp, {**WEN, "upn": "ada@example.com"})) == "account_not_linked"
    proven = {**WEN, "email": "ada@example.com", "upn": "ada@example.com"}
    assert sign_in(site.browser(), idp, proven).headers["Location"] == "/home"


@pytest.mark.parametrize("said", [False, "false", 1, 0, None, "yes", "TRUE"])
def test_an_address_is_proven_by_true_alone(acme: Any, idp: LoopbackProvider, said: Any) -> None:
    site = acme(plain)
    sign_in(site.browser(), idp, {**WEN, "email_verified": said})
    assert [user.email_verified for user in site.rows("user")] == [False]


# ---------------------------------------------------------------- who may sign up


def test_nobody_signs_up_where_that_is_disabled(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(disable_sign_up=True)
    nobody_came_in(site, sign_in(site.browser(), idp, requestSignUp=True), "signup_disabled")
    site = acme(disable_implicit_sign_up=True)
    nobody_came_in(site, sign_in(site.browser(), idp), "signup_disabled")
    assert sign_in(site.browser(), idp, requestSignUp=True).headers["Location"] == "/home"


def test_the_word_of_the_provider_counts_each_time(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(override_user_info=True)
    sign_in(site.browser(), idp)
    sign_in(site.browser(), idp, {**WEN, "name": "Renamed", "email": "new@example.com"})
    assert [(user.name, user.email) for user in site.rows("user")] == [("Renamed", "new@example.com")]


def test_no_session_before_the_address_is_proven(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(require_email_verification=True)
    browser = site.browser()
    assert error_of(sign_in(browser, idp, {**WEN, "email_verified": False})) == "email_not_verified"
    assert (len(site.rows("user")), site.rows("session")) == (1, [])


# ---------------------------------------------------------------- new tokens


def test_tokens_are_had_anew(acme: Any, idp: LoopbackProvider) -> None:
    def params() -> dict[str, str]:
        return {"audience": request.headers.get("X-Audience", ""), "grant_type": "evil", "refresh_token": "evil"}

    site = acme(refresh_token_params=params)
    browser = site.browser()
    sign_in(browser, idp)
    (account,) = site.rows("account")
    before = [account.refresh_token]
    for _ in range(2):  # each refresh token counts once
        answer = browser.post("/refresh-token", {"accountId": account.id}, headers={"X-Audience": "api"})
        assert answer.status_code == 200, answer.data
        (stored,) = site.rows("account")
        assert (stored.access_token, stored.refresh_token) == (answer.json["accessToken"], answer.json["refreshToken"])
        assert stored.refresh_token not in before
        before.append(stored.refresh_token)
    exchange = idp.exchanges("token")[-1]
    assert (exchange.form["audience"], exchange.form["grant_type"]) == ("api", "refresh_token")
    assert exchange.form["refresh_token"] == before[1]


def test_tokens_that_are_not_had_anew(acme: Any, idp: LoopbackProvider) -> None:
    site = acme()
    browser = site.browser()
    sign_in(browser, idp)
    before = site.snapshot()
    idp.misbehave("token", redirect=METADATA)
    answer = browser.post("/refresh-token", {"accountId": site.rows("account")[0].id})
    assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_REFRESH_ACCESS_TOKEN")
    assert site.snapshot() == before


# ---------------------------------------------------------------- begun by the provider


def test_a_browser_that_the_provider_sends_begins_properly(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(allow_idp_initiated=True)
    browser = site.browser()
    answer = browser.get("/callback/acme?code=stray&iss=x&callbackURL=https://evil.test")
    assert answer.status_code == 302
    assert idp.exchanges("token") == []
    done = back(browser, idp, answer.headers["Location"])
    assert done.headers["Location"] == ORIGIN
    assert browser.session()["user"]["email"] == "wen@example.com"


@pytest.mark.parametrize(
    ("allowed", "sent"), [(False, "code=stray"), (True, "code=stray&state="), (True, ""), (True, "error=x")]
)
def test_a_browser_without_a_state_is_sent_away(acme: Any, idp: LoopbackProvider, allowed: bool, sent: str) -> None:
    site = acme(allow_idp_initiated=allowed)
    nobody_came_in(site, site.browser().get(f"/callback/acme?{sent}"), "state_not_found")
    assert idp.log == []


def test_a_browser_that_a_provider_sends_and_is_away(acme: Any, idp: LoopbackProvider) -> None:
    site = acme(allow_idp_initiated=True)
    idp.misbehave("discovery", status=500)
    nobody_came_in(site, site.browser().get("/callback/acme?code=stray"), "service_unavailable")
    assert site.rows("verification") == []


# ---------------------------------------------------------------- signing out


def test_signing_out_tells_where_the_provider_ends_its_session(acme: Any, idp: LoopbackProvider) -> None:
    site = acme()
    browser = site.browser()
    sign_in(browser, idp)
    (account,) = site.rows("account")
    answer = browser.post("/sign-out", {"callbackURL": "/bye", "state": "s 1"})
    url = answer.json["url"]
    assert (answer.status_code, answer.json) == (200, {"success": True, "url": url, "redirect": True})
    assert answer.headers.getlist("Location") == [url]
    assert url.startswith(idp.url_for("end_session") + "?")
    assert query(url) == {
        "id_token_hint": account.id_token,
        "post_logout_redirect_uri": f"{ORIGIN}/bye",
        "client_id": CLIENT,
        "state": "s 1",
    }
    assert browser.cookies == {}
    assert site.rows("session") == []
    assert browser.post("/sign-out").json == {"success": True}


def test_where_the_browser_goes_then_is_left_open(acme: Any, idp: LoopbackProvider) -> None:
    browser = acme().browser()
    sign_in(browser, idp)
    answer = browser.post("/sign-out", {"disableRedirect": True, "state": "s"})
    assert answer.json["redirect"] is False
    assert "Location" not in answer.headers
    assert list(query(answer.json["url"])) == ["id_token_hint"]


def test_where_the_browser_goes_then_by_the_configuration(acme: Any, idp: LoopbackProvider) -> None:
    end = "https://id.example.com/end?x=1"
    browser = acme(plain, end_session_endpoint=end, post_logout_redirect_uri="/bye").browser()
    sign_in(browser, idp)
    url = browser.post("/sign-out").json["url"]
    assert url.startswith("https://id.example.com/end?x=1&")
    assert query(url) == {"x": "1", "post_logout_redirect_uri": f"{ORIGIN}/bye", "client_id": CLIENT}


def test_signing_out_is_not_led_elsewhere(acme: Any, idp: LoopbackProvider) -> None:
    browser = acme().browser()
    sign_in(browser, idp)
    answer = browser.post("/sign-out", {"callbackURL": "https://evil.test"})
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_CALLBACK_URL")
    assert browser.session()


def test_a_provider_that_is_away_keeps_nobody_signed_in(acme: Any, idp: LoopbackProvider, database_url: str) -> None:
    site = acme()
    browser = site.browser()
    sign_in(browser, idp)
    idp.misbehave("discovery", status=500)
    browser.site = open_site(database_url, options={"plugins": [GenericOAuth(config=[discovered(idp)])]})
    assert browser.post("/sign-out").json == {"success": True}
    assert site.rows("session") == []
    with browser.site.app.app_context():
        browser.site.db.engine.dispose()


@pytest.mark.parametrize("known", [plain, lambda idp: discovered(idp, disable_provider_logout=True)])
def test_signing_out_costs_no_more_where_no_provider_takes_part(acme: Any, idp: LoopbackProvider, known: Any) -> None:
    site = acme(known)
    browser = site.browser()
    sign_in(browser, idp)
    with work(site) as counts:
        assert browser.post("/sign-out").json == {"success": True}
    assert counts == {"statement SELECT": 1, "statement DELETE": 1}


def test_the_account_that_was_used_last_is_signed_out_of(make_auth: Make, idp: LoopbackProvider) -> None:
    ends = {"provider_id": "other", "end_session_endpoint": "https://other.example.com/end"}
    site = make_auth(plugins=[GenericOAuth(config=[discovered(idp), plain(idp, **ends)])])
    browser = site.browser()
    sign_in(browser, idp)
    sign_in(browser, idp, provider="other")
    assert len(site.rows("account")) == 2
    assert browser.post("/sign-out").json["url"].startswith("https://other.example.com/end?")
    sign_in(browser, idp)
    assert browser.post("/sign-out").json["url"].startswith(idp.url_for("end_session"))


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"client_idd": "x"}, "nearest one is client_id"),
        ({"scopes": 7}, "scopes"),
        ({"provider_id": ""}, "provider_id"),
        ({"provider_id": "a/b"}, "provider_id"),
        ({"provider_id": "a b"}, "provider_id"),
        ({"provider_id": ".."}, "provider_id"),
        ({"client_id": ""}, "client_id"),
        ({"discovery_url": None}, "discovery_url"),
        ({"discovery_url": None, "authorization_url": "https://a.test/"}, "token_url"),
        ({"discovery_url": "ftp://a.test/"}, "discovery_url"),
        ({"token_url": "/token"}, "token_url"),
        ({"user_info_url": "https://u@a.test/"}, "user_info_url"),
        ({"end_session_endpoint": "javascript:x"}, "end_session_endpoint"),
        ({"discovery_url": "https://a.test/openid.json"}, "issuer"),
        ({"client_secret": "", "authentication": "basic"}, "client_secret"),
        ({"authentication": "jwt"}, "authentication"),
        ({"token_endpoint_auth": {"method": "none"}}, "client_secret"),
        ({"token_endpoint_auth": {"method": "client_secret_post"}, "client_secret": ""}, "client_secret"),
        ({"token_endpoint_auth": {"method": "private_key_jwt"}, "client_secret": ""}, "get_client_assertion"),
        ({"token_endpoint_auth": {"method": "custom"}}, "customize_request"),
        ({"token_endpoint_auth": {"method": "magic"}}, "method"),
        ({"token_url_params": {"client_assertion": "x"}}, "client_assertion_type"),
        (
            {
                "discovery_url": None,
                "authorization_url": "https://a.test/",
                "token_url": "https://a.test/",
                "require_id_token_verification": True,
            },
            "require_id_token_verification",
        ),
    ],
)
def test_a_mistake_is_told_at_the_start(idp: LoopbackProvider, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        GenericOAuth(config=[discovered(idp, **options)])


@pytest.mark.parametrize("config", ["acme", {"provider_id": "acme"}, [7], None])
def test_a_configuration_that_is_no_list_of_providers(config: Any) -> None:
    with pytest.raises(ConfigError, match="GenericOAuth"):
        GenericOAuth(config=config)


@pytest.mark.parametrize("taken", ["credential", "github", "acme"])
def test_an_identifier_belongs_to_one_provider(make_auth: Make, idp: LoopbackProvider, taken: str) -> None:
    config = [discovered(idp), GenericProvider(**discovered(idp, provider_id=taken))]
    with pytest.raises(ConfigError, match=taken):
        make_auth(plugins=[GenericOAuth(config=config)], social_providers=[GitHub(client_id="a", client_secret="b")])


def test_a_preset_signs_in(make_auth: Make, idp: LoopbackProvider) -> None:
    keycloak = presets.keycloak(issuer=idp.url + "/", client_id=CLIENT, client_secret=SECRET)
    site = make_auth(plugins=[GenericOAuth(config=[keycloak])])
    assert sign_in(site.browser(), idp, provider="keycloak").headers["Location"] == "/home"


def test_what_is_secret_is_not_shown(acme: Any, idp: LoopbackProvider, caplog: pytest.LogCaptureFixture) -> None:
    told = {
        "authorization_headers": {"X": SECRET},
        "token_url_params": {"k": SECRET},
        "discovery_headers": {"H": SECRET},
    }
    provider = GenericProvider(**discovered(idp, **told))
    assert SECRET not in repr(provider) + repr(provider.options) + repr(GenericOAuth(config=[provider]))
    site = acme()
    with caplog.at_level(logging.DEBUG, "host"):
        idp.misbehave("token", status=500)
        sign_in(site.browser(), idp)
    assert SECRET not in caplog.text


def test_every_option_of_a_provider_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins" / "generic-oauth.md").read_text()
    table = page.split("| option of a provider |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        field.name for field in fields(GenericProviderOptions)
    ]
