"""Sessions in the secondary storage, alone or beside the database, under the keys and in the form of the reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from ... import clock, wire
from ...config import SessionOptions
from ...context import Call, Record
from ...storage import Guarded, StorageUnavailable
from .. import records
from .base import SessionStore
from .database import InDatabase

#: How often a text is read again that somebody else has changed since.
_TRIES = 50
_EXPIRES_AT = wire.wire_name("expires_at")
#: What an extension changes of a session: a copy without it is over too early, and does no harm.
_EXTENSION = {"expires_at", "updated_at"}


#: Makes a session and its user of what they were.
Edit = Callable[[Record, Record], tuple[Record, Record]]


class Shelf:
    """The keys of sessions in a storage.

    A token's key holds session and user. ``active-sessions-<user>`` lists tokens with their end, and
    ``revoked-sessions-before-<user>`` says from when on sessions count: what was made before was ended with all
    others, even where its key is still there.

    Args:
        storage: the storage.
        lifetime: of a session, after which nobody needs to know any more when others were ended.
    """

    def __init__(self, storage: Guarded, lifetime: timedelta) -> None:
        self._storage, self._lifetime = storage, lifetime

    def read(self, call: Call, token: str, *, insist: bool) -> tuple[Record, Record] | None:
        """Session and user of a token, as they were put there.

        Raises:
            StorageUnavailable: the storage is away.
        """
        return self._counting(call, token, self._get(token, insist=insist), insist=insist)

    def _get(self, key: str, *, insist: bool) -> str | None:
        return self._storage.ask(lambda storage: storage.get(key), insist=insist)

    def _counting(self, call: Call, token: str, text: str | None, *, insist: bool) -> tuple[Record, Record] | None:
        """What a text holds; nothing, if it was not put there for the token, or was ended with all others."""
        found = _parsed(call, text) if text is not None else None
        if found is None or found[0].token != token:
            return None
        limit = self._get(_cutoff(found[0].user_id), insist=insist)
        return None if limit is not None and _milliseconds(found[0].created_at) < _number(limit) else found

    def put(self, call: Call, session: Record, user: Record, *, insist: bool) -> None:
        """Store a new session. It is listed before it is there: whoever ends all of them finds it."""
        text, life = _text(call, session, user), _ttl(session.expires_at)
        self._list(session.user_id, partial(_relisted, session.token, session.expires_at), insist=insist)
        self._storage.ask(lambda storage: storage.set(session.token, text, life), insist=insist)
        self._storage.ask(lambda storage: storage.set(_key_of(session.id), session.token, life), insist=insist)

    def change(self, call: Call, token: str, edit: Edit) -> bool:
        """Replace session and user of a token; false, if it is not there: what is gone is never put back."""
        for _ in range(_TRIES):
            text = self._get(token, insist=True)
            found = self._counting(call, token, text, insist=True)
            if found is None:
                return False
            session, user = edit(*found)
            if self._swapped(token, text, _text(call, session, user), _ttl(session.expires_at), insist=True):
                if session.expires_at != found[0].expires_at:
                    self._list(session.user_id, partial(_relisted, token, session.expires_at), insist=True)
                return True
        raise StorageUnavailable

    def drop(self, session: Record) -> bool:
        """Forget a session; false, if somebody was faster."""
        token = session.token
        gone = self._storage.ask(lambda storage: storage.get_and_delete(token), insist=True)
        self._storage.ask(lambda storage: storage.delete(_key_of(session.id)), insist=True)
        self._list(session.user_id, lambda listed: {t: end for t, end in listed.items() if t != token}, insist=True)
        return gone is not None

    def end_before_now(self, user_id: str) -> None:
        """Let no session of a user count that was made before this moment."""
        now, life = str(_milliseconds(clock.now())), max(1, int(self._lifetime.total_seconds()))
        self._storage.ask(lambda storage: storage.set(_cutoff(user_id), now, life), insist=True)

    def tokens(self, user_id: str) -> list[str]:
        """The tokens that are listed for a user, and not over."""
        return list(_listed(self._get(_active(user_id), insist=True)))

    def token_of(self, identity: str) -> str | None:
        """The token of a session's identifier."""
        return self._get(_key_of(identity), insist=True)

    def _list(self, user_id: str, edit: Callable[[dict[str, datetime]], dict[str, datetime]], *, insist: bool) -> None:
        """Change the list of a user, so that nobody else's change is lost."""
        key = _active(user_id)
        for _ in range(_TRIES):
            text = self._get(key, insist=insist)
            before = _listed(text)
            after = edit(before)
            if after == before and text is not None:
                return
            if not after:
                # an empty list and none are the same to every reader; a list that was made meanwhile is not deleted
                if text is None or self._swapped(key, text, "[]", 1, insist=insist):
                    return
                continue
            ends = sorted(after.items(), key=lambda item: item[1])
            new = json.dumps(
                [{"token": token, _EXPIRES_AT: _milliseconds(end)} for token, end in ends], separators=(",", ":")
            )
            if self._swapped(key, text, new, _ttl(ends[-1][1]), insist=insist):
                return
        raise StorageUnavailable

    def _swapped(self, key: str, expected: str | None, value: str, ttl: int, *, insist: bool) -> bool:
        return self._storage.ask(lambda storage: storage.swap(key, expected, value, ttl), insist=insist)


