"""What the configuration says of providers: a list, a dict, and settings of the deployment."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from conftest import SECRET
from flask import Flask
from support.network import answering

from flask_better_auth import BetterAuth, ConfigError, providers
from flask_better_auth.config import AuthConfig
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, ProviderError, Start, Tokens
from flask_better_auth.providers.base import Row, Social
from flask_better_auth.providers.catalog import CATALOG
from flask_better_auth.providers.options import TokenEndpointAuth

KEYS = {"client_id": "id", "client_secret": "secret"}
#: What some need beside them.
NEEDED = {
    "cognito": {"domain": "d.example.com", "region": "eu-central-1", "user_pool_id": "eu-central-1_Pool"},
    "tiktok": {"client_key": "key"},
}
START = Start("state", "verifier", "https://app.example.com/callback")
ARRIVAL = Arrival("code", "verifier", "https://app.example.com/callback")


def served(social_providers: Any = (), **settings: Any) -> dict[str, Any]:
    """The providers of an application."""
    app = Flask(__name__)
    app.config.update(TESTING=True, BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_DATABASE_URI="sqlite://", **settings)
    auth = BetterAuth(app, social_providers=social_providers)
    return dict(auth._state().providers)


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as raised:
        make()
    return str(raised.value)


# ---------------------------------------------------------------- three ways to say it


def test_every_provider_of_the_catalogue_is_exported_by_its_name() -> None:
    exported = [getattr(providers, name) for name in providers.__all__]
    assert {row.id for row in exported if isinstance(row, Row)} == set(CATALOG)
    assert len(CATALOG) == 36


@pytest.mark.parametrize("provider_id", CATALOG)
def test_every_provider_is_configured_by_the_deployment_alone(provider_id: str) -> None:
    options = {**KEYS, **NEEDED.get(provider_id, {})}
    settings = {f"BETTER_AUTH_{provider_id}_{name}".upper(): value for name, value in options.items()}
    provider = served(**settings)[provider_id]
    assert dataclasses.asdict(provider.options).items() >= options.items()


@pytest.mark.parametrize(
    "given",
    [
        [CATALOG["github"](**KEYS, disable_sign_up=True)],
        {"github": {**KEYS, "disable_sign_up": True}},
        {"github": {"clientId": "id", "clientSecret": "secret", "disableSignUp": True}},
    ],
)
def test_a_list_and_a_dict_say_the_same(given: Any) -> None:
    provider = served(given)["github"]
    assert (provider.client_id, provider.secret(), provider.disable_sign_up) == ("id", "secret", True)


@pytest.mark.parametrize(
    "settings",
    [
        {"BETTER_AUTH_GITHUB": KEYS},
        {"BETTER_AUTH_GITHUB": {"clientId": "id", "clientSecret": "secret"}},
        {"BETTER_AUTH_SOCIAL_PROVIDERS": {"github": KEYS}},
        {"BETTER_AUTH_SOCIAL_PROVIDERS": {"GITHUB": {"clientId": "id"}}, "BETTER_AUTH_GITHUB_CLIENT_SECRET": "secret"},
    ],
)
def test_settings_may_be_dicts(settings: Any) -> None:
    provider = served(**settings)["github"]
    assert (provider.client_id, provider.secret()) == ("id", "secret")


def test_what_the_application_says_counts_over_the_deployment() -> None:
    here = CATALOG["github"](client_id="here", disable_sign_up=False)
    settings = {"BETTER_AUTH_GITHUB_CLIENT_ID": "there", "BETTER_AUTH_GITHUB_CLIENT_SECRET": "secret"}
    provider = served([here], **settings, BETTER_AUTH_GITHUB_DISABLE_SIGN_UP="true")["github"]
    assert (provider.client_id, provider.secret(), provider.disable_sign_up) == ("here", "secret", False)
    assert here.secret() == "", "the object of the application is as it was"


@pytest.mark.parametrize("enabled", [False, "false", "0"])
def test_a_provider_that_is_not_enabled_is_none(enabled: object) -> None:
    assert served({"github": {**KEYS, "enabled": enabled}, "google": {**KEYS, "enabled": True}}).keys() == {"google"}
    assert served(BETTER_AUTH_GITHUB_CLIENT_ID="id", BETTER_AUTH_GITHUB_ENABLED=enabled) == {}


def test_lists_of_the_environment_are_separated_by_commas() -> None:
    google = served(BETTER_AUTH_GOOGLE_CLIENT_ID="web, ios", BETTER_AUTH_GOOGLE_SCOPE="calendar,drive")["google"]
    assert (google.client_id, google.audiences()) == ("web", ("web", "ios"))
    assert google.options.scope == ("calendar", "drive")


def test_an_identifier_of_digits_stays_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BETTER_AUTH_DISCORD_CLIENT_ID", "80351110224678912")
    monkeypatch.setenv("BETTER_AUTH_DISCORD_PERMISSIONS", "8")
    app = Flask(__name__)
    app.config.from_prefixed_env(prefix="BETTER")
    settings = {f"BETTER_{key}": value for key, value in app.config.items() if key.startswith("AUTH_DISCORD")}
    discord = served(**settings)["discord"]
    assert (discord.client_id, discord.options.permissions) == ("80351110224678912", 8)


def test_no_setting_of_the_extension_reads_as_one_of_a_provider() -> None:
    first_words = {field.name.partition("_")[0] for field in dataclasses.fields(AuthConfig)}
    assert first_words.isdisjoint(CATALOG)


# ---------------------------------------------------------------- what is wrong is said at the start


@pytest.mark.parametrize("provider_id", CATALOG)
def test_a_missing_client_id_is_told_with_its_key(provider_id: str) -> None:
    name = "client_key" if provider_id == "tiktok" else "client_id"
    given = {**KEYS, **NEEDED.get(provider_id, {}), name: ""}
    told = refusal(lambda: served([CATALOG[provider_id](**given)]))
    assert f"BETTER_AUTH_{provider_id}_{name}".upper() in told


@pytest.mark.parametrize("provider_id", ["figma", "notion", "paypal", "reddit", "salesforce", "twitter", "wechat"])
def test_a_missing_secret_is_told_where_nothing_works_without_it(provider_id: str) -> None:
    told = refusal(lambda: served([CATALOG[provider_id](client_id="id")]))
    assert f"BETTER_AUTH_{provider_id}_CLIENT_SECRET".upper() in told


@pytest.mark.parametrize("provider_id", ["apple", "facebook", "google"])
def test_a_secret_may_be_missing_where_clients_bring_id_tokens(provider_id: str) -> None:
    provider = served([CATALOG[provider_id](client_id="id")])[provider_id]
    assert provider.accepts_id_tokens
    with pytest.raises(ProviderError, match="client_secret"):
        provider.authorization_url(Client(()), START)


@pytest.mark.parametrize("missing", ["domain", "region", "user_pool_id"])
def test_cognito_needs_to_know_where_it_is(missing: str) -> None:
    given = {**KEYS, **NEEDED["cognito"], missing: ""}
    assert f"BETTER_AUTH_COGNITO_{missing.upper()}" in refusal(lambda: served({"cognito": given}))


def test_cognito_may_require_a_secret() -> None:
    given = {**NEEDED["cognito"], "client_id": "id"}
    assert served({"cognito": given})["cognito"].secret() == ""
    told = refusal(lambda: served({"cognito": {**given, "require_client_secret": True}}))
    assert "BETTER_AUTH_COGNITO_CLIENT_SECRET" in told


@pytest.mark.parametrize(
    "make",
    [
        lambda: CATALOG["github"](client_ident="id"),
        lambda: served({"github": {**KEYS, "client_ident": "id"}}),
        lambda: served(BETTER_AUTH_GITHUB_CLIENT_ID="id", BETTER_AUTH_GITHUB_CLIENT_IDENT="id"),
        lambda: served([CATALOG["github"](**KEYS)], BETTER_AUTH_GITHUB_CLIENT_IDENT="id"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest(make: Any) -> None:
    told = refusal(make)
    assert "github" in told
    assert "client_ident" in told
    assert "the nearest one is client_id" in told


def test_an_option_of_another_provider_is_unknown() -> None:
    assert "hd" in refusal(lambda: CATALOG["github"](**KEYS, hd="example.com"))


@pytest.mark.parametrize(
    ("provider_id", "wrong"),
    [
        ("microsoft", {"profile_photo_size": 50}),
        ("paypal", {"environment": "test"}),
        ("discord", {"permissions": "all"}),
        ("google", {"map_profile_to_user": "name"}),
        ("vercel", {"token_endpoint_auth": {"method": "secret"}}),
        ("twitch", {"claims": 7}),
    ],
)
def test_a_wrong_value_is_told_with_its_option(provider_id: str, wrong: dict[str, Any]) -> None:
    told = refusal(lambda: CATALOG[provider_id](**KEYS, **wrong))
    assert provider_id in told
    assert next(iter(wrong)) in told


@pytest.mark.parametrize("value", ["id", ["id"], None])
def test_settings_of_the_wrong_kind_are_told_with_their_key(value: object) -> None:
    assert "BETTER_AUTH_GITHUB" in refusal(lambda: served(BETTER_AUTH_GITHUB=value))
    assert "BETTER_AUTH_SOCIAL_PROVIDERS" in refusal(lambda: served(BETTER_AUTH_SOCIAL_PROVIDERS=value))
    assert "github" in refusal(lambda: served({"github": value}))


def test_an_unknown_provider_and_a_second_one_are_refused() -> None:
    assert "'gitbucket'" in refusal(lambda: served({"gitbucket": KEYS}))
    github = CATALOG["github"](**KEYS)
    assert "github" in refusal(lambda: served([github, github]))


# ---------------------------------------------------------------- how we authenticate


def assertion(url: str) -> str:
    return f"assertion for {url}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"token_endpoint_auth": {"method": "none"}, "client_secret": "secret"}, "none"),
        ({"token_endpoint_auth": {"method": "client_secret_post"}}, "client_secret_post"),
        ({"token_endpoint_auth": {"method": "client_secret_basic"}}, "client_secret_basic"),
        ({"token_endpoint_auth": {"method": "private_key_jwt"}}, "get_client_assertion"),
        ({"token_endpoint_auth": {"method": "custom"}}, "customize_request"),
        (
            {"token_endpoint_auth": TokenEndpointAuth("private_key_jwt", assertion), "client_secret": "secret"},
            "private_key_jwt",
        ),
    ],
)
@pytest.mark.parametrize("provider_id", ["cloudflare", "vercel"])
def test_a_way_to_authenticate_must_fit_the_secret(provider_id: str, options: dict[str, Any], told: str) -> None:
    assert told in refusal(lambda: served({provider_id: {"client_id": "id", **options}}))


def test_an_assertion_is_for_the_token_endpoint() -> None:
    provider = CATALOG["microsoft"](client_id="id", client_assertion=assertion)
    with answering({"body": {"access_token": "access"}}) as network:
        provider.exchange(Client(()), ARRIVAL)
    sent = dict(parse_qsl(network.requests[0].body))
    assert sent["client_assertion"] == "assertion for https://login.microsoftonline.com/common/oauth2/v2.0/token"
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert "client_secret" not in sent


def test_microsoft_takes_a_secret_or_an_assertion() -> None:
    assert "private_key_jwt" in refusal(lambda: served({"microsoft": {**KEYS, "client_assertion": assertion}}))


# ---------------------------------------------------------------- functions of the application


def profile(options: dict[str, Any], body: object, *, hardening: bool = True, provider_id: str = "linkedin") -> Any:
    provider = CATALOG[provider_id](**KEYS, **options)
    with answering({"body": body}):
        return provider.profile(Client((), hardening=hardening), Tokens("access"))


ADA = {"sub": "1", "name": "Ada", "email": "ada@example.com", "email_verified": True}


def test_map_profile_to_user_gets_what_the_provider_said_and_its_columns_count() -> None:
    seen: list[Any] = []

    def mapped(said: Any) -> dict[str, Any]:
        seen.append(said)
        return {"name": "Countess", "locale": "en", "id": "2"}

    found = profile({"map_profile_to_user": mapped}, ADA)
    assert seen == [ADA]
    assert (found.subject, found.data) == ("1", ADA)
    assert found.user == {"name": "Countess", "email": "ada@example.com", "email_verified": True, "locale": "en"}


def test_map_profile_to_user_does_not_prove_an_address() -> None:
    unproven = {**ADA, "email_verified": False}
    said = {"map_profile_to_user": lambda _: {"email_verified": True}}
    assert not profile(said, unproven).email_verified
    assert profile(said, unproven, hardening=False).email_verified, "as the reference has it"


def test_an_address_that_the_provider_did_not_say_is_not_proven_by_what_it_says() -> None:
    other = {"map_profile_to_user": lambda _: {"email": "victim@example.com"}}
    assert not profile(other, ADA).email_verified
    assert profile(other, ADA, hardening=False).email_verified, "as the reference has it"


def failing(*_: object) -> Any:
    raise KeyError("name")


@pytest.mark.parametrize("name", ["map_profile_to_user", "get_user_info"])
@pytest.mark.parametrize("function", [failing, lambda _: None, lambda _: 7, lambda _: {"user": 7, "data": 7}])
def test_a_function_that_fails_or_gives_nothing_is_a_failure_of_the_provider(name: str, function: Any) -> None:
    if name == "map_profile_to_user" and function is not failing and function(None):
        function = lambda _: [7]  # noqa: E731 - a dict of columns is no failure
    with pytest.raises(ProviderError):
        profile({name: function}, ADA)


def test_get_user_info_stands_in_for_the_provider() -> None:
    given = {"user": {"name": "Own", "email": "own@example.com", "email_verified": True}, "data": {"sub": "9"}}
    provider = CATALOG["linkedin"](**KEYS, get_user_info=lambda tokens: given if tokens.access_token == "a" else None)
    with answering() as network:
        found = provider.profile(Client(()), Tokens("a"))
    assert network.requests == []
    assert (found.subject, found.user, found.email_verified) == ("9", given["user"], True)


def test_refresh_access_token_stands_in_for_the_provider() -> None:
    own = {"refresh_access_token": lambda token: {"access_token": f"new for {token}"}}
    for provider_id in ("vercel", "wechat", "google"):
        provider: Social = CATALOG[provider_id](**KEYS, **own)
        assert provider.refreshes
        assert provider.refresh(Client(()), "old").access_token == "new for old"


def test_verify_id_token_stands_in_for_the_provider() -> None:
    own = {"verify_id_token": lambda token, nonce: (token, nonce) == ("good", "nonce")}
    provider = CATALOG["paypal"](**KEYS, **own)
    assert provider.accepts_id_tokens
    provider.verify_id_token(Client(()), "good", "nonce")
    with pytest.raises(ProviderError):
        provider.verify_id_token(Client(()), "good", None)


@pytest.mark.parametrize("column", ["name", "email", "image"])
@pytest.mark.parametrize("value", [7, ["x"], {"x": "y"}, True, "\0"])
def test_what_no_text_column_takes_is_left_out_of_a_profile(column: str, value: object) -> None:
    said = {**ADA, ("picture" if column == "image" else column): value}
    assert column not in profile({}, said).user


# ---------------------------------------------------------------- what it costs


def test_the_catalogue_loads_no_client() -> None:
    script = (
        "import sys, flask_better_auth.providers as p; p.GitHub(client_id='id')\n"
        "print([n for n in ('requests', 'authlib', 'joserfc', 'cryptography') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
