"""The extension under gunicorn, forked before and after it is loaded, and under many threads."""

from __future__ import annotations

import contextvars
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET, STUCK, Site, at_once, tear_down
from flask import Flask, g, has_app_context, has_request_context
from secondary import OwnRedis
from sqlalchemy import Table, create_engine, event, inspect, select

from flask_better_auth import BetterAuth, DatabaseHooks, current_user

TOKEN = "better-auth.session_token"
APPLICATION = """
import os
from flask import Flask, g
from flask_sqlalchemy import SQLAlchemy
from flask_better_auth import BetterAuth, current_user

app = Flask(__name__)
app.config.from_prefixed_env()
{extension}


@app.get("/whoami")
def whoami():
    assert not hasattr(g, "seen")
    g.seen = current_user.email if current_user else None
    return {{"email": g.seen, "pid": os.getpid()}}


@app.get("/fails")
def fails():
    assert not hasattr(g, "seen")
    g.seen = current_user.email
    raise RuntimeError("asked to fail")
"""
#: Where the database is: the application's, or the extension's own, which looks for its tables while it is loaded.
APPLICATIONS, OURS = "FLASK_SQLALCHEMY_DATABASE_URI", "FLASK_BETTER_AUTH_DATABASE_URI"
EXTENSION = {
    APPLICATIONS: "db = SQLAlchemy(app)\nauth = BetterAuth(app, db=db)",
    OURS: "auth = BetterAuth(app)",
}


class Server:
    """A running gunicorn."""

    def __init__(self, process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
        self.process, self.address, self._log = process, address, log

    @property
    def log(self) -> str:
        """What it has written to its standard output and error."""
        return self._log.read_text()

    def client(self) -> httpx.Client:
        """A browser with its own cookies and connections."""
        # certificates would take longer to load than everything else here
        return httpx.Client(
            base_url="http://{}:{}".format(*self.address),
            headers={"Origin": ORIGIN},
            timeout=STUCK,
            trust_env=False,
            verify=False,
        )


@contextmanager
def gunicorn(
    folder: Path, database_url: str, *options: str, key: str = APPLICATIONS, application: str | None = None
) -> Iterator[Server]:
    """Run an application on a free port of the loopback address, and stop it; its log is part of every failure."""
    (folder / "served.py").write_text(application or APPLICATION.format(extension=EXTENSION[key]))
    log = folder / "server.log"
    environment = {
        **os.environ,
        key: database_url,
        "FLASK_BETTER_AUTH_SECRET": SECRET,
        "FLASK_BETTER_AUTH_URL": ORIGIN,
        "FLASK_BETTER_AUTH_RATE_LIMIT_ENABLED": "false",  # all users come from one address
        "HOME": str(folder),
    }
    # the socket is there before the server is, so that requests wait for it and no port can be lost to another
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as out:
        fd, address = listener.fileno(), listener.getsockname()
        command = [sys.executable, "-m", "gunicorn", "served:app", "--bind", f"fd://{fd}", "--log-level", "warning"]
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=out,
            pass_fds=[fd],
            start_new_session=True,
        )
    server = Server(process, address, log)
    try:
        yield server
        process.terminate()
        assert process.wait(STUCK) == 0
    except Exception as error:
        raise AssertionError(f"{error}\n--- the server's log\n{server.log}") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that hang would outlive their master
        process.wait()


def email(number: int) -> str:
    """The address of a user."""
    return f"user{number}@example.com"


def sign_up(client: httpx.Client, address: str) -> httpx.Response:
    """Sign a user up."""
    body = {"name": "User", "email": address, "password": PASSWORD}
    return client.post("/api/auth/sign-up/email", json=body)


def race(server: Server, number: int) -> int:
    """Sign up with a spelling of one address that many want; the status."""
    with server.client() as client:
        address = "".join(c.upper() if number >> i & 1 else c for i, c in enumerate("racer@example.com"))
        return sign_up(client, address).status_code


def journey(server: Server, number: int) -> list[Any]:
    """What a user sees who signs up, out, in, and out again."""
    with server.client() as client:

        def who() -> Any:
            session = client.get("/api/auth/get-session").raise_for_status().json()
            seen = client.get("/whoami").raise_for_status().json()["email"]
            return seen, session and session["user"]["email"]

        seen = [sign_up(client, email(number)).status_code, who()]
        seen += [client.post("/api/auth/sign-out").json(), who()]
        credentials = {"email": email(number), "password": PASSWORD}
        seen += [client.post("/api/auth/sign-in/email", json=credentials).status_code, who()]
        return [*seen, client.post("/api/auth/sign-out").json(), who()]


