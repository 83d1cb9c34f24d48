"""How often one address may do something: a bucket of tokens per address, in memory, bounded.

Per server process; several servers together allow that many times more, which is what such a limit is for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from yaosu.errors import YaosuError

ADDRESSES_MAX = 50_000


class RateLimit:
    """`burst` at once, then `per_minute`. IPv6 callers are counted by their /64, since they own all of it."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, address: str) -> None:
        """Refuse (`too_many_requests` with seconds) when nothing is left; takes nothing."""
        left, _ = self._state(_network(address))
        if left < 1:
            raise YaosuError("too_many_requests", {"seconds": int((1 - left) / self._rate) + 1})

    def take(self, address: str) -> None:
        """Refuse (`too_many_requests` with seconds) or take one."""
        self.check(address)
        self.count(address)

    def count(self, address: str) -> None:
        """Take one, even below nothing: for what turned out to be a failure afterwards."""
        key = _network(address)
        left, now = self._state(key)
        if len(self._buckets) >= ADDRESSES_MAX and key not in self._buckets:
            self._shrink()
        self._buckets[key] = (max(left - 1, -self._burst), now)

    def _state(self, key: str) -> tuple[float, float]:
        now = self._clock()
        left, since = self._buckets.get(key, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate), now

    def _shrink(self) -> None:
        """Full buckets say nothing; if all are in use the oldest half goes."""
        self._buckets = {k: v for k, v in self._buckets.items() if self._state(k)[0] < self._burst}
        for key in list(self._buckets)[: max(0, len(self._buckets) - ADDRESSES_MAX // 2)]:
            del self._buckets[key]


def _network(address: str) -> str:
    return ":".join(address.split(":")[:4]) if address.count(":") > 1 else address
