"""Passwords that are lost."""

from __future__ import annotations

from urllib.parse import quote

from .. import crypto
from ..context import Call, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import mail, records, users, verifications
from ..wire import Bool, Email, Str, WireSchema, wire_name

routes = Routes()

_TOKEN_LENGTH = 24


class RequestPasswordResetBody(WireSchema):
    email = Email(required=True)
    redirect_to = Str()


class RequestPasswordResetResult(WireSchema):
    status = Bool()
    message = Str()


@routes.post("/request-password-reset", body=RequestPasswordResetBody, returns=RequestPasswordResetResult)
def request_password_reset(call: Call) -> Reply:
    """Send a link to set a new password, if the address has a user; the answer is the same if it has none."""
    options = call.config.email_and_password
    if options.send_reset_password is None:
        raise APIError(CoreErrors.RESET_PASSWORD_DISABLED)
    found = users.find(call, "email", call.body["email"].lower())
    token = crypto.random_string(_TOKEN_LENGTH)
    if found is not None:
        user = found[0]
        target = quote(call.body.get("redirect_to", ""), safe="")
        with records.unit(call):
            verifications.create(
                call,
                verifications.Kind.RESET_PASSWORD,
                token,
                user.id,
                expires_in=options.reset_password_token_expires_in,
            )
            mail.send(
                call,
                options.send_reset_password,
                user=call.state.tables["user"].shown(user),
                url=f"{call.base_url}/reset-password/{token}?{wire_name('callback_url')}={target}",
                token=token,
            )
    return Reply({"status": True, "message": "If this email exists in our system, check your email for the reset link"})
