"""Ending and changing sessions: what the endpoints do, through both doors, and what the server may do by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site
from sqlalchemy import update
from test_statements import counted

from flask_better_auth import APIError, DatabaseHooks, clock, signals
from flask_better_auth.plugins import Username

COOKIES = {"better-auth.session_token", "better-auth.session_data", "better-auth.dont_remember"}
THEME = {"session": {"additional_fields": {"theme": {"required": False}, "rank": {"required": False, "input": False}}}}


def another(browser: Browser, who: str = "ada", **more: Any) -> Browser:
    """A further browser of the same user."""
    other = browser.site.browser()
    body = {"email": f"{who}@example.com", "password": PASSWORD, **more}
    assert other.post("/sign-in/email", body).status_code == 200
    return other


def token(browser: Browser) -> str:
    return str(browser.session()["session"]["token"])


def cleared(answer: Any) -> set[str]:
    return {line.partition("=")[0] for line in answer.headers.getlist("Set-Cookie") if "Max-Age=0" in line.split("; ")}


@pytest.fixture
def revoked() -> Any:
    """What ``session_revoked`` has told."""
    told: list[dict[str, Any]] = []

    def note(sender: Any, session: dict[str, Any]) -> None:
        told.append(session)

    signals.session_revoked.connect(note)
    yield told
    signals.session_revoked.disconnect(note)


# ---------------------------------------------------------------- revoke


def test_a_session_of_ones_own_is_revoked_by_its_token(site: Site, door: Any, revoked: list[Any]) -> None:
    ada = site.sign_up("ada")
    phone, tablet = another(ada), another(ada)
    gone = phone.session()["session"]
    answer = door(site)("revoke_session", {"token": gone["token"]}, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, {"status": True})
    assert "Set-Cookie" not in answer.headers
    assert phone.session() is None
    assert ada.session()
    assert tablet.session()
    assert [(told["id"], "token" in told) for told in revoked] == [(gone["id"], False)]


def test_revoking_the_own_session_signs_out(site: Site, door: Any) -> None:
    ada = site.sign_up("ada")
    answer = door(site)("revoke_session", {"token": token(ada)}, cookies=ada.cookies)
    assert (answer.status_code, cleared(answer)) == (200, COOKIES)
    assert ada.session() is None


def test_all_sessions_end_at_once(site: Site, door: Any, revoked: list[Any]) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    phone = another(ada)
    answer = door(site)("revoke_sessions", cookies=ada.cookies)
    assert (answer.status_code, answer.json, cleared(answer)) == (200, {"status": True}, COOKIES)
    assert ada.session() is phone.session() is None
    assert bob.session() is not None
    assert len(revoked) == 2


def test_all_sessions_but_this_one_end_at_once(site: Site, door: Any, revoked: list[Any]) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    phone, tablet = another(ada), another(ada)
    answer = door(site)("revoke_other_sessions", cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, {"status": True})
    assert "Set-Cookie" not in answer.headers
    assert phone.session() is tablet.session() is None
    assert ada.session()
    assert bob.session()
    assert len(revoked) == 2


def test_sessions_that_are_over_already_are_revoked_too(site: Site) -> None:
    ada = site.sign_up("ada")
    another(ada)
    with site.app.app_context():
        session = site.auth.Session
        over = update(session).where(session.token != token(ada)).values(expires_at=clock.now() - timedelta(days=1))
        site.db.session.execute(over)
        site.db.session.commit()
    assert ada.post("/revoke-other-sessions").status_code == 200
    assert len(site.rows("session")) == 1


@pytest.mark.parametrize("path", ["/revoke-sessions", "/revoke-other-sessions"])
@pytest.mark.parametrize("others", [1, 5])
def test_many_sessions_cost_no_more_statements_than_one(site: Site, path: str, others: int) -> None:
    ada = site.sign_up("ada")
    for _ in range(others):
        another(ada)
    with counted(site) as seen:
        assert ada.post(path).status_code == 200
    assert seen["statements"] == ["SELECT", "DELETE"]
    assert len(seen["commits"]) == 1


def test_delete_hooks_see_each_session_once(make_auth: Callable[..., Site], revoked: list[Any]) -> None:
    before: list[str] = []
    after: list[str] = []
    hooks = {
        "before": lambda row, call: before.append(row["id"]),
        "after": lambda row, call: after.append(row["id"]),
    }
    site = make_auth(database_hooks=DatabaseHooks(session={"delete": hooks}))
    ada = site.sign_up("ada")
    another(ada), another(ada)
    ids = sorted(session.id for session in site.rows("session"))
    assert ada.post("/revoke-sessions").status_code == 200
    assert sorted(before) == sorted(after) == sorted(told["id"] for told in revoked) == ids


def test_after_hooks_alone_cost_no_statement(make_auth: Callable[..., Site]) -> None:
    after: list[str] = []
    hooks = {"after": lambda row, call: after.append(row["id"])}
    site = make_auth(database_hooks=DatabaseHooks(session={"delete": hooks}))
    ada = site.sign_up("ada")
    another(ada)
    with counted(site) as seen:
        assert ada.post("/revoke-sessions").status_code == 200
    assert seen["statements"] == ["SELECT", "DELETE"]
    assert len(set(after)) == len(after) == 2


def test_a_hook_can_keep_one_session_of_many(make_auth: Callable[..., Site], revoked: list[Any]) -> None:
    kept: list[str] = []
    hooks = {"before": lambda row, call: row["id"] not in kept}
    site = make_auth(database_hooks=DatabaseHooks(session={"delete": hooks}))
    ada = site.sign_up("ada")
    phone = another(ada)
    kept.append(phone.session()["session"]["id"])
    assert ada.post("/revoke-sessions").status_code == 200
    assert [session.id for session in site.rows("session")] == kept
    assert len(revoked) == 1


def test_database_that_does_not_tell_what_it_deleted_is_asked_row_by_row(
    site: Site, revoked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL knows no RETURNING, MariaDB and the others do."""
    ada = site.sign_up("ada")
    another(ada)
    with site.app.app_context():
        monkeypatch.setattr(site.db.engine.dialect, "delete_returning", False)
    with counted(site) as seen:
        assert ada.post("/revoke-sessions").status_code == 200
    assert seen["statements"] == ["SELECT", "SELECT", "DELETE", "DELETE"]
    assert (site.rows("session"), len(revoked)) == ([], 2)


