"""How Python names and values become JSON and back: the only module that spells camelCase."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar
from uuid import UUID

from marshmallow import EXCLUDE, INCLUDE, Schema, ValidationError, fields, missing

from .errors import APIError, CoreErrors

#: Words that the reference writes in capitals inside a name: ``callbackURL``, ``disableCSRFCheck``.
_ACRONYMS = {"api", "csrf", "uri", "url"}

_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9_'+-]+\.)*[A-Za-z0-9_'+-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}"
)
#: How deep a body may nest: a value one level below is as deep as MariaDB stores.
_DEEPEST = 32
#: One that never ends is taken to the end: to fail there would mean to try again from each quote inside (SECURITY T6).
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
#: RFC 5321 section 4.5.3.1.3 less the brackets; also what an indexed column holds on every database.
_ADDRESS_LENGTH = 254


def wire_name(name: str) -> str:
    """The camelCase form of a Python name: ``wire_name("callback_url") == "callbackURL"``."""
    first, *rest = name.split("_")
    return first + "".join(word.upper() if word in _ACRONYMS else word.capitalize() for word in rest)


def python_name(name: str) -> str:
    """The snake_case form of a camelCase name: ``python_name("callbackURL") == "callback_url"``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def is_email(text: str) -> bool:
    """Whether the reference accepts ``text`` as an e-mail address: ASCII, a domain with a dot, no quoted local part."""
    return len(text) <= _ADDRESS_LENGTH and _ADDRESS.fullmatch(text) is not None


# ---------------------------------------------------------------- what comes in


def js_type(value: object) -> str:
    """What JavaScript would call a JSON value; the validation messages of the reference use these words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "number"), (float, "number"), (list, "array"), (datetime, "date")):
        if isinstance(value, kind):
            return name
    return "object"


def js_length(text: str) -> int:
    """The length as JavaScript counts it, so that both servers agree on what is too long."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_storable(text: str) -> bool:
    """Whether every database and every hash takes a text: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def expected(kind: str, received: str) -> str:
    """The reference's message for a value of the wrong type."""
    return f"Invalid input: expected {kind}, received {received}"


def invalid(message: str) -> APIError:
    """A 400 ``VALIDATION_ERROR`` with ``message``."""
    return APIError(CoreErrors.VALIDATION_ERROR, message=message)


