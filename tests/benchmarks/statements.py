"""How many statements and transactions one request of each endpoint takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import event

from . import site as sites
from .measure import Report
from .site import EMAIL, PASSWORD, Site, backend, sender, sign_up

#: Options of the extension without which an endpoint only refuses.
OPTIONS: dict[str, Any] = {"email_and_password": {"send_reset_password": lambda **_: None}}
ADA = {"email": EMAIL, "password": PASSWORD}


@dataclass(frozen=True)
class Case:
    """One request of an endpoint, by a user who is signed in.

    Args:
        statements: how many it may send.
        body: its body.
        query: its query string.
    """

    statements: int
    body: Any = None
    query: str = ""


#: One for every endpoint in the registry.
CASES: dict[str, Case] = {
    "ok": Case(0),
    "error": Case(0, query="error=nope"),
    "get_session": Case(1),
    "list_sessions": Case(2),
    "sign_in_email": Case(2, ADA),
    "sign_up_email": Case(4, {"name": "New", "email": "new@example.com", "password": PASSWORD}),
    "sign_out": Case(2),
    "update_user": Case(2, {"name": "Ada Lovelace"}),
    "request_password_reset": Case(2, {"email": EMAIL}),
    "create_user": Case(3, {"name": "New", "email": "newer@example.com", "password": PASSWORD}),
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
            _tables_anew(site)
            send = _request(site, bound.endpoint, case, sign_up(site)[0])
            with counted(site) as seen:
                send()
            fits = seen["statements"] <= case.statements and seen["transactions"] <= 1
            text = "{statements} statements, {transactions} transactions".format(**seen)
            report.exact(name, fits, f"{text} (at most {case.statements}, 1)")


def _tables_anew(site: Site) -> None:
    with site.app.app_context():
        site.db.drop_all()
        site.db.create_all()


def _request(site: Site, endpoint: Any, case: Case, cookie: str) -> Callable[[], object]:
    if endpoint.path is None:
        return lambda: getattr(site.api, endpoint.name)(body=case.body)
    path = f"/api/auth{endpoint.path}?{case.query}".rstrip("?")
    return sender(site.app, endpoint.methods[0], path, cookie=cookie, body=case.body)
