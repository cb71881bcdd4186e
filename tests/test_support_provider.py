"""The provider on loopback: right towards authlib's own client, and wrong in each of the ways that tests ask for."""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
import time_machine
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session, OAuthError
from authlib.oauth2 import OAuth2Error
from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from support.provider import PEOPLE, LoopbackProvider

from flask_better_auth import clock

CALLBACK = "http://localhost:1/callback"
ADA = {"sub": "1815", "name": "Ada", "email": "ada@example.com", "email_verified": True}


@pytest.fixture(scope="module")
def running() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as provider:
        provider.register("post", "secret", auth_method="client_secret_post")
        provider.register("basic", "secret", auth_method="client_secret_basic", redirect_uris=[CALLBACK])
        provider.register("public", auth_method="none")
        yield provider


@pytest.fixture
def provider(running: LoopbackProvider) -> Iterator[LoopbackProvider]:
    yield running
    running.reset()


class Visit:
    """A client on its way through the authorization code flow."""

    def __init__(self, provider: LoopbackProvider, client_id: str = "post", **parameters: Any) -> None:
        self.provider, self.verifier = provider, generate_token(48)
        client = provider.clients[client_id]
        self.session = OAuth2Session(
            client_id,
            client.client_secret or None,
            token_endpoint_auth_method=client.auth_method,
            scope="openid email",
            redirect_uri=CALLBACK,
            code_challenge_method="S256",
        )
        self.address, self.state = self.session.create_authorization_url(
            provider.url_for("authorize"), code_verifier=self.verifier, nonce="n-1", **parameters
        )
        self.back = ""

    def consent(self, profile: dict[str, Any] = ADA, **how: Any) -> Visit:
        self.back = self.provider.consent(self.address, profile, **how)
        return self

    def fetch(self, **options: Any) -> dict[str, Any]:
        options = {"code_verifier": self.verifier, "state": self.state, **options}
        token = self.session.fetch_token(
            self.provider.url_for("token"), authorization_response=self.back, timeout=5, **options
        )
        return dict(token)


def claims_of(provider: LoopbackProvider, id_token: str, alg: str = "RS256") -> dict[str, Any]:
    keys = KeySet.import_key_set(requests.get(provider.url_for("jwks"), timeout=5).json())
    return jwt.decode(id_token, keys, algorithms=[alg]).claims


def header_of(id_token: str) -> dict[str, Any]:
    part = id_token.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))


@pytest.mark.parametrize("client_id", ["post", "basic", "public"])
def test_the_code_flow_ends_in_tokens_of_the_person_who_consented(provider: LoopbackProvider, client_id: str) -> None:
    visit = Visit(provider, client_id).consent()
    token = visit.fetch()
    claims = claims_of(provider, token["id_token"])
    assert dict(parse_qsl(urlsplit(visit.back).query)) == {
        "code": provider.exchanges("token")[0].form["code"],
        "state": visit.state,
        "iss": provider.url,
    }
    assert claims == {
        **ADA,
        "iss": provider.url,
        "aud": client_id,
        "nonce": "n-1",
        "iat": claims["iat"],
        "exp": claims["iat"] + 3600,
        "auth_time": pytest.approx(clock.now().timestamp(), abs=5),
        "at_hash": create_half_hash(token["access_token"], "RS256").decode(),
    }
    assert visit.session.get(provider.url_for("userinfo")).json() == ADA
    assert [exchange.endpoint for exchange in provider.log] == ["authorize", "token", "jwks", "userinfo"]
    assert provider.exchanges("userinfo")[0].headers["authorization"] == f"Bearer {token['access_token']}"


def test_a_wrong_verifier_is_refused(provider: LoopbackProvider) -> None:
    with pytest.raises(OAuthError, match="Code challenge failed"):
        Visit(provider).consent().fetch(code_verifier=generate_token(48))


def test_a_missing_verifier_is_refused(provider: LoopbackProvider) -> None:
    with pytest.raises(OAuthError, match="Missing 'code_verifier'"):
        Visit(provider).consent().fetch(code_verifier=None)


def test_of_two_at_once_one_code_serves_one(provider: LoopbackProvider) -> None:
    visit = Visit(provider).consent()

    def attempt(_: int) -> str:
        try:
            return str(visit.fetch()["token_type"])
        except OAuthError as error:
            return str(error.error)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == ["Bearer", *["invalid_grant"] * 3]


def test_codes_and_tokens_expire_on_our_clock(provider: LoopbackProvider) -> None:
    late, visit = Visit(provider).consent(), Visit(provider).consent()
    visit.fetch()
    visit.session.token["expires_at"] = clock.now().timestamp() + 10**6  # so that the client tries
    with time_machine.travel(clock.now() + timedelta(minutes=61)):
        assert visit.session.get(provider.url_for("userinfo")).status_code == 401
        with pytest.raises(OAuthError, match="Invalid 'code'"):
            late.fetch()


