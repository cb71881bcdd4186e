"""Links that prove an e-mail address: signed tokens bound to a user and an address, and the mails that carry them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from .. import clock
from ..context import Call, Record
from ..errors import APIError, CoreErrors
from ..wire import wire_name
from . import mail

#: The only algorithm there is, whatever a token says of itself (SECURITY H9).
_ALGORITHM = "HS256"
#: Asks at the old address whether the change is wanted, and proves the new one.
CONFIRM_CHANGE, VERIFY_CHANGE = "change-email-confirmation", "change-email-verification"


class Claims(NamedTuple):
    """What a token says, in the order of the reference.

    Args:
        email: the address of the user when it was made.
        update_to: the address that is to take its place.
        request_type: ``CONFIRM_CHANGE``, ``VERIFY_CHANGE``, or nothing for a token that proves ``email`` itself.
        user_id: whose it is.
    """

    email: str
    update_to: str | None
    request_type: str | None
    user_id: str


def make_token(call: Call, claims: Claims) -> str:
    """A token for a link that works for ``email_verification.expires_in``."""
    from joserfc import jws
    from joserfc.jwk import OctKey

    said = {wire_name(name): value for name, value in claims._asdict().items() if value is not None}
    now = clock.now()
    lifetime: timedelta = call.config.email_verification.expires_in
    said |= {"iat": int(now.timestamp()), "exp": int((now + lifetime).timestamp())}
    payload = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return jws.serialize_compact(
        {"alg": _ALGORITHM}, payload, OctKey.import_key(call.state.secrets.current), [_ALGORITHM]
    )


def read_token(call: Call, token: str) -> Claims:
    """What a token says that we, or a server with the same secret, made for such a link (SECURITY H9, K2).

    Raises:
        APIError: ``TOKEN_EXPIRED`` or ``INVALID_TOKEN``.
    """
    said = _signed(call, token)
    times = [said.pop(name, None) for name in ("iat", "exp")]
    if not all(type(moment) is int for moment in times):
        raise APIError(CoreErrors.INVALID_TOKEN)
    if times[1] <= clock.now().timestamp():
        raise APIError(CoreErrors.TOKEN_EXPIRED)
    found = Claims(*(said.pop(wire_name(name), None) for name in Claims._fields))
    changes = (found.update_to, found.request_type) != (None, None)
    complete = all(isinstance(value, str) for value in (found if changes else (found.email, found.user_id)))
    # a token for another use is signed with the same secret, and is told apart by its claims
    if said or not complete or found.request_type not in (None, CONFIRM_CHANGE, VERIFY_CHANGE):
        raise APIError(CoreErrors.INVALID_TOKEN)
    return found


def _signed(call: Call, token: str) -> dict[str, Any]:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import OctKey

    for secret in call.state.secrets.trusted:
        try:
            signed = jws.deserialize_compact(token, OctKey.import_key(secret), [_ALGORITHM])
            said = json.loads(signed.payload)
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
        if signed.headers() == {"alg": _ALGORITHM} and isinstance(said, dict):
            return said
    raise APIError(CoreErrors.INVALID_TOKEN)


def sender(call: Call) -> mail.Sender | None:
    """What sends links to an address that is to be proven."""
    configured = call.config.email_verification.send_verification_email
    return mail.sender(call, configured, "send_verification_email")


def verify(call: Call, user: Record, callback_url: str | None) -> None:
    """Send a user the link that proves their address, if there is a sender."""
    send = sender(call)
    if send is not None:
        _send(call, send, user.email, user, Claims(user.email, None, None, user.id), callback_url)


def verify_change(call: Call, user: Record, new_email: str, callback_url: str | None) -> None:
    """Send the link that proves a new address, and puts it in the place of the old one, to the new one."""
    send = sender(call)
    if send is not None:
        renamed = Record({**user, "email": new_email})
        claims = Claims(user.email, new_email, VERIFY_CHANGE, user.id)
        _send(call, send, new_email, renamed, claims, callback_url)


def confirm_change(call: Call, send: mail.Sender, user: Record, new_email: str, callback_url: str | None) -> None:
    """Ask at the old address whether the new one is wanted."""
    claims = Claims(user.email, new_email, CONFIRM_CHANGE, user.id)
    _send(call, send, user.email, user, claims, callback_url, new_email=new_email)


def _send(
    call: Call,
    send: mail.Sender,
    recipient: str,
    user: Record,
    claims: Claims,
    callback_url: str | None,
    **more: object,
) -> None:
    page = f"{call.base_url}/verify-email"
    target = quote(callback_url or "/", safe="")  # what a client sent must not end or extend the link (SECURITY H13)

    def message() -> dict[str, object]:
        token = make_token(call, claims)
        url = f"{page}?token={token}&{wire_name('callback_url')}={target}"
        return {"user": call.state.tables["user"].shown(user), "url": url, "token": token, **more}

    mail.send(call, send, recipient, message)
