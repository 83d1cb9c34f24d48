"""From the bill to the end of its deliveries: once, in order, explained (R-X9, R-B9, R-A4)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from exchange.outbox.world import KEEPER, Exchange, exchange, forgotten
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import connections, deliveries
from yaosu.exchange.outbox.clock import tick
from yaosu.exchange.outbox.model import Outcome
from yaosu.exchange.outbox.why import why
from yaosu.notify.outbox import KeyReusedError, enqueue
from yaosu.registry.places import create_place
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool) -> AsyncIterator[tuple[Exchange, Goods]]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=40, per_case=10)
        yield exchange(pool, market), goods


_case = iter(range(40))


def boxes(goods: Goods) -> list[str]:
    """Ten boxes nobody has used yet."""
    return goods.boxes_of(next(_case))


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(world: tuple[Exchange, Goods]) -> AsyncIterator[tuple[Exchange, Goods]]:
    """No connections or deliveries of the test before."""
    box, goods = world
    yield await forgotten(box), goods


async def test_without_a_connection_no_bill_leaves_word(fresh: tuple[Exchange, Goods]) -> None:
    box, goods = fresh
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods))
    assert await box.market.conn.fetchval("SELECT count(*) FROM bill_due") == 0


async def test_a_bill_goes_once_and_a_correction_and_a_void_follow_in_their_order(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    market: Market = box.market
    link = await box.connect(market.maker, "jianguan")
    codes = boxes(goods)
    await market.ship(market.maker, market.wholesaler, codes, bill_no="S1")
    await market.move(201, market.maker, codes[:9], to_org=market.wholesaler, bill_no="S1", revision=2)
    await market.move(201, market.maker, [], to_org=market.wholesaler, bill_no="S1", revision=3, void=True)
    await box.routed()
    assert await box.states(link) == [("S1:1", "pending"), ("S1:2", "pending"), ("S1:3", "pending")]
    first, second, third = box.other.built
    assert len(first.lines) == 10 and first.before == ()
    assert [x.code for x in second.lines] == codes[:9] and len(second.before) == 10
    assert third.void and third.lines == () and len(third.before) == 9
    assert first.lines[0].batch_no == goods.batch_no and first.lines[0].level == 1
    # the next of a lane leaves when the one before is settled
    assert await box.box.once() == 1
    await box.sent()
    assert [k.split(":", 1)[1] for k in box.other.order] == ["S1:1", "S1:2", "S1:3"]
    assert {s for _, s in await box.states(link)} == {"processed"}
    await box.routed()
    assert len(box.other.order) == 3


async def test_secrets_are_sealed_opened_for_sending_only_and_rotated(fresh: tuple[Exchange, Goods]) -> None:
    box, goods = fresh
    link = await box.connect(box.market.maker, "jianguan")
    kept = await box.market.conn.fetchval("SELECT secret FROM connection WHERE id = $1", link)
    assert b"s3" not in kept and b"app_secret" not in kept
    async with box.pool.acquire() as conn, conn.transaction():
        one = await connections.get(conn, box.subject(box.market.maker), link)
        assert one.has_secret and "s3" not in str(one.as_json())
        await connections.rotate(conn, box.subject(box.market.maker), KEEPER, link, {"app_secret": "s4"})
        with pytest.raises(YaosuError) as refused:
            await connections.get(conn, box.subject(box.market.wholesaler), link)
        assert refused.value.code == "not_found"
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods))
    await box.routed()
    await box.sent()
    assert box.other.secrets == ["s4"]


async def test_what_may_have_arrived_is_asked_about_before_it_is_sent_again(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    link = await box.connect(box.market.maker, "jianguan")
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods), bill_no="U1")
    await box.routed()
    box.other.answers += [
        Outcome("unknown", None, "line dead"),
        Outcome("sent", 200, "took it", remote="T-7"),
    ]
    box.other.told += [
        Outcome("pending", 200, "never got it"),
        Outcome("accepted", 200, "in work"),
        Outcome("partly", 200, "one skipped", details={"codes": {"x": {"text": "unknown code"}}}),
    ]
    await box.sent()
    assert await box.states(link) == [("U1:1", "partly")]
    assert len(box.other.order) == 2 and len(box.other.asked) == 3
    subject = box.subject(box.market.maker)
    async with box.pool.acquire() as conn:
        (one,) = await deliveries.listed(conn, subject)
        full = await deliveries.get(conn, subject, one["id"])
        assert [(t["what"], t["answer"]) for t in reversed(full["tries"])] == [
            ("send", "line dead"), ("ask", "never got it"), ("send", "took it"), ("ask", "in work"),
            ("ask", "one skipped"),
        ]  # fmt: skip
        assert full["remote"] == "T-7" and full["details"]["codes"]


async def test_a_refusal_lets_the_lane_go_and_a_dead_line_stops_it_until_a_person_acts(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker, subject = box.market.maker, box.subject(box.market.maker)
    link = await box.connect(maker, "jianguan")
    codes = boxes(goods)
    await box.market.ship(maker, box.market.wholesaler, codes, bill_no="F1")
    await box.market.move(201, maker, codes[:5], to_org=box.market.wholesaler, bill_no="F1", revision=2)
    await box.routed()
    box.other.answers += [
        Outcome("failed", 200, "no such receiver", final=True),
        *[Outcome("failed", 503, "busy")] * 9,
    ]
    await box.sent()
    assert await box.states(link) == [("F1:1", "failed"), ("F1:2", "failed")]
    async with box.pool.acquire() as conn, conn.transaction():
        second, first = await deliveries.listed(conn, subject, todo=True)
        assert (first["advice"], second["advice"]) == ("delivery_refused", "delivery_at_rest")
        assert "no such receiver" in first["text"]
        told = await conn.fetchval(
            "SELECT count(*) FROM message WHERE kind LIKE 'notice_delivery%' AND org = $1", maker
        )
        assert told == 1
        await deliveries.retry(conn, subject, second["id"])
    await box.sent()
    assert await box.states(link) == [("F1:1", "failed"), ("F1:2", "processed")]
    async with box.pool.acquire() as conn, conn.transaction():
        # the later content has reached them: the earlier one must not follow it
        with pytest.raises(YaosuError) as refused:
            await deliveries.retry(conn, subject, first["id"])
        assert refused.value.code == "delivery_overtaken"
        with pytest.raises(YaosuError) as refused:
            await deliveries.give_up(conn, subject, first["id"], " ")
        assert refused.value.code == "delivery_reason_needed"
        with pytest.raises(YaosuError) as refused:
            await deliveries.give_up(conn, box.subject(box.market.wholesaler), first["id"], "not mine")
        assert refused.value.code == "not_found"
        await deliveries.give_up(conn, subject, first["id"], "superseded by revision 2")
    assert await box.states(link) == [("F1:1", "given_up"), ("F1:2", "processed")]


async def test_a_held_delivery_holds_its_lane_and_a_held_connection_everything(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker, subject = box.market.maker, box.subject(box.market.maker)
    link = await box.connect(maker, "jianguan")
    await box.market.ship(maker, box.market.wholesaler, boxes(goods), bill_no="H1")
    await box.routed()
    async with box.pool.acquire() as conn, conn.transaction():
        (one,) = await deliveries.listed(conn, subject)
        await deliveries.hold(conn, subject, one["id"], "the buyer disputes it")
    await box.sent()
    assert box.other.order == []
    async with box.pool.acquire() as conn, conn.transaction():
        await deliveries.release(conn, subject, one["id"])
        await connections.set_state(conn, subject, link, "held")
    await box.sent()
    assert box.other.order == []
    async with box.pool.acquire() as conn, conn.transaction():
        answer = await why(conn, subject, box.market.registry, {}, box.other.built[0].lines[0].code)
        assert answer.answer.finding.code == "why_link_held"
        await connections.set_state(conn, subject, link, "active")
    await box.sent()
    assert await box.states(link) == [("H1:1", "processed")]


async def test_a_limited_connection_is_left_alone_and_a_paced_one_is_not_overrun(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker = box.market.maker
    link = await box.connect(maker, "jianguan")
    await box.market.ship(maker, box.market.wholesaler, boxes(goods), bill_no="L1")
    await box.routed()
    box.other.answers += [Outcome("pending", 429, "limited", wait_s=3000)]
    assert await box.box.once() == 1
    async with box.pool.acquire() as conn:
        await conn.execute("UPDATE delivery SET next_at = now()")
    assert await box.box.once() == 0
    await box.sent()
    assert await box.states(link) == [("L1:1", "processed")]


async def test_what_a_channel_cannot_build_waits_alone_and_later_revisions_wait_behind_it(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker = box.market.maker
    link = await box.connect(maker, "jianguan")
    codes = boxes(goods)
    box.other.broken.add("B1")
    await box.market.ship(maker, box.market.wholesaler, codes, bill_no="B1")
    await box.market.move(201, maker, codes[:5], to_org=box.market.wholesaler, bill_no="B1", revision=2)
    await box.market.ship(maker, box.market.wholesaler, boxes(goods), bill_no="B2")
    await box.routed()
    assert await box.states(link) == [("B2:1", "pending")]
    async with box.pool.acquire() as conn:
        rows = await conn.fetch("SELECT error FROM route_due ORDER BY bill_id")
        assert [r["error"] for r in rows] == ["DivisionByZeroError", "behind"]
        answer = await why(conn, box.subject(maker), box.market.registry, {}, codes[0])
        assert answer.answer.finding.code == "why_unbuilt"
        await conn.execute("UPDATE route_due SET next_at = now()")
    box.other.broken.clear()
    await box.routed()
    await box.sent()
    assert [k.split(":", 1)[1] for k in box.other.order if ":B1:" in k] == ["B1:1", "B1:2"]


async def test_backfill_brings_what_was_recorded_before_and_nothing_twice(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker, subject = box.market.maker, box.subject(box.market.maker)
    begin = datetime.now(UTC) - timedelta(seconds=5)
    codes = boxes(goods)
    await box.market.ship(maker, box.market.wholesaler, codes, bill_no="P1")
    link = await box.connect(maker, "jianguan")
    async with box.pool.acquire() as conn, conn.transaction():
        answer = await why(conn, subject, box.market.registry, {}, codes[0])
        assert answer.answer.finding.code == "why_not_asked"
        assert await deliveries.backfill(conn, subject, link, begin) >= 1
    await box.routed()
    await box.sent()
    count = len(box.other.order)
    async with box.pool.acquire() as conn, conn.transaction():
        await deliveries.backfill(conn, subject, link, begin)
        with pytest.raises(YaosuError) as refused:
            await deliveries.replay(conn, subject, link)
        assert refused.value.code == "replay_own_only"
    await box.routed()
    await box.sent()
    assert len(box.other.order) == count and ("P1:1", "processed") in await box.states(link)


async def test_the_same_key_is_the_same_delivery_and_other_content_under_it_is_refused(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, _ = fresh
    async with box.pool.acquire() as conn, conn.transaction():
        one = await enqueue(conn, 1, "top", 99, "x", {"a": 1}, key="k")
        assert await enqueue(conn, 1, "top", 99, "x", {"a": 1}, key="k") == one
        with pytest.raises(KeyReusedError):
            await enqueue(conn, 1, "top", 99, "x", {"a": 2}, key="k")


async def test_codes_at_home_here_are_not_owed_to_another_system_and_why_says_so(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    maker = box.market.maker
    await box.connect(maker, "top")
    codes = boxes(goods)
    await box.market.ship(maker, box.market.wholesaler, codes)
    async with box.pool.acquire() as conn:
        registry, subject = box.market.registry, box.subject(maker)
        assert (await why(conn, subject, registry, {}, codes[0])).answer.finding.code == "why_due"
        await box.routed()
        found = await why(conn, subject, registry, {}, codes[0])
        assert found.answer.finding.code == "why_not_owed" and "所属追溯系统" in found.answer.finding.text(
            "zh"
        )
        # only activated
        assert (await why(conn, subject, registry, {}, boxes(goods)[0])).answer.finding.code == "why_not_owed"
        assert (await why(conn, subject, registry, {}, "hello")).answer.finding.code == "why_not_a_code"
        stranger = await why(conn, box.subject(box.market.hospital), registry, {}, codes[0])
        assert stranger.answer.finding.code == "why_not_scanned"
        receiver = await why(conn, box.subject(box.market.wholesaler), registry, {}, codes[0])
        assert receiver.answer.finding.code == "why_not_scanned"
    wholesaler = box.market.wholesaler
    await box.market.move(102, wholesaler, codes[:5], from_org=maker)
    strange = boxes(goods)[0]
    mixed = await box.market.move(201, wholesaler, [codes[0], strange], to_org=box.market.pharmacy)
    assert mixed.status == "partial"
    async with box.pool.acquire() as conn:
        said = await why(conn, box.subject(wholesaler), registry, {}, strange)
        assert said.answer.finding.code == "why_refused" and said.answer.bill == mixed.bill_id
        assert (
            await why(conn, box.subject(wholesaler), registry, {}, codes[0])
        ).answer.finding.code == "why_no_connection"


async def test_the_operator_connects_the_platform_and_sees_what_goes_for_everybody(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    operator = Subject(
        "account", 1, None, "", "operator", frozenset({"exchange.manage", "exchange.read", "registry.admin"})
    )
    async with box.pool.acquire() as conn, conn.transaction():
        link = await connections.add(
            conn, operator, KEEPER, "jianguan", "省局", "https://example.com", {}, {}, everyone=True
        )
        with pytest.raises(YaosuError) as refused:
            firm = replace(operator, org_id=box.market.maker, scopes=frozenset({"exchange.manage"}))
            await connections.add(
                conn, firm, KEEPER, "jianguan", "x", "https://example.com", {}, {}, everyone=True
            )
        assert refused.value.code == "forbidden"
    shipped = await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods))
    await box.routed()
    await box.sent()
    async with box.pool.acquire() as conn:
        found = await deliveries.of_bill(conn, operator, shipped.bill_id)
        assert [d["connection"] for d in found["deliveries"]] == [link]
        own = await deliveries.of_bill(conn, box.subject(box.market.maker), shipped.bill_id)
        assert own["deliveries"] == [] and own["decisions"] == []


async def test_whoever_keeps_the_connection_that_a_bill_went_out_over_sees_where_it_went(
    fresh: tuple[Exchange, Goods],
) -> None:
    """The list of what was sent leads to the bill, also where the keeper is no party to it."""
    box, goods = fresh
    await box.connect(box.market.maker, "jianguan")
    shipped = await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods))
    await box.routed()
    keeper = box.subject(box.market.other)
    async with box.pool.acquire() as conn, conn.transaction():
        with pytest.raises(YaosuError) as stranger:
            await deliveries.of_bill(conn, keeper, shipped.bill_id)
        assert stranger.value.code == "not_found"
        await conn.execute("UPDATE connection SET org = $1", keeper.org)
        await conn.execute("UPDATE delivery SET org = $1", keeper.org)
        (listed,) = await deliveries.listed(conn, keeper)
        found = await deliveries.of_bill(conn, keeper, listed["bill"])
        assert [d["id"] for d in found["deliveries"]] == [listed["id"]]
        with pytest.raises(YaosuError):
            await deliveries.of_bill(conn, box.subject(box.market.pharmacy), shipped.bill_id)


async def test_what_was_settled_long_ago_loses_its_content_and_keeps_its_digest(
    fresh: tuple[Exchange, Goods],
) -> None:
    box, goods = fresh
    await box.connect(box.market.maker, "jianguan")
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes(goods), bill_no="OLD")
    await box.routed()
    await box.sent()
    async with box.pool.acquire() as conn, conn.transaction():
        await tick(conn, None)  # type: ignore[arg-type]
        assert await conn.fetchval("SELECT body <> '{}' FROM delivery")
        await conn.execute("UPDATE delivery SET settled_at = now() - interval '400 days'")
        await tick(conn, None)  # type: ignore[arg-type]
        kept = await conn.fetchrow("SELECT body, pruned, digest FROM delivery")
        assert kept["body"] == {} and kept["pruned"] and len(kept["digest"]) == 32


async def test_a_long_queue_does_not_slow_the_claim(fresh: tuple[Exchange, Goods]) -> None:
    box, _ = fresh
    async with box.pool.acquire() as conn:
        link = await box.connect(box.market.maker, "jianguan")
        await conn.execute(
            "INSERT INTO delivery (org, target, target_id, event, kind, body, key, lane, waits)"
            " SELECT $1, 'jianguan', $2, gen_random_uuid(), 'x', '{}', 'k' || n, 'lane', n > 1"
            " FROM generate_series(1, 20000) n",
            box.market.maker,
            link,
        )
        await conn.execute("ANALYZE delivery")
    began = time.perf_counter()
    for _ in range(5):
        assert await box.box.once() == 1
    assert time.perf_counter() - began < 2
    assert box.other.order == [f"k{n}" for n in range(1, 6)]


async def test_what_a_ward_uses_is_reported_by_its_hospital(fresh: tuple[Exchange, Goods]) -> None:
    """A place has no connection of its own; made later than the hospital's, it is known at its first bill."""
    box, goods = fresh
    market: Market = box.market
    link = await box.connect(market.hospital, "jianguan")
    codes = boxes(goods)
    await market.pass_on(market.maker, market.hospital, codes)
    ward = (await create_place(market.conn, market.subject(market.hospital), "内科病区", 3904)).id
    # the router has not heard of the ward yet: it comes with its first bill
    market.registry = await load_registry(market.conn)
    await market.move(203, market.hospital, codes[:2], to_org=ward)
    await market.move(104, ward, codes[:2], from_org=market.hospital)
    await market.move(323, ward, codes[:1], bill_no="WARD-1")
    await box.routed()
    assert "WARD-1:1" in [key for key, _ in await box.states(link)]
