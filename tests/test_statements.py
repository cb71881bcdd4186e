"""How many statements a request costs, and that each endpoint needs one transaction at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site
from sqlalchemy import event

ADA = {"email": "ada@example.com", "password": PASSWORD}
CHANGE = {"currentPassword": PASSWORD, "newPassword": "another good password"}
BOB = {"name": "Bob", "email": "bob@example.com", "password": PASSWORD}


def set_password(browser: Browser) -> Any:
    """Only the server can."""
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    return browser.site.api.set_password(new_password=PASSWORD, headers=headers, as_response=True)


@contextmanager
def counted(site: Site) -> Iterator[dict[str, list[str]]]:
    """Collects the statements and the transactions of a block."""
    seen: dict[str, list[str]] = {"statements": [], "commits": []}
    with site.app.app_context():
        engine = site.db.engine

    def statement(conn: Any, cursor: Any, text: str, *rest: Any) -> None:
        seen["statements"].append(text.split(None, 1)[0])

    def commit(conn: Any) -> None:
        seen["commits"].append("COMMIT")

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)


@pytest.mark.parametrize(
    ("request_", "statements", "commits"),
    [
        (lambda browser: browser.get("/get-session"), ["SELECT"], 0),
        (lambda browser: browser.site.browser().get("/get-session"), [], 0),
        (lambda browser: browser.site.browser().post("/sign-in/email", ADA), ["SELECT", "INSERT"], 1),
        (
            lambda browser: browser.site.browser().post(
                "/sign-up/email", {**ADA, "email": "b@example.com", "name": "B"}
            ),
            ["SELECT", "INSERT", "INSERT", "INSERT"],
            1,
        ),
        (lambda browser: browser.post("/sign-out"), ["SELECT", "DELETE"], 1),
        (lambda browser: browser.get("/list-sessions"), ["SELECT", "SELECT"], 0),
        (lambda browser: browser.post("/update-user", {"name": "B"}), ["SELECT", "UPDATE", "SELECT"], 1),
        (lambda browser: browser.post("/update-session", {"theme": "dark"}), ["SELECT", "UPDATE", "SELECT"], 1),
        (lambda browser: browser.post("/revoke-session", {"token": "unknown"}), ["SELECT", "DELETE"], 1),
        (lambda browser: browser.post("/revoke-sessions"), ["SELECT", "DELETE"], 1),
        (lambda browser: browser.post("/revoke-other-sessions"), ["SELECT", "DELETE"], 1),
        (lambda browser: browser.post("/verify-password", {"password": PASSWORD}), ["SELECT", "SELECT"], 0),
        (
            lambda browser: browser.post("/change-password", CHANGE),
            ["SELECT", "SELECT", "UPDATE", "UPDATE", "SELECT", "SELECT"],
            1,
        ),
        (lambda browser: set_password(browser), ["SELECT", "SELECT"], 0),
        (lambda browser: browser.get("/list-accounts"), ["SELECT", "SELECT"], 0),
        (lambda browser: browser.post("/unlink-account", {"accountId": "x"}), ["SELECT", "SELECT"], 0),
        (
            lambda browser: browser.post("/delete-user", {"password": PASSWORD}),
            # session; account; then in one unit: hold the password, end accounts, lock the user, find links, end
            # sessions, go with whatever refers to them
            ["SELECT", "SELECT", "UPDATE", "DELETE", "UPDATE", "SELECT", "SELECT", *["DELETE"] * 4],
            1,
        ),
        (lambda browser: browser.get("/ok"), [], 0),
        (lambda browser: browser.post("/nope", {}), [], 0),
    ],
    ids=[
        "get-session",
        "anonymous",
        "sign-in",
        "sign-up",
        "sign-out",
        "list-sessions",
        "update-user",
        "update-session",
        "revoke-session",
        "revoke-sessions",
        "revoke-other-sessions",
        "verify-password",
        "change-password",
        "set-password",
        "list-accounts",
        "unlink-account",
        "delete-user",
        "ok",
        "unknown",
    ],
)
def test_statements_of_a_request(
    make_auth: Callable[..., Site], request_: Callable[[Browser], Any], statements: list[str], commits: int
) -> None:
    theme = {"additional_fields": {"theme": {"required": False}}}
    site = make_auth(session=theme, user={"delete_user": {"enabled": True}})
    browser = site.sign_up("ada")
    with counted(site) as seen:
        assert request_(browser).status_code < 500
    assert seen["statements"] == statements
    assert len(seen["commits"]) == commits


def test_no_connection_is_held_while_a_password_is_hashed(site: Site) -> None:
    """A slow hash must not empty the pool."""
    site.sign_up("ada")
    passwords = site.app.extensions["better_auth"].passwords
    held: list[int] = []
    with site.app.app_context():
        pool = site.db.engine.pool
    hash_, verify = passwords.hash, passwords.verify
    passwords.hash = lambda *a: held.append(pool.checkedout()) or hash_(*a)
    passwords.verify = lambda *a: held.append(pool.checkedout()) or verify(*a)
    site.browser().post("/sign-in/email", ADA)
    site.sign_up("bob")
    assert held == [0, 0]
