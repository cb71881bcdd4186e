"""Passwords: policy, argon2id, the forms that other servers left, and the bound on parallel hashing."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

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


class _Argon2:
    """The standard form of argon2; ``verify`` answers ``None`` for what it cannot read."""

    name = "argon2"

    def __init__(self, hasher: PasswordHasher) -> None:
        self.hasher = hasher

    def hash(self, password: str) -> str:
        return self.hasher.hash(_normalised(password))

    def verify(self, stored: str, password: str) -> bool | None:
        try:
            return self.hasher.verify(stored, _normalised(password))
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, ValueError):
            return None

    def reads(self, stored: str) -> bool:
        return stored.startswith("$argon2")

    def is_current(self, stored: str) -> bool:
        return self.reads(stored) and not self.hasher.check_needs_rehash(stored)


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


class Passwords:
    """Hashes and verifies for one application.

    Args:
        config: policy, scheme and bound.
        relaxed: debug or testing; outside of them a hasher below the OWASP figures is refused.

    Raises:
        ConfigError: an unknown scheme, a weak hasher, or ``naming="camelCase"`` without a choice of scheme.
    """

    def __init__(self, config: AuthConfig, *, relaxed: bool) -> None:
        choice = config.password_hash
        if choice is None and config.naming == "camelCase":
            raise ConfigError(
                'naming="camelCase" needs a choice of password_hash: "scrypt" if a TypeScript server still uses the '
                'database, "argon2id" if not'
            )
        policy = config.email_and_password
        self._minimum, self._maximum = policy.min_password_length, policy.max_password_length
        self._readers = (_Argon2(_hasher(choice, relaxed)), _Scrypt())
        self._writer: _Argon2 | _Scrypt = self._readers[1 if choice == "scrypt" else 0]
        self._turns = threading.BoundedSemaphore(config.max_hashes or 2 * (os.cpu_count() or 1))

    def check_length(self, password: str) -> None:
        """Refuse what is too short or too long to be set.

        Raises:
            APIError: ``PASSWORD_TOO_SHORT`` or ``PASSWORD_TOO_LONG``.
        """
        if js_length(password) < self._minimum:
            raise APIError(CoreErrors.PASSWORD_TOO_SHORT)
        self.check_bound(password)

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


def _hasher(choice: object, relaxed: bool) -> PasswordHasher:
    if isinstance(choice, PasswordHasher):
        enough = any(choice.memory_cost >= memory and choice.time_cost >= time for memory, time in _OWASP)
        long = choice.salt_len >= 16 and choice.hash_len >= 16
        if not relaxed and not (enough and long and choice.type is Type.ID):
            raise ConfigError("password_hash is weaker than argon2id with 19456 KiB and two passes; this is no test")
        return choice
    if choice not in (None, "argon2id", "scrypt"):
        raise ConfigError(f'password_hash must be "argon2id", "scrypt" or an argon2.PasswordHasher, not {choice!r}')
    return PasswordHasher(memory_cost=_OWASP[0][0], time_cost=_OWASP[0][1], parallelism=1)
