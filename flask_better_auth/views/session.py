"""The caller's session, and the other sessions of the same user."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from .. import guards
from ..context import Call, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import fields as additional
from ..services import records, sessions
from ..wire import Bool, Id, QueryFlag, Row, Str, WireSchema
from .results import StatusResult

routes = Routes()


class OfUser(WireSchema):
    user_id = Id(required=True)


class OfSession(WireSchema):
    session_id = Id(required=True)


class NoBody(WireSchema):
    root = ()


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
    returns=fields.Nested(GetSessionResult, allow_none=True),
    raises=[CoreErrors.METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED],
    needs_headers=True,
    no_store=True,
)
def get_session(call: Call) -> Reply:
    """Tell who is signed in; null if nobody is."""
    deferred, writing = call.config.session.defer_session_refresh, call.request.method == "POST"
    if writing and not deferred:
        raise APIError(CoreErrors.METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED)
    refresh, shows = not call.query.get("disable_refresh"), not call.query.get("disable_cookie_cache")
    purpose = sessions.Purpose.SHOW if shows else sessions.Purpose.GUARD_AND_RENEW
    if not sessions.load(call, purpose=purpose, refresh=refresh, writing=writing or not deferred, tidy=shows):
        return Reply(None)
    session, user = call.signed_in
    body: dict[str, Any] = {"session": session, "user": user}
    if deferred and not writing and refresh and sessions.is_extensible(call, session):
        body["needs_refresh"] = sessions.is_due(call, session)
    return Reply(body)


@routes.get(
    "/list-sessions",
    privileged=OfUser,
    returns=fields.List(Row("session")),
    guards=[guards.fresh_session],
    needs_headers=True,
)
def list_sessions(call: Call) -> Reply:
    """List the caller's live sessions, oldest first; for the server, those of ``user_id``."""
    return Reply(sessions.list_live(call, _user_id(call)))


class UpdateSessionBody(WireSchema):
    root = ("record",)
    columns_of = "session"


class UpdateSessionResult(WireSchema):
    session = Row("session")


@routes.post(
    "/update-session",
    body=UpdateSessionBody,
    returns=UpdateSessionResult,
    guards=[guards.session],
    raises=[CoreErrors.FIELD_NOT_ALLOWED],
)
def update_session(call: Call) -> Reply:
    """Change the additional fields of the caller's session, and nothing else of it (SECURITY G12)."""
    session, user = call.signed_in
    changes = additional.read(call, "session", call.body, creating=False)
    if not changes:
        raise APIError(CoreErrors.BAD_REQUEST, message="No fields to update", without_code=True)
    with records.unit(call):
        changed = sessions.update(call, session, changes)
        sessions.hold(call)
    session = changed or session
    call.set_session(session, user, remember=sessions.is_remembered(call))
    return Reply({"session": session})


class RevokeSessionBody(WireSchema):
    token = Str(required=True)


@routes.post(
    "/revoke-session",
    body=RevokeSessionBody,
    privileged=OfSession,
    returns=StatusResult,
    guards=[guards.sensitive_session],
    needs_headers=True,
)
def revoke_session(call: Call) -> Reply:
    """End one of the caller's sessions; for the server, the one of ``session_id``.

    Whether there was such a session is not told (SECURITY G11).
    """
    if call.privileged:
        sessions.revoke_one(call, id=call.privileged["session_id"])
        return Reply({"status": True})
    own, user = call.signed_in
    ended = sessions.revoke_one(call, token=call.body["token"], user_id=user.id)
    if own.id in (session.id for session in ended):
        call.clear_session()
    return Reply({"status": True})


@routes.post(
    "/revoke-sessions",
    body=NoBody,
    privileged=OfUser,
    returns=StatusResult,
    guards=[guards.sensitive_session],
    needs_headers=True,
)
def revoke_sessions(call: Call) -> Reply:
    """End all of the caller's sessions, this one too; for the server, those of ``user_id``."""
    sessions.revoke_all(call, user_id=_user_id(call))
    if not call.privileged:
        call.clear_session()
    return Reply({"status": True})


@routes.post(
    "/revoke-other-sessions", body=NoBody, returns=StatusResult, guards=[guards.sensitive_session], needs_headers=True
)
def revoke_other_sessions(call: Call) -> Reply:
    """End all of the caller's sessions but this one."""
    own, user = call.signed_in
    sessions.revoke_all(call, user_id=user.id, but=own.id)
    return Reply({"status": True})


def _user_id(call: Call) -> str:
    user_id: str = call.privileged["user_id"] if call.privileged else call.signed_in[1].id
    return user_id
