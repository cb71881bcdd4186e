"""The caller's ways of signing in, and the end of their account."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from marshmallow import fields

from .. import crypto, guards
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import accounts, mail, records, sessions, users, verifications
from ..wire import Bool, Str, WireSchema, wire_name
from .results import StatusResult, redirect

routes = Routes()

_INVALID_TOKEN = replace(CoreErrors.INVALID_TOKEN, status=404)


class AccountResult(WireSchema):
    columns_of = "account"

    account_id = Str()
    provider_id = Str()
    user_id = Str()
    created_at = fields.AwareDateTime()
    updated_at = fields.AwareDateTime()
    id = Str()
    scopes = fields.List(Str())


@routes.get("/list-accounts", returns=fields.List(fields.Nested(AccountResult)), guards=[guards.session])
def list_user_accounts(call: Call) -> Reply:
    """List the caller's ways of signing in, oldest first, without what they hold (SECURITY J12)."""
    shown = map(call.state.tables["account"].shown, accounts.list_all(call, call.signed_in[1]))
    return Reply([{"scopes": accounts.scopes(account), **_rest(account)} for account in shown])


def _rest(account: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in account.items() if name != "scope"}


class UnlinkAccountBody(WireSchema):
    account_id = Str(required=True)


@routes.post(
    "/unlink-account",
    body=UnlinkAccountBody,
    returns=StatusResult,
    guards=[guards.fresh_session],
    raises=[CoreErrors.FAILED_TO_UNLINK_LAST_ACCOUNT, CoreErrors.ACCOUNT_NOT_FOUND],
)
def unlink_account(call: Call) -> Reply:
    """Take one of the caller's ways of signing in away, by the ``id`` that ``list_user_accounts`` shows."""
    accounts.unlink(call, call.signed_in[1], call.body["account_id"])
    return Reply({"status": True})


class DeleteUserBody(WireSchema):
    callback_url = Str()
    password = Str(opaque=True)
    token = Str()


class DeleteUserResult(WireSchema):
    success = Bool()
    message = Str()


@routes.post(
    "/delete-user",
    body=DeleteUserBody,
    returns=DeleteUserResult,
    guards=[guards.sensitive_session],
    raises=[
        CoreErrors.NOT_FOUND,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.CREDENTIAL_ACCOUNT_NOT_FOUND,
        CoreErrors.INVALID_PASSWORD,
        CoreErrors.SESSION_EXPIRED,
        CoreErrors.FAILED_TO_DELETE_USER,
        _INVALID_TOKEN,
    ],
)
def delete_user(call: Call) -> Reply:
    """Delete the caller: by their password, by a session that was opened lately, or by the token in a mail; where mails
    are configured, send one unless it brings that token."""
    options, (session, user) = call.config.user.delete_user, call.signed_in
    if not options.enabled:
        raise APIError(CoreErrors.NOT_FOUND) if call.config.hardening else APIError.bare(404)
    password, token = call.body.get("password"), call.body.get("token")
    account = accounts.verified(call, user, password) if password else None
    if token:
        return _delete_by_token(call, token)
    if options.send_delete_account_verification is not None:
        return _send_link(call, options.send_delete_account_verification)
    if account is None:
        if not sessions.is_fresh(call.state, session):
            raise APIError(CoreErrors.SESSION_EXPIRED)
        return _delete(call)
    return _delete_by_password(call, account, password)


class DeleteUserCallbackQuery(WireSchema):
    token = Str(required=True)
    callback_url = Str()


@routes.get(
    "/delete-user/callback",
    query=DeleteUserCallbackQuery,
    returns=DeleteUserResult,
    guards=[guards.callback_url, guards.opened],
    raises=[
        CoreErrors.NOT_FOUND,
        CoreErrors.FAILED_TO_GET_USER_INFO,
        CoreErrors.UNAUTHORIZED,
        CoreErrors.FAILED_TO_DELETE_USER,
        _INVALID_TOKEN,
    ],
)
def delete_user_callback(call: Call) -> Reply:
    """Delete the caller by the link in the mail. It needs their session too: whoever looks into mails and follows links
    deletes nobody (SECURITY H10)."""
    if not call.config.user.delete_user.enabled:
        raise APIError(CoreErrors.NOT_FOUND)
    if not sessions.load(call):
        raise APIError(CoreErrors.FAILED_TO_GET_USER_INFO)
    reply = _delete_by_token(call, call.query["token"])
    if call.query.get("callback_url"):
        raise redirect(call.query["callback_url"])
    return reply


def _send_link(call: Call, sender: mail.Sender) -> Reply:
    options, user = call.config.user.delete_user, call.signed_in[1]
    token = crypto.random_string()
    target = quote(call.body.get("callback_url") or "/", safe="")
    expires_in = options.delete_token_expires_in
    message = {
        "user": call.state.tables["user"].shown(user),
        "url": f"{call.base_url}/delete-user/callback?token={token}&{wire_name('callback_url')}={target}",
        "token": token,
    }
    with records.unit(call):
        verifications.create(call, verifications.DELETE_ACCOUNT, token, user.id, expires_in=expires_in)
        mail.send(call, sender, user.email, lambda: message)
    return Reply({"success": True, "message": "Verification email sent"})


def _delete_by_password(call: Call, account: Record, password: str) -> Reply:
    for _ in range(2):  # once more, if the stored hash changes meanwhile: it may be of the same password, made anew
        with suppress(records.Outdated):
            return _delete(call, account=account)
        account = accounts.verified(call, call.signed_in[1], password)
    raise APIError(CoreErrors.INVALID_PASSWORD)


def _delete_by_token(call: Call, token: str) -> Reply:
    kind = verifications.DELETE_ACCOUNT
    proven = verifications.find(call, kind, token)
    if proven == call.signed_in[1].id:
        with suppress(records.Outdated):
            return _delete(call, token=token)
    elif proven is not None:  # somebody has it whom it was not sent to
        with records.unit(call):
            verifications.consume(call, kind, token)
    raise APIError(_INVALID_TOKEN)


def _delete(call: Call, *, account: Record | None = None, token: str | None = None) -> Reply:
    """Delete the caller, in one unit with what holds or uses up the proof that they want it."""
    options, user = call.config.user.delete_user, call.signed_in[1]
    shown = call.state.tables["user"].shown(user)
    if options.before_delete is not None:
        options.before_delete(user=shown)
    with records.unit(call):
        users.delete(call, user, account=account, token=token)
        if options.after_delete is not None:
            records.after_commit(call, partial(options.after_delete, user=shown))
    call.clear_session()
    return Reply({"success": True, "message": "User deleted"})