# ---------------------------------------------------------------- update


def test_additional_fields_of_the_session_are_changed(make_auth: Callable[..., Site], door: Any) -> None:
    site = make_auth(**THEME)
    ada = site.sign_up("ada")
    before = ada.session()["session"]
    answer = door(site)("update_session", {"theme": "dark"}, cookies=ada.cookies)
    assert answer.status_code == 200
    after = ada.session()["session"]
    assert answer.json == {"session": after}
    changed = {name for name in before if before[name] != after[name]}
    assert changed - {"updatedAt"} == {"theme"}
    (line,) = answer.headers.getlist("Set-Cookie")
    assert line.startswith(f"better-auth.session_token={after['token']}.")
    assert "Max-Age=604800" in line


def test_session_that_is_not_remembered_stays_so_when_it_is_changed(make_auth: Callable[..., Site]) -> None:
    site = make_auth(**THEME)
    site.sign_up("ada")
    ada = another(site.browser(), rememberMe=False)
    answer = ada.post("/update-session", {"theme": "dark"})
    assert answer.status_code == 200
    assert not any("Max-Age" in line for line in answer.headers.getlist("Set-Cookie"))
    (session,) = [row for row in site.rows("session") if row.theme == "dark"]
    assert session.expires_at - session.created_at == timedelta(days=1)


