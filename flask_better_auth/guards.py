"""What must hold before a view runs: a session, a trusted origin, a trusted target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import urls, wire
from .context import Call
from .errors import APIError, CoreErrors, ErrorCode
from .services import sessions

#: Fields that name a place to send the browser to, in the order in which they are checked.
_TARGETS: tuple[tuple[str, ErrorCode], ...] = (
    ("callback_url", CoreErrors.INVALID_CALLBACK_URL),
    ("redirect_to", CoreErrors.INVALID_REDIRECT_URL),
    ("error_callback_url", CoreErrors.INVALID_ERROR_CALLBACK_URL),
    ("new_user_callback_url", CoreErrors.INVALID_NEW_USER_CALLBACK_URL),
)
#: Where browsers say that nobody has opened a link yet.
_PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")


def session(call: Call) -> None:
    """Require a live session; ``call.session`` and ``call.user`` are set.

    Raises:
        APIError: ``UNAUTHORIZED``.
    """
    # without hardening a GET answers by the cookie cache, as in the reference (SECURITY G5)
    shows = call.request.method == "GET" and not call.config.hardening
    _require(call, sessions.Purpose.SHOW if shows else sessions.Purpose.GUARD)


def sensitive_session(call: Call) -> None:
    """Require a live session where the reference never takes the cookie cache's word for it.

    Raises:
        APIError: ``UNAUTHORIZED``.
    """
    _require(call, sessions.Purpose.GUARD_AND_RENEW)


def _require(call: Call, purpose: sessions.Purpose) -> None:
    if not sessions.load(call, purpose=purpose):
        raise APIError(CoreErrors.UNAUTHORIZED)


def fresh_session(call: Call) -> None:
    """Require a session that was opened lately (SECURITY G10).

    Raises:
        APIError: ``UNAUTHORIZED`` or ``SESSION_NOT_FRESH``.
    """
    session(call)
    if not sessions.is_fresh(call.state, call.signed_in[0]):
        raise APIError(CoreErrors.SESSION_NOT_FRESH)


def origin(call: Call) -> None:
    """Require that a browser's request with cookies comes from a trusted origin (SECURITY B1, B2).

    Raises:
        APIError: ``MISSING_OR_NULL_ORIGIN`` or ``INVALID_ORIGIN``.
    """
    if call.config.advanced.disable_csrf_check or _origin_exempt(call) or "Cookie" not in call.request.headers:
        return
    _check_origin(call)


def targets(call: Call, body: object) -> None:
    """Require that the places named in the request are on this server or trusted (SECURITY A).

    Args:
        call: the call, with its query.
        body: the body as it came, under wire names.

    Raises:
        APIError: the code that belongs to the field.
    """
    if _origin_exempt(call):
        return
    sent: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    for name, error in _TARGETS:
        key = wire.wire_name(name)
        value = sent.get(key)
        if _is_empty(value) and name == "callback_url":
            given = call.request.args.getlist(key)
            value = given if len(given) > 1 else "".join(given)
        if _is_empty(value):
            continue
        if not isinstance(value, str):
            raise APIError(error, message=f"{error.message}: expected a string", status=400, without_code=True)
        if not urls.is_trusted_target(value, call.state.trusted_origins(call.request)):
            raise APIError(error)


def callback_url(call: Call) -> None:
    """Require that a link leads to this server or to a trusted origin (SECURITY A5); what follows links is a GET.

    Raises:
        APIError: ``INVALID_CALLBACK_URL``.
    """
    target = call.query.get("callback_url")
    if call.internal or not target or _origin_exempt(call):
        return
    if not urls.is_trusted_target(target, call.state.trusted_origins(call.request)):
        raise APIError(CoreErrors.INVALID_CALLBACK_URL)


def opened(call: Call) -> None:
    """Require that a link that does something was opened by somebody: browsers fetch some on suspicion (SECURITY H10).

    Raises:
        APIError: ``PREFETCH_NOT_ALLOWED``.
    """
    headers = call.request.headers
    purposes = {word for name in _PURPOSES for word in re.findall(r"[a-z]+", headers.get(name, "").lower())}
    if call.config.hardening and purposes & {"prefetch", "prerender", "preview"}:
        raise APIError(CoreErrors.PREFETCH_NOT_ALLOWED)


def _is_empty(value: Any) -> bool:
    """What JavaScript takes for false; an empty list is none of it."""
    return value is None or value is False or value == 0 or value == ""


def form_csrf(call: Call) -> None:
    """Refuse to sign a browser in on behalf of another site, with or without cookies (login CSRF, SECURITY B3, B4).

    Clients that are no browsers send neither ``Origin`` nor Fetch Metadata, and pass.

    Raises:
        APIError: ``CROSS_SITE_NAVIGATION_LOGIN_BLOCKED``, ``MISSING_OR_NULL_ORIGIN`` or ``INVALID_ORIGIN``.
    """
    advanced, headers = call.config.advanced, call.request.headers
    if call.internal or advanced.disable_csrf_check:
        return
    if advanced.disable_origin_check is True and advanced.disable_csrf_check is None:
        return
    exempt = _origin_exempt(call)
    if "Cookie" in headers:
        if not exempt:
            _check_origin(call)
        return
    site, mode = headers.get("Sec-Fetch-Site", ""), headers.get("Sec-Fetch-Mode", "")
    if site or mode or headers.get("Sec-Fetch-Dest"):
        if site == "cross-site" and mode == "navigate":
            raise APIError(CoreErrors.CROSS_SITE_NAVIGATION_LOGIN_BLOCKED)
    elif not (headers.get("Origin") or headers.get("Referer")):
        return
    if not exempt:
        _check_origin(call)


def _check_origin(call: Call) -> None:
    headers = call.request.headers
    claimed = headers.get("Origin") or headers.get("Referer") or ""
    trusted = call.state.trusted_origins(call.request)
    if claimed == "null" and headers.get("Sec-Fetch-Site") == "same-origin":
        claimed = trusted[0]  # a form of our own under `Referrer-Policy: no-referrer`
    if not claimed or claimed == "null":
        raise APIError(CoreErrors.MISSING_OR_NULL_ORIGIN)
    if not urls.is_trusted_origin(claimed, trusted):
        raise APIError(CoreErrors.INVALID_ORIGIN)


def _origin_exempt(call: Call) -> bool:
    exempt = call.config.advanced.disable_origin_check
    if isinstance(exempt, bool):
        return exempt
    path = (call.endpoint.path if call.endpoint else None) or ""
    return any(path == prefix or path.startswith(prefix.rstrip("/") + "/") for prefix in exempt)
