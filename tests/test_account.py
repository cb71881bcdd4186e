"""Listing and unlinking ways of signing in, and users who delete themselves, through both doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from conftest import PASSWORD, Browser, Site
from test_statements import counted

from flask_better_auth import APIError, DatabaseHooks, ErrorCode, clock, signals

DELETED = {"success": True, "message": "User deleted"}
SENT = {"success": True, "message": "Verification email sent"}
ROWS = ("user", "session", "account")


def link(site: Site, provider: str, **values: Any) -> str:
    """Give Ada another way of signing in: the identifier of the row."""
    with site.app.app_context():
        user = site.db.session.scalars(site.db.select(site.auth.User).filter_by(email="ada@example.com")).one()
        made = {"account_id": f"{provider}-1", "created_at": clock.now() + timedelta(seconds=1), **values}
        account = site.auth.Account(user_id=user.id, provider_id=provider, **made)
        site.db.session.add(account)
        site.db.session.commit()
        return str(account.id)


def headers(browser: Browser) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}


def left(site: Site) -> list[int]:
    """How many users, sessions and accounts there are."""
    return [len(site.rows(table)) for table in ROWS]


@pytest.fixture
def outbox() -> list[dict[str, Any]]:
    """What was mailed."""
    return []


@pytest.fixture
def deleted() -> Iterator[list[dict[str, Any]]]:
    """What ``user_deleted`` has told."""
    told: list[dict[str, Any]] = []

    def note(sender: Any, user: dict[str, Any]) -> None:
        told.append(user)

    signals.user_deleted.connect(note)
    yield told
    signals.user_deleted.disconnect(note)


@pytest.fixture
def make_deleting(make_auth: Callable[..., Site]) -> Callable[..., Site]:
    """Builds applications whose users may delete themselves."""

    def make(database_hooks: DatabaseHooks | None = None, **options: Any) -> Site:
        return make_auth(user={"delete_user": {"enabled": True, **options}}, database_hooks=database_hooks)

    return make


@pytest.fixture
def deleting(make_deleting: Callable[..., Site]) -> Site:
    """One that sends no mails."""
    return make_deleting()


@pytest.fixture
def mailing(make_deleting: Callable[..., Site], outbox: list[dict[str, Any]]) -> Site:
    """One that sends mails."""
    return make_deleting(send_delete_account_verification=lambda **message: outbox.append(message))


# ---------------------------------------------------------------- list-accounts


def test_accounts_are_listed_oldest_first_without_what_they_hold(make_auth: Callable[..., Site], door: Any) -> None:
    secret = {"required": False, "default": "hidden", "returned": False}
    note = {"required": False, "default": "shown"}
    site = make_auth(account={"additional_fields": {"note": note, "inner_note": secret}})
    ada = site.sign_up("ada")
    site.sign_up("bob")
    linked = link(site, "github", scope="read:user,user:email", access_token="at-1", refresh_token="rt-1", note="mine")
    first, second = door(site)("list_user_accounts", cookies=ada.cookies).json
    user = ada.session()["user"]
    assert set(first) == {"id", "accountId", "providerId", "userId", "createdAt", "updatedAt", "scopes", "note"}
    assert (first["providerId"], first["accountId"], first["userId"]) == ("credential", user["id"], user["id"])
    assert (first["scopes"], first["note"]) == ([], "shown")
    assert (second["id"], second["providerId"], second["accountId"]) == (linked, "github", "github-1")
    assert (second["scopes"], second["note"]) == (["read:user", "user:email"], "mine")


def test_accounts_are_listed_to_the_server_under_python_names(site: Site) -> None:
    ada = site.sign_up("ada")
    (account,) = site.api.list_user_accounts(headers=headers(ada))
    assert (account["provider_id"], account["scopes"]) == ("credential", [])
    assert account["created_at"].tzinfo is not None


def test_accounts_are_listed_to_nobody_else(site: Site, door: Any) -> None:
    site.sign_up("ada")
    answer = door(site)("list_user_accounts")
    assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHORIZED")


# ---------------------------------------------------------------- unlink-account


def test_account_is_unlinked_by_its_id(site: Site, door: Any) -> None:
    ada, linked = site.sign_up("ada"), link(site, "github")
    answer = door(site)("unlink_account", {"accountId": linked}, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, {"status": True})
    assert [account.provider_id for account in site.rows("account")] == ["credential"]
    assert ada.session() is not None


@pytest.mark.parametrize("wanted", ["the last", "unknown", ""])
def test_i8_the_last_account_stays_whichever_is_asked_for(site: Site, door: Any, wanted: str) -> None:
    ada = site.sign_up("ada")
    (account,) = site.rows("account")
    body = {"accountId": account.id if wanted == "the last" else wanted}
    answer = door(site)("unlink_account", body, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_UNLINK_LAST_ACCOUNT")
    assert len(site.rows("account")) == 1


def test_the_last_account_may_go_where_that_is_configured(make_auth: Callable[..., Site], door: Any) -> None:
    site = make_auth(account={"account_linking": {"allow_unlinking_all": True}})
    ada = site.sign_up("ada")
    (account,) = site.rows("account")
    invoke = door(site)
    assert invoke("unlink_account", {"accountId": account.id}, cookies=ada.cookies).json == {"status": True}
    assert site.rows("account") == []
    answer = invoke("unlink_account", {"accountId": account.id}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")


@pytest.mark.parametrize("wanted", ["of somebody else", "in other letters", "with a space", "provider"])
def test_i9_an_account_that_is_not_the_callers_is_not_found(site: Site, door: Any, wanted: str) -> None:
    bob = site.sign_up("bob")
    ada, linked = site.sign_up("ada"), link(site, "github")
    (bobs,) = site.api.list_user_accounts(headers=headers(bob))
    account_id = {
        "of somebody else": bobs["id"],
        "in other letters": linked.swapcase(),
        "with a space": linked + " ",
        "provider": "github",
    }[wanted]
    answer = door(site)("unlink_account", {"accountId": account_id}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")
    assert len(site.rows("account")) == 3


def test_unlinking_needs_a_session_opened_lately(site: Site, door: Any) -> None:
    ada, linked = site.sign_up("ada"), link(site, "github")
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        answer = door(site)("unlink_account", {"accountId": linked}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (403, "SESSION_NOT_FRESH")
    assert len(site.rows("account")) == 2


def test_a_hook_that_cancels_an_unlinking_is_no_success(make_auth: Callable[..., Site]) -> None:
    site = make_auth(database_hooks=DatabaseHooks(account={"delete": {"before": lambda row, call: False}}))
    ada, linked = site.sign_up("ada"), link(site, "github")
    assert ada.post("/unlink-account", {"accountId": linked}).json["code"] == "ACCOUNT_NOT_FOUND"
    assert len(site.rows("account")) == 2


# ---------------------------------------------------------------- delete-user


@pytest.mark.parametrize("body", [{"password": PASSWORD}, {}, {"password": ""}], ids=["password", "fresh", "empty"])
def test_user_is_deleted_with_all_that_is_theirs(
    deleting: Site, door: Any, deleted: list[Any], body: dict[str, str]
) -> None:
    ada, bob = deleting.sign_up("ada"), deleting.sign_up("bob")
    link(deleting, "github")
    phone = deleting.browser()
    phone.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    user = ada.session()["user"]
    answer = door(deleting)("delete_user", body, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, DELETED)
    cleared = [line.partition("=")[0] for line in answer.headers.getlist("Set-Cookie") if "Max-Age=0" in line]
    assert cleared == [f"better-auth.{name}" for name in ("session_token", "session_data", "dont_remember")]
    assert left(deleting) == [1, 1, 1]
    assert (ada.session(), phone.session(), bob.session() is not None) == (None, None, True)
    assert [told["id"] for told in deleted] == [user["id"]]
    assert deleting.sign_up("ada").session()["user"]["id"] != user["id"]


def test_user_of_an_old_session_gives_the_password(deleting: Site, door: Any) -> None:
    ada = deleting.sign_up("ada")
    invoke = door(deleting)
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        for body in ({}, {"password": ""}):
            answer = invoke("delete_user", body, cookies=ada.cookies)
            assert (answer.status_code, answer.json["code"]) == (400, "SESSION_EXPIRED")
        assert left(deleting) == [1, 1, 1]
        assert invoke("delete_user", {"password": PASSWORD}, cookies=ada.cookies).json == DELETED
    assert left(deleting) == [0, 0, 0]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"password": "wrong password"}, 400, "INVALID_PASSWORD"),
        ({"password": "wrong password", "token": "unknown"}, 400, "INVALID_PASSWORD"),
        ({"password": "x" * 129}, 400, "PASSWORD_TOO_LONG"),
        ({"password": PASSWORD, "token": "unknown"}, 404, "INVALID_TOKEN"),
        ({"token": "unknown"}, 404, "INVALID_TOKEN"),
        ({"password": 5}, 400, "VALIDATION_ERROR"),
        ({"token": None}, 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
    ],
    ids=str,
)
def test_deletion_is_refused(deleting: Site, door: Any, deleted: list[Any], body: Any, status: int, code: str) -> None:
    ada = deleting.sign_up("ada")
    before = deleting.snapshot()
    answer = door(deleting)("delete_user", body, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert (deleting.snapshot(), deleted) == (before, [])
    assert ada.session() is not None


def test_user_without_a_password_cannot_give_one(deleting: Site, door: Any) -> None:
    ada, _ = deleting.sign_up("ada"), link(deleting, "github")
    credential = next(a for a in deleting.rows("account") if a.provider_id == "credential")
    assert ada.post("/unlink-account", {"accountId": credential.id}).status_code == 200
    answer = door(deleting)("delete_user", {"password": PASSWORD}, cookies=ada.cookies)
    assert (answer.status_code, answer.json["code"]) == (400, "CREDENTIAL_ACCOUNT_NOT_FOUND")
    assert ada.post("/delete-user", {}).json == DELETED


@pytest.mark.parametrize("name", ["delete_user", "delete_user_callback"])
def test_deletion_is_off_until_it_is_configured(site: Site, door: Any, name: str) -> None:
    ada = site.sign_up("ada")
    body, query = ({}, None) if name == "delete_user" else (..., {"token": "unknown"})
    answer = door(site)(name, body, cookies=ada.cookies, query=query)
    assert (answer.status_code, answer.json["code"]) == (404, "NOT_FOUND")
    assert left(site) == [1, 1, 1]


def test_link_in_the_mail_deletes_and_leads_on(
    mailing: Site, door: Any, outbox: list[dict[str, Any]], deleted: list[Any]
) -> None:
    ada, invoke = mailing.sign_up("ada"), door(mailing)
    answer = invoke("delete_user", {"password": PASSWORD, "callbackURL": "/bye?x=1&y=2"}, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, SENT)
    assert "Set-Cookie" not in answer.headers
    assert left(mailing) == [1, 1, 1]
    (message,) = outbox
    user, token = message["user"], message["token"]
    assert (user["email"], len(token)) == ("ada@example.com", 32)
    base = "http://localhost/api/auth"
    target = "%2Fbye%3Fx%3D1%26y%3D2"
    assert message["url"] == f"{base}/delete-user/callback?token={token}&callbackURL={target}"
    query = {"token": token, "callbackURL": "/bye?x=1&y=2"}
    answer = invoke("delete_user_callback", cookies=ada.cookies, query=query)
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, "/bye?x=1&y=2", b"")
    assert len([line for line in answer.headers.getlist("Set-Cookie") if "Max-Age=0" in line]) == 3
    assert left(mailing) == [0, 0, 0]
    assert mailing.rows("verification") == []
    assert [told["id"] for told in deleted] == [user["id"]]


def test_link_without_a_target_answers_as_json(mailing: Site, door: Any, outbox: list[dict[str, Any]]) -> None:
    ada = mailing.sign_up("ada")
    assert ada.post("/delete-user", {}).json == SENT
    assert outbox[0]["url"].endswith("&callbackURL=%2F")
    answer = door(mailing)("delete_user_callback", cookies=ada.cookies, query={"token": outbox[0]["token"]})
    assert (answer.status_code, answer.json) == (200, DELETED)
    assert left(mailing) == [0, 0, 0]


def test_token_in_the_body_deletes(mailing: Site, door: Any, outbox: list[dict[str, Any]]) -> None:
    ada = mailing.sign_up("ada")
    with time_machine.travel(clock.now() + timedelta(hours=25)):  # the mail is proof enough, whatever the session
        assert ada.post("/delete-user", {}).json == SENT
        answer = door(mailing)("delete_user", {"token": outbox[0]["token"]}, cookies=ada.cookies)
    assert (answer.status_code, answer.json) == (200, DELETED)
    assert left(mailing) == [0, 0, 0]


def test_token_is_over_when_its_time_has_come(
    make_deleting: Callable[..., Site], door: Any, outbox: list[dict[str, Any]]
) -> None:
    site = make_deleting(send_delete_account_verification=lambda **m: outbox.append(m), delete_token_expires_in=600)
    ada = site.sign_up("ada")
    assert ada.post("/delete-user", {}).json == SENT
    now, query = clock.now(), {"token": outbox[0]["token"]}
    invoke = door(site)
    with time_machine.travel(now + timedelta(seconds=601)):
        answer = invoke("delete_user_callback", cookies=ada.cookies, query=query)
        assert (answer.status_code, answer.json["code"]) == (404, "INVALID_TOKEN")
    assert left(site) == [1, 1, 1]
    with time_machine.travel(now + timedelta(seconds=590)):
        assert invoke("delete_user_callback", cookies=ada.cookies, query=query).json == DELETED


def test_token_in_other_hands_deletes_nobody_and_is_used_up(
    mailing: Site, door: Any, outbox: list[dict[str, Any]]
) -> None:
    ada, bob = mailing.sign_up("ada"), mailing.sign_up("bob")
    assert ada.post("/delete-user", {}).json == SENT
    for browser in (bob, ada):
        query = {"token": outbox[0]["token"]}
        answer = door(mailing)("delete_user_callback", cookies=browser.cookies, query=query)
        assert (answer.status_code, answer.json["code"]) == (404, "INVALID_TOKEN")
    assert left(mailing) == [2, 2, 2]


def test_what_the_application_raises_first_stops_the_deletion(
    make_deleting: Callable[..., Site], door: Any, outbox: list[dict[str, Any]], deleted: list[Any]
) -> None:
    paying = ErrorCode("Cancel your subscription first", 409, "STILL_PAYING")
    order: list[Any] = []

    def before(user: dict[str, Any]) -> None:
        order.append(("before", user["email"], left(site)))
        if len(order) == 1:
            raise APIError(paying)

    site = make_deleting(
        send_delete_account_verification=lambda **m: outbox.append(m),
        before_delete=before,
        after_delete=lambda user: order.append(("after", user["email"], left(site))),
    )
    ada, invoke = site.sign_up("ada"), door(site)
    assert ada.post("/delete-user", {}).json == SENT
    assert order == []
    query = {"token": outbox[0]["token"]}
    answer = invoke("delete_user_callback", cookies=ada.cookies, query=query)
    assert (answer.status_code, answer.json) == (409, {"code": "STILL_PAYING", "message": paying.message})
    assert (left(site), deleted) == ([1, 1, 1], [])
    assert invoke("delete_user_callback", cookies=ada.cookies, query=query).json == DELETED  # it was not used up
    assert order == [
        ("before", "ada@example.com", [1, 1, 1]),
        ("before", "ada@example.com", [1, 1, 1]),
        ("after", "ada@example.com", [0, 0, 0]),
    ]


def test_failure_after_the_deletion_changes_no_answer(
    make_deleting: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(user: dict[str, Any]) -> None:
        raise RuntimeError("no crm")

    site = make_deleting(after_delete=fail)
    assert site.sign_up("ada").post("/delete-user", {}).json == DELETED
    assert "no crm" in caplog.text
    assert left(site) == [0, 0, 0]


@pytest.mark.parametrize("table", ["user", "account"])
def test_hooks_of_the_tables_run_and_may_cancel(make_deleting: Callable[..., Site], table: str) -> None:
    seen: list[Any] = []
    hooks = {
        name: {"delete": {"after": lambda row, call, name=name: seen.append((name, row["id"]))}}
        for name in ("session", "verification")
    }
    hooks[table] = {"delete": {"before": lambda row, call: False if cancels else None}}
    site = make_deleting(DatabaseHooks(**hooks))
    ada = site.sign_up("ada")
    before, cancels = site.snapshot(), table == "user"
    answer = ada.post("/delete-user", {})
    if cancels:
        assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_DELETE_USER")
        assert (site.snapshot(), seen) == (before, [])
    else:
        assert answer.json == DELETED
        assert seen == [("session", before["session"][0]["id"])]
        assert left(site) == [0, 0, 0]


def test_deletion_joins_the_transaction_of_the_application(deleting: Site, deleted: list[Any]) -> None:
    ada = deleting.sign_up("ada")
    with deleting.app.app_context():
        joined = deleting.db.session
        assert deleting.auth.api.delete_user(headers=headers(ada), body={}, session=joined) == DELETED
        joined.rollback()
        assert (left(deleting), deleted) == ([1, 1, 1], [])
        assert deleting.auth.api.delete_user(headers=headers(ada), body={}, session=joined) == DELETED
        joined.commit()
    assert (left(deleting), len(deleted)) == ([0, 0, 0], 1)


def test_deletion_takes_one_transaction(deleting: Site) -> None:
    ada = deleting.sign_up("ada")
    with counted(deleting) as seen:
        assert ada.post("/delete-user", {"password": PASSWORD}).json == DELETED
    assert len(seen["commits"]) == 1
