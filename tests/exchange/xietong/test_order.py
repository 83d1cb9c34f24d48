"""Events that come in another order than they happened are booked in the end, once (R-B9)."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from registry.helpers import make_org
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.exchange.adopt.service import set_foreign
from yaosu.exchange.xietong import apply_base, apply_bills, desk, envelope
from yaosu.exchange.xietong import store_client as store
from yaosu.registry import service
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings
from yaosu.subject import SYSTEM

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINK = 41
ORIGIN = "xt-other"
_numbers = itertools.count(1)
_bills = itertools.count(1)


@dataclass
class World:
    """Home of the codes, and a wholesaler and a pharmacy that work in another system."""

    app: AppState
    market: Market
    seller: str
    shop: str
    maker: str

    async def arrives(self, kind: int, owner: str, codes: list[str], **more: Any) -> str:
        """An event from the platform; the bill's number."""
        number: str = more.pop("bill_no", f"F{next(_bills)}")
        content = {
            "owner": owner,
            "bill_no": number,
            "type": kind,
            "happened_at": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
            "codes": codes,
            **more,
        }
        n = next(_numbers)
        packed = envelope.pack(content)
        async with self.app.pool.acquire() as conn:
            await conn.execute(store.ENSURE_PLACE, LINK)
            await conn.fetchval(store.TAKE, LINK, n, uuid.uuid4(), 20, "2002", owner, ORIGIN, packed)
        return number

    async def work(self) -> list[str]:
        """Book what can be booked now; the states in order of arrival."""
        while await desk.work(self.app, LINK):
            pass
        return [
            r["state"] for r in await self.market.conn.fetch("SELECT state FROM xietong_inbox ORDER BY n")
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        seller = await make_org(conn, OrgType.WHOLESALER)
        shop = await make_org(conn, OrgType.RETAIL)
        system = await service.put_system(conn, SYSTEM, "系统乙", "", "https://b.example/q/")
        await conn.execute(store.SET_ORIGIN, "system", system.id, ORIGIN, ORIGIN)
        await set_foreign(conn, [seller, shop], system.id)
        market.registry = await load_registry(conn)
        settings = Settings(tmp_path_factory.mktemp("d"), "", "127.0.0.1", 0, "http://test")
        app = AppState(settings, "", pool)
        committer = Committer(pool, market.batches)
        app.parts |= {"registry": market.registry, "committer": committer}
        committer.start()
        uscc = [market.registry.org(o).uscc for o in (seller, shop, market.maker)]  # type: ignore[union-attr]
        yield World(app, market, *uscc)
        await committer.stop()


async def goods_sent(world: World) -> tuple[Goods, int]:
    goods = await activate(world.market, cases=1, per_case=4)
    seller = world.market.registry.org_by_uscc(world.seller)
    assert seller is not None
    await world.market.ship(world.market.maker, seller.id, goods.cases, bill_no=f"CK{next(_bills)}")
    return goods, seller.id


async def test_a_story_told_backwards_is_booked_forwards(world: World) -> None:
    goods, _ = await goods_sent(world)
    boxes = goods.boxes[:2]
    await world.arrives(321, world.shop, [boxes[0]])
    await world.arrives(102, world.shop, boxes, **{"from": world.seller})
    await world.arrives(201, world.seller, boxes, to=world.shop)
    await world.arrives(102, world.seller, goods.cases, **{"from": world.maker})
    states = await world.work()
    assert states[-4:] == ["done"] * 4
    assert (await world.market.status(boxes[0]))[0] == "S"
    await world.market.conserved()


async def test_a_correction_that_overtakes_its_first_revision_stands(world: World) -> None:
    goods, seller = await goods_sent(world)
    await world.arrives(102, world.seller, goods.cases, **{"from": world.maker})
    number = f"K{next(_bills)}"
    two, one = goods.boxes[:2], goods.boxes[:1]
    await world.arrives(201, world.seller, one, to=world.shop, bill_no=number, revision=2)
    await world.arrives(201, world.seller, two, to=world.shop, bill_no=number)
    assert (await world.work())[-3:] == ["done"] * 3
    assert (await world.market.status(two[0]))[0] == "O"
    assert (await world.market.status(two[1]))[:2] == ("I", seller)


async def test_a_correction_and_a_void_follow(world: World) -> None:
    goods, seller = await goods_sent(world)
    await world.arrives(102, world.seller, goods.cases, **{"from": world.maker})
    number = await world.arrives(201, world.seller, goods.boxes[:2], to=world.shop)
    await world.arrives(201, world.seller, goods.boxes[1:3], to=world.shop, bill_no=number, revision=2)
    assert (await world.work())[-3:] == ["done"] * 3
    assert [(await world.market.status(b))[0] for b in goods.boxes[:3]] == ["I", "O", "O"]
    await world.arrives(
        201, world.seller, goods.boxes[1:3], to=world.shop, bill_no=number, revision=3, void=True
    )
    assert (await world.work())[-1] == "done"
    assert [(await world.market.status(b))[:2] for b in goods.boxes[:3]] == [("I", seller)] * 3
    await world.market.conserved()


async def test_a_system_cannot_speak_for_a_firm_that_works_here(world: World) -> None:
    goods = await activate(world.market, cases=1)
    await world.arrives(201, world.maker, goods.cases, to=world.shop)
    assert (await world.work())[-1] == "waiting"
    said = await world.market.conn.fetchval("SELECT said FROM xietong_inbox ORDER BY n DESC LIMIT 1")
    assert said["error"]["code"] == "xietong_not_your_firm"
    assert (await world.market.status(goods.cases[0]))[:2] == ("I", world.market.maker)


async def test_what_can_never_be_booked_is_refused_after_the_last_try_with_every_code_named(
    world: World,
) -> None:
    goods, _ = await goods_sent(world)
    await world.arrives(102, world.seller, goods.cases, **{"from": world.maker})
    await world.arrives(201, world.seller, [goods.boxes[0], "83857930000000010001"], to=world.shop)
    assert (await world.work())[-2:] == ["done", "waiting"]
    await world.market.conn.execute(
        "UPDATE xietong_inbox SET tries = 8, next_at = now() WHERE n = (SELECT max(n) FROM xietong_inbox)"
    )
    assert (await world.work())[-1] == "partly"
    said = await world.market.conn.fetchval("SELECT said FROM xietong_inbox ORDER BY n DESC LIMIT 1")
    assert [r["code"] for r in said["refused"]] == ["83857930000000010001"]
    assert (await world.market.status(goods.boxes[0]))[0] == "O"


async def test_a_firm_of_two_systems_is_spoken_for_by_both_and_described_by_the_first(world: World) -> None:
    conn, registry = world.market.conn, world.market.registry
    shop = registry.org_by_uscc(world.shop)
    assert shop is not None
    third = await service.put_system(conn, SYSTEM, "系统丙", "", "")
    await conn.execute(store.SET_ORIGIN, "system", third.id, "xt-third", "xt-third")
    await conn.execute(store.SET_ORIGIN, "org", shop.id, ORIGIN, world.shop)
    body = {"usc_id": world.shop, "name": "冒名药房", "type": 4, "region": "370102"}

    async def works_there(customer: bool) -> None:
        content = envelope.Content({**body, "customer": customer})
        await apply_base.apply(conn, registry, "xt-third", "firm", content)

    async def speaks(origin: str, home: int) -> bool:
        return await apply_bills.speaks_for(conn, origin, home, shop.id)

    home = await conn.fetchval("SELECT system_id FROM foreign_org WHERE org = $1", shop.id)
    assert (await speaks(ORIGIN, home), await speaks("xt-third", third.id)) == (True, False)
    await works_there(True)
    assert (await speaks(ORIGIN, home), await speaks("xt-third", third.id)) == (True, True)
    assert await conn.fetchval("SELECT name FROM org WHERE id = $1", shop.id) == shop.name
    await works_there(False)
    assert (await speaks(ORIGIN, home), await speaks("xt-third", third.id)) == (True, False)
