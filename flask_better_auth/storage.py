"""Secondary storage: what it must be able to do, in the memory of one process and in Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlsplit

from . import clock
from .errors import ConfigError

if TYPE_CHECKING:
    import redis

T = TypeVar("T")


class StorageUnavailable(Exception):
    """The storage does not answer, or not in time."""


@runtime_checkable
class SecondaryStorage(Protocol):
    """A store of texts by key (reference option ``secondaryStorage``). Each call is atomic, from whichever process.

    Lifetimes are in whole seconds. They only clean up: what a text says of its own end is what counts. A call that
    cannot be done raises, whatever it likes.
    """

    def get(self, key: str) -> str | None:
        """The text of a key."""

    def set(self, key: str, value: str, ttl: int | None = None) -> None:
        """Store a text, for ever or for so long."""

    def delete(self, key: str) -> None:
        """Forget a key."""

    def get_and_delete(self, key: str) -> str | None:
        """The text of a key, which is forgotten: of many who ask at once, one gets it."""

    def swap(self, key: str, expected: str | None, value: str, ttl: int) -> bool:
        """Store a text in place of ``expected``, or of nothing; false, if that is not what is there."""

    def increment(self, key: str, ttl: int) -> int:
        """Add one to a number, which starts at zero and is forgotten ``ttl`` after its start; the sum."""


class MemoryStorage:
    """In the memory of this process: for one process, and for tests."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, datetime | None]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """The text of a key."""
        with self._lock:
            return self._get(key)

    def set(self, key: str, value: str, ttl: int | None = None) -> None:
        """Store a text, for ever or for so long."""
        with self._lock:
            self._set(key, value, ttl)

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._texts.pop(key, None)

    def get_and_delete(self, key: str) -> str | None:
        """The text of a key, which is forgotten."""
        with self._lock:
            value = self._get(key)
            self._texts.pop(key, None)
            return value

    def swap(self, key: str, expected: str | None, value: str, ttl: int) -> bool:
        """Store a text in place of ``expected``, or of nothing; false, if that is not what is there."""
        with self._lock:
            if self._get(key) != expected:
                return False
            self._set(key, value, ttl)
            return True

    def increment(self, key: str, ttl: int) -> int:
        """Add one to a number that is forgotten ``ttl`` after its start; the sum."""
        with self._lock:
            value = self._get(key)
            if value is None:
                self._set(key, "1", ttl)
                return 1
            count = int(value) + 1
            self._texts[key] = (str(count), self._texts[key][1])
            return count

    def _get(self, key: str) -> str | None:
        value, end = self._texts.get(key, (None, None))
        return None if end is not None and end <= clock.now() else value

    def _set(self, key: str, value: str, ttl: int | None) -> None:
        now = clock.now()
        self._texts.pop(key, None)  # so that the oldest come first
        self._texts[key] = (value, None if ttl is None else now + timedelta(seconds=ttl))
        for old in list(islice(self._texts, 2)):  # two for each that comes, so that no request pays for many
            end = self._texts[old][1]
            if end is not None and end <= now:
                del self._texts[old]


class RedisStorage:
    """In Redis, for any number of processes and machines. Needs the extra ``redis``.

    Args:
        client: a ``redis.Redis``, or a URI such as ``redis://localhost:6379/0``. A URI gets time-outs of a second: a
            Redis that hangs must not hold requests up. Nothing is connected before it is used.
        prefix: put in front of every key, where the Redis is shared with others.

    Raises:
        ConfigError: the package ``redis`` is missing.
    """

    #: Compares and stores in one step (``SET`` has no such condition).
    _SWAP = """
        if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call("SET", KEYS[1], ARGV[2], "EX", ARGV[3])
        return 1
    """
    #: The life of a number begins with it; one that lost its end, by whatever means, gets it back.
    _INCREMENT = """
        local count = redis.call("INCR", KEYS[1])
        if count == 1 or redis.call("TTL", KEYS[1]) < 0 then redis.call("EXPIRE", KEYS[1], ARGV[1]) end
        return count
    """

    def __init__(self, client: redis.Redis | str, prefix: str = "") -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise ConfigError("a RedisStorage needs redis: pip install 'flask-better-auth[redis]'") from error
        if isinstance(client, str):
            client = redis.Redis.from_url(
                client,
                socket_timeout=1,
                socket_connect_timeout=1,
                decode_responses=True,
                # a connection that the server closed while idle is replaced, once
                retry=Retry(NoBackoff(), 1),
                max_connections=2**31,  # no request shall fail for want of a connection
            )
        self._client: Any = client
        self._prefix = prefix
        self._swap: Any = client.register_script(self._SWAP)
        self._increment: Any = client.register_script(self._INCREMENT)

    def get(self, key: str) -> str | None:
        """The text of a key."""
        return _text(self._client.get(self._prefix + key))

    def set(self, key: str, value: str, ttl: int | None = None) -> None:
        """Store a text, for ever or for so long."""
        self._client.set(self._prefix + key, value, ex=ttl)

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._client.delete(self._prefix + key)

    def get_and_delete(self, key: str) -> str | None:
        """The text of a key, which is forgotten (``GETDEL``, Redis 6.2)."""
        return _text(self._client.getdel(self._prefix + key))

    def swap(self, key: str, expected: str | None, value: str, ttl: int) -> bool:
        """Store a text in place of ``expected``, or of nothing; false, if that is not what is there."""
        if expected is None:
            return bool(self._client.set(self._prefix + key, value, ex=ttl, nx=True))
        return bool(self._swap(keys=[self._prefix + key], args=[expected, value, ttl]))

    def increment(self, key: str, ttl: int) -> int:
        """Add one to a number that is forgotten ``ttl`` after its start; the sum."""
        return int(self._increment(keys=[self._prefix + key], args=[ttl]))


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


class Guarded:
    """A storage whose failures are all ``StorageUnavailable``, and that is left alone for a while after one.

    Args:
        storage: the storage.
        warn: is told of the first failure, and of its end.
    """

    #: How long reads leave a storage alone that has failed.
    _PAUSE = timedelta(seconds=5)

    def __init__(self, storage: SecondaryStorage, warn: Callable[[str, bool], object]) -> None:
        self._storage, self._warn = storage, warn
        self._next_try: datetime | None = None

    def ask(self, act: Callable[[SecondaryStorage], T], *, insist: bool = False) -> T:
        """What ``act`` does with the storage.

        Args:
            act: the calls.
            insist: try it though the storage has just failed, because nothing else will do.

        Raises:
            StorageUnavailable: it failed, or has just failed.
        """
        pause = self._next_try
        if pause is not None and not insist:
            if clock.now() < pause:
                raise StorageUnavailable
            self._next_try = clock.now() + self._PAUSE  # one finds out, the others go on without it
        try:
            result = act(self._storage)
        except Exception as error:
            first, self._next_try = self._next_try is None, clock.now() + self._PAUSE
            if first:
                self._warn("better-auth: the secondary storage is away", True)
            raise StorageUnavailable from error
        if pause is not None:
            self._next_try = None
            self._warn("better-auth: the secondary storage is back", False)
        return result


def build(setting: object) -> SecondaryStorage | None:
    """The storage that ``secondary_storage`` names.

    Raises:
        ConfigError: it names none.
    """
    if setting is None or setting == "":
        return None
    if setting == "memory":
        return MemoryStorage()
    if isinstance(setting, str) and urlsplit(setting).scheme in ("redis", "rediss", "unix"):
        return RedisStorage(setting)
    if isinstance(setting, SecondaryStorage):
        return setting
    raise ConfigError(
        "BETTER_AUTH_SECONDARY_STORAGE must be 'memory', a URI such as redis://localhost:6379/0, or an object with the "
        "methods of flask_better_auth.SecondaryStorage"
    )
