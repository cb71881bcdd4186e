"""Sessions: making them, finding the caller's, extending and ending them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from typing import Any

from .. import clock, signals
from ..context import AuthState, Call, Record
from ..cookie_cache import Copy
from ..crypto import random_string
from ..errors import APIError, CoreErrors, TransactionConflict
from . import records

#: How much of a User-Agent is kept: more than any browser sends, and less than any column holds.
_LONGEST_AGENT = 2048
#: How long a session lives whose user did not want to be remembered.
BRIEF = timedelta(days=1)


def create(call: Call, user: Record, *, remember: bool, given: records.Given | None = None) -> Record:
    """Open a session for a user, with a token nobody knew before (SECURITY G1).

    Args:
        call: with an open unit.
        user: whose it is.
        remember: live for ``session.expires_in``, else for a day.
        given: what must still hold, see ``records.create``.

    Raises:
        APIError: ``FAILED_TO_CREATE_SESSION`` if a hook cancelled it, or the user is gone.
        Outdated: it no longer holds.
    """
    now = clock.now()
    data = {
        "user_id": user.id,
        "token": random_string(),
        "expires_at": now + (call.config.session.expires_in if remember else BRIEF),
        "ip_address": call.address,
        "user_agent": call.request.headers.get("User-Agent", "")[:_LONGEST_AGENT].replace("\0", ""),
        "created_at": now,
        "updated_at": now,
    }
    try:
        session = call.state.sessions.create(call, user, data, given)
    except records.Outdated:
        if given is not None:
            raise
        session = None  # the user is gone
    if session is None:
        raise APIError(CoreErrors.FAILED_TO_CREATE_SESSION)
    call.new_session = session
    return session


def is_remembered(call: Call) -> bool:
    """Whether the browser's session outlives the browser."""
    jar = call.state.cookies
    return jar.read(call.request.cookies, jar.dont_remember) != "true"


Finder = Callable[[Call, str], Iterable[tuple[Record, Record]]]


def _token(call: Call) -> str | None:
    """The token that the caller sent; what a plugin reads off the request counts before the cookie."""
    for plugin in call.state.plugins:
        token = plugin.session_token(call)
        if token is not None:
            return token
    jar = call.state.cookies
    return jar.read(call.request.cookies, jar.session_token)


class Purpose(Enum):
    """What the caller's session is asked for."""

    #: To show it: a copy will do, from the cookie or from a storage.
    SHOW = 1
    #: To let something be done.
    GUARD = 2
    #: The same, and the browser gets a new copy, as the reference does it where more depends on it.
    GUARD_AND_RENEW = 3


def load(
    call: Call,
    *,
    purpose: Purpose = Purpose.GUARD,
    refresh: bool = True,
    writing: bool | None = None,
    tidy: bool = False,
    find: Finder | None = None,
) -> bool:
    """Find the caller's session by the cookie, and extend it when that is due.

    A session that is gone or over is forgotten by the browser; a cookie that we did not sign is ignored.

    Args:
        call: gets ``session`` and ``user``.
        purpose: see ``Purpose``.
        refresh: extend the session if it is due.
        writing: may extend the session, and delete the row of one that is over; by default unless
            ``session.defer_session_refresh`` leaves that to ``POST /get-session``.
        tidy: tell the browser to forget a copy that does not count, whatever follows.
        find: reads session and user of a token.

    Returns:
        Whether the caller is signed in.
    """
    if call.session is not None:
        return True
    token = _token(call)
    if not token:
        return False
    copy, store = call.cached_session(token), call.state.sessions
    if copy is not None and purpose is Purpose.SHOW and not call.config.session.stateless:
        call.session, call.user = Record(copy.session), Record(copy.user)
        return True
    if tidy and copy is None:
        call.forget_stale_copy(token)
    if writing is None:
        writing = not call.config.session.defer_session_refresh
    find = find or (store.glance if purpose is Purpose.SHOW else store.find)
    for session, user in list(find(call, token)):
        if session.token != token:
            continue  # some databases compare without regard to case or trailing spaces
        if session.expires_at <= clock.now():
            if writing:
                with suppress(TransactionConflict), records.unit(call):  # whoever comes next deletes it
                    store.end_expired(call, session)
            break
        call.session, call.user = session, user
        with suppress(TransactionConflict):  # the application is writing; the next request will extend it
            if refresh and writing and is_due(call, session):
                if not _refresh(call, session):
                    break
                return True
        _renew_copy(call, copy if purpose is not Purpose.GUARD_AND_RENEW else None, refresh=refresh)
        return True
    call.clear_session()
    return False


