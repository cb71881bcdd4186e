"""The caller's own user."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from .. import guards, wire
from ..context import Call, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import fields as additional
from ..services import records, sessions, users
from ..wire import Bool, Email, Id, Str, WireSchema
from .results import StatusResult

routes = Routes()


class UpdateUserBody(WireSchema):
    root = ("record",)
    columns_of = "user"

    name = Str()
    image = Str(allow_none=True)


class ChangesOfUser(WireSchema):
    user_id = Id(required=True)
    data = fields.Dict(required=True)


class ByServer(WireSchema):
    """What server code may change of a user, beside every additional field."""

    columns_of = "user"

    name = Str()
    image = Str(allow_none=True)
    email = Email()
    email_verified = Bool()


_by_server = ByServer()


@routes.post(
    "/update-user",
    also=(("PATCH", "/update-user"),),
    body=UpdateUserBody,
    privileged=ChangesOfUser,
    returns=StatusResult,
    guards=[guards.session],
    raises=[CoreErrors.EMAIL_CAN_NOT_BE_UPDATED, CoreErrors.FIELD_NOT_ALLOWED, CoreErrors.VALUE_ALREADY_TAKEN],
)
def update_user(call: Call) -> Reply:
    """Change the caller's name, image and additional fields; for the server, ``data`` of ``user_id``."""
    if call.privileged:
        return _update_by_server(call, call.privileged["user_id"], call.privileged["data"])
    session, user = call.signed_in
    if call.body.get("email"):
        raise APIError(CoreErrors.EMAIL_CAN_NOT_BE_UPDATED)
    changes = {name: call.body[name] for name in ("name", "image") if name in call.body}
    changes |= additional.read(call, "user", call.body, creating=False)
    _check_any(changes)
    with records.unit(call):
        changed = users.update(call, user, changes)
        sessions.hold(call)
    if changed is not None:
        call.set_session(session, changed, remember=sessions.is_remembered(call))
    return Reply({"status": True})


def _update_by_server(call: Call, user_id: str, data: dict[str, Any]) -> Reply:
    given = wire.load(_by_server, data, "data")
    known = {*_by_server.fields, *call.state.additional_fields("user")}
    for name in given.keys() - known:
        raise APIError(CoreErrors.FIELD_NOT_ALLOWED, message=f"{name} is not allowed to be set")
    changes = {name: given[name] for name in _by_server.fields if name in given}
    changes |= additional.read(call, "user", given, creating=False, trusted=True)
    _check_any(changes)
    user = users.get(call, user_id)
    if "email" in changes:
        changes["email"] = changes["email"].lower()
        if changes["email"] != user.email:
            changes = {"email_verified": False, **changes}  # nobody has proven the new one
    with records.unit(call):
        users.update(call, user, changes)
    return Reply({"status": True})


def _check_any(changes: dict[str, Any]) -> None:
    if not changes:
        raise APIError(CoreErrors.BAD_REQUEST, message="No fields to update", without_code=True)
