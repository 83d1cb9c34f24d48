"""Bills and relations out, and in again elsewhere: the same movements, byte-exact forms (R-B1, R-I1, R-X10)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from exchange.files.world import World, make_world, number, scan_xml, stamp, table
from yaosu.db.engine import Pool
from yaosu.exchange.files.formats.cells import CHINA
from yaosu.production.relation import read as read_relation

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        yield await make_world(conn)


def period() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"since": (now - timedelta(days=2)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}


async def bill_of(world: World, no: str, owner: int) -> dict[str, Any]:
    """What a bill says, whatever system it is in."""
    row = await world.market.conn.fetchrow(
        "SELECT id, type, bill_no, from_org, to_org, happened_at FROM bill WHERE bill_no = $1 AND owner = $2",
        no,
        owner,
    )
    assert row is not None, no
    codes = await world.market.conn.fetch("SELECT code FROM bill_line WHERE bill_id = $1", row["id"])
    parties = [world.uscc(o) if o else "" for o in (row["from_org"], row["to_org"])]
    return {
        **dict(row),
        "id": 0,
        "from_org": parties[0],
        "to_org": parties[1],
        "codes": sorted(r["code"] for r in codes),
    }


@pytest.mark.parametrize("form", ["xml", "xml-events", "csv", "xlsx"])
async def test_exported_bills_sent_again_elsewhere_are_the_same_movements(
    world: World, client: httpx.AsyncClient, form: str
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=2)
    no, back = number("E"), number("E")
    sold = scan_xml("OA", [(no, world.uscc(market.wholesaler), goods.boxes[:9])])
    assert (await world.post(client, market.maker, sold, send=True)).json()["summary"]["accepted"] == 9
    taken = table([(back, "102", stamp(10), world.name(market.maker), c) for c in goods.boxes[:9]])
    assert (await world.post(client, market.wholesaler, taken, send=True)).json()["summary"]["accepted"] == 9
    before = [await bill_of(world, no, market.maker), await bill_of(world, back, market.wholesaler)]
    files = []
    for org, one in ((market.maker, no), (market.wholesaler, back)):
        got = await client.get(
            "/api/v1/files/export",
            headers=world.head(org),
            params={**period(), "format": form, "bill_no": one},
        )
        assert got.status_code == 200, got.text
        files.append((org, got.content))
    # elsewhere: the goods as they were before, the bills unknown
    ids = [
        r["id"] for r in await market.conn.fetch("SELECT id FROM bill WHERE bill_no = ANY($1)", [back, no])
    ]
    for bill_id, org in zip(sorted(ids, reverse=True), (market.wholesaler, market.maker), strict=True):
        void = await client.post(
            f"/api/v1/bills/{bill_id}/void", headers=world.head(org), json={"reason": "迁移测试"}
        )
        assert void.status_code == 200, void.text
    await market.conn.execute("UPDATE bill SET bill_no = bill_no || '-x' WHERE bill_no = ANY($1)", [no, back])
    for org, data in files:
        sent = (await world.post(client, org, data, send=True, again=True)).json()
        assert (sent["state"], sent["summary"]["accepted"], sent["summary"]["refused"]) == ("done", 9, 0), (
            sent
        )
    after = [await bill_of(world, no, market.maker), await bill_of(world, back, market.wholesaler)]
    assert after == before


async def test_a_txt_of_what_was_shipped_is_the_receivers_receipt(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    no = number("T")
    await world.post(
        client, market.maker, scan_xml("OA", [(no, world.uscc(market.wholesaler), goods.cases)]), send=True
    )
    got = await client.get(
        "/api/v1/files/export",
        headers=world.head(market.maker),
        params={**period(), "format": "txt", "bill_no": no},
    )
    lines = got.content.decode("utf-8-sig").splitlines()
    assert lines[0] == f"${world.name(market.maker)},{no}" and lines[-1] == "#1"
    taken = (await world.post(client, market.wholesaler, got.content, send=True)).json()
    assert (taken["summary"]["accepted"], taken["summary"]["ignored"]) == (1, 2), taken
    assert (await market.status(goods.boxes[0]))[:2] == ("I", market.wholesaler)


async def test_the_relations_of_a_shipped_case_are_byte_exact_and_for_its_parties_only(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=2, per_case=10)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases[:1])
    url = f"/api/v1/files/relations/{shipped.bill_id}.xml"
    got = await client.get(url, headers=world.head(market.wholesaler))
    assert got.status_code == 200, got.text
    data = got.content
    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?><Document xmlns:xsi=')
    assert data.endswith(b"</Document>\n") and b"\r" not in data and not data.endswith(b"\n\n")
    lines = data.decode().splitlines()
    codes = [line for line in lines if line.startswith("<Code ")]
    assert codes[0] == f'<Code curCode="{goods.cases[0]}" packLayer="2" flag="0"/>'
    boxes = sorted(goods.boxes_of(0))
    assert codes[1:] == [
        f'<Code curCode="{b}" packLayer="1" parentCode="{goods.cases[0]}" flag="0"/>' for b in boxes
    ]
    assert (f'<Batch batchNo="{goods.batch_no}" madeDate="2026-01-01" validateDate="2059-12-31" '
            'workshop="" lineName="" lineManager="">') in lines  # fmt: skip
    assert any(line.startswith('<Relation productCode="') and 'cascade="1:4:40"' in line for line in lines)
    read = read_relation(io.BytesIO(data))
    assert len(read) == 11 and not read.problems and [p.batch_no for p in read.parts] == [goods.batch_no]
    assert (await client.get(url, headers=world.head(market.other))).status_code == 404
    assert (
        await client.get("/api/v1/files/relations/999999.xml", headers=world.head(market.maker))
    ).status_code == 404


async def test_what_an_export_refuses_and_what_no_spreadsheet_runs(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    head = world.head(market.maker)
    goods = await world.goods(market.maker, cases=1)
    body = {
        "type": 217,
        "bill_no": "=cmd|'/c calc'!A0",
        "happened_at": datetime.now(CHINA).isoformat(),
        "codes": goods.boxes[:1],
        "header": {"note": "@SUM(1+1)", "oper_name": "+1"},
    }
    moved = await client.post("/api/v1/movements", headers=head, json=body)
    assert moved.json()["status"] == "accepted", moved.text
    got = await client.get(
        "/api/v1/files/export", headers=head, params={**period(), "format": "csv", "type": 217}
    )
    text = got.content.decode("utf-8-sig")
    assert "'=cmd" in text and "'@SUM" in text and "'+1" in text and ",=" not in text
    # and read again, it says what it said
    read = (await world.post(client, market.maker, got.content)).json()
    assert read["bills"][0]["bill_no"] == "=cmd|'/c calc'!A0"
    for params, code in (
        ({**period(), "format": "pdf"}, "file_export_format"),
        ({"since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "file_export_period"),
        ({"since": "2021-01-01T00:00:00Z", "until": "2021-01-02T00:00:00Z"}, "file_no_lines"),
    ):
        refused = await client.get("/api/v1/files/export", headers=head, params=params)
        assert refused.json()["code"] == code, refused.text