def seen_by_every_worker(server: Server, client: httpx.Client, workers: int) -> set[str | None]:
    """Who the client is for each of the worker processes: asked by new connections until all have answered."""
    headers = {"Connection": "close", "Cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())}
    seen: dict[int, set[str | None]] = {}

    def ask(_: int) -> Any:
        with server.client() as other:
            return other.get("/whoami", headers=headers).raise_for_status().json()

    end = time.monotonic() + STUCK
    while len(seen) < workers:
        assert time.monotonic() < end, f"of {workers} workers only {sorted(seen)} answer"
        for answer in at_once(8, ask):
            seen.setdefault(answer["pid"], set()).add(answer["email"])
    return set().union(*seen.values())


#: Options of the server, and the setting that says where the database is.
SERVERS = {
    "sync": (["--worker-class", "sync"], APPLICATIONS),
    "gthread": (["--worker-class", "gthread", "--threads", "4"], APPLICATIONS),
    "gevent": (["--worker-class", "gevent"], APPLICATIONS),
    "sync, preloaded": (["--worker-class", "sync", "--preload"], APPLICATIONS),
    "sync, preloaded, with a database of our own": (["--worker-class", "sync", "--preload"], OURS),
}


@pytest.mark.parametrize(("options", "key"), SERVERS.values(), ids=SERVERS)
def test_r17_two_workers_serve_many_users_and_stop_cleanly(
    site: Site, database_url: str, tmp_path: Path, options: list[str], key: str
) -> None:
    with gunicorn(tmp_path, database_url, "--workers", "2", *options, key=key) as server:
        out = ({"success": True}, (None, None))
        for number, seen in enumerate(at_once(6, lambda number: journey(server, number))):
            me = (email(number), email(number))
            assert seen == [200, me, *out, 200, me, *out], number
        assert Counter(at_once(8, lambda number: race(server, number))) == {200: 1, 422: 7}
        with server.client() as client:
            assert sign_up(client, email(6)).status_code == 200
            assert seen_by_every_worker(server, client, 2) == {email(6)}
            token = client.cookies[TOKEN].partition(".")[0]
    assert server.log == ""
    users = {user.email: user.id for user in site.rows("user")}
    assert sorted(users) == ["racer@example.com", *map(email, range(7))]
    assert sorted(account.user_id for account in site.rows("account")) == sorted(users.values())
    sessions = {session.user_id: session.token for session in site.rows("session")}
    assert sessions.keys() == {users["racer@example.com"], users[email(6)]}
    assert sessions[users[email(6)]] == token


@pytest.mark.parametrize(
    ("options", "beside"),
    [(["gthread", "--threads", "4"], "false"), (["gevent"], "false"), (["gevent", "--preload"], "true")],
)
def test_r17_workers_share_their_sessions_through_redis(
    site: Site,
    database_url: str,
    tmp_path: Path,
    own_redis: OwnRedis,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    beside: str,
) -> None:
    """Under gevent nobody may wait for SQLite while the one that holds its lock waits for Redis."""
    monkeypatch.setenv("FLASK_BETTER_AUTH_SECONDARY_STORAGE", own_redis.url)
    monkeypatch.setenv("FLASK_BETTER_AUTH_SESSION_STORE_SESSION_IN_DATABASE", beside)
    with gunicorn(tmp_path, database_url, "--workers", "2", "--worker-class", *options) as server:
        out = ({"success": True}, (None, None))
        for number, seen in enumerate(at_once(12, lambda number: journey(server, number))):
            me = (email(number), email(number))
            assert seen == [200, me, *out, 200, me, *out], number
    assert "Traceback" not in server.log
    assert not site.rows("session")


def test_r17_worker_that_another_overtakes_while_it_makes_its_tables_starts(database_url: str) -> None:
    overtaken: list[str] = []

    def overtake(table: Table, connection: Any, **more: Any) -> None:
        if not overtaken:
            overtaken.append(table.name)
            other = create_engine(database_url)
            table.create(other)
            other.dispose()

    app = Flask("host")
    app.testing = True
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=ORIGIN, BETTER_AUTH_DATABASE_URI=database_url)
    app.config["BETTER_AUTH_RATE_LIMIT_ENABLED"] = False  # all users come from one address
    event.listen(Table, "before_create", overtake)
    auth = BetterAuth(password_hash=FAST, table_prefix="own_")
    try:
        auth.init_app(app)
        created = auth.api.create_user(name="Ada", email=email(0), password=PASSWORD)
        with app.app_context():
            db = app.extensions["sqlalchemy"]
            assert db.session.scalars(select(auth.User.id)).all() == [created["user"]["id"]]
            assert set(inspect(db.engine).get_table_names()).issuperset(db.metadata.tables)
    finally:
        event.remove(Table, "before_create", overtake)
        tear_down(Site(app, auth, app.extensions["sqlalchemy"]))
    assert overtaken == ["own_user"]


