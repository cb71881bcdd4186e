"""Whether a thousand sessions and a million cost the same, on PostgreSQL."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from sqlalchemy import event, text

from . import site as sites
from .measure import Report, latencies, percentile
from .site import PASSWORD, PREFIX, Site, sender

_HASHER = PasswordHasher.from_parameters(CHEAPEST)
#: Sessions of each user.
_EACH = 5
_USERS = """
INSERT INTO {prefix}user (id, name, email, email_verified, created_at, updated_at)
SELECT 'u' || i, 'User ' || i, 'u' || i || '@example.com', false, now(), now() FROM generate_series(0, :users - 1) i
"""
_ACCOUNTS = """
INSERT INTO {prefix}account (id, user_id, account_id, provider_id, password, created_at, updated_at)
SELECT 'a' || i, 'u' || i, 'u' || i, 'credential', :password, now(), now() FROM generate_series(0, :users - 1) i
"""
_SESSIONS = """
INSERT INTO {prefix}session (id, user_id, token, expires_at, ip_address, user_agent, created_at, updated_at)
SELECT 's' || i, 'u' || i % :users, md5(i::text), now() + interval '7 days', '', '', now(), now()
FROM generate_series(0, :sessions - 1) i
"""


def run(report: Report, url: str, *, sizes: list[int], requests: int) -> None:
    """Measure tables of several sizes in turns, request by request; each request is of another user.

    Args:
        report: what to tell.
        url: of a PostgreSQL database.
        sizes: how many sessions there are.
        requests: how many requests of each kind and size.
    """
    report.title(f"Growth: {', '.join(f'{size:,}' for size in sizes)} sessions, {_EACH} of each user, on postgresql")
    with ExitStack() as stack:
        filled = {f"{size:,}": stack.enter_context(_filled(url, size)) for size in sizes}
        small, large = f"{sizes[0]:,}", f"{sizes[-1]:,}"
        kinds = {f"{size:,}": _requests(filled[f"{size:,}"], size) for size in sizes}
        for name in ("get-session", "list-sessions", "sign-in"):
            cases = {size: kinds[size][name] for size in kinds}
            found = latencies({**cases, f"{small} again": kinds[small][name]}, requests=requests)
            for size, times in found.items():
                p50, p99 = (percentile(times, share) * 1000 for share in (0.5, 0.99))
                report.note(f"{name:<14}{size:>16} sessions: p50 {p50:.2f}, p99 {p99:.2f} ms")
            ratios = {s: percentile(found[large], s) / percentile(found[small], s) for s in (0.5, 0.99)}
            noise = abs(percentile(found[f"{small} again"], 0.99) / percentile(found[small], 0.99) - 1)
            report.mark(
                f"growth of {name}, p99 at {large} / {small}",
                ratios[0.99],
                most=1.3,
                beside=f"p50 {ratios[0.5]:.2f}; noise of p99 {noise:.0%}",
            )
        _plans(report, filled[large], kinds[large])


@contextmanager
def _filled(url: str, sessions: int) -> Iterator[Site]:
    prefix = f"{PREFIX}{sessions}_"
    with sites.site(url, prefix=prefix, testing=True, password_hash=_HASHER) as site:
        users = max(1, sessions // _EACH)
        with site.app.app_context():
            for statement in (_USERS, _ACCOUNTS, _SESSIONS):
                named = text(statement.format(prefix=prefix))
                wanted = {"users": users, "sessions": sessions, "password": _HASHER.hash(PASSWORD)}
                site.db.session.execute(named, {key: wanted[key] for key in named.compile().params})
            site.db.session.commit()
            with site.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in ("user", "account", "session"):
                    connection.execute(text(f"VACUUM ANALYZE {prefix}{table}"))
        yield site


def _requests(site: Site, sessions: int) -> dict[str, Callable[[], Any]]:
    """Requests of users by chance, so that neither we nor the database find the last row again in a cache."""
    chance = random.Random(sessions)
    jar = site.app.extensions["better_auth"].cookies
    users = max(1, sessions // _EACH)

    def cookie() -> str:
        token = hashlib.md5(str(chance.randrange(sessions)).encode(), usedforsecurity=False).hexdigest()
        return f"{jar.session_token.name}={jar.signed(token)}"

    def credentials() -> dict[str, str]:
        return {"email": f"u{chance.randrange(users)}@example.com", "password": PASSWORD}

    return {
        "get-session": sender(site.app, "GET", "/api/auth/get-session", cookie=cookie),
        "list-sessions": sender(site.app, "GET", "/api/auth/list-sessions", cookie=cookie),
        "sign-in": sender(site.app, "POST", "/api/auth/sign-in/email", body=credentials),
        "sign-out": sender(site.app, "POST", "/api/auth/sign-out", cookie=cookie),
    }


def _plans(report: Report, site: Site, requests: dict[str, Callable[[], Any]]) -> None:
    """Ask the database how it finds the rows of every statement that these requests send."""
    sent: list[tuple[str, Any]] = []
    with site.app.app_context():
        engine = site.db.engine

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    for name, send in requests.items():
        sent.clear()
        event.listen(engine, "before_cursor_execute", note)
        send()
        event.remove(engine, "before_cursor_execute", note)
        with engine.connect() as connection:
            for statement, parameters in sent:
                plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
                scans = [line.strip(" ->") for line in plan if "Scan" in line]
                text_ = "; ".join(line.partition("  (")[0] for line in scans) or "no table is read"
                report.exact(f"plan of {name}", not any("Seq Scan" in line for line in scans), text_)
