"""The server's registry hears of changes that others make, without being asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from access.helpers import key_headers
from registry.helpers import make_org, make_product
from yaosu.db.engine import Pool
from yaosu.registry import parts


async def resolved(client: httpx.AsyncClient, auth: dict[str, str], code: str) -> str:
    return str((await client.get(f"/api/v1/resolve/{code}", headers=auth)).json()["kind"])


async def until(client: httpx.AsyncClient, auth: dict[str, str], code: str, kind: str) -> None:
    """Wait until the server says `kind` of the code."""
    start = time.monotonic()
    while await resolved(client, auth, code) != kind:
        assert time.monotonic() - start < 90, f"still not {kind}"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def nobody_looks_by_the_clock() -> Iterator[None]:
    """What becomes known was heard of, or made up for by a new listener: never found by the next regular look."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "CHECK_S", 36_000.0)
        yield


async def test_a_product_registered_elsewhere_is_known_here_within_a_second(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        auth = await key_headers(conn, await make_org(conn))
    for prefix in ("8600001", "8600003", "8600004"):
        code = prefix + "0000000000001"
        async with pool.acquire() as conn:
            assert await resolved(client, auth, code) == "unknown"
            async with conn.transaction():
                await make_product(conn, await make_org(conn), levels=[("盒", 1, prefix)])
                assert await resolved(client, auth, code) == "unknown", "not before the commit"
        await until(client, auth, code, "known")


async def test_a_lost_connection_is_opened_again_and_what_was_missed_is_made_up_for(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    code = "86000020000000000001"
    async with pool.acquire() as conn:
        auth = await key_headers(conn, await make_org(conn))
        killed = await conn.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'yaosu-registry-listener'"
        )
        assert killed >= 1
        await make_product(conn, await make_org(conn), levels=[("盒", 1, "8600002")])
    await until(client, auth, code, "known")
