"""`yaosu delegation …` (R-B7, R-B8) and `yaosu place …` (R-C4): from set-up to what the principal sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import typer
from typer.testing import CliRunner

from circulation.helpers import Market, activate, make_market
from registry.helpers import make_org
from yaosu.circulation import commands, commands_acting
from yaosu.db.engine import Pool
from yaosu.registry import commands_places
from yaosu.registry.model import OrgType

Do = Callable[..., Any]
bill, delegation, place = commands.app, commands_acting.app, commands_places.app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


@pytest.fixture
def do(database: str, tmp_path: Path) -> Do:
    """Run a command: its standard output, and standard error after it. The exit code must be `code`."""

    async def run(app: typer.Typer, *words: object, code: int = 0, stdin: bytes | None = None) -> str:
        env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path)}
        done = await asyncio.to_thread(CliRunner().invoke, app, [str(w) for w in words], input=stdin, env=env)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout + done.stderr

    return run


async def test_a_carrier_moves_for_its_principal_from_one_warehouse_only_and_the_principal_sees_it(
    market: Market, do: Do
) -> None:
    carrier = await make_org(market.conn, OrgType.LOGISTICS)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.boxes[:4])
    kinds = orjson.loads(await do(place, "kinds", "--org", market.wholesaler, "--json"))
    made = await do(place, "add", "--org", market.wholesaler, "东库", "--kind", kinds[0]["kind"], "--json")
    (depot,) = orjson.loads(made)
    move = {"bill_no": "DB-1", "happened_at": "2026-10-01T10:00:00+08:00", "codes": goods.boxes[:4]}
    moved = {"type": 203, "to_org": depot["id"], **move}
    await do(bill, "submit", "-", "--org", market.wholesaler, stdin=orjson.dumps(moved))
    taken = {"type": 104, "from_org": market.wholesaler, **move, "bill_no": "DB-2"}
    await do(bill, "submit", "-", "--org", depot["id"], stdin=orjson.dumps(taken))

    words = ("--agent", carrier, "--kind", "out", "--place", depot["id"], "--until", "2035-12-31")
    offered = await do(delegation, "give", "--org", market.wholesaler, *words, "--json")
    (one,) = orjson.loads(offered)
    assert (one["state"], one["waits_for"], one["places"][0]["id"]) == ("offered", carrier, depot["id"])
    ship = {"type": 201, "owner": depot["id"], "to_org": market.pharmacy, **move, "codes": goods.boxes[:2]}
    body = orjson.dumps({**ship, "bill_no": "WT-1"})
    assert "not_your_bill" in await do(bill, "submit", "-", "--org", carrier, code=1, stdin=body)
    assert "delegation_not_waiting" in await do(
        delegation, "accept", "--org", market.wholesaler, one["id"], code=1
    )
    assert "in force" in await do(delegation, "accept", "--org", carrier, one["id"])
    await do(bill, "submit", "-", "--org", carrier, stdin=body)

    seen = orjson.loads(await do(delegation, "view", "--org", market.wholesaler, "--json"))
    (shelf,) = [w for w in seen["warehouses"] if w["org"]["id"] == depot["id"]]
    assert (shelf["stock"]["I"], [a["id"] for a in shelf["agents"]]) == (2, [carrier])
    assert [(m["bill_no"], m["agent"]["id"], m["qty"]) for m in seen["items"]] == [("WT-1", carrier, 2)]
    assert "WT-1" in await do(delegation, "view", "--org", market.wholesaler)

    await do(delegation, "withdraw", "--org", carrier, one["id"])
    again = orjson.dumps({**ship, "bill_no": "WT-2", "codes": goods.boxes[2:3]})
    assert "not_your_bill" in await do(bill, "submit", "-", "--org", carrier, code=1, stdin=again)
    assert "withdrawn" in await do(delegation, "list", "--org", market.wholesaler)
    assert "place_not_empty" in await do(place, "close", "--org", market.wholesaler, depot["id"], code=1)


async def test_what_a_delegation_cannot_say_is_refused_with_every_reason(market: Market, do: Do) -> None:
    words = ("give", "--org", market.wholesaler, "--agent", 99999, "--kind", "everything", "--drug", 99999)
    said = await do(delegation, *words, code=1)
    for code in ("party_unknown", "delegation_kind_unknown", "delegation_product_unknown"):
        assert code in said
    others = ("give", "--org", market.hospital, "--agent", market.other, "--principal", market.maker)
    assert "delegation_not_yours" in await do(delegation, *others, code=1)
    await do(delegation, "give", "--org", market.maker, "--until", "tomorrow", code=2)
    assert "not_found" in await do(delegation, "withdraw", "--org", market.hospital, 1, code=1)
    assert "not_found" in await do(delegation, "list", "--org", 99999, code=1)


async def test_a_proposal_is_declined_and_single_bill_types_stand_for_no_whole_kind(
    market: Market, do: Do
) -> None:
    carrier = await make_org(market.conn, OrgType.LOGISTICS)
    words = ("give", "--org", carrier, "--principal", market.maker, "--type", 201, "--may-read", "--json")
    (one,) = orjson.loads(await do(delegation, *words))
    assert (one["kinds"], one["bill_types"], one["may_read"]) == ([], [201], True)
    assert "declined" in await do(delegation, "decline", "--org", market.maker, one["id"])


async def test_headquarters_see_what_waits_in_their_stores(market: Market, do: Do) -> None:
    chain = await make_org(market.conn, OrgType.RETAIL, sub_type=41)
    store = await make_org(market.conn, OrgType.RETAIL, parent_id=chain, sub_type=42)
    found = orjson.loads(await do(delegation, "stores", "--org", chain, "--json"))
    assert [(s["org"]["id"], s["notices_open"]) for s in found] == [(store, 0)]
    assert str(store) in await do(delegation, "stores", "--org", chain)


async def test_a_place_is_renamed_closed_and_opened_again_by_its_own_organisation_only(
    market: Market, do: Do
) -> None:
    words = ("--org", market.hospital)
    (one,) = orjson.loads(await do(place, "add", *words, "药库", "--kind", 3901, "--json"))
    assert "中心药库" in await do(place, "rename", *words, one["id"], "中心药库")
    assert "closed" in await do(place, "close", *words, one["id"])
    assert "in use" in await do(place, "reopen", *words, one["id"])
    assert [p["id"] for p in orjson.loads(await do(place, "list", *words, "--json"))] == [one["id"]]
    assert "org_not_found" in await do(place, "close", "--org", market.pharmacy, one["id"], code=1)
    assert "place_name_taken" in await do(place, "add", *words, "中心药库", "--kind", 3901, code=1)
    assert "org_sub_type_of_other" in await do(place, "add", *words, "门店", "--kind", 42, code=1)
    assert "place_inside_place" in await do(
        place, "add", "--org", one["id"], "抢救室", "--kind", 3904, code=1
    )
