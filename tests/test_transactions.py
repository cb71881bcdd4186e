"""Who commits: own units, joining the application's transaction, and the conflicts between the two."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import PASSWORD, Site
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from sqlalchemy.pool import StaticPool

from flask_better_auth import DatabaseHooks, TransactionConflict, signals

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
def noted(make_auth: Any) -> Site:
    """An application with a table of its own."""
    db = SQLAlchemy()

    class Note(db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        id = db.Column(db.Integer, primary_key=True)
        text = db.Column(db.String(50), nullable=False)

    site: Site = make_auth(db=db)
    site.Note = Note  # type: ignore[attr-defined]
    return site


def notes(site: Any) -> int:
    with site.app.app_context():
        return int(site.db.session.scalar(site.db.select(site.db.func.count()).select_from(site.Note)))


def test_a_pending_object_stays_pending(noted: Any) -> None:
    with noted.app.app_context():
        invalid = noted.Note(text=None)
        noted.db.session.add(invalid)
        noted.api.sign_up_email(**ADA)
        assert invalid in noted.db.session.new
        noted.db.session.rollback()
    assert notes(noted) == 0
    assert len(noted.rows("user")) == 1


def test_own_units_survive_the_rollback_of_the_application(noted: Any) -> None:
    with noted.app.app_context():
        noted.api.sign_up_email(**ADA)
        noted.db.session.add(noted.Note(text="x"))
        noted.db.session.rollback()
    assert len(noted.rows("user")) == 1


@pytest.mark.parametrize("flushed", [False, True])
def test_a_joined_call_commits_with_the_application(noted: Any, flushed: bool) -> None:
    with noted.app.app_context():
        noted.db.session.add(noted.Note(text="x"))
        if flushed:
            noted.db.session.flush()
        noted.api.sign_up_email(**ADA, session=noted.db.session)
        noted.db.session.commit()
    assert (notes(noted), len(noted.rows("user")), len(noted.rows("session"))) == (1, 1, 1)


@pytest.mark.parametrize("flushed", [False, True])
def test_a_joined_call_is_rolled_back_with_the_application(noted: Any, flushed: bool) -> None:
    with noted.app.app_context():
        noted.db.session.add(noted.Note(text="x"))
        if flushed:
            noted.db.session.flush()
        noted.api.sign_up_email(**ADA, session=noted.db.session)
        noted.db.session.rollback()
    assert (notes(noted), noted.rows("user"), noted.rows("session")) == (0, [], [])


def test_a_joined_call_without_rows_of_the_application_is_rolled_back_too(noted: Any) -> None:
    with noted.app.app_context():
        noted.api.sign_up_email(**ADA, session=noted.db.session)
        noted.db.session.rollback()
    assert noted.rows("user") == []


def test_a_joined_call_sees_what_the_view_flushed(site: Site) -> None:
    user = site.auth.User(name="Ada", email="ada@example.com")
    with site.app.app_context():
        site.db.session.add(user)
        site.db.session.flush()
        answer = site.api.sign_up_email(**ADA, session=site.db.session, as_response=True)
        assert answer.status_code == 422
        site.db.session.rollback()


def test_a_failure_in_a_joined_call_leaves_the_transaction_of_the_application_whole(noted: Any) -> None:
    def refuse(data: dict[str, Any], call: Any) -> None:
        raise RuntimeError("no session today")

    noted.app.extensions["better_auth"].database_hooks = DatabaseHooks(session={"create": {"before": refuse}})
    with noted.app.app_context():
        noted.db.session.add(noted.Note(text="x"))
        with pytest.raises(RuntimeError):
            noted.api.sign_up_email(**ADA, session=noted.db.session)
        noted.db.session.commit()
    assert (notes(noted), noted.rows("user")) == (1, [])


def test_after_commit_work_of_a_joined_call_waits_for_the_application(site: Site) -> None:
    seen: list[str] = []

    def receive(sender: Any, user: dict[str, Any], **more: Any) -> None:
        seen.append(user["email"])

    with site.app.app_context(), signals.user_signed_up.connected_to(receive, site.app):
        site.api.sign_up_email(**ADA, session=site.db.session)
        assert seen == []
        with site.db.session.begin_nested():
            site.db.session.execute(text("SELECT 1"))
        assert seen == [], "releasing a SAVEPOINT is no commit"
        site.db.session.commit()
        assert seen == ["ada@example.com"]
        site.db.session.execute(text("SELECT 1"))
        site.db.session.commit()
        assert seen == ["ada@example.com"], "once"


def test_after_commit_work_of_a_joined_call_is_forgotten_on_rollback(site: Site) -> None:
    seen: list[Any] = []

    def receive(sender: Any, **more: Any) -> None:
        seen.append(more)

    with site.app.app_context(), signals.user_signed_up.connected_to(receive, site.app):
        site.api.sign_up_email(**ADA, session=site.db.session)
        site.db.session.rollback()
        site.db.session.execute(text("SELECT 1"))
        site.db.session.commit()
    assert seen == []


def test_after_commit_work_is_forgotten_when_a_savepoint_around_it_is_rolled_back(site: Site) -> None:
    seen: list[Any] = []

    def receive(sender: Any, **more: Any) -> None:
        seen.append(more)

    with site.app.app_context(), signals.user_signed_up.connected_to(receive, site.app):
        savepoint = site.db.session.begin_nested()
        site.api.sign_up_email(**ADA, session=site.db.session)
        savepoint.rollback()
        site.db.session.commit()
    assert (seen, site.rows("user")) == ([], [])


def test_an_uncommitted_write_of_the_application_is_a_conflict_at_once(noted: Any, dialect: str) -> None:
    noted.sign_up("ada")
    with noted.app.app_context():
        user = noted.db.session.scalar(noted.db.select(noted.auth.User))
        user.name = "Changed"
        noted.db.session.flush()
        # on SQLite the whole database is locked, elsewhere the row: signing in does not touch it
        body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        if dialect == "sqlite":
            with pytest.raises(TransactionConflict, match="pass session"):
                noted.api.sign_up_email(**{**body, "email": "bob@example.com"})
        else:
            noted.api.sign_up_email(**{**body, "email": "bob@example.com"})
        noted.db.session.rollback()


def test_a_row_that_the_application_has_locked_is_a_conflict_after_five_seconds(site: Site, dialect: str) -> None:
    browser = site.sign_up("ada")
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    with site.app.app_context():
        site.db.session.scalar(site.db.select(site.auth.User).with_for_update())
        user = site.db.session.scalar(site.db.select(site.auth.User))
        user.image = "x"
        site.db.session.flush()
        with pytest.raises(TransactionConflict):
            site.api.update_user(body={"name": "Other"}, headers=cookie)
        site.db.session.rollback()
    site.api.update_user(body={"name": "Other"}, headers=cookie)
    (row,) = site.rows("user")
    assert row.name == "Other"


def test_waiting_for_locks_is_as_before_after_a_conflict(site: Site, dialect: str) -> None:
    """The bound on waiting belongs to the unit, and not to the connection that goes back to the pool."""
    question = {"postgresql": "SHOW lock_timeout", "mysql": "SELECT @@SESSION.innodb_lock_wait_timeout"}.get(dialect)
    if question is None:
        return
    with site.app.app_context():
        before = site.db.session.scalar(text(question))
        site.api.sign_up_email(**ADA)  # db.session holds a connection: the unit bounds its waiting
        site.db.session.remove()
        for _ in range(3):
            with site.db.engine.connect() as connection:
                assert connection.scalar(text(question)) == before


def test_a_call_from_a_database_hook_does_not_wait_for_itself(make_auth: Any, dialect: str) -> None:
    caught: list[Exception] = []

    def nested(data: dict[str, Any], call: Any) -> None:
        try:
            site.api.create_user(name="Bob", email="bob@example.com")
        except TransactionConflict as error:
            caught.append(error)

    site = make_auth(database_hooks=DatabaseHooks(session={"create": {"before": nested}}))
    site.sign_up("ada")
    assert bool(caught) == (dialect == "sqlite")


def test_an_in_memory_database_shared_with_the_application_is_always_checked(dialect: str) -> None:
    from conftest import build_site, tear_down

    if dialect != "sqlite":
        return
    site = build_site("sqlite://", engine_options={"poolclass": StaticPool})
    try:
        site.sign_up("ada")
        with site.app.app_context():
            user = site.db.session.scalar(site.db.select(site.auth.User))
            user.name = "Changed"
            site.db.session.flush()
            with pytest.raises(TransactionConflict):
                site.api.create_user(name="Bob", email="bob@example.com")
            site.db.session.rollback()
        (row,) = site.rows("user")
        assert row.name == "Ada"
    finally:
        tear_down(site)


def test_work_of_a_unit_whose_commit_fails_is_never_done(make_auth: Any) -> None:
    seen: list[Any] = []
    site = make_auth(database_hooks=DatabaseHooks(user={"create": {"after": lambda user, call: seen.append(user)}}))

    def fail(connection: Any) -> None:
        raise RuntimeError("the commit fails")

    with site.app.app_context():
        engine = site.db.engine
    event.listen(engine, "commit", fail)
    try:
        with pytest.raises(RuntimeError, match="the commit fails"):
            site.api.create_user(name="Ada", email="ada@example.com")
    finally:
        event.remove(engine, "commit", fail)
    assert (seen, site.rows("user")) == ([], [])
    site.api.create_user(name="Ada", email="ada@example.com")
    assert len(seen) == 1
