"""Cookies: names, attributes and their order, signatures as the reference writes them, and how they are read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from conftest import SECRET, Site
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_better_auth import BetterAuth, ConfigError
from flask_better_auth.config import build
from flask_better_auth.cookies import CookieJar, SetCookies

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "cookies.json").read_text(encoding="utf-8"))
HTTPS = "https://app.example.com"
TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEF"
FOUR_HUNDRED_DAYS = 34_560_000


def jar(url: str | None = "http://localhost", secret: str = SECRET, **advanced: Any) -> CookieJar:
    """The cookies of an application with these settings."""
    return CookieJar(build({"secret": secret, "url": url, "advanced": advanced}, {}), production=False)


def line(made: CookieJar, short_name: str = "session_token", value: str = "v", *, lasting: bool = True) -> str:
    """The ``Set-Cookie`` line of a cookie, with its configured life or without one."""
    cookie = made.cookie(short_name, max_age=timedelta(days=7))
    answer = SetCookies()
    answer.set(cookie, value, max_age=cookie.attributes.max_age if lasting else None)
    (only,) = answer.lines()
    return only


def read(raw: str, made: CookieJar | None = None) -> str | None:
    """What the session cookie says if its raw value is ``raw``."""
    made = made or jar()
    return made.read({made.session_token.name: raw}, made.session_token)


# ---------------------------------------------------------------- the reference's vectors


@pytest.mark.parametrize("vector", VECTORS["lines"], ids=["ascii", "https", "unicode-secret"])
def test_set_cookie_line_is_the_one_of_the_reference(vector: dict[str, str]) -> None:
    made = jar(vector["base_url"], vector["secret"])
    answer = SetCookies()
    answer.set(made.session_token, made.signed(vector["token"]), max_age=made.session_token.attributes.max_age)
    assert answer.lines() == [vector["set_cookie"]]


@pytest.mark.parametrize("vector", VECTORS["lines"], ids=["ascii", "https", "unicode-secret"])
def test_sign_up_answers_with_the_line_of_the_reference(
    make_auth: Callable[..., Site], vector: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_better_auth.services.sessions.random_string", lambda: vector["token"])
    site = make_auth(secret=vector["secret"], url=vector["base_url"])
    body = {"name": "Ann", "email": "ann@example.com", "password": "password-ann"}
    answer = site.browser().post("/sign-up/email", body, headers={"Origin": vector["base_url"]})
    assert answer.headers.getlist("Set-Cookie") == [vector["set_cookie"]]


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda vector: vector["value"])
def test_signed_value_is_the_one_of_the_reference(vector: dict[str, str]) -> None:
    made = jar(secret=vector["secret"])
    assert made.signed(vector["value"]) == vector["encoded"]
    assert read(vector["encoded"], made) == vector["value"]


def test_sign_out_clears_the_cookies_by_the_lines_of_the_reference(site: Site) -> None:
    answer = site.sign_up("ada").post("/sign-out")
    assert answer.headers.getlist("Set-Cookie") == VECTORS["sign_out"]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("url", "advanced", "name"),
    [
        ("http://localhost", {}, "better-auth.session_token"),
        (HTTPS, {}, "__Secure-better-auth.session_token"),
        (None, {"use_secure_cookies": True}, "__Secure-better-auth.session_token"),
        ("http://localhost", {"use_secure_cookies": True}, "__Secure-better-auth.session_token"),
        (HTTPS, {"use_secure_cookies": False}, "better-auth.session_token"),
        ("http://localhost", {"cookie_prefix": "acme"}, "acme.session_token"),
        (HTTPS, {"cookie_prefix": "acme"}, "__Secure-acme.session_token"),
        ("http://localhost", {"cookies": {"session_token": {"name": "sid"}}}, "sid"),
        (HTTPS, {"cookies": {"session_token": {"name": "sid"}}, "cookie_prefix": "acme"}, "__Secure-sid"),
        (HTTPS, {"cookies": {"session_data": {"name": "data"}}}, "__Secure-better-auth.session_token"),
    ],
)
def test_name_follows_prefix_override_and_security(url: str | None, advanced: dict[str, Any], name: str) -> None:
    made = jar(url, **advanced)
    assert made.session_token.name == name
    assert line(made).startswith(f"{name}=v; ")


@pytest.mark.parametrize(("testing", "name"), [(False, "__Secure-better-auth"), (True, "better-auth")])
def test_production_without_a_base_url_sets_secure_cookies(testing: bool, name: str) -> None:
    app = Flask("host")
    app.testing = testing
    app.config.update(BETTER_AUTH_SECRET=SECRET, SQLALCHEMY_DATABASE_URI="sqlite://")
    db = SQLAlchemy(app)
    BetterAuth(app, db=db, allowed_hosts=("app.example.com",))
    assert app.extensions["better_auth"].cookies.session_token.name == f"{name}.session_token"


# ---------------------------------------------------------------- attributes


EVERYTHING = {"domain": "a.test", "path": "/p", "max_age": 60, "secure": True, "same_site": "none", "partitioned": True}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"),
        ({"domain": "a.test"}, "Max-Age=604800; Domain=a.test; Path=/; HttpOnly; SameSite=Lax"),
        ({"path": "/p"}, "Max-Age=604800; Path=/p; HttpOnly; SameSite=Lax"),
        ({"max_age": 60}, "Max-Age=60; Path=/; HttpOnly; SameSite=Lax"),
        ({"http_only": False}, "Max-Age=604800; Path=/; SameSite=Lax"),
        ({"secure": True}, "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"),
        ({"same_site": "strict"}, "Max-Age=604800; Path=/; HttpOnly; SameSite=Strict"),
        ({"same_site": "none"}, "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=None"),
        ({"same_site": "None", "secure": False}, "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=None"),
        ({"partitioned": True}, "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax; Partitioned"),
        (EVERYTHING, "Max-Age=60; Domain=a.test; Path=/p; HttpOnly; Secure; SameSite=None; Partitioned"),
    ],
    ids=str,
)
def test_attributes_stand_in_the_order_of_the_reference(attributes: dict[str, Any], expected: str) -> None:
    made = jar(cookies={"session_token": {"attributes": attributes}})
    assert line(made) == f"better-auth.session_token=v; {expected}"


def test_cookie_without_a_life_has_no_max_age() -> None:
    assert line(jar(), lasting=False) == "better-auth.session_token=v; Path=/; HttpOnly; SameSite=Lax"


def test_stronger_settings_win_and_leave_the_rest() -> None:
    made = jar(
        default_cookie_attributes={"path": "/weak", "same_site": "strict", "domain": "weak.test"},
        cookies={"session_token": {"attributes": {"path": "/strong"}}},
    )
    assert line(made).endswith("Domain=weak.test; Path=/strong; HttpOnly; SameSite=Strict")
    assert line(made, "other").endswith("Domain=weak.test; Path=/weak; HttpOnly; SameSite=Strict")


@pytest.mark.parametrize(
    ("advanced", "seconds"),
    [
        ({"default_cookie_attributes": {"max_age": 60}}, 604800),
        ({"cookies": {"session_token": {"attributes": {"max_age": 60}}}}, 60),
    ],
    ids=["built-in over default", "override over built-in"],
)
def test_life_of_a_cookie_is_its_own_unless_it_is_overridden(advanced: dict[str, Any], seconds: int) -> None:
    made = jar(**advanced)
    assert f"Max-Age={seconds};" in line(made)
    assert made.session_token.attributes.max_age == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("cross", "domain"),
    [
        ({"enabled": True}, "Domain=app.example.com; "),
        ({"enabled": True, "domain": "example.com"}, "Domain=example.com; "),
        ({"enabled": False, "domain": "example.com"}, ""),
    ],
)
def test_cookies_are_shared_with_subdomains_only_where_that_is_enabled(cross: dict[str, Any], domain: str) -> None:
    for short_name in ("session_token", "dont_remember"):
        made = jar("https://app.example.com:8443", cross_sub_domain_cookies=cross)
        assert f"; Max-Age=604800; {domain}Path=/" in line(made, short_name)


@pytest.mark.parametrize(
    ("advanced", "name"),
    [
        ({"default_cookie_attributes": {"prefix": "secure"}}, "__Secure-better-auth.session_token"),
        (
            {"default_cookie_attributes": {"prefix": "host", "domain": "a.test", "path": "/x"}},
            "__Host-better-auth.session_token",
        ),
        ({"cookies": {"session_token": {"name": "sid", "attributes": {"prefix": "host"}}}}, "__Host-sid"),
        (
            {"use_secure_cookies": True, "cookies": {"session_token": {"attributes": {"prefix": "host"}}}},
            "__Host-__Secure-better-auth.session_token",
        ),
    ],
)
def test_a_prefix_stands_before_the_name_as_in_the_reference(advanced: dict[str, Any], name: str) -> None:
    assert line(jar(**advanced)) == f"{name}=v; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"


@pytest.mark.parametrize("name", ["__Secure-sid", "__Host-sid"])
def test_name_with_a_prefix_of_the_standard_forces_secure(name: str) -> None:
    made = jar(cookies={"session_token": {"name": name, "attributes": {"secure": False}}})
    assert line(made) == f"{name}=v; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"


def test_host_prefix_forces_the_root_path_and_no_domain() -> None:
    made = jar(
        cookies={"session_token": {"name": "__Host-sid", "attributes": {"path": "/p", "domain": "example.com"}}},
        cross_sub_domain_cookies={"enabled": True, "domain": "example.com"},
    )
    assert line(made) == "__Host-sid=v; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"


@pytest.mark.parametrize(
    "options",
    [
        lambda life: {"session": {"expires_in": life}},
        lambda life: {"advanced": {"default_cookie_attributes": {"max_age": life}}},
        lambda life: {"advanced": {"cookies": {"session_token": {"attributes": {"max_age": life}}}}},
    ],
    ids=["session", "default", "override"],
)
def test_no_cookie_may_live_longer_than_400_days(options: Callable[[int], dict[str, Any]]) -> None:
    CookieJar(build({"secret": SECRET, **options(FOUR_HUNDRED_DAYS)}, {}), production=False)
    with pytest.raises(ConfigError, match="400 days"):
        CookieJar(build({"secret": SECRET, **options(FOUR_HUNDRED_DAYS + 1)}, {}), production=False)


# ---------------------------------------------------------------- signatures


def _flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


SIGNED = unquote(jar().signed(TOKEN))
SIGNATURE = SIGNED.rpartition(".")[2]
_URLSAFE = base64.urlsafe_b64encode(base64.b64decode(SIGNATURE)).decode()

DAMAGED = {
    "empty": "",
    "dot": ".",
    "unsigned": TOKEN,
    "empty signature": f"{TOKEN}.",
    "only a signature": f".{SIGNATURE}",
    "no dot": TOKEN + SIGNATURE,
    "first character of the value": _flipped(SIGNED, 0),
    "last character of the value": _flipped(SIGNED, len(TOKEN) - 1),
    "first character of the signature": _flipped(SIGNED, len(TOKEN) + 1),
    "last bits of the signature": _flipped(SIGNED, len(SIGNED) - 2),
    "truncated by the padding": SIGNED[:-1],
    "truncated by half": SIGNED[: len(SIGNED) // 2],
    "longer": SIGNED + "=",
    "signed with another secret": unquote(jar(secret=SECRET[::-1]).signed(TOKEN)),
    "signature of another value": f"{TOKEN[::-1]}.{SIGNATURE}",
    "signature in hexadecimal": f"{TOKEN}.{base64.b64decode(SIGNATURE).hex()}",
    "url-safe signature without padding": f"{TOKEN}.{_URLSAFE.rstrip('=')}",
    "encoded twice": quote(quote(SIGNED, safe=""), safe=""),
    "space": SIGNED + " ",
    "percent junk": "%%%",
    "cut percent": SIGNED[:-1] + "%3",
    "non-ASCII": "é" * 20,
    "non-ASCII signature": f"{TOKEN}.{'é' * 44}",
    "bytes that are no UTF-8": f"%ff%fe.{SIGNATURE}",
    "no UTF-8 in the signature": TOKEN + "." + "%ff" * 44,
    "NUL": f"\0{SIGNED}",
}


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_cookie_counts_as_none(raw: str) -> None:
    assert read(raw) is None
    assert read(SIGNED) == TOKEN


def test_value_that_was_signed_twice_is_no_token() -> None:
    assert read(jar().signed(SIGNED)) == SIGNED != TOKEN


def test_cookie_that_is_not_there_has_no_value() -> None:
    made = jar()
    assert made.read({}, made.session_token) is None
    assert made.read({made.session_token.name: SIGNED}, made.dont_remember) is None


@pytest.mark.parametrize("raw", [SIGNED, quote(SIGNED, safe=""), quote(SIGNED, safe="=")], ids=["raw", "all", "some"])
def test_signed_cookie_is_read_with_and_without_percent_encoding(raw: str) -> None:
    assert read(raw) == TOKEN


@pytest.mark.parametrize("value", ["a.b.c", "a=b;c", "{}", "1.5"])
def test_value_ends_at_the_last_dot(value: str) -> None:
    assert read(jar().signed(value)) == value


@pytest.mark.parametrize("value", ["ünïcode", "😀", "a b%20c"])
def test_signed_value_may_hold_any_text(value: str) -> None:
    raw = jar().signed(value)
    assert raw.isascii()
    assert not set(raw) & set(' ",;\\')
    assert read(raw) == value


def test_cookie_of_another_name_is_no_session(site: Site) -> None:
    browser = site.sign_up("ada")
    (value,) = browser.cookies.values()
    for name, found in (("better-auth.session_token", True), ("__Secure-better-auth.session_token", False)):
        browser.cookies = {name: value}
        assert (browser.session() is not None) is found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("better-auth.session_token={good}", True),
        ('better-auth.session_token="{good}"', True),
        ("x=1; better-auth.session_token={good}; y=2", True),
        ("better-auth.session_token={good}; better-auth.session_token=bad", True),
        ("better-auth.session_token=bad; better-auth.session_token={good}", False),
    ],
    ids=["plain", "quoted", "among others", "first is good", "first is bad"],
)
def test_first_cookie_of_a_name_is_read(site: Site, header: str, found: bool) -> None:
    (good,) = site.sign_up("ada").cookies.values()
    answer = site.browser().get("/get-session", headers={"Cookie": header.format(good=good)})
    assert answer.status_code == 200
    assert (answer.json is not None) is found


# ---------------------------------------------------------------- the lines of one answer


def test_expiring_a_cookie_takes_back_what_the_answer_set_before() -> None:
    made, answer = jar(), SetCookies()
    week = timedelta(days=7)
    answer.set(made.session_token, "one", max_age=week)
    answer.set(made.session_data, "data", max_age=None)
    answer.set(made.session_token, "two", max_age=week)
    assert [item.partition(";")[0].partition("=")[2] for item in answer.lines()] == ["one", "data", "two"]
    answer.expire(made.session_token)
    assert answer.lines() == [
        "better-auth.session_data=data; Path=/; HttpOnly; SameSite=Lax",
        "better-auth.session_token=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax",
    ]
    answer.set(made.session_token, "three", max_age=week)
    assert answer.lines()[-1].startswith("better-auth.session_token=three;")


def test_expired_cookie_keeps_domain_path_and_flags() -> None:
    made = jar(HTTPS, default_cookie_attributes={"domain": "example.com", "path": "/p", "partitioned": True})
    answer = SetCookies()
    answer.expire(made.dont_remember)
    assert answer.lines() == [
        "__Secure-better-auth.dont_remember=; Max-Age=0; Domain=example.com; Path=/p; HttpOnly; Secure; SameSite=Lax; "
        "Partitioned"
    ]
