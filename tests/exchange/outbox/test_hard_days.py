"""Outages, wrong turns and changes of mind: what is owed arrives all the same, in order, once (R-X9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Goods, activate, make_market
from exchange.outbox.world import KEEPER, Exchange, exchange, forgotten
from notify.helpers import until
from yaosu.db.engine import Pool
from yaosu.exchange.outbox import connections, deliveries
from yaosu.exchange.outbox.model import Delivery, Link, Outcome
from yaosu.exchange.outbox.parts import target_of
from yaosu.exchange.outbox.why import why
from yaosu.notify.outbox import Entry, Outbox, enqueue_many
from yaosu.registry import service_lists
from yaosu.subject import SYSTEM

_case = iter(range(40))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool) -> AsyncIterator[tuple[Exchange, Goods]]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=12, per_case=6)
        yield exchange(pool, market), goods


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(world: tuple[Exchange, Goods]) -> tuple[Exchange, list[str]]:
    """Nothing owed from the test before, and six boxes nobody used."""
    box, goods = world
    return await forgotten(box), goods.boxes_of(next(_case))


class Slow:
    """A second counterpart that takes its time."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.got = 0

    async def send(self, delivery: Delivery, link: Link) -> Outcome:
        self.got += 1
        await self.go.wait()
        return Outcome("processed", 200, "ok")


async def put(box: Exchange, channel: str, link: int, count: int) -> None:
    async with box.pool.acquire() as conn, conn.transaction():
        await enqueue_many(
            conn, [Entry(1, channel, link, "x", {"n": n}, f"{link}-{n}") for n in range(count)]
        )


async def test_a_receiver_that_hangs_holds_up_nobody_else(fresh: tuple[Exchange, list[str]]) -> None:
    box, _ = fresh
    slow, market = Slow(), box.market
    one = await box.connect(market.maker, "top")
    other = await box.connect(market.maker, "jianguan")
    channel = box.other.channel("jianguan")
    hanging = type(channel)("top", "慢", "slow", channel.build, slow.send)
    targets = {"top": target_of(box.pool, KEEPER, hanging), "jianguan": target_of(box.pool, KEEPER, channel)}
    sender = Outbox(box.pool, lambda: market.registry.lists, targets)
    running = asyncio.create_task(sender.run())
    try:
        await put(box, "top", one, 6)
        await until(lambda: slow.got > 0)
        # what comes while the first are under way does not wait for them
        await put(box, "jianguan", other, 40)
        sender.wake()
        await until(lambda: len(box.other.order) == 40)
        assert slow.got <= 4, "and no more than a few go to the slow one at a time"
        slow.go.set()
        await until(lambda: slow.got == 6)
    finally:
        running.cancel()


async def test_when_the_line_is_back_what_failed_goes_at_once(fresh: tuple[Exchange, list[str]]) -> None:
    box, _ = fresh
    link = await box.connect(box.market.maker, "jianguan")
    await put(box, "jianguan", link, 4)
    box.other.answers += [
        Outcome("failed", None, "ConnectError"),
        Outcome("failed", 502, "bad gateway"),
        Outcome("failed", 400, "this one is wrong"),
        Outcome("failed", None, "ConnectError"),
    ]
    await box.box.once()
    async with box.pool.acquire() as conn:
        await conn.execute("UPDATE delivery SET next_at = now() + interval '6 hours'")
        await conn.execute(
            "UPDATE delivery SET next_at = now() WHERE id = (SELECT min(id) FROM delivery"
            " WHERE answer_status IS NULL)"
        )
    assert await box.box.once() == 1, "the first one gets through"
    assert await box.box.once() == 2, "those that only missed an answer follow"
    async with box.pool.acquire() as conn:
        rows = await conn.fetch("SELECT state, answer FROM delivery WHERE target_id = $1", link)
    assert sorted(r["state"] for r in rows) == ["failed", "processed", "processed", "processed"]
    assert next(r["answer"] for r in rows if r["state"] == "failed") == "this one is wrong"


