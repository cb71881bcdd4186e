"""``Plugin``: all that an extension of the extension may contribute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Request, Response

from .config import AdditionalField, AdditionalFields, Limit
from .context import AuthState, Call, Record, Reply
from .endpoint import Endpoint
from .errors import ConfigError, ErrorCode
from .hooks import DatabaseHooks, Hook, Hooks
from .models import CORE_TABLES, TableMixin

if TYPE_CHECKING:
    from .oauth.provider import Provider


@dataclass(frozen=True)
class Column(AdditionalField):
    """A column that a plugin adds to a table: nullable, and out of the reach of clients unless it says otherwise.

    Args:
        taken: the error for a second row with the value, where the column is ``unique``.
    """

    required: bool = False
    input: bool = False
    taken: ErrorCode | None = None


class Plugin:
    """A bundle of endpoints, columns, tables and hooks, handed to ``BetterAuth(plugins=[...])``.

    A subclass sets what it needs of the attributes below, on the class or in ``__init__``, and overrides what it needs
    of the methods. One object may serve several applications: what belongs to one of them is kept on its state.
    """

    #: Tells plugins apart; the reference's id where there is one.
    id: ClassVar[str]
    #: Settings, usually a frozen dataclass; a view finds them by their class, ``call.options(MyOptions)``.
    options: Any = None
    #: Endpoints, collected by a ``Routes``. They are in ``auth.api`` like those of the core; one that takes the place
    #: of another says ``replaces="get_session"``.
    routes: Iterable[Endpoint] = ()
    #: A class whose attributes are ``ErrorCode``; they appear in ``auth.error_codes``.
    errors: type[Any] | None = None
    #: Columns added to tables: table -> name -> ``Column``.
    extends: Mapping[str, Mapping[str, AdditionalField]] = {}
    #: Tables of its own: name -> mixin, a subclass of ``TableMixin``; one that others refer to comes before them.
    tables: Mapping[str, type[TableMixin]] = {}
    #: Who may sign users in beside those of the application.
    providers: Sequence[Provider] = ()
    #: How often an address may ask: a path, or a pattern such as ``/two-factor/*``, and its limit. The first that fits
    #: counts, over that of an endpoint.
    rate_limits: Sequence[tuple[str, Limit]] = ()
    #: Run around endpoints, after those of the application and of earlier plugins; by HTTP and by ``auth.api``.
    hooks: Hooks = Hooks()
    #: Run around rows of the core tables, before those of the application and after those of earlier plugins.
    database_hooks: DatabaseHooks = DatabaseHooks()
    #: Run by HTTP alone, between the check of the origin and the before hooks. What a handler returns is the answer,
    #: which after hooks do not see.
    middlewares: Sequence[Hook] = ()
    #: Option values that count where neither the application nor an earlier plugin says anything; trusted origins are
    #: added to those of the application.
    defaults: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Plugin {getattr(self, 'id', None)}>"

    def init(self, state: AuthState) -> None:
        """Set up what one application needs, once, in the order of the plugins; ``state.plugins`` is complete.

        Raises:
            ConfigError: the plugin cannot work with this configuration.
        """

    def session_token(self, call: Call) -> str | None:
        """The caller's session token, where it does not come by cookie; the first plugin that knows one is believed."""
        return None

    def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
        """Asked before a session is made for ``user``: a reply is the answer instead, under Python names; an
        ``APIError`` refuses. At a sign-up the user is written with the session, and refused with it.

        Args:
            call: the call that signs in.
            user: who proved to be who they are.
            method: how, for example ``"credential"``.
        """
        return None

    def on_request(self, call: Call) -> Response | Request | None:
        """See a request by HTTP before anything else does, for unknown paths too (``call.endpoint`` is ``None``).

        Returns:
            A response, which ends it here; a request, to go on with that one's headers and body, which the check of the
            origin sees too (method and path must stay); or nothing. An ``APIError`` ends it as well.
        """
        return None

    def on_response(self, call: Call, response: Response) -> Response | None:
        """See the answer by HTTP before it leaves; one that is returned takes its place, and later plugins do not see
        it. An ``APIError`` takes its place too. Not called for disabled paths, for refusals of the rate limit, and for
        what ``on_request`` answered."""
        return None


def check(plugins: Sequence[Any]) -> tuple[Plugin, ...]:
    """The plugins of one extension.

    Raises:
        ConfigError: something that is no plugin, or two with one id.
    """
    seen: set[str] = set()
    for plugin in plugins:
        if not isinstance(plugin, Plugin) or not isinstance(getattr(plugin, "id", None), str):
            raise ConfigError(f"plugins=[...] takes objects of subclasses of Plugin that have an id, not {plugin!r}")
        if plugin.id in seen:
            raise ConfigError(f"the plugin {plugin.id} is there twice")
        seen.add(plugin.id)
    return tuple(plugins)


def tables(plugins: Sequence[Plugin]) -> dict[str, type[TableMixin]]:
    """The tables of the plugins.

    Raises:
        ConfigError: one that the core has, or two plugins.
    """
    found: dict[str, type[TableMixin]] = {}
    for plugin in plugins:
        for name, mixin in plugin.tables.items():
            if name in (*CORE_TABLES, "rate_limit") or name in found:
                raise ConfigError(f"the table {name!r} of the plugin {plugin.id} is there already")
            found[name] = mixin
    return found


def columns(plugins: Sequence[Plugin]) -> dict[str, AdditionalFields]:
    """The columns that the plugins add, by table; two may share one that they describe alike.

    Raises:
        ConfigError: two describe a column differently: one could open to clients what another keeps from them.
    """
    found: dict[str, dict[str, AdditionalField]] = {}
    for plugin in plugins:
        for table, added in plugin.extends.items():
            for name, column in added.items():
                if found.setdefault(table, {}).setdefault(name, column) != column:
                    raise ConfigError(f"the plugin {plugin.id} describes {table}.{name} differently than another one")
    return dict(found)
