"""SECURITY J: what providers, browsers and clients may try on the way to a provider and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from conftest import DISGUISED, Browser, Site, at_once
from flask import Response
from support.google import CLIENT, GINA, ISSUER, GoogleOnLoopback, error_of
from support.network import answering, signed
from support.provider import LoopbackProvider

from flask_better_auth.crypto import base64url
from flask_better_auth.oauth import outbound
from flask_better_auth.providers import GitHub, HuggingFace

Make = Callable[..., Site]


@pytest.fixture
def social(make_auth: Make, google: GoogleOnLoopback) -> Site:
    return make_auth(social_providers=[google.option(), GitHub(client_id="github-client", client_secret="s")])


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def nobody_came_in(site: Site, google: GoogleOnLoopback, answer: Response, code: str) -> None:
    """The answer is a redirect to an error, no code was exchanged, and nobody is there."""
    assert error_of(answer) == code
    assert google.provider.exchanges("token") == []
    assert site.rows("user") == site.rows("session") == site.rows("account") == []


def told(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, but by the provider, which is in this process too."""
    return "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("authlib.oauth2.rfc"))


# ---------------------------------------------------------------- state


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "state_not_found"),
        ("?code=x", "state_not_found"),
        ("?code=x&state=", "state_not_found"),
        ("?code=x&state=unknown", "state_mismatch"),
        ("?error=access_denied&state=unknown", "state_mismatch"),
        (f"?code=x&state={'a' * 9000}", "state_mismatch"),
        ("?code=x&state=%00", "state_mismatch"),
        ("?code=x&state=%F0%9F%98%80", "state_mismatch"),
    ],
)
def test_j1_a_callback_without_a_state_that_counts(
    social: Site, google: GoogleOnLoopback, sent: str, code: str
) -> None:
    nobody_came_in(social, google, social.browser().get(f"/callback/google{sent}"), code)


def test_j1_a_state_is_over_after_ten_minutes(social: Site, google: GoogleOnLoopback) -> None:
    browser = social.browser()
    back = google.consent(google.start(browser, errorCallbackURL="/oops"))
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(minutes=10)):
        answer = browser.get(back)
    nobody_came_in(social, google, answer, "state_mismatch")
    assert answer.headers["Location"].startswith("/oops?")


def test_j1_a_state_counts_once(social: Site, google: GoogleOnLoopback) -> None:
    browser = social.browser()
    url = google.start(browser)
    kept = dict(browser.cookies)
    assert browser.get(google.consent(url)).headers["Location"] == "/home"
    browser.cookies = kept  # as a browser that held the cookie back
    exchanged = len(google.provider.exchanges("token"))
    assert error_of(browser.get(google.consent(url))) == "state_mismatch"
    assert len(google.provider.exchanges("token")) == exchanged


@pytest.mark.parametrize("cookie", [None, "", "forged", "x.y"])
def test_j2_a_state_without_the_cookie_of_who_began(social: Site, google: GoogleOnLoopback, cookie: str | None) -> None:
    browser, victim = social.browser(), social.browser()
    back = google.consent(google.start(browser))
    if cookie is not None:
        victim.cookies["better-auth.state"] = cookie
    nobody_came_in(social, google, victim.get(back), "state_mismatch")
    assert len(social.rows("verification")) == 1  # and who began can still end it
    assert browser.get(back).headers["Location"] == "/home"


def test_j2_the_cookie_of_another_sign_in_does_not_do(social: Site, google: GoogleOnLoopback) -> None:
    browser, victim = social.browser(), social.browser()
    back = google.consent(google.start(browser))
    google.start(victim)
    nobody_came_in(social, google, victim.get(back), "state_mismatch")


@pytest.mark.parametrize("hidden", ["", "00", "zz", "a" * 400])
def test_j2_a_state_cookie_that_we_did_not_make(make_auth: Make, google: GoogleOnLoopback, hidden: str) -> None:
    site = make_auth(social_providers=[google.option()], account={"store_state_strategy": "cookie"})
    browser = site.browser()
    back = google.consent(google.start(browser))
    browser.cookies["better-auth.oauth_state"] = hidden
    nobody_came_in(site, google, browser.get(back), "state_invalid" if hidden else "state_mismatch")


