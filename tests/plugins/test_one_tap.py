"""One Tap: an ID token of Google signs in, by the rules of the provider Google, and none of anybody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import pytest
from conftest import Site
from flask import Response
from joserfc.jwk import RSAKey
from support.google import CLIENT, GINA, GoogleOnLoopback

from flask_better_auth import APIError, BetterAuth, ConfigError, ErrorCode, UserOptions
from flask_better_auth.context import Call, Record, Reply
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, Profile, Provider, Start, Tokens
from flask_better_auth.plugin import Plugin
from flask_better_auth.plugins import OneTap
from flask_better_auth.plugins.one_tap import OneTapOptions

TAP = "one-tap-client"
INVALID = {"message": "invalid id token"}
Make = Callable[..., Site]


@pytest.fixture
def tapped(make_auth: Make, google: GoogleOnLoopback) -> Make:
    """Builds applications with One Tap and Google: ``tapped(disable_signup=True, google={"hd": "corp.example"})``."""

    def make(
        *, google_options: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **own: Any
    ) -> Site:
        providers = [google.option(**(google_options or {}))]
        return make_auth(plugins=[OneTap(**own)], social_providers=providers, **(options or {}))

    return make


def tap(site: Site, token: Any, **more: Any) -> Response:
    """What a page with nobody signed in gets for an ID token."""
    return site.browser().post("/one-tap/callback", {"idToken": token, **more})


def said(answer: Response) -> tuple[int, Any]:
    return answer.status_code, answer.json


# ---------------------------------------------------------------- signing in


def test_options_are_those_of_the_reference() -> None:
    assert [field.name for field in fields(OneTapOptions)] == ["client_id", "disable_signup"]
    assert OneTap(client_id=["a", "b"]).options.client_id == ("a", "b")
    with pytest.raises(ConfigError):
        OneTap(disable_sign_up=True)


def test_a_stranger_becomes_a_user_and_comes_back_as_the_same(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped()
    browser, token = site.browser(), google.id_token(nonce="of the page")
    answer = browser.post("/one-tap/callback", {"idToken": token, "callbackURL": "/there"})
    assert answer.status_code == 200
    assert list(answer.json) == ["token", "user"]
    assert "Location" not in answer.headers
    user = answer.json["user"]
    assert (user["email"], user["name"], user["image"]) == ("gina@example.com", "Gina", "https://i.test/g")
    assert user["emailVerified"] is True
    assert browser.session()["session"]["token"] == answer.json["token"]
    assert browser.session()["user"] == user

    (account,) = site.rows("account")
    assert (account.provider_id, account.account_id, account.id_token) == ("google", "g-1", token)
    assert account.scope == "openid,profile,email"
    assert (account.access_token, account.refresh_token, account.password) == (None, None, None)

    second = google.id_token({**GINA, "email": "other@example.com", "name": "Renamed"})
    again = tap(site, second)
    assert again.json["user"] == user
    (later,) = site.rows("account")
    assert (later.id, later.id_token, later.scope) == (account.id, second, account.scope)


def test_the_account_is_that_of_the_provider_google(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped()
    assert tap(site, google.id_token()).status_code == 200
    browser = site.browser()
    assert google.sign_in(browser).headers["Location"] == "/home"
    assert (len(site.rows("user")), len(site.rows("account"))) == (1, 1)


def test_it_needs_no_provider_beside(make_auth: Make, google: GoogleOnLoopback) -> None:
    site = make_auth(plugins=[OneTap(client_id=[TAP, "of the mobile application"])])
    assert tap(site, google.id_token(aud=TAP)).status_code == 200
    assert said(tap(site, google.id_token(aud=CLIENT))) == (400, INVALID)
    assert site.browser().post("/sign-in/social", {"provider": "google"}).status_code == 404


def test_a_client_id_of_its_own_takes_the_place_of_googles(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(client_id=TAP)
    assert tap(site, google.id_token(aud=TAP)).status_code == 200
    assert said(tap(site, google.id_token(aud=CLIENT))) == (400, INVALID)
    assert google.sign_in(site.browser()).headers["Location"] == "/home"  # whose own stays as it was


def test_the_server_signs_in_too(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped()
    headers, result = site.api.one_tap_callback(id_token=google.id_token(), return_headers=True)
    browser = site.browser()
    browser.keep(headers.getlist("Set-Cookie"))
    assert browser.session()["session"]["token"] == result["token"]
    with pytest.raises(APIError) as caught:
        site.api.one_tap_callback(id_token="x")
    assert (caught.value.status_code, caught.value.body) == (400, INVALID)


# ---------------------------------------------------------------- tokens that do not count (SECURITY J5, J6)


@pytest.mark.parametrize("client_id", [(), [""]])
def test_j6_without_a_client_id_nobody_signs_in(make_auth: Make, google: GoogleOnLoopback, client_id: Any) -> None:
    sites = [make_auth(plugins=[OneTap()]), make_auth(plugins=[OneTap(client_id=client_id)])]
    for site in sites:
        for aud in (CLIENT, "", None, []):
            answer = tap(site, google.id_token(aud=aud))
            assert answer.status_code == 400
            assert list(answer.json) == ["message"]
            assert answer.json["message"].startswith("Google client ID is required for One Tap.")
            assert "Set-Cookie" not in answer.headers
        assert site.rows("user") == []
    assert google.provider.log == []


def test_an_empty_list_of_client_ids_does_not_fall_back(tapped: Make, google: GoogleOnLoopback) -> None:
    assert tap(tapped(client_id=()), google.id_token()).json["message"].startswith("Google client ID is required")
    assert tap(tapped(client_id=""), google.id_token()).status_code == 200


def seconds(shift: int) -> int:
    return int(datetime.now(timezone.utc).timestamp()) + shift


WRONG: dict[str, Callable[[], dict[str, Any]]] = {
    "for another client": lambda: {"aud": "other"},
    "for nobody": lambda: {"aud": None},
    "for several": lambda: {"aud": [CLIENT, "other"]},
    "asked for by another": lambda: {"azp": "other"},
    "from another": lambda: {"iss": "https://accounts.evil.example"},
    "from nobody": lambda: {"iss": None},
    "over": lambda: {"exp": seconds(-31)},
    "never over": lambda: {"exp": None},
    "from the future": lambda: {"iat": seconds(40)},
    "not yet": lambda: {"nbf": seconds(40)},
    "too old": lambda: {"iat": seconds(-3640)},
    "of no time": lambda: {"iat": None},
    "of nobody": lambda: {"sub": None},
    "of an empty subject": lambda: {"sub": ""},
    "of a number": lambda: {"sub": 7},
    "of the word for nobody": lambda: {"sub": "undefined"},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_j5_claims_that_do_not_count(tapped: Make, google: GoogleOnLoopback, claims: Callable[[], Any]) -> None:
    site = tapped()
    assert said(tap(site, google.id_token(**claims()))) == (400, INVALID)
    assert (site.rows("user"), site.rows("session")) == ([], [])


FORGED: dict[str, Callable[[GoogleOnLoopback, dict[str, Any]], str]] = {
    "no token": lambda google, claims: "abc",
    "an empty one": lambda google, claims: "",
    "a NUL": lambda google, claims: "\0.\0.\0",
    "not signed": lambda google, claims: google.provider.id_token(claims, header={"alg": "none"}),
    "by another key": lambda google, claims: google.provider.id_token(claims, key=google.provider.foreign_key),
    "by an unknown key": lambda google, claims: google.provider.id_token(
        claims, key=RSAKey.generate_key(2048, {"kid": "x"})
    ),
    "by the public key": lambda google, claims: google.provider.id_token(claims, header={"alg": "HS256"}),
    "by another algorithm": lambda google, claims: google.provider.id_token(claims, header={"alg": "ES256"}),
    "with a key of its own": lambda google, claims: google.provider.id_token(
        claims,
        key=google.provider.foreign_key,
        header={"jwk": google.provider.foreign_key.as_dict(private=False)},
    ),
    "with a demand": lambda google, claims: google.provider.id_token(claims, header={"crit": ["x"], "x": 1}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_j5_signatures_that_do_not_count(
    tapped: Make, google: GoogleOnLoopback, forge: Callable[[GoogleOnLoopback, dict[str, Any]], str]
) -> None:
    site = tapped()
    claims = {"iss": "https://accounts.google.com", "aud": CLIENT, **GINA}
    assert said(tap(site, forge(google, claims))) == (400, INVALID)
    assert (site.rows("user"), site.rows("session")) == ([], [])
    assert tap(site, google.provider.id_token(claims)).status_code == 200


def test_it_does_not_count_while_google_shows_no_keys(
    tapped: Make, google: GoogleOnLoopback, caplog: pytest.LogCaptureFixture
) -> None:
    site, token = tapped(), google.id_token()
    for how in ({"status": 500}, {"body": {"keys": []}}, {"redirect": "http://169.254.169.254/"}):
        google.provider.misbehave("jwks", **how)
        assert said(tap(tapped(), token)) == (400, INVALID)
    assert token not in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    google.provider.misbehave("jwks")
    assert tap(site, token).status_code == 200


@pytest.mark.parametrize("email", [None, "", 7, "nowhere", "@example.com"])
def test_a_token_without_an_address_signs_nobody_in(tapped: Make, google: GoogleOnLoopback, email: Any) -> None:
    site = tapped()
    assert said(tap(site, google.id_token(email=email))) == (400, {"message": "Email not available in token"})
    assert site.rows("user") == []


@pytest.mark.parametrize(
    ("wanted", "claimed", "status"),
    [
        ("corp.example", "corp.example", 200),
        ("corp.example", None, 400),
        ("corp.example", "evil.example", 400),
        ("corp.example", ["corp.example"], 400),
        ("*", "any.example", 200),
        ("*", None, 400),
        ("*", "", 400),
        (None, "any.example", 200),
    ],
)
def test_only_users_of_the_domain_are_let_in(
    tapped: Make, google: GoogleOnLoopback, wanted: str | None, claimed: Any, status: int
) -> None:
    site = tapped(google_options={"hd": wanted, "get_user_info": read} if claimed == "evil.example" else {"hd": wanted})
    answer = tap(site, google.id_token(hd=claimed))
    assert answer.status_code == status
    assert status == 200 or answer.json == INVALID


def read(tokens: Tokens) -> dict[str, Any]:
    """A function that believes everything."""
    return {"id": "chosen", "user": {"email": "chosen@example.com", "email_verified": True}, "data": {"sub": "chosen"}}


def test_a_function_of_the_application_is_no_proof(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(google_options={"get_user_info": read, "verify_id_token": lambda token, nonce: True})
    assert said(tap(site, "abc")) == (400, INVALID)
    assert said(tap(site, google.id_token(aud="other"))) == (400, INVALID)
    assert tap(site, google.id_token()).json["user"]["email"] == "chosen@example.com"
    (account,) = site.rows("account")
    assert account.account_id == "g-1"


def test_a_function_that_knows_nobody_signs_nobody_in(tapped: Make, google: GoogleOnLoopback) -> None:
    assert said(tap(tapped(google_options={"get_user_info": lambda tokens: None}), google.id_token())) == (400, INVALID)


# ---------------------------------------------------------------- requests


def test_bodies_that_are_refused(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(options={"trusted_origins": ["https://app.example"]})
    browser, token = site.browser(), google.id_token()

    def post(body: Any = ...) -> tuple[int, Any]:
        return said(browser.post("/one-tap/callback", body))

    code = "VALIDATION_ERROR"
    assert post() == (
        400,
        {"message": "[body] Invalid input: expected object, received undefined", "code": code},
    )
    assert post({}) == (
        400,
        {"message": "[body.idToken] Invalid input: expected string, received undefined", "code": code},
    )
    assert post({"idToken": 5, "callbackURL": 3}) == (400, {"message": "Invalid callbackURL: expected a string"})
    evil = (403, {"message": "Invalid callbackURL", "code": "INVALID_CALLBACK_URL"})
    assert post({"idToken": token, "callbackURL": "https://evil.example/x"}) == evil
    assert said(browser.post("/one-tap/callback?callbackURL=https://evil.example", {"idToken": token})) == evil
    assert browser.get("/one-tap/callback").status_code == 404
    assert site.rows("user") == []
    assert post({"idToken": token, "callbackURL": "https://app.example/x"})[0] == 200


def test_no_form_of_another_site_can_sign_a_browser_in(tapped: Make, google: GoogleOnLoopback) -> None:
    site, foreign = tapped(), {"Origin": "https://evil.example"}
    token = google.id_token()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        answer = site.browser().request(
            "POST", "/one-tap/callback", data=f'{{"idToken":"{token}"}}', content_type=kind, headers=foreign
        )
        assert (answer.status_code, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    ada = site.sign_up("ada")
    answer = ada.post("/one-tap/callback", {"idToken": token}, headers=foreign)
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_ORIGIN")
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- who becomes a user, who gets an account


@pytest.mark.parametrize(
    ("own", "of_google"),
    [
        ({"disable_signup": True}, {}),
        ({}, {"disable_sign_up": True}),
        ({}, {"disable_implicit_sign_up": True}),
    ],
)
def test_j15_nobody_becomes_a_user_where_that_is_off(
    tapped: Make, google: GoogleOnLoopback, own: dict[str, Any], of_google: dict[str, Any]
) -> None:
    site = tapped(**own, google_options=of_google)
    assert said(tap(site, google.id_token())) == (401, {"message": "signup disabled"})
    assert site.rows("user") == []
    owner = proven(site)
    assert tap(site, google.id_token()).json["user"]["id"] == owner
    assert tap(site, google.id_token()).status_code == 200


def test_without_hardening_it_counts_as_asking_to_sign_up(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(google_options={"disable_implicit_sign_up": True}, options={"hardening": False})
    assert tap(site, google.id_token()).status_code == 200


def proven(site: Site) -> Any:
    """The id of a user with Gina's address and a password, whose address is proven."""
    user = site.sign_up("gina").session()["user"]
    site.api.update_user(user_id=user["id"], data={"email_verified": True})
    return user["id"]


