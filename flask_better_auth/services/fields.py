"""Additional fields in a request: which of them a client may set, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .. import wire
from ..config import LONGEST_KEY, AdditionalField
from ..context import Call
from ..errors import APIError, CoreErrors

#: What a column of 32 bits holds; with ``bigint`` what JavaScript counts exactly.
_INT, _BIGINT = 2**31, 2**53


def read(call: Call, table: str, body: Mapping[str, Any], *, creating: bool, trusted: bool = False) -> dict[str, Any]:
    """The additional fields of ``table`` that ``body`` sets, checked and converted.

    Args:
        call: the call, for its configuration.
        table: ``"user"`` or ``"session"``.
        body: under Python names.
        creating: a row is made: what is required must be there. Defaults are the writer's matter.
        trusted: server code may set what clients may not.

    Raises:
        APIError: ``FIELD_NOT_ALLOWED``, ``MISSING_FIELD`` or ``VALIDATION_ERROR``.
    """
    found: dict[str, Any] = {}
    for name, field in call.state.additional_fields(table).items():
        value = body.get(name, ...)
        if not field.input and not trusted:
            if value is not ... and value and not (creating and field.default is not None):
                raise APIError(CoreErrors.FIELD_NOT_ALLOWED, message=f"{wire.wire_name(name)} is not allowed to be set")
            continue
        if value is ... or (value is None and creating and field.required):
            if creating and field.required and field.default is None:
                raise APIError(CoreErrors.MISSING_FIELD, message=f"{wire.wire_name(name)} is required")
            continue
        found[name] = _checked(name, field, value)
    return found


def with_defaults(call: Call, table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` and the defaults of the additional fields that it says nothing of; null says something."""
    missing = {
        name: field.default() if callable(field.default) else field.default
        for name, field in call.state.additional_fields(table).items()
        if name not in values and field.default is not None
    }
    return {**values, **missing}


def with_updates(call: Call, table: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` and what additional fields hold after every change."""
    made = {
        name: field.on_update()
        for name, field in call.state.additional_fields(table).items()
        if name not in values and field.on_update is not None
    }
    return {**values, **made}


def _checked(name: str, field: AdditionalField, value: Any) -> Any:
    if value is None and not field.required:
        return None
    converted = ... if value is None else _converted(field, value)
    if converted is ...:
        kind = "string" if isinstance(field.type, tuple) else field.type
        raise wire.invalid(f"[body.{wire.wire_name(name)}] {wire.expected(kind, wire.js_type(value))}")
    if field.validator is not None:
        try:
            field.validator(converted)
        except ValueError as error:
            raise wire.invalid(str(error) or CoreErrors.VALIDATION_ERROR.message) from None
    if field.transform is not None:
        converted = field.transform(converted)
    if isinstance(converted, str) and (field.unique or field.index) and len(converted) > LONGEST_KEY:
        raise wire.invalid(f"[body.{wire.wire_name(name)}] Too big: expected string to have <={LONGEST_KEY} characters")
    return converted


def _converted(field: AdditionalField, value: Any) -> Any:
    """``value`` as the column takes it, or ``...`` if it is of another type."""
    if isinstance(field.type, tuple):
        return value if value in field.type else ...
    if field.type == "json":
        return value
    if field.type.endswith("[]"):
        one = AdditionalField(type=field.type[:-2], bigint=True)
        return value if isinstance(value, list) and all(_converted(one, v) is not ... for v in value) else ...
    if field.type == "date":
        return _date(value)
    if field.type == "boolean":
        return value if isinstance(value, bool) else ...
    if field.type == "number":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        bound = _BIGINT if field.bigint else _INT
        return value if type(value) is int and -bound <= value < bound else ...
    return value if isinstance(value, str) and wire.is_storable(value) else ...


def _date(value: Any) -> Any:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
            value = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc) if isinstance(value, datetime) and value.tzinfo else ...
    except (ValueError, OverflowError):  # no date, or in UTC before the first or after the last one
        return ...