async def test_after_an_outage_everything_at_rest_is_tried_again_in_one_act(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market, subject = box.market, box.subject(box.market.maker)
    link = await box.connect(market.maker, "jianguan")
    for n in range(3):
        await market.ship(market.maker, market.wholesaler, boxes[2 * n : 2 * n + 2], bill_no=f"O{n}")
    await market.move(201, market.maker, boxes[:1], to_org=market.wholesaler, bill_no="O0", revision=2)
    await box.routed()
    dead = [Outcome("failed", None, "ConnectError")] * 27
    box.other.answers += dead
    await box.sent(40)
    assert {s for _, s in await box.states(link)} == {"failed", "pending"}
    box.other.answers.clear()
    async with box.pool.acquire() as conn, conn.transaction():
        assert await deliveries.retry_all(conn, subject, link) == 3
    await box.sent()
    assert {s for _, s in await box.states(link)} == {"processed"}
    assert [k for k in box.other.order if ":O0:" in k][-2:] == [
        f"{market.maker}:O0:1",
        f"{market.maker}:O0:2",
    ], "a revision never overtakes the one before"


async def test_what_was_refused_for_wrong_credentials_goes_again_in_its_order(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market, subject = box.market, box.subject(box.market.maker)
    link = await box.connect(market.maker, "jianguan")
    more = {"to_org": market.wholesaler, "bill_no": "W1"}
    await market.move(201, market.maker, boxes[:2], **more)
    await market.move(201, market.maker, boxes[:1], revision=2, **more)
    await market.ship(market.maker, market.wholesaler, boxes[2:4], bill_no="W2")
    await box.routed()
    box.other.answers += [Outcome("failed", 401, "wrong key", final=True)] * 3
    await box.sent()
    assert {s for _, s in await box.states(link)} == {"failed"}
    await market.move(201, market.maker, [], revision=3, void=True, **more)
    await box.routed()
    box.other.order.clear()
    async with box.pool.acquire() as conn, conn.transaction():
        assert await deliveries.retry_all(conn, subject, link) == 0
        assert await deliveries.retry_all(conn, subject, link, refused=True) == 3
    await box.sent()
    assert {s for _, s in await box.states(link)} == {"processed"}
    assert [k.split(":", 1)[1] for k in box.other.order if ":W1:" in k] == ["W1:1", "W1:2", "W1:3"]


async def test_what_is_backfilled_after_a_change_of_name_is_not_another_thing(
    fresh: tuple[Exchange, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, boxes = fresh
    market, subject = box.market, box.subject(box.market.maker)
    link = await box.connect(market.maker, "jianguan")
    await market.ship(market.maker, market.wholesaler, boxes, bill_no="N1")
    await box.routed()
    await box.sent()
    build = box.other.build

    async def renamed(conn, bill, link):  # type: ignore[no-untyped-def]
        return [
            type(p)(p.kind, p.key, {**p.body, "name": "新名称"}, p.lane)
            for p in await build(conn, bill, link)
        ]

    channels = dict(box.router.channels)
    channels["jianguan"] = type(channels["jianguan"])("jianguan", "对方", "other", renamed, box.other.send)
    box.router.channels = channels
    async with box.pool.acquire() as conn, conn.transaction():
        assert await deliveries.backfill(conn, subject, link, datetime.now(UTC) - timedelta(minutes=5)) >= 1
    await box.routed()
    async with box.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM route_due") == 0
        body = await conn.fetchval("SELECT body FROM delivery WHERE key LIKE '%:N1:1'")
    assert "name" not in body, "what was made first stands"


async def test_what_was_told_is_taken_back_whatever_the_rules_say_by_then(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market = box.market
    link = await box.connect(market.maker, "jianguan")
    more = {"to_org": market.wholesaler, "bill_no": "T1"}
    await market.move(201, market.maker, boxes[:3], **more)
    await box.routed()
    async with box.pool.acquire() as conn, conn.transaction():
        await service_lists.override_item(
            conn, SYSTEM, "route_rule", "jianguan.all", "停报", "off", "测试", attrs={"owed": False}
        )
    registry = box.router._registry
    async with box.pool.acquire() as conn:
        await registry.refresh(conn)
    await market.move(201, market.maker, [], revision=2, void=True, **more)
    await market.ship(market.maker, market.wholesaler, boxes[3:], bill_no="T2")
    await box.routed()
    await box.sent()
    assert await box.states(link) == [("T1:1", "processed"), ("T1:2", "processed")]
    (gone,) = [b for k, b in box.other.got.items() if k.endswith("T1:2")]
    assert sorted(gone["gone"]) == sorted(boxes[:3])  # type: ignore[arg-type]
    async with box.pool.acquire() as conn, conn.transaction():
        found = await why(conn, box.subject(market.maker), registry, {}, boxes[4])
        assert found.answer.finding.code == "why_not_owed"
        await conn.execute("DELETE FROM code_list_item WHERE list = 'route_rule'")
        await conn.execute("UPDATE code_list SET version = version + 1 WHERE name = 'route_rule'")
    await registry.refresh(market.conn)


async def test_a_replay_goes_before_what_is_still_owed_of_the_same_bill(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market, subject = box.market, box.subject(box.market.maker)
    other = box.other.channel("erp")
    box.router.channels = {**box.router.channels, "erp": other}
    box.box.targets["erp"] = target_of(box.pool, KEEPER, other)
    link = await box.connect(market.maker, "erp")
    more = {"to_org": market.wholesaler, "bill_no": "R1"}
    await market.move(201, market.maker, boxes[:3], **more)
    await market.move(201, market.maker, boxes[:2], revision=2, **more)
    await box.routed()
    await box.sent()
    await market.move(201, market.maker, boxes[:1], revision=3, **more)
    await box.routed()
    box.other.order.clear()
    async with box.pool.acquire() as conn, conn.transaction():
        assert (await deliveries.replay(conn, subject, link))[0] == 2
    await box.sent()
    assert [k.split(":", 1)[1] for k in box.other.order] == ["R1:1", "R1:2", "R1:3"]


async def test_new_credentials_set_going_what_waited_for_them(fresh: tuple[Exchange, list[str]]) -> None:
    box, boxes = fresh
    market, subject = box.market, box.subject(box.market.maker)
    link = await box.connect(market.maker, "jianguan")
    await market.ship(market.maker, market.wholesaler, boxes[:2], bill_no="K1")
    await box.routed()
    box.other.answers += [Outcome("failed", 401, "wrong key")] * 9
    await box.sent()
    assert await box.states(link) == [("K1:1", "failed")]
    async with box.pool.acquire() as conn, conn.transaction():
        await connections.rotate(conn, subject, KEEPER, link, {"app_secret": "new"})
    await box.sent()
    assert await box.states(link) == [("K1:1", "processed")]
    assert box.other.secrets[-1] == "new"
