"""Connections. asyncpg everywhere on the request and write paths; JSON as Python values."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
import orjson

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


async def _prepare(conn: Connection) -> None:
    for name in ("json", "jsonb"):
        await conn.set_type_codec(name, schema="pg_catalog", encoder=_dump, decoder=orjson.loads)


async def connect(address: str) -> asyncpg.Connection[asyncpg.Record]:
    """One connection with our type codecs."""
    conn = await asyncpg.connect(address)
    await _prepare(conn)
    return conn


async def open_pool(address: str, size_max: int = 12) -> Pool:
    """A pool with our type codecs; at most `size_max` connections."""
    pool = await asyncpg.create_pool(address, min_size=2, max_size=size_max, init=_prepare)
    assert pool is not None
    return pool
