"""What a store of sessions must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ...context import Call, Record
from .. import records, users


class SessionStore(ABC):
    """Finds and changes sessions; database hooks run around each change, wherever it is made.

    Every method that changes something needs an open unit.
    """

    #: The rows are in our table: one statement can read a session with what else is in the database.
    in_database: ClassVar[bool] = False

    @abstractmethod
    def session(self, call: Call, token: str) -> Record | None:
        """The session of a token, live or over, as it is stored at this moment."""

    def find(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        """The session of a token and the user whose it is, both as they are stored at this moment."""
        session = self.session(call, token)
        user = users.find_by_id(call, session.user_id) if session is not None else None
        if session is not None and user is not None:
            yield session, user

    def glance(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        """The session of a token and its user for showing them: perhaps as they were a while ago."""
        return self.find(call, token)

    @abstractmethod
    def create(self, call: Call, user: Record, data: Mapping[str, Any], given: records.Given | None) -> Record | None:
        """Store a session; nothing, if a hook cancelled it.

        Raises:
            Outdated: ``given`` no longer holds, or the user is gone.
        """

    @abstractmethod
    def update(self, call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
        """Change a session that was read before; nothing, if it was ended meanwhile or a hook cancelled the change."""

    @abstractmethod
    def end(self, call: Call, session: Record) -> bool:
        """End a session that was read before; false, if somebody was faster."""

    @abstractmethod
    def end_expired(self, call: Call, session: Record) -> None:
        """Forget a session that is over, unless it was extended since it was read."""

    @abstractmethod
    def end_all(self, call: Call, user_id: str, but: str | None = None) -> list[Record]:
        """End every session of a user, but for one of an identifier; those that this call ended."""

    @abstractmethod
    def end_one(self, call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
        """End the session of a ``token`` or an ``id``, if it is that user's; what this call ended, if anything."""

    @abstractmethod
    def live_of(self, call: Call, user_id: str) -> list[Record]:
        """The sessions of a user that are not over, in no particular order."""

    @abstractmethod
    def hold(self, call: Call, session: Record) -> bool:
        """Whether a session still lives, and does until the unit ends where the store can promise that."""

    def has_address(self, call: Call, user_id: str, address: str) -> bool:
        """Whether a user is signed in from an address."""
        return any(session.ip_address == address for session in self.live_of(call, user_id))

    def user_changed(self, call: Call, user: Record) -> None:  # noqa: B027 - most stores hold no copies of users
        """Take note that a user was changed: no copy may go on showing what they were."""

    def user_gone(self, call: Call, user: Record) -> None:  # noqa: B027 - the database knows by itself
        """Take note that a user is being deleted: none of their sessions may be found any more."""
