"""SECURITY S20, R5: a worker that is killed in the middle of a request leaves nothing half done."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from conftest import PASSWORD, Site
from test_servers import Server, gunicorn

from flask_better_auth import clock

NEW = "another good password"
#: Dies where the request says so, or takes its time there: before or after a statement, before a commit, at the end.
DYING = """
import os
import signal
import time
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import Flask, has_request_context, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from flask_better_auth import BetterAuth

app = Flask(__name__)
app.config.from_prefixed_env()
app.testing = True
db = SQLAlchemy(app)
auth = BetterAuth(
    app,
    db=db,
    password_hash=PasswordHasher.from_parameters(CHEAPEST),
    user={"delete_user": {"enabled": True}},
    email_and_password={"send_reset_password": print, "revoke_sessions_on_password_reset": True},
)
points = 0


def point(*args):
    global points
    if not has_request_context():
        return
    points += 1
    time.sleep(request.headers.get("X-Slow", 0.0, type=float))
    if points == request.headers.get("X-Die-At", type=int):
        os.kill(os.getpid(), signal.SIGKILL)


@app.before_request
def begin():
    global points
    points = 0


@app.after_request
def end(response):
    response.headers["X-Points"] = str(points)
    point()
    return response


@app.get("/pid")
def pid():
    return str(os.getpid())


with app.app_context():
    engine = db.engine
for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
    event.listen(engine, name, point)
"""


@pytest.fixture
def serving(site: Site, database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A server of the same database with one worker, which is started again when it dies."""
    with site.app.app_context():
        site.db.session.remove()
        site.db.engine.dispose()
    with gunicorn(tmp_path, database_url, "--workers", "1", "--preload", application=DYING) as server:
        yield server


class Way:
    """One way to use a single-use token up, and how to see whether its work was done."""

    def __init__(self, site: Site, kind: str) -> None:
        self.site, self.kind = site, kind
        #: Of nobody's but this round's.
        self.number = 0

    def prepare(self) -> None:
        """A user with a session, and a token that nobody has used."""
        self.number += 1
        self.site.emptied()
        self.browser = self.site.sign_up("ada")
        (user,) = self.site.rows("user")
        self.token = f"token-of-round-{self.number}"
        prefix = {"reset": "reset-password:", "delete": "delete-account-"}[self.kind]
        with self.site.app.app_context():
            expires_at = clock.now() + timedelta(hours=1)
            made = self.site.auth.Verification(identifier=prefix + self.token, value=user.id, expires_at=expires_at)
            self.site.db.session.add(made)
            self.site.db.session.commit()
            self.site.db.session.remove()

    def send(self, client: httpx.Client, **headers: str) -> httpx.Response:
        """Use the token."""
        cookie = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        body = {"token": self.token, **({"newPassword": NEW} if self.kind == "reset" else {})}
        path = {"reset": "/api/auth/reset-password", "delete": "/api/auth/delete-user"}[self.kind]
        return client.post(path, json=body, headers={"Cookie": cookie, "Connection": "close", **headers})

    def state(self) -> tuple[bool, bool]:
        """Whether the token is there, and whether its work was done; rows that tell neither are a failure."""
        rows = {table: self.site.rows(table) for table in ("user", "account", "session", "verification")}
        there = bool(rows["verification"])
        if self.kind == "delete":
            counts = {table: len(rows[table]) for table in ("user", "account", "session")}
            assert set(counts.values()) in ({0}, {1}), counts
            return there, counts["user"] == 0
        (account,) = rows["account"]
        passwords = self.site.app.extensions["better_auth"].passwords
        old, new = (passwords.verify(account.password, password) for password in (PASSWORD, NEW))
        assert old is not new
        assert len(rows["session"]) == (0 if new else 1)
        return there, new


def still_valid_or_done(way: Way, client: httpx.Client) -> bool:
    """Hold the invariant; whether the work was done."""
    there, done = way.state()
    assert there is not done, f"token there: {there}, work done: {done}"
    if not done:
        assert way.send(client).status_code == 200
        assert way.state() == (False, True)
    return done


def worker(client: httpx.Client) -> int:
    """The process that answers, once there is one."""
    return int(client.get("/pid", headers={"Connection": "close"}).raise_for_status().text)


def test_s20_a_worker_killed_between_a_token_and_its_work_leaves_both_or_neither(
    site: Site, serving: Server, request: pytest.FixtureRequest
) -> None:
    full, seed = request.config.getoption("--races") == "full", random.randrange(1_000_000)
    outcomes: Counter[tuple[str, bool]] = Counter()
    with serving.client() as client:
        for way in (Way(site, "reset"), Way(site, "delete")):
            way.prepare()
            answer = way.send(client)
            assert answer.status_code == 200
            points = int(answer.headers["X-Points"]) + 1  # and one behind the last of them: the answer is not sent
            # whatever is drawn, those before and behind the commit that decides are among them
            drawn = random.Random(seed).sample(range(1, points - 1), 2)
            for point in range(1, points + 1) if full else (*drawn, points - 1, points):
                way.prepare()
                with pytest.raises(httpx.TransportError):
                    way.send(client, **{"X-Die-At": str(point)})
                assert worker(client)
                outcomes[way.kind, still_valid_or_done(way, client)] += 1
    assert min(outcomes[kind, done] for kind in ("reset", "delete") for done in (True, False)) >= 1, (seed, outcomes)
    print(outcomes)


def test_r5_a_worker_killed_at_any_moment_leaves_both_or_neither(
    site: Site, serving: Server, request: pytest.FixtureRequest
) -> None:
    rounds, slow = 500 if request.config.getoption("--races") == "full" else 1, {"X-Slow": "0.002"}
    outcomes: Counter[tuple[str, bool]] = Counter()
    with serving.client() as client, ThreadPoolExecutor(1) as pool:
        for way in (Way(site, "reset"), Way(site, "delete")):
            way.prepare()
            begun = time.monotonic()
            assert way.send(client, **slow).status_code == 200
            lasts = time.monotonic() - begun
            for _ in range(rounds):
                way.prepare()
                process, moment = worker(client), random.uniform(0, lasts)
                sent = pool.submit(way.send, client, **slow)
                time.sleep(moment)
                os.kill(process, signal.SIGKILL)
                try:
                    answered = sent.result().status_code == 200
                except httpx.TransportError:
                    answered = False
                assert worker(client)
                done = still_valid_or_done(way, client)
                assert done or not answered, moment
                outcomes[way.kind, done] += 1
    assert sum(outcomes.values()) == 2 * rounds
    print(outcomes)