@pytest.mark.parametrize("body", [{}, {"unknown": 1}, {"expiresAt": "2099-01-01T00:00:00.000Z"}])
def test_nothing_to_change_is_refused(make_auth: Callable[..., Site], door: Any, body: dict[str, Any]) -> None:
    site = make_auth(**THEME)
    ada = site.sign_up("ada")
    answer = door(site)("update_session", body, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (400, {"message": "No fields to update"})


def test_field_that_clients_may_not_set_is_refused(make_auth: Callable[..., Site]) -> None:
    site = make_auth(**THEME)
    ada = site.sign_up("ada")
    answer = ada.post("/update-session", {"theme": "dark", "rank": "general"})
    assert (answer.status_code, answer.json["code"]) == (400, "FIELD_NOT_ALLOWED")
    assert [(row.theme, row.rank) for row in site.rows("session")] == [(None, None)]


# ---------------------------------------------------------------- the server, in its own name


def test_server_lists_the_sessions_of_any_user(site: Site) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    phone = another(ada)
    user_id = ada.session()["user"]["id"]
    found = site.api.list_sessions(user_id=user_id)
    assert [session["token"] for session in found] == [token(ada), token(phone)]
    assert site.api.list_sessions(user_id=user_id, headers={"Cookie": "x=y"}) == found
    assert site.api.list_sessions(user_id="nobody") == []
    assert bob.session()


def test_server_revokes_one_session_or_all_of_a_user(site: Site, revoked: list[Any]) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    phone, tablet = another(ada), another(ada)
    assert site.api.revoke_session(session_id=phone.session()["session"]["id"]) == {"status": True}
    assert phone.session() is None
    assert tablet.session()
    assert site.api.revoke_session(session_id="gone") == {"status": True}
    headers, result = site.api.revoke_sessions(user_id=ada.session()["user"]["id"], return_headers=True)
    assert (result, "Set-Cookie" in headers) == ({"status": True}, False)
    assert ada.session() is tablet.session() is None
    assert bob.session()
    assert len(revoked) == 3


def test_server_changes_any_user(make_auth: Callable[..., Site]) -> None:
    site = make_auth(user={"additional_fields": {"plan": {"required": False, "input": False}}})
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    user_id, others = ada.session()["user"]["id"], bob.session()["user"]
    data = {"name": "Countess", "plan": "gold", "email_verified": True, "image": None}
    assert site.api.update_user(user_id=user_id, data=data) == {"status": True}
    user = ada.session()["user"]
    assert (user["name"], user["plan"], user["emailVerified"]) == ("Countess", "gold", True)
    assert bob.session()["user"] == others


def test_server_changes_columns_of_plugins_too(make_auth: Callable[..., Site]) -> None:
    site = make_auth(plugins=[Username()])
    ada = site.sign_up("ada")
    site.api.update_user(user_id=ada.session()["user"]["id"], data={"username": "countess"})
    assert ada.session()["user"]["username"] == "countess"


def test_new_address_that_the_server_gives_is_not_proven_unless_it_says_so(site: Site) -> None:
    ada = site.sign_up("ada")
    user_id = ada.session()["user"]["id"]
    site.api.update_user(user_id=user_id, data={"email_verified": True})
    site.api.update_user(user_id=user_id, data={"email": "ADA@example.com"})
    assert ada.session()["user"]["emailVerified"] is True
    site.api.update_user(user_id=user_id, data={"email": "Countess@Example.com"})
    user = ada.session()["user"]
    assert (user["email"], user["emailVerified"]) == ("countess@example.com", False)
    site.api.update_user(user_id=user_id, data={"email": "l@example.com", "email_verified": True})
    assert ada.session()["user"]["emailVerified"] is True


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"id": "mine"}, "FIELD_NOT_ALLOWED"),
        ({"name": "B", "created_at": clock.now()}, "FIELD_NOT_ALLOWED"),
        ({"emailVerified": True}, "FIELD_NOT_ALLOWED"),
        ({"password": "another password"}, "FIELD_NOT_ALLOWED"),
        ({"email": "no address"}, "VALIDATION_ERROR"),
        ({"email": None}, "VALIDATION_ERROR"),
        ({"name": None}, "VALIDATION_ERROR"),
        ({"email_verified": "yes"}, "VALIDATION_ERROR"),
        ({"email": "BOB@example.com"}, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
        ({}, None),
        (None, "VALIDATION_ERROR"),
        ("name", "VALIDATION_ERROR"),
    ],
)
def test_nonsense_of_the_server_is_refused(site: Site, data: Any, code: str | None) -> None:
    ada = site.sign_up("ada")
    site.sign_up("bob")
    user_id = ada.session()["user"]["id"]
    before = site.snapshot()
    with pytest.raises(APIError) as caught:
        site.api.update_user(user_id=user_id, data=data)
    assert caught.value.code == code
    assert site.snapshot() == before
    site.api.update_user(user_id=user_id, data={"name": "B"})
    assert site.snapshot() != before


