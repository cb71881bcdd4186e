"""What one application serves, as an OpenAPI 3.1 document made of what its endpoints declare. Needs ``apispec``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import JSON as JSONColumn
from sqlalchemy import Boolean, DateTime, Integer
from sqlalchemy.types import TypeDecorator

from . import guards, wire
from .context import AuthState, Table
from .endpoint import JSON, Endpoint, Guard
from .errors import ConfigError, CoreErrors, ErrorCode

try:
    from apispec import APISpec
    from apispec.ext.marshmallow import MarshmallowPlugin
    from apispec.ext.marshmallow.openapi import OpenAPIConverter
except ImportError as error:
    raise ConfigError("an OpenAPI document needs apispec: pip install 'flask-better-auth[openapi]'") from error

#: A variable in a path, as Flask writes it.
_VARIABLE = r"<(?:[^<>:]*:)?(\w+)>"
_ERROR = {
    "type": "object",
    "required": ["message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
#: What every endpoint may refuse with, those that read a body, those that change something, and those behind a guard.
_ANY = (
    CoreErrors.BAD_REQUEST,
    CoreErrors.INVALID_HOST,
    CoreErrors.RATE_LIMIT_EXCEEDED,
    CoreErrors.SERVICE_UNAVAILABLE,
)
_READING = (CoreErrors.VALIDATION_ERROR, CoreErrors.PAYLOAD_TOO_LARGE, CoreErrors.UNSUPPORTED_MEDIA_TYPE)
_CHANGING = (CoreErrors.INVALID_ORIGIN, CoreErrors.MISSING_OR_NULL_ORIGIN, CoreErrors.INVALID_CALLBACK_URL)
_GUARDED: dict[Guard, tuple[ErrorCode, ...]] = {
    guards.session: (CoreErrors.UNAUTHORIZED,),
    guards.sensitive_session: (CoreErrors.UNAUTHORIZED,),
    guards.fresh_session: (CoreErrors.UNAUTHORIZED, CoreErrors.SESSION_NOT_FRESH),
    guards.callback_url: (CoreErrors.INVALID_CALLBACK_URL,),
    guards.opened: (CoreErrors.PREFETCH_NOT_ALLOWED,),
    guards.form_csrf: (CoreErrors.CROSS_SITE_NAVIGATION_LOGIN_BLOCKED,),
}


class _Converter(OpenAPIConverter):
    """Fields under the names that they have on the wire."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        fields, names = schema.fields, schema.wire_names
        made: dict[str, Any] = {
            "type": "object",
            "properties": {names[name]: self.field2property(field) for name, field in fields.items()},
        }
        required = [names[name] for name, field in fields.items() if field.required]
        return {**made, "required": required} if required else made


class _Marshmallow(MarshmallowPlugin):
    Converter = _Converter


def document(state: AuthState) -> dict[str, Any]:
    """Every endpoint that is served, those of plugins among them, and every status with which it may answer.

    Args:
        state: of the application.
    """
    config, plugin = state.config, _Marshmallow(schema_name_resolver=lambda schema: "")
    spec = APISpec(
        title=state.app.name,
        version="1",
        openapi_version="3.1.0",
        plugins=[plugin],
        servers=[{"url": (config.url or "").rstrip("/") + config.base_path}],
    )
    convert: Any = plugin.converter
    kinds = {
        wire.Str: "string",
        wire.QueryFlag: "string",
        wire.Bool: "boolean",
        wire.Number: "number",
        wire.Texts: "array",
        wire.Mapped: "object",
        wire.Named: "object",
        wire.Part: "object",
    }
    for field, kind in kinds.items():
        convert.map_to_openapi_type(field, kind, None)
    convert.map_to_openapi_type(wire.Email, "string", "email")
    convert.add_attribute_function(_reference)
    convert.add_attribute_function(_inside)
    spec.components.security_scheme(
        "session", {"type": "apiKey", "in": "cookie", "name": state.cookies.session_token.name}
    )
    spec.components.schema("Error", _ERROR)
    for name, table in state.tables.items():
        spec.components.schema(_title(name), _row(table))
    for endpoint in (bound.endpoint for bound in state.registry):
        for method, path in endpoint.routes(additions=config.additions):
            if not {path, endpoint.path} & set(config.disabled_paths):
                served = re.sub(_VARIABLE, r"{\1}", path)
                spec.path(path=served, operations={method.lower(): _operation(state, convert, endpoint, method, path)})
    return spec.to_dict()


