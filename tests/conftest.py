"""Fixtures: an application per test on the database under test, a browser, and both doors of every endpoint."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from click.testing import Result
from flask import Flask, Response, request
from flask.cli import FlaskGroup
from flask_sqlalchemy import SQLAlchemy
from secondary import OwnRedis
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.pool import Pool
from support.google import GoogleOnLoopback
from support.provider import LoopbackProvider

from flask_better_auth import BetterAuth, Plugin, plugins
from flask_better_auth.context import Call
from flask_better_auth.services import email_links

SECRET = "a-secret-of-the-test-suite-0123456789"
ORIGIN = "http://localhost"
PASSWORD = "correct horse battery"
#: Foreign places that a careless reader takes for a path on this server (SECURITY A2).
DISGUISED = (
    "//evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "///evil.test",
    "/%2f/evil.test",
    "/%5cevil.test",
    "/\t/evil.test",
    "https:evil.test",
    "https:/evil.test",
    " https://evil.test",
)
T = TypeVar("T")
#: Seconds until a test gives up; nothing waits so long on a machine that works.
STUCK = 60
FAST = PasswordHasher.from_parameters(CHEAPEST)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--races", choices=["ci", "full"], default="ci", help="how long the races run: full before a release"
    )
    parser.addoption(
        "--fuzz", choices=["ci", "full"], default="ci", help="how many requests are made up: full before a release"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what uses no database where one is under test: it is the same on all of them."""
    if os.environ.get("TEST_DATABASE_URL"):
        used = {item: "server_url" in getattr(item, "fixturenames", ()) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if not used[item]])
        items[:] = [item for item in items if used[item]]


@pytest.fixture(autouse=True)
def no_connection_is_left() -> Iterator[None]:
    """Closes what a test leaves idle in a pool: Python 3.13 complains where a pool is collected with it."""
    pools: set[Pool] = set()

    def note(connection: Connection) -> None:
        pools.add(connection.engine.pool)

    event.listen(Engine, "engine_connect", note)
    yield
    event.remove(Engine, "engine_connect", note)
    for pool in pools:
        pool.dispose()


@pytest.fixture(scope="session")
def server_url() -> str | None:
    """The database server under test, from ``TEST_DATABASE_URL``; none is SQLite in a temporary folder."""
    return os.environ.get("TEST_DATABASE_URL") or None


