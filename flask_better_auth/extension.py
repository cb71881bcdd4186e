"""``BetterAuth``: puts the pieces together for each application."""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, current_app, has_app_context, request_started
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import exc
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from . import models, plugin, providers, responses, urls, views, web
from .api import API
from .config import AdditionalFields, AuthConfig, build
from .context import AuthState
from .current import current_user
from .endpoint import build_registry
from .errors import APIError, ConfigError, CoreErrors, ErrorCode
from .hooks import DatabaseHooks, Hooks
from .plugin import Plugin
from .ratelimit import RateLimits
from .services import session_stores

if TYPE_CHECKING:
    from flask_limiter import Limiter

    from .oauth.provider import Provider

_KEY = "better_auth"
_SECRET_LENGTH = 32
#: Long enough, and known to everybody: the reference's built-in default, and what tutorials write.
_KNOWN_SECRETS = {"better-auth-secret-12345678901234567890", "better-auth-secret-123456789012345678901234567890"}


class BetterAuth:
    """The extension: ``BetterAuth(app)``, or ``auth = BetterAuth()`` and ``auth.init_app(app)`` later.

    Args:
        app: the application; without it call ``init_app``.
        db: the application's Flask-SQLAlchemy. By default the one that is registered when ``init_app`` is called, else
            one of our own at ``BETTER_AUTH_DATABASE_URI``, whose tables are made at once.
        user_model: the application's own user class, a subclass of ``UserMixin``.
        social_providers: who may sign users in, from ``flask_better_auth.providers``: a list, or a dict such as
            ``{"github": {"client_id": "...", "client_secret": "..."}}``. What is missing, and providers beyond these,
            come from the application's configuration, for example ``BETTER_AUTH_GITHUB_CLIENT_ID``.
        plugins: from ``flask_better_auth.plugins``, or own subclasses of ``Plugin``; their order counts.
        hooks: run around endpoints.
        database_hooks: run around rows.
        limiter: the application's own ``flask_limiter.Limiter``, whose storage and strategy shall count requests.
        options: see ``AuthConfig``; each may come from ``BETTER_AUTH_*`` in the application's configuration too.

    Raises:
        ConfigError: an option nobody knows, or a wrong value; two plugins of one id.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        db: SQLAlchemy | None = None,
        user_model: type[Any] | None = None,
        social_providers: Sequence[Provider] | Mapping[str, Any] = (),
        plugins: Sequence[Plugin] = (),
        hooks: Hooks | None = None,
        database_hooks: DatabaseHooks | None = None,
        limiter: Limiter | None = None,
        **options: Any,
    ) -> None:
        self._db, self._user_model = db, user_model
        self._plugins = plugin.check(plugins)
        # hooks of the application come first around endpoints, and last around rows
        self._hooks = Hooks.joined([hooks or Hooks(), *(p.hooks for p in self._plugins)])
        self._database_hooks = DatabaseHooks.joined(
            [*(p.database_hooks for p in self._plugins), database_hooks or DatabaseHooks()]
        )
        self._limiter, self._options, self._providers = limiter, options, social_providers
        self._endpoints = [*map(list, views.CORE), *(list(p.routes) for p in self._plugins)]
        self._models: models.Models | None = None
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        config = self._build({})
        if db is None and user_model is not None:
            self._db = db = user_model.__fsa__
        if db is not None:
            # at once, so that migrations see the tables without an application
            self._build_models(db, config)
        self.api = self._api(self._state)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Serve the routes of an application.

        Raises:
            ConfigError: a wrong setting, or a second extension on the same application.
        """
        if _KEY in app.extensions:
            raise ConfigError("this application has a BetterAuth already")
        settings, of_providers = providers.split(app.config)
        config = self._build(settings)
        _check_secret(app, config)
        _check_urls(config)
        db, own = self._database(app, config)
        mapped, additional = self._build_models(db, config)
        state = AuthState(app, config, db, mapped, additional, self._plugins, self._hooks, self._database_hooks)
        state.registry = build_registry(self._endpoints, state.tables, additional)
        state.providers = providers.build(
            self._providers, of_providers, (p for e in self._plugins for p in e.providers)
        )
        state.sessions = session_stores.build(state)
        state.limits = RateLimits(state, self._limiter)
        for each in self._plugins:
            each.init(state)
        app.extensions[_KEY] = state
        blueprint = web.build_blueprint(state)
        app.register_blueprint(blueprint)
        _exempt_from_wtf(app, blueprint)
        app.register_error_handler(APIError, responses.of_error)
        app.context_processor(lambda: {"current_user": current_user})
        self._apps.add(app)
        if not (config.url or config.allowed_hosts or config.fallback_url or app.debug or app.testing):
            state.logger.warning("better-auth answers no host: set BETTER_AUTH_URL or BETTER_AUTH_ALLOWED_HOSTS")
        if own:
            with app.app_context():
                _create_tables(db)
                if not isinstance(db.engine.pool, StaticPool):  # which is the database itself, in memory
                    db.engine.dispose()  # a worker that is forked from here must not share our connection

    def for_app(self, app: Flask) -> BoundAuth:
        """The extension as one of several applications has it, for use outside its context."""
        if app not in self._apps:
            raise RuntimeError(f"{app.name} has no such BetterAuth")
        return BoundAuth(self._api(lambda: app.extensions[_KEY]))

    @property
    def error_codes(self) -> Mapping[str, ErrorCode]:
        """Every error that the endpoints answer with, by its code; the core's word counts where a plugin has it too."""
        sources = (*(p.errors for p in reversed(self._plugins) if p.errors is not None), CoreErrors)
        return {e.code: e for source in sources for e in vars(source).values() if isinstance(e, ErrorCode)}

    def model(self, table: str) -> type[Any]:
        """The class mapped to one of our tables, for example a plugin's ``"two_factor"``.

        Raises:
            KeyError: no such table.
        """
        if self._models is None:
            raise RuntimeError("the models are there once init_app was called, or at once with db= or user_model=")
        return self._models[table]

    @property
    def User(self) -> type[Any]:
        """The class mapped to the user table."""
        return self.model("user")

    @property
    def Session(self) -> type[Any]:
        """The class mapped to the session table."""
        return self.model("session")

    @property
    def Account(self) -> type[Any]:
        """The class mapped to the account table."""
        return self.model("account")

    @property
    def Verification(self) -> type[Any]:
        """The class mapped to the verification table."""
        return self.model("verification")

    def _build(self, settings: Mapping[str, Any]) -> AuthConfig:
        return build(self._options, settings, [p.defaults for p in self._plugins])

    def _build_models(self, db: SQLAlchemy, config: AuthConfig) -> tuple[models.Models, dict[str, AdditionalFields]]:
        """The mapped classes, and the columns that plugins and options added to them; an option may redefine one."""
        tables, columns = plugin.tables(self._plugins), plugin.columns(self._plugins)
        if config.rate_limit.storage == "database":
            tables["rate_limit"] = models.RateLimitMixin
        for table, fields in config.additional_fields.items():
            columns[table] = {**columns.get(table, {}), **fields}
        self._models = models.build_models(db, config, self._user_model, tables, columns)
        return self._models, columns

    def _api(self, find_state: Callable[[], AuthState]) -> API:
        names: set[str] = set()
        for endpoint in (endpoint for routes in self._endpoints for endpoint in routes):
            names.discard(endpoint.replaces or "")
            names.add(endpoint.name)
        return API(names, find_state)

    def _state(self) -> AuthState:
        """The state of the current application, or of the only one."""
        if has_app_context():
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the object behind the proxy
            if app in self._apps:
                state: AuthState = app.extensions[_KEY]
                return state
        apps = list(self._apps)
        if len(apps) != 1:
            raise RuntimeError("which application? push its context, or use auth.for_app(app).api")
        only: AuthState = apps[0].extensions[_KEY]
        return only

    def _database(self, app: Flask, config: AuthConfig) -> tuple[SQLAlchemy, bool]:
        """The database of the application, and whether it is ours to make tables in."""
        registered: SQLAlchemy | None = app.extensions.get("sqlalchemy")
        if self._db is not None:
            return self._db, False
        if registered is not None:
            return registered, False
        if "SQLALCHEMY_DATABASE_URI" in app.config or "SQLALCHEMY_BINDS" in app.config:
            raise ConfigError("no Flask-SQLAlchemy is registered: call db.init_app(app) first, or pass db=")
        try:
            make_url(config.database_uri)
        except exc.ArgumentError:
            raise ConfigError("BETTER_AUTH_DATABASE_URI is no database URL") from None
        app.config["SQLALCHEMY_DATABASE_URI"] = config.database_uri
        db = SQLAlchemy()
        db.init_app(app)
        return db, True


