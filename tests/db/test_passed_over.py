"""Background work passes over rows that somebody is changing: it never waits for a caller, nor a caller in a circle for
it. What was passed over is done the next time. And nobody waits for work that has nothing to do with his own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from access.helpers import make_account, make_key, make_org
from registry.helpers import make_org as registered
from yaosu.access import store as access
from yaosu.access.parts import LastUsed
from yaosu.db.engine import Connection, Pool, open_pool
from yaosu.edge.state import AppState
from yaosu.insurance import store_case
from yaosu.people import service
from yaosu.people import store as people
from yaosu.production.store_packing import SHARE_STOPS
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = datetime(2060, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def beside(pool: Pool, holds: str, *args: object) -> AsyncIterator[Connection]:
    """A connection that refuses to wait, while another one holds what `holds` locks."""
    async with pool.acquire() as other, other.transaction():
        assert await other.fetch(holds, *args)
        async with pool.acquire() as conn:
            await conn.execute("SET lock_timeout = '2s'")
            try:
                yield conn
            finally:
                await conn.execute("RESET lock_timeout")


async def test_last_uses_are_written_beside_a_sign_out(pool: Pool) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn)
        account, _ = await make_account(conn, org, "admin")
        await make_key(conn, org)
        await make_key(conn, org)
        keys = [
            r["id"] for r in await conn.fetch("SELECT id FROM api_key WHERE org_id = $1 ORDER BY id", org)
        ]
        for n in range(2):
            await conn.execute(
                "INSERT INTO session (token_sha256, account_id, csrf, expires_at, address, agent) "
                "VALUES ($1, $2, 'x', $3, '127.0.0.1', '')",
                bytes([n]) * 32,
                account,
                NOW + timedelta(days=1),
            )
        sessions = [
            r["id"]
            for r in await conn.fetch("SELECT id FROM session WHERE account_id = $1 ORDER BY id", account)
        ]
    used = ([(k, NOW) for k in keys], [(s, NOW) for s in sessions])
    ends = "DELETE FROM session WHERE id = $1 RETURNING id"
    async with beside(pool, ends, sessions[0]) as conn:
        await access.touch(conn, *used)
    revokes = "UPDATE api_key SET revoked_at = now() WHERE id = $1 RETURNING id"
    async with beside(pool, revokes, keys[1]) as conn:
        await access.touch(conn, *used)
    assert await pool.fetchval("SELECT last_seen_at FROM session WHERE id = $1", sessions[1]) == NOW
    assert {
        r["last_used_at"] for r in await pool.fetch("SELECT last_used_at FROM api_key WHERE org_id = $1", org)
    } == {NOW}


async def test_a_case_that_is_being_worked_on_is_told_of_later(pool: Pool) -> None:
    async with pool.acquire() as conn:
        institution = await conn.fetchval(
            "INSERT INTO insurance_institution (bureau, code, name, region, app, profile, secrets) "
            "VALUES (1, 'H1', '医院', '370100', 'a', 'national', '') RETURNING id"
        )
        cases = [
            await conn.fetchval(
                "INSERT INTO insurance_case (institution, settlement, drug_id, due_at, rule, severity, code, act, "
                "findings) VALUES ($1, 1, 1, now() - interval '1 day', 'r', 's', $2, 'a', '[]') RETURNING id",
                institution,
                str(n),
            )
            for n in range(3)
        ]
    async with beside(pool, store_case.LOCK, cases[1]) as conn:
        told = [r["id"] for r in await conn.fetch(store_case.OVERDUE)]
    assert sorted(told) == [cases[0], cases[2]]
    assert [r["id"] for r in await pool.fetch(store_case.OVERDUE)] == [cases[1]]


async def test_a_person_to_whom_somebody_sells_is_not_forgotten(pool: Pool) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    async with pool.acquire() as conn:
        persons = [
            await conn.fetchval(
                "INSERT INTO people.person (last_at, kind, key_id, hash, cipher, salt) "
                "VALUES ($1, 1, 1, $2, 'x', 'x') RETURNING id",
                long_ago,
                bytes([n]),
            )
            for n in range(3)
        ]
    # the sale's transaction has named the person, and is not committed yet
    async with beside(pool, people.LAST_AT + " RETURNING id", persons[:1], NOW) as conn, conn.transaction():
        assert await service.erase_unused(conn, NOW) == 2
    async with pool.acquire() as conn:
        assert await service.erase_unused(conn, NOW) == 0
        assert await conn.fetchval(
            "SELECT used AND erased_at IS NULL FROM people.person WHERE id = $1", persons[0]
        )


async def test_a_person_of_long_ago_to_whom_somebody_sells_again_is_kept(pool: Pool) -> None:
    async with pool.acquire() as conn:
        await conn.execute(
            "UPDATE people.person SET erased_at = now(), hash = NULL, cipher = NULL, salt = NULL"
        )
        persons = [
            await conn.fetchval(
                "INSERT INTO people.person (last_at, kind, key_id, hash, cipher, salt, used) "
                "VALUES ('1990-01-01', 1, 1, $1, 'x', 'x', true) RETURNING id",
                bytes([9, n]),
            )
            for n in range(2)
        ]
        registry = await load_registry(conn)
    async with beside(pool, people.LAST_AT + " RETURNING id", persons[:1], NOW) as conn, conn.transaction():
        assert await service.erase_due(conn, registry, NOW) == 1
    kept = "SELECT id FROM people.person WHERE erased_at IS NULL"
    assert [r["id"] for r in await pool.fetch(kept)] == persons[:1]


async def test_a_sale_that_begins_while_persons_are_forgotten_finds_them_gone(pool: Pool) -> None:
    async with pool.acquire() as conn:
        person = await conn.fetchval(
            "INSERT INTO people.person (last_at, kind, key_id, hash, cipher, salt) "
            "VALUES ('2020-01-01', 1, 1, 'y', 'x', 'x') RETURNING id"
        )
    async with pool.acquire() as clock, pool.acquire() as desk:
        forgetting = clock.transaction()
        await forgetting.start()
        await clock.fetch(people.NEVER_USED, NOW, 10)
        selling = asyncio.ensure_future(desk.execute(people.KEEP, [person]))
        blocked = "SELECT $1 = ANY (pg_blocking_pids($2))"
        async with asyncio.timeout(300):
            while not await clock.fetchval(blocked, clock.get_server_pid(), desk.get_server_pid()):
                assert not selling.done(), "it was not held"
                await asyncio.sleep(0.01)
        await clock.execute(people.ERASE, [person])
        await forgetting.commit()
        assert await selling == "UPDATE 0"


async def test_last_uses_that_could_not_be_written_are_written_the_next_time(
    pool: Pool, database: str, tmp_path: Path
) -> None:
    async with pool.acquire() as conn:
        await make_key(conn, await make_org(conn))
        key = await conn.fetchval("SELECT max(id) FROM api_key")
    closed = await open_pool(database)
    await closed.close()
    used = LastUsed()
    used.note(key, None)
    settings = Settings(tmp_path, database, "127.0.0.1", 0, "http://test")
    await used.try_flush(AppState(settings, database, closed))
    assert await pool.fetchval("SELECT last_used_at FROM api_key WHERE id = $1", key) is None
    await used.try_flush(AppState(settings, database, pool))
    assert await pool.fetchval("SELECT last_used_at FROM api_key WHERE id = $1", key) is not None


async def test_an_organisation_is_saved_while_a_large_bill_is_being_written(pool: Pool) -> None:
    """Who waits at the gate of the bills has all later ones wait behind him."""
    async with beside(pool, SHARE_STOPS) as conn, conn.transaction():
        assert await registered(conn, OrgType.RETAIL)
