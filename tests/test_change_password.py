"""Changing, checking and setting passwords, through both doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import FAST, PASSWORD, Browser, Site
from sqlalchemy import delete, update
from test_statements import counted

from flask_better_auth import APIError, DatabaseHooks, signals
from flask_better_auth.passwords import Passwords

NEW = "another good password"
CHANGE = {"currentPassword": PASSWORD, "newPassword": NEW}


def signs_in(site: Site, password: str, **more: Any) -> Browser | None:
    browser = site.browser()
    answer = browser.post("/sign-in/email", {"email": "ada@example.com", "password": password, **more})
    return browser if answer.status_code == 200 else None


def without_password(site: Site) -> Browser:
    """A user who has none."""
    browser = site.sign_up("ada")
    with site.app.app_context():
        site.db.session.execute(delete(site.auth.Account))
        site.db.session.commit()
    return browser


def headers(browser: Browser) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}


@pytest.fixture
def changed() -> Iterator[list[dict[str, Any]]]:
    """What ``password_changed`` has told."""
    told: list[dict[str, Any]] = []

    def note(sender: Any, user: dict[str, Any]) -> None:
        told.append(user)

    signals.password_changed.connect(note)
    yield told
    signals.password_changed.disconnect(note)


# ---------------------------------------------------------------- change


def test_password_is_changed_and_every_session_goes_on(site: Site, door: Any, changed: list[Any]) -> None:
    ada = site.sign_up("ada")
    phone = signs_in(site, PASSWORD)
    answer = door(site)("change_password", CHANGE, cookies=ada.cookies)
    user = ada.session()["user"]
    assert (answer.status_code, answer.json) == (200, {"token": None, "user": user})
    assert "Set-Cookie" not in answer.headers
    assert phone is not None
    assert phone.session() is not None
    assert signs_in(site, PASSWORD) is None
    assert signs_in(site, NEW) is not None
    assert [(told["id"], PASSWORD in str(told), "$argon2" in str(told)) for told in changed] == [
        (user["id"], False, False)
    ]


def test_f10_revoking_the_others_makes_one_new_session(site: Site, door: Any) -> None:
    ada = site.sign_up("ada")
    phone, old = signs_in(site, PASSWORD), ada.session()["session"]
    answer = door(site)("change_password", {**CHANGE, "revokeOtherSessions": True}, cookies=ada.cookies)
    (session,) = site.rows("session")
    assert (answer.status_code, answer.json["token"]) == (200, session.token)
    assert session.token != old["token"]
    assert session.id != old["id"]
    (line,) = answer.headers.getlist("Set-Cookie")
    assert line.startswith(f"better-auth.session_token={session.token}.")
    assert phone is not None
    assert phone.session() is None
    assert ada.session() is None  # with the old cookie
    ada.cookies = {"better-auth.session_token": line.partition(";")[0].partition("=")[2]}
    assert ada.session()["session"]["id"] == session.id


def test_session_that_is_not_remembered_is_followed_by_one_that_is_not(site: Site) -> None:
    site.sign_up("ada")
    ada = signs_in(site, PASSWORD, rememberMe=False)
    assert ada is not None
    answer = ada.post("/change-password", {**CHANGE, "revokeOtherSessions": True})
    lines = answer.headers.getlist("Set-Cookie")
    assert [line.partition("=")[0] for line in lines] == ["better-auth.session_token", "better-auth.dont_remember"]
    assert not any("Max-Age" in line for line in lines)
    (session,) = site.rows("session")
    assert session.expires_at - session.created_at == timedelta(days=1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"currentPassword": "wrong password"}, "INVALID_PASSWORD"),
        ({"currentPassword": ""}, "INVALID_PASSWORD"),
        ({"currentPassword": "wrong password", "newPassword": "short"}, "PASSWORD_TOO_SHORT"),
        ({"newPassword": "short"}, "PASSWORD_TOO_SHORT"),
        ({"newPassword": "x" * 129}, "PASSWORD_TOO_LONG"),
        ({"currentPassword": "x" * 129}, "PASSWORD_TOO_LONG"),
        ({"revokeOtherSessions": None}, "VALIDATION_ERROR"),
        ({"revokeOtherSessions": "true"}, "VALIDATION_ERROR"),
    ],
)
def test_f10_what_is_refused_changes_nothing(
    site: Site, door: Any, body: dict[str, Any], code: str, changed: list[Any]
) -> None:
    ada = site.sign_up("ada")
    signs_in(site, PASSWORD)
    before = site.snapshot()
    answer = door(site)("change_password", {**CHANGE, "revokeOtherSessions": True, **body}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert "Set-Cookie" not in answer.headers
    assert (site.snapshot(), changed) == (before, [])
    assert ada.post("/change-password", CHANGE).status_code == 200  # and is what was wrong with it


@pytest.mark.parametrize("row", ["gone", "without a password", "of another flow"])
def test_user_without_a_password_cannot_change_it(site: Site, door: Any, row: str) -> None:
    ada = site.sign_up("ada")
    account = site.auth.Account
    statement = {
        "gone": delete(account),
        "without a password": update(account).values(password=None),
        "of another flow": update(account).values(account_id="somebody@example.com"),
    }[row]
    with site.app.app_context():
        site.db.session.execute(statement)
        site.db.session.commit()
    before = site.snapshot()
    answer = door(site)("change_password", CHANGE, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "CREDENTIAL_ACCOUNT_NOT_FOUND")
    answer = door(site)("verify_password", {"password": PASSWORD}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "INVALID_PASSWORD")
    assert site.snapshot() == before


def test_change_and_new_session_are_made_together_or_not_at_all(make_auth: Callable[..., Site]) -> None:
    refuse: list[bool] = []
    hooks = {"create": {"before": lambda row, call: not refuse}}
    site = make_auth(database_hooks=DatabaseHooks(session=hooks))
    ada = site.sign_up("ada")
    before = site.snapshot()
    refuse.append(True)
    answer = ada.post("/change-password", {**CHANGE, "revokeOtherSessions": True})
    assert answer.json["code"] == "FAILED_TO_CREATE_SESSION"
    assert site.snapshot() == before
    refuse.clear()
    assert ada.post("/change-password", {**CHANGE, "revokeOtherSessions": True}).status_code == 200


def test_hook_that_cancels_the_change_does_not_make_it_a_success(
    make_auth: Callable[..., Site], changed: list[Any]
) -> None:
    hooks = {"update": {"before": lambda row, call: False}}
    site = make_auth(database_hooks=DatabaseHooks(account=hooks))
    ada = site.sign_up("ada")
    before = site.snapshot()
    assert ada.post("/change-password", {**CHANGE, "revokeOtherSessions": True}).status_code == 400
    assert (site.snapshot(), changed) == (before, [])


def test_hash_that_a_sign_in_made_anew_meanwhile_is_verified_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = site.sign_up("ada")
    with site.app.app_context():
        engine = site.db.engine
    verify, verdicts = Passwords.verify, []

    def verify_then_rehash(self: Passwords, stored: str | None, password: str) -> bool:
        verdicts.append(verify(self, stored, password))
        if len(verdicts) == 1:
            with engine.begin() as other:
                other.execute(update(site.auth.Account).values(password=FAST.hash(PASSWORD)))
        return verdicts[-1]

    monkeypatch.setattr(Passwords, "verify", verify_then_rehash)
    assert ada.post("/change-password", CHANGE).status_code == 200
    assert verdicts == [True, True]
    assert signs_in(site, NEW) is not None


# ---------------------------------------------------------------- verify


def test_password_is_verified(site: Site, door: Any) -> None:
    ada = site.sign_up("ada")
    before = site.snapshot()
    answer = door(site)("verify_password", {"password": PASSWORD}, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, {"status": True})
    for password, code in (("wrong", "INVALID_PASSWORD"), ("", "INVALID_PASSWORD"), ("x" * 129, "PASSWORD_TOO_LONG")):
        answer = door(site)("verify_password", {"password": password}, cookies=ada.cookies)
        assert (answer.status_code, answer.json["code"]) == (400, code)
    assert site.snapshot() == before


# ---------------------------------------------------------------- set


@pytest.mark.parametrize("row", ["no account", "account without a password"])
def test_user_without_a_password_gets_one(site: Site, row: str, changed: list[Any]) -> None:
    ada = site.sign_up("ada")
    account = site.auth.Account
    with site.app.app_context():
        empty = delete(account) if row == "no account" else update(account).values(password=None)
        site.db.session.execute(empty)
        site.db.session.commit()
    assert signs_in(site, NEW) is None
    assert site.api.set_password(new_password=NEW, headers=headers(ada)) == {"status": True}
    (made,) = site.rows("account")
    assert (made.provider_id, made.account_id, made.user_id) == (
        "credential",
        made.user_id,
        ada.session()["user"]["id"],
    )
    assert signs_in(site, NEW) is not None
    assert len(changed) == 1


def test_f11_password_that_is_there_is_not_set_again(site: Site, changed: list[Any]) -> None:
    ada = site.sign_up("ada")
    before = site.snapshot()
    with pytest.raises(APIError) as caught:
        site.api.set_password(new_password=NEW, headers=headers(ada))
    assert (caught.value.code, caught.value.status_code) == ("PASSWORD_ALREADY_SET", 400)
    assert (site.snapshot(), changed) == (before, [])


@pytest.mark.parametrize(("password", "code"), [("short", "PASSWORD_TOO_SHORT"), ("x" * 129, "PASSWORD_TOO_LONG")])
def test_password_that_is_set_keeps_the_policy(site: Site, password: str, code: str) -> None:
    ada = without_password(site)
    with pytest.raises(APIError) as caught:
        site.api.set_password(new_password=password, headers=headers(ada))
    assert caught.value.code == code
    assert site.rows("account") == []


def test_f11_setting_a_password_needs_a_session_and_has_no_route(site: Site) -> None:
    ada = without_password(site)
    before = site.snapshot()
    for given in ({}, {"headers": {}}, {"headers": {"Cookie": "better-auth.session_token=x.y"}}):
        with pytest.raises(APIError) as caught:
            site.api.set_password(new_password=NEW, **given)
        assert caught.value.code == "UNAUTHORIZED"
    for path in ("/set-password", "/set_password", "/setPassword"):
        answer = ada.post(path, {"newPassword": NEW, "new_password": NEW})
        assert (answer.status_code, answer.data) == (404, b"")
    assert site.snapshot() == before
    assert site.api.set_password(new_password=NEW, headers=headers(ada)) == {"status": True}


# ---------------------------------------------------------------- what it costs


def test_statements_of_a_change(site: Site) -> None:
    ada = site.sign_up("ada")
    with counted(site) as seen:
        assert ada.post("/change-password", {**CHANGE, "revokeOtherSessions": True}).status_code == 200
    # session; account; then in one unit: change, lock the user, links to reset it, end all sessions, open one
    assert seen["statements"] == ["SELECT", "SELECT", "UPDATE", "UPDATE", "SELECT", "DELETE", "INSERT"]
    assert len(seen["commits"]) == 1
