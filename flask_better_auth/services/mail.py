"""Messages: handed to the application's callables when nobody waits for them."""

from __future__ import annotations

from collections.abc import Callable

from ..context import Call
from . import attempts, records


def send(call: Call, sender: Callable[..., object], recipient: str, **message: object) -> None:
    """Call ``sender`` after the commit and after the answer, unless ``recipient`` has had enough mails.

    The time an answer takes must not tell whether a message was sent (SECURITY E3), and a sender that fails changes
    neither the answer nor the rows; the failure is logged.
    """

    def deliver() -> None:
        if attempts.may_send(call, recipient):
            sender(**message)
        else:
            call.state.logger.warning("better-auth: %s: no mail to a recipient who has had enough", call.endpoint)

    records.after_commit(call, lambda: call.after_reply(deliver))
