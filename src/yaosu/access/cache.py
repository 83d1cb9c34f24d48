"""Who a digest belongs to, remembered for seconds, so that a busy key costs no query per request.

Bounded in entries and in age. Revocation on this server is immediate: `forget` drops the entry and bars it
from coming back until a row read before the revocation's commit can no longer be put in. Other servers of
the same database notice after at most `TTL_S`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from yaosu.access.model import Identity

TTL_S = 10.0
ENTRIES_MAX = 20_000


@dataclass(slots=True)
class _Entry:
    identity: Identity | None
    until: float


class IdentityCache:
    """Digest of a secret → identity, or None for a secret known to be good for nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._barred: dict[tuple[str, int], float] = {}

    def get(self, digest: bytes) -> tuple[bool, Identity | None]:
        """Whether the digest is remembered, and as whom."""
        entry = self._entries.get(digest)
        if entry is None:
            return False, None
        if entry.until < self._clock():
            del self._entries[digest]
            return False, None
        return True, entry.identity

    def put(self, digest: bytes, identity: Identity | None) -> None:
        """Remember, unless the identity was forgotten a moment ago."""
        now = self._clock()
        if identity is not None and self._barred and any(k in self._barred for k in _marks(identity)):
            self._barred = {k: until for k, until in self._barred.items() if until > now}
            if any(k in self._barred for k in _marks(identity)):
                return
        if len(self._entries) >= ENTRIES_MAX:
            self._shrink(now)
        self._entries[digest] = _Entry(identity, now + TTL_S)

    def forget(self, kind: str, number: int) -> None:
        """Forget every identity of an "account", a "key", a "session" or an "org"."""
        mark = (kind, number)
        self._barred[mark] = self._clock() + TTL_S
        gone = [d for d, e in self._entries.items() if e.identity is not None and mark in _marks(e.identity)]
        for digest in gone:
            del self._entries[digest]

    def forgotten(self, kind: str, number: int) -> bool:
        """Whether it was forgotten so lately that what others remember of it may be older."""
        return self._barred.get((kind, number), 0.0) > self._clock()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._barred.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _shrink(self, now: float) -> None:
        self._entries = {d: e for d, e in self._entries.items() if e.until > now}
        # dicts keep insertion order, so the oldest half goes when age alone does not make room
        for digest in list(self._entries)[: max(0, len(self._entries) - ENTRIES_MAX // 2)]:
            del self._entries[digest]


def _marks(identity: Identity) -> list[tuple[str, int]]:
    subject = identity.subject
    pairs = (
        ("account", subject.account_id),
        ("account", identity.maker_id),
        ("key", identity.key_id),
        ("session", identity.session_id),
        ("org", subject.org_id),
    )
    return [(kind, number) for kind, number in pairs if number is not None]


identities = IdentityCache()