def test_j2_a_state_cookie_of_another_sign_in(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(social_providers=[google.option()], account={"store_state_strategy": "cookie"})
    browser, victim = site.browser(), site.browser()
    back = google.consent(google.start(browser))
    google.start(victim)
    nobody_came_in(site, google, victim.get(back), "state_mismatch")


def test_j2_a_cookie_that_was_encrypted_for_something_else_is_no_state(
    make_auth: Make, google: GoogleOnLoopback
) -> None:
    site = make_auth(
        social_providers=[google.option()],
        account={"store_state_strategy": "cookie", "store_account_cookie": True},
    )
    browser = site.browser()
    google.sign_in(browser)
    (account,) = (value for name, value in browser.cookies.items() if "account_data" in name)
    state = site.app.extensions["better_auth"]
    for other in (account, state.secrets.encrypt("{}"), state.secrets.encrypt("{}", purpose="oauth-proxy-state")):
        stranger = site.browser()
        google.start(stranger)
        stranger.cookies["better-auth.oauth_state"] = other
        assert error_of(stranger.get("/callback/google?code=x&state=y")) == "state_invalid"


def test_j3_the_verifier_never_leaves(social: Site, google: GoogleOnLoopback, caplog: pytest.LogCaptureFixture) -> None:
    browser = social.browser()
    with caplog.at_level(logging.DEBUG):
        url = google.start(browser)
        answer = browser.get(google.consent(url))
    (exchange,) = google.provider.exchanges("token")
    verifier = exchange.form["code_verifier"]
    assert len(verifier) == 128
    assert "code_challenge_method=S256" in url
    for text in (url, told(caplog), str(answer.headers)):
        assert verifier not in text


def test_j3_the_verifier_is_not_in_the_cookie(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(social_providers=[google.option()], account={"store_state_strategy": "cookie"})
    browser = site.browser()
    url = google.start(browser)
    kept = dict(browser.cookies)
    browser.get(google.consent(url))
    verifier = google.provider.exchanges("token")[0].form["code_verifier"]
    assert verifier not in str(kept)
    assert state_of(url) not in str(kept)


def test_j4_the_state_of_one_provider_at_the_callback_of_another(social: Site, google: GoogleOnLoopback) -> None:
    browser = social.browser()
    back = google.consent(google.start(browser))
    nobody_came_in(social, google, browser.get(back.replace("/callback/google", "/callback/github")), "state_mismatch")


@pytest.mark.parametrize("issuer", ["https://evil.test", "https://accounts.google.com/", ""])
def test_j4_an_answer_of_another_issuer(
    make_auth: Make, google: GoogleOnLoopback, monkeypatch: pytest.MonkeyPatch, issuer: str
) -> None:
    own = google.option()
    monkeypatch.setattr(own, "issuer", lambda client: ISSUER)
    site = make_auth(social_providers=[own])
    browser = site.browser()
    back = google.consent(google.start(browser), extra={"iss": issuer})
    if issuer:
        nobody_came_in(site, google, browser.get(back), "issuer_mismatch")
    else:
        assert browser.get(back).headers["Location"] == "/home"


# ---------------------------------------------------------------- ID tokens

NOW = datetime.now(timezone.utc)
WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "another client": {"aud": "other-client"},
    "several clients and nobody said to be meant": {"aud": [CLIENT, "other-client"]},
    "another party": {"azp": "other-client"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.test"},
    "an issuer that only begins like it": {"iss": "https://accounts.google.com.evil.test"},
    "no issuer": {"iss": None},
    "over": {"exp": int(NOW.timestamp()) - 60},
    "no end": {"exp": None},
    "an end that is a text": {"exp": "9999999999"},
    "from the future": {"iat": int(NOW.timestamp()) + 600},
    "not yet": {"nbf": int(NOW.timestamp()) + 600},
    "no beginning": {"iat": None},
    "from yesterday": {"iat": int(NOW.timestamp()) - 86400},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 7},
}


@pytest.mark.parametrize("claims", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_j5_an_id_token_with_a_wrong_claim(social: Site, google: GoogleOnLoopback, claims: dict[str, Any]) -> None:
    google.provider.id_token_claims |= claims
    assert error_of(google.sign_in(social.browser())) == "unable_to_get_user_info"
    token = google.id_token({**GINA, **claims})
    answer = social.browser().post("/sign-in/social", {"provider": "google", "idToken": {"token": token}})
    assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN")
    assert social.rows("user") == social.rows("session") == []


WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "no signature": {"alg": "none"},
    "the public key as a secret": {"alg": "HS256"},
    "another way to sign": {"alg": "ES256"},
    "an extension nobody knows": {"crit": ["urn:x"], "urn:x": 1},
    "an address of keys": {"jku": "https://evil.test/jwks"},
    "a certificate": {"x5u": "https://evil.test/cert"},
    "a key that there is not": {"kid": "unknown"},
    "a key that is no text": {"kid": 7},
}


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_j5_an_id_token_with_a_wrong_header(social: Site, google: GoogleOnLoopback, header: dict[str, Any]) -> None:
    google.provider.id_token_header = header
    assert error_of(google.sign_in(social.browser())) == "unable_to_get_user_info"
    assert social.rows("user") == []


def test_j5_an_id_token_that_brings_its_key(social: Site, google: GoogleOnLoopback) -> None:
    provider = google.provider
    provider.signing_key = provider.foreign_key
    provider.id_token_header = {"jwk": provider.foreign_key.as_dict(private=False)}
    assert error_of(google.sign_in(social.browser())) == "unable_to_get_user_info"


def test_j5_an_id_token_that_somebody_else_signed(social: Site, google: GoogleOnLoopback) -> None:
    google.provider.signing_key = google.provider.foreign_key
    assert error_of(google.sign_in(social.browser())) == "unable_to_get_user_info"


def test_j5_an_id_token_of_another_access_token(social: Site, google: GoogleOnLoopback) -> None:
    google.provider.id_token_claims["at_hash"] = base64url(b"0" * 16)
    assert error_of(google.sign_in(social.browser())) == "unable_to_get_user_info"


@pytest.mark.parametrize("nonce", [None, "other"])
def test_j5_an_id_token_with_another_nonce(social: Site, google: GoogleOnLoopback, nonce: str | None) -> None:
    token = google.id_token(**({"nonce": nonce} if nonce else {}))
    body = {"provider": "google", "idToken": {"token": token, "nonce": "mine"}}
    assert social.browser().post("/sign-in/social", body).json["code"] == "INVALID_TOKEN"
    right = {"provider": "google", "idToken": {"token": google.id_token(nonce="mine"), "nonce": "mine"}}
    assert social.browser().post("/sign-in/social", right).status_code == 200


def test_j5_a_right_one_passes(social: Site, google: GoogleOnLoopback) -> None:
    google.provider.id_token_claims |= {"aud": [CLIENT, "other-client"], "azp": CLIENT}
    assert google.sign_in(social.browser()).headers["Location"] == "/home"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.b.c.d", "..", "é.é.é", "x" * 20000])
def test_j5_what_is_no_token_at_all(social: Site, google: GoogleOnLoopback, token: str) -> None:
    answer = social.browser().post("/sign-in/social", {"provider": "google", "idToken": {"token": token}})
    assert (answer.status_code, answer.json["code"]) == (401, "INVALID_TOKEN")


def test_j6_a_token_for_a_provider_that_cannot_verify_it(social: Site, google: GoogleOnLoopback) -> None:
    body = {"provider": "github", "idToken": {"token": google.id_token()}}
    answer = social.browser().post("/sign-in/social", body)
    assert (answer.status_code, answer.json["code"]) == (404, "ID_TOKEN_NOT_SUPPORTED")


def test_j6_a_token_where_the_application_wants_none(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(social_providers=[google.option(disable_id_token_sign_in=True)])
    body = {"provider": "google", "idToken": {"token": google.id_token()}}
    assert site.browser().post("/sign-in/social", body).json["code"] == "ID_TOKEN_NOT_SUPPORTED"


def brought(access_token: str | None, **claims: Any) -> dict[str, Any]:
    """A sign-in by an ID token of Eve, with an access token beside it that may be anybody's."""
    sent = {"token": signed({"sub": "eve", **claims}), **({"accessToken": access_token} if access_token else {})}
    return {"provider": "huggingface", "idToken": sent}


@pytest.mark.parametrize(
    ("body", "sub", "status"),
    [
        (brought("of-ada"), "ada", 401),  # it was made for another application, whose owner is Eve
        (brought("of-ada", sub=None), "ada", 401),
        ({"provider": "huggingface", "idToken": {"token": "opaque", "accessToken": "of-ada"}}, "ada", 401),
        (brought(None), "eve", 401),
        (brought("of-eve"), "eve", 200),
        (brought("of-eve", sub=7), "7", 200),
        ({"provider": "huggingface", "idToken": {"token": "of-eve", "accessToken": "of-eve"}}, "eve", 200),
    ],
)
def test_j6_the_access_token_beside_a_token_that_the_application_verifies_is_of_the_same_person(
    make_auth: Make, body: dict[str, Any], sub: str, status: int
) -> None:
    own = HuggingFace(client_id="id", client_secret="s", verify_id_token=lambda token, nonce: True)
    site = make_auth(social_providers=[own])
    with answering({"body": {"sub": sub, "name": "N", "email": f"{sub}@example.com", "email_verified": True}}):
        answer = site.browser().post("/sign-in/social", body)
    assert answer.status_code == status, answer.data
    assert [user.email for user in site.rows("user")] == ([f"{sub}@example.com"] if status == 200 else [])


def test_j6_without_hardening_an_application_answers_for_what_it_verifies(make_auth: Make) -> None:
    own = HuggingFace(client_id="id", client_secret="s", verify_id_token=lambda token, nonce: True)
    site = make_auth(social_providers=[own], hardening=False)
    with answering({"body": {"sub": "ada", "name": "Ada", "email": "ada@example.com"}}):
        assert site.browser().post("/sign-in/social", brought("of-ada")).status_code == 200


# ---------------------------------------------------------------- what clients send


@pytest.mark.parametrize(
    "name",
    [
        "state",
        "client_id",
        "redirect_uri",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "scope",
        "STATE",
        "Redirect_URI",
        " scope",
        "client_key",
        "response_mode",
        "request_uri",
    ],
)
@pytest.mark.parametrize("path", ["/sign-in/social", "/link-social"])
def test_j7_no_client_says_what_the_request_is_made_of(social: Site, path: str, name: str) -> None:
    browser = social.sign_up("ada")
    before = social.snapshot()
    answer = browser.post(path, {"provider": "google", "additionalParams": {name: "x"}})
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert social.snapshot() == before


def test_j7_an_encoded_name_is_another_name(social: Site, google: GoogleOnLoopback) -> None:
    url = google.start(social.browser(), additionalParams={"sta%74e": "forged"})
    assert parse_qs(urlsplit(url).query)["state"] != ["forged"]


def test_j8_what_a_client_wants_kept_never_stands_for_what_is_ours(social: Site, google: GoogleOnLoopback) -> None:
    browser = social.browser()
    victim = social.sign_up("ada").session()["user"]
    forged = {
        "callbackURL": "https://evil.test",
        "codeVerifier": "known",
        "errorURL": "https://evil.test",
        "newUserURL": "https://evil.test",
        "link": {"email": "ada@example.com", "userId": victim["id"]},
        "serverContext": {"x": 1},
        "expiresAt": 9999999999999,
        "requestSignUp": True,
        "oauthState": "known",
        "idTokenNonce": "known",
        "providerId": "github",
        "email": "ada@example.com",
    }
    answer = google.sign_in(browser, additionalData=forged)
    assert answer.headers["Location"] == "/home"
    assert browser.session()["user"]["email"] == "gina@example.com"
    assert google.provider.exchanges("token")[0].form["code_verifier"] != "known"


@pytest.mark.parametrize("field", ["callbackURL", "errorCallbackURL", "newUserCallbackURL"])
@pytest.mark.parametrize("target", DISGUISED)
def test_a5_no_sign_in_leads_to_foreign_places(social: Site, field: str, target: str) -> None:
    answer = social.browser().post("/sign-in/social", {"provider": "google", field: target})
    assert answer.status_code == 403
    assert "Location" not in answer.headers
    assert social.rows("verification") == []


def test_b10_a_picture_starts_no_sign_in(social: Site) -> None:
    for method in ("GET", "HEAD", "PUT"):
        assert social.browser().request(method, "/sign-in/social?provider=google").status_code == 404
    assert social.rows("verification") == []


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Forwarded-Prefix"])
def test_c6_where_the_provider_sends_browsers_is_not_the_clients_to_say(
    social: Site, google: GoogleOnLoopback, header: str
) -> None:
    answer = social.browser().post("/sign-in/social", {"provider": "google"}, headers={header: "evil.test"})
    assert parse_qs(urlsplit(answer.json["url"]).query)["redirect_uri"] == ["http://localhost/api/auth/callback/google"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"provider": None},
        {"provider": ["google"]},
        {"provider": "google", "scopes": "openid"},
        {"provider": "google", "scopes": [1]},
        {"provider": "google", "additionalParams": {"a": 1}},
        {"provider": "google", "additionalParams": []},
        {"provider": "google", "additionalData": "x"},
        {"provider": "google", "idToken": "x"},
        {"provider": "google", "idToken": {"token": 1}},
        {"provider": "google", "idToken": {"token": "x", "user": {"name": "x"}}},
        {"provider": "google", "requestSignUp": "yes"},
        [],
        "google",
    ],
    ids=repr,
)
def test_f5_wrong_types_are_refused(social: Site, body: Any) -> None:
    answer = social.browser().post("/sign-in/social", body)
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")


