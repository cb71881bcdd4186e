"""Signing in with an e-mail address and a password."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from .. import guards
from ..context import Call, Record, Reply
from ..endpoint import FORM, JSON, Routes
from ..errors import APIError, CoreErrors
from ..services import accounts, records, sign_in, users
from ..wire import Bool, Row, Str, WireSchema, is_email

routes = Routes()


class SignInEmailBody(WireSchema):
    email = Str(required=True, opaque=True)
    password = Str(required=True, opaque=True)
    callback_url = Str()
    remember_me = Bool(load_default=True)


class SignInResult(WireSchema):
    redirect = Bool()
    token = Str()
    url = Str()
    user = Row("user")


@routes.post(
    "/sign-in/email",
    body=SignInEmailBody,
    returns=SignInResult,
    guards=[guards.form_csrf],
    media_types=(FORM, JSON),
)
def sign_in_email(call: Call) -> Reply:
    """Sign in with an e-mail address and a password."""
    body = call.body
    if not call.config.email_and_password.enabled:
        raise APIError(CoreErrors.EMAIL_PASSWORD_DISABLED)
    if not is_email(body["email"]):
        raise APIError(CoreErrors.INVALID_EMAIL)
    for _ in range(2):  # once more, if the stored hash changes meanwhile: it may be of the same password, made anew
        with suppress(records.Outdated):
            return _sign_in(call, body)
    raise APIError(CoreErrors.INVALID_EMAIL_OR_PASSWORD)


def _sign_in(call: Call, body: dict[str, Any]) -> Reply:
    """Sign in; a password that was changed while it was verified opens no session (SECURITY S12)."""
    user, account = _authenticate(call, body["email"].lower(), body["password"])
    columns = call.state.tables["account"].columns
    unchanged = (columns["id"] == account.id, columns["password"] == account.password)
    url = body.get("callback_url")

    def answer(session: Record) -> Reply:
        result = {"redirect": bool(url), "token": session.token, "user": user, **({} if url is None else {"url": url})}
        return Reply(result, location=url or None)

    reply = sign_in.complete(call, user, answer, method="credential", remember=body["remember_me"], given=unchanged)
    if not call.state.passwords.is_current(account.password):
        call.after_reply(lambda: accounts.rehash(call, account, body["password"]))
    return reply


def _authenticate(call: Call, email: str, password: str) -> tuple[Record, Record]:
    """The user of an address and the credential account, if the password is right.

    The bound on the length comes before the look-up and the hash; a user that is not there, one without a password and
    a wrong password take one look-up and one hash each (SECURITY E1).
    """
    call.state.passwords.check_bound(password)
    found = users.find_by_email(call, email)
    user, account = found or (None, Record(password=None))
    if not call.state.passwords.verify(account.password, password) or user is None:
        sign_in.refused(call, method="credential", reason=CoreErrors.INVALID_EMAIL_OR_PASSWORD.code)
        raise APIError(CoreErrors.INVALID_EMAIL_OR_PASSWORD)
    return user, account
