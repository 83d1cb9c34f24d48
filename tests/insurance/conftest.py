"""A bureau behind a real server, and the software of a pharmacy and of a hospital that report to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from insurance import helpers
from insurance.helpers import Scene, make_scene
from insurance.sending import Sender
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.people.keeper import Keeper


@pytest.fixture(scope="module")
def server(client: httpx.AsyncClient) -> AppState:
    """What the server holds."""
    found: AppState = client._transport.app.state.yaosu  # type: ignore[attr-defined]
    return found


@pytest.fixture(scope="module")
def keeper(server: AppState) -> Keeper:
    """The server's own."""
    found: Keeper = server.parts["keeper"]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(server: AppState, pool: Pool, keeper: Keeper) -> AsyncIterator[Scene]:
    """A committed scene that the server knows."""
    helpers.KEEPER, before = keeper, helpers.KEEPER
    async with pool.acquire() as conn:
        made = await make_scene(conn)
        await server.parts["registry"].refresh(conn, full=True)
        yield made
    helpers.KEEPER = before


@pytest.fixture
def shop(scene: Scene, client: httpx.AsyncClient) -> Sender:
    """The pharmacy's software."""
    return Sender(scene.pharmacy, client)


@pytest.fixture
def ward(scene: Scene, client: httpx.AsyncClient) -> Sender:
    """The hospital's software."""
    return Sender(scene.hospital, client)
