"""The cookie cache: its three forms, chunks, versions, what it is for and what it must never decide."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import time_machine
from conftest import PASSWORD, Site, work
from support.google import GoogleOnLoopback

from flask_better_auth import AdditionalField, current_user, guards
from flask_better_auth.config import AuthConfig, CookieCache, SessionOptions
from flask_better_auth.cookie_cache import CookieCache as Cache
from flask_better_auth.cookies import CookieJar

VECTORS = json.loads((Path(__file__).parent / "vectors" / "cookie_cache.json").read_text())
STRATEGIES = ("compact", "jwt", "jwe")
DATA = "better-auth.session_data"
TOKEN = "better-auth.session_token"
#: Endpoints that ask for a session themselves, where server code names no user.
ASKING = ("get_access_token", "refresh_token", "account_info")
Make = Callable[..., Site]


def cached(make_auth: Make, strategy: str = "compact", **options: Any) -> Site:
    cache = {"enabled": True, "strategy": strategy, **options.pop("cache", {})}
    return make_auth(session={"cookie_cache": cache, **options.pop("session", {})}, **options)


def cache_of(secret: str, **options: Any) -> Cache:
    session = SessionOptions(cookie_cache=CookieCache(enabled=True, **options))
    config = AuthConfig(secret=secret, url="http://localhost", session=session)
    return Cache(config, CookieJar(config, production=True), pytest.fail)


def compact(value: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_the_reference_wrote_is_read(strategy: str) -> None:
    assert VECTORS[strategy]
    for vector in VECTORS[strategy]:
        with time_machine.travel(datetime(2026, 11, 23, 6, 30, 30, tzinfo=timezone.utc), tick=False):
            payload, expires_at = cache_of(vector["secret"], strategy=strategy)._forms[0].read(vector["value"])
            token = payload["session"]["token"]
            copy = cache_of(vector["secret"], strategy=strategy).read({DATA: vector["value"]}, token)
            assert copy == (payload["session"], payload["user"], expires_at)
            assert copy.user["email"] == "ann@example.com"
            other = cache_of("another-secret-0123456789-0123456789", strategy=strategy)
            assert other.read({DATA: vector["value"]}, token) is None
        with time_machine.travel(expires_at, tick=False):
            assert cache_of(vector["secret"], strategy=strategy).read({DATA: vector["value"]}, token) is None


@pytest.mark.parametrize("strategy", ["compact", "jwt"])
def test_what_we_write_is_what_the_reference_would_have_written(strategy: str) -> None:
    for vector in VECTORS[strategy]:
        form = cache_of(vector["secret"], strategy=strategy)._forms[0]
        payload, expires_at = form.read(vector["value"])
        iat = payload.pop("iat", 0)
        payload.pop("exp", None)
        with time_machine.travel(iat, tick=False):
            assert form.write(payload, expires_at) == vector["value"]


def test_the_encrypted_form_has_the_reference_s_key_and_header() -> None:
    vectors = [v for v in VECTORS["jwe_fixed"] if v["salt"] == "better-auth-session"]
    assert vectors
    for vector in vectors:
        form = cache_of(vector["secret"], strategy="jwe")._forms[0]
        payload, expires_at = form.read(vector["token"])
        assert payload == {**vector["payload"], "iat": ANY, "exp": ANY, "jti": ANY}
        written = form.write(vector["payload"], expires_at)
        assert written.partition(".")[0] == vector["token"].partition(".")[0]
        assert form.read(written)[0].items() >= vector["payload"].items()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_get_session_needs_no_statement(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy)
    browser = site.sign_up()
    with work(site) as counts:
        shown = browser.session()
    assert not counts
    assert shown["user"]["email"] == "ada@example.com"
    assert shown == browser.get("/get-session?disableCookieCache=true").json


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_copy_is_shown_until_it_is_over_and_what_we_change_is_seen_at_once(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy, cache={"max_age": 60})
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        browser = site.sign_up()
        with site.app.app_context():
            site.db.session.execute(site.db.update(site.auth.User).values(name="Changed"))
            site.db.session.commit()
        assert browser.session()["user"]["name"] == "Ada"
        clock.shift(59)
        assert browser.session()["user"]["name"] == "Ada"
        clock.shift(1)
        assert browser.session()["user"]["name"] == "Changed"
        assert browser.post("/update-user", {"name": "Third"}).status_code == 200
        assert browser.session()["user"]["name"] == "Third"


def test_a_browser_session_gets_a_copy_that_goes_with_it(make_auth: Make) -> None:
    site = cached(make_auth)
    answer = site.sign_up().post(
        "/sign-in/email", {"email": "ada@example.com", "password": PASSWORD, "rememberMe": False}
    )
    (line,) = (line for line in answer.headers.getlist("Set-Cookie") if line.startswith(DATA))
    assert "Max-Age" not in line


def test_a_large_session_travels_in_chunks(make_auth: Make) -> None:
    bio = AdditionalField(required=False)
    site = cached(make_auth, user={"additional_fields": {"bio": bio}})
    browser = site.sign_up(bio="ä" * 4000)
    names = [name for name in browser.cookies if name.startswith(DATA)]
    assert names == [f"{DATA}.{number}" for number in range(len(names))]
    assert len(names) > 2
    with work(site) as counts:
        assert browser.session()["user"]["bio"] == "ä" * 4000
    assert not counts
    browser.cookies = dict(reversed(browser.cookies.items()))  # the order of a Cookie header says nothing
    with work(site) as counts:
        assert browser.session()["user"]["bio"] == "ä" * 4000
    assert not counts
    del browser.cookies[f"{DATA}.1"]
    with work(site) as counts:
        assert browser.session()["user"]["bio"] == "ä" * 4000
    assert counts == {"statement SELECT": 1}
    assert f"{DATA}.1" in browser.cookies  # it was handed out anew
    browser.post("/update-user", {"bio": "short"})
    assert [name for name in browser.cookies if name.startswith(DATA)] == [DATA]
    browser.post("/update-user", {"bio": "x" * 6000})
    assert DATA not in browser.cookies
    browser.post("/sign-out")
    assert not browser.cookies


def test_no_line_is_longer_than_a_browser_takes(make_auth: Make) -> None:
    site = cached(make_auth, user={"additional_fields": {"bio": AdditionalField(required=False)}})
    for length in (1000, 2200, 2500, 9000):
        answer = site.sign_up(f"user{length}", bio="b" * length).post("/update-user", {"name": "N"})
        lines = [line for line in answer.headers.getlist("Set-Cookie") if line.startswith(DATA)]
        assert max(map(len, lines)) <= 4050
        assert (lines[0].partition("=")[0] == DATA) is (length < 2400)


def test_a_session_beyond_all_measure_is_not_cached(make_auth: Make, caplog: pytest.LogCaptureFixture) -> None:
    site = cached(make_auth, user={"additional_fields": {"bio": AdditionalField(required=False)}}, max_body=10**6)
    with caplog.at_level(logging.WARNING):
        browser = site.sign_up(bio="b" * 400_000)
    assert set(browser.cookies) == {TOKEN}
    assert "too large for cookies" in caplog.text
    assert len(browser.session()["user"]["bio"]) == 400_000


def test_another_version_makes_copies_void(make_auth: Make) -> None:
    versions = {"ada@example.com": "1"}
    site = cached(make_auth, cache={"version": lambda session, user: versions[user["email"]]})
    browser = site.sign_up()
    with work(site) as counts:
        browser.session()
    assert not counts
    versions["ada@example.com"] = "2"
    with work(site) as counts:
        browser.session()
    assert counts == {"statement SELECT": 1}


def test_a_copy_from_before_the_cache_was_switched_off_is_forgotten(make_auth: Make) -> None:
    browser = cached(make_auth).sign_up()
    off = make_auth()
    off.emptied()
    other = off.sign_up("bob")
    other.cookies[DATA] = browser.cookies[DATA]
    assert other.session()["user"]["email"] == "bob@example.com"
    assert DATA not in other.cookies


def test_current_user_reads_the_session_itself(make_auth: Make) -> None:
    site = cached(make_auth)

    @site.app.get("/me")
    def me() -> dict[str, Any]:
        return {"id": current_user.id if current_user else None}

    browser = site.sign_up()
    assert browser.get("~/me").json["id"]
    with site.app.app_context():
        site.db.session.execute(site.db.delete(site.auth.Session))
        site.db.session.commit()
    assert browser.session() is not None
    assert browser.get("~/me").json["id"] is None


def test_what_changes_or_guards_something_never_reads_a_copy(make_auth: Make) -> None:
    """The registry is walked: a session that was ended elsewhere opens nothing, though its copy is still shown."""
    site = cached(make_auth, social_providers=[GoogleOnLoopback.option()])
    asking = {guards.session, guards.sensitive_session, guards.fresh_session}
    routed = [b.endpoint for b in site.app.extensions["better_auth"].registry if b.endpoint.path]
    behind = [e for e in routed if asking & set(e.guards) or e.name in ASKING]
    assert len(behind) >= 12
    for endpoint in behind:
        site.emptied()
        browser = site.sign_up()
        with site.app.app_context():
            site.db.session.execute(site.db.delete(site.auth.Session))
            site.db.session.commit()
        assert browser.session()["user"]["name"] == "Ada"  # the copy is there
        before = site.snapshot()
        body = {"newPassword": PASSWORD + "2", "currentPassword": PASSWORD, "password": PASSWORD, "token": "x"}
        body |= {"accountId": "x", "newEmail": "new@example.com", "name": "N", "provider": "google"}
        known = endpoint.body.wire_names.values() if endpoint.body else ()  # some bodies may hold nothing else
        options = {"json": {name: value for name, value in body.items() if name in known}}
        if endpoint.methods[0] == "GET":
            options = {"query_string": {"accountId": "x"}}
        answer = browser.request(endpoint.methods[0], endpoint.path, **options)
        assert answer.status_code == 401, (endpoint, answer.data)
        assert site.snapshot() == before


def test_whoever_asks_for_tokens_of_a_provider_gets_a_new_copy(make_auth: Make) -> None:
    site = cached(make_auth)
    browser = site.sign_up()
    requests = [("POST", "/get-access-token"), ("POST", "/refresh-token"), ("GET", "/account-info")]
    for number, (method, path) in enumerate(requests):
        with site.app.app_context():
            site.db.session.execute(site.db.update(site.auth.User).values(name=f"Name {number}"))
            site.db.session.commit()
        assert browser.session()["user"]["name"] != f"Name {number}"  # the copy is not due yet
        asked: dict[str, Any] = {"accountId": "x"}
        answer = browser.request(method, path, **{"query_string" if method == "GET" else "json": asked})
        assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")
        assert browser.session()["user"]["name"] == f"Name {number}"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_hardening_lists_are_shown_by_a_copy_as_in_the_reference(make_auth: Make, strategy: str) -> None:
    site = cached(make_auth, strategy, hardening=False)
    browser = site.sign_up()
    with site.app.app_context():
        site.db.session.execute(site.db.delete(site.auth.Session))
        site.db.session.commit()
    assert browser.get("/list-sessions").json == []
    assert browser.post("/update-user", {"name": "N"}).status_code == 401


class TestStateless:
    """``session.stateless``: the cookie is the session."""

    def test_nothing_is_stored(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True})
        browser = site.sign_up()
        assert not site.rows("session")
        assert browser.cookies[DATA].count(".") == 4  # encrypted
        with work(site) as counts:
            assert browser.session()["user"]["email"] == "ada@example.com"
        assert not counts
        assert browser.get("/list-sessions").json == [browser.session()["session"]]

    def test_it_changes_users_and_shows_it(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True})
        browser = site.sign_up()
        assert browser.post("/update-user", {"name": "New"}).status_code == 200
        assert browser.session()["user"]["name"] == "New"
        assert site.rows("user")[0].name == "New"
        body = {"currentPassword": PASSWORD, "newPassword": PASSWORD + "2", "revokeOtherSessions": True}
        assert browser.post("/change-password", body).status_code == 200
        assert browser.session() is not None
        browser.post("/sign-out")
        assert browser.session() is None

    def test_a_user_who_is_gone_can_do_nothing(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True})
        browser = site.sign_up()
        site.emptied()
        assert browser.post("/update-user", {"name": "New"}).status_code == 401
        assert browser.session() is None  # the refusal took the cookies away

    def test_it_goes_on_while_it_is_used(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True})
        with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
            browser = site.sign_up()
            for _ in range(5):
                clock.shift(timedelta(days=4))
                assert browser.session() is not None
            clock.shift(timedelta(days=8))
            assert browser.session() is None

    def test_a_copy_that_lives_shorter_than_the_session_is_renewed(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True, "cookie_cache": {"max_age": 100, "refresh_cache": 30}})
        with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
            browser = site.sign_up()
            first = browser.cookies[DATA]
            clock.shift(60)
            browser.session()
            assert browser.cookies[DATA] == first
            clock.shift(15)
            browser.session()
            assert browser.cookies[DATA] != first
            clock.shift(90)
            assert browser.session() is not None
            clock.shift(101)
            assert browser.session() is None

    def test_one_that_shall_not_be_remembered_lasts_a_day(self, make_auth: Make) -> None:
        site = make_auth(session={"stateless": True})
        with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
            browser = site.sign_up(rememberMe=False)
            clock.shift(timedelta(hours=23))
            assert browser.session() is not None
            clock.shift(timedelta(hours=1))
            assert browser.session() is None
