"""Messages: handed to the application's callables when nobody waits for them."""

from __future__ import annotations

from collections.abc import Callable

from ..context import Call
from . import records


def send(call: Call, sender: Callable[..., object], **message: object) -> None:
    """Call ``sender`` after the commit and after the answer.

    The time an answer takes must not tell whether a message was sent (SECURITY E3), and a sender that fails changes
    neither the answer nor the rows; the failure is logged.
    """
    records.after_commit(call, lambda: call.after_reply(lambda: sender(**message)))
