"""Where requests are counted: the reference's window in memory, and what happens while another storage is away."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from logging import Logger
from typing import NamedTuple

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.strategies import RateLimiter
from limits.util import WindowStats

from . import clock
from .config import Limit
from .storage import Guarded

#: How many keys are counted in memory; the reference's figure.
_CAPACITY = 100_000
#: How long a storage that failed is left alone.
_PAUSE = timedelta(seconds=5)


def item_of(limit: Limit) -> RateLimitItem:
    """A limit as the strategies of ``limits`` know it."""
    return RateLimitItemPerSecond(limit.max, limit.per, "better_auth")


def milliseconds() -> int:
    """The current time since 1970."""
    return round(clock.now().timestamp() * 1000)


class RestartingWindow(RateLimiter):
    """The reference's window, as a strategy of ``limits``.

    It starts anew with every request that is let through; one that is refused changes nothing. Whoever has used it up
    must pause for the whole window (rate-limits.json, ``memory_and_database``).
    """

    def __init__(self) -> None:
        """There is no storage of ``limits``: deciding and counting are one step here."""

    @abstractmethod
    def read(self, key: str) -> tuple[int, int]:
        """How many requests were let through, and when the last one was, in milliseconds; zeros if none is known."""

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Whether ``hit`` would let the request through."""
        return self.get_window_stats(item, *identifiers).remaining >= cost

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """When the window ends, in seconds since 1970, and how many requests are left in it."""
        count, last = self.read("|".join(identifiers))
        end = last + item.get_expiry() * 1000
        return WindowStats(end / 1000, item.amount - (count if milliseconds() < end else 0))

    def wait(self, item: RateLimitItem, key: str) -> int:
        """The seconds until a request is let through again, rounded up."""
        return max(1, -(-(self.read(key)[1] + item.get_expiry() * 1000 - milliseconds()) // 1000))


class MemoryWindow(RestartingWindow):
    """Windows in the memory of this process: bounded, without a thread, and atomic."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._longest = 0

    def __len__(self) -> int:
        return len(self._entries)

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count a request; false if it is refused."""
        key, now, window = "|".join(identifiers), milliseconds(), item.get_expiry() * 1000
        with self._lock:
            count, last = self._entries.get(key, (0, 0))
            if now - last >= window:
                count = 0
            if count + cost > item.amount:
                return False
            self._entries[key] = (count + cost, now)
            self._entries.move_to_end(key)
            self._longest = max(self._longest, window)
            self._prune(now)
            return True

    def _prune(self, now: int) -> None:
        """Forget what is over, oldest first: two for each that comes, so that no request pays for many."""
        for _ in range(2):
            _, last = next(iter(self._entries.values()))
            if len(self._entries) <= _CAPACITY and now - last < self._longest:
                return
            self._entries.popitem(last=False)

    def read(self, key: str) -> tuple[int, int]:
        return self._entries.get(key, (0, 0))

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the requests of a key."""
        with self._lock:
            self._entries.pop("|".join(identifiers), None)


class StorageWindow(RateLimiter):
    """Fixed windows in the secondary storage, under the keys of the reference; refused requests count too."""

    def __init__(self, storage: Guarded) -> None:
        self._storage = storage

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Count a request; false if it is refused."""
        key, window = "|".join(identifiers), item.get_expiry()
        return self._storage.ask(lambda storage: storage.increment(key, window), insist=True) <= item.amount

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Whether ``hit`` would let the request through."""
        return self.get_window_stats(item, *identifiers).remaining >= cost

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """When a window that begins now ends, and how many requests are left in the present one."""
        key = "|".join(identifiers)
        count = int(self._storage.ask(lambda storage: storage.get(key), insist=True) or 0)
        return WindowStats(milliseconds() / 1000 + item.get_expiry(), max(0, item.amount - count))

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Forget the requests of a key."""
        key = "|".join(identifiers)
        self._storage.ask(lambda storage: storage.delete(key), insist=True)


class Refusal(NamedTuple):
    """Why a request is not let through.

    Args:
        wait: the seconds until it makes sense to try again.
        local: the storage is away, and this process has counted by itself.
    """

    wait: int
    local: bool


class Counters:
    """Counts by a strategy of ``limits``, and in memory while its storage is away: bounded, and never open.

    Args:
        strategy: finds the strategy, which may be there only later.
        logger: is told once when the storage goes, and once when it is back.
    """

    def __init__(self, strategy: Callable[[], RateLimiter], logger: Logger) -> None:
        self._strategy, self._logger = strategy, logger
        self._local = MemoryWindow()
        self._next_try: datetime | None = None  # while the storage is away
        self._lock = threading.Lock()

    def take(self, item: RateLimitItem, key: str) -> Refusal | None:
        """Count a request of ``key``; nothing, if it is let through."""
        was_away = self._next_try is not None
        if self._tries():
            try:
                strategy = self._strategy()
                refusal = None if strategy.hit(item, key) else Refusal(_wait(strategy, item, key), local=False)
            except Exception:  # whatever the storage is, its failure must neither stop nor open the door
                self._went_away()
            else:
                if was_away:
                    self._is_back()
                return refusal
        return None if self._local.hit(item, key) else Refusal(self._local.wait(item, key), local=True)

    def forget(self, item: RateLimitItem, key: str) -> None:
        """Count the requests of ``key`` from zero."""
        self._local.clear(item, key)
        if self._tries():
            try:
                self._strategy().clear(item, key)
            except Exception:
                self._went_away()

    def _tries(self) -> bool:
        """Whether to ask the storage: while it is away, one request in a while does."""
        if self._next_try is None:
            return True
        with self._lock:
            now = clock.now()
            if self._next_try is not None and now < self._next_try:
                return False
            self._next_try = now + _PAUSE
            return True

    def _went_away(self) -> None:
        with self._lock:
            was_there, self._next_try = self._next_try is None, clock.now() + _PAUSE
        if was_there:
            self._logger.exception("better-auth: the storage of the rate limits is away, this process counts by itself")

    def _is_back(self) -> None:
        with self._lock:
            was_there, self._next_try = self._next_try is None, None
        if not was_there:
            self._logger.warning("better-auth: the storage of the rate limits is back")


def _wait(strategy: RateLimiter, item: RateLimitItem, key: str) -> int:
    # the reference answers the window where it is a fixed one
    return strategy.wait(item, key) if isinstance(strategy, RestartingWindow) else item.get_expiry()
