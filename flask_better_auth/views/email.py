"""The caller's e-mail address: proving it, and changing it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from .. import guards, signals, urls
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..services import email_links, mail, records, sessions, sign_in, users
from ..wire import Bool, Email, Row, Str, WireSchema
from .results import PRIVATE, StatusResult, redirect

routes = Routes()


class SendVerificationEmailBody(WireSchema):
    email = Email(required=True)
    callback_url = Str()


@routes.post(
    "/send-verification-email",
    body=SendVerificationEmailBody,
    returns=StatusResult,
    raises=[
        CoreErrors.VERIFICATION_EMAIL_NOT_ENABLED,
        CoreErrors.EMAIL_MISMATCH,
        CoreErrors.EMAIL_ALREADY_VERIFIED,
    ],
)
def send_verification_email(call: Call) -> Reply:
    """Send the link that proves an address; without a session the answer is the same whether it has a user."""
    if email_links.sender(call) is None:
        raise APIError(CoreErrors.VERIFICATION_EMAIL_NOT_ENABLED)
    address = call.body["email"].lower()
    if sessions.load(call, tidy=True):
        user: Record | None = call.signed_in[1]
        if call.signed_in[1].email != address:
            raise APIError(CoreErrors.EMAIL_MISMATCH)
        if call.signed_in[1].email_verified:
            raise APIError(CoreErrors.EMAIL_ALREADY_VERIFIED)
    else:
        user, _ = users.find(call, "email", address) or (None, None)
    if user is not None and not user.email_verified:
        email_links.verify(call, user, call.body.get("callback_url"))
    return Reply({"status": True})


class VerifyEmailQuery(WireSchema):
    token = Str(required=True, opaque=True)
    callback_url = Str()


class VerifyEmailResult(WireSchema):
    status = Bool()
    user = Row("user")


@routes.get(
    "/verify-email",
    query=VerifyEmailQuery,
    returns=VerifyEmailResult,
    guards=[guards.callback_url],
    raises=[
        CoreErrors.INVALID_CALLBACK_URL,
        CoreErrors.INVALID_TOKEN,
        CoreErrors.TOKEN_EXPIRED,
        CoreErrors.USER_NOT_FOUND,
        CoreErrors.INVALID_USER,
        CoreErrors.FAILED_TO_CREATE_SESSION,
    ],
)
def verify_email(call: Call) -> Reply:
    """Follow a link that proves an address, or one that belongs to a change of it."""
    target = call.query.get("callback_url")
    try:
        reply = _follow(call)
    except APIError as error:
        if not target or error.code is None:
            raise
        raise redirect(urls.with_query(target, "error", error.code)) from error
    if target:
        raise redirect(target)
    reply.headers |= PRIVATE
    return reply


def _follow(call: Call) -> Reply:
    claims = email_links.read_token(call, call.query["token"])
    user = _user_of(call, claims)
    changes = claims.update_to is not None
    if changes or call.config.hardening or call.config.email_verification.auto_sign_in_after_verification:
        somebody_else = sessions.load(call) and call.signed_in[1].id != user.id
        if somebody_else and (changes or call.config.hardening):
            raise APIError(CoreErrors.INVALID_USER)
    if claims.update_to is None:
        return _verify(call, claims, user)
    if claims.request_type == email_links.CONFIRM_CHANGE:
        if users.find(call, "email", claims.update_to) is None:
            email_links.verify_change(call, user, claims.update_to, call.query.get("callback_url"))
        return Reply({"status": True})
    changed = _change(call, user, claims.update_to, verified=user.email_verified)
    if changed is None:
        raise APIError(CoreErrors.INVALID_TOKEN)
    return Reply({"status": True, "user": changed})


def _user_of(call: Call, claims: email_links.Claims) -> Record:
    """The user whose address is still the one that the token speaks of (SECURITY H5)."""
    if claims.update_to is None:
        user, _ = users.find(call, "email", claims.email) or (None, None)
    else:
        user = users.find_by_id(call, claims.user_id)
    if user is None:
        raise APIError(CoreErrors.USER_NOT_FOUND, status=401)
    if (user.id, user.email) != (claims.user_id, claims.email):
        raise APIError(CoreErrors.INVALID_TOKEN)
    return user


def _verify(call: Call, claims: email_links.Claims, user: Record) -> Reply:
    options, body = call.config.email_verification, {"status": True, "user": None}
    if user.email_verified:
        return Reply(body)
    if options.before_email_verification is not None:
        options.before_email_verification(user=call.state.tables["user"].shown(user))
    columns = call.state.tables["user"].columns
    # of many who follow the link at once it signs one in, and the application is told once
    unproven = (columns["email"] == user.email, columns["email_verified"].is_not(True))
    with records.unit(call):
        verified = users.update(call, user, {"email_verified": True}, *unproven)
        if verified is not None:
            _tell_verified(call, verified)
    if verified is None:
        if _user_of(call, claims).email_verified:
            return Reply(body)
        raise APIError(CoreErrors.INVALID_TOKEN)
    if not options.auto_sign_in_after_verification:
        return Reply(body)
    if call.session is not None and call.session.user_id == user.id:
        call.set_session(call.session, verified, remember=sessions.is_remembered(call))
        return Reply(body)
    given = ("user", {"id": user.id, "email": user.email})
    with suppress(records.Outdated):  # the address was changed meanwhile: it was proven, and signs nobody in
        # a plugin may want a second factor first, and answers for it (SECURITY H12)
        return sign_in.complete(
            call, verified, lambda _: Reply(body), method="email-verification", remember=True, given=given
        )
    return Reply(body)


def _tell_verified(call: Call, user: Record) -> None:
    state, shown = call.state, call.state.tables["user"].shown(user)
    told = call.config.email_verification.after_email_verification
    records.after_commit(call, lambda: signals.email_verified.send(state.app, user=shown))
    if told is not None:
        records.after_commit(call, partial(told, user=shown))


class ChangeEmailBody(WireSchema):
    new_email = Email(required=True)
    callback_url = Str()


@routes.post(
    "/change-email",
    body=ChangeEmailBody,
    returns=StatusResult,
    guards=[guards.sensitive_session],
    raises=[CoreErrors.CHANGE_EMAIL_DISABLED],
)
def change_email(call: Call) -> Reply:
    """Change the caller's address once the new one is proven; the answer is the same whether it is somebody's."""
    options, user = call.config.user.change_email, call.signed_in[1]
    address, callback_url = call.body["new_email"].lower(), call.body.get("callback_url")
    if not options.enabled:
        raise APIError(CoreErrors.CHANGE_EMAIL_DISABLED)
    if address == user.email:
        raise _refusal("Email is the same")
    at_once = options.update_email_without_verification and not user.email_verified
    if not at_once and email_links.sender(call) is None:
        raise _refusal("Verification email isn't enabled")
    if users.find(call, "email", address) is not None:
        return Reply({"status": True})  # and nobody is told (SECURITY E4)
    if at_once:
        changed = _change(call, user, address, verified=False, holding=True)
        if changed is not None:
            email_links.verify(call, changed, callback_url)
    elif user.email_verified and options.send_change_email_confirmation is not None:
        email_links.confirm_change(call, options.send_change_email_confirmation, user, address, callback_url)
    else:
        email_links.verify_change(call, user, address, callback_url)
    return Reply({"status": True})


def _refusal(message: str) -> APIError:
    return APIError(CoreErrors.BAD_REQUEST, message=message, without_code=True)


def _change(call: Call, user: Record, address: str, *, verified: bool, holding: bool = False) -> Record | None:
    """Put another address in the place of a user's, tell the old one, and show it to the caller's own session.

    Args:
        call: the call.
        user: as they were read.
        address: the new one.
        verified: whether it counts as proven.
        holding: the caller's session allows it, and must not have ended.

    Returns:
        The user as they are now; nothing, if the address is somebody's or the user's own has changed meanwhile
        (SECURITY H7).
    """
    unchanged = call.state.tables["user"].columns["email"] == user.email
    try:
        with records.unit(call):
            changed = users.update(call, user, {"email": address, "email_verified": verified}, unchanged)
            if changed is None:
                return None
            if holding:
                sessions.hold(call)
            if verified:
                _tell_verified(call, changed)
            _tell_old_address(call, user, address)
    except APIError as error:
        if error.code != CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL.code:
            raise
        return None
    if call.session is not None:
        call.set_session(call.session, changed, remember=sessions.is_remembered(call))
    return changed


def _tell_old_address(call: Call, user: Record, new_email: str) -> None:
    send = call.config.user.change_email.send_change_email_notice
    if send is not None:
        message: dict[str, Any] = {"user": call.state.tables["user"].shown(user), "new_email": new_email}
        mail.send(call, send, user.email, lambda: message)