def test_server_is_told_that_a_user_is_not_there(site: Site) -> None:
    with pytest.raises(APIError) as caught:
        site.api.update_user(user_id="nobody", data={"name": "B"})
    assert (caught.value.code, caught.value.status_code) == ("USER_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list_sessions", {"user_id": None}),
        ("list_sessions", {"user_id": 5.5}),
        ("list_sessions", {"user_id": True}),
        ("revoke_session", {"session_id": None}),
        ("revoke_sessions", {"user_id": None}),
        ("update_user", {"user_id": None, "data": {"name": "B"}}),
        ("update_user", {"data": {"name": "B"}}),
        ("update_user", {"user_id": "x"}),
    ],
)
def test_server_must_say_whom_it_means(site: Site, name: str, arguments: dict[str, Any]) -> None:
    """``current_user.id`` of nobody is None, and must not stand for the caller or for everybody."""
    ada = site.sign_up("ada")
    before = site.snapshot()
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in ada.cookies.items())}
    with pytest.raises(APIError) as caught:
        getattr(site.api, name)(**arguments, headers=headers)
    assert caught.value.code == "VALIDATION_ERROR"
    assert site.snapshot() == before


# ---------------------------------------------------------------- cleanup


def test_cleanup_takes_what_is_over_and_nothing_else(site: Site, revoked: list[Any]) -> None:
    ada = site.sign_up("ada")
    with site.app.app_context():
        user_id, now = ada.session()["user"]["id"], clock.now()
        for number in range(1203):
            over = now - timedelta(seconds=number) if number < 1201 else now + timedelta(hours=number)
            site.db.session.add(site.auth.Session(user_id=user_id, token=f"t{number}", expires_at=over))
        for number in range(3):
            over = now + timedelta(hours=number * 2 - 1)
            site.db.session.add(site.auth.Verification(identifier=f"i{number}", value="v", expires_at=over))
        site.db.session.commit()
    assert site.api.cleanup() == {"session": 1201, "verification": 1}
    assert sorted(row.token for row in site.rows("session")) == sorted(["t1201", "t1202", token(ada)])
    assert sorted(row.identifier for row in site.rows("verification")) == ["i1", "i2"]
    assert site.api.cleanup() == {"session": 0, "verification": 0}
    assert revoked == []  # they were over, nobody ended them


def test_cleanup_ends_though_a_hook_keeps_every_row(make_auth: Callable[..., Site]) -> None:
    site = make_auth(database_hooks=DatabaseHooks(session={"delete": {"before": lambda row, call: False}}))
    site.sign_up("ada")
    with site.app.app_context():
        site.db.session.execute(update(site.auth.Session).values(expires_at=clock.now()))
        site.db.session.commit()
    assert site.api.cleanup()["session"] == 0
    assert len(site.rows("session")) == 1
