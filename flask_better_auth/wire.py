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


class Name(Str):
    """A name out of a list that is open: the reference says no more of what is no text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error_messages["required"] = self.error_messages["null"] = "Invalid input"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("Invalid input")
        return super()._deserialize(value, *args, **kwargs)


class Number(_Strict):
    """A number."""

    kind = "number"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError(expected(self.kind, js_type(value)))
        return value


class Texts(_Strict):
    """A list of texts."""

    kind = "array"

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[str]:
        if not isinstance(value, list):
            raise ValidationError(expected(self.kind, js_type(value)))
        wrong: dict[str | int, Any] = {n: _complaint(item) for n, item in enumerate(value) if _complaint(item)}
        if wrong:
            raise ValidationError(wrong)
        return value


class Mapped(_Strict):
    """An object with keys of the client's choice; ``texts`` admits texts alone."""

    kind = "record"

    def __init__(self, *, texts: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.texts = texts

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError(expected(self.kind, js_type(value)))
        wrong: dict[str | int, Any] = {}
        if self.texts:
            wrong = {name: _complaint(item) for name, item in value.items() if _complaint(item)}
        if wrong:
            raise ValidationError(wrong)
        return dict(value)


def _complaint(value: Any) -> list[str]:
    return [] if isinstance(value, str) else [expected("string", js_type(value))]


class Part(_Strict):
    """An object with fields of its own, as a body inside of the body."""

    kind = "object"

    def __init__(self, schema: type[WireSchema], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema = schema()

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError(expected(self.kind, js_type(value)))
        names = self.schema.wire_names
        python = {wired: name for name, wired in names.items()}
        try:
            loaded = self.schema.load({python[k] if k in python else k: v for k, v in value.items()}, unknown=EXCLUDE)
        except ValidationError as error:
            said = error.messages_dict
            wrong: dict[str | int, Any] = {wired: said[name] for name, wired in names.items() if name in said}
            raise ValidationError(wrong) from None
        return dict(loaded)


class Row(fields.Field):  # type: ignore[type-arg]  # generic only since marshmallow 4
    """Output only: a row of one of our tables, reduced to the columns that may leave the server."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self.table = table


class Named(fields.Field):  # type: ignore[type-arg]  # generic only since marshmallow 4
    """Output only: an object with Python names of somebody else's choice."""


class WireSchema(Schema):
    """A schema whose fields carry Python names here and ``wire_name`` of them on the wire, or their ``data_key``.

    ``root`` lists the words the reference uses for the body as a whole; it is empty where the body has no fields and
    may be any value. ``columns_of`` names the table whose additional fields the body may carry too, or whose columns
    an answer may. ``refusal`` is the one thing that is said of a body that is wrong anywhere, and of one with a key
    that it does not know: the reference takes one of several shapes.
    """

    root: ClassVar[tuple[str, ...]] = ("object",)
    columns_of: ClassVar[str | None] = None
    refusal: ClassVar[str | None] = None

    def __init__(self, **kwargs: Any) -> None:
        #: What each field is called on the wire.
        self.wire_names: dict[str, str] = {}
        super().__init__(**kwargs)
        #: Whether it takes an empty object, and leaves it empty.
        self.wants_nothing = self.refusal is None and all(
            not f.required and f.load_default is missing for f in self.fields.values()
        )

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
        if schema.refusal is not None:
            raise invalid(f"[{part}] {schema.refusal}")
        received = "undefined" if raw is ... else js_type(raw)
        raise invalid("; ".join(f"[{part}] {expected(kind, received)}" for kind in schema.root))
    if not raw and schema.wants_nothing:
        return {}  # most queries; marshmallow needs longer for it than the rest of the pipeline
    try:
        if schema.refusal is not None:
            return _strictly(schema, raw, part)
        return dict(schema.load(raw, unknown=INCLUDE if schema.columns_of else EXCLUDE))
    except ValidationError as error:
        if schema.refusal is not None:
            raise invalid(f"[{part}] {schema.refusal}") from None
        complaints, names = error.messages_dict, schema.wire_names
        found = (_lines(f"{part}.{names[name]}", complaints[name]) for name in names if name in complaints)
        raise invalid("; ".join(line for lines in found for line in lines)) from None


def _strictly(schema: WireSchema, raw: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Validate what may hold nothing else than it should; the key is told where nothing else is wrong."""
    loaded = schema.load(raw, unknown=EXCLUDE)
    unknown = [name for name in raw if name not in schema.fields]
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        raise invalid(f"[{part}] Unrecognized key{'s' if len(unknown) > 1 else ''}: {names}")
    return dict(loaded)


def _lines(path: str, complaints: Any) -> list[str]:
    """What is wrong with a field, or with each of the parts inside of it."""
    if isinstance(complaints, Mapping):
        return [line for name, inner in complaints.items() for line in _lines(f"{path}.{name}", inner)]
    return [f"[{path}] {complaints[0]}"]


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
    if isinstance(node, Named):
        return lambda value: {rename(name): item for name, item in value.items()}
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
