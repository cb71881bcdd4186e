"""Sessions, verifications and limits in a secondary storage, alone and beside the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis
import time_machine
from conftest import PASSWORD, Browser, Site, at_once, work

from flask_better_auth import AdditionalField, ConfigError, DatabaseHooks, current_user
from flask_better_auth.context import Call, Record
from flask_better_auth.services import records, sessions, verifications
from flask_better_auth.storage import MemoryStorage, RedisStorage, SecondaryStorage

Make = Callable[..., Site]
NEW = "a new password"


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[SecondaryStorage]:
    """Each storage that comes with the extension, empty."""
    if request.param == "memory":
        yield MemoryStorage()
        return
    url = request.getfixturevalue("redis_url")
    prefix = "better-auth-test:"
    yield RedisStorage(url, prefix)
    with redis.Redis.from_url(url) as client:
        for key in list(client.scan_iter(prefix + "*")):
            client.delete(key)


@pytest.fixture(params=["alone", "beside the database"])
def site(request: pytest.FixtureRequest, make_auth: Make, store: SecondaryStorage) -> Site:
    """An application whose sessions are in the storage alone, or beside the database."""
    beside = request.param != "alone"
    return make_auth(
        secondary_storage=store,
        session={"store_session_in_database": beside, "additional_fields": {"note": AdditionalField(required=False)}},
        verification={"store_in_database": beside},
    )


@pytest.fixture
def alone(make_auth: Make, store: SecondaryStorage) -> Site:
    """One whose sessions are in the storage alone."""
    return make_auth(secondary_storage=store)


@pytest.fixture
def both(make_auth: Make, store: SecondaryStorage) -> Site:
    """One whose sessions are beside the database."""
    return make_auth(secondary_storage=store, session={"store_session_in_database": True})


def signed_in(site: Site, who: str = "ada") -> Browser:
    browser = site.browser()
    answer = browser.post("/sign-in/email", {"email": f"{who}@example.com", "password": PASSWORD})
    assert answer.status_code == 200, answer.data
    return browser


def token_of(browser: Browser) -> str:
    return browser.session()["session"]["token"]  # type: ignore[no-any-return]


# ---------------------------------------------------------------- the storages


def test_a_text_is_kept_until_it_is_deleted(store: SecondaryStorage) -> None:
    assert store.get("k") is None
    store.set("k", "grün", 60)
    assert store.get("k") == "grün"
    store.set("k", "2")
    assert store.get("k") == "2"
    store.delete("k")
    store.delete("k")
    assert store.get("k") is None


def test_a_text_is_taken_once(store: SecondaryStorage) -> None:
    store.set("k", "v", 60)
    taken = at_once(8, lambda _: store.get_and_delete("k"))
    assert sorted(filter(None, taken)) == ["v"]
    assert store.get_and_delete("k") is None


def test_a_text_is_swapped_only_for_what_is_there(store: SecondaryStorage) -> None:
    assert not store.swap("k", "old", "new", 60)
    assert store.get("k") is None
    assert store.swap("k", None, "old", 60)
    assert not store.swap("k", None, "other", 60)
    assert not store.swap("k", "older", "other", 60)
    assert store.swap("k", "old", "new", 60)
    assert store.get("k") == "new"
    store.set("n", "0", 60)

    def add(_: int) -> None:
        while True:
            now = store.get("n")
            assert now is not None
            if store.swap("n", now, str(int(now) + 1), 60):
                return

    at_once(8, add)
    assert store.get("n") == "8"


def test_a_number_counts_every_increment_and_ends_with_its_window(store: SecondaryStorage) -> None:
    assert sorted(at_once(16, lambda _: store.increment("n", 60))) == list(range(1, 17))
    assert store.get("n") == "16"


def test_texts_in_memory_end_when_they_are_over() -> None:
    store = MemoryStorage()
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        store.set("k", "v", 10)
        store.increment("n", 10)
        clock.shift(9)
        assert (store.get("k"), store.increment("n", 10)) == ("v", 2)
        clock.shift(1)
        assert (store.get("k"), store.get_and_delete("k"), store.increment("n", 10)) == (None, None, 1)
        assert store.swap("k", None, "again", 10)


def test_what_is_over_does_not_fill_the_memory() -> None:
    store = MemoryStorage()
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        for number in range(1000):
            store.set(f"k{number}", "v", 1)
        clock.shift(2)
        for number in range(600):
            store.set(f"n{number}", "v", 1000)
        assert len(store._texts) <= 600


def test_redis_forgets_what_is_over(redis_url: str) -> None:
    store = RedisStorage(redis_url, "better-auth-test:")
    store.set("k", "v", 30)
    store.increment("n", 40)
    assert store.swap("s", None, "1", 50)
    assert store.swap("s", "1", "2", 60)
    with redis.Redis.from_url(redis_url) as client:
        for key, longest in (("k", 30), ("n", 40), ("s", 60)):
            assert longest - 5 < client.ttl(f"better-auth-test:{key}") <= longest
            client.delete(f"better-auth-test:{key}")


def test_a_client_that_answers_bytes_will_do(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        store = RedisStorage(client, "better-auth-test:")
        store.set("k", "grün", 60)
        assert (store.get("k"), store.get_and_delete("k")) == ("grün", "grün")


@pytest.mark.parametrize("setting", ["http://localhost", "redis", object(), 5, "ftp://x"])
def test_what_is_no_storage_is_a_config_error(make_auth: Make, setting: object) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECONDARY_STORAGE"):
        make_auth(secondary_storage=setting)


def test_a_storage_can_be_named_in_the_configuration(make_auth: Make, redis_url: str) -> None:
    site = make_auth(settings={"BETTER_AUTH_SECONDARY_STORAGE": redis_url})
    browser = site.sign_up()
    assert not site.rows("session")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.get(token_of(browser))
        token = token_of(browser)
        browser.post("/sign-out")
        assert client.get(token) is None


def test_stateless_sessions_have_no_storage(make_auth: Make) -> None:
    with pytest.raises(ConfigError, match="STATELESS"):
        make_auth(secondary_storage="memory", session={"stateless": True})


# ---------------------------------------------------------------- sessions


def test_sessions_are_where_they_should_be(site: Site, store: SecondaryStorage) -> None:
    browser = site.sign_up()
    beside = site.app.extensions["better_auth"].config.session.store_session_in_database
    assert len(site.rows("session")) == beside
    assert store.get(token_of(browser)) is not None


def test_get_session_needs_no_statement(site: Site) -> None:
    browser = site.sign_up()
    with work(site) as counts:
        assert browser.session()["user"]["email"] == "ada@example.com"
    assert not counts


def test_signing_in_and_out_and_listing(site: Site) -> None:
    one = site.sign_up()
    two = signed_in(site)
    listed = one.get("/list-sessions").json
    assert [session["token"] for session in listed] == [token_of(one), token_of(two)]
    assert listed[0] == one.session()["session"]
    stolen = dict(two.cookies)
    assert two.post("/sign-out").json == {"success": True}
    two.cookies = stolen
    assert two.session() is None
    assert [session["token"] for session in one.get("/list-sessions").json] == [token_of(one)]


def test_one_session_is_revoked_by_its_token_or_by_its_identifier(site: Site) -> None:
    one, two, three = site.sign_up(), signed_in(site), signed_in(site)
    assert one.post("/revoke-session", {"token": token_of(two)}).json == {"status": True}
    assert two.session() is None
    with site.app.app_context():
        site.api.revoke_session(session_id=three.session()["session"]["id"])
    assert three.session() is None
    assert one.session() is not None


@pytest.mark.parametrize("generate_id", ["serial", "uuid"])
@pytest.mark.parametrize("beside", [False, True])
def test_identifiers_may_be_the_database_s(
    make_auth: Make, store: SecondaryStorage, generate_id: str, beside: bool
) -> None:
    site = make_auth(
        secondary_storage=store,
        session={"store_session_in_database": beside, "cookie_cache": {"enabled": True}},
        advanced={"database": {"generate_id": generate_id}},
    )
    one, two = site.sign_up(), signed_in(site)
    assert one.session()["user"]["id"] == one.session()["session"]["userId"] == str(site.rows("user")[0].id)
    assert [session["id"] for session in one.get("/list-sessions").json] == [
        browser.session()["session"]["id"] for browser in (one, two)
    ]
    assert one.post("/update-user", {"name": "New"}).status_code == 200
    with site.app.app_context():
        site.api.revoke_session(session_id=two.session()["session"]["id"])
    assert two.get("/list-sessions").status_code == 401
    assert one.post("/sign-out").status_code == 200
    assert one.session() is None


def test_nobody_revokes_the_session_of_somebody_else(site: Site) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    assert bob.post("/revoke-session", {"token": token_of(ada)}).json == {"status": True}
    assert ada.session() is not None


def test_other_sessions_are_revoked(site: Site) -> None:
    one, two, three = site.sign_up(), signed_in(site), signed_in(site)
    assert one.post("/revoke-other-sessions", {}).json == {"status": True}
    assert [browser.session() is None for browser in (one, two, three)] == [False, True, True]


def test_all_sessions_are_revoked(site: Site) -> None:
    one, two = site.sign_up(), signed_in(site)
    other = site.sign_up("bob")
    assert one.post("/revoke-sessions", {}).json == {"status": True}
    assert (one.session(), two.session()) == (None, None)
    assert other.session() is not None
    assert signed_in(site).session() is not None


def test_a_changed_password_ends_all_others(site: Site) -> None:
    one, two = site.sign_up(), signed_in(site)
    body = {"currentPassword": PASSWORD, "newPassword": NEW, "revokeOtherSessions": True}
    answer = one.post("/change-password", body)
    assert answer.status_code == 200
    assert two.session() is None
    assert token_of(one) == answer.json["token"]
    assert [session["token"] for session in one.get("/list-sessions").json] == [token_of(one)]


def test_a_changed_user_is_seen_in_every_session_at_once(site: Site) -> None:
    one, two = site.sign_up(), signed_in(site)
    assert one.post("/update-user", {"name": "Countess"}).status_code == 200
    assert [browser.session()["user"]["name"] for browser in (one, two)] == ["Countess", "Countess"]
    with site.app.app_context():
        site.api.update_user(user_id=site.rows("user")[0].id, data={"name": "Ada"})
    assert [browser.session()["user"]["name"] for browser in (one, two)] == ["Ada", "Ada"]


def test_a_changed_session_is_seen_at_once(site: Site) -> None:
    browser = site.sign_up()
    assert browser.post("/update-session", {"note": "laptop"}).json["session"]["note"] == "laptop"
    assert browser.session()["session"]["note"] == "laptop"


def test_a_session_is_extended_and_ends(site: Site) -> None:
    if not isinstance(site.app.extensions["better_auth"].storage._storage, MemoryStorage):
        return  # time stands still in Redis
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as clock:
        browser, other = site.sign_up(), signed_in(site)
        before = browser.session()["session"]["expiresAt"]
        clock.shift(timedelta(days=3))
        assert browser.session()["session"]["expiresAt"] > before
        clock.shift(timedelta(days=5))
        assert browser.session() is not None
        assert other.session() is None
        assert browser.get("/list-sessions").status_code == 403  # it is not fresh
        with site.app.app_context():
            assert len(site.api.list_sessions(user_id=site.rows("user")[0].id)) == 1
        clock.shift(timedelta(days=8))
        assert browser.session() is None


def test_current_user_is_found(site: Site) -> None:
    @site.app.get("/me")
    def me() -> dict[str, Any]:
        return {"email": current_user.email} if current_user else {}

    browser = site.sign_up()
    assert browser.get("~/me").json == {"email": "ada@example.com"}
    stolen = dict(browser.cookies)
    browser.post("/sign-out")
    browser.cookies = stolen
    assert browser.get("~/me").json == {}


@pytest.mark.parametrize("beside", [False, True])
def test_hooks_run_around_sessions_wherever_they_are(make_auth: Make, store: SecondaryStorage, beside: bool) -> None:
    seen: list[str] = []

    def note(what: str) -> Callable[..., None]:
        return lambda data, call: seen.append(what)

    hooks = {
        what: {"before": note(f"before {what}"), "after": note(f"after {what}")}
        for what in ("create", "update", "delete")
    }
    options = {"store_session_in_database": beside, "additional_fields": {"note": AdditionalField(required=False)}}
    site = make_auth(secondary_storage=store, session=options, database_hooks=DatabaseHooks(session=hooks))
    browser = site.sign_up()
    browser.post("/update-session", {"note": "x"})
    browser.post("/sign-out")
    assert seen == [f"{when} {what}" for what in ("create", "update", "delete") for when in ("before", "after")]


def test_a_hook_can_keep_a_session(make_auth: Make, store: SecondaryStorage) -> None:
    hooks = DatabaseHooks(session={"delete": {"before": lambda data, call: False}})
    site = make_auth(secondary_storage=store, database_hooks=hooks)
    browser = site.sign_up()
    signed_in(site).post("/revoke-sessions", {})
    assert browser.session() is not None


def test_the_row_of_an_ended_session_can_be_kept(make_auth: Make, store: SecondaryStorage) -> None:
    options = {"store_session_in_database": True, "preserve_session_in_database": True}
    site = make_auth(secondary_storage=store, session=options)
    one, two, three = site.sign_up(), signed_in(site), signed_in(site)
    one.post("/revoke-session", {"token": token_of(two)})
    three.post("/sign-out")
    assert (two.session(), three.session()) == (None, None)
    one.post("/revoke-sessions", {})
    assert one.session() is None
    now = datetime.now(timezone.utc)
    assert [row.expires_at <= now for row in site.rows("session")] == [True, True, True]


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_in_a_transaction_of_the_application_copies_are_only_taken_away(both: Site, ends: str) -> None:
    """Nobody knows how it ends: a copy must not show what was taken back."""
    browser = both.sign_up()
    with both.app.app_context():
        user_id = both.rows("user")[0].id
        both.api.update_user(user_id=user_id, data={"name": "New"}, session=both.db.session)
        joined = both.api.sign_in_email(email="ada@example.com", password=PASSWORD, session=both.db.session)
        getattr(both.db.session, ends)()
    other = both.browser()
    jar = both.app.extensions["better_auth"].cookies
    other.cookies = {jar.session_token.name: jar.signed(joined["token"])}
    assert browser.session()["user"]["name"] == ("New" if ends == "commit" else "Ada")
    assert (other.session() is not None) is (ends == "commit")


@pytest.mark.parametrize("beside", [False, True])
def test_what_comes_to_nothing_leaves_no_session(make_auth: Make, store: SecondaryStorage, beside: bool) -> None:
    tokens: list[str] = []
    hooks = {"create": {"before": lambda data, call: tokens.append(data["token"])}}
    site = make_auth(
        secondary_storage=store,
        session={"store_session_in_database": beside},
        database_hooks=DatabaseHooks(session=hooks),
    )
    site.sign_up()
    call = state_call(site)
    user = Record(id=site.rows("user")[0].id, **dict.fromkeys(("name", "email", "image"), ""))
    user |= {
        "email_verified": False,
        "created_at": datetime.now(timezone.utc),
        "updated_at": datetime.now(timezone.utc),
    }

    def fail() -> None:
        with site.app.app_context(), records.unit(call):
            sessions.create(call, user, remember=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(tokens) == 2
    assert store.get(tokens[0]) is not None
    assert store.get(tokens[1]) is None


# ---------------------------------------------------------------- the reference's form


def test_keys_and_texts_are_the_reference_s(alone: Site, store: SecondaryStorage) -> None:
    browser = alone.sign_up()
    shown = browser.session()
    held = json.loads(store.get(shown["session"]["token"]) or "")
    assert held == shown
    listed = json.loads(store.get(f"active-sessions-{shown['user']['id']}") or "")
    ends = datetime.fromisoformat(shown["session"]["expiresAt"].replace("Z", "+00:00"))
    assert listed == [{"token": shown["session"]["token"], "expiresAt": round(ends.timestamp() * 1000)}]
    browser.post("/revoke-sessions", {})
    cutoff = store.get(f"revoked-sessions-before-{shown['user']['id']}")
    assert cutoff is not None
    assert abs(int(cutoff) / 1000 - datetime.now(timezone.utc).timestamp()) < 5


def test_what_the_reference_put_there_is_read(alone: Site, store: SecondaryStorage) -> None:
    alone.sign_up()
    user = alone.rows("user")[0]
    now = datetime.now(timezone.utc)

    def js(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    end, token = now + timedelta(days=7), "theirTokenOfThirtyTwoCharacters1"
    session = {
        "id": "agVqMPjmU0kb8m7yvjswJJJSGj3HGrfi", "ipAddress": "127.0.0.1", "userAgent": "", "expiresAt": js(end),
        "userId": user.id, "token": token, "createdAt": js(now), "updatedAt": js(now),
    }  # fmt: skip
    theirs = {"name": "Ada", "email": user.email, "emailVerified": False, "createdAt": js(now), "updatedAt": js(now)}
    store.set(token, json.dumps({"session": session, "user": {**theirs, "id": user.id}}), 604799)
    store.set(f"active-sessions-{user.id}", json.dumps([{"token": token, "expiresAt": end.timestamp() * 1000}]), 604799)
    browser = alone.browser()
    jar = alone.app.extensions["better_auth"].cookies
    browser.cookies = {jar.session_token.name: jar.signed(token)}
    assert browser.session() == {"session": session, "user": {**theirs, "id": user.id, "image": None}}
    assert [found["token"] for found in browser.get("/list-sessions").json] == [token]
    assert browser.post("/update-user", {"name": "New"}).status_code == 200
    assert json.loads(store.get(token) or "")["user"]["name"] == "New"
    store.set(f"revoked-sessions-before-{user.id}", str(round(now.timestamp() * 1000) + 1), 604800)
    assert browser.session() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "null", '{"session": {}, "user": {}}', '{"session": 1, "user": 2}']
)
def test_a_spoilt_session_is_none(alone: Site, store: SecondaryStorage, text: str) -> None:
    browser = alone.sign_up()
    token = token_of(browser)
    good = store.get(token) or ""
    store.set(token, text, 60)
    assert browser.session() is None
    browser = signed_in(alone)
    store.set(token_of(browser), good, 60)  # that of another token
    assert browser.session() is None


def test_a_spoilt_list_is_an_empty_one(alone: Site, store: SecondaryStorage) -> None:
    browser = alone.sign_up()
    user_id = alone.rows("user")[0].id
    for text in (
        "",
        "{",
        "5",
        '[{"token": 1}]',
        '[{"token": "x", "expiresAt": "soon"}]',
        '[{"token":"x","expiresAt":1e30}]',
    ):
        store.set(f"active-sessions-{user_id}", text, 60)
        assert browser.get("/list-sessions").json == []
    assert [found["token"] for found in signed_in(alone).get("/list-sessions").json]


# ---------------------------------------------------------------- verifications


def state_call(site: Site) -> Call:
    with site.app.test_request_context():
        from flask import request

        return Call(site.app.extensions["better_auth"], None, request._get_current_object())  # type: ignore[attr-defined]


def stored_secret(site: Site) -> None:
    with site.app.app_context():
        call = state_call(site)
        with records.unit(call):
            life = timedelta(hours=1)
            verifications.create(call, verifications.RESET_PASSWORD, "the-secret", "the-user", expires_in=life)


def used(site: Site, _: int = 0) -> str | None:
    with site.app.app_context():
        call = state_call(site)
        with records.unit(call):
            return verifications.consume(call, verifications.RESET_PASSWORD, "the-secret")


def test_a_secret_is_found_and_used_once(site: Site, store: SecondaryStorage) -> None:
    stored_secret(site)
    held = json.loads(store.get("verification:reset-password:the-secret") or "")
    assert (held["identifier"], held["value"]) == ("reset-password:the-secret", "the-user")
    with site.app.app_context():
        found = verifications.find(state_call(site), verifications.RESET_PASSWORD, "the-secret")
    assert found == "the-user"
    with site.app.app_context():
        assert verifications.find(state_call(site), verifications.DELETE_ACCOUNT, "the-secret") is None
    assert sorted(filter(None, at_once(8, lambda number: used(site, number)))) == ["the-user"]
    assert store.get("verification:reset-password:the-secret") is None
    assert not site.rows("verification")


def test_a_secret_is_there_again_if_what_it_was_used_for_came_to_nothing(site: Site) -> None:
    stored_secret(site)
    with site.app.app_context():
        call = state_call(site)

        def fail() -> None:
            with records.unit(call):
                assert verifications.consume(call, verifications.RESET_PASSWORD, "the-secret") == "the-user"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
    assert used(site) == "the-user"


def test_a_secret_that_the_reference_stored_is_used(alone: Site, store: SecondaryStorage) -> None:
    row = {
        "createdAt": "2026-11-24T18:03:21.061Z", "updatedAt": "2026-11-24T18:03:21.061Z", "value": "the-user",
        "identifier": "reset-password:the-secret", "expiresAt": "2126-11-24T19:03:21.061Z",
    }  # fmt: skip
    store.set("verification:reset-password:the-secret", json.dumps(row), 3600)
    assert used(alone) == "the-user"


def test_a_spoilt_secret_proves_nothing(alone: Site, store: SecondaryStorage) -> None:
    for text in ("", "{", "[]", "null", "{}", '{"value": "the-user", "identifier": "reset-password:the-secret"}'):
        store.set("verification:reset-password:the-secret", text, 60)
        assert used(alone) is None


# ---------------------------------------------------------------- limits


def test_limits_are_counted_there_for_all_who_share_it(make_auth: Make, store: SecondaryStorage) -> None:
    limited = {"enabled": True}
    one = make_auth(secondary_storage=store, rate_limit=limited)
    two = make_auth(secondary_storage=store, rate_limit=limited)
    body = {"email": "nobody@example.com", "password": PASSWORD}
    answers = [site.browser().post("/sign-in/email", body) for site in (one, two, one, two)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].headers["X-Retry-After"] == "10"
    assert store.get("127.0.0.1|/sign-in/email") == "4"


def test_limits_can_be_counted_elsewhere(make_auth: Make, store: SecondaryStorage) -> None:
    site = make_auth(secondary_storage=store, rate_limit={"enabled": True, "storage": "memory"})
    site.browser().get("/ok")
    assert store.get("127.0.0.1|/ok") is None


def test_limits_in_a_storage_that_is_not_there_are_a_config_error(make_auth: Make) -> None:
    with pytest.raises(ConfigError, match="secondary storage"):
        make_auth(rate_limit={"storage": "secondary-storage"})
