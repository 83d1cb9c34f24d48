"""One world a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from exchange.epcis.helpers import World, make_world
from yaosu.db.engine import Pool
from yaosu.exchange.epcis import runner


@pytest.fixture(scope="module", autouse=True)
def nobody_else_notifies() -> Iterator[None]:
    """Tests let subscriptions become due by themselves; the server's own look would take them away beforehand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "NOTIFY_EVERY_S", 36_000.0)
        yield


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