def _renew_copy(call: Call, copy: Copy | None, *, refresh: bool) -> None:
    """See to it that the browser has a copy of its session that counts, or none."""
    session, user = call.signed_in
    if copy is not None and not call.state.cookie_cache.is_due(copy):
        return
    if refresh and (is_remembered(call) or call.config.session.stateless):
        call.cache_session(session, user, remember=is_remembered(call))
    else:
        call.forget_stale_copy(session.token)


def is_extensible(call: Call, session: Record) -> bool:
    """Whether the caller's session may be extended at all.

    One that was opened for a day stays so, though the browser lost the mark that says it (SECURITY G13).
    """
    options = call.config.session
    if options.disable_session_refresh or not is_remembered(call):
        return False
    return options.expires_in <= BRIEF or session.expires_at - session.created_at > BRIEF


def is_due(call: Call, session: Record) -> bool:
    """Whether the session was last extended ``session.update_age`` ago, and may be extended."""
    options = call.config.session
    due: bool = clock.now() >= session.expires_at - options.expires_in + options.update_age
    return due and is_extensible(call, session)


def is_fresh(state: AuthState, session: Record) -> bool:
    """Whether the user signed in lately; extending a session does not make it fresh (SECURITY G10)."""
    age = state.config.session.fresh_age
    return not age or clock.now() - session.created_at < age


def _refresh(call: Call, session: Record) -> bool:
    """Extend the session; false if it was ended meanwhile, which nothing brings back (SECURITY S14)."""
    with records.unit(call):
        extended = update(call, session, {"expires_at": clock.now() + call.config.session.expires_in})
    if extended is None:
        return False
    call.set_session(extended, call.signed_in[1], remember=True)
    return True


def update(call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
    """Change a session that was read before; nothing, if it was ended meanwhile or a hook cancelled the change.

    Args:
        call: with an open unit.
        session: as it was read.
        changes: the columns that change.
    """
    return call.state.sessions.update(call, session, changes)


def revoke(call: Call, session: Record) -> None:
    """End a session before its time."""
    with records.unit(call):
        if call.state.sessions.end(call, session):
            _tell_revoked(call, session)


def revoke_one(call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
    """End the session of a ``token`` or an ``id``.

    Args:
        call: the call.
        user_id: whose it must be, for it to be ended.
        which: ``token=...`` or ``id=...``.

    Returns:
        What this call ended, if anything.
    """
    with records.unit(call):
        return _told(call, call.state.sessions.end_one(call, user_id=user_id, **which))


def revoke_all(call: Call, *, user_id: str, but: str | None = None) -> list[Record]:
    """End every session of a user, by one statement where they are rows and no hook has a say.

    Args:
        call: the call.
        user_id: whose.
        but: the identifier of one that goes on.

    Returns:
        The sessions that this call ended, those that were over by themselves among them.
    """
    with records.unit(call):
        return _told(call, call.state.sessions.end_all(call, user_id, but))


def _told(call: Call, ended: list[Record]) -> list[Record]:
    for session in ended:
        _tell_revoked(call, session)
    return ended


def revoke_own(call: Call) -> None:
    """End every session of the caller. What ``hold`` asks for holds too: theirs must not have ended before.

    To hold it first would lock its row twice, once together with others and once alone; two requests that do that wait
    for each other.

    Args:
        call: with an open unit.

    Raises:
        APIError: ``UNAUTHORIZED``, and the browser forgets the session.
    """
    session, user = call.signed_in
    if session.id not in (ended.id for ended in revoke_all(call, user_id=user.id)):
        hold(call)  # a hook may have kept it


def _tell_revoked(call: Call, session: Record) -> None:
    state, shown = call.state, told(call, session)
    records.after_commit(call, lambda: signals.session_revoked.send(state.app, session=shown))


def hold(call: Call) -> None:
    """Let the session that allowed a write not end before the write is committed; if it has ended, nothing is written.

    To be called after the write: whoever ends all sessions of a user locks rows in that order too.

    Args:
        call: with an open unit.

    Raises:
        APIError: ``UNAUTHORIZED``, and the browser forgets the session.
    """
    if not call.state.sessions.hold(call, call.signed_in[0]):
        call.clear_session()
        raise APIError(CoreErrors.UNAUTHORIZED)


def told(call: Call, session: Record) -> dict[str, Any]:
    """What signals say of a session: all that may leave the server but the token, which signs in whoever has it."""
    shown = call.state.tables["session"].shown(session)
    del shown["token"]
    return shown


def list_live(call: Call, user_id: str) -> list[Record]:
    """The sessions of a user that are not over, oldest first."""
    return sorted(call.state.sessions.live_of(call, user_id), key=lambda session: (session.created_at, session.id))
