"""Connections. asyncpg everywhere on the request and write paths; JSON as Python values."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import asyncpg
import orjson

from yaosu.db.trouble import AwayError

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


def _dump_jsonb(value: object) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _load_jsonb(data: bytes) -> object:
    return orjson.loads(data[1:])


class Reads(Protocol):
    """What can be asked: a connection, or a pool that takes one for the question."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]: ...

    async def fetchval(self, query: str, *args: Any) -> Any: ...


async def _prepare(conn: Connection) -> None:
    await conn.set_type_codec("json", schema="pg_catalog", encoder=_dump, decoder=orjson.loads)
    # binary, so that rows with JSON can go by COPY: a version byte, then the text
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_dump_jsonb, decoder=_load_jsonb, format="binary"
    )


async def _reach(*given: Any, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """A connection as the driver makes it. What its sockets raise (a missing file, a refusal, a timeout) could have
    come from anywhere: it is named here."""
    try:
        return await asyncpg.connect(*given, **options)
    except (OSError, TimeoutError) as error:
        raise AwayError(str(error) or type(error).__name__) from error


async def connect(address: str) -> asyncpg.Connection[asyncpg.Record]:
    """One connection with our type codecs. Raises `AwayError` when the database is not to be reached."""
    conn = await _reach(address)
    await _prepare(conn)
    return conn


async def _keep(conn: Connection) -> None:
    """Nothing to reset on release: no code of ours leaves session state on a pooled connection. The driver's own
    reset would cost every request one more round trip."""


async def open_pool(address: str, size_max: int = 12) -> Pool:
    """A pool with our type codecs; at most `size_max` connections."""
    pool = await asyncpg.create_pool(
        address, min_size=2, max_size=size_max, init=_prepare, reset=_keep, connect=_reach
    )
    assert pool is not None
    return pool
