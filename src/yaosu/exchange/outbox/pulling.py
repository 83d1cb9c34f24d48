"""Fetching what counterparts have for us: each connection on its channel's schedule, by one process at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog

from yaosu.db.engine import Pool
from yaosu.db.trouble import away
from yaosu.exchange.outbox import connections, store, store_route
from yaosu.exchange.outbox.model import Channel
from yaosu.people.keeper import Keeper

log = structlog.get_logger("yaosu.exchange")

LOOK_S = 1.0
PULL_MAX_S = 300.0


class Puller:
    """One per server process; the place in their stream and the time of the next call are shared."""

    def __init__(self, pool: Pool, keeper: Keeper, channels: Mapping[str, Channel]) -> None:
        self._pool = pool
        self._keeper = keeper
        self._channels = channels
        self._next: dict[int, float] = {}

    async def run(self) -> None:
        """Until cancelled. Connections are pulled side by side, so that a slow one holds up nobody."""
        running: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                try:
                    for link_id, channel in await self._due():
                        if link_id not in running or running[link_id].done():
                            running[link_id] = asyncio.create_task(self._pull(link_id, channel))
                except Exception as error:
                    log.warning("pull_failed", error=type(error).__name__)
                await asyncio.sleep(LOOK_S)
        finally:
            for task in running.values():
                task.cancel()

    async def once(self) -> int:
        """Pull what is due now, one after the other; how many connections."""
        due = await self._due()
        for link_id, channel in due:
            await self._pull(link_id, channel)
        return len(due)

    async def _due(self) -> list[tuple[int, Channel]]:
        found = []
        now = time.monotonic()
        for channel in self._channels.values():
            if channel.pull is None:
                continue
            async with self._pool.acquire() as conn:
                rows = await conn.fetch(store.PULLED, channel.name, channel.pull_every_s)
            for row in rows:
                if self._next.get(row["id"], 0.0) <= now:
                    found.append((row["id"], channel))
        return found

    async def _pull(self, link_id: int, channel: Channel) -> None:
        assert channel.pull is not None
        self._next[link_id] = time.monotonic() + min(channel.pull_every_s, 5)
        try:
            async with self._pool.acquire() as conn:
                # the lock is this session's: a process that dies lets it go
                if not await conn.fetchval(store_route.PULL_LOCK, link_id):
                    return
                try:
                    cursor = await conn.fetchval(store.CURSOR_DUE, link_id, channel.pull_every_s)
                    if cursor is None:
                        return
                    link = await connections.open_link(conn, self._keeper, link_id)
                    async with asyncio.timeout(PULL_MAX_S):
                        fresh = await channel.pull(link, cursor)
                    await conn.execute(store.SAVE_CURSOR, link_id, dict(fresh), "")
                finally:
                    await conn.execute(store_route.PULL_FREE, link_id)
        except Exception as error:
            log.warning("pull_failed", connection=link_id, error=type(error).__name__)
            name = type(error).__name__
        else:
            return
        try:
            async with self._pool.acquire() as conn:
                await conn.execute(store.SAVE_CURSOR, link_id, None, name)
        except Exception as error:
            # the database may be away for a moment: nothing is due before it is back
            if not away(error):
                raise
