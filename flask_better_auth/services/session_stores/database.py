"""Sessions in the database: rows of our table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from sqlalchemy import bindparam, select

from ... import clock
from ...context import AuthState, Call, Record
from .. import records
from .base import SessionStore


class InDatabase(SessionStore):
    """Sessions are rows; of two who want to change one, the database lets one go first."""

    in_database: ClassVar[bool] = True

    def session(self, call: Call, token: str) -> Record | None:
        return next((session for session, _ in self.find(call, token)), None)

    def find(self, call: Call, token: str) -> Iterator[tuple[Record, Record]]:
        session, user = call.state.tables["session"], call.state.tables["user"]
        width = len(session.columns)
        for row in records.rows(call, call.state.once(_with_user), {"token": token}):
            yield session.record(row[:width]), user.record(row[width:])

    def create(self, call: Call, user: Record, data: Mapping[str, Any], given: records.Given | None) -> Record | None:
        return records.create(call, "session", data, given=given)

    def update(self, call: Call, session: Record, changes: Mapping[str, Any]) -> Record | None:
        columns = call.state.tables["session"].columns
        return records.update(call, "session", session, changes, columns["token"] == session.token)

    def end(self, call: Call, session: Record) -> bool:
        return records.delete(call, "session", session)

    def end_expired(self, call: Call, session: Record) -> None:
        columns = call.state.tables["session"].columns
        records.delete(call, "session", session, columns["expires_at"] == session.expires_at)

    def end_all(self, call: Call, user_id: str, but: str | None = None) -> list[Record]:
        columns = call.state.tables["session"].columns
        others = () if but is None else (columns["id"] != but,)
        return records.delete_all(call, "session", columns["user_id"] == user_id, *others)

    def end_one(self, call: Call, *, user_id: str | None = None, **which: str) -> list[Record]:
        columns = call.state.tables["session"].columns
        whose = {} if user_id is None else {"user_id": user_id}
        same = (columns[name] == value for name, value in {**which, **whose}.items())
        return records.delete_all(call, "session", *same)

    def rows(self, call: Call, **which: str) -> list[Record]:
        """The sessions whose columns are as given."""
        spec = call.state.tables["session"]
        same = (spec.columns[name] == value for name, value in which.items())
        return [spec.record(row) for row in records.rows(call, select(*spec.columns.values()).where(*same))]

    def live_of(self, call: Call, user_id: str) -> list[Record]:
        found = records.rows(call, call.state.once(_live), {"user_id": user_id, "now": clock.now()})
        return [call.state.tables["session"].record(row) for row in found]

    def hold(self, call: Call, session: Record) -> bool:
        columns = call.state.tables["session"].columns
        same = (columns["id"] == session.id, columns["token"] == session.token)
        held = select(columns["id"]).where(*same).with_for_update(read=True, key_share=True)
        return bool(records.rows(call, held))

    def has_address(self, call: Call, user_id: str, address: str) -> bool:
        asked = {"user_id": user_id, "address": address, "now": clock.now()}
        return bool(records.rows(call, call.state.once(_at_address), asked))


def by_token(state: AuthState, *of_user: Any) -> Any:
    """The statement that reads the session of ``token``, and ``of_user`` of the user whose it is."""
    session, user = state.tables["session"], state.tables["user"]
    return (
        select(*session.columns.values(), *of_user)
        .select_from(session.model)
        .join(user.model, session.columns["user_id"] == user.columns["id"])
        .where(session.columns["token"] == bindparam("token"))
    )


def _with_user(state: AuthState) -> Any:
    return by_token(state, *state.tables["user"].columns.values())


def _live(state: AuthState) -> Any:
    session = state.tables["session"]
    return select(*session.columns.values()).where(
        session.columns["user_id"] == bindparam("user_id"), session.columns["expires_at"] > bindparam("now")
    )


def _at_address(state: AuthState) -> Any:
    session = state.tables["session"].columns
    return (
        select(session["id"])
        .where(
            session["user_id"] == bindparam("user_id"),
            session["ip_address"] == bindparam("address"),
            session["expires_at"] > bindparam("now"),
        )
        .limit(1)
    )