class BoundAuth:
    """The extension as one application has it."""

    def __init__(self, api: API) -> None:
        self.api = api


def _exempt_from_wtf(app: Flask, blueprint: Blueprint) -> None:
    """Let Flask-WTF's ``CSRFProtect``, whenever it is set up, leave our routes to our own checks, and guard all others
    (SECURITY B11)."""

    def exempt(sender: Flask, **extra: Any) -> None:
        leave = getattr(sender.extensions.get("csrf"), "exempt", None)
        if leave is not None:
            leave(blueprint)
        request_started.disconnect(exempt, sender)  # after the first request nothing is set up any more

    request_started.connect(exempt, app, weak=False)


def _check_secret(app: Flask, config: AuthConfig) -> None:
    named = {f"version {each.version} of BETTER_AUTH_SECRETS": each.value for each in config.secrets}
    if config.secret or not named:
        named["BETTER_AUTH_SECRET (or SECRET_KEY)"] = config.secret
    for name, secret in named.items():
        if not secret:
            raise ConfigError("set BETTER_AUTH_SECRET or SECRET_KEY; `flask better-auth secret` makes one")
        weak = len(secret) < _SECRET_LENGTH or secret in _KNOWN_SECRETS or len(set(secret)) < 8
        if weak and not (app.debug or app.testing):
            raise ConfigError(
                f"{name} must be at least 32 characters that nobody can guess; `flask better-auth secret` makes one"
            )


def _check_urls(config: AuthConfig) -> None:
    for key, url in (("URL", config.url), ("FALLBACK_URL", config.fallback_url)):
        if url is not None and not urls.base_origin(url):
            raise ConfigError(f"BETTER_AUTH_{key} must be like https://app.example.com, not {url!r}")
    if not re.fullmatch(r"(/[\w.~-]+)+", config.base_path, re.ASCII):
        raise ConfigError(f"BETTER_AUTH_BASE_PATH must be like /api/auth, not {config.base_path!r}")
    for pattern in config.trusted_origins:
        if isinstance(pattern, str) and re.fullmatch(r"https?://[^/]*/.*", pattern, re.IGNORECASE):
            raise ConfigError(
                f"BETTER_AUTH_TRUSTED_ORIGINS are origins without a path or a final slash, not {pattern!r}"
            )


def _create_tables(db: SQLAlchemy) -> None:
    for _ in db.metadata.tables:
        # another worker may be faster with one of the tables: go on with those that are still missing
        with contextlib.suppress(exc.OperationalError, exc.ProgrammingError, exc.IntegrityError):
            db.create_all()
            return
    db.create_all()
