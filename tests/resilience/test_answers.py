"""SECURITY, failure policy: what clients, counters and listeners are told while the database is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import PASSWORD, Site
from sqlalchemy import event, exc

from flask_better_auth import Limit, signals

ADA = {"email": "ada@example.com", "password": PASSWORD}


class _Driver(Exception):
    """What a driver raises."""


@contextmanager
def away(site: Site, error: Exception, name: str = "before_cursor_execute") -> Iterator[None]:
    """Let every statement fail, or every commit."""
    with site.app.app_context():
        engine = site.db.engine

    def fail(*args: Any) -> None:
        raise error

    event.listen(engine, name, fail)
    try:
        yield
    finally:
        event.remove(engine, name, fail)


def gone() -> Exception:
    return exc.OperationalError("SELECT", {}, _Driver("gone"))


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """Every signal that was sent."""
    seen: list[Any] = []
    names = ("user_signed_up", "user_signed_in", "sign_in_failed", "password_changed", "user_deleted")

    def note(sender: Any, **what: Any) -> None:
        seen.append(what)

    for name in names:
        getattr(signals, name).connect(note)
    yield seen
    for name in names:
        getattr(signals, name).disconnect(note)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (gone(), 503),
        (exc.InterfaceError("SELECT", {}, _Driver("gone")), 503),
        (exc.TimeoutError("QueuePool limit"), 503),
        (exc.InternalError("SELECT", {}, _Driver("idle for too long"), connection_invalidated=True), 503),
        (exc.DatabaseError("SELECT", {}, _Driver("no message"), connection_invalidated=True), 503),
        (exc.ProgrammingError("SELECT", {}, _Driver("no such column")), 500),
        (exc.InternalError("SELECT", {}, _Driver("a failure of its own")), 500),
        (exc.InvalidRequestError("a mistake"), 500),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "connection_invalidated", "")),
)
def test_a_connection_that_breaks_by_any_name_is_503_and_a_mistake_is_not(
    site: Site, error: Exception, status: int
) -> None:
    ada = site.sign_up("ada")
    with away(site, error):
        for answer in (ada.get("/get-session"), site.browser().post("/sign-in/email", ADA)):
            assert answer.status_code == status
            assert "Set-Cookie" not in answer.headers
            if status == 503:
                assert (answer.json["code"], answer.headers["Retry-After"]) == ("SERVICE_UNAVAILABLE", "5")
            else:
                assert answer.data == b""
    assert ada.session()["user"]["email"] == "ada@example.com"


def test_a_commit_that_fails_hands_out_nothing_and_tells_nobody(
    make_auth: Callable[..., Site], told: list[Any]
) -> None:
    mails: list[Any] = []
    deleting = {"enabled": True, "after_delete": lambda user: mails.append(user)}
    site = make_auth(
        email_verification={"send_verification_email": lambda **m: mails.append(m), "send_on_sign_up": True},
        user={"delete_user": deleting},
    )
    ada = site.sign_up("ada")
    sent, before = (len(told), len(mails)), site.snapshot()
    cookies = dict(ada.cookies)
    change = {"currentPassword": PASSWORD, "newPassword": "another good password", "revokeOtherSessions": True}
    with away(site, gone(), "commit"):
        for path, body in (
            ("/sign-up/email", {**ADA, "email": "bob@example.com", "name": "Bob"}),
            ("/sign-in/email", ADA),
            ("/change-password", change),
            ("/delete-user", {"password": PASSWORD}),
            ("/sign-out", {}),
        ):
            answer = ada.post(path, body)
            assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE"), path
            assert "Set-Cookie" not in answer.headers, path
    assert (len(told), len(mails)) == sent
    assert (site.snapshot(), ada.cookies) == (before, cookies)
    assert ada.post("/change-password", change).status_code == 200


def test_an_outage_is_no_failed_attempt(make_auth: Callable[..., Site], told: list[Any]) -> None:
    limit = {"enabled": True, "max": 1000, "failures_per_account": Limit(2, per=3600), "custom_rules": {"**": False}}
    site = make_auth(rate_limit=limit)
    site.sign_up("ada")
    told.clear()
    for name in ("before_cursor_execute", "commit"):
        with away(site, gone(), name):
            for _ in range(4):
                assert site.browser().post("/sign-in/email", ADA).status_code == 503
    assert told == []
    assert site.browser().post("/sign-in/email", ADA).status_code == 200


def test_what_follows_the_answer_may_find_the_database_away(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    mails: list[Any] = []
    site = make_auth(email_and_password={"send_reset_password": lambda **message: mails.append(message)})
    site.sign_up("ada")
    with away(site, gone(), "commit"):
        answer = site.browser().post("/request-password-reset", {"email": "ada@example.com"})
    assert (answer.status_code, answer.json["status"]) == (200, True)
    assert mails == []
    assert "work after" in caplog.text
    assert site.rows("verification") == []
