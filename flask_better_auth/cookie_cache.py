"""The cookie cache: a signed or encrypted copy of session and user, which shows who is signed in without a read."""

from __future__ import annotations

import hmac
import json
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from . import clock, crypto, wire
from .config import AuthConfig
from .cookies import Cookie, CookieJar, SetCookies
from .wire import wire_name

#: What a whole ``Set-Cookie`` line may measure, in characters: browsers drop what is longer than 4096.
_LONGEST, _MOST_CHUNKS = 4050, 100
#: How long a copy counts whose cookie has no life of its own; the reference's figure for each form.
_BRIEF = {"compact": timedelta(seconds=60), "jwt": timedelta(seconds=300), "jwe": timedelta(seconds=300)}
_EXPIRES_AT, _UPDATED_AT = wire_name("expires_at"), wire_name("updated_at")


class Copy(NamedTuple):
    """A copy of session and user, as a cookie held it.

    Args:
        session, user: what may leave the server of the rows: under wire names, as the cookie held them.
        expires_at: when the copy is over.
    """

    session: Mapping[str, Any]
    user: Mapping[str, Any]
    expires_at: datetime


class ChunkedCookie:
    """A cookie that is cut into several where a browser would drop it as one.

    Args:
        cookie: name and attributes.
        warn: is told of a value that is too large for any number of them.
    """

    def __init__(self, cookie: Cookie, warn: Callable[[str], object]) -> None:
        self.cookie, self._warn = cookie, warn
        self._chunk = re.compile(rf"{re.escape(cookie.name)}\.(0|[1-9]\d?)")

    def names(self, sent: Mapping[str, str]) -> list[str]:
        """The parts that the browser has sent."""
        return [name for name in sent if name == self.cookie.name or self._chunk.fullmatch(name)]

    def value(self, sent: Mapping[str, str]) -> str:
        """What the browser has sent, put together; empty, if a part is missing."""
        if self.cookie.name in sent:
            return sent[self.cookie.name]
        chunks = {int(found[1]): sent[name] for name in sent if (found := self._chunk.fullmatch(name))}
        return "".join(chunks.get(number, "\0") for number in range(len(chunks)))  # in order, none missing

    def set(self, cookies: SetCookies, sent: Mapping[str, str], value: str, life: timedelta | None) -> None:
        """Hand the browser a value; parts of another one that it keeps would be taken for parts of this one."""
        parts = self._parts(value, life)
        names = {cookie.name for cookie, _ in parts}
        for name in self.names(sent):
            if name not in names:
                cookies.expire(Cookie(name, self.cookie.attributes))
            elif name != self.cookie.name:
                cookies.unset(name)
        for cookie, part in parts:
            cookies.set(cookie, part, max_age=life)

    def expire(self, cookies: SetCookies, sent: Mapping[str, str]) -> None:
        """Make the browser forget the value, in however many parts it has it."""
        for name in {self.cookie.name: None, **dict.fromkeys(self.names(sent))}:
            cookies.expire(Cookie(name, self.cookie.attributes))

    def sweep(self, cookies: SetCookies, sent: Mapping[str, str]) -> None:
        """Make the browser forget each part that it sent; beside what was said already, as the reference does it."""
        for name in self.names(sent):
            cookies.set(Cookie(name, self.cookie.attributes), "", max_age=timedelta(0))

    def _parts(self, value: str, life: timedelta | None) -> list[tuple[Cookie, str]]:
        """The cookies that hold ``value``: one, or chunks of it; none, where it is beyond all measure."""
        if len(self.cookie.line(value, life)) <= _LONGEST:
            return [(self.cookie, value)]

        def chunk(number: int) -> Cookie:
            return Cookie(f"{self.cookie.name}.{number}", self.cookie.attributes)

        size = _LONGEST - len(chunk(99).line("", life))
        parts = [value[start : start + size] for start in range(0, len(value), size)]
        if len(parts) > _MOST_CHUNKS:
            self._warn(f"better-auth: what belongs into the cookie {self.cookie.name} is too large for cookies")
            return []
        return [(chunk(number), part) for number, part in enumerate(parts)]


