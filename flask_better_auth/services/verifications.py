"""Verifications: single-use secrets, what each is for and what it proves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from operator import methodcaller
from typing import Any, Generic, TypeVar

from sqlalchemy import select

from .. import clock, crypto, wire
from ..context import Call, Record, Table
from ..storage import Guarded, StorageUnavailable
from ..wire import is_storable
from . import records

T = TypeVar("T")
#: No secret lives longer; for so long it is remembered what was revoked.
_LONGEST = timedelta(days=30)
_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What a secret is for. A proof that was made for one kind is none for any other (SECURITY K2).

    Args:
        prefix: the beginning of its identifiers, as the reference stores them; the rest is the subject. None is the
            beginning of another's (SECURITY K3).
        read: makes what it proves of the stored text; a ``ValueError`` says that the text proves nothing.
        write: the other way round.
    """

    prefix: str
    read: Callable[[str], T]
    write: Callable[[T], str]


#: Lets a user set a new password; the subject is the secret in the link, the value the user's id.
RESET_PASSWORD: Kind[str] = Kind("reset-password:", str, str)
#: Lets a user delete themselves; the subject is the secret in the link, the value the user's id.
DELETE_ACCOUNT: Kind[str] = Kind("delete-account-", str, str)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


#: Takes a sign-in with a provider up again; the subject is the ``state`` that comes back, the value what was begun.
OAUTH_STATE: Kind[dict[str, Any]] = Kind("auth-state:", _object, lambda value: wire.dumps(value).decode())
#: The kinds of the core.
KINDS = (RESET_PASSWORD, DELETE_ACCOUNT, OAUTH_STATE)


def create(
    call: Call, kind: Kind[T], subject: str, value: T, *, expires_in: timedelta, given: records.Given | None = None
) -> Record | None:
    """Store a secret.

    Args:
        call: with an open unit.
        kind: what it is for.
        subject: the secret itself, or whom it concerns.
        value: what it proves.
        expires_in: how long it can be used.
        given: what must still hold, see ``records.create``.

    Raises:
        Outdated: it no longer holds.
    """
    data = {
        "identifier": _identifiers(call, kind, subject)[0],
        "value": kind.write(value),
        "expires_at": clock.now() + expires_in,
    }
    shelf = Shelf.of(call)
    if shelf is None:
        return records.create(call, "verification", data, given=given)
    if not call.config.verification.store_in_database:
        return records.create(call, "verification", data, given=given, insert=lambda row: shelf.put(row, insist=True))
    row = records.create(call, "verification", data, given=given)
    if row is not None:
        with suppress(StorageUnavailable):  # a server that shares both finds it in the database
            shelf.put(row, insist=False)
    return row


def find(call: Call, kind: Kind[T], subject: str, *, over: bool = False) -> T | None:
    """What a secret proves, without using it up; nothing, if it is unknown or used, or, unless ``over`` says that this
    does not matter, if it is over."""
    if not is_storable(subject):
        return None
    shelf = Shelf.of(call)
    if shelf is not None and not call.config.verification.store_in_database:
        return _proven(call, kind, subject, shelf.find(kind.prefix, _identifiers(call, kind, subject)), over)
    spec = call.state.tables["verification"]
    wanted = spec.columns["identifier"].in_(_identifiers(call, kind, subject))
    found = records.rows(call, select(*spec.columns.values()).where(wanted))
    return _proven(call, kind, subject, [spec.record(row) for row in found], over)


def consume(call: Call, kind: Kind[T], subject: str) -> T | None:
    """Use a secret up: of many at once, one gets what it proves (SECURITY S).

    Args:
        call: with an open unit; what the proof leads to belongs in the same one.
        kind: what it must have been made for.
        subject: as it was given to ``create``.

    Returns:
        What the newest secret of that subject proves, and with it all of them are gone; nothing, if there is none, or
        if it is over.
    """
    if not is_storable(subject):
        return None
    identifiers, shelf = _identifiers(call, kind, subject), Shelf.of(call)
    if shelf is not None and not call.config.verification.store_in_database:
        found = shelf.find(kind.prefix, identifiers)
        used = [row for row in found if records.delete(call, "verification", row, erase=partial(shelf.take, call, row))]
        return _proven(call, kind, subject, used)
    wanted = call.state.tables["verification"].columns["identifier"].in_(identifiers)
    used = records.delete_all(call, "verification", wanted)
    if shelf is not None:
        shelf.drop(identifiers)
    return _proven(call, kind, subject, used)


