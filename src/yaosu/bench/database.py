"""The PostgreSQL of a benchmark: an embedded one in a temporary folder, or the one that YAOSU_DATABASE_URL names.

Every row works in a database of its own that is dropped afterwards; nothing of an existing database is touched.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from yaosu.db import embedded
from yaosu.db.engine import Pool, connect, open_pool
from yaosu.db.jobs import ensure_schema
from yaosu.db.migrate import migrate


@dataclass(frozen=True, slots=True)
class Server:
    """A running PostgreSQL and a folder for files."""

    address: str
    folder: Path
    version: str
    embedded: bool


@dataclass(frozen=True, slots=True)
class Database:
    """One migrated, empty database."""

    address: str
    pool: Pool
    folder: Path


@contextmanager
def running(database_url: str) -> Iterator[Server]:
    """The server to measure on; the embedded one is stopped and its folder removed at the end."""
    # a short path: a socket's address has a length limit
    folder = Path(tempfile.mkdtemp(prefix="yaosu-bench-"))
    data = folder / "data"
    try:
        address = database_url or embedded.start(data, "postgres")
        with psycopg.connect(address, autocommit=True) as conn:
            row = conn.execute("SHOW server_version").fetchone()
        yield Server(address, folder, row[0] if row else "", not database_url)
    finally:
        if not database_url:
            embedded.stop(data)
        shutil.rmtree(folder, ignore_errors=True)


def _with_database(address: str, name: str) -> str:
    head, mark, tail = address.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}{mark}{tail}"


def _administer(address: str, statement: str, name: str) -> None:
    with psycopg.connect(address, autocommit=True) as conn:
        conn.execute(sql.SQL(statement).format(sql.Identifier(name)))


@asynccontextmanager
async def fresh(server: Server) -> AsyncIterator[Database]:
    """A migrated database for one row, dropped afterwards."""
    name = f"yaosu_bench_{uuid.uuid4().hex[:12]}"
    make = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    await asyncio.to_thread(_administer, server.address, make, name)
    address = _with_database(server.address, name)
    try:
        conn = await connect(address)
        try:
            await migrate(conn)
        finally:
            await conn.close()
        await ensure_schema(address)
        pool = await open_pool(address)
        try:
            yield Database(address, pool, server.folder)
        finally:
            await pool.close()
    finally:
        await asyncio.to_thread(_administer, server.address, "DROP DATABASE {} WITH (FORCE)", name)


def tune_gc() -> None:
    """The settings of `yaosu serve`: what exists is left alone, and collections are few."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def settle(pool: Pool) -> None:
    """Nobody pays for what the preparation left behind: vacuum, statistics, checkpoint, and garbage collection set as
    `yaosu serve` sets it, since bills measured in this process would run in that one.
    """
    tune_gc()
    async with pool.acquire() as conn:
        await conn.execute("VACUUM ANALYZE")
        await conn.execute("CHECKPOINT")
