"""Who a sale was to goes to 码上放心 only where the firm says so, and stands nowhere on its way (R-C2, design §6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
import pytest_asyncio

from circulation.helpers import activate
from exchange.top.client import TopClient
from exchange.top.world import World, bill_time, make_world
from registry.helpers import make_product
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top.channel import Top
from yaosu.exchange.top.client import talk
from yaosu.people import service as people
from yaosu.registry.resolver import load_registry

pytestmark = pytest.mark.asyncio(loop_scope="module")
RETAIL = "alibaba.alihealth.drugtrace.top.lsyd.uploadretail"
PREFIXES = ("8399001", "8399002", "8399003")
LADDER = (("盒", 1), ("箱", 10), ("托盘", 40))
BUYER = {
    "customer_id_type": "1",
    "customer_id": "11010519491231002X",
    "user_name": "赵六",
    "user_tel": "13800000001",
}
STAFF = {"medic_doctor": "李医师", "medic_dispenser": "王药师"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def till(world: World) -> TopClient:
    return await world.client(world.market.pharmacy)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def boxes(world: World) -> list[str]:
    """Boxes of a product whose sale names the buyer, at the pharmacy."""
    m = world.market
    levels = tuple((n, u, p) for (n, u), p in zip(LADDER, PREFIXES, strict=True))
    drug = await make_product(
        m.conn,
        m.maker,
        levels=levels,
        flags=("ephedrine",),
        prescription="otc_a",
        generic_name="复方伪麻胶囊",
    )
    await world.app.parts["registry"].refresh(m.conn)
    street = replace(m, registry=await load_registry(m.conn), drug_id=drug, prefixes=PREFIXES)
    goods = await activate(street)
    await street.pass_on(m.maker, m.pharmacy, goods.cases)
    return goods.boxes


def link_of(world: World, **account: str) -> Link:
    known = {"app_key": "12345678", **account}
    return Link(
        7, world.market.pharmacy, "top", "", "码上放心", "https://x.example/", known, {"app_secret": "s"}
    )


async def sold(world: World, till: TopClient, box: str) -> int:
    """Our number of a sale to a named person."""
    me = await world.alias(world.market.pharmacy)
    bill = {"bill_code": world.number("SM"), "bill_time": bill_time(timedelta(minutes=1)), "bill_type": "321",
            "ref_user_id": me.ref_ent_id, "trace_codes": box, **BUYER, **STAFF}  # fmt: skip
    answer = await till.ok(RETAIL, bill)
    assert answer["response_success"] is True, answer
    return int(answer["model"])


def delivery(bill_id: int) -> Any:
    return SimpleNamespace(body={"what": "retail", "bill_code": "X"}, bill_id=bill_id, tries=0)


async def test_a_sale_names_its_buyer_where_the_firm_wants_it_and_that_is_on_record(
    world: World, till: TopClient, boxes: list[str]
) -> None:
    bill = await sold(world, till, boxes[0])
    channel, count = Top(world.app), "SELECT count(*) FROM audit WHERE action = 'person.sent'"
    assert await channel._buyer(delivery(bill), link_of(world)) == {}
    assert await channel._buyer(delivery(bill), link_of(world, buyers="no")) == {}
    async with world.app.pool.acquire() as conn:
        assert await conn.fetchval(count) == 0, "nobody was opened"
        fields = await channel._buyer(delivery(bill), link_of(world, buyers="yes"))
        assert fields == BUYER | STAFF
        assert await conn.fetchval(count) == 1
    # what is sent has the published names: the gateway takes it as one of its own
    sent = dict(parse_qsl(talk.request(link_of(world), RETAIL, fields, datetime.now(UTC)).decode()))
    assert sent["customer_id"] == BUYER["customer_id"] and sent["medic_doctor"] == STAFF["medic_doctor"]


async def test_a_receipt_has_no_buyer_and_a_person_who_was_erased_is_not_told(
    world: World, till: TopClient, boxes: list[str]
) -> None:
    bill = await sold(world, till, boxes[1])
    channel, link = Top(world.app), link_of(world, buyers="是")
    receipt = SimpleNamespace(body={"what": "in_out"}, bill_id=bill, tries=0)
    assert await channel._buyer(receipt, link) == {}  # type: ignore[arg-type]
    async with world.app.pool.acquire() as conn:
        person = await conn.fetchval("SELECT person FROM people.purchase WHERE bill_id = $1", bill)
        await people._erase(conn, [person])
    assert await channel._buyer(delivery(bill), link) == STAFF
