"""Every way of signing in ends here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import signals, wire
from ..context import Call, Record, Reply
from . import records, sessions


def complete(
    call: Call,
    user: Record,
    answer: Callable[[Record], Reply],
    *,
    method: str,
    remember: bool,
    given: tuple[Any, ...] = (),
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
