"""The caller's own user."""

from __future__ import annotations

from .. import guards
from ..context import Call, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import fields as additional
from ..services import records, sessions, users
from ..wire import Bool, Str, WireSchema

routes = Routes()


class UpdateUserBody(WireSchema):
    root = ("record",)
    columns_of = "user"

    name = Str()
    image = Str(allow_none=True)


class StatusResult(WireSchema):
    status = Bool()


@routes.post("/update-user", body=UpdateUserBody, returns=StatusResult, guards=[guards.session])
def update_user(call: Call) -> Reply:
    """Change the caller's name, image and additional fields."""
    session, user = call.signed_in
    if call.body.get("email"):
        raise APIError(CoreErrors.EMAIL_CAN_NOT_BE_UPDATED)
    changes = {name: call.body[name] for name in ("name", "image") if name in call.body}
    changes |= additional.read(call, "user", call.body, creating=False)
    if not changes:
        raise APIError(CoreErrors.BAD_REQUEST, message="No fields to update", without_code=True)
    with records.unit(call):
        changed = users.update(call, user, changes)
    if changed is not None:
        call.set_session(session, changed, remember=sessions.is_remembered(call))
    return Reply({"status": True})