class _Strict(fields.Field):  # type: ignore[type-arg]  # generic only since marshmallow 4
    """A field without coercion, with the reference's messages."""

    kind: ClassVar[str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error_messages["required"] = expected(self.kind, "undefined")
        self.error_messages["null"] = expected(self.kind, "null")


class Str(_Strict):
    """A text. ``minimum`` is its least length; ``opaque`` admits NUL, for values that no database sees."""

    kind = "string"

    def __init__(self, *, minimum: int = 0, opaque: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.minimum, self.opaque = minimum, opaque

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(expected(self.kind, js_type(value)))
        if len(value) < self.minimum:
            raise ValidationError(f"Too small: expected string to have >={self.minimum} characters")
        if "\0" in value and not self.opaque:  # PostgreSQL cannot store it, and answers with an error
            raise ValidationError("Invalid string: must not contain NUL")
        try:
            value.encode()
        except UnicodeEncodeError:  # no database and no hash can take it
            raise ValidationError("Invalid string: must not contain lone surrogates") from None
        return value


class Id(Str):
    """An identifier that server code names: as clients see it, or as the model has it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        number = isinstance(value, int) and not isinstance(value, bool)
        return super()._deserialize(str(value) if number or isinstance(value, UUID) else value, *args, **kwargs)


class Email(Str):
    """An e-mail address, in the syntax of the reference."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(opaque=True, **kwargs)  # an address holds no NUL anyway

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if not is_email(text):
            raise ValidationError("Invalid email address")
        return text


class Bool(_Strict):
    """``true`` or ``false``; the text ``"false"`` is neither."""

    kind = "boolean"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(expected(self.kind, js_type(value)))
        return value


class QueryFlag(_Strict):
    """A flag in a query string: the reference takes every text but the empty one for true."""

    kind = "boolean"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        return bool(value)


class Row(fields.Field):  # type: ignore[type-arg]  # generic only since marshmallow 4
    """Output only: a row of one of our tables, reduced to the columns that may leave the server."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table = table


class WireSchema(Schema):
    """A schema whose fields carry Python names here and ``wire_name`` of them on the wire, or their ``data_key``.

    ``root`` lists the words the reference uses for the body as a whole; it is empty where the body has no fields and
    may be any value. ``columns_of`` names the table whose additional fields the body may carry too, or whose columns
    an answer may.
    """

    root: ClassVar[tuple[str, ...]] = ("object",)
    columns_of: ClassVar[str | None] = None

    def __init__(self, **kwargs: Any) -> None:
        #: What each field is called on the wire.
        self.wire_names: dict[str, str] = {}
        super().__init__(**kwargs)
        #: Whether it takes an empty object, and leaves it empty.
        self.wants_nothing = all(not f.required and f.load_default is missing for f in self.fields.values())

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        self.wire_names[field_name] = field_obj.data_key or wire_name(field_name)
        field_obj.data_key = None  # names are translated before hooks run, and so before this schema loads


def load(schema: WireSchema, raw: object, part: str, *, optional: bool = False) -> dict[str, Any]:
    """Validate one part of a request, already under Python names.

    Args:
        schema: what the endpoint declares.
        raw: the body or the query; ``None`` stands for JSON null, ``...`` for none at all.
        part: ``"body"`` or ``"query"``, for the messages.
        optional: an absent part is an empty one.

    Raises:
        APIError: ``VALIDATION_ERROR`` with every complaint, joined as the reference joins them.
    """
    if (raw is ... and optional) or not schema.root:
        raw = {}
    if not isinstance(raw, Mapping):
        received = "undefined" if raw is ... else js_type(raw)
        raise invalid("; ".join(f"[{part}] {expected(kind, received)}" for kind in schema.root))
    if not raw and schema.wants_nothing:
        return {}  # most queries; marshmallow needs longer for it than the rest of the pipeline
    try:
        loaded = schema.load(raw, unknown=INCLUDE if schema.columns_of else EXCLUDE)
    except ValidationError as error:
        complaints = error.messages_dict
        raise invalid(
            "; ".join(
                f"[{part}.{n}] {complaints[name][0]}" for name, n in schema.wire_names.items() if name in complaints
            )
        ) from None
    return dict(loaded)


def to_python_names(raw: object, known: Mapping[str, str]) -> object:
    """Rename the known wire names of a JSON object; a key that only looks like a Python name is an unknown key."""
    if not isinstance(raw, dict):
        return raw
    own = set(known.values()).difference(known)
    return {known.get(key, key): value for key, value in raw.items() if key not in own}


def parse_json(text: bytes, *, unique_keys: bool = True) -> Any:
    """Parse a JSON body: strict UTF-8, no byte order mark, no lone surrogate, finite numbers, not nested for ever.

    Args:
        text: the body.
        unique_keys: refuse a key that stands twice in one object, where parsers disagree about which one counts.

    Raises:
        ValueError: it is not that.
    """
    decoded = text.decode("utf-8")
    if decoded.count("[") + decoded.count("{") > _DEEPEST and _depth(_TEXT.sub("", decoded)) > _DEEPEST:
        raise ValueError("nested too deeply")
    pairs = _unique if unique_keys else None
    value = json.loads(decoded, parse_constant=_finite, parse_float=_finite, object_pairs_hook=pairs)
    if "\\u" in decoded:  # only an escape can make a surrogate that no database and no hash can take
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _depth(text: str) -> int:
    """How deep brackets nest, at most."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no JSON value")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


# ---------------------------------------------------------------- what goes out


def iso(moment: datetime) -> str:
    """A time as JavaScript writes it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment(text: str) -> datetime:
    """The time that ``iso`` wrote.

    Raises:
        ValueError: it is none, or says no time zone.
    """
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return parsed.astimezone(timezone.utc)


def _json_default(value: object) -> str:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_json_default).encode


def dumps(value: object) -> bytes:
    """JSON as the reference writes it: compact, raw UTF-8, times by ``iso``."""
    return _encode(value).encode()


Dumper = Callable[[Any], Any]


class Output:
    """What an endpoint returns: ``python`` for callers of ``auth.api``, ``wire`` for clients.

    Made once per endpoint from its ``returns`` schema and the columns of each table, so that no schema object is
    touched while a request runs. ``loose`` is for what plugins and hooks answer in its place: it only names what it
    knows.
    """

    def __init__(self, returns: WireSchema | fields.Field[Any] | None, tables: Mapping[str, Iterable[str]]) -> None:
        self.python: Dumper = _dumper(returns, tables, lambda name: name)
        self.wire: Dumper = _dumper(returns, tables, wire_name)
        self.loose: Output = _Loose(returns, tables)


class _Loose(Output):
    def __init__(self, returns: WireSchema | fields.Field[Any] | None, tables: Mapping[str, Iterable[str]]) -> None:
        self.python, self.wire, self.loose = _as_it_is, _renamer(returns, tables), self


def _as_it_is(value: Any) -> Any:
    return value


def _renamer(node: Any, tables: Mapping[str, Iterable[str]]) -> Dumper:
    """Puts Python names under wire names as far as the schema goes; what is of another shape stays as it is."""
    if isinstance(node, fields.Nested):
        return _renamer(node.schema, tables)
    if isinstance(node, fields.List):
        each = _renamer(node.inner, tables)
        return lambda value: [each(item) for item in value] if isinstance(value, list) else value
    if not isinstance(node, (Row, WireSchema)):
        return _as_it_is
    inner = {} if isinstance(node, Row) else {name: _renamer(field, tables) for name, field in node.fields.items()}
    names = {} if isinstance(node, Row) else node.wire_names

    def rename(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {names.get(n) or wire_name(n): inner.get(n, _as_it_is)(item) for n, item in value.items()}

    return rename


def _dumper(node: Any, tables: Mapping[str, Iterable[str]], rename: Callable[[str], str]) -> Dumper:
    if isinstance(node, Row):
        columns = [(name, rename(name)) for name in tables[node.table]]
        return lambda row: None if row is None else {out: row[name] for name, out in columns}
    if isinstance(node, fields.List):
        each = _dumper(node.inner, tables, rename)
        return lambda rows: [each(row) for row in rows]
    if isinstance(node, fields.Nested):
        return _dumper(node.schema, tables, rename)
    if isinstance(node, WireSchema):
        shown = node.wire_names if rename is wire_name else {name: name for name in node.fields}
        further = {name: (rename(name), _as_it_is) for name in tables.get(node.columns_of or "", ())}
        parts = {**further, **{n: (shown[n], _dumper(field, tables, rename)) for n, field in node.fields.items()}}

        def dump(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {parts[name][0]: parts[name][1](item) for name, item in value.items()}

        return dump
    return lambda value: value


#: For an answer that no endpoint declares.
FREE = Output(WireSchema(), {}).loose
