"""Passwords: changing, checking and setting them."""

from __future__ import annotations

from .. import guards
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import accounts, attempts, records, sessions
from ..wire import Bool, Row, Str, WireSchema
from .results import StatusResult

routes = Routes()


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
    guards=[guards.sensitive_session],
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
        account = accounts.verified(call, user, body["current_password"])
        session = _change(call, account, passwords.hash(body["new_password"]))
        if session is not None:
            token = session.token if body.get("revoke_other_sessions") else None
            return Reply({"token": token, "user": user})
    raise APIError(CoreErrors.INVALID_PASSWORD)


def _change(call: Call, account: Record, password_hash: str) -> Record | None:
    """The session that the caller has afterwards; nothing, if the verified hash is not the stored one any more."""
    session, user = call.signed_in
    remember = sessions.is_remembered(call)
    with records.unit(call):
        changed = accounts.change_password(call, user, account, password_hash)
        if not changed or not call.body.get("revoke_other_sessions"):
            sessions.hold(call)
            return session if changed else None
        # after the change, which lets no sign-in with the old password through any more (SECURITY S12)
        sessions.revoke_own(call)
        session = sessions.create(call, user, remember=remember)
    call.set_session(session, user, remember=remember)
    return session


class VerifyPasswordBody(WireSchema):
    password = Str(required=True, opaque=True)


@routes.post(
    "/verify-password",
    body=VerifyPasswordBody,
    returns=StatusResult,
    guards=[guards.sensitive_session],
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


@routes.server(body=SetPasswordBody, returns=StatusResult, guards=[guards.sensitive_session])
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
