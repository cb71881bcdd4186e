"""How many statements and transactions one request of each endpoint takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import request
from sqlalchemy import event

from flask_better_auth import Call, clock
from flask_better_auth.providers import Profile, Provider, Tokens
from flask_better_auth.services import email_links
from flask_better_auth.wire import wire_name

from . import site as sites
from .measure import Report
from .site import PASSWORD, Site, backend, sender, sign_up


class Instant(Provider):
    """A provider that answers without a network; a code is the address of whoever it is for."""

    id, name = "instant", "Instant"

    def authorization_url(self, client: Any, start: Any) -> str:
        return f"https://instant.test/?state={start.state}"

    def exchange(self, client: Any, arrival: Any) -> Tokens:
        return Tokens(arrival.code, "refresh", access_token_expires_at=clock.now() + timedelta(hours=1))

    def refresh(self, client: Any, refresh_token: str) -> Tokens:
        return Tokens("another", "another", access_token_expires_at=clock.now() + timedelta(hours=1))

    def profile(self, client: Any, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        email = str(tokens.access_token)
        return Profile(email, {"name": "Ada", "email": email, "email_verified": True}, {})


#: Options of the extension without which an endpoint only refuses.
OPTIONS: dict[str, Any] = {
    "email_and_password": {"send_reset_password": lambda **_: None},
    "email_verification": {"send_verification_email": lambda **_: None},
    "user": {"change_email": {"enabled": True}, "delete_user": {"enabled": True}},
    "session": {"additional_fields": {"theme": {"type": "string", "required": False}}},
    # its cookie costs no statement
    "account": {"skip_state_cookie_check": True},
    "social_providers": [Instant()],
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


def provider(site: Site, *, hours_left: int = 1) -> None:
    """Give a user a second way of signing in, and nobody else."""
    account = site.auth.Account
    with site.app.app_context():
        user, ends = newest(site), clock.now() + timedelta(hours=hours_left)
        site.db.session.execute(site.db.delete(account).where(account.provider_id == Instant.id))
        row = account(id="linked", account_id=user.email, provider_id=Instant.id, user_id=user.id)
        row.access_token, row.refresh_token, row.access_token_expires_at = user.email, "refresh", ends
        site.db.session.add(row)
        site.db.session.commit()


def prove_address(site: Site) -> None:
    """Let the address of a user be known as theirs."""
    with site.app.app_context():
        newest(site).email_verified = True
        site.db.session.commit()


def came_before(site: Site) -> None:
    """Let a user have come by the provider before."""
    provider(site)
    prove_address(site)


def sent_back(site: Site, cookie: str, *, begin: str = "/sign-in/social", code: str | None = None) -> str:
    """What a provider sends a browser back with, whose user has the address of the one who has just signed up."""
    with site.app.app_context():
        code = code or newest(site).email
    answer = sender(site.app, "POST", f"/api/auth{begin}", cookie=cookie, body={"provider": Instant.id})()
    return f"code={code}&state={parse_qs(urlsplit(json.loads(answer.body)['url']).query)['state'][0]}"


def proof(site: Site, _: str) -> str:
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
        query: its query string, or what makes it with the cookies of the user.
        prepare: what must be so before.
        transactions: how many it may commit.
    """

    statements: int
    body: Body | None = None
    query: str | Callable[[Site, str], str] = ""
    prepare: Callable[[Site], None] | None = None
    transactions: int = 1


#: One for every endpoint in the registry, or several that are told apart by what follows the name.
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
    "sign_in_social": Case(1, lambda email: {"provider": Instant.id}),
    "link_social_account": Case(2, lambda email: {"provider": Instant.id}),
    # the state is used up before the provider is asked, which no transaction waits for
    "callback_oauth of a new user": Case(7, query=partial(sent_back, code="new@example.com"), transactions=2),
    "callback_oauth of a user who returns": Case(5, query=sent_back, prepare=came_before, transactions=2),
    "callback_oauth of a user by the address": Case(7, query=sent_back, prepare=prove_address, transactions=2),
    "callback_oauth that links": Case(8, query=partial(sent_back, begin="/link-social"), transactions=2),
    "get_access_token": Case(2, lambda email: {"account_id": "linked"}, prepare=provider),
    "get_access_token that is over": Case(
        3, lambda email: {"account_id": "linked"}, prepare=partial(provider, hours_left=-1)
    ),
    "refresh_token": Case(3, lambda email: {"account_id": "linked"}, prepare=provider),
    "account_info": Case(2, query="accountId=linked", prepare=provider),
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
            cases = {label: case for label, case in CASES.items() if label.split()[0] == name}
            if not cases:
                report.exact(name, False, "no case in tests/benchmarks/statements.py")
            for label, case in cases.items():
                send = _request(site, bound.endpoint, label, case)
                with counted(site) as seen:
                    answer = send()
                assert "error=" not in str(getattr(answer, "headers", "")), (label, answer)
                fits = seen["statements"] <= case.statements and seen["transactions"] <= case.transactions
                text = "{statements} statements, {transactions} transactions".format(**seen)
                report.exact(label, fits, f"{text} (at most {case.statements}, {case.transactions})")


def _request(site: Site, endpoint: Any, label: str, case: Case) -> Callable[[], object]:
    """The request of a case, by a user who has just signed up for it."""
    email = f"{label.replace(' ', '-')}@example.com"
    cookie, _ = sign_up(site, email)
    body = case.body(email) if case.body is not None else None
    if case.prepare is not None:
        case.prepare(site)
    if endpoint.path is None:
        return lambda: getattr(site.api, endpoint.name)(body=body, headers={"Cookie": cookie})
    if body is not None:
        body = {wire_name(name): value for name, value in body.items()}
    query = case.query if isinstance(case.query, str) else case.query(site, cookie)
    path = re.sub("<.*?>", "link", endpoint.path.replace("<id>", Instant.id))
    path = f"/api/auth{path}?{query}".rstrip("?")
    return sender(site.app, endpoint.methods[0], path, cookie=cookie, body=body)
