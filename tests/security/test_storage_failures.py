"""SECURITY R6 and G17: a Redis that is down, slow or emptied, and sessions that must not come back from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site, at_once
from secondary import OwnRedis

from flask_better_auth import APIError, current_user
from flask_better_auth.storage import MemoryStorage, SecondaryStorage, StorageUnavailable

Make = Callable[..., Site]
BESIDE = {"store_session_in_database": True}
CREDENTIALS = {"email": "ada@example.com", "password": PASSWORD}


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Any:
    """A storage in memory, or a URI of a Redis."""
    return MemoryStorage() if request.param == "memory" else request.getfixturevalue("own_redis").url


def beside(make_auth: Make, storage: object, **options: Any) -> Site:
    return make_auth(secondary_storage=storage, session=BESIDE, **options)


def signed_in(site: Site) -> Browser:
    browser = site.browser()
    assert browser.post("/sign-in/email", CREDENTIALS).status_code == 200
    return browser


def test_r6_sessions_beside_the_database_outlive_a_redis_that_is_down(make_auth: Make, own_redis: OwnRedis) -> None:
    site = beside(make_auth, own_redis.url)
    browser = site.sign_up()
    own_redis.kill()
    for _ in range(3):
        assert browser.session()["user"]["email"] == "ada@example.com"
    assert browser.get("/list-sessions").status_code == 200
    other = signed_in(site)
    assert other.session() is not None
    own_redis.start()
    site.app.extensions["better_auth"].storage._next_try = None
    assert browser.session() is not None
    assert other.session() is not None


def test_r6_what_cannot_be_taken_from_the_storage_is_not_revoked_by_halves(
    make_auth: Make, own_redis: OwnRedis
) -> None:
    """While Redis is down a session cannot be ended: a copy there would come back with it. The client is told."""
    site = beside(make_auth, own_redis.url)
    browser, other = site.sign_up(), signed_in(site)
    token = other.session()["session"]["token"]
    before = site.snapshot()
    own_redis.kill()
    for path, body in (
        ("/revoke-session", {"token": token}),
        ("/revoke-other-sessions", {}),
        ("/revoke-sessions", {}),
        ("/sign-out", {}),
        ("/update-user", {"name": "New"}),
    ):
        answer = browser.post(path, body)
        assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE"), path
        assert answer.headers["Retry-After"]
        assert "Set-Cookie" not in answer.headers
    assert site.snapshot() == before
    own_redis.start()
    assert browser.post("/revoke-other-sessions", {}).status_code == 200
    assert other.session() is None


def test_r6_a_slow_redis_holds_nobody_up_for_long(make_auth: Make, own_redis: OwnRedis) -> None:
    site = beside(make_auth, own_redis.url)
    browser = site.sign_up()
    with own_redis.held_up():
        started = time.monotonic()
        for _ in range(20):
            assert browser.session()["user"]["email"] == "ada@example.com"
        took = time.monotonic() - started
        assert took < 6, took  # a time-out and its second try; the others do not ask
    site.app.extensions["better_auth"].storage._next_try = None
    assert browser.session() is not None


@pytest.mark.parametrize("options", [BESIDE, {}])
def test_r6_revoked_sessions_stay_revoked_when_redis_is_emptied(
    make_auth: Make, own_redis: OwnRedis, options: dict[str, bool]
) -> None:
    site = make_auth(secondary_storage=own_redis.url, session=options)
    browser, revoked = site.sign_up(), signed_in(site)
    assert browser.post("/revoke-other-sessions", {}).status_code == 200
    assert revoked.session() is None
    own_redis.flush()
    assert revoked.session() is None
    assert (browser.session() is not None) is bool(options)  # what was nowhere else is gone
    assert signed_in(site).session() is not None


def test_r6_without_the_database_a_redis_that_is_down_is_a_database_that_is_down(
    make_auth: Make, own_redis: OwnRedis
) -> None:
    """Nobody can be told who is signed in: 503, and never "nobody", which would sign everybody out."""
    site = make_auth(secondary_storage=own_redis.url)

    @site.app.get("/me")
    def me() -> dict[str, Any]:
        return {"id": current_user.id if current_user else None}

    browser = site.sign_up()
    cookies = dict(browser.cookies)
    own_redis.kill()
    for path in ("/get-session", "/list-sessions"):
        answer = browser.get(path)
        assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"]
    assert browser.post("/sign-in/email", CREDENTIALS).status_code == 503
    assert browser.cookies == cookies
    with pytest.raises(StorageUnavailable):
        browser.get("~/me")
    with site.app.app_context(), pytest.raises(StorageUnavailable):
        site.api.get_session(headers={"Cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())})
    own_redis.start()
    assert browser.session() is None  # it was in Redis alone
    assert signed_in(site).session() is not None


def test_r6_the_limiter_never_opens(make_auth: Make, own_redis: OwnRedis) -> None:
    site = beside(make_auth, own_redis.url, rate_limit={"enabled": True})
    site.sign_up()
    wrong = {**CREDENTIALS, "password": "a wrong one!"}
    assert [site.browser().post("/sign-in/email", wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
    own_redis.kill()
    answers = [site.browser().post("/sign-in/email", wrong).status_code for _ in range(6)]
    assert answers == [401, 401, 401, 503, 503, 503]
    with_password = site.browser().post("/sign-in/email", CREDENTIALS)
    assert with_password.status_code == 503


def test_r6_the_first_failure_and_its_end_are_logged_once(
    make_auth: Make, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    site = beside(make_auth, own_redis.url)
    browser = site.sign_up()
    own_redis.kill()
    for _ in range(3):
        browser.session()
    assert caplog.text.count("the secondary storage is away") == 1
    own_redis.start()
    guarded = site.app.extensions["better_auth"].storage
    guarded._next_try -= guarded._PAUSE  # as if it had been a while
    browser.session()
    browser.session()
    assert caplog.text.count("the secondary storage is back") == 1


# ---------------------------------------------------------------- what must not come back


@pytest.mark.parametrize("options", [BESIDE, {}])
def test_g17_the_sessions_of_a_deleted_user_are_gone(make_auth: Make, store: Any, options: dict[str, bool]) -> None:
    site = make_auth(secondary_storage=store, session=options)
    one, two = site.sign_up(), signed_in(site)
    state = site.app.extensions["better_auth"]
    token = one.session()["session"]["token"]
    with site.app.test_request_context():
        from flask import request

        from flask_better_auth.context import Call
        from flask_better_auth.services import records, users

        call = Call(state, None, request._get_current_object())  # type: ignore[attr-defined]
        user = users.get(call, site.rows("user")[0].id)
        with records.unit(call):
            assert records.delete(call, "user", user)
    assert (one.session(), two.session()) == (None, None)
    assert one.get("/list-sessions").status_code == 401
    assert state.storage.ask(lambda storage: storage.get(token)) is None


@pytest.mark.parametrize("options", [BESIDE, {}])
def test_g17_a_user_who_was_deleted_behind_our_back_can_do_nothing(
    make_auth: Make, store: Any, options: dict[str, bool]
) -> None:
    site = make_auth(secondary_storage=store, session=options)
    browser = site.sign_up()
    site.emptied()
    assert browser.post("/update-user", {"name": "Ghost"}).status_code == 401
    assert browser.get("/list-sessions").status_code == 401


def test_g17_a_session_that_was_ended_with_all_others_is_not_put_back(make_auth: Make) -> None:
    store: SecondaryStorage = MemoryStorage()
    site = make_auth(secondary_storage=store)
    browser = site.sign_up()
    token = browser.session()["session"]["token"]
    held = store.get(token)
    assert held is not None
    browser.post("/revoke-sessions", {})
    store.set(token, held, 600)  # a backup, a replica that was behind, a request that was slow
    jar = site.app.extensions["better_auth"].cookies
    browser.cookies = {jar.session_token.name: jar.signed(token)}
    assert browser.session() is None
    assert browser.get("/list-sessions").status_code == 401


@pytest.mark.parametrize("options", [BESIDE, {}])
def test_s14_a_session_that_is_extended_and_revoked_at_once_stays_revoked(
    make_auth: Make, store: Any, options: dict[str, bool]
) -> None:
    site = make_auth(secondary_storage=store, session={**options, "update_age": 0})
    for _ in range(3):
        site.emptied()
        browser = site.sign_up()
        user_id, jar = site.rows("user")[0].id, dict(browser.cookies)

        def act(number: int, user_id: str = user_id, jar: dict[str, str] = jar) -> None:
            other = site.browser()
            other.cookies = dict(jar)
            if number == 0:
                with site.app.app_context():
                    site.api.revoke_sessions(user_id=user_id)
            else:
                other.session()

        at_once(6, act)
        other = site.browser()
        other.cookies = dict(jar)
        assert other.session() is None


@pytest.mark.parametrize("options", [BESIDE, {}])
def test_s12_a_sign_in_with_the_old_password_leaves_no_session_behind(
    make_auth: Make, store: Any, options: dict[str, bool]
) -> None:
    site = make_auth(secondary_storage=store, session=options)
    for _ in range(3):
        site.emptied()
        owner = site.sign_up()
        thieves = [site.browser() for _ in range(4)]

        def act(number: int, owner: Browser = owner, thieves: list[Browser] = thieves) -> int:
            if number == 0:
                body = {"currentPassword": PASSWORD, "newPassword": PASSWORD + "2", "revokeOtherSessions": True}
                return owner.post("/change-password", body).status_code
            return thieves[number - 1].post("/sign-in/email", CREDENTIALS).status_code

        assert at_once(5, act)[0] == 200
        assert [thief.session() for thief in thieves] == [None] * 4
        assert owner.session() is not None


def test_one_list_holds_all_who_sign_in_at_once(make_auth: Make, store: Any) -> None:
    site = make_auth(secondary_storage=store)
    browser = site.sign_up()
    at_once(6, lambda _: signed_in(site))
    assert len(browser.get("/list-sessions").json) == 7
    assert browser.post("/revoke-sessions", {}).status_code == 200
    with site.app.app_context():
        assert site.api.list_sessions(user_id=site.rows("user")[0].id) == []


def test_an_api_call_says_that_the_storage_is_away(make_auth: Make, own_redis: OwnRedis) -> None:
    site = make_auth(secondary_storage=own_redis.url)
    site.sign_up()
    own_redis.kill()
    with site.app.app_context(), pytest.raises((StorageUnavailable, APIError)):
        site.api.sign_in_email(**CREDENTIALS)
