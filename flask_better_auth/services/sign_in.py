"""Every way of signing in ends here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from .. import signals, wire
from ..context import Call, Record, Reply
from ..errors import APIError, CoreErrors, ErrorCode
from . import accounts, attempts, email_links, records, sessions, users


def with_password(
    call: Call,
    column: str,
    value: str,
    password: str,
    *,
    remember: bool,
    callback_url: str | None,
    refusal: ErrorCode,
) -> Reply:
    """Sign in by a password. The answer holds ``redirect``, ``token``, ``url`` (if there is a callback URL) and
    ``user``.

    The bound on the length comes before the look-up and the hash; a user that is not there, one without a password and
    a wrong password take one look-up and one hash each (SECURITY E1).

    Args:
        call: the call.
        column: the unique column of the user table that tells who it is.
        value: its value, normalised.
        password: in the clear.
        remember: keep the browser signed in after it is closed.
        callback_url: where the client shall go.
        refusal: the answer to a wrong value or a wrong password.

    Raises:
        APIError: ``PASSWORD_TOO_LONG``, ``refusal``, ``EMAIL_NOT_VERIFIED``, or what ``attempts.counted`` and
            ``complete`` raise.
    """
    call.state.passwords.check_bound(password)
    for _ in range(2):  # once more, if the stored hash changes meanwhile: it may be of the same password, made anew
        with suppress(records.Outdated):
            user, account = _authenticate(call, column, value, password, refusal)
            _require_verified(call, user)
            reply = _with_account(call, user, account, remember=remember, callback_url=callback_url)
            if not call.state.passwords.is_current(account.password):
                call.after_reply(partial(accounts.rehash, call, account, password))
            return reply
    raise APIError(refusal)


def _authenticate(call: Call, column: str, value: str, password: str, refusal: ErrorCode) -> tuple[Record, Record]:
    """The user and the credential account, if the password is right."""
    found = users.find(call, column, value)
    user, account = found or (None, Record(password=None))
    with attempts.counted(call, user, value):
        if not call.state.passwords.verify(account.password, password) or user is None:
            refused(call, method="credential", reason=refusal.code)
            raise APIError(refusal)
    return user, account


def _require_verified(call: Call, user: Record) -> None:
    """Refuse a user whose address is not proven where it has to be; only who knows the password learns of it
    (SECURITY E9)."""
    if user.email_verified or not call.config.email_and_password.require_email_verification:
        return
    if call.config.email_verification.send_on_sign_in:
        email_links.verify(call, user, call.body.get("callback_url"))
    refused(call, method="credential", reason=CoreErrors.EMAIL_NOT_VERIFIED.code)
    raise APIError(CoreErrors.EMAIL_NOT_VERIFIED)


def _with_account(call: Call, user: Record, account: Record, *, remember: bool, callback_url: str | None) -> Reply:
    """Open the session; a password that was changed while it was verified opens none (SECURITY S12)."""
    unchanged = ("account", {"id": account.id, "password": account.password})
    url = {} if callback_url is None else {"url": callback_url}

    def answer(session: Record) -> Reply:
        body = {"redirect": bool(callback_url), "token": session.token, **url, "user": user}
        return Reply(body, location=callback_url or None)

    return complete(call, user, answer, method="credential", remember=remember, given=unchanged)


def complete(
    call: Call,
    user: Record,
    answer: Callable[[Record], Reply],
    *,
    method: str,
    remember: bool,
    given: records.Given | None = None,
) -> Reply:
    """Open a session for a user who proved who they are, and hand its cookie to the browser.

    A plugin may answer first, for example with a second challenge; then there is no session and no cookie.

    Args:
        call: the call.
        user: who signs in.
        answer: what to say to the client, given the session.
        method: how, for example ``"credential"``.
        remember: keep the browser signed in after it is closed.
        given: what the proof relied on and must still hold, for example the password hash that was verified.

    Returns:
        The answer.

    Raises:
        APIError: ``FAILED_TO_CREATE_SESSION``, or what a plugin refuses with.
        Outdated: what ``given`` says no longer holds.
    """
    for plugin in call.state.plugins:
        challenge = plugin.sign_in_gate(call, user, method)
        if challenge is not None:
            challenge.output = wire.FREE  # the endpoint's schema speaks of a session
            return challenge
    with records.unit(call):
        session = sessions.create(call, user, remember=remember, given=given)
        state = call.state
        who, what = state.tables["user"].shown(user), sessions.told(call, session)
        records.after_commit(
            call, lambda: signals.user_signed_in.send(state.app, method=method, user=who, session=what)
        )
    call.set_session(session, user, remember=remember)
    return answer(session)


def refused(call: Call, *, method: str, reason: str) -> None:
    """Tell the application of a sign-in that was refused; neither the address nor the password is passed on."""
    call.guarded(lambda: signals.sign_in_failed.send(call.state.app, method=method, reason=reason))
