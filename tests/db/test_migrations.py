"""Migrations: apply once, in order, by one server at a time; an edited history is refused; what D2 demands holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
import pytest_asyncio

from yaosu.db import migrate as module
from yaosu.db.engine import Connection, connect
from yaosu.db.migrate import MigrationChangedError, migrate, migrations

SHARDED = {
    "batch",
    "unit",
    "container_batch",
    "bill_line",
    "entry",
    "balance",
    "notice_line",
}
"""Tables that shard by drug_id (D2)."""

# every column of every table, with type and whether it may be null
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
PRIMARY_KEYS = """
SELECT c.relname AS table, a.attname AS column FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace"""
FOREIGN_KEYS = """
SELECT c.relname AS from_table, f.relname AS to_table FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid WHERE k.contype = 'f'"""


@pytest_asyncio.fixture(loop_scope="module")
async def empty(server_address: str) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = "yaosu_test_migrations"
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
    head, _, tail = server_address.partition("?")
    yield f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{tail}" if tail else "")
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_two_servers_that_start_at_once_apply_each_migration_once(empty: str) -> None:
    one, two = await connect(empty), await connect(empty)
    done = await asyncio.gather(migrate(one), migrate(two))
    assert sorted(done[0] + done[1]) == [m.name for m in migrations()]
    assert await migrate(one) == []
    await one.close()
    await two.close()


async def test_a_migration_edited_after_it_was_applied_is_refused(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = await connect(empty)
    await migrate(conn)
    edited = [replace(m, sql=m.sql + "\n-- later") if m.number == 1 else m for m in migrations()]
    monkeypatch.setattr(module, "migrations", lambda: edited)
    with pytest.raises(MigrationChangedError):
        await migrate(conn)
    await conn.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = await connect(empty)
    broken = module.Migration(99, "0099_broken.sql", "CREATE TABLE half (id int); SELECT 1 / 0;")
    monkeypatch.setattr(module, "migrations", lambda: [broken])
    with pytest.raises(Exception, match="division by zero"):
        await migrate(conn)
    assert await conn.fetchval("SELECT to_regclass('half')") is None
    assert await conn.fetchval("SELECT count(*) FROM schema_migration") == 0
    await conn.close()


async def test_migrations_applied_one_by_one_or_at_once_make_the_same_schema(
    empty: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = await connect(empty)
    every = migrations()
    for n in range(1, len(every) + 1):
        monkeypatch.setattr(module, "migrations", lambda n=n: every[:n])
        await migrate(conn)
    for query in (COLUMNS, INDEXES):
        step_by_step = [tuple(r) for r in await conn.fetch(query)]
        assert step_by_step == [tuple(r) for r in await db.fetch(query)]
    await conn.close()


async def test_what_shards_by_product_has_it_in_its_key_and_no_foreign_key_crosses_shards(
    db: Connection,
) -> None:
    keys: dict[str, set[str]] = {}
    for row in await db.fetch(PRIMARY_KEYS):
        keys.setdefault(row["table"], set()).add(row["column"])
    assert {t for t in SHARDED if "drug_id" not in keys[t]} == set()
    crossing = [r for r in await db.fetch(FOREIGN_KEYS) if SHARDED & {r["from_table"], r["to_table"]}]
    assert crossing == []
