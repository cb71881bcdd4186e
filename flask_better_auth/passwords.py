"""Passwords: policy, argon2id, the forms that other servers left, and the bound on parallel hashing."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError

from . import hashes
from .config import AuthConfig
from .errors import APIError, ConfigError, CoreErrors
from .wire import js_length

#: OWASP Password Storage Cheat Sheet, argon2id: KiB of memory and passes over it; the first pair is our default.
_OWASP = ((19456, 2), (47104, 1), (12288, 3))
#: How long a request waits for its turn to hash; beyond it the process has more work than it can ever do.
_PATIENCE = 20.0


def _normalised(password: str) -> bytes:
    """NFKC, at setting and at verifying alike: the same keys on another keyboard type the same password."""
    return unicodedata.normalize("NFKC", password).encode()


class _Others:
    """The forms of other libraries, which hash what was typed as it is; ``verify`` is ``None`` for the illegible."""

    name = "other libraries hash them"

    def __init__(self, flask_security_salt: str) -> None:
        self._salt = flask_security_salt

    def verify(self, stored: str, password: str) -> bool | None:
        verdicts = [hashes.verify(stored, typed) for typed in self.typed(password)]
        return None if verdicts[0] is None else any(verdicts)

    def reads(self, stored: str) -> bool:
        return hashes.is_known(stored)

    def typed(self, password: str) -> list[bytes]:
        """What may have been hashed in place of a password."""
        return [password.encode(), *([hashes.flask_security(password, self._salt)] if self._salt else ())]


class _Argon2:
    """The standard form of argon2; ``verify`` answers ``None`` for what it cannot read."""

    name = "argon2"

    def __init__(self, hasher: PasswordHasher, others: _Others) -> None:
        self.hasher, self._others = hasher, others

    def hash(self, password: str) -> str:
        return self.hasher.hash(_normalised(password))

    def verify(self, stored: str, password: str) -> bool | None:
        typed = [_normalised(password)]
        if not self.is_current(stored):  # another library may have made it
            typed += [other for other in self._others.typed(password) if other not in typed]
        verdicts = [hashes.argon2(each, stored) for each in typed]
        return None if verdicts[0] is None else any(verdicts)

    def reads(self, stored: str) -> bool:
        return stored.startswith("$argon2")

    def is_current(self, stored: str) -> bool:
        try:
            return self.reads(stored) and not self.hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return False


class _Scrypt:
    """The reference's own form: 32 hex digits of salt, a colon, 128 hex digits of key."""

    name = "scrypt"

    def hash(self, password: str) -> str:
        salt = secrets.token_hex(16)
        return f"{salt}:{self._key(salt, password).hex()}"

    def verify(self, stored: str, password: str) -> bool | None:
        salt, _, key = stored.partition(":")
        return hmac.compare_digest(self._key(salt, password).hex(), key)

    def reads(self, stored: str) -> bool:
        salt, colon, key = stored.partition(":")
        return bool(colon) and len(salt) == 32 and len(key) == 128 and (salt + key).isascii() and (salt + key).isalnum()

    def is_current(self, stored: str) -> bool:
        return self.reads(stored)

    def _key(self, salt: str, password: str) -> bytes:
        # the salt is the text of the hex digits, not the bytes they stand for
        return hashlib.scrypt(
            _normalised(password), salt=salt.encode(), n=16384, r=16, p=1, dklen=64, maxmem=64 * 1024 * 1024
        )


class _Custom:
    """Functions of the application, which know their own forms, all of them."""

    name = "the application's functions hash them"

    def __init__(self, hash: Callable[[str], str], verify: Callable[[str, str], object]) -> None:
        self.hash, self._verify = hash, verify

    def verify(self, stored: str, password: str) -> bool | None:
        try:
            return bool(self._verify(stored, password))
        except ValueError:  # what the functions cannot read
            return None

    def reads(self, stored: str) -> bool:
        return True

    def is_current(self, stored: str) -> bool:
        return True


