"""Requests that meet: through real threads that start together, and at interleavings that are forced."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle, islice
from typing import Any, TypeVar

import pytest
from conftest import FAST, PASSWORD, STUCK, Site, at_once, email_token
from flask import Response
from sqlalchemy import delete, insert, update

from flask_better_auth import clock
from flask_better_auth.passwords import Passwords
from flask_better_auth.services import accounts, records, sessions, users, verifications

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


def meet_first(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, threads: int) -> None:
    """Like ``meet_after``, for the first call of each thread alone: a second try meets nobody."""
    original, barrier, seen = getattr(owner, name), threading.Barrier(threads), threading.local()

    def met(*args: Any) -> Any:
        result = original(*args)
        if not getattr(seen, "before", False):
            seen.before = True
            barrier.wait(STUCK)
        return result

    monkeypatch.setattr(owner, name, met)


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


@pytest.mark.parametrize("meeting", ["at the start", "past the check of the password"])
def test_s12_no_session_of_the_old_password_outlives_the_change(
    arena: Site, plan: tuple[int, int], meeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    ada = arena.sign_up("ada")
    passwords = cycle(["another good password", PASSWORD])
    current = PASSWORD
    tried: Counter[int] = Counter()
    for _ in range(rounds):
        new = next(passwords)

        def act(number: int, old: str = current, new: str = new) -> Response:
            if number:
                body = {"email": "ada@example.com", "password": old}
                return arena.browser().post("/sign-in/email", body)
            body = {"currentPassword": old, "newPassword": new, "revokeOtherSessions": True}
            return ada.post("/change-password", body)

        with monkeypatch.context() as patch:
            if meeting != "at the start":
                meet_first(patch, Passwords, "verify", threads)
            changed, *signed_in = at_once(threads, act)
        assert changed.status_code == 200
        tried.update(answer.status_code for answer in signed_in)
        assert [session.token for session in arena.rows("session")] == [changed.json["token"]]
        current = new
    assert set(tried) <= {200, 401}
    if meeting != "at the start":
        assert tried[401]  # some sign-in had verified the old password and came too late


@pytest.mark.parametrize("revoking", [True, False])
def test_s12_of_many_changes_of_a_password_one_wins(
    arena: Site, plan: tuple[int, int], revoking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    for _ in range(rounds):
        browsers = [arena.sign_up("ada"), *(arena.browser() for _ in range(threads - 1))]
        for browser in browsers[1:]:
            assert browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD}).status_code == 200

        def act(number: int, browsers: list[Any] = browsers) -> Response:
            body = {"currentPassword": PASSWORD, "newPassword": f"password number {number}"}
            return browsers[number].post("/change-password", {**body, "revokeOtherSessions": revoking})

        with monkeypatch.context() as patch:
            meet_first(patch, Passwords, "verify", threads)
            answers = at_once(threads, act)
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[200] == 1, statuses
        assert set(statuses) <= {200, 400, 401}
        winner = [answer.status_code for answer in answers].index(200)
        body = {"email": "ada@example.com", "password": f"password number {winner}"}
        assert arena.browser().post("/sign-in/email", body).status_code == 200
        assert len(arena.rows("session")) == (2 if revoking else threads + 1)
        clear(arena)


# ---------------------------------------------------------------- S2, S12, S13: links in mails

LINK = "the-secret-of-a-link"


def store_link(site: Site) -> str:
    """Store what a link to set a new password holds, for the user who is there."""
    (user,) = site.rows("user")
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(delete(site.auth.Verification))
        row = {"identifier": f"reset-password:{LINK}", "value": user.id, "expires_at": clock.now() + timedelta(hours=1)}
        connection.execute(insert(site.auth.Verification).values(id="link", **row))
    return str(user.id)


def reset(site: Site, password: str) -> Response:
    return site.browser().post("/reset-password", {"token": LINK, "newPassword": password})


@pytest.mark.parametrize("account", ["with a password", "without one"])
@pytest.mark.parametrize("meeting", ["at the start", "past the look-up"])
def test_s2_one_of_many_uses_of_a_reset_link_counts(
    arena: Site, plan: tuple[int, int], meeting: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    for _ in range(rounds):
        arena.sign_up("ada")
        if account == "without one":
            with arena.app.app_context(), arena.db.engine.begin() as connection:
                connection.execute(delete(arena.auth.Account))
        store_link(arena)
        with monkeypatch.context() as patch:
            if meeting != "at the start":
                meet_first(patch, Passwords, "hash", threads)
            answers = at_once(threads, lambda i: reset(arena, f"password number {i}"))
        statuses = [answer.status_code for answer in answers]
        assert Counter(statuses) == {200: 1, 400: threads - 1}
        assert {a.json["code"] for a in answers if a.status_code == 400} == {"INVALID_TOKEN"}
        assert [len(arena.rows(table)) for table in ("account", "verification")] == [1, 0]
        body = {"email": "ada@example.com", "password": f"password number {statuses.index(200)}"}
        assert arena.browser().post("/sign-in/email", body).status_code == 200
        clear(arena)


@pytest.mark.parametrize("meeting", ["at the start", "past the check of the password"])
def test_s13_no_session_that_is_older_than_a_reset_is_left(
    make_arena: Callable[..., Site], plan: tuple[int, int], meeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = make_arena(email_and_password={"revoke_sessions_on_password_reset": True})
    rounds, threads = plan
    ada = arena.sign_up("ada")
    passwords = cycle(["another good password", PASSWORD])
    current, tried = PASSWORD, Counter[int]()
    for _ in range(rounds):
        new = next(passwords)
        store_link(arena)

        def act(number: int, old: str = current, new: str = new) -> Response:
            if number == 0:
                return reset(arena, new)
            if number == 1:
                return ada.get("/get-session")  # due to be extended
            return arena.browser().post("/sign-in/email", {"email": "ada@example.com", "password": old})

        with monkeypatch.context() as patch:
            if meeting != "at the start":
                meet_in_pairs(patch, threads)
            changed, _, *signed_in = at_once(threads, act)
        assert changed.status_code == 200, changed.data
        tried.update(answer.status_code for answer in signed_in)
        assert arena.rows("session") == []
        current = new
        ada.post("/sign-in/email", {"email": "ada@example.com", "password": current})
    assert set(tried) <= {200, 401}
    if meeting != "at the start":
        assert tried[401]  # some sign-in had verified the old password and came too late


def meet_in_pairs(patch: pytest.MonkeyPatch, threads: int) -> None:
    """Let no sign-in go on behind its check, and no reset behind its hash, before all of them are there."""
    barrier, seen = threading.Barrier(threads - 1), threading.local()
    for name in ("verify", "hash"):
        original = getattr(Passwords, name)

        def met(*args: Any, original: Any = original) -> Any:
            result = original(*args)
            if not getattr(seen, "before", False):
                seen.before = True
                barrier.wait(STUCK)
            return result

        patch.setattr(Passwords, name, met)


def test_s2_whatever_makes_links_void_waits_for_the_others_and_not_for_ever(arena: Site, plan: tuple[int, int]) -> None:
    """Resets by different links of one user, a change of the password and one of the address: no deadlock."""
    rounds, threads = plan
    seen: Counter[tuple[str, int]] = Counter()
    change = {"update_to": "new@example.com", "request_type": "change-email-verification"}
    for _ in range(rounds):
        ada = arena.sign_up("ada")
        user_id = store_link(arena)
        soon = clock.now() + timedelta(hours=1)
        rows = [
            {"id": f"link{i}", "identifier": f"reset-password:{i}", "value": user_id, "expires_at": soon}
            for i in range(threads)
        ]
        with arena.app.app_context(), arena.db.engine.begin() as connection:
            connection.execute(insert(arena.auth.Verification), rows)
        token = email_token(arena, user_id, "ada@example.com", **change)

        def act(number: int, ada: Any = ada, token: str = token) -> tuple[str, int]:
            what = ("reset", "address", "reset", "password")[number % 4]
            if what == "reset":
                body = {"token": str(number), "newPassword": f"password number {number}"}
                return what, arena.browser().post("/reset-password", body).status_code
            if what == "address":
                return what, arena.browser().get("/verify-email", query_string={"token": token}).status_code
            body = {"currentPassword": PASSWORD, "newPassword": "another good password"}
            return what, ada.post("/change-password", body).status_code

        seen.update(at_once(threads, act))
        assert arena.rows("verification") == []
        clear(arena)
    assert {status for _, status in seen} <= {200, 400, 401}, seen
    assert seen["reset", 200] + seen["address", 200] + seen["password", 200] >= rounds


def test_of_many_who_follow_one_link_that_proves_an_address_one_is_signed_in(
    make_arena: Callable[..., Site], plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    told: list[str] = []
    options = {
        "auto_sign_in_after_verification": True,
        "after_email_verification": lambda user: told.append(user["id"]),
    }
    arena = make_arena(email_verification=options)
    for number in range(rounds):
        arena.sign_up("ada")
        (user,) = arena.rows("user")
        query = {"token": email_token(arena, user.id, user.email)}
        with monkeypatch.context() as patch:
            meet_first(patch, users, "find", threads)  # to all of them the address was unproven
            answers = at_once(threads, lambda _, query=query: arena.browser().get("/verify-email", query_string=query))
        assert {(a.status_code, a.json["status"]) for a in answers} == {(200, True)}
        assert Counter("session_token" in str(a.headers.getlist("Set-Cookie")) for a in answers)[True] == 1
        assert len(arena.rows("session")) == 2  # that of the sign-up, and one more
        assert [user.email_verified for user in arena.rows("user")] == [True]
        assert len(told) == number + 1
        clear(arena)


def test_h7_of_many_links_to_change_an_address_one_counts(
    arena: Site, plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    for _ in range(rounds):
        arena.sign_up("ada")
        (user,) = arena.rows("user")
        change = {"request_type": "change-email-verification"}
        tokens = [
            email_token(arena, user.id, user.email, update_to=f"new{i}@example.com", **change) for i in range(threads)
        ]
        with monkeypatch.context() as patch:
            meet_after(patch, users, "find_by_id", threads)  # all of them had found the old address
            answers = at_once(
                threads,
                lambda i, tokens=tokens: arena.browser().get("/verify-email", query_string={"token": tokens[i]}),
            )
        statuses = [answer.status_code for answer in answers]
        assert Counter(statuses) == {200: 1, 401: threads - 1}
        assert [user.email for user in arena.rows("user")] == [f"new{statuses.index(200)}@example.com"]
        clear(arena)


def test_h7_of_many_users_who_prove_one_address_one_gets_it(arena: Site, plan: tuple[int, int]) -> None:
    rounds, threads = plan
    change = {"update_to": "new@example.com", "request_type": "change-email-verification"}
    for _ in range(max(1, rounds // 4)):
        for number in range(threads):
            arena.sign_up(f"racer{number}")
        tokens = [email_token(arena, user.id, user.email, **change) for user in arena.rows("user")]
        answers = at_once(
            threads, lambda i, tokens=tokens: arena.browser().get("/verify-email", query_string={"token": tokens[i]})
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 401: threads - 1}
        assert [user.email for user in arena.rows("user")].count("new@example.com") == 1
        clear(arena)


# ---------------------------------------------------------------- F11


def test_f11_of_many_first_passwords_one_is_set(
    arena: Site, plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    for _ in range(rounds):
        ada = arena.sign_up("ada")
        with arena.app.app_context(), arena.db.engine.begin() as connection:
            connection.execute(delete(arena.auth.Account))
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in ada.cookies.items())}

        def act(number: int, headers: dict[str, str] = headers) -> Response:
            password = f"password number {number}"
            answer: Response = arena.api.set_password(new_password=password, headers=headers, as_response=True)
            return answer

        with monkeypatch.context() as patch:
            meet_first(patch, Passwords, "hash", threads)  # all of them had found no password
            answers = at_once(threads, act)
        statuses = [answer.status_code for answer in answers]
        assert Counter(statuses) == {200: 1, 400: threads - 1}
        assert {a.json["code"] for a in answers if a.status_code == 400} == {"PASSWORD_ALREADY_SET"}
        assert len(arena.rows("account")) == 1
        body = {"email": "ada@example.com", "password": f"password number {statuses.index(200)}"}
        assert arena.browser().post("/sign-in/email", body).status_code == 200
        clear(arena)


# ---------------------------------------------------------------- S13, H11

DELETE = {"user": {"delete_user": {"enabled": True}}}


@pytest.mark.parametrize("meeting", ["at the start", "past the check of the password"])
def test_s13_no_session_outlives_the_deletion_of_its_user(
    make_arena: Callable[..., Site], plan: tuple[int, int], meeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    arena, seen = make_arena(**DELETE), Counter[tuple[str, int]]()
    password = {"password": PASSWORD}
    change = {"currentPassword": PASSWORD, "newPassword": PASSWORD, "revokeOtherSessions": True}
    acts: list[tuple[str, Callable[[Any], Response]]] = [
        ("delete", lambda browser: browser.post("/delete-user", password)),
        ("sign in", lambda browser: sign_in(arena)),
        ("refresh", lambda browser: browser.get("/get-session")),
        ("rename", lambda browser: browser.post("/update-user", {"name": "Changed"})),
        ("sign in", lambda browser: sign_in(arena)),
        ("change", lambda browser: browser.post("/change-password", change)),
    ]
    for number in range(rounds):
        # a change that is first ends the session of every deletion: without one in every other round
        acting = list(islice(cycle(acts[: len(acts) - 1 + number % 2]), threads))
        hashing = sum(what in ("delete", "sign in", "change") for what, _ in acting)
        ada = arena.sign_up("ada")
        cookies = dict(ada.cookies)

        def act(number: int, cookies: dict[str, str] = cookies, acting: list[Any] = acting) -> tuple[str, int]:
            browser = arena.browser()
            browser.cookies = dict(cookies)
            what, send = acting[number]
            return what, send(browser).status_code

        with monkeypatch.context() as patch:
            if meeting == "past the check of the password":
                meet_first(patch, Passwords, "verify", hashing)
            seen.update(at_once(threads, act))
        if arena.rows("user"):
            assert number % 2
            answer = arena.browser().post("/sign-in/email", {"email": "ada@example.com", **password})
            assert answer.status_code == 200
        else:
            assert [len(arena.rows(table)) for table in ("account", "session")] == [0, 0]
        clear(arena)
    assert seen["delete", 200] >= rounds / 2
    assert {status for _, status in seen} <= {200, 400, 401}, seen


def test_h11_of_many_links_followed_at_once_one_deletes(
    make_arena: Callable[..., Site], plan: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    tokens: list[str] = []
    gone: list[Any] = []
    sender = {"send_delete_account_verification": lambda user, url, token: tokens.append(token)}
    options = {**sender, "enabled": True, "after_delete": gone.append, "before_delete": lambda user: None}
    arena = make_arena(user={"delete_user": {**options, "after_delete": lambda user: gone.append(user["id"])}})
    for number in range(rounds):
        ada = arena.sign_up("ada")
        assert ada.post("/delete-user", {}).status_code == 200
        cookies = dict(ada.cookies)

        def act(number: int, cookies: dict[str, str] = cookies) -> Response:
            browser = arena.browser()
            browser.cookies = dict(cookies)
            return browser.get("/delete-user/callback", query_string={"token": tokens[-1]})

        with monkeypatch.context() as patch:
            meet_first(patch, verifications, "find", threads)  # to all of them the token was good
            answers = at_once(threads, act)
        statuses = Counter(answer.status_code for answer in answers)
        assert (statuses[200], set(statuses)) == (1, {200, 404}), statuses
        assert {a.json["code"] for a in answers if a.status_code != 200} == {"INVALID_TOKEN"}
        assert [len(arena.rows(table)) for table in ("user", "account", "session", "verification")] == [0] * 4
        assert len(gone) == number + 1


# ---------------------------------------------------------------- S15


@pytest.mark.parametrize("other", ["unlink", "delete", "change"])
def test_s15_of_many_unlinkings_at_once_one_account_stays(
    make_arena: Callable[..., Site], plan: tuple[int, int], other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, threads = plan
    arena = make_arena(**DELETE)
    change = {"currentPassword": PASSWORD, "newPassword": PASSWORD, "revokeOtherSessions": True}
    for _ in range(rounds):
        ada = arena.sign_up("ada")
        with arena.app.app_context():
            (user,), account = arena.rows("user"), arena.auth.Account
            linked = [account(user_id=user.id, provider_id=f"p{n}", account_id="1") for n in range(threads - 1)]
            arena.db.session.add_all(linked)
            arena.db.session.commit()
        ids = [row.id for row in arena.rows("account")]
        cookies = dict(ada.cookies)

        def act(number: int, ids: list[str] = ids, cookies: dict[str, str] = cookies) -> Response:
            browser = arena.browser()
            browser.cookies = dict(cookies)
            if number == 0 and other == "delete":
                return browser.post("/delete-user", {})
            if number == 0 and other == "change":
                return browser.post("/change-password", change)
            return browser.post("/unlink-account", {"accountId": ids[number]})

        with monkeypatch.context() as patch:
            if other == "unlink":
                meet_first(patch, accounts, "list_all", threads)  # all of them had found every account
            answers = at_once(threads, act)
        statuses = Counter(answer.status_code for answer in answers)
        left = [len(arena.rows(table)) for table in ("user", "account")]
        if other == "unlink":
            assert statuses == {200: threads - 1, 400: 1}
            assert [a.json["code"] for a in answers if a.status_code == 400] == ["FAILED_TO_UNLINK_LAST_ACCOUNT"]
            assert left == [1, 1]
        elif other == "delete":
            assert (answers[0].status_code, left) == (200, [0, 0])
        else:
            assert left[1] >= 1
        assert set(statuses) <= {200, 400, 401}, statuses
        clear(arena)


# ---------------------------------------------------------------- revoked between guard and write

WRITES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "update_user": (users, "update", {"name": "Changed"}),
    "update_session": (records, "update", {"theme": "dark"}),
    "change_password": (
        accounts,
        "change_password",
        {"current_password": PASSWORD, "new_password": "another good password"},
    ),
    "set_password": (accounts, "set_password", {"new_password": "another good password"}),
    "unlink_account": (records, "delete", {"account_id": "linked"}),
    "delete_user": (users, "delete", {}),
}


@pytest.mark.parametrize("name", WRITES)
def test_g5_a_session_that_is_revoked_before_the_write_writes_nothing(
    make_auth: Callable[..., Site], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_auth(session={"additional_fields": {"theme": {"required": False}}}, **DELETE)
    ada = site.sign_up("ada")
    if name == "unlink_account":
        with site.app.app_context():
            (user,) = site.rows("user")
            site.db.session.add(site.auth.Account(id="linked", user_id=user.id, provider_id="p", account_id="1"))
            site.db.session.commit()
    phone = site.browser()
    assert phone.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD}).status_code == 200
    owner, write, body = WRITES[name]
    if name == "set_password":
        with site.app.app_context(), site.db.engine.begin() as connection:
            connection.execute(delete(site.auth.Account))
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in ada.cookies.items())}
    with site.app.app_context():
        engine = site.db.engine
    original, ended = getattr(owner, write), []

    def revoke_then_write(*args: Any, **options: Any) -> Any:
        if ending is not None:
            with engine.begin() as other:
                ended.append(other.execute(delete(site.auth.Session).where(site.auth.Session.id == ending)).rowcount)
        return original(*args, **options)

    monkeypatch.setattr(owner, write, revoke_then_write)
    rows = ("user", "account")
    before = site.snapshot()
    ending: str | None = ada.session()["session"]["id"]
    answer = getattr(site.api, name)(body=body, headers=headers, as_response=True)
    assert (ended, answer.status_code, answer.json["code"]) == ([1], 401, "UNAUTHORIZED")
    assert "better-auth.session_token=; Max-Age=0" in answer.headers["Set-Cookie"]
    after = site.snapshot()
    assert [after[row] for row in rows] == [before[row] for row in rows]
    assert [row["theme"] for row in after["session"]] == [None]
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in phone.cookies.items())}
    ending = "another session"
    assert getattr(site.api, name)(body=body, headers=headers, as_response=True).status_code == 200
    assert site.snapshot() != after


# ---------------------------------------------------------------- S14


def test_s14_what_was_revoked_stays_so_whatever_else_happens(arena: Site, plan: tuple[int, int]) -> None:
    rounds, threads = plan
    seen: Counter[tuple[str, int]] = Counter()
    for _ in range(rounds):
        ada = arena.sign_up("ada")
        browsers = [ada, *(arena.browser() for _ in range(threads - 1))]
        for browser in browsers[1:]:
            assert browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD}).status_code == 200
        cookies = [dict(browser.cookies) for browser in browsers]
        acts: list[tuple[str, Callable[[Any], Response]]] = [
            ("revoke all", lambda browser: browser.post("/revoke-sessions")),
            ("refresh", lambda browser: browser.get("/get-session")),
            ("sign out", lambda browser: browser.post("/sign-out")),
            ("rename", lambda browser: browser.post("/update-user", {"name": "Changed"})),
            ("revoke others", lambda browser: browser.post("/revoke-other-sessions")),
        ]

        def act(number: int, browsers: list[Any] = browsers, acts: list[Any] = acts) -> tuple[str, int]:
            what, send = acts[number % len(acts)]
            return what, send(browsers[number]).status_code

        answers = at_once(threads, act)
        seen.update(answers)
        left = arena.rows("session")
        for number, jar in enumerate(cookies):
            if number % len(acts) in (0, 2):
                replayed = arena.browser()
                replayed.cookies = jar
                assert replayed.session() is None
        assert left == [] or ("revoke all", 200) not in answers
        clear(arena)
    assert {status for _, status in seen} <= {200, 401}, seen
