"""Which requests are limited, and to how many: the rules of paths, and the answer to one request too many."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits.errors import ConfigurationError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter, RateLimiter

from . import urls
from .config import CustomRule, Limit, as_limit
from .context import AuthState, Call
from .endpoint import Endpoint
from .errors import APIError, ConfigError, CoreErrors
from .services.counters import DatabaseWindow
from .windows import Counters, MemoryWindow, Refusal, StorageWindow, item_of

if TYPE_CHECKING:
    from flask_limiter import Limiter

#: Prefixes and paths that have a limit of their own, of the core and of plugins (rate-limits.json,
#: ``default_special_rules``).
_SPECIAL: tuple[tuple[tuple[str, ...], tuple[str, ...], Limit], ...] = (
    (("/sign-in", "/sign-up", "/change-password", "/change-email"), (), Limit(3, per=10)),
    (
        ("/forget-password",),
        (
            "/request-password-reset",
            "/send-verification-email",
            "/email-otp/send-verification-otp",
            "/email-otp/request-password-reset",
        ),
        Limit(3, per=60),
    ),
)
#: A Redis that hangs must not hold up sign-ins, and no request shall fail for want of a connection.
_REDIS = {"socket_connect_timeout": 1, "socket_timeout": 1, "max_connections": 2**31}
#: What the reference puts in place of an address that it does not know.
_NO_ADDRESS = "no-trusted-ip"


class Rule(NamedTuple):
    """What applies to a path.

    Args:
        item: the limit; nothing, if there is none.
        special: it is not the default: what asks for credentials, or sends mail.
        decide: the application's function, which has the last word.
    """

    item: RateLimitItem | None
    special: bool
    decide: Callable[[Any, Limit], Any] | None = None


class RateLimits:
    """The limits of one application; kept as ``state.limits``.

    Args:
        state: the application's.
        limiter: the application's own ``flask_limiter.Limiter``; it counts then, by its strategy.

    Raises:
        ConfigError: a storage that nobody knows, or whose package is missing.
    """

    def __init__(self, state: AuthState, limiter: Limiter | None = None) -> None:
        self._state, self._options, self._limiter = state, state.config.rate_limit, limiter
        self._plugin_rules = [
            (urls.path_matcher(pattern), limit) for plugin in state.plugins for pattern, limit in plugin.rate_limits
        ]
        self._custom_rules = [
            (urls.path_matcher(pattern), rule) for pattern, rule in self._options.custom_rules.items()
        ]
        self._default = self._options.default
        endpoints: list[Endpoint] = [bound.endpoint for bound in state.registry]
        self._declared = {e.path: e.limit for e in endpoints if e.limit is not None}
        self._rules = {e.path: self._resolve(e.path, e.path) for e in endpoints if e.path is not None}
        self.counters = Counters(_strategy(state, limiter), state.logger)
        self._has_warned = False

    @property
    def enabled(self) -> bool:
        """Whether anything is limited."""
        if self._limiter is not None and not self._limiter.enabled:
            return False
        enabled, app = self._options.enabled, self._state.app
        return enabled if enabled is not None else not (app.debug or app.testing)

    def of(self, endpoint: Endpoint) -> Limit | None:
        """How often an address may ask, before a custom function has a say; nothing for any number of times."""
        rule = self._rules.get(endpoint.path or "")
        if rule is None or rule.item is None or not self.enabled:
            return None
        return Limit(rule.item.amount, rule.item.get_expiry())

    def refusal(self, call: Call) -> APIError | None:
        """Count a request over HTTP: the answer to it if it is one too many.

        Every value of a parameter in a path is one path, as is every spelling of it; custom rules see it as it came.
        Paths that no endpoint has are counted as the reference does it only without ``hardening``: a flood of them
        must not fill the storage (SECURITY D14).
        """
        if not self._counts(call):
            return None
        endpoint = call.endpoint
        path = (endpoint.path if endpoint else None) or self._path(call)
        concrete = self._path(call) if self._custom_rules else path
        rule = self._rules.get(path) if concrete == path else None
        rule = rule or self._resolve(path, concrete)
        item = self._decided(rule, call)
        if item is None:
            return None
        refusal = self.counters.take(item, f"{call.address or _NO_ADDRESS}|{path}")
        return self.error(refusal, closed=rule.special) if refusal is not None else None

    def error(self, refusal: Refusal, *, closed: bool) -> APIError:
        """The answer to one request too many.

        Args:
            refusal: why.
            closed: what is asked for is not given away on the count of one process: 503 while the storage is away.
        """
        wait = str(refusal.wait)
        if refusal.local and closed:
            return APIError(CoreErrors.SERVICE_UNAVAILABLE, headers={"Retry-After": wait})
        additions = self._state.config.additions
        headers = {"X-Retry-After": wait, **({"Retry-After": wait} if additions else {})}
        return APIError(CoreErrors.RATE_LIMIT_EXCEEDED, headers=headers, without_code=not additions)

    def _counts(self, call: Call) -> bool:
        if not self.enabled:
            return False
        if not self._has_warned and "HTTP_X_FORWARDED_FOR" in call.request.environ:
            self._warn_of_proxy(call)
        config = self._state.config
        if call.endpoint is None and config.hardening:
            return False
        return not config.advanced.ip_address.disable_ip_tracking

    def _path(self, call: Call) -> str:
        path = call.request.path[len(self._state.config.base_path) :]
        return path.removesuffix("/")

    def _resolve(self, path: str, concrete: str) -> Rule:
        """The rule of a path: the default, what the path, the endpoint and plugins say, and the custom rules, the
        later over the earlier (rate-limits.json, ``precedence``)."""
        special = self._declared.get(path) or next(
            (limit for prefixes, paths, limit in _SPECIAL if path.startswith(prefixes) or path in paths), None
        )
        special = next((limit for matches, limit in self._plugin_rules if matches(path)), special)
        custom: CustomRule | None = next((rule for matches, rule in self._custom_rules if matches(concrete)), None)
        item = item_of(special or self._default)
        if custom is False:
            return Rule(None, special is not None)
        if isinstance(custom, Limit):
            return Rule(item_of(custom), special is not None)
        return Rule(item, special is not None, custom)

    def _decided(self, rule: Rule, call: Call) -> RateLimitItem | None:
        """What the application's function makes of the limit for this request."""
        if rule.decide is None or rule.item is None:
            return rule.item
        result = rule.decide(call.request, Limit(rule.item.amount, rule.item.get_expiry()))
        if result is None:
            return rule.item
        return None if result is False else item_of(as_limit(result, "the result of a custom rule"))

    def _warn_of_proxy(self, call: Call) -> None:
        """Say once that all clients seem to be one: a proxy tells who asks, and nobody reads it (SECURITY D4)."""
        environ = call.request.environ
        if "werkzeug.proxy_fix.orig" in environ:
            return
        try:
            near = ipaddress.ip_address((call.request.remote_addr or "").partition("%")[0]).is_private
        except ValueError:
            return
        if near:
            self._has_warned = True
            self._state.logger.warning(
                "better-auth: requests come through a proxy, and all of its clients share one rate limit; "
                "apply werkzeug.middleware.proxy_fix.ProxyFix"
            )


