"""Rows that are past their time: nobody can use them any more, and nobody else deletes them all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from .. import clock
from ..context import Call
from . import records

#: Tables whose rows end at ``expires_at``. Whatever else goes stale gets its own function here, called by the view.
EXPIRING = ("session", "verification")
#: Rows per transaction: few enough that no request waits for long.
_BATCH = 500


def delete_expired(call: Call, table: str) -> int:
    """Delete what is over, batch by batch, with the hooks of the table.

    Returns:
        How many rows this call deleted.
    """
    columns, now = call.state.tables[table].columns, clock.now()
    over, count = columns["expires_at"] <= now, 0
    rest: tuple[Any, ...] = ()
    while True:
        batch = select(columns["id"]).where(over, *rest).order_by(columns["id"]).limit(_BATCH)
        ids = [row[0] for row in records.rows(call, batch)]
        if not ids:
            return count
        with records.unit(call):
            count += len(records.delete_all(call, table, over, columns["id"].in_(ids)))
        # from where this batch ended: a hook may have kept some of its rows
        rest = (columns["id"] > ids[-1],)
