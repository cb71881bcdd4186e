"""What a scheduler calls from time to time."""

from __future__ import annotations

from marshmallow import fields

from ..context import Call, Reply
from ..endpoint import Routes
from ..services import cleanup as rows
from ..wire import WireSchema

routes = Routes()


class CleanupResult(WireSchema):
    session = fields.Int()
    verification = fields.Int()


@routes.server(returns=CleanupResult)
def cleanup(call: Call) -> Reply:
    """Delete expired sessions and verifications, and tell how many there were of each. Safe at any time."""
    return Reply({table: rows.delete_expired(call, table) for table in rows.EXPIRING})
