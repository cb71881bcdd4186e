"""Sessions: making them, finding the caller's, extending and ending them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, select

from .. import clock, signals
from ..context import AuthState, Call, Record
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
        APIError: ``FAILED_TO_CREATE_SESSION`` if a hook cancelled it.
        Outdated: it no longer holds.
    """
    now = clock.now()
    session = records.create(
        call,
        "session",
        {
            "user_id": user.id,
            "token": random_string(),
            "expires_at": now + (call.config.session.expires_in if remember else BRIEF),
            "ip_address": call.address,
            "user_agent": call.request.headers.get("User-Agent", "")[:_LONGEST_AGENT].replace("\0", ""),
            "created_at": now,
            "updated_at": now,
        },
        given=given,
    )
    if session is None:
        raise APIError(CoreErrors.FAILED_TO_CREATE_SESSION)
    call.new_session = session
    return session


def is_remembered(call: Call) -> bool:
    """Whether the browser's session outlives the browser."""
    jar = call.state.cookies
    return jar.read(call.request.cookies, jar.dont_remember) != "true"


def by_token(state: AuthState, *of_user: Any) -> Any:
    """The statement that reads the session of ``token``, and ``of_user`` of the user whose it is."""
    session, user = state.tables["session"], state.tables["user"]
    return (
        select(*session.columns.values(), *of_user)
        .select_from(session.model)
        .join(user.model, session.columns["user_id"] == user.columns["id"])
        .where(session.columns["token"] == bindparam("token"))
    )


def _by_token(state: AuthState) -> Any:
    return by_token(state, *state.tables["user"].columns.values())


Finder = Callable[[Call, str], Iterable[tuple[Record, Record]]]


def _find(call: Call, token: str) -> Iterator[tuple[Record, Record]]:
    session, user = call.state.tables["session"], call.state.tables["user"]
    width = len(session.columns)
    for row in records.rows(call, call.state.once(_by_token), {"token": token}):
        yield session.record(row[:width]), user.record(row[width:])


def _token(call: Call) -> str | None:
    """The token that the caller sent; what a plugin reads off the request counts before the cookie."""
    for plugin in call.state.plugins:
        token = plugin.session_token(call)
        if token is not None:
            return token
    jar = call.state.cookies
    return jar.read(call.request.cookies, jar.session_token)


def load(call: Call, *, refresh: bool = True, writing: bool | None = None, find: Finder = _find) -> bool:
    """Find the caller's session by the cookie, and extend it when that is due.

    A session that is gone or over is forgotten by the browser; a cookie that we did not sign is ignored.

    Args:
        call: gets ``session`` and ``user``.
        refresh: extend the session if it is due.
        writing: may extend the session, and delete the row of one that is over; by default unless
            ``session.defer_session_refresh`` leaves that to ``POST /get-session``.
        find: reads session and user of a token.

    Returns:
        Whether the caller is signed in.
    """
    if call.session is not None:
        return True
    if writing is None:
        writing = not call.config.session.defer_session_refresh
    token = _token(call)
    if not token:
        return False
    for session, user in list(find(call, token)):
        if session.token != token:
            continue  # some databases compare without regard to case or trailing spaces
        if session.expires_at <= clock.now():
            if writing:
                with suppress(TransactionConflict):  # whoever comes next deletes it
                    _end_expired(call, session)
            break
        call.session, call.user = session, user
        with suppress(TransactionConflict):  # the application is writing; the next request will extend it
            if refresh and writing and is_due(call, session) and not _refresh(call, session):
                break
        return True
    call.clear_session()
    return False


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
    columns = call.state.tables["session"].columns
    with records.unit(call):
        extended = records.update(
            call,
            "session",
            session,
            {"expires_at": clock.now() + call.config.session.expires_in},
            columns["token"] == session.token,
        )
    if extended is None:
        return False
    call.set_session(extended, call.signed_in[1], remember=True)
    return True


def _end_expired(call: Call, session: Record) -> None:
    with records.unit(call):
        # another request may have extended it since it was read
        columns = call.state.tables["session"].columns
        records.delete(call, "session", session, columns["expires_at"] == session.expires_at)


def revoke(call: Call, session: Record) -> None:
    """End a session before its time."""
    with records.unit(call):
        if records.delete(call, "session", session):
            _tell_revoked(call, session)


def revoke_all(call: Call, *given: Any, **values: Any) -> list[Record]:
    """End every session that fits, by one statement unless hooks have a say.

    Args:
        call: the call.
        given: conditions.
        values: of columns, for example ``user_id=...``.

    Returns:
        The sessions that this call ended, those that were over by themselves among them.
    """
    columns = call.state.tables["session"].columns
    with records.unit(call):
        same = (columns[name] == value for name, value in values.items())
        ended = records.delete_all(call, "session", *same, *given)
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
    session, columns = call.signed_in[0], call.state.tables["session"].columns
    same = (columns["id"] == session.id, columns["token"] == session.token)
    if not records.rows(call, select(columns["id"]).where(*same).with_for_update(read=True, key_share=True)):
        call.clear_session()
        raise APIError(CoreErrors.UNAUTHORIZED)


def told(call: Call, session: Record) -> dict[str, Any]:
    """What signals say of a session: all that may leave the server but the token, which signs in whoever has it."""
    shown = call.state.tables["session"].shown(session)
    del shown["token"]
    return shown


def _live_of_user(state: AuthState) -> Any:
    session = state.tables["session"]
    return (
        select(*session.columns.values())
        .where(session.columns["user_id"] == bindparam("user_id"), session.columns["expires_at"] > bindparam("now"))
        .order_by(session.columns["created_at"], session.columns["id"])
    )


def list_live(call: Call, user_id: str) -> list[Record]:
    """The sessions of a user that are not over, oldest first."""
    found = records.rows(call, call.state.once(_live_of_user), {"user_id": user_id, "now": clock.now()})
    return [call.state.tables["session"].record(row) for row in found]
