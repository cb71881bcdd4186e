"""Requests that meet: through real threads that start together, and at interleavings that are forced."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from typing import Any, TypeVar

import pytest
from conftest import FAST, PASSWORD, STUCK, Site, at_once
from flask import Response
from sqlalchemy import delete, update

from flask_better_auth.passwords import Passwords
from flask_better_auth.services import sessions

T = TypeVar("T")


@pytest.fixture
def plan(request: pytest.FixtureRequest, dialect: str) -> tuple[int, int]:
    """How many rounds of how many threads."""
    if request.config.getoption("--races") == "full":
        return 1000, 64
    return (20 if dialect == "postgresql" else 5), 16


@pytest.fixture
def make_arena(make_auth: Callable[..., Site], dialect: str) -> Callable[..., Site]:
    """Builds applications that many threads may use, and whose every read of a session is due to extend it."""

    def make(**options: Any) -> Site:
        engine_options: dict[str, Any] = {"pool_size": 16, "max_overflow": 0, "pool_timeout": STUCK}
        if dialect == "sqlite":
            engine_options["connect_args"] = {"timeout": STUCK}
        site = make_auth(engine_options=engine_options, session={"update_age": 0}, **options)
        if dialect == "sqlite":
            with site.app.app_context(), site.db.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return site

    return make


@pytest.fixture
def arena(make_arena: Callable[..., Site]) -> Site:
    """One with default options."""
    return make_arena()


def meet_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, threads: int) -> list[Any]:
    """Let nobody go on behind a function before ``threads`` of them are through it; the list gets their results."""
    original, barrier, passed = getattr(owner, name), threading.Barrier(threads), []

    def met(*args: Any) -> Any:
        result = original(*args)
        barrier.wait(STUCK)
        passed.append(result)
        return result

    monkeypatch.setattr(owner, name, met)
    return passed


def clear(site: Site) -> None:
    """Take every row out, so that each round counts its own."""
    with site.app.app_context(), site.db.engine.begin() as connection:
        for model in (site.auth.Session, site.auth.Account, site.auth.User):
            connection.execute(delete(model))


def cased(address: str, number: int) -> str:
    """One spelling of the address out of many: the bits of ``number`` say which letters are capitals."""
    return "".join(c.upper() if number >> i & 1 else c for i, c in enumerate(address))


def sign_up(site: Site, address: Callable[[int], str]) -> Callable[[int], Response]:
    """An act that signs up."""

    def act(number: int) -> Response:
        body = {"name": f"N{number}", "email": address(number), "password": PASSWORD}
        return site.browser().post("/sign-up/email", body)

    return act


def sign_in(site: Site) -> Response:
    """A sign-in by a browser of its own."""
    return site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})


# ---------------------------------------------------------------- S1


@pytest.mark.parametrize("meeting", ["at the start", "past the look-up"])
def test_s1_one_of_many_sign_ups_with_one_address_wins(
    arena: Site, plan: tuple[int, int], meeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    past = meet_after(monkeypatch, Passwords, "hash", threads) if meeting == "past the look-up" else None
    for number in range(rounds):
        address = f"racer{number}@example.com"
        answers = at_once(threads, sign_up(arena, lambda i, address=address: cased(address, i)))
        assert Counter(a.status_code for a in answers) == {200: 1, 422: threads - 1}
        losers = {a.json["code"] for a in answers if a.status_code == 422}
        assert losers == {"USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"}
        (winner,) = (a.json for a in answers if a.status_code == 200)
        (user,), (account,), (session,) = (arena.rows(table) for table in ("user", "account", "session"))
        assert (user.id, user.email) == (winner["user"]["id"], address)
        assert (account.user_id, session.user_id, session.token) == (user.id, user.id, winner["token"])
        clear(arena)
    if past is not None:
        assert len(past) == rounds * threads  # every one of them tried to insert


def test_s1_sign_ups_with_different_addresses_all_succeed(arena: Site, plan: tuple[int, int]) -> None:
    _, threads = plan
    answers = at_once(threads, sign_up(arena, lambda i: f"racer{i}@example.com"))
    assert Counter(a.status_code for a in answers) == {200: threads}
    assert [len(arena.rows(table)) for table in ("user", "account", "session")] == [threads] * 3


def test_s1_where_the_answer_hides_a_taken_address_the_losers_are_not_told(
    make_arena: Callable[..., Site], plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, threads = plan
    arena = make_arena(email_and_password={"auto_sign_in": False})
    meet_after(monkeypatch, Passwords, "hash", threads)
    answers = at_once(threads, sign_up(arena, lambda i: cased("racer@example.com", i)))
    assert Counter(a.status_code for a in answers) == {200: threads}
    assert {(a.json["token"], a.json["user"]["email"]) for a in answers} == {(None, "racer@example.com")}
    assert len({a.json["user"]["id"] for a in answers}) == threads
    assert [len(arena.rows(table)) for table in ("user", "account", "session")] == [1, 1, 0]


# ---------------------------------------------------------------- sessions


def test_s14_a_session_signed_out_among_sign_ins_and_reads_never_comes_back(arena: Site, plan: tuple[int, int]) -> None:
    rounds, threads = plan
    for _ in range(rounds):
        ended = arena.sign_up("ada")
        token = ended.session()["session"]["token"]
        cookies = dict(ended.cookies)

        def sent(method: str, path: str, cookies: dict[str, str] = cookies) -> Response:
            browser = arena.browser()
            browser.cookies = dict(cookies)
            return browser.request(method, path)

        def come_and_go() -> Response:
            browser = arena.browser()
            browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
            return browser.post("/sign-out")

        acts: list[Callable[[], Response]] = [
            lambda: sent("POST", "/sign-out"),
            lambda: sent("GET", "/get-session"),
            lambda: sign_in(arena),
            come_and_go,
        ]
        order = [act for act, _ in zip(cycle(acts), range(threads), strict=False)]
        answers = at_once(threads, lambda i, order=order: order[i]())
        assert {a.status_code for a in answers} == {200}
        read = [a.json for a, act in zip(answers, order, strict=True) if act is acts[1]]
        assert {found["session"]["token"] for found in read if found} <= {token}
        opened = {a.json["token"] for a, act in zip(answers, order, strict=True) if act is acts[2]}
        assert {row.token for row in arena.rows("session")} == opened  # those alone are alive, and each of them is
        assert sent("GET", "/get-session").json is None
        clear(arena)


def test_s14_a_session_signed_out_between_read_and_refresh_stays_ended(
    arena: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, other = arena.sign_up("ada"), arena.browser()
    other.cookies = dict(browser.cookies)
    is_due, found_due = sessions.is_due, []

    def is_due_then_ended(*args: Any) -> bool:
        found_due.append(is_due(*args))
        if len(found_due) == 2:
            assert other.post("/sign-out").json == {"success": True}
        return found_due[-1]

    monkeypatch.setattr(sessions, "is_due", is_due_then_ended)
    assert browser.session() is not None
    assert browser.session() is None
    assert found_due == [True, True]
    assert browser.cookies == {}
    assert arena.rows("session") == []


def test_s14_a_session_that_many_requests_extend_at_once_stays_one_row(
    arena: Site, plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    cookies = arena.sign_up("ada").cookies
    (before,) = arena.rows("session")
    due = meet_after(monkeypatch, sessions, "is_due", threads)

    def read(_: int) -> Response:
        browser = arena.browser()
        browser.cookies = dict(cookies)
        return browser.get("/get-session")

    for _ in range(rounds):
        answers = at_once(threads, read)
        assert {a.status_code for a in answers} == {200}
        assert {a.json["session"]["token"] for a in answers} == {before.token}
        assert all(a.headers["Set-Cookie"].startswith("better-auth.session_token=") for a in answers)
        (after,) = arena.rows("session")
        assert (after.id, after.token, after.created_at) == (before.id, before.token, before.created_at)
        assert after.expires_at >= before.expires_at
    assert due == [True] * (rounds * threads)  # all of them had read the row before one of them wrote


# ---------------------------------------------------------------- S12


@pytest.mark.parametrize("meanwhile", ["password changed", "account unlinked", "user deleted"])
def test_s12_what_was_verified_must_still_hold_when_the_session_is_made(
    arena: Site, door: Any, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena.sign_up("ada")
    changes: dict[str, list[Any]] = {
        "nothing": [],
        "password changed": [update(arena.auth.Account).values(password=FAST.hash("another password"))],
        "account unlinked": [delete(arena.auth.Account)],
        "user deleted": [delete(arena.auth.Account), delete(arena.auth.User)],
    }
    with arena.app.app_context():
        engine = arena.db.engine
    verify, verdicts, current = Passwords.verify, [], "nothing"

    def end_sessions() -> None:
        with engine.begin() as connection:
            connection.execute(delete(arena.auth.Session))

    def verify_then_change(self: Passwords, stored: str | None, password: str) -> bool:
        verdicts.append(verify(self, stored, password))
        with engine.begin() as other:
            for statement in changes[current]:
                other.execute(statement)
        return verdicts[-1]

    monkeypatch.setattr(Passwords, "verify", verify_then_change)
    end_sessions()
    invoke, body = door(arena), {"email": "ada@example.com", "password": PASSWORD}
    assert invoke("sign_in_email", body).status_code == 200
    assert len(arena.rows("session")) == 1
    end_sessions()
    current = meanwhile
    answer = invoke("sign_in_email", body)
    assert verdicts == [True, True, False]  # asked again, since what it had verified no longer held
    assert answer.status_code == 401
    assert set(answer.json) == {"code", "message"}
    assert "Set-Cookie" not in answer.headers
    assert arena.rows("session") == []
