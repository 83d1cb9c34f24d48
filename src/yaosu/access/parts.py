"""What access keeps for the life of a server: "last used" times to write, failed sign-ins by address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog
from starlette.requests import Request

from yaosu.access import store
from yaosu.access.limits import RateLimit
from yaosu.edge.state import AppState, state

log = structlog.get_logger("yaosu.access")

FLUSH_S = 10.0
PENDING_MAX = 50_000
FAILURES_PER_MINUTE = 10
FAILURES_BURST = 60
"""Failed sign-ins of one address: enough for a large office behind one address, too few for guessing."""


def sign_in_limit(request: Request) -> RateLimit:
    """The server's count of failed sign-ins by address."""
    found: RateLimit = state(request).parts["access.sign_ins"]
    return found


class LastUsed:
    """When keys and sessions were last used, collected in memory and written every few seconds.

    A crash loses at most `FLUSH_S` of these times; nothing is decided on them but the idle end of sessions,
    which then comes that much earlier.
    """

    def __init__(self) -> None:
        self._keys: dict[int, datetime] = {}
        self._sessions: dict[int, datetime] = {}

    def note(self, key_id: int | None, session_id: int | None) -> None:
        """Remember that one of the two was used now."""
        if len(self._keys) + len(self._sessions) >= PENDING_MAX:
            return
        now = datetime.now(UTC)
        if key_id is not None:
            self._keys[key_id] = now
        if session_id is not None:
            self._sessions[session_id] = now

    async def flush(self, app: AppState) -> None:
        """Write what was collected."""
        if not self._keys and not self._sessions:
            return
        # sorted: two servers that flush at once take their row locks in the same order
        keys, sessions = sorted(self._keys.items()), sorted(self._sessions.items())
        self._keys, self._sessions = {}, {}
        try:
            async with app.pool.acquire() as conn, conn.transaction():
                await store.touch(conn, keys, sessions)
        except Exception:
            # the next time; what was used since is later
            self._keys, self._sessions = {**dict(keys), **self._keys}, {**dict(sessions), **self._sessions}
            raise

    async def try_flush(self, app: AppState) -> None:
        """The same for those who go on whatever happens."""
        try:
            await self.flush(app)
        except Exception as error:
            # the database may be away for a moment; requests say so themselves
            log.warning("last_used_not_written", error=type(error).__name__)


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Run the writer until the server stops, then write the rest."""
    used = LastUsed()
    app.parts["access.last_used"] = used
    app.parts["access.sign_ins"] = RateLimit(FAILURES_PER_MINUTE, FAILURES_BURST)

    async def run() -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await used.try_flush(app)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await used.try_flush(app)
