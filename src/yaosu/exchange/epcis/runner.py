"""Works capture jobs off inside the server process, few at a time, and takes up those whose server has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from uuid import UUID

import structlog

from yaosu.circulation.cache import BatchCache
from yaosu.circulation.issued import Issued
from yaosu.db.trouble import away
from yaosu.edge.state import AppState
from yaosu.exchange.epcis import capture, store, subscriptions
from yaosu.exchange.epcis.acting import Tools
from yaosu.exchange.epcis.sockets import Hub

log = structlog.get_logger("yaosu.exchange.epcis")

AT_ONCE = 2
"""Documents worked off at the same time; more wait."""
LOOK_EVERY_S = 20.0
NOTIFY_EVERY_S = 5.0
LEFT_AFTER = timedelta(seconds=60)


class Runner:
    """One per server process."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._running: dict[UUID, asyncio.Task[None]] = {}

    def tools(self) -> Tools:
        """What acting needs. Batches are cached per document: what it made is not committed yet."""
        app = self._app
        master: bytes = app.parts["master_secret"]
        folder = app.settings.data / "incoming"
        folder.mkdir(0o700, parents=True, exist_ok=True)
        return Tools(app.parts["registry"], BatchCache(Issued(master), app.parts["stops"]), master, folder)

    def start(self, job: UUID) -> asyncio.Task[None]:
        """Begin to work a job off; its task."""
        known = self._running.get(job)
        if known is not None:
            return known
        task = asyncio.create_task(self._run(job), name="epcis-capture")
        self._running[job] = task
        task.add_done_callback(lambda _: self._running.pop(job, None))
        return task

    async def finished(self, job: UUID, within_s: float) -> None:
        """Wait a while for a job; it goes on when the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.start(job)), within_s)

    async def _run(self, job: UUID) -> None:
        try:
            async with self._gate, self._app.pool.acquire() as conn:
                # the document before may have brought the products of this one, a moment ago
                await self._app.parts["registry"].refresh(conn)
                await capture.run_job(conn, self.tools(), job)
        except Exception as error:
            if not away(error):
                raise
            # it stands as it was; who waits for it asks the database, too
            log.warning("epcis_capture_interrupted", job=str(job), error=type(error).__name__)

    async def keep_up(self) -> None:
        """Take up jobs that were left, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                async with self._app.pool.acquire() as conn:
                    left = [r["id"] for r in await conn.fetch(store.LEFT_JOBS, LEFT_AFTER)]
                for job in left:
                    await self.start(job)
            except Exception as error:
                # the database may be away for a moment; the next round finds the same jobs
                log.warning("epcis_left_jobs", error=type(error).__name__)

    async def take_up(self) -> None:
        """What an earlier process left, at once."""
        async with self._app.pool.acquire() as conn:
            left = [r["id"] for r in await conn.fetch(store.LEFT_JOBS, timedelta())]
        for job in left:
            self.start(job)

    async def notify(self) -> None:
        """Send subscribers what is due, for ever."""
        while True:
            await asyncio.sleep(NOTIFY_EVERY_S)
            try:
                while await subscriptions.send_one(self._app):
                    pass
            except Exception as error:
                log.warning("epcis_subscriptions", error=type(error).__name__)

    async def stop(self) -> None:
        """Let what runs end; what does not is taken up by the next process."""
        tasks = list(self._running.values())
        if tasks:
            await asyncio.wait(tasks, timeout=20)
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def started(app: AppState) -> AsyncIterator[None]:
    """The runner for the life of the server, as part `epcis`, and its sockets, as part `epcis_sockets`."""
    runner, hub = Runner(app), Hub(app)
    app.parts["epcis"], app.parts["epcis_sockets"] = runner, hub
    await runner.take_up()
    tasks = [asyncio.create_task(runner.keep_up()), asyncio.create_task(runner.notify())]
    try:
        yield
    finally:
        await hub.stop()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await runner.stop()
