"""Hooks around endpoints, and hooks around the rows they write."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .context import Call, Reply
from .endpoint import Bound
from .errors import ConfigError

Handler = Callable[[Call], Any]
Matcher = Callable[[Call], bool]
Operation = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Hook:
    """A handler and the calls it is for.

    Args:
        handler: called with the call. A ``Reply`` or a dict that it returns, under Python names, becomes the answer; an
            ``APIError`` that it raises becomes the answer too.
        matcher: a path, a pattern such as ``/sign-in/*``, or a function of the call; every call by default.
    """

    handler: Handler
    matcher: str | Matcher | None = None

    def applies(self, call: Call) -> bool:
        """Whether the hook is for this call."""
        if self.matcher is None:
            return True
        if callable(self.matcher):
            return self.matcher(call)
        path = call.endpoint.path if call.endpoint else None
        return path is not None and fnmatch.fnmatchcase(path, self.matcher)


class Hooks:
    """Hooks around endpoints, run for HTTP and for ``auth.api`` alike (reference option ``hooks``).

    Args:
        before: a handler, a ``Hook``, or several. It may change ``call.body`` and ``call.query``, whose known fields
            are already under their Python names; what it returns ends the call.
        after: likewise; it sees ``call.returned``, a ``Reply`` or an ``APIError``, and may replace it.
    """

    def __init__(
        self,
        before: Handler | Hook | Iterable[Handler | Hook] = (),
        after: Handler | Hook | Iterable[Handler | Hook] = (),
    ) -> None:
        self.before, self.after = _hooks(before), _hooks(after)

    @classmethod
    def joined(cls, several: Iterable[Hooks]) -> Hooks:
        """Several as one, in their order."""
        several = tuple(several)
        return cls([hook for one in several for hook in one.before], [hook for one in several for hook in one.after])


def _hooks(given: Handler | Hook | Iterable[Handler | Hook]) -> tuple[Hook, ...]:
    if isinstance(given, Hook):
        return (given,)
    if callable(given):
        return (Hook(given),)
    return tuple(item if isinstance(item, Hook) else Hook(item) for item in given)


def reply_of(result: Any, bound: Bound, status: int = 200) -> Reply:
    """What a hook returned, as the answer it stands for; ``status`` is that of the answer it takes the place of."""
    reply = result if isinstance(result, Reply) else Reply(result, status)
    reply.output = reply.output or bound.output.loose
    return reply


@dataclass(frozen=True)
class Around:
    """Hooks around one operation on one table.

    Args:
        before: called with the data (for a delete: the row) and the call. ``False`` cancels the operation; a dict is
            merged into the data. Where there are several, each sees what earlier ones made of a new row, and of an
            update what it was at first.
        after: called with the row and the call, once the transaction is committed.
    """

    before: Callable[[dict[str, Any], Call], Any] | None = None
    after: Callable[[dict[str, Any], Call], Any] | None = None


@dataclass(frozen=True)
class TableHooks:
    """Hooks around the operations on one table."""

    create: Around = Around()
    update: Around = Around()
    delete: Around = Around()


class DatabaseHooks:
    """Hooks around the rows of the core tables (reference option ``databaseHooks``).

    Args:
        user, session, account, verification: a ``TableHooks``, or a dict such as
            ``{"create": {"before": check, "after": tell}}``.
    """

    def __init__(self, **tables: TableHooks | Mapping[str, Any]) -> None:
        unknown = set(tables).difference(("user", "session", "account", "verification"))
        if unknown:
            raise ConfigError(f"DatabaseHooks({unknown.pop()}=...): user, session, account and verification have hooks")
        self._around: dict[tuple[str, str], tuple[Around, ...]] = {}
        for name, given in tables.items():
            hooks = _table_hooks(name, given)
            for operation in ("create", "update", "delete"):
                around: Around = getattr(hooks, operation)
                if around.before or around.after:
                    self._around[name, operation] = (around,)

    @classmethod
    def joined(cls, several: Iterable[DatabaseHooks]) -> DatabaseHooks:
        """Several as one, in their order."""
        made = cls()
        for one in several:
            for key, around in one._around.items():
                made._around[key] = (*made._around.get(key, ()), *around)
        return made

    def around(self, table: str, operation: Operation) -> tuple[Around, ...]:
        """The hooks around one operation."""
        return self._around.get((table, operation), ())


def _table_hooks(table: str, given: TableHooks | Mapping[str, Any]) -> TableHooks:
    if isinstance(given, TableHooks):
        return given
    try:
        return TableHooks(**{name: a if isinstance(a, Around) else Around(**a) for name, a in given.items()})
    except TypeError as error:
        raise ConfigError(f"DatabaseHooks({table}=...): {error}") from None
