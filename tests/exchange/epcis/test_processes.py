"""EPCIS between separate processes, over a network that loses, doubles, cuts and kills (issue 4: done when)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from exchange.epcis.helpers import World, code, commissioning, document, link, make_world, packing, shipping
from exchange.faults import FaultyProxy, faulty
from exchange.running import Running, running, until
from yaosu.db.engine import open_pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, World]]:
    """A real server process, and a world in its database."""
    with running(server_address, template_name, tmp_path_factory.mktemp("epcis")) as process:
        pool = await open_pool(process.database)
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as client:
            async with pool.acquire() as conn:
                made = await make_world(client, pool, conn)

            async def ready() -> bool:
                seen = await client.get(f"/api/v1/products/{made.drug_id}", headers=made.keys[made.maker])
                took = await client.post("/epcis/capture", json=document(), headers=made.keys[made.maker])
                return seen.status_code == 200 and took.status_code == 202

            # the process hears of firms and products by notification
            await until(ready)
            yield process, made
        await pool.close()


async def _send(
    proxy: FaultyProxy, world: World, doc: dict[str, Any], patience_s: float = 60
) -> httpx.Response | None:
    """One try through the bad network; None when no answer came."""
    headers = {**world.keys[world.maker], "content-type": "application/json"}
    try:
        async with httpx.AsyncClient(base_url=proxy.url, timeout=patience_s) as client:
            return await client.post("/epcis/capture", content=orjson.dumps(doc), headers=headers)
    except httpx.HTTPError:
        return None


async def test_a_document_sent_over_a_bad_network_acts_once(far: tuple[Running, World]) -> None:
    process, world = far
    cases, boxes = await world.goods()
    doc = document(shipping(cases, world.party(world.wholesaler)))
    async with faulty(process.port, hang_s=300) as proxy:
        for fault in ("refuse", "lose_answer", "twice", "cut_answer", "error_500", "hang", "pass"):
            proxy.faults.append(fault)  # type: ignore[arg-type]
            answer = await _send(proxy, world, doc, 3 if fault == "hang" else 60)
            if fault in ("twice", "pass"):
                assert answer is not None and answer.status_code == 202
                assert (await world.job(answer.headers["location"]))["success"]
    assert (await world.unit(code(boxes[0])))[:3] == ("O", world.maker, world.wholesaler)
    async with world.pool.acquire() as conn:
        assert (
            await conn.fetchval("SELECT count(*) FROM bill WHERE type = 201 AND owner = $1", world.maker) == 1
        )
    assert len(await world.events(MATCH_epc=cases[0], EQ_bizStep="shipping")) == 1


async def test_a_changed_byte_never_becomes_another_fact(far: tuple[Running, World]) -> None:
    process, world = far
    fresh = [link(world.box, f"CH{n}") for n in range(3)]
    doc = document(commissioning(fresh, "CHANGED"))
    async with faulty(process.port) as proxy:
        proxy.faults.append("change_request")
        answer = await _send(proxy, world, doc)
    if answer is not None and answer.status_code == 202:
        # a digit of a serial or a date may make another right event; a wrong check digit or time may not
        job = await world.job(answer.headers["location"])
        assert job["success"] or job["errors"][0]["instance"]


async def test_a_server_killed_in_the_middle_takes_the_job_up_again(
    far: tuple[Running, World], tmp_path: Path
) -> None:
    process, world = far
    cases = [link(world.case, f"KC{n:05d}") for n in range(300)]
    boxes = [link(world.box, f"KB{n:05d}") for n in range(600)]
    packs = [packing(c, boxes[2 * n : 2 * n + 2]) for n, c in enumerate(cases)]
    doc = document(commissioning(boxes, "KILL1", 60), commissioning(cases, "KILL1", 59), *packs)
    before = await world.stock(world.maker)

    async def send() -> None:
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as client:
            headers = {**world.keys[world.maker], "content-type": "application/json"}
            await client.post("/epcis/capture", content=orjson.dumps(doc), headers=headers)

    sending = asyncio.create_task(send())

    async def queued() -> bool:
        async with world.pool.acquire() as conn:
            return bool(await conn.fetchval("SELECT count(*) FROM epcis_job WHERE events > 100"))

    await until(queued)
    await asyncio.to_thread(process.kill)
    await asyncio.gather(sending, return_exceptions=True)
    await asyncio.to_thread(process.start)

    async def ended() -> bool:
        async with world.pool.acquire() as conn:
            states = await conn.fetch("SELECT state FROM epcis_job WHERE events > 100")
        assert [r["state"] for r in states] != ["failed"]
        return [r["state"] for r in states] == ["done"]

    await until(ended)
    assert await world.stock(world.maker) == before + 600
    again = await world.done(doc)
    assert again["capturedEvents"] == 302 and await world.stock(world.maker) == before + 600


async def test_subscribers_are_told_each_event_once_though_they_were_away(far: tuple[Running, World]) -> None:
    _process, world = far
    got: list[dict[str, Any]] = []
    away = 1

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal away
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length:")[2].split("\r\n")[0])
        body = await reader.readexactly(size)
        if away:
            away -= 1
            writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        else:
            got.append({"head": head, **orjson.loads(body)})
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    key = world.keys[world.maker]
    await world.client.post(
        "/epcis/queries", json={"name": "away", "query": {"EQ_bizStep": ["shipping"]}}, headers=key
    )
    made = await world.client.post(
        "/epcis/queries/away/subscriptions",
        json={"dest": f"http://127.0.0.1:{port}/cb", "signatureToken": "s3cret", "stream": True},
        headers=key,
    )
    assert made.status_code == 201, made.text
    cases, _ = await world.goods()
    await world.done(document(shipping(cases, world.party(world.wholesaler))))

    async def arrived() -> bool:
        async with world.pool.acquire() as conn:
            # what would be tried again later is tried now
            await conn.execute("UPDATE epcis_subscription SET next_at = now() WHERE failures > 0")
        return bool(got)

    await until(arrived)
    server.close()
    events = [e for g in got for e in g["epcisBody"]["queryResults"]["resultsBody"]["eventList"]]
    assert [e["epcList"] for e in events] == [cases]
    assert "gs1-signature: sha256=" in got[0]["head"]
    listed = (await world.client.get("/epcis/queries/away/subscriptions", headers=key)).json()
    assert listed[0]["stream"] is True and "secret" not in orjson.dumps(listed).decode()
    await world.client.delete("/epcis/queries/away", headers=key)
