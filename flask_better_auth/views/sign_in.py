"""Signing in with an e-mail address and a password."""

from __future__ import annotations

from .. import guards
from ..context import Call, Reply
from ..endpoint import FORM, JSON, Routes
from ..errors import APIError, CoreErrors
from ..services import sign_in
from ..wire import Bool, Str, WireSchema, is_email
from .results import SignInResult

routes = Routes()


class SignInEmailBody(WireSchema):
    email = Str(required=True, opaque=True)
    password = Str(required=True, opaque=True)
    callback_url = Str()
    remember_me = Bool(load_default=True)


@routes.post(
    "/sign-in/email",
    body=SignInEmailBody,
    returns=SignInResult,
    guards=[guards.form_csrf],
    raises=[
        CoreErrors.EMAIL_PASSWORD_DISABLED,
        CoreErrors.INVALID_EMAIL,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.INVALID_EMAIL_OR_PASSWORD,
        CoreErrors.EMAIL_NOT_VERIFIED,
        CoreErrors.FAILED_TO_CREATE_SESSION,
    ],
    media_types=(FORM, JSON),
)
def sign_in_email(call: Call) -> Reply:
    """Sign in with an e-mail address and a password."""
    body = call.body
    if not call.config.email_and_password.enabled:
        raise APIError(CoreErrors.EMAIL_PASSWORD_DISABLED)
    if not is_email(body["email"]):
        raise APIError(CoreErrors.INVALID_EMAIL)
    return sign_in.with_password(
        call,
        "email",
        body["email"].lower(),
        body["password"],
        remember=body["remember_me"],
        callback_url=body.get("callback_url"),
        refusal=CoreErrors.INVALID_EMAIL_OR_PASSWORD,
    )
