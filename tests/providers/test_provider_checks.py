"""What single providers refuse, and the secret that Apple wants signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from support.network import answering, signed

from flask_better_auth import ConfigError
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, ProviderError, Tokens
from flask_better_auth.providers import Apple, Cognito, Facebook, Google, Line, Microsoft, PayPal, Twitter, WeChat

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
SECONDS = int(NOW.timestamp())
KEYS = {"client_id": "client-id", "client_secret": "client-secret"}
ARRIVAL = Arrival("code", "verifier", "https://app.example.com/callback")
CLAIMS = {"sub": "1", "aud": "client-id", "iat": SECONDS, "exp": SECONDS + 600}
GOOGLE = {**CLAIMS, "iss": "https://accounts.google.com"}
APPLE = {**CLAIMS, "iss": "https://appleid.apple.com"}
FACEBOOK = {**CLAIMS, "iss": "https://www.facebook.com"}


@pytest.fixture(autouse=True)
def at_that_time() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


# ---------------------------------------------------------------- Apple

EC = ECKey.generate_key("P-256")
PEM = EC.as_pem(private=True).decode()
SIGNED = {"client_id": "web", "team_id": "TEAM", "key_id": "KEY", "private_key": PEM}


def secret_sent(provider: Any) -> str:
    with answering({"body": {"access_token": "access"}}) as network:
        provider.exchange(Client(()), ARRIVAL)
    return parse_qs(str(network.requests[0].body))["client_secret"][0]


@pytest.mark.parametrize("pem", [PEM, PEM.replace("\n", "\\n")])
def test_apple_gets_a_secret_that_we_signed(pem: str) -> None:
    provider = Apple(**{**SIGNED, "private_key": pem})
    provider.check()
    token = jwt.decode(secret_sent(provider), EC, algorithms=["ES256"])
    assert {name: token.header[name] for name in ("alg", "kid")} == {"alg": "ES256", "kid": "KEY"}
    assert token.claims == {
        "iss": "TEAM",
        "sub": "web",
        "aud": "https://appleid.apple.com",
        "iat": SECONDS,
        "exp": SECONDS + 300,
    }


def test_apple_gets_a_new_secret_each_time() -> None:
    provider = Apple(**SIGNED)
    with time_machine.travel(NOW.replace(year=2027), tick=False):
        claims = jwt.decode(secret_sent(provider), EC, algorithms=["ES256"]).claims
    assert claims["exp"] == int(NOW.replace(year=2027).timestamp()) + 300


@pytest.mark.parametrize("missing", ["team_id", "key_id", "private_key"])
def test_apple_needs_all_parts_of_a_key(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"BETTER_AUTH_APPLE_{missing.upper()}"):
        Apple(**{**SIGNED, missing: ""}).check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"private_key": "no key"},
        {"private_key": RSAKey.generate_key(2048).as_pem(private=True).decode()},
        {"private_key": ECKey.generate_key("P-384").as_pem(private=True).decode()},
        {"private_key": EC.as_pem(private=False).decode()},
        {"client_secret": "secret"},
    ],
)
def test_apple_refuses_a_key_that_signs_nothing(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="private_key") as raised:
        Apple(**{**SIGNED, **wrong}).check()
    assert "PRIVATE KEY" not in str(raised.value)


def test_no_secret_stands_in_what_is_printed_of_options() -> None:
    options = Apple(**SIGNED).options
    assert "PRIVATE KEY" not in repr(options)


def apple_profile(user: Any, **claims: Any) -> Any:
    tokens = Tokens(id_token=signed({**APPLE, **claims}))
    with answering():
        return Apple(**KEYS).profile(Client(()), tokens, user=user).user["name"]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ('{"name": {"firstName": "Ada", "lastName": "Lovelace"}}', "Ada Lovelace"),
        ({"name": {"first_name": "Ada", "last_name": "Lovelace"}}, "Ada Lovelace"),
        ('{"name": {"firstName": 7, "lastName": ["x"]}}', ""),
        ('{"name": "Ada"}', "Claimed"),
        ("{", "Claimed"),
        ("[]", "Claimed"),
        (None, "Claimed"),
    ],
)
def test_the_name_that_apple_sends_beside_the_code_counts(user: Any, name: str) -> None:
    assert apple_profile(user, name="Claimed") == name


def test_apples_tokens_of_a_sign_in_here_are_for_the_client_whatever_clients_bring() -> None:
    provider = Apple(**KEYS, app_bundle_identifier="bundle")
    web = signed(APPLE)
    with answering():
        assert provider.profile(Client(()), Tokens(id_token=web)).subject == "1"
        with pytest.raises(ProviderError, match="somebody else"):
            provider.verify_id_token(Client(()), web, None)


# ---------------------------------------------------------------- Facebook


def debug(**said: Any) -> Any:
    return {"body": {"data": {"is_valid": True, "app_id": "client-id", "user_id": "fb-1", **said}}}


def test_facebook_takes_an_access_token_for_us_in_place_of_an_id_token() -> None:
    provider, client, person = Facebook(**KEYS), Client(()), {"body": {"id": "fb-1", "name": "Ada"}}
    with answering(debug(), debug(), person):
        provider.verify_id_token(client, "opaque", None)
        found = provider.profile(client, Tokens(id_token="opaque"))
    assert (found.subject, found.user["name"]) == ("fb-1", "Ada")


@pytest.mark.parametrize(
    "answer",
    [
        debug(app_id="another"),
        debug(app_id=None),
        debug(is_valid=False),
        debug(is_valid="true"),
        debug(user_id=""),
        debug(user_id=7),
        {"body": {}},
        {"body": []},
        {"status": 400, "body": {}},
    ],
)
def test_facebook_refuses_an_access_token_that_is_not_for_us(answer: Any) -> None:
    provider = Facebook(**KEYS)
    with answering(answer) as network, pytest.raises(ProviderError):
        provider.verify_id_token(Client(()), "opaque", None)
    assert len(network.requests) == 1
    with answering(answer), pytest.raises(ProviderError):
        provider.profile(Client(()), Tokens("opaque"))
    own = Facebook(**KEYS, get_user_info=lambda _: {"user": {}, "data": {"id": "fb-1"}})
    with answering(answer), pytest.raises(ProviderError):
        own.profile(Client(()), Tokens("opaque"))


def test_facebook_refuses_a_profile_of_another_user_than_the_token() -> None:
    with answering(debug(), {"body": {"id": "fb-2"}}), pytest.raises(ProviderError, match="another user"):
        Facebook(**KEYS).profile(Client(()), Tokens("access"))


def test_facebooks_limited_login_proves_no_address() -> None:
    token = signed({**FACEBOOK, "email": "ada@example.com", "email_verified": True})
    with answering():
        found = Facebook(**KEYS).profile(Client(()), Tokens(id_token=token))
    assert (found.email, found.email_verified) == ("ada@example.com", False)


# ---------------------------------------------------------------- ID tokens of a sign-in here are verified, too


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        (Apple(**KEYS), APPLE),
        (Facebook(**KEYS), FACEBOOK),
        (Google(**KEYS), GOOGLE),
        (
            Cognito(**KEYS, domain="d.example.com", region="r", user_pool_id="p"),
            {**CLAIMS, "iss": "https://cognito-idp.r.amazonaws.com/p"},
        ),
        (
            Microsoft(**KEYS),
            {**CLAIMS, "iss": "https://login.microsoftonline.com/t/v2.0", "tid": "t", "oid": "o"},
        ),
    ],
)
@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"iss": "https://evil.example.com"},
        {"exp": SECONDS - 31},
        {"iat": SECONDS + 31, "exp": SECONDS + 600},
        {"azp": "another"},
    ],
)
def test_an_id_token_that_is_not_for_us_tells_nobodys_profile(provider: Any, claims: Any, wrong: Any) -> None:
    with answering(*[{"status": 404}] * 3):
        provider.profile(Client(()), Tokens(id_token=signed(claims)))
        with pytest.raises(ProviderError):
            provider.profile(Client(()), Tokens(id_token=signed({**claims, **wrong})))
        with pytest.raises(ProviderError):
            provider.profile(Client(()), Tokens(id_token=signed(claims, key="other")))


@pytest.mark.parametrize("hd", [None, "evil.example", "xexample.com"])
def test_google_lets_in_one_domain_alone_also_by_id_tokens_of_clients(hd: str | None) -> None:
    provider, token = Google(**KEYS, hd="example.com"), signed({**GOOGLE, **({"hd": hd} if hd else {})})
    with answering():
        provider.verify_id_token(Client(()), signed({**GOOGLE, "hd": "Example.com"}), None)
        for use in (provider.verify_id_token, lambda c, t, _: provider.profile(c, Tokens(id_token=t))):
            with pytest.raises(ProviderError, match="another domain"):
                use(Client(()), token, None)


def test_microsoft_lets_in_one_tenant_alone_also_by_code() -> None:
    theirs = {**CLAIMS, "iss": "https://login.microsoftonline.com/theirs/v2.0", "tid": "theirs", "oid": "o"}
    with answering({"status": 404}):
        assert (
            Microsoft(**KEYS, tenant_id="theirs").profile(Client(()), Tokens("a", None, signed(theirs))).subject == "o"
        )
        with pytest.raises(ProviderError, match="another tenant"):
            Microsoft(**KEYS, tenant_id="ours").profile(Client(()), Tokens("a", None, signed(theirs)))


def test_microsofts_addresses_are_anybodys() -> None:
    assert Microsoft(**KEYS).email_is_anybodys


def test_line_refuses_a_token_without_the_nonce_that_was_asked_for() -> None:
    for nonce, said, counts in [("n", {"nonce": "n"}, True), ("n", {}, False), (None, {"nonce": "n"}, False)]:
        with answering({"body": {"aud": "client-id", **said}}):
            try:
                Line(**KEYS).verify_id_token(Client(()), "token", nonce)
            except ProviderError:
                assert not counts
            else:
                assert counts


def test_paypal_takes_no_id_token_of_a_client() -> None:
    assert not PayPal(**KEYS).accepts_id_tokens
    with pytest.raises(ProviderError):
        PayPal(**KEYS).verify_id_token(Client(()), signed(CLAIMS), None)


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": []}, [], None, "x", 7])
def test_a_broken_profile_is_a_failure_of_the_provider(answer: Any) -> None:
    for provider in (Twitter(**KEYS), WeChat(**KEYS)):
        tokens = Tokens("access", raw={"openid": "o"})
        with answering({"body": answer}, {"body": answer}), pytest.raises(ProviderError):
            provider.profile(Client(()), tokens)


def test_wechat_needs_whom_the_token_is_of() -> None:
    granted = {"access_token": "access", "openid": "o", "scope": "snsapi_login,snsapi_base"}
    with answering({"body": granted}, {"body": {"openid": "o", "nickname": "Ada"}}) as network:
        client, provider = Client(()), WeChat(**KEYS)
        tokens = provider.exchange(client, ARRIVAL)
        found = provider.profile(client, tokens)
    assert tokens.scopes == ("snsapi_login", "snsapi_base")
    assert found.email == "o@wechat.placeholder.invalid"
    assert [request.method for request in network.requests] == ["GET", "GET"]
