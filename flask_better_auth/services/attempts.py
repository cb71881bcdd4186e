"""Budgets beside the limits of addresses: wrong passwords per account, and mails per recipient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import crypto
from ..context import Call, Record
from ..windows import item_of


@contextmanager
def counted(call: Call, user: Record | None, name: str = "") -> Iterator[None]:
    """Verify a credential inside, so that no account bears more than ``rate_limit.failures_per_account`` failures.

    The attempt is counted before, so that of many at once no more get through (SECURITY D10), and all that an account
    has had are forgotten when the block ends without an exception. It makes no difference whether the account exists.
    An address from which the account is signed in has a budget of its own: whoever uses up the other one cannot lock
    the owner out (SECURITY D8).

    Args:
        call: the call; what the server itself asks for is not limited.
        user: whose account it is, one for all names and their spellings (SECURITY D6); ``None`` if there is none.
        name: what was given, for example an e-mail address; it counts where there is no user.

    Raises:
        APIError: ``RATE_LIMIT_EXCEEDED``, or ``SERVICE_UNAVAILABLE`` while the storage of the limits is away.
    """
    limit = call.config.rate_limit.failures_per_account
    if limit is None or not _applies(call):
        yield
        return
    limits, item, key = call.state.limits, item_of(limit), _key("account", user.id) if user else _key("name", name)
    refusal = limits.counters.take(item, key)
    if refusal is not None and user is not None and _is_known(call, user):
        key = f"{key}|{call.address}"
        refusal = limits.counters.take(item, key)
    if refusal is not None:
        raise limits.error(refusal, closed=True)
    yield
    limits.counters.forget(item, key)


def may_send(call: Call, recipient: str) -> bool:
    """Count a mail that a request sends; false, if the recipient has had ``rate_limit.mails_per_recipient``
    (SECURITY D11)."""
    limit = call.config.rate_limit.mails_per_recipient
    if limit is None or not _applies(call):
        return True
    return call.state.limits.counters.take(item_of(limit), _key("mail", recipient.lower())) is None


def _applies(call: Call) -> bool:
    return not call.internal and call.config.hardening and call.state.limits.enabled


def _key(kind: str, name: str) -> str:
    """A key of a length that every storage takes, from which the name cannot be read."""
    return f"{kind}|{crypto.one_way(name)}"


def _is_known(call: Call, user: Record) -> bool:
    """Whether the account is signed in from the caller's address."""
    return bool(call.address) and call.state.sessions.has_address(call, user.id, call.address)
