"""Movement → event → capture into a second database → the same state (issue 4 §4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from exchange.epcis.helpers import EXPIRES, MADE, World, code, document, event, sscc
from yaosu.db.engine import Connection, open_pool

UNITS = """
SELECT drug_id, code, parent, level, status, holder, dest, coalesce(qty, 1) AS qty FROM unit
ORDER BY drug_id, code"""
BALANCES = """
SELECT b.drug_id, t.batch_no, b.org, b.status, b.qty FROM balance b
JOIN batch t ON t.drug_id = b.drug_id AND t.id = b.batch_id WHERE b.qty <> 0 ORDER BY 1, 2, 3, 4"""
BILLS = """
SELECT owner, type, bill_no, revision, status, from_org, to_org, qty, happened_at,
    CASE WHEN type <> 101 THEN header END AS header FROM bill
WHERE type > 5 ORDER BY owner, bill_no, revision, type"""


async def state_of(conn: Connection) -> dict[str, list[dict[str, Any]]]:
    """What both databases must agree on."""
    return {
        name: [dict(r) for r in await conn.fetch(sql)]
        for name, sql in (("units", UNITS), ("balances", BALANCES), ("bills", BILLS))
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin(
    world: World, server_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A second database with the same organisations, products and keys, and nothing moved yet."""
    import asyncpg

    from yaosu.api.app import create_app
    from yaosu.settings import Settings

    name = "yaosu_epcis_twin"
    head, _, tail = server_address.partition("?")
    address = head.rsplit("/", 1)[0] + "/" + name + (f"?{tail}" if tail else "")
    admin = await asyncpg.connect(server_address)
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    # the first keeps its connections, so it cannot be the template; its basic data are copied
    await admin.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    from yaosu.db.engine import connect
    from yaosu.db.migrate import migrate

    fresh = await connect(address)
    await migrate(fresh)
    tables = ("org", "api_key", "filing", "product", "package_level", "code_prefix", "product_link")
    async with world.pool.acquire() as conn:
        for table in tables:
            rows = await conn.fetch(f"SELECT * FROM {table}")
            if rows:
                columns = list(rows[0].keys())
                places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
                await fresh.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE VALUES ({places})"
                    " ON CONFLICT DO NOTHING",
                    [tuple(r.values()) for r in rows],
                )
    await fresh.close()
    settings = Settings(
        data=tmp_path_factory.mktemp("twin"),
        database_url=address,
        host="127.0.0.1",
        port=0,
        public_url="http://twin",
    )
    app = create_app(settings, address)
    pool = await open_pool(address)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://twin"
        ) as client,
    ):
        made = World(**{**world.__dict__, "client": client, "pool": pool})
        yield made
    await pool.close()
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.close()


START = datetime.now(UTC) - timedelta(minutes=50)
_steps = {"S1": 1, "R1": 2, "S2": 3, "R2": 4, "V1": 5, "S3": 6, "D1": 7, "S4": 50, "R4": 50}
"""When each bill happened, in minutes."""


async def native(world: World, org: int, kind: int, codes: list[str], **more: Any) -> dict[str, Any]:
    """A bill through the native API."""
    happened = START + timedelta(minutes=_steps[more["bill_no"]])
    body = {"type": kind, "happened_at": happened.isoformat(), "codes": codes, **more}
    answer = await world.client.post("/api/v1/movements", json=body, headers=world.keys[org])
    found: dict[str, Any] = answer.json()
    assert found.get("status") == "accepted", answer.text
    return found


async def export(world: World, org: int, per_page: int, **headers: str) -> list[httpx.Response]:
    """Every page of everything that an organisation can see."""
    pages = []
    url = f"/epcis/events?perPage={per_page}"
    while url:
        got = await world.client.get(url, headers={**world.keys[org], **headers})
        assert got.status_code == 200, got.text
        pages.append(got)
        link = got.headers.get("link", "")
        url = link[1 : link.index(">")].replace("http://test", "") if link else ""
    return pages


