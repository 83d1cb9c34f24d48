"""One served market per module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hostile import world as worlds
from yaosu.db.engine import connect


@pytest.fixture(scope="module")
def world(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[worlds.World]:
    """The market behind its server."""

    async def seeded() -> worlds.World:
        conn = await connect(database)
        try:
            return await worlds.seed(conn, database)
        finally:
            await conn.close()

    with worlds.serving(asyncio.run(seeded()), tmp_path_factory.mktemp("served")) as running:
        worlds.fill(running)
        yield running


@pytest.fixture(scope="module")
def schema(world: worlds.World) -> dict[str, Any]:
    """The OpenAPI document as served."""
    found: dict[str, Any] = httpx.get(world.base + "/api/v1/openapi.json", timeout=60).json()
    return found
