"""Print ``flask_better_auth/api.pyi``: what editors and type checkers know of ``auth.api``.

Every endpoint of the core and of the plugins that come with the extension, with its fields as keywords:
``python .ci/api_stub.py > flask_better_auth/api.pyi && ruff format flask_better_auth/api.pyi``
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from marshmallow import fields

from flask_better_auth import plugins, views
from flask_better_auth.endpoint import Endpoint
from flask_better_auth.wire import Bool, Id, Mapped, Part, QueryFlag, Str, Texts, WireSchema

HEAD = '''"""Generated from the declarations of the endpoints by .ci/api_stub.py."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, overload
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session, scoped_session
from werkzeug.datastructures import Headers

from .context import AuthState
from .errors import APIError as APIError

__all__ = ["API", "APIError"]

_Fields: TypeAlias = Mapping[str, Any] | None
_Headers: TypeAlias = Mapping[str, str] | Headers | None
_Session: TypeAlias = Session | scoped_session[Any] | None

class API:
    def __init__(self, names: Iterable[str], find_state: Callable[[], AuthState]) -> None: ...
    def __getattr__(self, name: str) -> Callable[..., Any]: ...
    def __dir__(self) -> list[str]: ...
'''
KINDS = (
    (Id, "str | int | UUID"),
    (Str, "str"),
    (Bool, "bool"),
    (QueryFlag, "bool"),
    (Texts, "list[str]"),
    ((fields.Dict, Mapped, Part), "Mapping[str, Any]"),
    (fields.Int, "int"),
)


def kind(field: fields.Field[Any]) -> str:
    """The type of a field's values."""
    name = next((name for cls, name in KINDS if isinstance(field, cls)), "Any")
    return f"{name} | None" if field.allow_none and name != "Any" else name


def keywords(endpoint: Endpoint) -> Iterator[str]:
    """The fields of an endpoint; each may stand in ``body`` or ``query`` instead, so none has to be given."""
    yield from (f"{name}: str" for name in endpoint.parameters)
    given: dict[str, str] = {}
    for schema in (endpoint.body, endpoint.query, endpoint.privileged):
        if schema is not None:
            given |= {name: kind(field) for name, field in schema.fields.items()}
    yield from (f"{name}: {type_} = ..." for name, type_ in given.items())
    for part in ("body", "query"):
        if getattr(endpoint, part) is not None:
            yield f"{part}: _Fields = ..."
    yield from ("headers: _Headers = ...", "session: _Session = ...")


def result(returns: Any) -> str:
    """What a call returns."""
    if returns is None:
        return "Any"
    if isinstance(returns, fields.List):
        return "list[dict[str, Any]]"
    if isinstance(returns, fields.Nested) and returns.allow_none:
        return "dict[str, Any] | None"
    if isinstance(returns, WireSchema):
        return "dict[str, Any]"
    raise TypeError(f"what is a call that returns {returns!r}?")


def method(endpoint: Endpoint) -> str:
    """The overloads of an endpoint: the result, a response, or a tuple."""
    given = ", ".join(keywords(endpoint))
    columns = ", **columns: Any" if any(s is not None and s.columns_of for s in (endpoint.body, endpoint.query)) else ""
    (summary, *_) = (inspect.getdoc(endpoint.view) or "").split("\n\n")
    summary = "\n        ".join(wrap(summary, 104))
    answers = (
        ("as_response: Literal[False] = ...", result(endpoint.returns)),
        ("as_response: Literal[True]", "Response"),
        ("return_headers: bool = ..., return_status: bool = ...", "Any"),
    )
    return "".join(
        f"    @overload\n    def {endpoint.name}(self, *, {given}, {how}{columns}) -> {what}:\n"
        f'        """{summary}"""\n'
        for how, what in answers
    )


def stub() -> str:
    """The whole file, before it is formatted."""
    modules = [*views.CORE, *(getattr(plugins, name).routes for name in plugins.__all__)]
    endpoints = {endpoint.name: endpoint for module in modules for endpoint in module}
    return HEAD + "".join(method(endpoints[name]) for name in sorted(endpoints))


if __name__ == "__main__":
    print(stub(), end="")