def test_i1_nobody_gets_into_what_somebody_else_made_with_the_address(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped()
    site.sign_up("gina")  # whoever that was
    before = site.snapshot()
    assert said(tap(site, google.id_token())) == (401, {"message": "account not linked"})
    assert site.snapshot() == before


@pytest.mark.parametrize("claimed", [False, "false", 0, 1, "yes", None])
def test_i4_only_a_proven_address_adds_the_account(tapped: Make, google: GoogleOnLoopback, claimed: Any) -> None:
    site = tapped()
    proven(site)
    assert said(tap(site, google.id_token(email_verified=claimed))) == (401, {"message": "account not linked"})
    new = tap(site, google.id_token(sub="g-2", email="new@example.com", email_verified=claimed))
    assert new.json["user"]["emailVerified"] is False


@pytest.mark.parametrize("linking", [{"enabled": False}, {"disable_implicit_linking": True}])
def test_no_account_is_added_where_that_is_off(tapped: Make, google: GoogleOnLoopback, linking: dict[str, Any]) -> None:
    site = tapped(options={"account": {"account_linking": linking}})
    proven(site)
    assert said(tap(site, google.id_token())) == (401, {"message": "account not linked"})
    assert len(site.rows("account")) == 1


def test_an_address_that_has_to_be_proven_opens_no_session(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(google_options={"require_email_verification": True})
    answer = tap(site, google.id_token(email_verified=False))
    assert said(answer) == (403, {"message": "Email not verified", "code": "EMAIL_NOT_VERIFIED"})
    assert "Set-Cookie" not in answer.headers
    assert (len(site.rows("user")), len(site.rows("account")), len(site.rows("session"))) == (1, 1, 0)


def test_j15_the_application_may_refuse(tapped: Make, google: GoogleOnLoopback) -> None:
    seen = []

    def check(*, user: Any, source: Any) -> None:
        seen.append(
            (user["email"], source["method"], source["oauth"]["provider_id"], source["oauth"]["profile"]["sub"])
        )
        raise APIError(ErrorCode("Not you", 403, "NOT_YOU"))

    site = tapped(options={"user": UserOptions(validate_user_info=check)})
    assert said(tap(site, google.id_token())) == (403, {"message": "Not you", "code": "NOT_YOU"})
    assert site.rows("user") == []
    assert seen == [("gina@example.com", "oauth", "google", "g-1")]


def test_j15_a_plugin_may_ask_for_more_first(make_auth: Make, google: GoogleOnLoopback) -> None:
    class Asks(Plugin):
        id = "asks"

        def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
            return Reply({"ask": method})

    site = make_auth(plugins=[OneTap(client_id=CLIENT), Asks()])
    answer = tap(site, google.id_token())
    assert said(answer) == (200, {"ask": "oauth"})
    assert "Set-Cookie" not in answer.headers
    assert site.rows("session") == []


def test_what_the_profile_says_is_read_as_google_is_told_to(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(google_options={"map_profile_to_user": lambda claims: {"name": 7, "image": claims["picture"] * 2}})
    user = tap(site, google.id_token()).json["user"]
    assert (user["name"], user["image"]) == ("", GINA["picture"] * 2)


def test_google_overrides_where_it_shall(tapped: Make, google: GoogleOnLoopback) -> None:
    site = tapped(google_options={"override_user_info_on_sign_in": True})
    tap(site, google.id_token())
    user = tap(site, google.id_token(name="Gina II")).json["user"]
    assert (user["name"], len(site.rows("user"))) == ("Gina II", 1)


# ---------------------------------------------------------------- set-up


class Other(Provider):
    """Somebody else who goes by the name."""

    id, name = "google", "Google"

    def authorization_url(self, client: Client, start: Start) -> str:
        raise NotImplementedError

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        raise NotImplementedError

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        return Profile("g-1", {"email": "gina@example.com", "email_verified": True}, {})


def test_i6_another_provider_of_that_name_is_not_google(make_auth: Make) -> None:
    with pytest.raises(ConfigError, match="OneTap"):
        make_auth(plugins=[OneTap(client_id=CLIENT)], social_providers=[Other()])


def test_two_applications_have_client_ids_of_their_own(make_auth: Make, google: GoogleOnLoopback) -> None:
    plugin = OneTap()
    auth = BetterAuth(plugins=[plugin])
    assert "one_tap_callback" in dir(auth.api)
    first = make_auth(plugins=[plugin], settings={"BETTER_AUTH_GOOGLE_CLIENT_ID": "first"})
    second = make_auth(plugins=[plugin], settings={"BETTER_AUTH_GOOGLE_CLIENT_ID": "second"})
    token = google.id_token(aud="second")
    assert said(tap(first, token)) == (400, INVALID)
    assert tap(second, token).status_code == 200