def test_a_wrong_secret_is_refused(provider: LoopbackProvider) -> None:
    visit = Visit(provider).consent()
    visit.session.client_secret = "wrong"
    with pytest.raises(OAuthError, match="invalid_client"):
        visit.fetch()


def test_refresh_rotates(provider: LoopbackProvider) -> None:
    visit = Visit(provider).consent()
    first = visit.fetch()
    second = visit.session.refresh_token(provider.url_for("token"))
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert "nonce" not in claims_of(provider, second["id_token"])
    assert visit.session.get(provider.url_for("userinfo")).json() == ADA
    with pytest.raises(OAuthError, match="invalid_grant"):
        visit.session.refresh_token(provider.url_for("token"), first["refresh_token"])


def test_refusals_that_go_back_to_the_client_and_those_that_do_not(provider: LoopbackProvider) -> None:
    provider.require_pkce = True
    bare = re.sub("&code_challenge[^&]*", "", Visit(provider).address)
    assert parse_qs(urlsplit(provider.consent(bare, ADA)).query)["error"] == ["invalid_request"]
    plain = Visit(provider).address.replace("S256", "plain")
    assert "error=invalid_request" in provider.consent(plain, ADA)
    with pytest.raises(OAuth2Error, match="does not exist"):
        provider.consent(bare.replace("client_id=post", "client_id=nobody"), ADA)
    with pytest.raises(OAuth2Error, match="not supported by client"):
        provider.consent(Visit(provider, "basic").address.replace("callback", "elsewhere"), ADA)
    with pytest.raises(ValueError, match="leads elsewhere"):
        provider.consent("http://evil.test/authorize?client_id=post", ADA)


def test_consent_answers_errors_and_what_a_test_puts_into_the_address(provider: LoopbackProvider) -> None:
    text = "no <b>\r\nSet-Cookie: a=b"
    visit = Visit(provider).consent(error="access_denied", extra={"error_description": text, "iss": None})
    assert dict(parse_qsl(urlsplit(visit.back).query)) == {
        "error": "access_denied",
        "error_description": text,
        "state": visit.state,
    }
    provider.send_iss = False
    assert "iss=" not in visit.consent().back
    described = requests.get(provider.url_for("discovery"), timeout=5).json()
    assert described["authorization_response_iss_parameter_supported"] is False


def test_a_person_in_a_browser_chooses_from_the_page(provider: LoopbackProvider) -> None:
    visit = Visit(provider)
    page = requests.get(visit.address, timeout=5).text
    profiles = [json.loads(html.unescape(value)) for value in re.findall("name=\"profile\" value='(.*?)'", page)]
    assert profiles == PEOPLE
    for form, expected in (
        ({"profile": json.dumps(profiles[0]), "email": ""}, "1815"),
        ({"email": "eve@example.com"}, "eve@example.com"),
    ):
        answer = requests.post(visit.address, data=form, allow_redirects=False, timeout=5)
        visit.back = answer.headers["Location"]
        assert claims_of(provider, visit.fetch()["id_token"])["sub"] == expected
    refused = requests.post(visit.address, data={"error": "access_denied"}, allow_redirects=False, timeout=5)
    assert "error=access_denied" in refused.headers["Location"]


def test_signing_out_leads_back(provider: LoopbackProvider) -> None:
    query = {"post_logout_redirect_uri": "http://localhost:1/bye", "state": "s"}
    answer = requests.get(provider.url_for("end_session"), params=query, allow_redirects=False, timeout=5)
    assert answer.headers["Location"] == "http://localhost:1/bye?state=s"
    assert provider.exchanges("end_session")[0].query == query


def test_a_profile_reaches_the_client_as_it_is(provider: LoopbackProvider) -> None:
    profile = {"name": "Nobody", "email_verified": "false", "emails": [{"primary": 0}]}
    visit = Visit(provider).consent(profile)
    claims = claims_of(provider, visit.fetch()["id_token"])
    assert "sub" not in claims
    assert claims["email_verified"] == "false"
    assert visit.session.get(provider.url_for("userinfo")).json() == profile


def test_claims_are_what_a_test_makes_them(provider: LoopbackProvider) -> None:
    wrong = {"iss": "http://evil.test", "aud": ["post", "other"], "azp": "other", "exp": 1, "at_hash": "x"}
    provider.id_token_claims = {**wrong, "nonce": None, "sub": None}
    claims = claims_of(provider, Visit(provider).consent().fetch()["id_token"])
    assert claims.items() >= json.loads(json.dumps(wrong)).items()
    assert claims.keys().isdisjoint({"nonce", "sub"})