@pytest.fixture
def database_url(server_url: str | None, tmp_path: Any) -> str:
    """An address of the database under test, empty of our tables."""
    return server_url or f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def own_database(server_url: str | None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """An address of an empty database that no other file of tests uses: what these leave would be in the way."""
    name = request.path.stem
    if server_url is None:
        yield f"sqlite:///{tmp_path}/{name}.db"
        return
    own = make_url(server_url)
    own = own.set(database=f"{own.database}_{name}")
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {own.database}"))
        connection.execute(text(f"CREATE DATABASE {own.database}"))
        yield own.render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {own.database}"))
    engine.dispose()


@pytest.fixture
def dialect(database_url: str) -> str:
    """``sqlite``, ``postgresql`` or ``mysql``."""
    return make_url(database_url).get_backend_name()


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The Redis under test, from ``REDIS_URL``, without keys of ours."""
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/5"
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # each has a database of its own, of the sixteen that there are
        place, _, number = url.rpartition("/")
        url = f"{place}/{(int(number) + 8 * int(worker.removeprefix('gw'))) % 16}"
    with redis.Redis.from_url(url) as client:
        try:
            client.ping()
        except redis.ConnectionError as error:
            if os.environ.get("CI"):
                pytest.fail(f"Redis must run at {url}")
            pytest.skip(str(error))
        yield url
        for key in list(client.scan_iter("LIMITS:better_auth/*")):
            client.delete(key)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that the test may do anything to."""
    own = OwnRedis(tmp_path)
    own.start()
    yield own
    own.kill()


@pytest.fixture(params=["memory", "database", "redis"])
def storage(request: pytest.FixtureRequest) -> str:
    """Each place where rate limits are counted."""
    place: str = request.param
    return request.getfixturevalue("redis_url") if place == "redis" else place


@pytest.fixture(scope="session")
def loopback() -> Iterator[LoopbackProvider]:
    """A provider on this machine; whoever uses it resets it."""
    with LoopbackProvider() as provider:
        yield provider


@pytest.fixture
def google(loopback: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> GoogleOnLoopback:
    """Google, on this machine."""
    loopback.reset()
    return GoogleOnLoopback(loopback, monkeypatch)


class Site:
    """An application with the extension, its database, and ways to use both."""

    def __init__(self, app: Flask, auth: BetterAuth, db: SQLAlchemy) -> None:
        self.app, self.auth, self.db = app, auth, db

    @property
    def api(self) -> Any:
        """``auth.api`` of this very application."""
        return self.auth.for_app(self.app).api

    def browser(self) -> Browser:
        """A client with a cookie jar, as a page of the application's own origin uses it."""
        return Browser(self)

    def rows(self, table: str) -> list[Any]:
        """Every row of a table, as detached instances."""
        model = getattr(self.auth, table.capitalize())
        with self.app.app_context():
            found = list(self.db.session.scalars(self.db.select(model)))
            self.db.session.expunge_all()
            return found

    def snapshot(self) -> dict[str, list[dict[str, Any]]]:
        """Every column of every row, to show that nothing changed."""
        out = {}
        for table in ("user", "session", "account", "verification"):
            model = getattr(self.auth, table.capitalize())
            with self.app.app_context():
                result = self.db.session.execute(self.db.select(*model.__table__.c)).mappings()
                out[table] = sorted((dict(row) for row in result), key=lambda row: row["id"])
        return out

    def emptied(self) -> Site:
        """The same application as nobody has used it."""
        with self.app.app_context():
            for model in (self.auth.Session, self.auth.Account, self.auth.Verification, self.auth.User):
                self.db.session.execute(self.db.delete(model))
            self.db.session.commit()
        return self

    def sign_up(self, who: str = "ada", **more: Any) -> Browser:
        """A browser whose user has just signed up as ``<who>@example.com`` with ``PASSWORD``."""
        browser = self.browser()
        body = {"name": who.title(), "email": f"{who}@example.com", "password": PASSWORD, **more}
        answer = browser.post("/sign-up/email", body)
        assert answer.status_code == 200, answer.data
        return browser


class Browser:
    """Sends what a browser on the application's own origin sends, and keeps cookies."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies: dict[str, str] = {}

    def request(
        self, method: str, path: str, *, headers: dict[str, str | None] | None = None, **options: Any
    ) -> Response:
        """Send a request below the base path (``~/x``: below the origin). A header of ``None`` is left out."""
        url = path[1:] if path.startswith("~") else "/api/auth" + path
        sent: dict[str, Any] = {} if method in ("GET", "HEAD") else {"Origin": ORIGIN}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent.update(headers or {})
        client = self.site.app.test_client(use_cookies=False)
        answer = client.open(
            url, method=method, headers={k: v for k, v in sent.items() if v is not None}, buffered=True, **options
        )
        self.keep(answer.headers.getlist("Set-Cookie"))
        answer.close()
        return answer

    def keep(self, lines: Iterable[str]) -> None:
        """Heed the ``Set-Cookie`` lines of an answer."""
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = line.partition(";")[0].partition("=")[2]

    def get(self, path: str, **options: Any) -> Response:
        """Send a GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = ..., **options: Any) -> Response:
        """Send a POST with a JSON body, or without one."""
        if body is not ...:
            options.setdefault("data", json.dumps(body))
            options.setdefault("content_type", "application/json")
        return self.request("POST", path, **options)

    def session(self) -> Any:
        """What get-session says."""
        return self.get("/get-session").json


@pytest.fixture
def make_auth(database_url: str) -> Iterator[Callable[..., Site]]:
    """Builds applications: ``make_auth(session={...})``. Settings of the application go into ``settings``."""
    made: list[Site] = []

    def make(
        *, settings: dict[str, Any] | None = None, engine_options: dict[str, Any] | None = None, **options: Any
    ) -> Site:
        site = build_site(database_url, settings, engine_options, options)
        made.append(site)
        return site

    yield make
    for site in made:
        tear_down(site)


def open_site(
    database_url: str,
    settings: dict[str, Any] | None = None,
    engine_options: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Site:
    """An application on the database as it is."""
    app = Flask("host")
    app.testing = True
    app.config.update(
        BETTER_AUTH_SECRET=SECRET,
        BETTER_AUTH_URL=ORIGIN,
        SQLALCHEMY_DATABASE_URI=database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options or {},
    )
    app.config.update(settings or {})
    options = {"password_hash": FAST, **(options or {})}
    db = options.pop("db", None) or SQLAlchemy()
    db.init_app(app)
    auth = BetterAuth(app, db=db, **options)
    with app.app_context():
        for engine in db.engines.values():
            if engine.dialect.name == "sqlite":  # thousands of commits need not survive a power cut
                event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    return Site(app, auth, db)


def build_site(
    database_url: str,
    settings: dict[str, Any] | None = None,
    engine_options: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Site:
    """An application with tables made anew; ``tear_down`` takes it apart."""
    site = open_site(database_url, settings, engine_options, options)
    with site.app.app_context():
        site.db.drop_all()
        site.db.create_all()
    return site


def tear_down(site: Site) -> None:
    """Drop the tables and close every connection."""
    with site.app.app_context():
        site.db.session.remove()
        site.db.drop_all()
        for engine in site.db.engines.values():
            engine.dispose()


@pytest.fixture
def site(make_auth: Callable[..., Site]) -> Site:
    """An application with default options."""
    return make_auth()


def every_plugin() -> list[Plugin]:
    """One of each plugin that comes with the extension, with its defaults."""
    return [getattr(plugins, name)() for name in plugins.__all__]


def command(app: Flask, *arguments: str, **options: Any) -> Result:
    """Run ``flask better-auth ...`` as the ``flask`` command does, which knows the command by its entry point alone."""
    flask = FlaskGroup(create_app=lambda: app, load_dotenv=False, set_debug_flag=False)
    assert "better-auth" not in flask.commands
    return app.test_cli_runner().invoke(flask, ["better-auth", *arguments], **options)


def email_token(site: Site, user_id: str, email: str, **claims: Any) -> str:
    """A token as links in mails carry it: ``update_to`` and ``request_type`` make it one of a change."""
    said = email_links.Claims(email, claims.get("update_to"), claims.get("request_type"), user_id)
    state = site.app.extensions["better_auth"]
    with site.app.test_request_context():
        return email_links.make_token(Call(state, None, request), said)


def at_once(threads: int, act: Callable[[int], T]) -> list[T]:
    """What ``act`` returns in each of the threads, which all start at once."""
    start = threading.Barrier(threads)

    def run(number: int) -> T:
        start.wait(STUCK)
        return act(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


@contextmanager
def work(site: Site) -> Iterator[Counter[str]]:
    """Counts what a request costs: operations on passwords, and SQL statements."""
    counts: Counter[str] = Counter()
    with site.app.app_context():
        engine = site.db.engine
    passwords = site.app.extensions["better_auth"].passwords

    def count_statement(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counts[f"statement {statement.split()[0]}"] += 1

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(passwords, name)

        def method(*arguments: Any) -> Any:
            counts[name] += 1
            return original(*arguments)

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in ("hash", "verify"):
            patch.setattr(passwords, name, counted(name))
        event.listen(engine, "before_cursor_execute", count_statement)
        try:
            yield counts
        finally:
            event.remove(engine, "before_cursor_execute", count_statement)


Door = Callable[..., Response]


@pytest.fixture(params=["http", "api"])
def door(request: pytest.FixtureRequest) -> Callable[[Site], Door]:
    """Each test that uses it runs twice: by HTTP and through ``auth.api``, with answers of the same shape.

    ``invoke = door(site)``; ``invoke("sign_in_email", {...}, cookies=browser.cookies)`` is a response either way.
    """

    def of(site: Site) -> Door:
        registry = site.app.extensions["better_auth"].registry

        def invoke(name: str, body: Any = ..., *, cookies: dict[str, str] | None = None, query: Any = None) -> Response:
            endpoint = registry.by_name[name].endpoint
            if request.param == "http":
                browser = site.browser()
                browser.cookies = dict(cookies or {})
                options = {} if body is ... else {"data": json.dumps(body), "content_type": "application/json"}
                return browser.request(endpoint.methods[0], endpoint.path, query_string=query or {}, **options)
            headers = {"Origin": ORIGIN, "Cookie": "; ".join(f"{k}={v}" for k, v in (cookies or {}).items())}
            given = {} if body is ... else {"body": body}
            return getattr(site.api, name)(**given, query=query, headers=headers, as_response=True)

        return invoke

    return of
