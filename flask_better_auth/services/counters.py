"""Rate limits counted in the database, shared by all processes: the table ``rate_limit``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from limits import RateLimitItem
from sqlalchemy import bindparam, case, delete, insert, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from ..context import AuthState
from ..windows import RestartingWindow, milliseconds
from . import records

#: How many new keys come between two clean-ups, and how long a row is kept at least, in milliseconds.
_CLEAN_UP_EVERY, _KEPT = 1000, 24 * 3600 * 1000


def _statements(state: AuthState) -> dict[str, Any]:
    table = state.tables["rate_limit"]
    c, model = table.columns, table.model
    names = ("key", "count", "last_request", *(("id",) if table.new_id is not None else ()))
    mine, over = c["key"] == bindparam("k"), c["last_request"] <= bindparam("over")
    # MariaDB sets from left to right: the count has to see the old time
    raised = case((over, bindparam("cost")), else_=c["count"] + bindparam("cost"))
    values: list[tuple[Any, Any]] = [(c["count"], raised), (c["last_request"], bindparam("now"))]
    return {
        "count": update(model).where(mine, or_(over, c["count"] <= bindparam("most"))).ordered_values(*values),
        "start": insert(model).values({getattr(model, name): bindparam(name) for name in names}),
        "read": select(c["count"], c["last_request"]).where(mine),
        "forget": delete(model).where(mine),
        "clean": delete(model).where(over),
    }


class DatabaseWindow(RestartingWindow):
    """Windows in the table ``rate_limit``: one guarded UPDATE for a request that is let through.

    Each statement is committed by itself, on a connection apart from the application's transaction.
    """

    def __init__(self, state: AuthState) -> None:
        self._state, self._new_keys, self._longest = state, count(1), _KEPT

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count a request; false if it is refused."""
        key, now, window = "|".join(identifiers), milliseconds(), item.get_expiry() * 1000
        new_id = self._state.tables["rate_limit"].new_id
        self._longest = max(self._longest, window)
        most = item.amount - cost
        asked = {"k": key, "now": now, "over": now - window, "cost": cost, "most": most}
        with self._connection() as (connection, statements):
            for again in (False, True):  # if another request was first to insert the key
                if connection.execute(statements["count"], asked).rowcount == 1:
                    return True
                row = connection.execute(statements["read"], {"k": key}).first()
                if row is None:
                    first = {"key": key, "count": cost, "last_request": now}
                    if new_id is not None:
                        first["id"] = new_id()
                    try:
                        connection.execute(statements["start"], first)
                    except IntegrityError:
                        if again:
                            raise
                        continue
                    self._clean_up(connection, statements["clean"], now)
                    return True
                if row[0] > most and row[1] > now - window:
                    return False
        return False

    def read(self, key: str) -> tuple[int, int]:
        with self._connection() as (connection, statements):
            row = connection.execute(statements["read"], {"k": key}).first()
        return (row[0], row[1]) if row else (0, 0)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the requests of a key."""
        with self._connection() as (connection, statements):
            connection.execute(statements["forget"], {"k": "|".join(identifiers)})

    def _clean_up(self, connection: Connection, statement: Any, now: int) -> None:
        """Delete what is over for every limit, now and then: the table must not grow with every address there is."""
        if next(self._new_keys) % _CLEAN_UP_EVERY == 0:
            connection.execute(statement, {"over": now - self._longest})

    @contextmanager
    def _connection(self) -> Iterator[tuple[Connection, dict[str, Any]]]:
        state = self._state
        with records.apart(state, state.tables["rate_limit"].model) as connection:
            yield connection, state.once(_statements)
