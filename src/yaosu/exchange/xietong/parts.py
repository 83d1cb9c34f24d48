"""Starts what files, pulls, books and pushes, once per server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from yaosu.edge.background import running
from yaosu.edge.state import AppState
from yaosu.exchange.outbox import connections
from yaosu.exchange.xietong import client, desk, push
from yaosu.exchange.xietong.announce import Announcer
from yaosu.exchange.xietong.channel import NAME
from yaosu.exchange.xietong.resolve import Resolver

log = structlog.get_logger("yaosu.xietong")

IDLE_S = 1.0
PULL_EVERY_S = 3.0


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Run the loops of this installation's roles for the life of the server."""
    app.parts["xietong.resolver"] = Resolver()
    wake = asyncio.Event()
    app.parts["xietong.wake"] = wake
    tasks = {}
    if "trace" in app.settings.roles:
        tasks["xietong-client"] = _run(_Client(app).once, wake)
    if "coordination" in app.settings.roles:
        tasks["xietong-push"] = _run(lambda: push.once(app), wake)
    async with running(tasks):
        yield


async def _run(once: Callable[[], Awaitable[int]], wake: asyncio.Event) -> None:
    while True:
        try:
            done = await once()
        except Exception as error:
            log.warning("xietong_round_failed", error=type(error).__name__)
            done = 0
        if not done:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await wake.wait()
            wake.clear()


class _Client:
    """The client's round: file, pull, book."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._filer = client.Filer(app)
        self._announcer = Announcer(app)
        self._pull_at: dict[int, float] = {}

    async def once(self) -> int:
        """One round over every connection; how much was done."""
        async with self._app.pool.acquire() as conn:
            links = await connections.links(conn, self._app.parts["keeper"], NAME)
        done = 0
        for link in links:
            done += await self._filer.look(link)
            done += await self._filer.send(link)
            done += await self._announcer.look(link)
            now = asyncio.get_running_loop().time()
            if now >= self._pull_at.get(link.id, 0.0):
                pulled = await client.pull(self._app, link)
                self._pull_at[link.id] = now if pulled else now + PULL_EVERY_S
                done += pulled
            done += await desk.work(self._app, link.id)
        return done