# ---------------------------------------------------------------- T9


def test_t9_every_thread_serves_the_right_user_also_after_failures(
    site: Site, database_url: str, tmp_path: Path
) -> None:
    tokens = [site.sign_up(f"user{number}").cookies[TOKEN] for number in range(10)]
    threads, requests = 8, 2000

    def fails(number: int) -> bool:
        return number % 19 == 0

    def ask(first: int) -> list[tuple[int, int, str]]:
        """Ask with the cookie of one user after the other, each time on a new connection; what was not theirs."""
        wrong = []
        with closing(http.client.HTTPConnection(*server.address, timeout=STUCK)) as connection:
            for number in range(first, requests, threads):
                who = (first + number // threads) % 10
                headers = {"Cookie": f"{TOKEN}={tokens[who]}", "Connection": "close"}
                connection.request("GET", "/fails" if fails(number) else "/whoami", headers=headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                right = answer.status == 500 if fails(number) else f'"{email(who)}"' in text
                if not right:
                    wrong.append((number, answer.status, text))
        return wrong

    options = ["--worker-class", "gthread", "--threads", str(threads)]
    with gunicorn(tmp_path, database_url, *options) as server:
        assert at_once(threads, ask) == [[]] * threads
        with server.client() as stranger:
            assert stranger.get("/whoami").json()["email"] is None
    failed = sum(map(fails, range(requests)))
    assert server.log.count("\nRuntimeError: asked to fail") == failed > 0
    assert not [token for token in tokens if token.partition(".")[0] in server.log]


def test_t9_nothing_is_left_in_a_thread_when_a_request_has_failed(make_auth: Callable[..., Site]) -> None:
    class Boom(Exception):
        """Of the application."""

    def fail(*args: Any) -> None:
        raise Boom

    hooks = DatabaseHooks(session={"delete": {"before": fail}})
    site = make_auth(database_hooks=hooks, rate_limit={"enabled": False})
    site.app.testing = False  # exceptions become answers, as a server would send them

    @site.app.get("/whoami")
    def whoami() -> dict[str, Any]:
        assert not hasattr(g, "seen")
        g.seen = current_user.email if current_user else None
        return {"email": g.seen}

    @site.app.get("/fails")
    def fails() -> None:
        g.seen = current_user.email
        site.auth.api.get_session(headers={"Cookie": ""})
        site.db.session.add(site.auth.User(name="Eve", email="eve@example.com"))
        site.db.session.flush()
        raise Boom

    browsers = [site.sign_up(f"user{number}") for number in range(6)]

    def visit(number: int) -> list[Any]:
        browser, seen = browsers[number], []
        before = dict(contextvars.copy_context())
        for path in ("/whoami", "/fails", "/whoami", "/api/auth/sign-out", "/whoami"):
            answer = browser.request("POST" if "sign-out" in path else "GET", "~" + path)
            seen.append(answer.json["email"] if answer.status_code == 200 else answer.status_code)
            assert dict(contextvars.copy_context()) == before
            assert (has_app_context(), has_request_context(), bool(current_user)) == (False, False, False)
        return seen

    for number, seen in enumerate(at_once(6, visit)):
        assert seen == [email(number), 500, email(number), 500, email(number)]
    assert len(site.rows("user")) == 6
    with site.app.app_context():
        assert site.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool counts
