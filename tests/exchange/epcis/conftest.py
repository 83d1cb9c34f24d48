"""One world a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from exchange.epcis.helpers import World, make_world
from yaosu.db.engine import Pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[World]:
    """Committed, so that the server's own connections see it."""
    async with pool.acquire() as conn:
        made = await make_world(client, pool, conn)
        # the server's registry hears of it before the first test
    app_registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
    async with pool.acquire() as conn:
        await app_registry.refresh(conn)
    yield made
