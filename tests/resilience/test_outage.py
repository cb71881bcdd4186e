"""SECURITY R3: PostgreSQL is killed under load and started again; what clients were told is what is there."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import PASSWORD, STUCK, build_site
from outages import Cluster, cluster
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from test_readme import blocks
from test_servers import Server, gunicorn

DIALECT = make_url(os.environ.get("TEST_DATABASE_URL") or "sqlite://").get_backend_name()
ROOT = Path(__file__).parents[2]
SERVED = """
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_better_auth import BetterAuth
from operations import postgresql

app = Flask(__name__)
app.config.from_prefixed_env()
app.testing = True
dsn = app.config["SQLALCHEMY_DATABASE_URI"].replace("+psycopg", "")
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = postgresql(dsn)
db = SQLAlchemy(app)
cheap = PasswordHasher.from_parameters(CHEAPEST)
auth = BetterAuth(app, db=db, password_hash=cheap, user={"delete_user": {"enabled": True}})
"""


@dataclass
class Life:
    """One user: what was asked for in their name, and what was answered to be done."""

    email: str
    token: str = ""
    #: The highest number that ``name`` was told to hold, and the highest that it was asked to.
    told: int = 0
    asked: int = 0
    signing_out: bool = False
    signed_out: bool = False
    deleting: bool = False
    deleted: bool = False


@dataclass
class Journal:
    """What all clients together were told."""

    lives: list[Life] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: When each success was there, and what was wrong with an answer.
    successes: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


class Client(threading.Thread):
    """Lives one user's life after the other, at a steady pace, and notes it down."""

    def __init__(self, number: int, server: Server, journal: Journal, pace: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number, self.server, self.journal, self.pace, self.stopped = number, server, journal, pace, stop
        self.http = server.client()
        self.next = time.monotonic() + random.uniform(0, pace)

    def run(self) -> None:
        with self.http:
            for count in range(1_000_000):
                if self.stopped.is_set():
                    return
                try:
                    self.live(Life(f"user-{self.number}-{count}@example.com"))
                except Exception as error:
                    self.journal.wrong.append(repr(error))
                    return

    def ask(self, path: str, body: Any = None) -> Any:
        """The JSON of a success; nothing, if the server is not able to answer."""
        time.sleep(max(0.0, self.next - time.monotonic()))
        self.next = max(self.next + self.pace, time.monotonic() - self.pace)
        begun, journal = time.monotonic(), self.journal
        answer = self.http.request("GET" if body is None else "POST", f"/api/auth{path}", json=body)
        journal.slowest = max(journal.slowest, time.monotonic() - begun)
        journal.statuses[path, answer.status_code] += 1
        if answer.status_code == 200:
            journal.successes.append(time.monotonic())
            return answer.json()
        fits = answer.status_code == 503 and answer.json()["code"] == "SERVICE_UNAVAILABLE"
        if not (fits and answer.headers["Retry-After"] and "set-cookie" not in answer.headers):
            journal.wrong.append(f"{path}: {answer.status_code} {answer.text} {answer.headers}")
        return None

    def live(self, life: Life) -> None:
        """From the sign-up to the end, as far as answers come."""
        self.http.cookies.clear()
        made = self.ask("/sign-up/email", {"name": "0", "email": life.email, "password": PASSWORD})
        if made is None:
            return  # the user may be there, or not
        life.token = made["token"]
        self.journal.lives.append(life)
        for _ in range(random.randrange(1, 12)):
            if self.stopped.is_set():
                return
            life.asked += 1
            if self.ask("/update-user", {"name": str(life.asked)}) == {"status": True}:
                life.told = life.asked
            found = self.ask("/get-session?disableRefresh=true")
            if found is not None and found["session"]["token"] != life.token:
                self.journal.wrong.append(f"{life.email} is {found}")
        if random.random() < 0.5:
            life.signing_out = True
            life.signed_out = self.ask("/sign-out", {}) is not None
        elif random.random() < 0.5:
            life.deleting = True
            life.deleted = self.ask("/delete-user", {}) is not None


def check(private: Cluster, journal: Journal) -> None:
    """Nothing that was told to be done is undone, and nothing is half done."""
    engine = create_engine(private.url)
    with engine.connect() as connection:

        def rows(columns: str, table: str) -> list[Any]:
            return list(connection.execute(text(f"SELECT {columns} FROM {table}")))

        users = {row.email: row for row in rows("id, email, name", '"user"')}
        accounts = Counter(row.user_id for row in rows("user_id", "account"))
        sessions = {row.token: row.user_id for row in rows("token, user_id", "session")}
    engine.dispose()
    assert {user.id for user in users.values()} == set(accounts), "a user without an account, or the reverse"
    assert set(accounts.values()) <= {1}
    assert set(sessions.values()) <= set(accounts)
    for life in journal.lives:
        user = users.get(life.email)
        if life.deleted:
            assert user is None, f"{life} is there again"
        elif not life.deleting:
            assert user is not None, f"{life} is lost"
        if user is not None:
            assert life.told <= int(user.name) <= life.asked, (life, user.name)
            assert not (life.signed_out and life.token in sessions), f"{life} is signed in again"
            assert life.signing_out or life.deleting or life.token in sessions, f"the session of {life} is lost"


class TestKillingTheDatabase:
    """With a server of our own, whose programs are there where the suite runs on PostgreSQL."""

    __test__ = DIALECT == "postgresql"

    @pytest.fixture
    def private(self) -> Iterator[Cluster]:
        """A PostgreSQL server that may be killed, with our tables."""
        with cluster() as made:
            site = build_site(made.url)
            with site.app.app_context():
                site.db.engine.dispose()
            yield made

    def test_r3_what_was_told_to_be_done_is_done_after_the_server_was_killed(
        self, private: Cluster, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        full = request.config.getoption("--races") == "full"
        kills, rate, clients = (20, 200, 16) if full else (1, 100, 8)
        (tmp_path / "operations.py").write_text(blocks(ROOT / "docs" / "operations.md", "python")[0][1])
        journal, stop, back = Journal(), threading.Event(), []
        options = ("--workers", "2", "--worker-class", "gthread", "--threads", "8")
        with gunicorn(tmp_path, private.url, *options, application=SERVED) as server:
            threads = [Client(n, server, journal, clients / rate, stop) for n in range(clients)]
            for thread in threads:
                thread.start()
            end = time.monotonic() + STUCK
            while len(journal.successes) < 5 * clients:  # the workers are there
                assert time.monotonic() < end, journal
                time.sleep(0.01)
            for _ in range(kills):
                time.sleep(random.uniform(0.8, 1.2))
                private.kill()
                time.sleep(random.uniform(0.2, 0.5))
                up = private.start()
                time.sleep(0.8)
                back.append(next((at - up for at in sorted(journal.successes) if at > up), STUCK))
            stop.set()
            for thread in threads:
                thread.join(STUCK)
                assert not thread.is_alive()
        assert journal.wrong == []
        check(private, journal)
        done = Counter(status for _, status in journal.statuses.elements())
        assert set(done) == {200, 503}, journal.statuses
        assert max(back) < 2, back
        print(f"{kills} kills: {dict(done)}; back after {max(back):.3f} s at most; slowest {journal.slowest:.2f} s")
        assert len(journal.lives) > 10 * kills
