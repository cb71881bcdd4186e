"""Cookies: names, attributes, signatures, and the lines of one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from urllib.parse import quote, unquote, urlsplit

from . import crypto
from .config import AuthConfig, CookieAttributes, CookieOverride
from .errors import ConfigError

#: What encodeURIComponent leaves as it is, beside letters and digits.
_PLAIN = "-_.!~*'()"
#: RFC 6265bis section 5.5: browsers cut a longer life down.
_LONGEST = timedelta(days=400)


@dataclass(frozen=True)
class Cookie:
    """One cookie as this application is configured to set it."""

    name: str
    attributes: CookieAttributes

    def line(self, value: str, max_age: timedelta | None) -> str:
        """A ``Set-Cookie`` line; the value is written as it comes."""
        a = self.attributes
        parts = [f"{self.name}={value}"]
        if max_age is not None:
            parts.append(f"Max-Age={int(max_age.total_seconds())}")
        if a.domain:
            parts.append(f"Domain={a.domain}")
        parts.append(f"Path={a.path}")
        parts.extend(word for word, on in (("HttpOnly", a.http_only), ("Secure", a.secure)) if on)
        parts.append(f"SameSite={(a.same_site or 'lax').capitalize()}")
        if a.partitioned:
            parts.append("Partitioned")
        return "; ".join(parts)


class CookieJar:
    """The cookies of one application: what each is called, and how its value is signed.

    Args:
        config: names, attributes and the secrets.
        production: neither debug nor testing; without a base URL that tells, cookies are ``Secure`` then.
    """

    def __init__(self, config: AuthConfig, *, production: bool) -> None:
        versions = {each.version: each.value for each in config.secrets}
        self.secrets = crypto.Secrets(config.secret, versions, accept_rotated=config.accept_rotated_cookies)
        self._config = config.advanced
        self._host = urlsplit(config.url).hostname if config.url else None
        self._secure = self._wants_secure(config, production)
        self.session_token = self.cookie("session_token", max_age=config.session.expires_in)
        self.session_data = self.cookie("session_data", max_age=config.session.cookie_cache.max_age)
        self.dont_remember = self.cookie("dont_remember")
        # what takes a sign-in with a provider up again: its number, or, in the other one, all of it
        self.state = self.cookie("state", max_age=timedelta(minutes=5))
        self.oauth_state = self.cookie("oauth_state", max_age=timedelta(minutes=10))

    @staticmethod
    def _wants_secure(config: AuthConfig, production: bool) -> bool:
        if config.advanced.use_secure_cookies is not None:
            return config.advanced.use_secure_cookies
        if config.url is None and config.protocol == "auto":
            return production
        return (config.url or f"{config.protocol}://").lower().startswith("https://")

    def cookie(self, short_name: str, *, max_age: timedelta | None = None) -> Cookie:
        """Work out name and attributes of a cookie from its short name, for example ``session_token``.

        Raises:
            ConfigError: a life of more than 400 days.
        """
        override = self._config.cookies.get(short_name, CookieOverride())
        cross = self._config.cross_sub_domain_cookies
        if cross.enabled and not (cross.domain or self._host):
            raise ConfigError("cross_sub_domain_cookies needs a domain, or BETTER_AUTH_URL to take it from")
        attributes = CookieAttributes(
            domain=(cross.domain or self._host) if cross.enabled else None,
            path="/",
            http_only=True,
            secure=self._secure,
            same_site="lax",
        )
        built_in = CookieAttributes(max_age=max_age)
        for stronger in (self._config.default_cookie_attributes, built_in, override.attributes):
            attributes = _overlay(attributes, stronger)
        name = override.name or f"{self._config.cookie_prefix}.{short_name}"
        if self._secure:
            name = f"__Secure-{name}"
        if attributes.prefix is not None:
            name = f"__{attributes.prefix.capitalize()}-{name}"
        cross_site = (attributes.same_site or "").lower() == "none" or attributes.partitioned
        if cross_site or name.startswith(("__Secure-", "__Host-")):
            attributes = replace(attributes, secure=True)  # browsers drop the cookie otherwise
        if name.startswith("__Host-"):
            attributes = replace(attributes, path="/", domain=None)
        if attributes.max_age is not None and attributes.max_age > _LONGEST:
            raise ConfigError(f"the cookie {name} lives longer than 400 days, which no browser grants")
        return Cookie(name, attributes)

    def signed(self, value: str) -> str:
        """``value`` with its signature, percent-encoded for the cookie header."""
        return quote(f"{value}.{self.secrets.sign(value)}", safe=_PLAIN)

    def read(self, cookies: Mapping[str, str], cookie: Cookie) -> str | None:
        """The value of a signed cookie; a missing, damaged or foreign signature counts as no cookie."""
        raw = cookies.get(cookie.name)
        return self.verified(raw) if raw else None

    def verified(self, raw: str) -> str | None:
        """The value of a text that ``signed`` made, percent-encoded or not; nothing, if it is not one."""
        try:
            value, _, signature = unquote(raw, errors="strict").rpartition(".")
            value.encode()
        except UnicodeError:
            return None
        if len(signature) != 44:
            return None
        return value if self.secrets.verify(value, signature) else None


class SetCookies:
    """The cookies that one answer sets, in order; as in the reference one may be set twice, the last one counts."""

    def __init__(self) -> None:
        self._set: list[tuple[Cookie, str, timedelta | None]] = []

    def set(self, cookie: Cookie, value: str, *, max_age: timedelta | None) -> None:
        """Set a cookie; without ``max_age`` the browser forgets it when it closes."""
        self._set.append((cookie, value, max_age))

    def expire(self, cookie: Cookie) -> None:
        """Tell the browser to forget a cookie, whatever this answer said of it before."""
        self.unset(cookie.name)
        self.set(cookie, "", max_age=timedelta(0))

    def unset(self, name: str) -> None:
        """Take back what this answer said of a cookie."""
        self._set = [item for item in self._set if item[0].name != name]

    def value(self, cookie: Cookie) -> str:
        """What a cookie is set to, as the browser will send it; empty if it is expired or not set."""
        return next((value for one, value, _ in reversed(self._set) if one.name == cookie.name), "")

    def values(self) -> dict[str, str]:
        """What each cookie is set to, by its name; empty for one that is expired."""
        return {cookie.name: value for cookie, value, _ in self._set}

    def lines(self) -> list[str]:
        """The ``Set-Cookie`` lines."""
        return [cookie.line(value, max_age) for cookie, value, max_age in self._set]


def _overlay(weaker: CookieAttributes, stronger: CookieAttributes) -> CookieAttributes:
    given = {f.name: getattr(stronger, f.name) for f in fields(stronger) if getattr(stronger, f.name) is not None}
    return replace(weaker, **given)
