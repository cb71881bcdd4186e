"""Verifications: single-use secrets, what each is for and what it proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy import select

from .. import clock, crypto
from ..context import Call, Record
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


def create(call: Call, kind: Kind[T], subject: str, value: T, *, expires_in: timedelta) -> Record | None:
    """Store a secret.

    Args:
        call: with an open unit.
        kind: what it is for.
        subject: the secret itself, or whom it concerns.
        value: what it proves.
        expires_in: how long it can be used.
    """
    data = {
        "identifier": _identifiers(call, kind, subject)[0],
        "value": kind.write(value),
        "expires_at": clock.now() + expires_in,
    }
    return records.create(call, "verification", data)


def find(call: Call, kind: Kind[T], subject: str) -> T | None:
    """What a secret proves, without using it up; nothing, if it is unknown, used or over."""
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
    wanted = call.state.tables["verification"].columns["identifier"].in_(_identifiers(call, kind, subject))
    return _proven(call, kind, subject, records.delete_all(call, "verification", wanted))


def _proven(call: Call, kind: Kind[T], subject: str, found: list[Record]) -> T | None:
    # some databases compare without regard to case or trailing spaces
    exact = [row for row in found if row.identifier in _identifiers(call, kind, subject)]
    newest = max(exact, key=lambda row: (row.created_at, len(row.id), row.id), default=None)
    if newest is None or newest.expires_at <= clock.now():
        return None
    try:
        return kind.read(newest.value)
    except ValueError:  # somebody has tampered with it (SECURITY T5)
        return None


def _identifiers(call: Call, kind: Kind[T], subject: str) -> list[str]:
    """How the identifier is stored, and behind it how it was before ``store_identifier`` was changed."""
    plain, options = kind.prefix + subject, call.config.verification
    overrides = (rule for prefix, rule in options.store_identifier_overrides.items() if plain.startswith(prefix))
    rule = next(overrides, options.store_identifier)
    if rule == "plain":
        return [plain]
    return [crypto.one_way(plain) if rule == "hashed" else rule(plain), plain]
