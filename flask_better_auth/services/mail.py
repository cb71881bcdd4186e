"""Messages: handed to the application's callables when nobody waits for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..context import Call
from . import attempts, records

Sender = Callable[..., object]
#: What of a message lets in whoever has it.
_SECRET = ("url", "token")


def sender(call: Call, configured: Sender | None, option: str) -> Sender | None:
    """What sends a kind of message: the application's callable, or in debug the log.

    Args:
        call: the call.
        configured: the value of the option.
        option: its name, for the log.
    """
    if configured is not None or not call.state.app.debug:
        return configured
    return partial(_log, call, option)


def _log(call: Call, option: str, *, user: Mapping[str, Any], url: str, **_: object) -> None:
    call.state.logger.info("better-auth: no %s is configured; the link for %s: %s", option, user["email"], url)


def send(call: Call, sender: Sender, recipient: str, message: Callable[[], Mapping[str, object]]) -> None:
    """Call ``sender`` after the commit and after the answer, unless ``recipient`` has had enough mails.

    The time an answer takes must not tell whether a message was sent (SECURITY E3), and a sender that fails changes
    neither the answer nor the rows; the failure is logged.

    Args:
        call: the call.
        sender: the application's.
        recipient: who must not get too many.
        message: makes the keyword arguments of ``sender``, when it is time.
    """
    deliver = partial(_deliver, call, sender, recipient, message)
    background = call.config.background
    work = deliver if background is None else partial(background, partial(_elsewhere, call, deliver))
    records.after_commit(call, lambda: call.after_reply(work))


def _elsewhere(call: Call, deliver: Callable[[], object]) -> None:
    """What the application's ``background`` runs, perhaps in a thread that knows of no application."""
    with call.state.app.app_context():
        call.guarded(deliver)


def _deliver(call: Call, sender: Sender, recipient: str, message: Callable[[], Mapping[str, object]]) -> None:
    if not attempts.may_send(call, recipient):
        call.state.logger.warning("better-auth: %s: no mail to a recipient who has had enough", call.endpoint)
        return
    content = message()
    try:
        sender(**content)
    except Exception as error:
        _censor(error, [str(content[name]) for name in _SECRET if content.get(name)])
        raise


def _censor(error: BaseException | None, secrets: list[str]) -> None:
    """Take a link out of what an exception, and those behind it, say: it would be a way into the account."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(_without(secrets, argument) for argument in error.args)
        error = error.__cause__ or error.__context__


def _without(secrets: list[str], argument: object) -> object:
    if not any(secret in str(argument) for secret in secrets):
        return argument
    text = str(argument)
    for secret in secrets:
        text = text.replace(secret, "[hidden]")
    return text
