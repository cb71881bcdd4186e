"""Sessions in the cookie alone: nothing is stored, and nobody can end one before it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ... import clock
from ...context import Call, Record
from .. import records
from .base import SessionStore


class InCookie(SessionStore):
    """The copy that the browser sends is the session (``session.stateless``); users are read from the database."""

    def session(self, call: Call, token: str) -> Record | None:
        return next((session for session, _ in self.glance(call, token)), None)

    def glance(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        copy = call.cached_session(token)
        if copy is not None:
            yield Record(copy.session), Record(copy.user)

    def create(self, call: Call, user: Record, data: Mapping[str, Any], given: records.Given | None) -> Record | None:
        return records.create(call, "session", data, given=given or ("user", {"id": user.id}), insert=lambda _: None)

    def update(self, call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
        return records.update(call, "session", session, changes, write=lambda _: True)

    def end(self, call: Call, session: Record) -> bool:
        return records.delete(call, "session", session, erase=lambda: True)

    def end_expired(self, call: Call, session: Record) -> None:
        """It is not stored."""

    def end_all(self, call: Call, user_id: str, but: str | None = None) -> list[Record]:
        return [own for own in self._own(call, user_id) if own.id != but and self.end(call, own)]

    def end_one(self, call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
        fits = (own for own in self._own(call, user_id) if all(own[name] == value for name, value in which.items()))
        return [own for own in fits if self.end(call, own)]

    def live_of(self, call: Call, user_id: str) -> list[Record]:
        return [own for own in self._own(call, user_id) if own.expires_at > clock.now()]

    def hold(self, call: Call, session: Record) -> bool:
        return True

    def _own(self, call: Call, user_id: str | None) -> list[Record]:
        """The caller's own session: no other is known."""
        own = call.session
        return [own] if own is not None and user_id in (None, own.user_id) else []
