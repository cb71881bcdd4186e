"""Every way of signing in ends here."""

from __future__ import annotations

from typing import Any

from .. import signals
from ..context import Call, Record
from . import records, sessions


def complete(call: Call, user: Record, *, method: str, remember: bool, given: tuple[Any, ...] = ()) -> Record:
    """Open a session for a user who proved who they are, and hand its cookie to the browser.

    Args:
        call: the call.
        user: who signs in.
        method: how, for example ``"credential"``.
        remember: keep the browser signed in after it is closed.
        given: what the proof relied on and must still hold, for example the password hash that was verified.

    Returns:
        The session.

    Raises:
        APIError: ``FAILED_TO_CREATE_SESSION``.
        Outdated: what ``given`` says no longer holds.
    """
    with records.unit(call):
        session = sessions.create(call, user, remember=remember, given=given)
        state = call.state
        who, what = state.tables["user"].shown(user), sessions.told(call, session)
        records.after_commit(
            call, lambda: signals.user_signed_in.send(state.app, method=method, user=who, session=what)
        )
    call.set_session(session, user, remember=remember)
    return session


def refused(call: Call, *, method: str, reason: str) -> None:
    """Tell the application of a sign-in that was refused; neither the address nor the password is passed on."""
    call.guarded(lambda: signals.sign_in_failed.send(call.state.app, method=method, reason=reason))
