"""Verifications: single-use secrets, what each is for and what it proves."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from .. import clock, crypto
from ..context import Call, Record
from . import records


class Kind(Enum):
    """What a secret is for; the value is the prefix of its identifier, as the reference stores it."""

    RESET_PASSWORD = "reset-password"  # noqa: S105 - a prefix, no password


def create(call: Call, kind: Kind, subject: str, value: str, *, expires_in: timedelta) -> Record | None:
    """Store a secret.

    Args:
        call: with an open unit.
        kind: what it is for.
        subject: the secret itself, or whom it concerns.
        value: what it proves.
        expires_in: how long it can be used.
    """
    data = {
        "identifier": _stored(call, f"{kind.value}:{subject}"),
        "value": value,
        "expires_at": clock.now() + expires_in,
    }
    return records.create(call, "verification", data)


def _stored(call: Call, identifier: str) -> str:
    return crypto.one_way(identifier) if call.config.verification.store_identifier == "hashed" else identifier
