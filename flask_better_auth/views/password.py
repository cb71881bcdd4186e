"""Passwords: changing, checking, setting and forgetting them."""

from __future__ import annotations

from urllib.parse import quote

from .. import crypto, guards
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import accounts, attempts, mail, records, sessions, users, verifications
from ..wire import Bool, Email, Row, Str, WireSchema, wire_name
from .results import StatusResult

routes = Routes()

_TOKEN_LENGTH = 24


class ChangePasswordBody(WireSchema):
    new_password = Str(required=True, opaque=True)
    current_password = Str(required=True, opaque=True)
    revoke_other_sessions = Bool()


class ChangePasswordResult(WireSchema):
    token = Str(allow_none=True)
    user = Row("user")


@routes.post(
    "/change-password",
    body=ChangePasswordBody,
    returns=ChangePasswordResult,
    guards=[guards.session],
    raises=[
        CoreErrors.PASSWORD_TOO_SHORT,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.PASSWORD_COMPROMISED,
        CoreErrors.CREDENTIAL_ACCOUNT_NOT_FOUND,
        CoreErrors.INVALID_PASSWORD,
        CoreErrors.FAILED_TO_CREATE_SESSION,
    ],
)
def change_password(call: Call) -> Reply:
    """Change the caller's password; with ``revoke_other_sessions`` their only session is then a new one."""
    user, body, passwords = call.signed_in[1], call.body, call.state.passwords
    passwords.check_length(body["new_password"])
    for _ in range(2):  # once more, if the stored hash changes meanwhile: it may be of the same password, made anew
        account = _verified(call, user, body["current_password"])
        session = _change(call, account, passwords.hash(body["new_password"]))
        if session is not None:
            token = session.token if body.get("revoke_other_sessions") else None
            return Reply({"token": token, "user": user})
    raise APIError(CoreErrors.INVALID_PASSWORD)


def _verified(call: Call, user: Record, password: str) -> Record:
    """The credential account of the user, if the password is right."""
    call.state.passwords.check_bound(password)
    account = accounts.credential(call, user)
    if account is None or not account.password:
        raise APIError(CoreErrors.CREDENTIAL_ACCOUNT_NOT_FOUND)
    with attempts.counted(call, user):
        if not call.state.passwords.verify(account.password, password):
            raise APIError(CoreErrors.INVALID_PASSWORD)
    return account


def _change(call: Call, account: Record, password_hash: str) -> Record | None:
    """The session that the caller has afterwards; nothing, if the verified hash is not the stored one any more."""
    session, user = call.signed_in
    remember = sessions.is_remembered(call)
    with records.unit(call):
        changed = accounts.change_password(call, user, account, password_hash)
        sessions.hold(call)
        if not changed:
            return None
        if not call.body.get("revoke_other_sessions"):
            return session
        # after the change, which lets no sign-in with the old password through any more (SECURITY S12)
        sessions.revoke_all(call, user_id=user.id)
        session = sessions.create(call, user, remember=remember)
    call.set_session(session, user, remember=remember)
    return session


class VerifyPasswordBody(WireSchema):
    password = Str(required=True, opaque=True)


@routes.post(
    "/verify-password",
    body=VerifyPasswordBody,
    returns=StatusResult,
    guards=[guards.session],
    raises=[CoreErrors.PASSWORD_TOO_LONG, CoreErrors.INVALID_PASSWORD],
)
def verify_password(call: Call) -> Reply:
    """Tell whether a password is the caller's."""
    passwords, password = call.state.passwords, call.body["password"]
    passwords.check_bound(password)
    user = call.signed_in[1]
    account = accounts.credential(call, user)
    with attempts.counted(call, user):
        if not passwords.verify(account.password if account else None, password):
            raise APIError(CoreErrors.INVALID_PASSWORD)
    return Reply({"status": True})


class SetPasswordBody(WireSchema):
    new_password = Str(required=True, opaque=True)


@routes.server(body=SetPasswordBody, returns=StatusResult, guards=[guards.session])
def set_password(call: Call) -> Reply:
    """Give the caller, who has none, a password: one who signed up with a provider."""
    user, password = call.signed_in[1], call.body["new_password"]
    call.state.passwords.check_length(password)
    account = accounts.credential(call, user)
    if account is not None and account.password:
        raise APIError(CoreErrors.PASSWORD_ALREADY_SET)
    password_hash = call.state.passwords.hash(password)
    with records.unit(call):
        accounts.set_password(call, user, password_hash)
        sessions.hold(call)
    return Reply({"status": True})


class RequestPasswordResetBody(WireSchema):
    email = Email(required=True)
    redirect_to = Str()


class RequestPasswordResetResult(WireSchema):
    status = Bool()
    message = Str()


@routes.post(
    "/request-password-reset",
    body=RequestPasswordResetBody,
    returns=RequestPasswordResetResult,
    raises=[CoreErrors.RESET_PASSWORD_DISABLED],
)
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
                verifications.RESET_PASSWORD,
                token,
                user.id,
                expires_in=options.reset_password_token_expires_in,
            )
            mail.send(
                call,
                options.send_reset_password,
                user.email,
                user=call.state.tables["user"].shown(user),
                url=f"{call.base_url}/reset-password/{token}?{wire_name('callback_url')}={target}",
                token=token,
            )
    return Reply({"status": True, "message": "If this email exists in our system, check your email for the reset link"})
