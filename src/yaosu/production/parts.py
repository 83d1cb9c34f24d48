"""What production runs with the server: the queue's tables, and the broom for expired uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from starlette.requests import Request

from yaosu.db.jobs import ensure_schema
from yaosu.edge.state import AppState, state
from yaosu.production import uploads
from yaosu.settings import master_secret

log = structlog.get_logger("yaosu.production")

SWEEP_S = 600.0


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Make the queue's tables once; sweep while the server runs."""
    await ensure_schema(app.address)
    app.parts["master_secret"] = master_secret(app.settings.data)
    broom = asyncio.create_task(_sweep(app), name="upload-broom")
    try:
        yield
    finally:
        broom.cancel()
        with suppress(asyncio.CancelledError):
            await broom


def master_of(request: Request) -> bytes:
    """The server's master secret for issue keys."""
    found: bytes = state(request).parts["master_secret"]
    return found


async def _sweep(app: AppState) -> None:
    while True:
        try:
            async with app.pool.acquire() as conn:
                await uploads.sweep(conn, app.settings.data)
        except Exception as error:
            # the database may be away for a moment; the next round sweeps the same
            log.warning("uploads_not_swept", error=type(error).__name__)
        await asyncio.sleep(SWEEP_S)
