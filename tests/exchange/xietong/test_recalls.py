"""Recalls and locks travel between trace systems and stop the goods where they are (R-E4, R-B9)."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Market, make_market
from exchange.xietong.helpers import trace_system
from registry.helpers import make_org
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.exchange.adopt.service import set_foreign
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.xietong import client, desk, envelope, wire
from yaosu.exchange.xietong import store_client as store
from yaosu.registry.resolver import load_registry

pytestmark = pytest.mark.asyncio(loop_scope="module")
LINK, ORIGIN, HOME_NAME = 51, "xt-home", "系统乙"
_numbers = itertools.count(1)


@dataclass
class World:
    """A product whose codes live in another system, a wholesaler that works there, and firms that work here."""

    app: AppState
    market: Market
    home: int
    seller: str
    maker: str

    @property
    def product(self) -> str:
        return self.market.prefixes[0]

    def box(self) -> str:
        return f"{self.product}{600_000_000 + next(_numbers):09d}{next(_numbers):04d}"

    async def arrives(self, sub_type: str, content: dict[str, Any], origin: str = ORIGIN) -> None:
        """An event from the platform."""
        async with self.app.pool.acquire() as conn:
            owner = str(content["owner"])
            await conn.execute(store.ENSURE_PLACE, LINK)
            args = (next(_numbers), uuid.uuid4(), 20, sub_type, owner, origin, envelope.pack(content))
            await conn.fetchval(store.TAKE, LINK, *args)

    async def recalled(self, act: str = "stop", **more: Any) -> str:
        """The home recalls; the number."""
        number: str = more.pop("number", f"ZH{next(_numbers)}")
        origin = more.pop("origin", ORIGIN)
        content = {
            "owner": self.maker,
            "kind": "recall",
            "act": act,
            "number": number,
            "product": self.product,
            "happened_at": datetime.now(UTC).isoformat(),
            "title": "含量不合格",
            "reason": "留样检验含量不合格",
            "level": 1,
            **more,
        }
        await self.arrives("2008", content, origin)
        return number

    async def shipped(self, boxes: list[str], batch: str) -> str:
        """The wholesaler over there ships to ours; the bill's number."""
        number = f"F{next(_numbers)}"
        packages = [
            {
                "code": b,
                "level": 1,
                "batch_no": batch,
                "produced_on": "2026-01-01",
                "expires_on": "2059-12-31",
            }
            for b in boxes
        ]
        here = self.market.registry.org(self.market.wholesaler)
        assert here is not None
        at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        content = {"owner": self.seller, "to": here.uscc, "type": 201, "bill_no": number, "happened_at": at}
        await self.arrives("2002", {**content, "codes": boxes, "packages": packages})
        return number

    async def work(self) -> list[tuple[str, Any]]:
        while await desk.work(self.app, LINK):
            pass
        rows = await self.market.conn.fetch(
            "SELECT state, said FROM xietong_inbox WHERE connection = $1 ORDER BY n", LINK
        )
        return [(r["state"], r["said"]) for r in rows]

    async def receive(self, boxes: list[str]) -> dict[str, str]:
        """Verdict of each box when our wholesaler receives it, and where it stands then."""
        market = self.market
        seller = market.registry.org_by_uscc(self.seller)
        assert seller is not None
        await market.move(102, market.wholesaler, boxes, from_org=seller.id, bill_no=f"R{next(_numbers)}")
        return {b: (await market.status(b))[0] for b in boxes}

    async def sell(self, box: str) -> str:
        """What the scan of a sale to our pharmacy says."""
        market = self.market
        result = await market.move(
            201, market.wholesaler, [box], to_org=market.pharmacy, bill_no=f"S{next(_numbers)}"
        )
        return str(result.results[0].verdict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        home = await conn.fetchval(
            "INSERT INTO trace_system (name, query_url) VALUES ($1, 'https://b.example/q/') RETURNING id",
            HOME_NAME,
        )
        await conn.execute("UPDATE code_prefix SET system_id = $1 WHERE drug_id = $2", home, market.drug_id)
        seller = await make_org(conn, type=2)
        await set_foreign(conn, [seller, market.maker], home)
        await conn.execute(store.SET_ORIGIN, "system", home, ORIGIN, ORIGIN)
        market.registry = await load_registry(conn)
        async with trace_system(pool, market, tmp_path_factory.mktemp("d")) as app:
            uscc = [market.registry.org(o).uscc for o in (seller, market.maker)]  # type: ignore[union-attr]
            yield World(app, market, home, *uscc)


async def test_what_the_home_recalls_is_stopped_here_and_its_holders_are_asked(world: World) -> None:
    boxes = [world.box(), world.box()]
    await world.shipped(boxes, "WX-A")
    await world.work()
    assert set((await world.receive(boxes)).values()) == {"I"}
    number = await world.recalled(batches=["WX-A"])
    assert [s for s, _ in await world.work()] == ["done", "done"]
    assert await world.sell(boxes[0]) == "recalled"
    order = await world.market.conn.fetchrow(
        "SELECT * FROM recall_order WHERE number = $1", f"XT{world.home}-{number}"
    )
    assert (order["state"], order["title"], order["level"]) == ("published", "含量不合格", 1)
    tasks = await world.market.conn.fetch(
        "SELECT org, on_hand FROM recall_task WHERE order_id = $1", order["id"]
    )
    assert (world.market.wholesaler, 2) in {(t["org"], t["on_hand"]) for t in tasks}
    told = await world.market.conn.fetch("SELECT kind FROM message WHERE org = $1", world.market.wholesaler)
    assert "notice_recall" in {r["kind"] for r in told}

    # the same word again changes nothing; withdrawn, the goods move again
    await world.recalled(number=number, batches=["WX-A"])
    await world.recalled("lift", number=number, reason="复检合格")
    assert {s for s, _ in await world.work()} == {"done"}
    assert await world.sell(boxes[0]) == "accepted"
    assert (
        await world.market.conn.fetchval(
            "SELECT count(*) FROM recall_order WHERE number LIKE '%' || $1", number
        )
        == 1
    )


async def test_goods_that_come_after_the_recall_are_stopped_when_they_come(world: World) -> None:
    named, others = world.box(), [world.box(), world.box()]
    await world.recalled(batches=["WX-LATE"], codes=[named])
    await world.work()
    await world.shipped([others[0]], "WX-LATE")
    await world.shipped([named, others[1]], "WX-FINE")
    assert {s for s, _ in await world.work()} == {"done"}
    where = await world.receive([others[0], named, others[1]])
    assert where == {others[0]: "Q", named: "Q", others[1]: "I"}, "what is recalled goes to quarantine"
    assert await world.sell(others[1]) == "accepted"


async def test_a_recall_that_is_over_there_keeps_the_goods_stopped(world: World) -> None:
    box = world.box()
    await world.shipped([box], "WX-END")
    await world.work()
    await world.receive([box])
    number = await world.recalled(batches=["WX-END"])
    await world.recalled("end", number=number, reason="召回完成")
    await world.work()
    state = await world.market.conn.fetchval(
        "SELECT state FROM recall_order WHERE number LIKE '%-' || $1", number
    )
    assert state == "finished"
    assert await world.sell(box) == "recalled"


async def test_a_withdrawal_that_overtakes_its_recall_waits_for_it(world: World) -> None:
    box = world.box()
    await world.shipped([box], "WX-TURN")
    await world.work()
    await world.receive([box])
    number = f"ZH-turn-{next(_numbers)}"
    await world.recalled("lift", number=number, reason="撤回")
    assert (await world.work())[-1][0] == "waiting"
    await world.recalled(number=number, batches=["WX-TURN"])
    assert [s for s, _ in (await world.work())[-2:]] == ["done", "done"]
    assert await world.sell(box) == "accepted"


async def test_a_lock_from_there_stops_and_frees(world: World) -> None:
    box = world.box()
    await world.shipped([box], "WX-LOCK")
    await world.work()
    await world.receive([box])
    number = await world.recalled(kind="lock", reason="quality", batches=["WX-LOCK"])
    await world.work()
    assert await world.sell(box) == "locked"
    await world.recalled("lift", kind="lock", number=number, reason="已排除")
    await world.work()
    assert await world.sell(box) == "accepted"


@pytest.mark.parametrize(
    ("field", "value"),
    [("level", 4), ("act", "x"), ("kind", ""), ("number", ""), ("batches", []), ("batches", [7]), ("regions", ["3"]),
     ("happened_at", "x"), ("title", ""), ("codes", "x")],
)  # fmt: skip
async def test_a_wrong_field_is_refused_at_once_and_named(world: World, field: str, value: Any) -> None:
    await world.recalled(**{"batches": ["WX-A"], field: value})
    state, said = (await world.work())[-1]
    assert state == "refused"
    assert said["error"]["code"] == "xietong_content"
    assert said["error"]["params"]["field"].startswith(field)


async def test_only_the_home_of_the_codes_stops_them(world: World) -> None:
    conn = world.market.conn
    other = await conn.fetchval("INSERT INTO trace_system (name) VALUES ('系统丙') RETURNING id")
    await conn.execute(store.SET_ORIGIN, "system", other, "xt-third", "xt-third")
    before = await conn.fetchval("SELECT count(*) FROM recall_order")
    await world.recalled(batches=["WX-A"], origin="xt-third")
    await world.recalled(product="8999999", batches=["B1"])
    assert [s for s, _ in (await world.work())[-2:]] == ["waiting", "waiting"], (
        "their products may still come"
    )
    assert await conn.fetchval("SELECT count(*) FROM recall_order") == before


async def test_what_is_made_there_of_a_product_is_known_here_before_it_comes(world: World) -> None:
    boxes = [world.box(), world.box()]
    packages = [
        {"code": b, "level": 1, "batch_no": "WX-NEW", "produced_on": "2026-01-01", "expires_on": "2059-12-31"}
        for b in boxes
    ]
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    head = {
        "owner": world.seller,
        "bill_no": f"JH{next(_numbers)}",
        "type": 1,
        "happened_at": at,
        "product": world.product,
    }
    await world.arrives("2001", {**head, "batches": [{"batch_no": "WX-NEW"}]})
    await world.arrives("2001", {**head, "part": 1, "parts": 1, "packages": packages, "codes": boxes})
    assert [s for s, _ in (await world.work())[-2:]] == ["done", "done"]
    seller = world.market.registry.org_by_uscc(world.seller)
    assert seller is not None
    assert await world.market.status(boxes[0]) == ("I", seller.id, None)
    # what is shipped later is the same goods
    await world.shipped(boxes, "WX-NEW")
    assert (await world.work())[-1][0] == "done"
    assert set((await world.receive(boxes)).values()) == {"I"}


async def test_two_systems_may_choose_the_same_event_id(world: World) -> None:
    conn, event = world.market.conn, uuid.uuid4()
    for origin in (ORIGIN, "xt-third"):
        args = (next(_numbers), event, 20, "2008", "", origin, envelope.pack({"x": 1}))
        assert await conn.fetchval(store.TAKE, LINK, *args) is not None, (
            "neither can make the other's word unheard"
        )


async def test_an_event_that_cannot_be_taken_from_the_mailbox_is_named_to_the_operator(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link(LINK + 1, 1, "xietong", "", "t", "https://x.example", {"app_id": "xt-a"}, {"key": "k"}, True)
    forged = {
        "app_id": "xt-a",
        "event_id": str(uuid.uuid4()),
        "event_type": "20",
        "sub_type": "2008",
        "n": "7",
        "from_app_id": ORIGIN,
        "timestamp": "2026-09-30 10:12:31",
        "data": "UEsDBA==",
        "sign": "0" * 64,
    }

    async def call(url: str, params: object, key: str, allowed: object) -> wire.Said:
        return wire.Said(True, True, True, "ok", "", 200, {"events": [forged]})

    monkeypatch.setattr(client.wire, "call", call)
    assert await client.pull(world.app, link) == 0
    said = await world.market.conn.fetchval("SELECT said FROM xietong_place WHERE connection = $1", link.id)
    assert said.startswith("n=7: xietong_sign")
