"""What a sign-in with a provider has to remember until the browser is back, and that it is the same browser."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .. import clock, wire
from ..context import Call, Record
from ..cookies import Cookie
from ..crypto import random_string
from ..services import records, verifications
from ..wire import wire_name

_ALPHABET = string.ascii_letters + string.digits + "-_"
#: How long a sign-in may take.
_LIFE = timedelta(minutes=10)
#: What the cookie that holds everything is encrypted for, and the session inside of a link.
_COOKIE_PURPOSE, _LINK_PURPOSE = "oauth-state-cookie", "oauth-link-session-token"


class StateError(Exception):
    """A browser brought no state back that counts.

    Args:
        code: why, as redirects say it.
        flow: what was begun, where that is known.
    """

    def __init__(self, code: str, flow: Flow | None = None) -> None:
        self.code, self.flow = code, flow
        super().__init__(code)


@dataclass(frozen=True)
class Link:
    """Whose account shall be added to, and the session in which that was asked for."""

    user_id: str
    email: str
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Flow:
    """A sign-in with a provider that is under way."""

    callback_url: str
    code_verifier: str = field(repr=False)
    expires_at: datetime
    provider_id: str | None = None
    error_url: str | None = None
    new_user_url: str | None = None
    request_sign_up: bool = False
    nonce: str | None = None
    link: Link | None = None
    #: What the server itself wants to know again, for plugins; no client can set it.
    server_context: Mapping[str, Any] = field(default_factory=dict)
    #: What the client wanted to be kept; it never stands for anything above (SECURITY J8).
    additional: Mapping[str, Any] = field(default_factory=dict)
    #: The parameter that stands for it in addresses.
    state: str | None = None


#: What a flow is called in the state, as the reference calls it.
_NAMES = {
    "callback_url": wire_name("callback_url"),
    "code_verifier": wire_name("code_verifier"),
    "error_url": wire_name("error_url"),
    "new_user_url": wire_name("new_user_url"),
    "link": "link",
    "server_context": wire_name("server_context"),
    "expires_at": wire_name("expires_at"),
    "request_sign_up": wire_name("request_sign_up"),
    "nonce": wire_name("id_token_nonce"),
    "state": wire_name("oauth_state"),
    "provider_id": wire_name("provider_id"),
}
_USER_ID, _SESSION_TOKEN = wire_name("user_id"), wire_name("encrypted_session_token")


def nonce() -> str:
    """A value that the ID token of a sign-in must hold."""
    return random_string(32, _ALPHABET)


def link_of(session: Record, user: Record) -> Link:
    """What it takes to add an account to the caller later."""
    return Link(user.id, user.email, session.token)


def begin(
    call: Call,
    provider_id: str,
    *,
    link: Link | None = None,
    nonce: str | None = None,
    callback_url: str | None = None,
    error_url: str | None = None,
    new_user_url: str | None = None,
    request_sign_up: bool | None = None,
    additional: Mapping[str, Any] | None = None,
) -> tuple[str, Flow]:
    """Remember a sign-in, and let the browser prove later that it began it.

    Args:
        call: gets the cookie.
        provider_id: to whom the browser goes.
        link: whose account shall be added to.
        nonce: what the ID token must hold.
        callback_url, error_url, new_user_url: where the browser goes afterwards.
        request_sign_up: the user wants to sign up.
        additional: what the client wants to be kept.

    Returns:
        The ``state`` parameter, and what was remembered.
    """
    state = random_string(32, _ALPHABET)
    flow = Flow(
        callback_url=callback_url or call.base_url.removesuffix(call.config.base_path),
        code_verifier=random_string(128, _ALPHABET),
        expires_at=clock.now() + _LIFE,
        provider_id=provider_id,
        error_url=error_url or None,
        new_user_url=new_user_url or None,
        request_sign_up=bool(request_sign_up),
        nonce=nonce,
        link=link,
        server_context=dict(call.server_context),
        additional=dict(additional or {}),
        state=state,
    )
    if call.config.account.store_state_strategy == "cookie":
        sealed = call.state.secrets.encrypt(dumps(call, flow), purpose=_COOKIE_PURPOSE)
        cookie = _cookie(call)
        call.cookies.set(cookie, sealed, max_age=cookie.attributes.max_age)
        return state, flow
    with records.unit(call):
        verifications.create(call, verifications.OAUTH_STATE, state, _wired(call, flow), expires_in=_LIFE)
    cookie = _cookie(call)
    call.cookies.set(cookie, call.state.cookies.signed(state), max_age=cookie.attributes.max_age)
    return state, flow


def resume(call: Call, state: str | None) -> Flow:
    """What the browser that came back with ``state`` had begun. It can come back once.

    Args:
        call: the callback.
        state: the parameter.

    Raises:
        StateError: nothing counts (SECURITY J1, J2).
    """
    if not state:
        raise StateError("state_not_found")
    if call.config.account.store_state_strategy == "cookie":
        flow = _from_cookie(call, state)
    else:
        flow = _from_database(call, state)
    if flow.expires_at <= clock.now():
        raise StateError("state_mismatch", flow)
    return flow


def _from_cookie(call: Call, state: str) -> Flow:
    cookie = _cookie(call)
    sealed = call.request.cookies.get(cookie.name)
    if not sealed:
        raise StateError("state_mismatch")
    try:
        stored = wire.parse_json(call.state.secrets.decrypt(sealed, purpose=_COOKIE_PURPOSE).encode())
        flow = _flow(call, stored)
    except (ValueError, AttributeError):
        raise StateError("state_invalid") from None
    if flow.state != state:
        raise StateError("state_mismatch", flow)
    call.cookies.expire(cookie)
    return flow


def _from_database(call: Call, state: str) -> Flow:
    jar, cookie, kind = call.state.cookies, _cookie(call), verifications.OAUTH_STATE
    stored = verifications.find(call, kind, state, over=True)
    if stored is None:
        raise StateError("state_mismatch")
    try:
        flow = _flow(call, stored)
    except ValueError:
        raise StateError("state_mismatch") from None
    kept = jar.read(call.request.cookies, cookie)
    if flow.state not in (None, state) or (kept != state and not call.config.account.skip_state_cookie_check):
        raise StateError("state_mismatch", flow)
    call.cookies.expire(cookie)
    with records.unit(call):  # of many at once one goes on (SECURITY S10)
        used = verifications.consume(call, kind, state)
    if used is None:
        raise StateError("state_mismatch", flow)
    return flow


def _cookie(call: Call) -> Cookie:
    jar = call.state.cookies
    return jar.oauth_state if call.config.account.store_state_strategy == "cookie" else jar.state


def dumps(call: Call, flow: Flow) -> str:
    """A flow as text, in the form of the reference."""
    return wire.dumps(_wired(call, flow)).decode()


def loads(call: Call, text: str) -> Flow:
    """The flow that another server wrote as text, without a link: only that server can read it.

    Raises:
        ValueError: it is none.
    """
    stored = wire.parse_json(text.encode())
    if not isinstance(stored, dict):
        raise ValueError("no state")
    return _flow(call, {**stored, "link": None})


def _wired(call: Call, flow: Flow) -> dict[str, Any]:
    own: dict[str, Any] = {
        "callback_url": flow.callback_url,
        "code_verifier": flow.code_verifier,
        "error_url": flow.error_url,
        "new_user_url": flow.new_user_url,
        "link": _wired_link(call, flow.link) if flow.link is not None else None,
        "server_context": flow.server_context or None,
        "expires_at": int(flow.expires_at.timestamp() * 1000),
        "request_sign_up": flow.request_sign_up or None,
        "nonce": flow.nonce,
        "state": flow.state,
        # the reference does not remember it: a state of one provider would count at the callback of another (J1, J4)
        "provider_id": flow.provider_id if call.config.hardening else None,
    }
    theirs = {name: value for name, value in flow.additional.items() if name not in _NAMES.values()}
    return {**theirs, **{_NAMES[name]: value for name, value in own.items() if value is not None}}


def _wired_link(call: Call, link: Link) -> dict[str, str]:
    wired = {"email": link.email, _USER_ID: link.user_id}
    if link.session_token is not None:
        wired[_SESSION_TOKEN] = call.state.secrets.encrypt(link.session_token, purpose=_LINK_PURPOSE)
    return wired


def _flow(call: Call, stored: Mapping[str, Any]) -> Flow:
    """What a stored state says.

    Raises:
        ValueError: it is none of ours, nor one of a server that shares the table (SECURITY T5).
    """
    said = {name: stored.get(key) for name, key in _NAMES.items()}
    texts = ("callback_url", "code_verifier", "error_url", "new_user_url", "nonce", "provider_id", "state")
    wrong = [name for name in texts if not isinstance(said[name], (str, type(None)))]
    end: Any = said["expires_at"]
    if wrong or not said["callback_url"] or not said["code_verifier"] or type(end) not in (int, float):
        raise ValueError("no state")
    context = said["server_context"]
    try:
        expires_at = datetime.fromtimestamp(end / 1000, timezone.utc)
    except (OverflowError, OSError):
        raise ValueError("no time") from None
    return Flow(
        callback_url=said["callback_url"],
        code_verifier=said["code_verifier"],
        expires_at=expires_at,
        provider_id=said["provider_id"] if call.config.hardening else None,
        error_url=said["error_url"],
        new_user_url=said["new_user_url"],
        request_sign_up=said["request_sign_up"] is True,
        nonce=said["nonce"],
        link=_link(call, said["link"]) if said["link"] is not None else None,
        server_context=context if isinstance(context, dict) else {},
        additional={key: value for key, value in stored.items() if key not in _NAMES.values()},
        state=said["state"],
    )


def _link(call: Call, stored: Any) -> Link:
    if not isinstance(stored, dict) or not isinstance(stored.get("email"), str):
        raise ValueError("no link")
    user_id, sealed = stored.get(_USER_ID), stored.get(_SESSION_TOKEN)
    if not isinstance(user_id, (str, int)):
        raise ValueError("no link")
    # a link without a session, or with one that cannot be read, belongs to nobody who is signed in (SECURITY I7)
    token = call.state.secrets.decrypt(sealed, purpose=_LINK_PURPOSE) if isinstance(sealed, str) else None
    return Link(str(user_id), stored["email"], token)
