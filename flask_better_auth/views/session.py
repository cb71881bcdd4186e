"""The caller's session, and the other sessions of the same user."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from .. import guards
from ..context import Call, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import sessions
from ..wire import Bool, QueryFlag, Row, WireSchema

routes = Routes()


class GetSessionQuery(WireSchema):
    disable_cookie_cache = QueryFlag()
    disable_refresh = QueryFlag()


class GetSessionResult(WireSchema):
    session = Row("session")
    user = Row("user")
    needs_refresh = Bool()


@routes.route(
    "/get-session",
    methods=("GET", "POST"),
    query=GetSessionQuery,
    returns=GetSessionResult,
    needs_headers=True,
    no_store=True,
)
def get_session(call: Call) -> Reply:
    """Tell who is signed in; null if nobody is."""
    deferred, writing = call.config.session.defer_session_refresh, call.request.method == "POST"
    if writing and not deferred:
        raise APIError(CoreErrors.METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED)
    refresh = not call.query.get("disable_refresh")
    if not sessions.load(call, refresh=refresh, writing=writing or not deferred):
        return Reply(None)
    session, user = call.signed_in
    body: dict[str, Any] = {"session": session, "user": user}
    if deferred and not writing and refresh and sessions.is_extensible(call, session):
        body["needs_refresh"] = sessions.is_due(call, session)
    return Reply(body)


@routes.get("/list-sessions", returns=fields.List(Row("session")), guards=[guards.fresh_session], needs_headers=True)
def list_sessions(call: Call) -> Reply:
    """List the caller's live sessions, oldest first."""
    return Reply(sessions.list_live(call, call.signed_in[1].id))