class Passwords:
    """Hashes and verifies for one application.

    Args:
        config: policy, scheme and bound.
        relaxed: debug or testing; outside of them a hasher below the OWASP figures is refused.
        on_failure: told what ``is_compromised`` failed with.

    Raises:
        ConfigError: an unknown scheme, a weak hasher, or ``naming="camelCase"`` without a choice of scheme.
    """

    def __init__(
        self, config: AuthConfig, *, relaxed: bool, on_failure: Callable[[Exception], object] | None = None
    ) -> None:
        choice = config.password_hash
        if choice is None and config.naming == "camelCase":
            raise ConfigError(
                'naming="camelCase" needs a choice of password_hash: "scrypt" if a TypeScript server still uses the '
                'database, "argon2id" if not'
            )
        policy = config.email_and_password
        self._minimum, self._maximum = policy.min_password_length, policy.max_password_length
        self._common = _common_passwords() if policy.refuse_common_passwords else frozenset[str]()
        self._is_compromised, self._on_failure = policy.is_compromised, on_failure
        others = _Others(config.flask_security_salt)
        self._readers: tuple[_Argon2 | _Scrypt | _Others | _Custom, ...]
        self._writer: _Argon2 | _Scrypt | _Custom
        custom = _custom(choice)
        if custom is not None:
            self._writer, self._readers = custom, (custom,)
        else:
            argon2, scrypt = _Argon2(_hasher(choice, relaxed), others), _Scrypt()
            self._writer, self._readers = scrypt if choice == "scrypt" else argon2, (argon2, scrypt, others)
        self._turns = threading.BoundedSemaphore(config.max_hashes or 2 * (os.cpu_count() or 1))

    def check_length(self, password: str) -> None:
        """Refuse what must not be set: what is too short, too long, or known to whoever guesses (SECURITY F6).

        Outside of every unit: the application may ask somebody else.

        Raises:
            APIError: ``PASSWORD_TOO_SHORT``, ``PASSWORD_TOO_LONG`` or ``PASSWORD_COMPROMISED``.
        """
        if js_length(password) < self._minimum:
            raise APIError(CoreErrors.PASSWORD_TOO_SHORT)
        self.check_bound(password)
        if _normalised(password).decode().lower() in self._common or self._is_known_to_others(password):
            raise APIError(CoreErrors.PASSWORD_COMPROMISED)

    def _is_known_to_others(self, password: str) -> bool:
        try:
            return self._is_compromised is not None and bool(self._is_compromised(password))
        except Exception as error:  # nobody must be locked out because a service is away
            if self._on_failure is not None:
                self._on_failure(error)
            return False

    def check_bound(self, password: str) -> None:
        """Refuse what is too long to be anyone's password, before a hash is spent on it.

        Raises:
            APIError: ``PASSWORD_TOO_LONG``.
        """
        if js_length(password) > self._maximum:
            raise APIError(CoreErrors.PASSWORD_TOO_LONG)

    def hash(self, password: str) -> str:
        """The form to store."""
        with self._turn():
            return self._writer.hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` is the one that ``stored`` was made of.

        Nothing stored, or nothing legible, costs the same hash as a wrong password: an answer's time does not tell
        which accounts exist (SECURITY E1, E8).
        """
        reader = next((r for r in self._readers if r.reads(stored)), None) if stored else None
        with self._turn():
            verdict = reader.verify(stored, password) if reader is not None and stored else None
            if verdict is None:
                self._writer.hash(password)
            return bool(verdict)

    def is_current(self, stored: str) -> bool:
        """Whether ``stored`` is in the form and of the strength that ``hash`` makes now."""
        return self._writer.is_current(stored)

    def form(self, stored: str) -> str | None:
        """What the form of ``stored`` is called; nothing, if nobody here can read it."""
        return next((reader.name for reader in self._readers if reader.reads(stored)), None)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Bounds the memory: each argon2id hash takes 19 MiB, whatever the number of requests (SECURITY F8)."""
        if not self._turns.acquire(timeout=_PATIENCE):
            raise APIError(CoreErrors.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"})
        try:
            yield
        finally:
            self._turns.release()


def _custom(choice: Any) -> _Custom | None:
    if isinstance(choice, Mapping):
        hash, verify = choice.get("hash"), choice.get("verify")
    elif isinstance(choice, (str, PasswordHasher)) or not hasattr(choice, "hash"):
        return None
    else:
        hash, verify = choice.hash, getattr(choice, "verify", None)
    if not callable(hash) or not callable(verify):
        raise ConfigError(f"password_hash must have the functions hash and verify, not {choice!r}")
    return _Custom(hash, verify)


def _common_passwords() -> frozenset[str]:
    try:
        from zxcvbn.frequency_lists import FREQUENCY_LISTS
    except ImportError:
        raise ConfigError(
            "refuse_common_passwords needs the extra: pip install flask-better-auth[common-passwords]"
        ) from None
    return frozenset(FREQUENCY_LISTS["passwords"])


def _hasher(choice: object, relaxed: bool) -> PasswordHasher:
    if isinstance(choice, PasswordHasher):
        enough = any(choice.memory_cost >= memory and choice.time_cost >= time for memory, time in _OWASP)
        long = choice.salt_len >= 16 and choice.hash_len >= 16
        if not relaxed and not (enough and long and choice.type is Type.ID):
            raise ConfigError("password_hash is weaker than argon2id with 19456 KiB and two passes; this is no test")
        return choice
    if choice not in (None, "argon2id", "scrypt"):
        raise ConfigError(
            f'password_hash must be "argon2id", "scrypt", an argon2.PasswordHasher, or an object with the functions '
            f"hash and verify, not {choice!r}"
        )
    return PasswordHasher(memory_cost=_OWASP[0][0], time_cost=_OWASP[0][1], parallelism=1)
