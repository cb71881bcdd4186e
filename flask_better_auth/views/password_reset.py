"""A new password for who has forgotten theirs, by a link that is mailed."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from urllib.parse import quote

from .. import crypto, guards, urls
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import accounts, mail, records, sessions, users, verifications
from ..wire import Bool, Email, Str, WireSchema, wire_name
from .results import StatusResult, redirect

routes = Routes()

_TOKEN_LENGTH = 24


class RequestPasswordResetBody(WireSchema):
    email = Email(required=True)
    redirect_to = Str()


class RequestPasswordResetResult(WireSchema):
    status = Bool()
    message = Str()


@routes.post(
    "/request-password-reset",
    also=(("POST", "/forgot-password"), ("POST", "/forget-password")),
    body=RequestPasswordResetBody,
    returns=RequestPasswordResetResult,
    raises=[CoreErrors.RESET_PASSWORD_DISABLED],
)
def request_password_reset(call: Call) -> Reply:
    """Send a link to set a new password, if the address has a user; the answer is the same if it has none."""
    send = mail.sender(call, call.config.email_and_password.send_reset_password, "send_reset_password")
    if send is None:
        raise APIError(CoreErrors.RESET_PASSWORD_DISABLED)
    found = users.find(call, "email", call.body["email"].lower())
    if found is not None:
        work = partial(_send_link, call, send, *found)
        if call.internal:
            work()  # the server knows its users, and wants to know of a failure
        else:
            call.after_reply(work)  # until the answer, both addresses take one look-up (SECURITY E3)
    return Reply({"status": True, "message": "If this email exists in our system, check your email for the reset link"})


def _send_link(call: Call, send: mail.Sender, user: Record, account: Record) -> None:
    if not _may_reset(call, user, account):
        return
    token = crypto.random_string(_TOKEN_LENGTH)
    target = quote(call.body.get("redirect_to", ""), safe="")
    message = {
        "user": call.state.tables["user"].shown(user),
        "url": f"{call.base_url}/reset-password/{token}?{wire_name('callback_url')}={target}",
        "token": token,
    }
    lifetime = call.config.email_and_password.reset_password_token_expires_in
    # an address that was changed since the look-up gets no link any more (SECURITY H2)
    with suppress(records.Outdated), records.unit(call):
        given = ("user", {"id": user.id, "email": user.email})
        verifications.create(call, verifications.RESET_PASSWORD, token, user.id, expires_in=lifetime, given=given)
        mail.send(call, send, user.email, lambda: message)


def _may_reset(call: Call, user: Record, account: Record | None) -> bool:
    """Whether a link may set a password: not the first one beside a provider that did not prove the address.

    Else whoever signed up there with the address of somebody else would share the account with its owner
    (SECURITY H4).
    """
    has_password = account is not None and account.password
    return bool(
        has_password or user.email_verified or not call.config.hardening or not accounts.has_provider(call, user)
    )


class RequestPasswordResetCallbackQuery(WireSchema):
    callback_url = Str(required=True)


@routes.get(
    "/reset-password/<token>",
    query=RequestPasswordResetCallbackQuery,
    guards=[guards.callback_url],
    raises=[CoreErrors.INVALID_CALLBACK_URL],
)
def request_password_reset_callback(call: Call) -> Reply:
    """Lead from the link in the mail to the page that asks for the new password."""
    target, token = call.query["callback_url"], call.params["token"]
    said = ("token", token)
    if not target:
        target, said = f"{call.base_url}/error", ("error", CoreErrors.INVALID_TOKEN.code)
    elif verifications.find(call, verifications.RESET_PASSWORD, token) is None:
        said = ("error", CoreErrors.INVALID_TOKEN.code)
    if urls.is_relative(target):
        target = urls.base_origin(call.base_url) + target
    raise redirect(urls.with_query(target, *said))


class ResetPasswordBody(WireSchema):
    new_password = Str(required=True, opaque=True)
    token = Str(opaque=True)


class ResetPasswordQuery(WireSchema):
    token = Str(opaque=True)


@routes.post(
    "/reset-password",
    body=ResetPasswordBody,
    query=ResetPasswordQuery,
    returns=StatusResult,
    raises=[
        CoreErrors.INVALID_TOKEN,
        CoreErrors.PASSWORD_TOO_SHORT,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.USER_NOT_FOUND,
    ],
)
def reset_password(call: Call) -> Reply:
    """Set a new password by the token of a link."""
    token, password = call.body.get("token") or call.query.get("token"), call.body["new_password"]
    if not token:
        raise _invalid_token()
    call.state.passwords.check_length(password)  # a bad password does not use the token up (SECURITY H1)
    user_id = verifications.find(call, verifications.RESET_PASSWORD, token)
    if user_id is None:
        raise _invalid_token()
    user = users.find_by_id(call, user_id)
    if user is None:
        raise APIError(CoreErrors.USER_NOT_FOUND, status=400)
    account = accounts.credential(call, user)
    if not _may_reset(call, user, account):
        raise _invalid_token()
    _reset(call, token, user, account, call.state.passwords.hash(password))
    return Reply({"status": True})


def _invalid_token() -> APIError:
    return APIError(CoreErrors.INVALID_TOKEN, status=400)


def _reset(call: Call, token: str, user: Record, account: Record | None, password_hash: str) -> None:
    options = call.config.email_and_password
    with records.unit(call):
        accounts.replace_password(call, user, account, password_hash)
        if verifications.consume(call, verifications.RESET_PASSWORD, token) != user.id:
            raise _invalid_token()
        accounts.password_changed(call, user)
        # whoever signed up with an address that is not theirs must not stay signed in (SECURITY H4)
        if options.revoke_sessions_on_password_reset or (call.config.hardening and not user.email_verified):
            sessions.revoke_all(call, user_id=user.id)
        if options.on_password_reset is not None:
            told = partial(options.on_password_reset, user=call.state.tables["user"].shown(user))
            records.after_commit(call, told)