class InStorage(SessionStore):
    """Sessions are in the storage alone: while it is away, nobody can be told who is signed in."""

    def __init__(self, storage: Guarded, options: SessionOptions) -> None:
        self._shelf = Shelf(storage, options.expires_in)

    def session(self, call: Call, token: str) -> Record | None:
        return next((session for session, _ in self.glance(call, token)), None)

    def glance(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        found = self._shelf.read(call, token, insist=True)
        if found is not None:
            yield found

    def create(self, call: Call, user: Record, data: Mapping[str, Any], given: records.Given | None) -> Record | None:
        # what is held is locked until the commit: whoever changes it ends all sessions, and finds this one
        held = given or ("user", {"id": user.id})

        def insert(row: Record) -> None:
            self._shelf.put(call, row, user, insist=True)
            records.on_rollback(call, partial(self._shelf.drop, row))

        return records.create(call, "session", data, given=held, insert=insert)

    def update(self, call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
        def write(values: Mapping[str, Any]) -> bool:
            return self._shelf.change(call, session.token, lambda old, user: (Record({**old, **values}), user))

        return records.update(call, "session", session, changes, write=write)

    def end(self, call: Call, session: Record) -> bool:
        return records.delete(call, "session", session, erase=lambda: self._shelf.drop(session))

    def end_expired(self, call: Call, session: Record) -> None:
        with suppress(StorageUnavailable):
            self.end(call, session)

    def end_all(self, call: Call, user_id: str, but: str | None = None) -> list[Record]:
        found = [session for session in self._of(call, user_id) if session.id != but]
        if but is None and not records.asks_before(call, "session", "delete"):
            self._shelf.end_before_now(user_id)
        return [session for session in found if self.end(call, session)]

    def end_one(self, call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
        token = which.get("token") or self._shelf.token_of(which["id"])
        session = self.session(call, token) if token else None
        fits = session is not None and user_id in (None, session.user_id)
        return [session] if session is not None and fits and self.end(call, session) else []

    def live_of(self, call: Call, user_id: str) -> list[Record]:
        return [session for session in self._of(call, user_id) if session.expires_at > clock.now()]

    def hold(self, call: Call, session: Record) -> bool:
        return self.session(call, session.token) is not None

    def user_changed(self, call: Call, user: Record) -> None:
        for token in self._shelf.tokens(user.id):
            self._shelf.change(call, token, lambda session, _: (session, user))

    def user_gone(self, call: Call, user: Record) -> None:
        found = self._of(call, user.id)
        self._shelf.end_before_now(user.id)
        for session in found:
            self._shelf.drop(session)

    def _of(self, call: Call, user_id: str) -> list[Record]:
        found = (self.session(call, token) for token in self._shelf.tokens(user_id))
        return [session for session in found if session is not None and session.user_id == user_id]


class InBoth(InDatabase):
    """Sessions are rows, and the storage saves reads that only show them.

    What is in the storage may be missing, and is never other than the row: a change that cannot be made there too is
    not made at all, and what comes to nothing in the database leaves no copy. In a transaction of the application,
    whose end nobody knows, copies are only taken away.
    """

    def __init__(self, storage: Guarded, options: SessionOptions) -> None:
        self._shelf, self._preserves = Shelf(storage, options.expires_in), options.preserve_session_in_database

    def glance(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        found = None
        with suppress(StorageUnavailable):
            found = self._shelf.read(call, token, insist=False)
        if found is None or found[0].expires_at <= clock.now():
            yield from self.find(call, token)
        else:
            yield found

    def create(self, call: Call, user: Record, data: Mapping[str, Any], given: records.Given | None) -> Record | None:
        session = super().create(call, user, data, given)
        if session is not None and call.joined is None:
            # before the commit, until which nobody can end it: a copy put there later could outlive its row
            with suppress(StorageUnavailable):
                self._shelf.put(call, session, user, insist=False)
            records.on_rollback(call, partial(self._shelf.drop, session))
        return session

    def update(self, call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
        changed = super().update(call, session, changes)
        if changed is not None:
            try:
                self._copy(call, session, lambda old, user: (Record({**old, **changed}), user))
            except StorageUnavailable:
                if not changes.keys() <= _EXTENSION:
                    raise
        return changed

    def end(self, call: Call, session: Record) -> bool:
        if self._preserves:
            over = {"expires_at": clock.now()}
            ended = InDatabase.update(self, call, session, over) is not None
        else:
            ended = super().end(call, session)
        self._shelf.drop(session)
        return ended

    def end_expired(self, call: Call, session: Record) -> None:
        if not self._preserves:
            super().end_expired(call, session)
        with suppress(StorageUnavailable):
            self._shelf.drop(session)

    def end_all(self, call: Call, user_id: str, but: str | None = None) -> list[Record]:
        if self._preserves:
            live = (session for session in self.live_of(call, user_id) if session.id != but)
            return [session for session in live if self.end(call, session)]
        ended = super().end_all(call, user_id, but)
        if but is None and not records.asks_before(call, "session", "delete"):
            self._shelf.end_before_now(user_id)
        return self._dropped(ended)

    def end_one(self, call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
        if not self._preserves:
            return self._dropped(super().end_one(call, user_id=user_id, **which))
        found = self.rows(call, **which, **({} if user_id is None else {"user_id": user_id}))
        return [session for session in found if session.expires_at > clock.now() and self.end(call, session)]

    def user_changed(self, call: Call, user: Record) -> None:
        for session in self.live_of(call, user.id):
            self._copy(call, session, lambda session, _: (session, user))

    def user_gone(self, call: Call, user: Record) -> None:
        self._shelf.end_before_now(user.id)
        self._dropped(self.live_of(call, user.id))

    def _copy(self, call: Call, session: Record, edit: Edit) -> None:
        if call.joined is not None:
            self._shelf.drop(session)
        elif self._shelf.change(call, session.token, edit):
            records.on_rollback(call, partial(self._shelf.drop, session))

    def _dropped(self, ended: list[Record]) -> list[Record]:
        for session in ended:
            self._shelf.drop(session)
        return ended


def _active(user_id: str) -> str:
    return f"active-sessions-{user_id}"


def _cutoff(user_id: str) -> str:
    return f"revoked-sessions-before-{user_id}"


def _key_of(identity: str) -> str:
    """A key of ours, which the reference does not know: it looks sessions up by their token alone."""
    return f"session-id:{identity}"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _ttl(end: datetime) -> int:
    return max(1, int((end - clock.now()).total_seconds()))


def _number(text: str) -> float:
    """A cut-off; one that cannot be read ends everything."""
    try:
        return float(text)
    except ValueError:
        return float("inf")


def _text(call: Call, session: Record, user: Record) -> str:
    tables = call.state.tables
    shown = tables["user"].wired(tables["user"].shown(user))
    return wire.dumps({"session": tables["session"].wired(session), "user": shown}).decode()


def _parsed(call: Call, text: str) -> tuple[Record, Record] | None:
    """Session and user as a text holds them; nothing, if it is spoilt (SECURITY T5)."""
    tables = call.state.tables
    try:
        held = json.loads(text)
        return tables["session"].revived(held["session"]), tables["user"].revived(held["user"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _listed(text: str | None) -> dict[str, datetime]:
    """The tokens of a list with their end, without those that are over; a spoilt list is an empty one."""
    now = clock.now()
    try:
        ends = {str(item["token"]): _moment(item[_EXPIRES_AT]) for item in json.loads(text or "[]")}
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return {}
    return {token: end for token, end in ends.items() if end > now}


def _relisted(token: str, end: datetime, listed: dict[str, datetime]) -> dict[str, datetime]:
    return {**listed, token: end}


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
