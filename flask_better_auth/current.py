"""``current_user``, ``current_session`` and the decorators: who makes the current request, for views and templates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from flask import Response, after_this_request, current_app, has_request_context, redirect, request
from sqlalchemy import bindparam, inspect, select
from sqlalchemy.orm import Session
from werkzeug.local import LocalProxy

from .context import AuthState, Call, Record
from .errors import APIError, CoreErrors, ErrorCode
from .services import records, sessions
from .services.session_stores.database import by_token

F = TypeVar("F", bound=Callable[..., Any])
#: Where the answer is kept for the rest of the request; an inner request has an environ of its own.
_KEY = "better_auth.current"


class Anonymous:
    """Nobody: falsy, and without any of a user's attributes."""

    is_authenticated = False

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<Anonymous>"


_NOBODY = Anonymous()


def _with_user(state: AuthState) -> Any:
    return by_token(state, state.models["user"])


def _user(state: AuthState) -> Any:
    return select(state.models["user"]).where(state.tables["user"].columns["id"] == bindparam("id"))


def _load() -> tuple[Any, Record | None]:
    """The user and the session of the current request, read by one statement at the first look."""
    if not has_request_context():
        return _NOBODY, None
    known = request.environ.get(_KEY)
    if known is not None:
        return cast("tuple[Any, Record | None]", known)
    state: AuthState = current_app.extensions["better_auth"]
    call = Call(state, None, request._get_current_object())  # type: ignore[attr-defined]  # the object behind the proxy
    instances: list[Any] = []

    def find(call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        if state.sessions.in_database:
            asked, statement, session = {"token": token}, state.once(_with_user), None
        else:
            session = state.sessions.session(call, token)
            if session is None:
                return
            asked, statement = {"id": session.user_id}, state.once(_user)
        with records.reading(call) as connection, Session(connection) as reader:
            for *columns, user in reader.execute(statement, asked).all():
                instances[:] = [user]
                found = session or state.tables["session"].record(columns)
                yield found, state.tables["user"].record_of(user)

    try:
        signed_in = sessions.load(call, find=find)
    finally:
        call.close()
    found = (_adopted(state, instances[0]), call.session) if signed_in else (_NOBODY, None)
    request.environ[_KEY] = found
    after_this_request(lambda response: _mark(call, response))
    return found


def _adopted(state: AuthState, instance: Any) -> Any:
    """The instance in ``db.session``: nothing is flushed, no connection is taken, relationships work."""
    session = state.db.session()
    loaded = inspect(instance)
    present = session.identity_map.get(loaded.key)
    if present is not None and inspect(present).modified:
        return present  # the application is about to change it
    if present is not None or not loaded.unloaded.issuperset(loaded.mapper.relationships.keys()):
        return session.merge(instance, load=False)  # into what the session may know already
    session.add(instance)
    return instance


def _mark(call: Call, response: Response) -> Response:
    response.vary.add("Cookie")
    if call.state.plugins:
        response.vary.add("Authorization")  # they may read the token there
    for line in call.cookies.lines():
        response.headers.add("Set-Cookie", line)
    return response


#: The user of the current request: the application's own model, or an ``Anonymous``. Read at the first look.
current_user: Any = LocalProxy(lambda: _load()[0])
#: The session of the current request, a ``Record`` with ``id``, ``token``, ``expires_at`` and so on; falsy for nobody.
current_session: Any = LocalProxy(lambda: _load()[1] or {})


def login_required(view: F) -> F:
    """Let signed-in users in; others get a 401 as JSON, or a redirect to ``BETTER_AUTH_LOGIN_URL`` in a browser."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user:
            return _refused(CoreErrors.UNAUTHORIZED)
        return current_app.ensure_sync(view)(*args, **kwargs)

    return cast(F, guarded)


def fresh_login_required(view: F) -> F:
    """Let users in who signed in within ``session.fresh_age``; others get a 401 or 403, or a redirect to sign in."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        user, session = _load()
        if session is None or not user:
            return _refused(CoreErrors.UNAUTHORIZED)
        state: AuthState = current_app.extensions["better_auth"]
        if not sessions.is_fresh(state, session):
            return _refused(CoreErrors.SESSION_NOT_FRESH)
        return current_app.ensure_sync(view)(*args, **kwargs)

    return cast(F, guarded)


def _refused(error: ErrorCode) -> Any:
    login_url = current_app.extensions["better_auth"].config.login_url
    accepts = request.accept_mimetypes
    prefers_json = request.is_json or accepts["application/json"] >= accepts["text/html"]
    if login_url is None or prefers_json:
        raise APIError(error)
    back = request.full_path.rstrip("?") if request.method == "GET" else request.script_root + "/"
    return redirect(f"{login_url}{'&' if '?' in login_url else '?'}{urlencode({'next': back})}", 302)
