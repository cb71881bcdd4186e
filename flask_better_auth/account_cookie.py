"""The account cookie: the account of a provider that a browser signed in with, encrypted, for a few minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from . import clock
from .config import AuthConfig
from .cookie_cache import ChunkedCookie, Jwe
from .cookies import CookieJar, SetCookies


class AccountCookie:
    """Writes and reads the accounts of one application (reference option ``account.storeAccountCookie``).

    Args:
        config: whether there are such cookies.
        jar: the cookies' names and attributes, and whose cookies count.
        warn: is told of an account that is too large for the browser.
    """

    def __init__(self, config: AuthConfig, jar: CookieJar, warn: Callable[[str], object]) -> None:
        self.enabled = config.account.store_account_cookie
        brief = config.session.cookie_cache.max_age
        cookie = jar.cookie("account_data", max_age=brief)
        self._cookie, self._life = ChunkedCookie(cookie, warn), cookie.attributes.max_age or brief
        self._secrets = jar.secrets.trusted

    def write(self, cookies: SetCookies, sent: Mapping[str, str], account: Mapping[str, Any]) -> None:
        """Hand the browser an account, under wire names and without a password."""
        value = self._form(self._secrets[0]).write(dict(account), clock.now() + self._life)
        self._cookie.set(cookies, sent, value, self._life)

    def read(self, sent: Mapping[str, str]) -> dict[str, Any] | None:
        """The account that the browser sent, under wire names; nothing, if there is none that counts."""
        value = self._cookie.value(sent)
        for secret in self._secrets if value else ():
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                account, expires_at = self._form(secret).read(value)
                return account if expires_at > clock.now() else None
        return None

    def is_set(self, cookies: SetCookies) -> bool:
        """Whether the answer hands the browser an account already."""
        return bool(self._cookie.names(cookies.values()))

    def expire(self, cookies: SetCookies, sent: Mapping[str, str]) -> None:
        """Make the browser forget its account, each part of it beside what was said already, as the reference does."""
        self._cookie.expire(cookies, {})
        self._cookie.sweep(cookies, sent)

    def _form(self, secret: str) -> Jwe:
        return Jwe(secret, "better-auth-account")