def revoke(call: Call, kind: Kind[T], value: T) -> None:
    """Make every secret of a kind useless that proves ``value``.

    Where identifiers are hashed they do not tell the kind, and those of other kinds that prove the same go too.

    Args:
        call: with an open unit.
        kind: what they are for.
        value: what they prove, for example the id of a user.
    """
    shelf = Shelf.of(call)
    if shelf is not None and not call.config.verification.store_in_database:
        shelf.revoke(kind.prefix, kind.write(value))
        return
    columns = call.state.tables["verification"].columns
    wanted = [columns["value"] == kind.write(value)]
    if call.config.verification.store_identifier == "plain":
        wanted.append(columns["identifier"].startswith(kind.prefix, autoescape=True))
    # found first: to delete by another column than the key would lock the rows of everybody on MariaDB
    ids = [row[0] for row in records.rows(call, select(columns["id"]).where(*wanted))]
    gone = records.delete_all(call, "verification", columns["id"].in_(ids)) if ids else []
    if shelf is not None:
        shelf.drop([row.identifier for row in gone])


def _proven(call: Call, kind: Kind[T], subject: str, found: list[Record], over: bool = False) -> T | None:
    # some databases compare without regard to case or trailing spaces
    exact = [row for row in found if row.identifier in _identifiers(call, kind, subject)]
    newest = max(exact, key=lambda row: (row.created_at, len(row.id), row.id), default=None)
    if newest is None or (newest.expires_at <= clock.now() and not over):
        return None
    try:
        return kind.read(newest.value)
    except ValueError:  # somebody has tampered with it (SECURITY T5)
        return None


class Shelf:
    """Secrets in the secondary storage, under the keys and in the form of the reference."""

    def __init__(self, storage: Guarded, table: Table) -> None:
        self._storage, self._table = storage, table

    @classmethod
    def of(cls, call: Call) -> Shelf | None:
        """That of the application, if it has one."""
        return cls(call.state.storage, call.state.tables["verification"]) if call.state.storage else None

    def put(self, row: Record, *, insist: bool) -> None:
        """Store a secret, in place of an older one of the same identifier."""
        text = wire.dumps(self._table.wired(row)).decode()
        life = max(1, int((row.expires_at - clock.now()).total_seconds()))
        self._storage.ask(lambda storage: storage.set(_key(row.identifier), text, life), insist=insist)

    def find(self, prefix: str, identifiers: list[str]) -> list[Record]:
        """The secrets of identifiers that were not revoked."""
        rows = (self._get(identifier) for identifier in identifiers)
        return [row for row in rows if row is not None and row.created_at > self._limit(prefix, row.value)]

    def _get(self, identifier: str) -> Record | None:
        """The secret of an identifier; one that is spoilt is none (SECURITY T5)."""
        text = self._storage.ask(lambda storage: storage.get(_key(identifier)), insist=True)
        try:
            # the reference gives such a row no identifier of its own
            return self._table.revived({"id": identifier, **json.loads(text)}) if text is not None else None
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None

    def take(self, call: Call, row: Record) -> bool:
        """Use a secret up; it is put back if the open unit comes to nothing."""
        taken = self._storage.ask(lambda storage: storage.get_and_delete(_key(row.identifier)), insist=True)
        if taken is not None:
            records.on_rollback(call, lambda: self.put(row, insist=True))
        return taken is not None

    def drop(self, identifiers: Iterable[str]) -> None:
        """Forget the copies of secrets that are in the database."""
        for identifier in identifiers:
            self._storage.ask(methodcaller("delete", _key(identifier)), insist=True)

    def revoke(self, prefix: str, value: str) -> None:
        """Let no secret count any more that was made until now and proves ``value``."""
        now, life = wire.iso(clock.now()), int(_LONGEST.total_seconds())
        self._storage.ask(lambda storage: storage.set(_revoked(prefix, value), now, life), insist=True)

    def _limit(self, prefix: str, value: str) -> datetime:
        """When what proves ``value`` was last revoked; a time that cannot be read revokes everything."""
        text = self._storage.ask(lambda storage: storage.get(_revoked(prefix, value)), insist=True)
        try:
            return wire.moment(text) if text is not None else _NEVER
        except ValueError:
            return clock.now()


def _key(identifier: str) -> str:
    return f"verification:{identifier}"


def _revoked(prefix: str, value: str) -> str:
    """A key of ours: a storage can be asked for what a secret is for, and not for what it proves."""
    return f"verifications-revoked-before:{prefix}{value}"


def _identifiers(call: Call, kind: Kind[T], subject: str) -> list[str]:
    """How the identifier is stored, and behind it how it was before ``store_identifier`` was changed."""
    plain, options = kind.prefix + subject, call.config.verification
    overrides = (rule for prefix, rule in options.store_identifier_overrides.items() if plain.startswith(prefix))
    rule = next(overrides, options.store_identifier)
    if rule == "plain":
        return [plain]
    return [crypto.one_way(plain) if rule == "hashed" else rule(plain), plain]