def _operation(state: AuthState, convert: _Converter, endpoint: Endpoint, method: str, path: str) -> dict[str, Any]:
    first = (method, path) == (endpoint.methods[0], endpoint.path)
    name = endpoint.name if first else re.sub(r"\W+", "_", method.lower() + path)
    summary, _, more = (endpoint.view.__doc__ or "").partition("\n")
    made: dict[str, Any] = {"operationId": wire.wire_name(name), "summary": summary.rstrip(".")}
    if more.strip():
        made["description"] = " ".join(more.split())
    made["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(_VARIABLE, path)
    ]
    query = convert.schema2jsonschema(endpoint.query) if endpoint.query else {"properties": {}}
    made["parameters"] += [
        {"name": name, "in": "query", "required": name in query.get("required", ()), "schema": schema}
        for name, schema in query["properties"].items()
    ]
    errors = [*_ANY, *endpoint.raises, *(error for guard in endpoint.guards for error in _GUARDED.get(guard, ()))]
    if method != "GET":
        errors += _CHANGING
        if endpoint.body is not None:
            errors += _READING
            made["requestBody"] = _body(state, convert, endpoint, endpoint.body)
    made["responses"] = _successes(convert, endpoint) | _errors(errors)
    made["security"] = [{"session": []}] if CoreErrors.UNAUTHORIZED in errors else []
    return made


def _body(state: AuthState, convert: _Converter, endpoint: Endpoint, body: wire.WireSchema) -> dict[str, Any]:
    schema = convert.schema2jsonschema(body) if body.root else {}
    if body.columns_of:
        ours = {wire.wire_name(n) for n, f in state.additional_fields(body.columns_of).items() if f.input}
        columns = _row(state.tables[body.columns_of])["properties"]
        schema["properties"] |= {name: column for name, column in columns.items() if name in ours}
    required = bool(body.root) and not endpoint.optional_body
    return {"required": required, "content": {media: {"schema": schema} for media in endpoint.media_types}}


def _successes(convert: _Converter, endpoint: Endpoint) -> dict[str, Any]:
    """The answer; a page, or a way to one, where nothing is returned."""
    returns, found = endpoint.returns, {"302": {"description": "Found"}}
    if returns is None:
        return {"200": {"description": "OK", "content": {"text/html": {"schema": {"type": "string"}}}}, **found}
    is_schema = isinstance(returns, wire.WireSchema)
    schema = convert.schema2jsonschema(returns) if is_schema else convert.field2property(returns)
    leads_on = "callback_url" in (endpoint.query.fields if endpoint.query else ())
    return {"200": {"description": "OK", "content": {JSON: {"schema": schema}}}, **(found if leads_on else {})}


def _errors(errors: Iterable[ErrorCode]) -> dict[str, Any]:
    codes: dict[int, list[str]] = {}
    for error in errors:
        codes.setdefault(error.status, []).append(error.code)
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        str(status): {"description": ", ".join(dict.fromkeys(codes[status])), "content": content}
        for status in sorted(codes)
    }


def _reference(converter: Any, field: Any, **_: Any) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{_title(field.table)}"} if isinstance(field, wire.Row) else {}


def _inside(converter: Any, field: Any, **_: Any) -> dict[str, Any]:
    if isinstance(field, wire.Texts) or (isinstance(field, wire.Mapped) and field.texts):
        return {"items" if isinstance(field, wire.Texts) else "additionalProperties": {"type": "string"}}
    inner: dict[str, Any] = converter.schema2jsonschema(field.schema) if isinstance(field, wire.Part) else {}
    return inner


def _title(table: str) -> str:
    return "".join(word.capitalize() for word in table.split("_"))


def _row(table: Table) -> dict[str, Any]:
    columns = {name: getattr(table.model, name).property.columns[0] for name in table.returned}
    shown = {name: {"type": "string"} if name in table.texts else _column(column) for name, column in columns.items()}
    return {
        "type": "object",
        "required": [wire.wire_name(name) for name in columns],
        "properties": {wire.wire_name(name): schema for name, schema in shown.items()},
    }


def _column(column: Any) -> dict[str, Any]:
    stored = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(stored, JSONColumn):
        return {}
    kinds = {DateTime: "date-time", Boolean: "boolean", Integer: "integer"}
    kind = next((kind for cls, kind in kinds.items() if isinstance(stored, cls)), "string")
    made = {"type": "string", "format": kind} if kind == "date-time" else {"type": kind}
    return {**made, "type": [made["type"], "null"]} if column.nullable else made
