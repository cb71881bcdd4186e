"""``current_user``, ``current_session`` and the decorators, in views and templates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from conftest import Site
from flask import g, render_template_string, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, inspect
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from flask_better_auth import UserMixin, current_session, current_user, fresh_login_required, login_required


@pytest.fixture
def host(make_auth: Any) -> Site:
    """An application with views of its own."""
    site: Site = make_auth(settings={"BETTER_AUTH_SESSION_FRESH_AGE": "3600"})

    @site.app.get("/me")
    @login_required
    def me() -> Any:
        return {"name": current_user.name, "token": current_session.token}

    @site.app.get("/careful")
    @fresh_login_required
    def careful() -> Any:
        return {"name": current_user.name}

    @site.app.get("/page")
    def page() -> str:
        return render_template_string("{% if current_user %}{{ current_user.name }}{% else %}nobody{% endif %}")

    return site


def statements(site: Site, run: Any) -> list[str]:
    seen: list[str] = []
    with site.app.app_context():
        engine = site.db.engine

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        run()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return seen


def test_the_user_and_the_session_of_the_request(host: Site) -> None:
    browser = host.sign_up("ada")
    assert browser.get("~/me").json == {"name": "Ada", "token": browser.session()["session"]["token"]}


def test_nobody_is_falsy_and_not_authenticated(host: Site) -> None:
    @host.app.get("/who")
    def who() -> Any:
        return {"user": bool(current_user), "is": current_user.is_authenticated, "session": bool(current_session)}

    assert host.browser().get("~/who").json == {"user": False, "is": False, "session": False}
    assert host.sign_up("ada").get("~/who").json == {"user": True, "is": True, "session": True}


def test_outside_a_request_there_is_nobody() -> None:
    assert not current_user
    assert not current_session


def test_templates_know_the_user(host: Site) -> None:
    assert host.browser().get("~/page").text == "nobody"
    assert host.sign_up("ada").get("~/page").text == "Ada"


def test_one_statement_a_request_and_none_where_it_is_not_touched(host: Site) -> None:
    @host.app.get("/twice")
    def twice() -> str:
        return f"{current_user.name}{current_user.email}{current_session.id}{bool(current_user)}"

    @host.app.get("/plain")
    def plain() -> str:
        return "plain"

    browser = host.sign_up("ada")
    assert len(statements(host, lambda: browser.get("~/twice"))) == 1
    assert statements(host, lambda: browser.get("~/plain")) == []
    assert statements(host, lambda: host.browser().get("~/me")) == [], "nothing to look up without a cookie"


def test_it_is_the_model_of_the_application_in_its_session(host: Site) -> None:
    @host.app.get("/model")
    def model() -> Any:
        user = current_user._get_current_object()
        assert isinstance(user, host.auth.User)
        assert inspect(user).session is host.db.session()
        assert host.db.engine.pool.checkedout() == 0, "no connection is held"
        sessions = [s.token for s in user.sessions]
        user.name = "Renamed"
        host.db.session.commit()
        return {"sessions": len(sessions)}

    browser = host.sign_up("ada")
    assert browser.get("~/model").json == {"sessions": 1}
    assert browser.session()["user"]["name"] == "Renamed"


def test_what_comes_with_it_by_a_join_is_what_the_application_has_of_it(make_auth: Any) -> None:
    db = SQLAlchemy()

    class Team(db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[int] = mapped_column(primary_key=True)

    class Member(UserMixin, db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "user"
        team_id: Mapped[int | None] = mapped_column(db.ForeignKey("team.id"))
        team: Mapped[Team | None] = db.relationship(lazy="joined")

    site: Site = make_auth(db=db, user_model=Member)

    @site.app.get("/team")
    def team() -> Any:
        own = db.session.get(Team, 1) if "first" in request.args else None
        found = current_user.team
        return {"same": own is found or (own is None and found in db.session)}

    browser = site.sign_up("ada")
    with site.app.app_context():
        db.session.add(Team(id=1))
        db.session.flush()
        db.session.scalars(db.select(Member)).one().team_id = 1
        db.session.commit()
    assert browser.get("~/team").json == browser.get("~/team?first").json == {"same": True}


def test_reading_it_flushes_nothing_and_keeps_changes_of_the_application(host: Site) -> None:
    @host.app.get("/dirty")
    def dirty() -> str:
        user = host.db.session.scalar(host.db.select(host.auth.User))
        user.name = "Unsaved"
        pending = host.auth.User(name=None, email="bob@example.com")
        host.db.session.add(pending)
        name = current_user.name
        assert pending in host.db.session.new
        host.db.session.rollback()
        return name

    assert host.sign_up("ada").get("~/dirty").text == "Unsaved"


def test_an_own_write_shows_in_the_instance(host: Site) -> None:
    @host.app.get("/rename")
    def rename() -> str:
        assert current_user.name == "Ada"
        host.api.update_user(body={"name": "Renamed"}, headers=request.headers)
        return str(current_user.name)

    assert host.sign_up("ada").get("~/rename").text == "Renamed"


def test_a_due_refresh_leaves_with_the_answer_of_the_view(host: Site) -> None:
    browser = host.sign_up("ada")
    assert "Set-Cookie" not in browser.get("~/me").headers
    later = datetime.now(timezone.utc) + timedelta(days=2)
    with time_machine.travel(later):
        answer = browser.get("~/me")
        assert answer.headers["Set-Cookie"].startswith("better-auth.session_token=")
    assert answer.headers["Vary"] == "Cookie"
    (session,) = host.rows("session")
    assert abs(session.expires_at - later - timedelta(days=7)) < timedelta(seconds=5)


def test_a_session_that_is_over_is_forgotten(host: Site) -> None:
    browser = host.sign_up("ada")
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=8)):
        answer = browser.get("~/me")
    assert answer.status_code == 401
    assert browser.cookies == {}


def test_an_answer_that_depends_on_the_cookie_says_so(host: Site) -> None:
    assert host.browser().get("~/page").headers["Vary"] == "Cookie"


@pytest.mark.parametrize(
    ("accept", "login_url", "status"),
    [
        ("application/json", "/login", 401),
        ("*/*", "/login", 401),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "/login", 302),
        ("text/html", None, 401),
    ],
)
def test_strangers_get_json_or_the_login_page(make_auth: Any, accept: str, login_url: str | None, status: int) -> None:
    site = make_auth(login_url=login_url)

    @site.app.get("/me")
    @login_required
    def me() -> str:
        return "me"

    answer = site.browser().get("~/me?x=1", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 302:
        assert answer.headers["Location"] == "/login?next=%2Fme%3Fx%3D1"
    else:
        assert answer.json == {"message": "Unauthorized", "code": "UNAUTHORIZED"}


def test_an_old_sign_in_is_not_fresh(host: Site) -> None:
    browser = host.sign_up("ada")
    assert browser.get("~/careful").status_code == 200
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=2)):
        assert browser.get("~/me").status_code == 200
        answer = browser.get("~/careful")
    assert (answer.status_code, answer.json["code"]) == (403, "SESSION_NOT_FRESH")
    assert host.browser().get("~/careful").status_code == 401


def test_the_database_being_away_is_not_nobody(host: Site) -> None:
    browser = host.sign_up("ada")

    def away(*args: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    with host.app.app_context():
        engine = host.db.engine
    event.listen(engine, "before_cursor_execute", away)
    try:
        host.app.config["PROPAGATE_EXCEPTIONS"] = True
        with pytest.raises(OperationalError) as caught:
            browser.get("~/me")
        answer = browser.get("/get-session")
    finally:
        event.remove(engine, "before_cursor_execute", away)
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "5")
    assert "Set-Cookie" not in answer.headers
    assert caught.value.hide_parameters, "no token in the application's log"


def test_the_outer_user_never_leaks_into_an_inner_call(host: Site) -> None:
    seen: list[Any] = []

    def look(call: Any) -> None:
        seen.append(current_user.name if current_user else None)

    host.app.extensions["better_auth"].hooks.before = (type(host.app.extensions["better_auth"].hooks)(look)).before

    @host.app.get("/inner")
    def inner() -> str:
        g.mark = "outer"
        name = current_user.name
        host.api.ok()
        host.api.ok(headers=request.headers)
        assert (current_user.name, g.mark) == (name, "outer")
        return str(name)

    browser = host.sign_up("ada")
    seen.clear()
    assert browser.get("~/inner").text == "Ada"
    assert seen == [None, "Ada"]


@pytest.mark.parametrize("days", [2, 8], ids=["due", "over"])
def test_a_write_of_the_application_only_delays_ours(host: Site, days: int) -> None:
    """On SQLite nobody else can write meanwhile: extending or deleting the session waits for another request."""

    @host.app.get("/writing")
    def writing() -> str:
        host.db.session.add(host.auth.Verification(identifier="x", value="y", expires_at=datetime.now(timezone.utc)))
        host.db.session.flush()
        name = current_user.name if current_user else "nobody"
        host.db.session.commit()
        return str(name)

    browser = host.sign_up("ada")
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=days)):
        assert browser.get("~/writing").text == ("Ada" if days == 2 else "nobody")
    assert len(host.rows("verification")) == 1