# ---------------------------------------------------------------- what providers answer

SPOILT: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "HTML": {"body": "<html>sorry</html>"},
    "an error": {"status": 400, "body": {"error": "invalid_grant", "error_description": "<b>no</b>\r\nX: y"}},
    "tokens and 400": {"status": 400},
    "an error and 200": {"body": {"error": "bad_verification_code"}},
    "a list": {"body": []},
    "null": {"body": b"null"},
    "no token": {"fields": {"access_token": None, "id_token": None}},
    "a token that is none": {"body": {"access_token": {"a": 1}, "id_token": ["x"]}},
    "a redirect": {"redirect": "http://169.254.169.254/latest/meta-data"},
    "a redirect to itself": {"redirect": "/token"},
    "too much": {"size": 10 << 20},
    "a bomb": {"gzip_bomb": 10 << 20},
    "no UTF-8": {"body": b'{"access_token": "\xff"}'},
    "deep": {"body": b"[" * 5000},
}


@pytest.mark.parametrize("how", SPOILT.values(), ids=SPOILT)
def test_j9_a_token_endpoint_that_is_broken(
    social: Site, google: GoogleOnLoopback, how: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    google.provider.misbehave("token", **how)
    browser = social.browser()
    url = google.start(browser)
    back = google.consent(url)
    with caplog.at_level(logging.DEBUG):
        answer = browser.get(back)
    assert error_of(answer) in ("invalid_code", "unable_to_get_user_info")
    assert social.rows("user") == social.rows("session") == []
    code = parse_qs(urlsplit(back).query)["code"][0]
    logged = told(caplog)
    assert code not in logged
    assert "google-secret" not in logged


NO_KEYS: list[Any] = [{}, {"keys": None}, {"keys": 5}, {"keys": {"kid": "rsa"}}, {"keys": [5]}, {"keys": [{}]}]


@pytest.mark.parametrize(
    "how", [*(how for name, how in SPOILT.items() if name != "no token"), *({"body": keys} for keys in NO_KEYS)]
)
def test_j9_keys_that_are_broken(make_auth: Make, google: GoogleOnLoopback, how: dict[str, Any]) -> None:
    site = make_auth(social_providers=[google.option()])
    google.provider.misbehave("jwks", **how)
    assert error_of(google.sign_in(site.browser())) == "unable_to_get_user_info"
    assert site.rows("user") == []


@pytest.mark.parametrize("place", ["token", "jwks"])
def test_j9_a_provider_that_says_nothing_is_not_waited_for(
    social: Site, google: GoogleOnLoopback, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = outbound.Outbound.__init__

    def hurried(session: Any, own: Any = (), **options: Any) -> None:
        original(session, own, **{**options, "deadline": 0.3})  # ten seconds are too long for a test

    monkeypatch.setattr(outbound.Outbound, "__init__", hurried)
    google.provider.misbehave(place, stall=5)
    begun = datetime.now(timezone.utc)
    assert error_of(google.sign_in(social.browser())) in ("invalid_code", "unable_to_get_user_info")
    assert datetime.now(timezone.utc) - begun < timedelta(seconds=3)


def test_j9_a_provider_that_is_away(make_auth: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackProvider() as gone:
        google = GoogleOnLoopback(gone, monkeypatch)
        site = make_auth(social_providers=[google.option()])
        browser = site.browser()
        back = google.consent(google.start(browser))
    assert error_of(browser.get(back)) == "invalid_code"
    assert site.rows("user") == []


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=y", "<script>alert(1)</script>", "ä✓", "a&b=c#d", "x" * 9000])
@pytest.mark.parametrize("field", ["error", "error_description"])
def test_j10_what_a_provider_says_of_an_error_is_a_parameter(
    social: Site, google: GoogleOnLoopback, field: str, text: str
) -> None:
    browser = social.browser()
    state = state_of(google.start(browser, errorCallbackURL="/oops"))
    sent = {"error": "access_denied", field: text}
    said = "&".join(f"{name}={quote(value, safe='')}" for name, value in sent.items())
    answer = browser.get(f"/callback/google?state={state}&{said}")
    target = answer.headers["Location"]
    assert target.startswith("/oops?error=")
    assert target.isascii()
    assert not set("\r\n<>") & set(target)
    assert len(target) < 4000
    assert parse_qs(urlsplit(target).query)[field][0] == text[:1000]
    assert not [line for line in answer.headers.getlist("Set-Cookie") if "x=y" in line]


def test_j11_a_post_from_elsewhere_is_sent_round_and_proves_nothing(social: Site, google: GoogleOnLoopback) -> None:
    began, victim = social.browser(), social.browser()
    back = google.consent(google.start(began))
    path, _, form = back.partition("?")
    sent = victim.request(
        "POST",
        path,
        data=form,
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": "https://evil.test"},
    )
    assert sent.status_code == 302
    again = victim.get(sent.headers["Location"].partition("/api/auth")[2])
    nobody_came_in(social, google, again, "state_mismatch")


def test_j11_the_path_of_a_post_is_no_way_out(social: Site) -> None:
    answer = social.browser().request("POST", "/callback/%2f%2fevil.test", data="a=b", content_type="text/plain")
    assert answer.status_code in (404, 415)


def test_j12_tokens_are_encrypted_and_never_listed(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(social_providers=[google.option()], account={"encrypt_oauth_tokens": True})
    browser = site.browser()
    google.sign_in(browser)
    (account,) = site.rows("account")
    issued = {*google.provider.access_tokens, *google.provider.refresh_tokens}
    assert not {account.access_token, account.refresh_token} & issued
    listed = browser.get("/list-accounts").json[0]
    assert set(listed) == {"id", "accountId", "providerId", "userId", "createdAt", "updatedAt", "scopes"}
    token = browser.post("/get-access-token", {"accountId": listed["id"]}).json["accessToken"]
    assert token in issued
    renewed = browser.post("/refresh-token", {"accountId": listed["id"]}).json
    assert renewed["refreshToken"] in google.provider.refresh_tokens
    assert site.rows("account")[0].refresh_token != renewed["refreshToken"]


def test_j12_tokens_from_before_are_still_readable(make_auth: Make, google: GoogleOnLoopback) -> None:
    plain = make_auth(social_providers=[google.option()])
    browser = plain.browser()
    google.sign_in(browser)
    plain.app.extensions["better_auth"].config.__dict__["account"].__dict__["encrypt_oauth_tokens"] = True
    account_id = browser.get("/list-accounts").json[0]["id"]
    token = browser.post("/get-access-token", {"accountId": account_id}).json["accessToken"]
    assert token in google.provider.access_tokens


@pytest.mark.parametrize("field", ["role", "banned", "emailVerified", "email_verified", "id", "createdAt"])
def test_j13_a_profile_sets_nothing_that_is_not_its_own(make_auth: Make, google: GoogleOnLoopback, field: str) -> None:
    forged = True if field in ("banned", "emailVerified", "email_verified") else "admin"
    own = google.option(map_profile_to_user=lambda profile: {field: forged})
    closed = {"input": False, "required": False}
    columns = {"role": closed, "banned": {**closed, "type": "boolean"}}
    site = make_auth(social_providers=[own], user={"additional_fields": columns})
    google.sign_in(site.browser(), {**GINA, "email_verified": False})
    (user,) = site.rows("user")
    assert (user.role, user.banned, user.email_verified) == (None, None, False)
    assert user.id != "admin"


# ---------------------------------------------------------------- two at once


@pytest.fixture
def rounds(request: pytest.FixtureRequest, dialect: str) -> int:
    full = request.config.getoption("--races") == "full"
    return 100 if full else 6 if dialect == "postgresql" else 3


def test_j14_two_first_sign_ins_of_one_identity_make_one_user(
    social: Site, google: GoogleOnLoopback, rounds: int
) -> None:
    for number in range(rounds):
        profile = {**GINA, "sub": f"g-{number}", "email": f"g{number}@example.com"}
        browsers = [social.browser() for _ in range(8)]
        back = [google.consent(google.start(browser), profile) for browser in browsers]

        def arrive(n: int, browsers: list[Browser] = browsers, back: list[str] = back) -> Response:
            return browsers[n].get(back[n])

        answers = at_once(8, arrive)
        assert {answer.headers["Location"] for answer in answers} == {"/home"}
    assert len(social.rows("user")) == len(social.rows("account")) == rounds


def test_s10_of_many_callbacks_with_one_state_one_is_exchanged(
    social: Site, google: GoogleOnLoopback, rounds: int
) -> None:
    for number in range(rounds):
        browser = social.browser()
        profile = {**GINA, "sub": f"g-{number}", "email": f"g{number}@example.com"}
        back = google.consent(google.start(browser), profile)
        kept = dict(browser.cookies)
        before = len(google.provider.exchanges("token"))

        def arrive(n: int, kept: dict[str, str] = kept, back: str = back) -> Response:
            one = social.browser()
            one.cookies = dict(kept)
            return one.get(back)

        answers = at_once(16, arrive)
        assert len(google.provider.exchanges("token")) == before + 1
        assert sorted(answer.headers["Location"] == "/home" for answer in answers)[-2:] == [False, True]


def test_j14_one_account_for_many_users_at_once(make_auth: Make, google: GoogleOnLoopback, rounds: int) -> None:
    site = make_auth(social_providers=[google.option()], account={"account_linking": {"allow_different_emails": True}})
    for number in range(rounds):
        browsers = [site.sign_up(f"u{number}n{n}") for n in range(4)]
        token = google.id_token({**GINA, "sub": f"g-{number}"})

        def add(n: int, browsers: list[Browser] = browsers, token: str = token) -> int:
            return browsers[n].post("/link-social", {"provider": "google", "idToken": {"token": token}}).status_code

        assert sorted(at_once(4, add))[0] == 200
        owners = [a.user_id for a in site.rows("account") if a.account_id == f"g-{number}"]
        assert len(owners) == 1
