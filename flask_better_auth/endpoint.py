"""What an endpoint is, how views declare one, and the registry both doors look them up in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import wire
from .config import Limit
from .context import Call, Reply, Table
from .errors import ConfigError, ErrorCode
from .wire import WireSchema

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

View = Callable[[Call], Reply]
Guard = Callable[[Call], None]


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One operation of the API: a Flask rule and a name in ``auth.api``.

    Args:
        name: the reference's method name in snake_case; also the view function's and Flask's endpoint name.
        view: answers the call.
        path: below the base path; ``None`` for an operation that the server alone can call.
        methods: the HTTP methods that reach it.
        body: validates the body; ``None`` ignores it.
        query: validates the query string.
        privileged: what server code may ask for without a session, as keywords of ``auth.api``. HTTP has no way to
            name them: they are neither in the body nor in the query.
        returns: the shape of the answer.
        guards: run after validation, in order; each may raise.
        raises: what it may refuse with by itself, for the documentation: what follows from the other arguments is
            not repeated.
        media_types: what a body may be sent as, in the order that the refusal lists them.
        optional_body: a missing body is an empty one.
        needs_headers: a call of the server must pass ``headers``.
        no_store: the answer must not be kept by anyone.
        limit: how often an address may ask, where that is not the rule of the path (see ``ratelimit``).
        replaces: the name of an endpoint of the core or of an earlier plugin that this one takes the place of.
        also: further methods and paths that reach it where ``additions`` is on. Limits, hooks and ``disabled_paths``
            know the endpoint by ``path`` all the same.
    """

    name: str
    view: View
    path: str | None
    methods: tuple[str, ...]
    body: WireSchema | None = None
    query: WireSchema | None = None
    returns: Any = None
    guards: tuple[Guard, ...] = ()
    raises: tuple[ErrorCode, ...] = ()
    media_types: tuple[str, ...] = (JSON,)
    optional_body: bool = False
    needs_headers: bool = False
    no_store: bool = False
    limit: Limit | None = None
    replaces: str | None = None
    privileged: WireSchema | None = None
    also: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return self.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parts of its path that differ from request to request."""
        return tuple(re.findall(r"<(?:[^<>:]*:)?([^<>:]*)>", self.path or ""))

    def routes(self, *, additions: bool) -> tuple[tuple[str, str], ...]:
        """Each method and path that reaches it over HTTP."""
        if self.path is None:
            return ()
        return tuple((method, self.path) for method in self.methods) + (self.also if additions else ())


class Routes:
    """The endpoints of one view module, collected by decorators."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def __iter__(self) -> Any:
        return iter(self.endpoints)

    def route(
        self,
        path: str | None,
        *,
        methods: tuple[str, ...],
        body: type[WireSchema] | None = None,
        query: type[WireSchema] | None = None,
        privileged: type[WireSchema] | None = None,
        returns: Any = None,
        guards: Iterable[Guard] = (),
        raises: Iterable[ErrorCode] = (),
        **options: Any,
    ) -> Callable[[View], View]:
        """Declare the decorated view as an endpoint; see ``Endpoint`` for the arguments."""

        def declare(view: View) -> View:
            self.endpoints.append(
                Endpoint(
                    name=view.__name__,
                    view=view,
                    path=path,
                    methods=methods,
                    body=body() if body else None,
                    query=query() if query else None,
                    privileged=privileged() if privileged else None,
                    returns=returns() if isinstance(returns, type) else returns,
                    guards=tuple(guards),
                    raises=tuple(raises),
                    **options,
                )
            )
            return view

        return declare

    def get(self, path: str, **options: Any) -> Callable[[View], View]:
        """Declare a view for GET."""
        return self.route(path, methods=("GET",), **options)

    def post(self, path: str, **options: Any) -> Callable[[View], View]:
        """Declare a view for POST."""
        return self.route(path, methods=("POST",), **options)

    def server(self, **options: Any) -> Callable[[View], View]:
        """Declare a view that has no route: only ``auth.api`` reaches it."""
        return self.route(None, methods=("POST",), **options)


@dataclass(frozen=True, eq=False)
class Bound:
    """An endpoint as one application has it, with what its columns decide."""

    endpoint: Endpoint
    output: wire.Output
    #: Wire names of the body and the query, and the Python names they stand for.
    body_names: Mapping[str, str] = field(default_factory=dict)
    query_names: Mapping[str, str] = field(default_factory=dict)


class Registry:
    """Every endpoint of one application, by name."""

    def __init__(self, bound: Iterable[Bound]) -> None:
        self.by_name = {item.endpoint.name: item for item in bound}

    def __iter__(self) -> Any:
        return iter(self.by_name.values())


def build_registry(
    modules: Iterable[Iterable[Endpoint]], tables: Mapping[str, Table], additional: Mapping[str, Iterable[str]]
) -> Registry:
    """Bind the endpoints of ``modules`` to the tables of one application.

    Args:
        modules: those of the core, then those of the plugins.
        tables: of the application.
        additional: the columns that options and plugins added, by table.

    Raises:
        ConfigError: two endpoints share a name, or a path and a method, and neither says that it replaces the other;
            or there is none of the name that one says it replaces.
    """
    endpoints: dict[str, Endpoint] = {}
    for endpoint in (endpoint for module in modules for endpoint in module):
        if endpoint.replaces is not None and endpoints.pop(endpoint.replaces, None) is None:
            raise ConfigError(f"the endpoint {endpoint.name} replaces {endpoint.replaces}, which is not there")
        twin = endpoints.get(endpoint.name) or next((e for e in endpoints.values() if _overlap(e, endpoint)), None)
        if twin is not None:
            raise ConfigError(f"the endpoint {endpoint.name} ({endpoint.path}) is declared twice; see {twin.name}")
        endpoints[endpoint.name] = endpoint
    returned = {name: table.returned for name, table in tables.items()}
    return Registry(
        Bound(
            endpoint,
            wire.Output(endpoint.returns, returned),
            _names(endpoint.body, additional),
            _names(endpoint.query, additional),
        )
        for endpoint in endpoints.values()
    )


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    return bool(set(one.routes(additions=True)) & set(other.routes(additions=True)))


def _names(schema: WireSchema | None, additional: Mapping[str, Iterable[str]]) -> dict[str, str]:
    if schema is None:
        return {}
    extra = additional.get(schema.columns_of, ()) if schema.columns_of else ()
    return {schema.wire_names[name]: name for name in schema.fields} | {wire.wire_name(name): name for name in extra}
