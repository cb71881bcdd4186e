"""The applications under measurement: one with the extension, bare ones beside it on the same rows."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import bindparam, select
from sqlalchemy.engine import make_url
from werkzeug.test import EnvironBuilder

from flask_better_auth import BetterAuth, current_user

#: In front of every table: nothing else in the database is touched.
PREFIX = "benchmark_"
SECRET = "jO2zRZ2Vq1Yw8sKf4Xb7Lc3Nd6Mh9Tp5"
ORIGIN = "http://localhost"
PASSWORD = "correct horse battery"
EMAIL = "ada@example.com"
#: Each request comes from an address of its own: limits are counted, and refuse none.
_addresses = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))


def backend(url: str) -> str:
    """The database of a URL: ``sqlite``, ``postgresql`` or ``mysql``."""
    return make_url(url).get_backend_name()


@dataclass
class Site:
    """An application with the extension."""

    app: Flask
    auth: BetterAuth
    db: SQLAlchemy
    url: str

    @property
    def api(self) -> Any:
        """``auth.api`` of this very application."""
        return self.auth.for_app(self.app).api


@dataclass
class Answer:
    """What a WSGI application answered."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def cookie(self) -> str:
        """The cookies it set, as a browser sends them back."""
        return "; ".join(v.partition(";")[0] for k, v in self.headers if k == "Set-Cookie")


def sender(
    app: Flask, method: str, path: str, *, cookie: str | Callable[[], str] = "", body: Any = None
) -> Callable[[], Answer]:
    """A function that sends one request to the WSGI application in this thread; any answer but 200 or 302 is a failure.

    Args:
        app: the application.
        method, path: of the request.
        cookie: the header, or what makes it for each request.
        body: sent as JSON; made for each request where it is a function.
    """
    environ = EnvironBuilder(method=method, path=path, base_url=ORIGIN, headers={"Origin": ORIGIN}).get_environ()

    def send() -> Answer:
        sent = {**environ, "REMOTE_ADDR": next(_addresses)}
        if cookie:
            sent["HTTP_COOKIE"] = cookie if isinstance(cookie, str) else cookie()
        if body is not None:
            raw = json.dumps(body() if callable(body) else body).encode()
            sent |= {"wsgi.input": io.BytesIO(raw), "CONTENT_LENGTH": str(len(raw)), "CONTENT_TYPE": "application/json"}
        head: list[Any] = []
        chunks: Any = app.wsgi_app(sent, lambda status, headers, exc_info=None: head.extend((status, headers)))
        answer = Answer(head[0], head[1], b"".join(chunks))
        if hasattr(chunks, "close"):
            chunks.close()
        assert answer.status in ("200 OK", "302 FOUND"), (method, path, answer)
        return answer

    return send


def build(url: str, *, prefix: str = PREFIX, testing: bool = False, **options: Any) -> Site:
    """An application with the extension as it runs in production.

    Args:
        url: of the database.
        prefix: of the tables.
        testing: allows a hash that is weaker than production's, and counts no limits.
        options: of the extension.
    """
    app = Flask("measured")
    app.testing = testing
    app.config.update(SQLALCHEMY_DATABASE_URI=url, BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=ORIGIN)
    db = SQLAlchemy()
    db.init_app(app)
    auth = BetterAuth(app, db=db, table_prefix=prefix, **options)

    @app.get("/nothing")
    def nothing() -> Any:
        return {}

    @app.get("/current-user")
    def whoami() -> Any:
        return {"email": current_user.email}

    @app.get("/nested")
    def nested() -> Any:
        auth.api.get_session(headers=request.headers)
        return {}

    return Site(app, auth, db, url)


@contextmanager
def site(url: str, **options: Any) -> Iterator[Site]:
    """What ``build`` makes, on empty tables that are gone at the end."""
    made = build(url, **options)
    with made.app.app_context():
        made.db.drop_all()
        made.db.create_all()
    try:
        yield made
    finally:
        with made.app.app_context():
            made.db.session.remove()
            made.db.drop_all()
        dispose(made.app, made.db)


def dispose(app: Flask, db: SQLAlchemy) -> None:
    """Close every connection of an application."""
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def columns(model: Any) -> list[Any]:
    """The mapped columns of a model, for a statement that reads plain rows."""
    return [getattr(model, attribute.key) for attribute in model.__mapper__.column_attrs]


@cache
def by_token(auth: BetterAuth, *, entities: bool = False) -> Any:
    """The SELECT of get-session: a session and its user by the token, as plain columns or as entities."""
    user, session = auth.User, auth.Session
    read = (session, user) if entities else (*columns(session), *columns(user))
    statement = select(*read).select_from(session)
    return statement.join(user, session.user_id == user.id).where(session.token == bindparam("token"))


@contextmanager
def bare(site: Site, *, autocommit: bool = False) -> Iterator[Flask]:
    """An application without the extension on the same rows.

    Args:
        site: whose tables it reads.
        autocommit: its engine reads without a transaction.
    """
    app = Flask("bare")
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    app.config.update(SQLALCHEMY_DATABASE_URI=site.url, SQLALCHEMY_ENGINE_OPTIONS=options)
    site.db.init_app(app)
    add_bare_views(app, site)
    try:
        yield app
    finally:
        dispose(app, site.db)


def add_bare_views(app: Flask, site: Site) -> None:
    """What an application does without the extension: one SELECT through ``db.session``, and its rows as JSON.

    The cookie holds the token as it is, the statement is made once; nothing is signed, checked or limited.
    """
    db, user, session = site.db, site.auth.User, site.auth.Session
    plain, entities = by_token(site.auth), by_token(site.auth, entities=True)
    of_session, of_user = ([c.key for c in columns(model)] for model in (session, user))

    @app.get("/bare/get-session")
    def bare_get_session() -> Any:
        row = db.session.execute(plain, {"token": request.cookies["token"]}).first()
        width = len(of_session)
        return {
            "session": dict(zip(of_session, row[:width], strict=True)),
            "user": dict(zip(of_user, row[width:], strict=True)),
        }

    @app.get("/bare/current-user")
    def bare_whoami() -> Any:
        found = db.session.execute(entities, {"token": request.cookies["token"]}).first()
        return {"email": found[1].email}


def sign_up(site: Site, email: str = EMAIL) -> tuple[str, str]:
    """A new user's cookie, and the token in it."""
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    answer = sender(site.app, "POST", "/api/auth/sign-up/email", body=body)()
    return answer.cookie, json.loads(answer.body)["token"]