def own_of(body: dict[str, Any], party: str) -> list[dict[str, Any]]:
    """Events that happened at the party's place: what it captures elsewhere as its own."""
    items = body["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    return [e for e in items if e["readPoint"]["id"] == party]


async def test_events_of_native_bills_lead_to_the_same_state_in_a_second_database(
    world: World, twin: World
) -> None:
    maker, wholesaler, pharmacy = world.maker, world.wholesaler, world.pharmacy
    rows = ["code,level,parent,flag,batch_no,made_on,expires_on"]
    cases = [code(c) for c in world.cases(3)]
    boxes = [code(b) for b in world.boxes(6)]
    for n, case in enumerate(cases):
        rows.append(f"{case},2,,0,RT1,{MADE},{EXPIRES}")
        rows += [f"{b},1,{case},,RT1,{MADE},{EXPIRES}" for b in boxes[2 * n : 2 * n + 2]]
    answer = await world.client.post(
        "/api/v1/relations",
        params={"stock_in": "true", "happened_at": START.isoformat()},
        content="\n".join(rows).encode(),
        headers={**world.keys[maker], "content-type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    ship = await native(
        world,
        maker,
        201,
        cases[:2],
        to_org=world.uscc[wholesaler],
        bill_no="S1",
        header={"order_code": "PO 7/中"},
    )
    await native(world, wholesaler, 102, [cases[0]], notice="S1", bill_no="R1")
    # a box out of its case goes on alone
    await native(world, wholesaler, 201, [boxes[0]], to_org=world.uscc[pharmacy], bill_no="S2")
    await native(world, pharmacy, 102, [boxes[0]], from_org=world.uscc[wholesaler], bill_no="R2")
    await native(world, pharmacy, 321, [boxes[0]], bill_no="V1")
    # a shipment that turns out wrong: the second case never left
    corrected = await native(
        world,
        maker,
        201,
        cases[:1],
        to_org=world.uscc[wholesaler],
        bill_no="S1",
        revision=2,
        header={"order_code": "PO 7/中"},
    )
    wrong = await native(world, maker, 201, [cases[2]], to_org=world.uscc[wholesaler], bill_no="S3")
    voided = await world.client.post(
        f"/api/v1/bills/{wrong['bill_id']}/void", json={"reason": "没有发出"}, headers=world.keys[maker]
    )
    assert voided.status_code == 200 and ship["bill_id"] != corrected["bill_id"]
    await native(world, maker, 215, [boxes[4]], bill_no="D1")
    # a carton and a case on a pallet: received by its label, the carton emptied where it stands
    pallet, carton = f"(00){sscc(951)}", f"(00){sscc(952)}"
    for org, act, body in (
        (maker, "pack", {"container": carton, "codes": [cases[1]]}),
        (maker, "pack", {"container": pallet, "codes": [carton, cases[2]]}),
        (maker, "S4", {"to_org": world.uscc[wholesaler]}),
        (wholesaler, "R4", {"from_org": world.uscc[maker]}),
        (wholesaler, "unpack", {"codes": [boxes[2]]}),
        (wholesaler, "unpack", {"codes": [carton], "whole": True}),
    ):
        if act in _steps:
            await native(world, org, 201 if act == "S4" else 102, [pallet], bill_no=act, **body)
            continue
        answer = await world.client.post(f"/api/v1/packing/{act}", json=body, headers=world.keys[org])
        assert answer.status_code == 200, answer.text

    told: list[dict[str, Any]] = []
    for org in (maker, wholesaler, pharmacy):
        for page in await export(world, org, 50):
            for one in own_of(page.json(), world.party(org)):
                told.append({"org": org, **one})
    # each organisation captures its own events in the second database, in the order of recording
    groups: list[tuple[int, list[dict[str, Any]]]] = []
    for one in sorted(told, key=lambda e: e["recordTime"]):
        org = one.pop("org")
        if groups and groups[-1][0] == org:
            groups[-1][1].append(one)
        else:
            groups.append((org, [one]))
    for org, events in groups:
        await twin.done(document(*events), org)
    async with world.pool.acquire() as here, twin.pool.acquire() as there:
        mine, theirs = await state_of(here), await state_of(there)
    assert theirs["units"] == mine["units"]
    assert theirs["balances"] == mine["balances"]
    assert theirs["bills"] == mine["bills"]


async def test_a_void_is_told_as_the_event_with_an_error_declaration(world: World) -> None:
    found = await world.events(EXISTS_errorDeclaration="true")
    reasons = sorted(e["errorDeclaration"]["reason"] for e in found)
    assert reasons == ["did_not_occur", "incorrect_data"]
    corrected = next(e for e in found if e["errorDeclaration"]["reason"] == "incorrect_data")
    (again,) = await world.events(EQ_eventID=corrected["errorDeclaration"]["correctiveEventIDs"][0])
    assert again["yaosu:billNo"] == "S1" and again["yaosu:revision"] == 2
    both = await world.events(EQ_eventID=corrected["eventID"])
    assert ["errorDeclaration" in e for e in both] == [False, True]


async def test_the_seller_and_the_buyer_see_an_event_and_a_stranger_does_not(world: World) -> None:
    mine = await world.events(world.maker, EQ_bizStep="shipping", **{"EQ_yaosu:billNo": "S1"})
    assert mine and not await world.events(world.stranger)
    assert await world.events(world.wholesaler, EQ_eventID=mine[0]["eventID"])
    assert not await world.events(world.pharmacy, EQ_eventID=mine[0]["eventID"])


async def test_xml_tells_the_same_events(world: World) -> None:
    from yaosu.exchange.epcis import reading_json, reading_xml
    from yaosu.exchange.epcis.checks import check
    from yaosu.exchange.epcis.hashing import hash_id

    (page,) = await export(world, world.maker, 500)
    (xml,) = await export(world, world.maker, 500, accept="application/xml")
    plain = reading_json.document(page.content)
    marked = reading_xml.document(xml.content)
    assert len(plain.events) == len(marked.events) > 5
    for one, other in zip(plain.events, marked.events, strict=True):
        assert check(one) == [] and check(other) == []
        assert hash_id(one.body, one.prefixes) == hash_id(other.body, other.prefixes)


async def test_a_consumers_sale_by_epcis_moves_the_box(world: World) -> None:
    cases, boxes = await world.goods(lot="SALE1")
    await world.done(
        document(
            event(
                action="OBSERVE",
                bizStep="shipping",
                epcList=cases,
                minutes=40,
                destinationList=[{"type": "possessing_party", "destination": world.party(world.pharmacy)}],
            )
        )
    )
    await world.done(document(event(action="OBSERVE", bizStep="receiving", epcList=cases)), world.pharmacy)
    await world.done(
        document(
            event(
                action="OBSERVE",
                bizStep="retail_selling",
                disposition="retail_sold",
                epcList=boxes[:1],
                minutes=1,
            )
        ),
        world.pharmacy,
    )
    assert (await world.unit(code(boxes[0])))[:2] == ("S", world.pharmacy)
