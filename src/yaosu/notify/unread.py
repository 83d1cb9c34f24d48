"""How many unread messages the bar on top shows, without a query per page.

Pages ask memory. Organisations that were asked for in the last minutes are counted together, one statement every few
seconds; a page that meets an unknown organisation lets the browser ask once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from yaosu.db.engine import Connection, Pool
from yaosu.notify import store

EVERY_S = 3.0
WANTED_S = 300.0
"""An organisation nobody looked at for this long is no longer counted."""
ORGS_MAX = 5000
"""Organisations kept counted; the others' pages ask for themselves."""

log = structlog.get_logger("yaosu.notify")


class Unread:
    """Counts by organisation, 100 meaning "more than 99". One per server process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[int, int] = {}
        self._asked: dict[int, float] = {}
        self._fresh: set[int] = set()
        """Put since the last count for everybody began: later than what that one read."""

    def of(self, org: int) -> int | None:
        """The count, or None while it is unknown."""
        if org in self._asked or len(self._asked) < ORGS_MAX:
            self._asked[org] = self._clock()
        return self._counts.get(org)

    def put(self, org: int, count: int) -> None:
        """What a query just said."""
        if org in self._asked:
            self._counts[org] = count
            self._fresh.add(org)

    async def refresh(self, conn: Connection) -> None:
        """Count for everybody who was asked for lately."""
        now = self._clock()
        for org in [o for o, at in self._asked.items() if at < now - WANTED_S]:
            del self._asked[org]
            self._counts.pop(org, None)
        if self._asked:
            self._fresh.clear()
            for row in await conn.fetch(store.UNREAD, list(self._asked)):
                if row["org"] in self._asked and row["org"] not in self._fresh:
                    self._counts[row["org"]] = row["unread"]

    async def run(self, pool: Pool) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                if self._asked:
                    async with pool.acquire() as conn:
                        await self.refresh(conn)
            except Exception as error:
                log.warning("unread_failed", error=type(error).__name__)
