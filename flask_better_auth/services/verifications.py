"""Verifications: single-use secrets, what each is for and what it proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import select

from .. import clock, crypto
from ..context import Call, Record
from ..wire import is_storable
from . import records

T = TypeVar("T")


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
#: The kinds of the core.
KINDS = (RESET_PASSWORD, DELETE_ACCOUNT)


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
    return records.create(call, "verification", data, given=given)


def find(call: Call, kind: Kind[T], subject: str) -> T | None:
    """What a secret proves, without using it up; nothing, if it is unknown, used or over."""
    if not is_storable(subject):
        return None
    spec = call.state.tables["verification"]
    wanted = spec.columns["identifier"].in_(_identifiers(call, kind, subject))
    found = records.rows(call, select(*spec.columns.values()).where(wanted))
    return _proven(call, kind, subject, [spec.record(row) for row in found])


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
    wanted = call.state.tables["verification"].columns["identifier"].in_(_identifiers(call, kind, subject))
    return _proven(call, kind, subject, records.delete_all(call, "verification", wanted))


def revoke(call: Call, kind: Kind[T], value: T) -> None:
    """Make every secret of a kind useless that proves ``value``.

    Where identifiers are hashed they do not tell the kind, and those of other kinds that prove the same go too.

    Args:
        call: with an open unit.
        kind: what they are for.
        value: what they prove, for example the id of a user.
    """
    columns = call.state.tables["verification"].columns
    wanted = [columns["value"] == kind.write(value)]
    if call.config.verification.store_identifier == "plain":
        wanted.append(columns["identifier"].startswith(kind.prefix, autoescape=True))
    # found first: to delete by another column than the key would lock the rows of everybody on MariaDB
    ids = [row[0] for row in records.rows(call, select(columns["id"]).where(*wanted))]
    if ids:
        records.delete_all(call, "verification", columns["id"].in_(ids))


def _proven(call: Call, kind: Kind[T], subject: str, found: list[Record]) -> T | None:
    # some databases compare without regard to case or trailing spaces
    exact = [row for row in found if row.identifier in _identifiers(call, kind, subject)]
    newest = max(exact, key=lambda row: (row.created_at, row.id), default=None)
    if newest is None or newest.expires_at <= clock.now():
        return None
    try:
        return kind.read(newest.value)
    except ValueError:  # somebody has tampered with it (SECURITY T5)
        return None


def _identifiers(call: Call, kind: Kind[T], subject: str) -> list[str]:
    """How the identifier is stored, and below it how it was before ``store_identifier`` was changed."""
    plain = kind.prefix + subject
    return [crypto.one_way(plain), plain] if call.config.verification.store_identifier == "hashed" else [plain]
