"""Queries followed over WebSockets between separate processes: two servers on one database, killed, stopped, cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from access.helpers import key_headers
from exchange.epcis.helpers import World, document, event, make_world
from exchange.running import Running, free_port, running
from yaosu.db.engine import open_pool

WITHIN_S = 90
"""Longest wait for anything on a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Running, World]]:
    """Two server processes on one database, and a world in it whose client asks the first."""
    folder = tmp_path_factory.mktemp("sockets")
    with running(server_address, template_name, folder / "one") as first:
        second = Running(first.database, folder / "one", free_port())
        pool = await open_pool(first.database)
        async with httpx.AsyncClient(base_url=first.url, timeout=WITHIN_S) as client:
            async with pool.acquire() as conn:
                world = await make_world(client, pool, conn)
            made = await client.post(
                "/epcis/queries",
                json={"name": "far", "query": {"EQ_bizStep": ["storing"]}},
                headers=world.keys[world.maker],
            )
            assert made.status_code == 201, made.text
            try:
                yield first, second, world
            finally:
                await asyncio.to_thread(second.stop)
        await pool.close()


async def standing(server: Running) -> None:
    """A server that another test ended is there again."""
    if server.process is None:
        await asyncio.to_thread(server.start)


def follow(server: Running, headers: dict[str, str], more: str = "") -> connect:
    """A connection to a server."""
    address = f"ws://127.0.0.1:{server.port}/epcis/queries/far/events?stream=true{more}"
    return connect(address, additional_headers=headers, proxy=None)


async def store(world: World, name: str) -> None:
    """Something is stored, at the first server; the job may be worked off a moment later."""
    thing = event(action="OBSERVE", bizStep="storing", epcList=[f"urn:epc:id:giai:0614141.{name}"])
    headers = world.keys[world.maker]
    sent = await world.client.post("/epcis/capture", json=document(thing), headers=headers)
    assert sent.status_code == 202, sent.text


async def told(ws: ClientConnection) -> list[dict[str, Any]]:
    """Events of the next message."""
    message = orjson.loads(await asyncio.wait_for(ws.recv(), WITHIN_S))
    found: list[dict[str, Any]] = message["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return found


def names(events: list[dict[str, Any]]) -> list[str]:
    """What the events are about."""
    return [e["epcList"][0].rpartition("/")[2].removeprefix("0614141") for e in events]


async def test_what_one_server_captures_another_tells(far: tuple[Running, Running, World]) -> None:
    first, second, world = far
    await standing(first)
    await standing(second)
    headers = world.keys[world.maker]
    async with follow(second, headers) as there, follow(first, headers) as here:
        await store(world, "BOTH")
        assert names(await told(there)) == ["BOTH"]
        assert names(await told(here)) == ["BOTH"]


async def test_a_key_withdrawn_at_one_server_ends_at_the_other(far: tuple[Running, Running, World]) -> None:
    first, second, world = far
    await standing(first)
    await standing(second)
    async with world.pool.acquire() as conn:
        headers = await key_headers(conn, world.maker)
        number = await conn.fetchval("SELECT max(id) FROM api_key")
    async with follow(second, headers) as ws:
        await store(world, "LAST")
        assert "LAST" in names(await told(ws))
        async with world.pool.acquire() as conn:
            await conn.execute("UPDATE api_key SET revoked_at = now() WHERE id = $1", number)
        with pytest.raises(ConnectionClosed) as end:
            await asyncio.wait_for(ws.recv(), WITHIN_S)
        assert end.value.rcvd is not None and end.value.rcvd.code == 1008


async def test_cut_lines_leave_no_place_taken(far: tuple[Running, Running, World]) -> None:
    first, second, world = far
    await standing(first)
    await standing(second)
    org = world.wholesaler
    headers = world.keys[org]
    await world.client.post("/epcis/queries", json={"name": "cut", "query": {}}, headers=headers)
    address = f"ws://127.0.0.1:{second.port}/epcis/queries/cut/events?stream=true"
    # more than there are places: each line is cut without a word
    for _ in range(25):
        ws = await connect(address, additional_headers=headers, proxy=None)
        ws.transport.abort()
        await ws.wait_closed()
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                async with connect(address, additional_headers=headers, proxy=None):
                    break
            except Exception as error:
                assert "429" in str(error)
                await asyncio.sleep(0.2)


async def test_one_server_dies_another_stops_and_nothing_is_lost(far: tuple[Running, Running, World]) -> None:
    first, second, world = far
    await standing(first)
    await standing(second)
    headers = world.keys[world.maker]
    async with follow(second, headers) as ws:
        await store(world, "K1")
        last = (await told(ws))[0]
        await asyncio.to_thread(second.kill)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(ws.recv(), WITHIN_S)
    await store(world, "K2")
    more = "&initialRecordTime=" + last["recordTime"].replace("+", "%2B")
    async with follow(first, headers, more) as ws:
        found: list[dict[str, Any]] = []
        while len(found) < 2:
            found += await told(ws)
        assert names(found) == ["K1", "K2"]
        process, first.process = first.process, None
        assert process is not None
        process.terminate()
        with pytest.raises(ConnectionClosed) as end:
            await asyncio.wait_for(ws.recv(), WITHIN_S)
        assert end.value.rcvd is not None and end.value.rcvd.code == 1012
    assert await asyncio.to_thread(process.wait, WITHIN_S) == 0
    log = first.log()
    assert "unhandled" not in log and "Traceback" not in log
    # the server's own word on a connection holds its address, which is nobody's business
    assert "queries/far" not in log
