"""What a view is handed: the state of the application, and the one invocation it serves."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from logging import Logger
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, Request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers

from . import models, signals, storage, urls
from .account_cookie import AccountCookie
from .config import AdditionalFields, AuthConfig
from .cookie_cache import CookieCache, Copy
from .cookies import CookieJar, SetCookies
from .errors import APIError, CoreErrors
from .passwords import Passwords
from .storage import Guarded
from .wire import Output, moment, wire_name

if TYPE_CHECKING:
    from .endpoint import Endpoint, Registry
    from .hooks import DatabaseHooks, Hooks
    from .oauth.provider import Provider
    from .oauth.state import Flow
    from .plugin import Plugin
    from .ratelimit import RateLimits
    from .services.session_stores import SessionStore

T = TypeVar("T")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Record(dict[str, Any]):
    """A row of one of our tables: its columns under their Python names, as items and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self) -> str:
        return f"<Record {self.get('id')}>"  # it may hold a password hash or a session token


@dataclass(frozen=True)
class Table:
    """One of our tables: the mapped class, its columns and those of them that may leave the server."""

    model: type[Any]
    columns: Mapping[str, Any]
    returned: tuple[str, ...]
    #: What columns hold that are not mentioned where a row is created.
    defaults: Mapping[str, Callable[[], Any]]
    #: The columns that are times, and those that a row which left the server must have.
    times: tuple[str, ...]
    required: tuple[str, ...]
    wire_names: Mapping[str, str]
    #: Makes an identifier; nothing, where the database does.
    new_id: Callable[[], str] | None
    #: The identifiers that the database keeps as something else than text, which they are everywhere here.
    texts: Mapping[str, models.AsText]

    @classmethod
    def of(cls, model: type[Any]) -> Table:
        """Read it off a mapped class."""
        columns, returned = models.statement_columns(model), models.returned_columns(model)
        types = {name: getattr(model, name).property.columns[0] for name in columns}
        return cls(
            model,
            columns,
            returned,
            models.defaults(model),
            tuple(name for name, column in types.items() if isinstance(column.type, models.UtcDateTime)),
            tuple(name for name in returned if not types[name].nullable),
            {name: wire_name(name) for name in columns},
            models.maker_of_ids(model),
            models.texts(model),
        )

    def record(self, row: Iterable[Any]) -> Record:
        """A row whose values stand in the order of ``columns``."""
        return Record(zip(self.columns, row, strict=True))

    def record_of(self, instance: Any) -> Record:
        """The row of an instance of ``model``."""
        values = ((name, getattr(instance, name)) for name in self.columns)
        return Record((name, str(v) if name in self.texts and v is not None else v) for name, v in values)

    def native(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as ``model`` takes it."""
        return {name: self.texts[name].read(v) if name in self.texts else v for name, v in row.items()}

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What of a row may leave the server."""
        return {name: row[name] for name in self.returned}

    def wired(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row, or what there is of one, as JSON keeps it."""
        return {self.wire_names[name]: value for name, value in row.items()}

    def revived(self, wired: Mapping[str, Any]) -> Record:
        """A row that was written as JSON, under wire names; what is missing is null.

        Raises:
            ValueError: it is no row of this table.
        """
        row = Record((name, wired.get(self.wire_names[name])) for name in self.columns)
        for name in self.times:
            if row[name] is not None:
                row[name] = moment(str(row[name]))
        if any(row[name] is None for name in self.required):
            raise ValueError("a row that lacks what it must have")
        return row


class AuthState:
    """What one application shares among its requests; kept in ``app.extensions["better_auth"]``."""

    def __init__(
        self,
        app: Flask,
        config: AuthConfig,
        db: SQLAlchemy,
        mapped: models.Models,
        additional: Mapping[str, AdditionalFields],
        plugins: tuple[Plugin, ...],
        hooks: Hooks,
        database_hooks: DatabaseHooks,
    ) -> None:
        self.app, self.config, self.db, self.hooks, self.database_hooks = app, config, db, hooks, database_hooks
        self.models, self.plugins, self._additional = mapped, plugins, additional
        self._options = {type(plugin.options): plugin.options for plugin in plugins}
        self.tables = {name: Table.of(model) for name, model in mapped.items()}
        relaxed = app.debug or app.testing
        self.cookies = CookieJar(config, production=not relaxed)
        self.secrets = self.cookies.secrets
        self.cookie_cache = CookieCache(config, self.cookies, self.logger.warning)
        self.account_cookie = AccountCookie(config, self.cookies, self.logger.warning)
        secondary = storage.build(config.secondary_storage)
        #: The secondary storage, if there is one.
        self.storage = Guarded(secondary, self._tell_of_storage) if secondary is not None else None
        #: Where sessions are kept.
        self.sessions: SessionStore
        #: Those whose users can sign in, by their identifiers.
        self.providers: Mapping[str, Provider] = {}
        self.passwords = Passwords(config, relaxed=relaxed, on_failure=self._password_check_failed)
        self.registry: Registry
        self.limits: RateLimits
        #: Engines that read without a transaction, by the engine of the application that each of them stands for.
        self.readers: dict[Engine, Engine] = {}
        self._made: dict[Any, Any] = {}
        self._base = config.url.rstrip("/") if config.url else None
        self._fallback = config.fallback_url.rstrip("/") if config.fallback_url and not config.url else None
        own = (urls.base_origin(url) for url in (self._base, self._fallback) if url)
        self._trusted = (*own, *(origin for origin in config.trusted_origins if isinstance(origin, str)))
        self._trusting = [function for function in config.trusted_origins if not isinstance(function, str)]

    def _tell_of_storage(self, message: str, failed: bool) -> None:
        self.logger.warning(message, exc_info=failed)

    def once(self, build: Callable[[AuthState], Any]) -> Any:
        """What ``build`` makes of this application, for example a statement; made at its first use."""
        made = self._made.get(build)
        if made is None:
            made = self._made[build] = build(self)
        return made

    def additional_fields(self, table: str) -> AdditionalFields:
        """The columns of a table that options and plugins added."""
        return self._additional.get(table, {})

    def options(self, cls: type[T]) -> T:
        """The settings of the plugin whose options are of this class."""
        found: T = self._options[cls]
        return found

    @property
    def logger(self) -> Logger:
        """Where failures are told: a child of the application's own logger, unless it named another."""
        return self.config.logger or self.app.logger.getChild("better_auth")

    def _password_check_failed(self, error: Exception) -> None:
        self.logger.error("better-auth: is_compromised failed, the password was taken", exc_info=error)
        try:
            signals.password_check_failed.send(self.app, error=error)
        except Exception:
            self.logger.exception("better-auth: a receiver of password_check_failed failed")

    def base_url(self, request: Request) -> str:
        """Where the routes are to be found from outside, without a slash at the end.

        Raises:
            APIError: ``INVALID_HOST``; no base URL is configured and the request's host is not an allowed one.
        """
        if self._base:
            return self._base + self.config.base_path
        origin = self._request_origin(request)
        base = self._fallback or "" if origin is None else origin + request.script_root
        return base + self.config.base_path

    def trusted_origins(self, request: Request) -> tuple[str, ...]:
        """The origins and patterns that may call, the own origin first."""
        if self._base and not self._trusting:
            return self._trusted
        own = None if self._base else self._request_origin(request)
        named = (origin for function in self._trusting for origin in function(request) if origin)
        return (*([own] if own else ()), *self._trusted, *named)

    def _request_origin(self, request: Request) -> str | None:
        """Where a request without a base URL was sent; nothing, if the fallback stands for that."""
        # the host is the client's to choose: it counts only where the deployment has named it (SECURITY C1 to C3)
        origin = urls.origin_of(f"{request.scheme}://{request.host}") or ""
        host = origin.partition("://")[2]
        allowed = self.config.allowed_hosts
        if not allowed and (self.app.debug or self.app.testing):
            allowed = (*_LOOPBACK, *(f"{name}:*" for name in _LOOPBACK))
        if host and any(urls.host_matches(host, pattern) for pattern in allowed):
            protocol = self.config.protocol
            return origin if protocol == "auto" else f"{protocol}://{host}"
        if self._fallback:
            return None
        raise APIError(CoreErrors.INVALID_HOST)


@dataclass
class Reply:
    """What a view answers: a body under Python names, a status, and perhaps headers.

    ``location`` is where the client shall go: alone it makes a redirect of status 302, with a body a header beside it.
    """

    body: Any = field(default=None, repr=False)  # it may hold a session token
    status: int = 200
    location: str | None = None
    html: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: Knows the body field by field; set by the pipeline.
    output: Output | None = field(default=None, repr=False)

    @property
    def python(self) -> Any:
        """The body as callers of ``auth.api`` get it."""
        return self.output.python(self.body) if self.output else self.body

    @property
    def wire(self) -> Any:
        """The body as clients get it."""
        return self.output.wire(self.body) if self.output else self.body

    @property
    def is_redirect(self) -> bool:
        """Whether the answer is a redirect and nothing else."""
        return self.location is not None and self.body is None and self.html is None


class Call:
    """One invocation of an endpoint, by HTTP or by ``auth.api``.

    Args:
        state: the application's.
        endpoint: what is invoked; ``None`` while ``current_user`` reads a session.
        request: Flask's request object itself, not the proxy: an inner call has one of its own.
        internal: invoked by server code through ``auth.api``.
        joined: the session of the application whose transaction the call takes part in.
    """

    def __init__(
        self,
        state: AuthState,
        endpoint: Endpoint | None,
        request: Request,
        *,
        internal: bool = False,
        joined: Session | None = None,
    ) -> None:
        self.state, self.endpoint, self.request = state, endpoint, request
        self.internal, self.joined = internal, joined
        self.body: Any = ...
        self.query: Any = {}
        self.params: dict[str, str] = {}
        #: What server code asked for in its own name; the HTTP door leaves it empty (see ``Endpoint.privileged``).
        self.privileged: dict[str, Any] = {}
        self.cookies = SetCookies()
        self.headers = Headers()
        #: The session and user of the caller, once something has asked for them.
        self.session: Record | None = None
        self.user: Record | None = None
        #: The session that this call made.
        self.new_session: Record | None = None
        #: What after hooks see: the reply, or the error that stands in for it.
        self.returned: Reply | APIError | None = None
        #: What a view failed with, where the application wants to handle that.
        self.failure: Exception | None = None
        #: The open unit's session, and what it does once it is committed.
        self.unit: Session | None = None
        self.after_commit: list[Callable[[], object]] = []
        #: What undoes the unit's writes to places that know no transactions.
        self.on_rollback: list[Callable[[], object]] = []
        #: What plugins want to know again when the browser comes back from a provider; clients cannot set it.
        self.server_context: dict[str, Any] = {}
        #: The sign-in with a provider that this call begins or takes up again.
        self.flow: Flow | None = None
        #: Where the routes are of the server that providers send browsers back to, if that is another one.
        self.redirect_base: str | None = None
        self._copy: tuple[Copy | None] | None = None
        self._own: Session | None = None
        self._after_reply: list[Callable[[], object]] = []
        self._answered = False

    @property
    def config(self) -> AuthConfig:
        """The application's configuration."""
        return self.state.config

    def options(self, cls: type[T]) -> T:
        """The settings of the plugin whose options are of this class."""
        return self.state.options(cls)

    @property
    def db(self) -> Session:
        """The session that writes go to: the call's own, or the one it joined."""
        if self.joined is not None:
            return self.joined
        if self._own is None:
            self._own = self.state.db.session.session_factory()
        return self._own

    @property
    def signed_in(self) -> tuple[Record, Record]:
        """The caller's session and user, behind a guard that asked for them.

        Raises:
            APIError: ``UNAUTHORIZED``.
        """
        if self.session is None or self.user is None:
            raise APIError(CoreErrors.UNAUTHORIZED)
        return self.session, self.user

    @property
    def base_url(self) -> str:
        """Where the routes are to be found from outside."""
        return self.state.base_url(self.request)

    @property
    def address(self) -> str:
        """The client's address as it is stored: IPv6 by its network (``advanced.ip_address.ipv6_subnet``), ``""`` when
        unknown. Forwarded headers do not count; ``ProxyFix`` is the application's to apply."""
        options = self.config.advanced.ip_address
        if options.disable_ip_tracking:
            return ""
        try:
            address = ipaddress.ip_address((self.request.remote_addr or "").partition("%")[0])
        except ValueError:
            return ""
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is None:
                network = ipaddress.ip_network((int(address), options.ipv6_subnet), strict=False)
                return network.network_address.exploded
            address = address.ipv4_mapped
        return str(address)

    def set_session(self, session: Record, user: Record, *, remember: bool) -> None:
        """Make ``session`` the caller's: its cookie leaves with the answer.

        Args:
            session: the row.
            user: its user.
            remember: false for a browser session: cookies without a life of their own, and a mark not to extend it.
        """
        jar = self.state.cookies
        self.session, self.user = session, user
        life: timedelta | None = jar.session_token.attributes.max_age if remember else None
        self.cookies.set(jar.session_token, jar.signed(session.token), max_age=life)
        if not remember:
            self.cookies.set(jar.dont_remember, jar.signed("true"), max_age=None)
        elif jar.dont_remember.name in self.request.cookies:
            self.cookies.expire(jar.dont_remember)
        self.cache_session(session, user, remember=remember)

    def cache_session(self, session: Record, user: Record, *, remember: bool) -> None:
        """Hand the browser a copy of its session, for being shown who it is without a read."""
        cache, tables = self.state.cookie_cache, self.state.tables
        if cache.enabled:
            shown = tables["session"].shown(session), tables["user"].shown(user)
            cache.write(self.cookies, self.request.cookies, *shown, remember=remember)
            self._renew_account(user)

    def keep_account(self, account: Record) -> None:
        """Hand the browser the account that it signs in with, if it is to have it."""
        if self.state.account_cookie.enabled:
            wired = self.state.tables["account"].wired({**account, "password": None})
            self.state.account_cookie.write(self.cookies, self.request.cookies, wired)

    def kept_account(self, user_id: str) -> Record | None:
        """The account that the browser sent, if it is that user's (SECURITY I9)."""
        cookie = self.state.account_cookie
        found = cookie.read(self.request.cookies) if cookie.enabled else None
        with suppress(ValueError):
            account = self.state.tables["account"].revived(found) if found is not None else None
            return account if account is not None and account.user_id == user_id else None
        return None

    def _renew_account(self, user: Record) -> None:
        """Let the account live as long as the copy of the session; one of another user goes."""
        cookie, sent = self.state.account_cookie, self.request.cookies
        if not cookie.enabled or cookie.is_set(self.cookies) or cookie.read(sent) is None:
            return
        account = self.kept_account(user.id)
        if account is not None:
            self.keep_account(account)
        else:
            cookie.expire(self.cookies, sent)

    def cached_session(self, token: str) -> Copy | None:
        """The copy of session and user that the browser sent, as rows, if there is one that counts."""
        if self._copy is None:
            self._copy = (self._revived(token),)
        return self._copy[0]

    def _revived(self, token: str) -> Copy | None:
        cache, tables = self.state.cookie_cache, self.state.tables
        copy = cache.read(self.request.cookies, token) if cache.enabled else None
        if copy is None:
            return None
        with suppress(ValueError):
            user = tables["user"].revived(copy.user)
            return Copy(tables["session"].revived(copy.session), user, copy.expires_at)
        return None

    def forget_stale_copy(self, token: str) -> None:
        """Make the browser forget a copy that does not count, or that nobody asks for any more."""
        cache, sent = self.state.cookie_cache, self.request.cookies
        if cache.is_sent(sent) and self.cached_session(token) is None:
            cache.expire(self.cookies, sent)

    def clear_session(self) -> None:
        """Make the browser forget its session."""
        jar = self.state.cookies
        self.session = self.user = None
        cache, sent = self.state.cookie_cache, self.request.cookies
        self.cookies.expire(jar.session_token)
        self.cookies.expire(jar.session_data)
        if self.state.account_cookie.enabled:
            self.state.account_cookie.expire(self.cookies, sent)
        if self.config.account.store_state_strategy == "cookie":
            self.cookies.expire(jar.oauth_state)
        if cache.enabled:
            cache.sweep(self.cookies, sent)
        self.cookies.expire(jar.dont_remember)

    def after_reply(self, work: Callable[[], object]) -> None:
        """Do ``work`` when the answer is on its way, or at once if it is gone: what the client must not wait for."""
        if self._answered:
            self.guarded(work)
        else:
            self._after_reply.append(work)

    def finish(self) -> None:
        """Do what waited for the answer, and give back what the call holds."""
        self._answered = True
        while self._after_reply:
            self.guarded(self._after_reply.pop(0))
        self.close()

    def close(self) -> None:
        """Give back the call's own database session."""
        if self._own is not None:
            self._own.close()

    @property
    def has_work(self) -> bool:
        """Whether something waits for the answer."""
        return bool(self._after_reply)

    def guarded(self, work: Callable[[], object]) -> None:
        """Run application code whose failure must not change the answer; it is logged."""
        try:
            work()
        except Exception:
            self.state.logger.exception("better-auth: work after %s failed", self.endpoint)
