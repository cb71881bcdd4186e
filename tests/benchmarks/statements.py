"""How many statements and transactions one request of each endpoint takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import request
from sqlalchemy import event

from flask_better_auth import Call, clock
from flask_better_auth.services import email_links
from flask_better_auth.wire import wire_name

from . import site as sites
from .measure import Report
from .site import PASSWORD, Site, backend, sender, sign_up

#: Options of the extension without which an endpoint only refuses.
OPTIONS: dict[str, Any] = {
    "email_and_password": {"send_reset_password": lambda **_: None},
    "email_verification": {"send_verification_email": lambda **_: None},
    "user": {"change_email": {"enabled": True}, "delete_user": {"enabled": True}},
    "session": {"additional_fields": {"theme": {"type": "string", "required": False}}},
}
Body = Callable[[str], Mapping[str, Any]]


def credentials(email: str) -> dict[str, Any]:
    """What the user of an address signs in with."""
    return {"email": email, "password": PASSWORD}


def newcomer(email: str) -> dict[str, Any]:
    """What somebody else signs up with."""
    return {"name": "New", **credentials(f"new-{email}")}


def forget_passwords(site: Site) -> None:
    """Leave users without a password, as if they came by a provider."""
    with site.app.app_context():
        site.db.session.execute(site.db.delete(site.auth.Account))
        site.db.session.commit()


def newest(site: Site) -> Any:
    """The user who has just signed up."""
    user = site.auth.User
    return site.db.session.scalars(site.db.select(user).order_by(user.created_at.desc(), user.email)).first()


def mail_link(site: Site, identifier: str = "reset-password:link") -> None:
    """Store what a link to set a new password holds, or another one."""
    with site.app.app_context():
        soon = clock.now() + timedelta(hours=1)
        row = site.auth.Verification(identifier=identifier, value=newest(site).id, expires_at=soon)
        site.db.session.add(row)
        site.db.session.commit()


def deletion_link(site: Site) -> None:
    """Store what a link to delete oneself holds."""
    mail_link(site, "delete-account-link")


def provider(site: Site) -> None:
    """Give a user a second way of signing in."""
    with site.app.app_context():
        row = site.auth.Account(id="linked", account_id="1", provider_id="github", user_id=newest(site).id)
        site.db.session.add(row)
        site.db.session.commit()


def proof(site: Site) -> str:
    """A token that proves the address of the user who has just signed up."""
    with site.app.test_request_context():
        user = newest(site)
        call = Call(site.app.extensions["better_auth"], None, request)
        return "token=" + email_links.make_token(call, email_links.Claims(user.email, None, None, user.id))


@dataclass(frozen=True)
class Case:
    """One request of an endpoint, by a user who is signed in.

    Args:
        statements: how many it may send.
        body: makes its body from the address of the user.
        query: its query string, or what makes it.
        prepare: what must be so before.
    """

    statements: int
    body: Body | None = None
    query: str | Callable[[Site], str] = ""
    prepare: Callable[[Site], None] | None = None


#: One for every endpoint in the registry.
CASES: dict[str, Case] = {
    "ok": Case(0),
    "error": Case(0, query="error=nope"),
    "get_session": Case(1),
    "list_sessions": Case(2),
    "sign_in_email": Case(2, credentials),
    "sign_up_email": Case(4, newcomer),
    "sign_out": Case(2),
    "update_user": Case(3, lambda email: {"name": "Ada Lovelace"}),
    "request_password_reset": Case(2, lambda email: {"email": email}),
    "create_user": Case(2, newcomer),
    "update_session": Case(3, lambda email: {"theme": "dark"}),
    "revoke_session": Case(2, lambda email: {"token": "unknown"}),
    "revoke_sessions": Case(2),
    "revoke_other_sessions": Case(2),
    "verify_password": Case(2, lambda email: {"password": PASSWORD}),
    "request_password_reset_callback": Case(1, query="callbackURL=/new", prepare=mail_link),
    "reset_password": Case(8, lambda email: {"new_password": f"new {PASSWORD}"}, query="token=link", prepare=mail_link),
    "send_verification_email": Case(1, lambda email: {"email": email}),
    "verify_email": Case(3, query=proof),
    "change_email": Case(2, lambda email: {"new_email": f"newer-{email}"}),
    "list_user_accounts": Case(2),
    "unlink_account": Case(6, lambda email: {"account_id": "linked"}, prepare=provider),
    "delete_user": Case(11, lambda email: {"password": PASSWORD}),
    "delete_user_callback": Case(11, query="token=link", prepare=deletion_link),
    "change_password": Case(6, lambda email: {"current_password": PASSWORD, "new_password": f"new {PASSWORD}"}),
    "set_password": Case(7, lambda email: {"new_password": PASSWORD}, prepare=forget_passwords),
    "cleanup": Case(2),
}


@contextmanager
def counted(site: Site) -> Iterator[dict[str, int]]:
    """Counts the statements and the transactions that a block commits."""
    seen = {"statements": 0, "transactions": 0}
    with site.app.app_context():
        engine = site.db.engine

    def statement(*_: Any) -> None:
        seen["statements"] += 1

    def commit(_: Any) -> None:
        seen["transactions"] += 1

    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)


def run(report: Report, url: str) -> None:
    """Send a request to every endpoint in the registry; one without a case fails the command."""
    report.title(f"Statements and transactions of a request, on {backend(url)}")
    hasher = PasswordHasher.from_parameters(CHEAPEST)
    with sites.site(url, testing=True, password_hash=hasher, **OPTIONS) as site:
        for name, bound in site.app.extensions["better_auth"].registry.by_name.items():
            case = CASES.get(name)
            if case is None:
                report.exact(name, False, "no case in tests/benchmarks/statements.py")
                continue
            send = _request(site, bound.endpoint, case)
            with counted(site) as seen:
                send()
            fits = seen["statements"] <= case.statements and seen["transactions"] <= 1
            text = "{statements} statements, {transactions} transactions".format(**seen)
            report.exact(name, fits, f"{text} (at most {case.statements}, 1)")


def _request(site: Site, endpoint: Any, case: Case) -> Callable[[], object]:
    """The request of a case, by a user who has just signed up for it."""
    email = f"{endpoint.name}@example.com"
    cookie, _ = sign_up(site, email)
    body = case.body(email) if case.body is not None else None
    if case.prepare is not None:
        case.prepare(site)
    if endpoint.path is None:
        return lambda: getattr(site.api, endpoint.name)(body=body, headers={"Cookie": cookie})
    if body is not None:
        body = {wire_name(name): value for name, value in body.items()}
    query = case.query if isinstance(case.query, str) else case.query(site)
    path = f"/api/auth{re.sub('<.*?>', 'link', endpoint.path)}?{query}".rstrip("?")
    return sender(site.app, endpoint.methods[0], path, cookie=cookie, body=body)