def _strategy(state: AuthState, limiter: Limiter | None) -> Callable[[], RateLimiter]:
    """Finds what counts: a window of ours, a fixed one on a storage of ``limits``, or the application's Limiter."""
    uri = state.config.rate_limit.storage
    if limiter is not None:
        if uri not in (None, "memory"):
            raise ConfigError("BETTER_AUTH_RATE_LIMIT_STORAGE has no effect beside limiter=: its own storage counts")
        return lambda: limiter.limiter
    strategy: RateLimiter
    if uri == "secondary-storage" or (uri is None and state.storage is not None):
        if state.storage is None:
            raise ConfigError("BETTER_AUTH_RATE_LIMIT_STORAGE names a secondary storage, and there is none")
        strategy = StorageWindow(state.storage)
    elif uri is None or uri == "memory":
        strategy = MemoryWindow()
    elif uri == "database":
        strategy = DatabaseWindow(state)
    else:
        strategy = FixedWindowRateLimiter(_storage(uri))
    return lambda: strategy


def _storage(uri: str) -> Storage:
    scheme = urlsplit(uri).scheme
    options = _REDIS if scheme in ("redis", "rediss") else {}
    try:
        storage = storage_from_string(uri, **options)
    except ConfigurationError as error:
        if not str(error).startswith("unknown storage scheme"):
            raise ConfigError(
                f"BETTER_AUTH_RATE_LIMIT_STORAGE={scheme}://... needs a package: "
                f"pip install 'flask-better-auth[redis]' or 'limits[{scheme}]'"
            ) from None
        storage = None
    if not isinstance(storage, Storage):
        raise ConfigError(
            "BETTER_AUTH_RATE_LIMIT_STORAGE must be 'memory', 'database', 'secondary-storage' or a URI such as redis://localhost:6379/0"
        )
    return storage