class CookieCache:
    """Writes and reads the copies of one application.

    Args:
        config: ``session.cookie_cache``.
        jar: the cookies' names and attributes, and whose copies count.
        warn: is told of a copy that is too large for the browser.
    """

    def __init__(self, config: AuthConfig, jar: CookieJar, warn: Callable[[str], object]) -> None:
        options = config.session.cookie_cache
        self.enabled, self._is_all = options.enabled, config.session.stateless
        self._cookie, self._version = ChunkedCookie(jar.session_data, warn), options.version
        self._brief = _BRIEF[options.strategy]
        forms: dict[str, Callable[[str], _Form]] = {"compact": _Compact, "jwt": _Jwt, "jwe": Jwe}
        self._forms = [forms[options.strategy](secret) for secret in jar.secrets.trusted]
        update_age = options.max_age / 5 if options.refresh_cache is True else options.refresh_cache
        self._update_age = update_age or timedelta(0)

    def is_sent(self, sent: Mapping[str, str]) -> bool:
        """Whether the browser has sent something in place of a copy, whatever it is."""
        return bool(self._cookie.names(sent))

    def write(
        self,
        cookies: SetCookies,
        sent: Mapping[str, str],
        session: Mapping[str, Any],
        user: Mapping[str, Any],
        *,
        remember: bool,
    ) -> None:
        """Hand the browser a copy.

        Args:
            cookies: of the answer.
            sent: what the browser has now: chunks that it keeps would be taken for parts of the new copy.
            session, user: what may leave the server of the rows, under Python names.
            remember: false for a cookie that goes with the browser.
        """
        life = self._cookie.cookie.attributes.max_age if remember else None
        payload = {
            "session": _wired(session),
            "user": _wired(user),
            _UPDATED_AT: _milliseconds(clock.now()),
            "version": self._version_of(session, user),
        }
        value = self._forms[0].write(payload, self._end(session, life))
        self._cookie.set(cookies, sent, value, life)

    def _end(self, session: Mapping[str, Any], life: timedelta | None) -> datetime:
        """When a copy is over: where it is all there is, not before the session."""
        if life is not None:
            return clock.now() + life
        end: datetime = session["expires_at"]
        return end if self._is_all else clock.now() + self._brief

    def read(self, sent: Mapping[str, str], token: str) -> Copy | None:
        """The copy that the browser sent with the session of ``token``; nothing, if there is none that counts.

        One that was tampered with, that is over, of another version, of another session, or of a session that is over
        does not count (SECURITY G6).
        """
        value = self._cookie.value(sent)
        if not value:
            return None
        now = clock.now()
        try:
            payload, expires_at = self._read(value)
            session, user = payload["session"], payload["user"]
            counts = (
                now < expires_at
                and session["token"] == token
                and session[wire_name("user_id")] == user["id"]
                and now < wire.moment(session[_EXPIRES_AT])
                and payload["version"] == self._version_of(session, user)
                and type(payload[_UPDATED_AT]) is int
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return Copy(session, user, expires_at) if counts else None

    def _read(self, value: str) -> tuple[dict[str, Any], datetime]:
        for form in self._forms[:-1]:
            with suppress(ValueError):
                return form.read(value)
        return self._forms[-1].read(value)

    def is_due(self, copy: Copy) -> bool:
        """Whether a copy that is all there is should be renewed before it is over (``cookie_cache.refresh_cache``)."""
        return self._is_all and copy.expires_at - clock.now() < self._update_age

    def expire(self, cookies: SetCookies, sent: Mapping[str, str]) -> None:
        """Make the browser forget its copy."""
        self._cookie.expire(cookies, sent)

    def sweep(self, cookies: SetCookies, sent: Mapping[str, str]) -> None:
        """Make the browser forget each part of a copy that it sent."""
        self._cookie.sweep(cookies, sent)

    def _version_of(self, session: Mapping[str, Any], user: Mapping[str, Any]) -> str:
        return self._version(session, user) if callable(self._version) else self._version


def _wired(row: Mapping[str, Any]) -> dict[str, Any]:
    return {wire_name(name): value for name, value in row.items()}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


class _Form(ABC):
    """How a payload is written so that nobody else can."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @abstractmethod
    def write(self, payload: dict[str, Any], expires_at: datetime) -> str:
        """The value of the cookie."""

    @abstractmethod
    def read(self, value: str) -> tuple[dict[str, Any], datetime]:
        """The payload, and when it is over.

        Raises:
            ValueError: we, or whoever shares the secret, have not written it.
        """


class _Compact(_Form):
    """The reference's own form: JSON with an HMAC-SHA-256 inside, in base64url (cookies.json, ``compact``)."""

    _tail = re.compile(rf',"{_EXPIRES_AT}":(\d{{1,15}}),"signature":"([\w-]{{43}})"\}}', re.ASCII)
    _head = '{"session":'

    def write(self, payload: dict[str, Any], expires_at: datetime) -> str:
        text, end = wire.dumps(payload).decode(), _milliseconds(expires_at)
        signature = self._signature(text, end)
        return crypto.base64url(f'{self._head}{text},"{_EXPIRES_AT}":{end},"signature":"{signature}"}}'.encode())

    def read(self, value: str) -> tuple[dict[str, Any], datetime]:
        # what is signed stands in it letter by letter: nothing is parsed before it is known to be ours
        text = crypto.from_base64url(value).decode()
        tail = self._tail.search(text, max(0, len(text) - 120))
        if tail is None or tail.end() != len(text) or not text.startswith(self._head):
            raise ValueError("no copy of ours")
        signed, end = text[len(self._head) : tail.start()], int(tail[1])
        if not hmac.compare_digest(self._signature(signed, end), tail[2]):
            raise ValueError("not signed by us")
        return json.loads(signed), datetime.fromtimestamp(end / 1000, timezone.utc)

    def _signature(self, text: str, end: int) -> str:
        mac = hmac.digest(self._secret.encode(), f'{text[:-1]},"{_EXPIRES_AT}":{end}}}'.encode(), "sha256")
        return crypto.base64url(mac)


class _Jose(_Form):
    """What JWT and JWE have in common: the times, as claims."""

    def _claims(self, payload: dict[str, Any], expires_at: datetime, **more: str) -> bytes:
        times = {"iat": int(clock.now().timestamp()), "exp": int(expires_at.timestamp())}
        return wire.dumps({**payload, **times, **more})

    def _payload(self, claims: bytes | None) -> tuple[dict[str, Any], datetime]:
        payload = json.loads(claims or b"")
        return payload, datetime.fromtimestamp(int(payload["exp"]), timezone.utc)


class _Jwt(_Jose):
    """A JWT with HS256 (RFC 7519), signed with the bare secret."""

    def __init__(self, secret: str) -> None:
        from joserfc import jws
        from joserfc.jwk import OctKey

        self._jws, self._key = jws, OctKey.import_key(secret.encode())

    def write(self, payload: dict[str, Any], expires_at: datetime) -> str:
        claims = self._claims(payload, expires_at)
        return self._jws.serialize_compact({"alg": "HS256"}, claims, self._key, algorithms=["HS256"])

    def read(self, value: str) -> tuple[dict[str, Any], datetime]:
        from joserfc.errors import JoseError

        try:
            return self._payload(self._jws.deserialize_compact(value, self._key, algorithms=["HS256"]).payload)
        except JoseError as error:
            raise ValueError(str(error)) from error


class Jwe(_Jose):
    """An encrypted JWT (RFC 7516, ``dir`` with ``A256CBC-HS512``), by a key derived from the secret for one purpose."""

    def __init__(self, secret: str, salt: str = "better-auth-session") -> None:
        from joserfc import jwe
        from joserfc.jwk import OctKey

        derived = crypto.derive_key(secret, salt=salt, info="BetterAuth.js Generated Encryption Key", length=64)
        self._jwe, self._key = jwe, OctKey.import_key(derived)
        self._kid = self._key.thumbprint()

    def write(self, payload: dict[str, Any], expires_at: datetime) -> str:
        header = {"alg": "dir", "enc": "A256CBC-HS512", "kid": self._kid}
        claims = self._claims(payload, expires_at, jti=str(uuid.uuid4()))
        return self._jwe.encrypt_compact(header, claims, self._key, algorithms=["dir", "A256CBC-HS512"])

    def read(self, value: str) -> tuple[dict[str, Any], datetime]:
        from joserfc.errors import JoseError

        try:
            decrypted = self._jwe.decrypt_compact(value, self._key, algorithms=["dir", "A256CBC-HS512"])
            return self._payload(decrypted.plaintext)
        except JoseError as error:
            raise ValueError(str(error)) from error