def test_headers_and_signatures_are_what_a_test_makes_them(provider: LoopbackProvider) -> None:
    def issued(**header: Any) -> str:
        provider.id_token_header = header
        return str(Visit(provider).consent().fetch()["id_token"])

    assert claims_of(provider, issued(alg="ES256"), "ES256")["sub"] == "1815"
    assert issued(alg="none").endswith(".")
    assert header_of(issued(alg="XX1", kid=None)) == {"typ": "JWT", "alg": "XX1"}
    assert header_of(issued(crit=["x"], jku="http://evil.test", kid="other")) == {
        "typ": "JWT",
        "alg": "RS256",
        "kid": "other",
        "crit": ["x"],
        "jku": "http://evil.test",
    }

    confused = issued(alg="HS256")
    signed, _, signature = confused.rpartition(".")
    secret = provider.key.as_pem(private=False)
    assert base64.urlsafe_b64decode(signature + "=") == hmac.digest(secret, signed.encode(), "sha256")

    provider.signing_key = provider.foreign_key
    forged = issued(jwk=provider.foreign_key.as_dict(private=False))
    assert header_of(forged)["kid"] == provider.key.kid
    with pytest.raises(BadSignatureError):
        claims_of(provider, issued())


def test_a_token_of_a_tests_own_making_verifies(provider: LoopbackProvider) -> None:
    provider.id_token_claims = {"sub": "from /token alone"}
    claims = claims_of(provider, provider.id_token({"aud": "post", "sub": "1", "exp": None}))
    assert claims == {"aud": "post", "sub": "1", "iss": provider.url, "iat": claims["iat"]}
    assert claims_of(provider, provider.id_token({"sub": "1"}, key=provider.ec_key), "ES256")["sub"] == "1"


@pytest.mark.parametrize("endpoint", ["token", "userinfo", "jwks", "discovery"])
def test_every_endpoint_misbehaves_in_every_way(provider: LoopbackProvider, endpoint: str) -> None:
    def ask(**how: Any) -> requests.Response:
        provider.misbehave(endpoint, **how)
        method = "POST" if endpoint == "token" else "GET"
        return requests.request(method, provider.url_for(endpoint), timeout=5, allow_redirects=False)

    good = ask().json()
    assert ask(status=500).status_code == 500
    page = ask(status=200, body="<h1>Hello</h1>")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text == "<h1>Hello</h1>"
    error = {"error": "<b>", "error_description": "a\r\nSet-Cookie: b=c"}
    assert ask(status=400, body=error).json() == error
    assert ask(headers={"Content-Type": "text/plain", "X-Odd": "1"}).headers.items() >= {"X-Odd": "1"}.items()
    moved = ask(redirect="http://169.254.169.254/", status=307)
    assert (moved.status_code, moved.headers["Location"]) == (307, "http://169.254.169.254/")
    assert ask(fields={"more": [1], **dict.fromkeys(good)}).json() == {"more": [1]}

    big = ask(size=10**6)
    assert len(big.content) == 10**6
    assert big.json() == good
    bomb = ask(gzip_bomb=10**7)
    assert len(bomb.content) == 10**7
    assert bomb.json() == good
    assert bomb.raw.tell() < 10**5  # what came over the wire

    begun = time.perf_counter()
    assert ask(stall=0.1).json() == good
    assert ask(drip=0.01, body=b"ten bytes.").text == "ten bytes."
    assert time.perf_counter() - begun > 0.2


def test_tokens_can_be_left_out_of_the_answer(provider: LoopbackProvider) -> None:
    provider.misbehave("token", fields={"id_token": None})
    assert "id_token" not in Visit(provider).consent().fetch()
    provider.misbehave("token", fields={"access_token": None})
    assert "access_token" not in Visit(provider).consent().fetch()
    provider.reset()
    assert Visit(provider).consent().fetch().keys() >= {"id_token", "access_token"}


def test_what_cannot_misbehave_is_an_error(provider: LoopbackProvider) -> None:
    with pytest.raises(ValueError, match="no endpoint 'tokn'"):
        provider.misbehave("tokn", status=500)
    with pytest.raises(TypeError, match="state"):
        provider.misbehave("token", state=500)


def test_stopping_waits_for_no_slow_answer_and_starting_again_keeps_the_address() -> None:
    provider = LoopbackProvider().start()
    url = provider.url
    provider.misbehave("jwks", drip=60)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(requests.get, provider.url_for("jwks"), timeout=30)
        while not provider.exchanges("jwks"):
            time.sleep(0.005)
        provider.stop()
        assert hanging.result().content == b""
    with pytest.raises(requests.ConnectionError):
        requests.get(provider.url_for("jwks"), timeout=5)
    provider.reset()
    with provider:
        assert provider.url == url
        assert requests.get(provider.url_for("jwks"), timeout=5).json()["keys"]
