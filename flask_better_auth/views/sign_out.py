"""Signing out."""

from __future__ import annotations

from ..context import Call, Reply
from ..endpoint import Routes
from ..services import sessions
from ..wire import Bool, Str, WireSchema

routes = Routes()


class SignOutBody(WireSchema):
    callback_url = Str()
    disable_redirect = Bool()
    state = Str()


class SignOutResult(WireSchema):
    success = Bool()


@routes.post("/sign-out", body=SignOutBody, returns=SignOutResult, optional_body=True, needs_headers=True)
def sign_out(call: Call) -> Reply:
    """End the caller's session. It never fails: a browser without a session is signed out already."""
    if sessions.load(call, refresh=False, writing=False):
        sessions.revoke(call, call.signed_in[0])
    call.clear_session()
    return Reply({"success": True})
