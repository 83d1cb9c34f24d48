"""Starts the server's `Registry` and keeps it fresh.

A dedicated connection listens for changes; what arrives within a few milliseconds is taken in together.
Should the connection break, it is opened again, and a check by the clock makes up for what was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog
from starlette.requests import Request

from yaosu.db.engine import Connection, connect
from yaosu.edge.state import AppState, state
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.store_cache import prune

CHANNEL = "yaosu_registry"
CHECK_S = 5.0
"""Longest time a change can stay unseen when its notification was lost."""
GATHER_S = 0.005
"""How long to wait for more after the first notification."""
PRUNE_EVERY_S = 3600.0

log = structlog.get_logger("yaosu.registry")


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put `registry` into `app.parts` for the life of the server."""
    async with app.pool.acquire() as conn:
        registry = await load_registry(conn)
    app.parts["registry"] = registry
    keeper = asyncio.create_task(_keep(app.address, registry), name="registry-keeper")
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


def registry_of(request: Request) -> Registry:
    """The server's registry."""
    found: Registry = state(request).parts["registry"]
    return found


async def fresh_after(request: Request) -> AsyncIterator[None]:
    """Dependency of writing requests, declared before `Conn`: takes in the change right after its commit.

    So a client that registers a product and uses it in its next request never meets the cache of before.
    """
    yield
    app = state(request)
    async with app.pool.acquire() as conn:
        await registry_of(request).refresh(conn)


async def _keep(address: str, registry: Registry) -> None:
    wake = asyncio.Event()
    while True:
        conn: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            conn = await connect(address)
            await conn.execute("SET application_name = 'yaosu-registry-listener'")
            await conn.add_listener(CHANNEL, lambda *_: wake.set())
            # a closed connection wakes us too: the next refresh fails and a new one is opened
            conn.add_termination_listener(lambda *_: wake.set())
            # whatever happened while nobody listened
            await registry.refresh(conn, full=True)
            await _follow(conn, registry, wake)
        except (
            Exception
        ) as error:  # whatever it was (a dying connection raises many things), the keeper lives on
            log.warning("registry_listener_lost", error=type(error).__name__)
            await asyncio.sleep(1)
        finally:
            if conn is not None and not conn.is_closed():
                with suppress(Exception):
                    await conn.close(timeout=2)


async def _follow(conn: Connection, registry: Registry, wake: asyncio.Event) -> None:
    prune_at = 0.0
    while True:
        if asyncio.get_running_loop().time() >= prune_at:
            await prune(conn)
            prune_at = asyncio.get_running_loop().time() + PRUNE_EVERY_S
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S):
                await wake.wait()
                await asyncio.sleep(GATHER_S)
        wake.clear()
        await registry.refresh(conn)
