"""Secrets: what is encrypted reads on every server, and what becomes of cookies and rows when secrets change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import FAST, Site
from flask import Flask

from flask_better_auth import BetterAuth, ConfigError
from flask_better_auth.config import VersionedSecret, build
from flask_better_auth.cookies import CookieJar
from flask_better_auth.crypto import Secrets

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "encryption.json").read_text("utf-8"))
OLD, NEW, NEWEST = (f"{word}-secret-of-the-test-suite-0123456789" for word in ("old", "new", "newest"))

# ---------------------------------------------------------------- the reference's vectors


@pytest.mark.parametrize("vector", VECTORS["plain"], ids=["text", "json", "unicode"])
def test_what_the_reference_encrypted_is_read(vector: dict[str, str]) -> None:
    assert Secrets(vector["key"]).decrypt(vector["ciphertext"]) == vector["data"]


@pytest.mark.parametrize("vector", VECTORS["versioned"])
def test_what_the_reference_encrypted_with_versions_is_read(vector: dict[str, Any]) -> None:
    config = build({"secrets": vector["secrets"]}, {})
    versions = {each.version: each.value for each in config.secrets}
    assert Secrets("", versions).decrypt(vector["ciphertext"]) == vector["data"]


@pytest.mark.parametrize("vector", VECTORS["purposes"])
def test_what_the_reference_encrypted_for_a_purpose_is_read(vector: dict[str, str]) -> None:
    secrets = Secrets(vector["secret"])
    assert secrets.decrypt(vector["hex_value"], purpose=vector["purpose"]) == vector["plaintext"]
    for purpose in (None, "oauth-proxy-state"):
        with pytest.raises(ValueError, match="another secret"):
            secrets.decrypt(vector["hex_value"], purpose=purpose)


@pytest.mark.parametrize("vector", VECTORS["derived"], ids=lambda vector: vector["purpose"])
def test_a_purpose_has_the_key_of_the_reference(vector: dict[str, str]) -> None:
    """The reference takes the derived key, in hex, for the secret."""
    sealed = Secrets(vector["secret"]).encrypt("x", purpose=vector["purpose"])
    assert Secrets(vector["derived_hex"]).decrypt(sealed) == "x"


# ---------------------------------------------------------------- encryption


def test_encryption_is_of_the_form_that_is_stored() -> None:
    plain, versioned = Secrets(OLD).encrypt("hello"), Secrets(OLD, {2: NEW, 1: OLD}).encrypt("hello")
    assert re.fullmatch(r"[0-9a-f]{90}", plain)
    assert re.fullmatch(r"\$ba\$2\$[0-9a-f]{90}", versioned)
    assert Secrets(OLD).encrypt("hello") != plain


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-2],
        lambda text: text[:46],
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: "0" * 48 + text[48:],
        lambda text: text + "00",
        lambda text: text + "0",
        lambda text: "zz" + text,
        lambda text: "\u0661" + text[1:],
        lambda text: "$ba$1$" + text,
        lambda text: "$ba$" + text,
        lambda text: "$ba$-1$" + text,
        lambda text: "$ba$\u00b2$" + text,
        lambda text: "$ba$$" + text,
    ],
)
def test_what_was_changed_is_refused_and_never_fails_otherwise(change: Any) -> None:
    secrets = Secrets(OLD)
    with pytest.raises(ValueError, match=r"."):
        secrets.decrypt(change(secrets.encrypt("hello")))


def test_what_an_empty_text_becomes_is_read_again() -> None:
    secrets = Secrets(OLD)
    assert [secrets.decrypt(secrets.encrypt(text)) for text in ("", "ü", "x" * 10000)] == ["", "ü", "x" * 10000]


# ---------------------------------------------------------------- G18: changing secrets


def test_g18_stored_secrets_stay_readable() -> None:
    before, first = Secrets(OLD).encrypt("a"), Secrets(OLD, {1: NEW}).encrypt("b")
    rotated = Secrets(OLD, {2: NEWEST, 1: NEW})
    assert [rotated.decrypt(before), rotated.decrypt(first)] == ["a", "b"]
    assert rotated.encrypt("c").startswith("$ba$2$")


def test_g18_a_retired_secret_reads_nothing_any_more() -> None:
    before, first = Secrets(OLD).encrypt("a"), Secrets("", {1: NEW}).encrypt("b")
    rotated = Secrets("", {2: NEWEST})
    for stored in (before, first):
        with pytest.raises(ValueError, match="no secret is left"):
            rotated.decrypt(stored)


def test_g18_a_version_cannot_be_put_before_another_secrets_text() -> None:
    """A value says which version made it; a lie about that opens nothing."""
    versions = {2: NEWEST, 1: NEW}
    sealed = Secrets("", versions).encrypt("a")
    with pytest.raises(ValueError, match="another secret"):
        Secrets(OLD, versions).decrypt(sealed.replace("$ba$2$", "$ba$1$"))
    with pytest.raises(ValueError, match="another secret"):
        Secrets(OLD, versions).decrypt(sealed.removeprefix("$ba$2$"))


def rotated(make_auth: Any, **options: Any) -> Site:
    site: Site = make_auth(settings={"BETTER_AUTH_SECRET": OLD}, **options)
    return site


@pytest.mark.parametrize(
    ("accept", "versions", "signed_in"),
    [
        (False, f"1:{NEW}", False),
        (True, f"1:{NEW}", True),
        (True, f"2:{NEWEST},1:{NEW}", True),
        (False, f"2:{NEWEST},1:{OLD}", False),
        (True, f"2:{NEWEST},1:{OLD}", True),
        (False, f"2:{OLD},1:{NEW}", True),
    ],
)
def test_g18_cookies_of_retired_secrets_are_refused_unless_asked_for(
    make_auth: Any, accept: bool, versions: str, signed_in: bool
) -> None:
    site = rotated(make_auth)
    ada = site.sign_up("ada")
    # the same application after a deployment with other secrets
    settings = {**site.app.config, "BETTER_AUTH_SECRETS": versions, "BETTER_AUTH_ACCEPT_ROTATED_COOKIES": accept}
    app = Flask("host")
    app.testing = True
    app.config.update(settings)
    site.db.init_app(app)
    BetterAuth(app, db=site.db, password_hash=FAST)
    later = Site(app, site.auth, site.db).browser()
    later.cookies = ada.cookies
    assert (later.session() is not None) is signed_in
    with app.app_context():
        for engine in site.db.engines.values():
            engine.dispose()


def test_g18_a_cookie_of_a_secret_that_is_gone_is_refused() -> None:
    config = {"secrets": f"3:{NEWEST},2:{NEW}", "accept_rotated_cookies": True}
    gone = CookieJar(build({"secret": OLD}, {}), production=False).signed("token")
    known = CookieJar(build({"secret": NEW}, {}), production=False).signed("token")
    jar = CookieJar(build(config, {}), production=False)
    assert (jar.verified(gone), jar.verified(known)) == (None, "token")
    assert CookieJar(build({"secret": NEWEST}, {}), production=False).verified(jar.signed("x")) == "x"


def test_a_sign_in_after_the_change_is_signed_by_the_current_secret(make_auth: Any) -> None:
    site = make_auth(secrets=[(2, NEW), (1, OLD)])
    raw = site.sign_up("ada").cookies["better-auth.session_token"]
    assert CookieJar(build({"secret": NEW}, {}), production=False).verified(raw)


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "value",
    [
        f"2:{NEW},1:{OLD}",
        f" 2:{NEW} , 1:{OLD} ",
        [(2, NEW), (1, OLD)],
        [["2", NEW], ["1", OLD]],
        [{"version": 2, "value": NEW}, {"version": 1, "value": OLD}],
        (VersionedSecret(2, NEW), VersionedSecret(1, OLD)),
    ],
)
def test_secrets_may_be_written(value: Any) -> None:
    made = (VersionedSecret(2, NEW), VersionedSecret(1, OLD))
    assert build({"secrets": value}, {}).secrets == made
    assert build({}, {"BETTER_AUTH_SECRETS": value}).secrets == made


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "must be like 2:abc,1:def"),
        (NEW, "must be like"),
        (f"x:{NEW}", "must be like"),
        (f"1.5:{NEW}", "must be like"),
        (f"-1:{NEW}", "must be like"),
        ("1:", "must be like"),
        (f"1:{NEW},", "must be like"),
        ([1], "must be like"),
        ([(1, 2)], "must be like"),
        ([(True, NEW)], "must be like"),
        ([{"version": 1}], "must be like"),
        (7, "must be like"),
        (f"1:{NEW},1:{OLD}", r"must begin with the highest version, and have each once, not \[1, 1\]"),
        (f"1:{NEW},2:{OLD}", r"must begin with the highest version, and have each once, not \[1, 2\]"),
    ],
)
def test_g18_wrong_secrets_are_refused_by_name_and_not_shown(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECRETS " + message) as raised:
        build({}, {"BETTER_AUTH_SECRETS": value})
    assert NEW not in str(raised.value)
    assert OLD not in repr(build({"secrets": f"2:{NEW},1:{OLD}"}, {}))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"BETTER_AUTH_SECRETS": f"2:short,1:{OLD}"}, "version 2 of BETTER_AUTH_SECRETS"),
        ({"BETTER_AUTH_SECRETS": f"2:{NEW},1:{'a' * 40}"}, "version 1 of BETTER_AUTH_SECRETS"),
        ({"BETTER_AUTH_SECRETS": f"2:{NEW}", "BETTER_AUTH_SECRET": "short"}, "BETTER_AUTH_SECRET"),
    ],
)
def test_each_secret_must_be_strong_in_production(settings: dict[str, str], named: str) -> None:
    app = Flask("host")
    app.config.update(settings, BETTER_AUTH_URL="https://app.example.com", BETTER_AUTH_DATABASE_URI="sqlite://")
    with pytest.raises(ConfigError, match=re.escape(named)):
        BetterAuth(app)


def test_the_secret_key_of_the_application_is_none_of_them() -> None:
    """``SECRET_KEY`` may be weak where ``secrets`` are there, and old cookies must not be made with it."""
    app = Flask("host")
    app.config.update(SECRET_KEY="dev", BETTER_AUTH_URL="https://app.example.com", BETTER_AUTH_DATABASE_URI="sqlite://")
    BetterAuth(app, secrets=[(1, NEW)], accept_rotated_cookies=True)
    assert not app.extensions["better_auth"].secrets.verify("x", Secrets("dev").sign("x"))
