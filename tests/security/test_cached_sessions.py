"""SECURITY G6 and G7: copies of a session in a cookie that somebody has tampered with, and what no copy may hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from conftest import ORIGIN, Browser, Site, work

from flask_better_auth import AdditionalField
from flask_better_auth.cookie_cache import CookieCache

STRATEGIES = ("compact", "jwt", "jwe")
DATA = "better-auth.session_data"
TOKEN = "better-auth.session_token"
Make = Callable[..., Site]


def cached(make_auth: Make, strategy: str = "compact", **options: Any) -> Site:
    return make_auth(session={"cookie_cache": {"enabled": True, "strategy": strategy}}, **options)


def assert_ignored(site: Site, browser: Browser, email: str = "ada@example.com") -> None:
    """The session is read from the database, and the browser gets a copy that counts in place of what it sent."""
    sent = browser.cookies[DATA]
    with work(site) as counts:
        answer = browser.get("/get-session")
    assert answer.json["user"]["email"] == email
    assert counts == {"statement SELECT": 1}
    assert browser.cookies[DATA] != sent
    with work(site) as counts:
        browser.session()
    assert not counts


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_g6_a_copy_with_a_flipped_bit_is_ignored_and_replaced(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy)
    browser = site.sign_up()
    good = browser.cookies[DATA]
    for at in [*range(0, len(good), max(1, len(good) // 12)), len(good) - 5]:
        other = "A" if good[at] != "A" else "B"
        browser.cookies[DATA] = good[:at] + other + good[at + 1 :]
        assert_ignored(site, browser)


@pytest.mark.parametrize("bad", ["e30", "junk", "a.b.c", "a.b.c.d.e", ".", "%00", '"', "bnVsbA", "W10", "x" * 3000])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_g6_what_is_no_copy_is_ignored_and_replaced(make_auth: Make, strategy: str, bad: str) -> None:
    site = cached(make_auth, strategy)
    browser = site.sign_up()
    browser.cookies[DATA] = bad
    assert_ignored(site, browser)


@pytest.mark.parametrize("written", STRATEGIES)
@pytest.mark.parametrize("read", STRATEGIES)
def test_g6_a_copy_in_another_form_is_ignored(make_auth: Make, written: str, read: str) -> None:
    if written == read:
        return
    site = cached(make_auth, written)
    browser = site.sign_up()
    other = cached(make_auth, read)
    shared = other.emptied().sign_up()
    shared.cookies[DATA] = browser.cookies[DATA]
    assert_ignored(other, shared)


def unsigned(claims: dict[str, Any], header: dict[str, Any], tail: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join(parts) + "." + tail


def test_g6_a_token_says_nothing_of_its_own_algorithm(make_auth: Make) -> None:
    site = cached(make_auth, "jwt")
    browser = site.sign_up()
    _, claims, signature = browser.cookies[DATA].split(".")
    held = json.loads(base64.urlsafe_b64decode(claims + "=="))
    held["user"]["name"] = "Mallory"
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"alg": "HS512"}, {"alg": "HS256", "crit": ["x"]}, {}):
        for tail in ("", signature):
            browser.cookies[DATA] = unsigned(held, header, tail)
            assert_ignored(site, browser)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_g6_the_copy_of_somebody_else_does_not_count_with_one_s_own_token(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy)
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    bob.cookies[DATA] = ada.cookies[DATA]
    assert_ignored(site, bob, "bob@example.com")


def test_g6_the_copy_of_another_session_of_the_same_user_does_not_count(make_auth: Make) -> None:
    site = cached(make_auth)
    one, two = site.sign_up(), site.browser()
    two.post("/sign-in/email", {"email": "ada@example.com", "password": "correct horse battery"})
    two.cookies[DATA] = one.cookies[DATA]
    assert_ignored(site, two)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_g6_a_copy_that_is_over_does_not_count(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy)
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        browser = site.sign_up()
        clock.shift(timedelta(minutes=5))
        assert_ignored(site, browser)


def test_g6_a_copy_of_a_session_that_is_over_does_not_count(make_auth: Make) -> None:
    site = make_auth(session={"expires_in": 60, "cookie_cache": {"enabled": True}, "disable_session_refresh": True})
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        browser = site.sign_up()
        clock.shift(60)
        assert browser.session() is None
        assert not browser.cookies


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_g6_a_copy_alone_opens_nothing(make_auth: Make, strategy: str) -> None:
    browser = cached(make_auth, strategy).sign_up()
    del browser.cookies[TOKEN]
    assert browser.session() is None
    assert browser.get("/list-sessions").status_code == 401
    browser.cookies[TOKEN] = "x" * 32 + "." + "A" * 43 + "%3D"
    assert browser.session() is None


def test_g6_a_verification_link_s_token_is_no_copy_and_no_copy_is_one(make_auth: Make) -> None:
    """Both are signed with the bare secret, as the wire has it: they are told apart by what they hold (T14)."""
    site = cached(make_auth, "jwt")
    browser = site.sign_up()
    cache: CookieCache = site.app.extensions["better_auth"].cookie_cache
    copy = browser.cookies[DATA]
    claims = {"email": "ada@example.com", "userId": site.rows("user")[0].id}
    browser.cookies[DATA] = cache._forms[0].write(claims, datetime.now(timezone.utc) + timedelta(hours=1))
    assert_ignored(site, browser)
    answer = site.browser().get(f"/verify-email?token={copy}")
    assert answer.status_code in (401, 404)
    assert not site.rows("user")[0].email_verified


def test_g7_a_copy_holds_nothing_that_may_not_leave_the_server(make_auth: Make) -> None:
    hidden = AdditionalField(required=False, returned=False, default="a-hidden-value")
    site = make_auth(
        user={"additional_fields": {"note": hidden}},
        session={"cookie_cache": {"enabled": True}, "additional_fields": {"mark": hidden}},
    )
    browser = site.sign_up()
    (stored,) = site.rows("user")
    assert stored.note == "a-hidden-value"
    value = browser.cookies[DATA]
    text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    held = json.loads(text)["session"]
    assert "a-hidden-value" not in text
    assert "password" not in text
    shown = browser.get("/get-session?disableCookieCache=true").json
    assert (held["session"], held["user"]) == (shown["session"], shown["user"])


def test_g5_a_revoked_session_opens_nothing_while_its_copy_lasts(make_auth: Make) -> None:
    site = cached(make_auth)
    ada, thief = site.sign_up(), site.browser()
    thief.cookies = dict(ada.cookies)
    ada.post("/sign-out")
    assert thief.get("/list-sessions").status_code == 401
    answer = thief.request("POST", "/update-user", json={"name": "Mallory"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert site.rows("user")[0].name == "Ada"
