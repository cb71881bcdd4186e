"""Creating users: by themselves, and by the server."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from .. import guards
from ..context import Call, Record, Reply
from ..endpoint import FORM, JSON, Routes
from ..errors import APIError, CoreErrors
from ..services import email_links, mail, records, sign_in, users
from ..services import fields as additional
from ..wire import Bool, Email, Row, Str, WireSchema, is_email

routes = Routes()


class SignUpEmailBody(WireSchema):
    root = ("object", "record")
    columns_of = "user"

    name = Str(required=True)
    email = Email(required=True)
    password = Str(required=True, minimum=1, opaque=True)
    image = Str()
    callback_url = Str()
    remember_me = Bool()


class SignUpEmailResult(WireSchema):
    token = Str(allow_none=True)
    user = Row("user")


@routes.post(
    "/sign-up/email",
    body=SignUpEmailBody,
    returns=SignUpEmailResult,
    guards=[guards.form_csrf],
    raises=[
        CoreErrors.EMAIL_PASSWORD_SIGN_UP_DISABLED,
        CoreErrors.INVALID_EMAIL,
        CoreErrors.PASSWORD_TOO_SHORT,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.PASSWORD_COMPROMISED,
        CoreErrors.FIELD_NOT_ALLOWED,
        CoreErrors.MISSING_FIELD,
        CoreErrors.FAILED_TO_CREATE_USER,
        CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL,
        CoreErrors.VALUE_ALREADY_TAKEN,
    ],
    media_types=(FORM, JSON),
)
def sign_up_email(call: Call) -> Reply:
    """Create a user with an e-mail address and a password, and sign them in."""
    options, body = call.config.email_and_password, call.body
    if not options.enabled or options.disable_sign_up:
        raise APIError(CoreErrors.EMAIL_PASSWORD_SIGN_UP_DISABLED)
    call.state.passwords.check_length(body["password"])
    data = _user_data(call, trusted=False)
    # whether the address is somebody's or not: the application's refusal must not tell (SECURITY E2)
    users.validate(call, data, action="create-user", method="email-password")
    existing = users.find(call, "email", data["email"])
    opens_session = options.auto_sign_in and not options.require_email_verification
    if existing is not None and opens_session:
        raise APIError(CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL)
    password_hash = call.state.passwords.hash(body["password"])
    if existing is not None:
        return _as_if_new(call, data, existing[0])
    try:
        with records.unit(call):
            user = users.create(call, data, password_hash)
            _send_link(call, user)
            if opens_session:
                remember = body.get("remember_me") is not False
                return sign_in.complete(
                    call,
                    user,
                    lambda session: Reply({"token": session.token, "user": user}),
                    method="credential",
                    remember=remember,
                )
    except APIError as error:
        if error.code == CoreErrors.FAILED_TO_CREATE_SESSION.code:
            raise APIError(CoreErrors.FAILED_TO_CREATE_SESSION, status=400) from error
        if error.code != CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL.code or opens_session:
            raise
        return _as_if_new(call, data, None)  # somebody was faster, and the answer must not tell
    return Reply({"token": None, "user": user})


def _send_link(call: Call, user: Record) -> None:
    """The mail that asks a new user to prove their address."""
    wanted = call.config.email_verification.send_on_sign_up
    if call.config.email_and_password.require_email_verification if wanted is None else wanted:
        email_links.verify(call, user, call.body.get("callback_url"))


class CreateUserBody(WireSchema):
    columns_of = "user"

    name = Str(required=True)
    email = Email(required=True)
    password = Str(minimum=1, opaque=True)
    image = Str()
    email_verified = Bool()
    data = fields.Dict()


class CreateUserResult(WireSchema):
    user = Row("user")


@routes.server(body=CreateUserBody, returns=CreateUserResult)
def create_user(call: Call) -> Reply:
    """Create a user from the server, without a session; additional fields stand beside the others or in ``data``."""
    password = call.body.get("password")
    if password is not None:
        call.state.passwords.check_length(password)
    data = _user_data(call, trusted=True)
    if "email_verified" in call.body:
        data["email_verified"] = call.body["email_verified"]
    password_hash = None if password is None else call.state.passwords.hash(password)
    with records.unit(call):
        return Reply({"user": users.create(call, data, password_hash)})


def _user_data(call: Call, *, trusted: bool) -> dict[str, Any]:
    body = call.body
    email = body["email"].lower()
    if not is_email(email):
        raise APIError(CoreErrors.INVALID_EMAIL)
    extra = {**body, **body.get("data", {})} if trusted else body
    return {
        "name": body["name"],
        "email": email,
        "image": body.get("image"),
        **additional.read(call, "user", extra, creating=True, trusted=trusted),
    }


def _as_if_new(call: Call, data: dict[str, Any], existing: Record | None) -> Reply:
    """The answer that a free address gets; the owner of the taken one may be told."""
    tell = call.config.email_and_password.on_existing_user_sign_up
    if existing is not None and tell is not None:
        shown = call.state.tables["user"].shown(existing)
        mail.send(call, tell, existing.email, lambda: {"user": shown})
    return Reply({"token": None, "user": users.synthetic(call, data)})
