"""「这个码为什么没有上传？」 Every cause is told apart (R-X9, R-X1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from circulation.helpers import Goods, activate, make_market
from exchange.outbox.world import KEEPER, Exchange, exchange, forgotten
from yaosu.db.engine import Pool
from yaosu.exchange.outbox import connections, deliveries
from yaosu.exchange.outbox import why as room
from yaosu.exchange.outbox.model import Channel, Outcome, Standing
from yaosu.registry import service_lists
from yaosu.registry.places import create_place
from yaosu.subject import SYSTEM, Subject

_case = iter(range(60))
_bill = iter(range(1, 1000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool) -> AsyncIterator[tuple[Exchange, Goods]]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=40, per_case=4)
        yield exchange(pool, market), goods


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(world: tuple[Exchange, Goods]) -> tuple[Exchange, list[str]]:
    """A connection-less world and four boxes nobody used."""
    box, goods = world
    return await forgotten(box), goods.boxes_of(next(_case))


async def asked(
    box: Exchange, code: str, by: Subject | None = None, channels: dict[str, Channel] | None = None
) -> room.Why:
    async with box.pool.acquire() as conn:
        subject = by or box.subject(box.market.maker)
        return await room.why(conn, subject, box.market.registry, channels or {}, code)


async def shipped(box: Exchange, codes: list[str]) -> tuple[int, str]:
    """A routed shipment of the maker with one connection: the connection and the bill's number."""
    link = await box.connect(box.market.maker, "jianguan")
    number = f"Y{next(_bill)}"
    await box.market.ship(box.market.maker, box.market.wholesaler, codes, bill_no=number)
    await box.routed()
    return link, number


async def code_of(box: Exchange, code: str) -> str:
    return (await asked(box, code)).answer.finding.code


ANSWERS = [
    ([Outcome("failed", 200, "no such receiver", final=True)], "why_rejected", "no such receiver"),
    ([Outcome("failed", 503, "busy")], "why_failed", "busy"),
    ([Outcome("failed", 503, "busy")] * 9, "why_at_rest", "busy"),
    ([Outcome("unknown", None, "line dead")], "why_unknown", ""),
    ([Outcome("sent", 200, "took it", remote="T-7")], "why_sent", "T-7"),
    ([Outcome("processed", 200, "ok", remote="T-8")], "why_done", "T-8"),
]


@pytest.mark.parametrize(("answers", "code", "words"), ANSWERS, ids=[a[1] for a in ANSWERS])
async def test_what_the_other_side_said_is_the_answer(
    fresh: tuple[Exchange, list[str]], answers: list[Outcome], code: str, words: str
) -> None:
    box, boxes = fresh
    await shipped(box, boxes)
    assert await code_of(box, boxes[0]) == "why_pending"
    box.other.answers += answers
    for _ in answers:
        async with box.pool.acquire() as conn:
            await conn.execute("UPDATE delivery SET next_at = now() WHERE next_at < 'infinity'")
        await box.box.once()
    found = (await asked(box, boxes[0])).answer
    assert found.finding.code == code
    assert words in found.finding.text("zh") and words in found.finding.text("en")
    assert found.finding.next_step("zh") and found.delivery


async def test_a_code_that_they_skipped_is_told_from_one_that_they_took(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    await shipped(box, boxes)
    box.other.answers.append(
        Outcome("partly", 200, "one skipped", details={"codes": {boxes[0]: {"text": "unknown"}}})
    )
    await box.sent()
    assert [await code_of(box, boxes[0]), await code_of(box, boxes[1])] == ["why_partly", "why_done"]


async def test_a_code_that_they_took_with_a_doubt_is_told_from_one_that_they_took(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    await shipped(box, boxes)
    said = {boxes[0]: {"code": "warned", "text": "settled elsewhere"}}
    box.other.answers.append(Outcome("processed", 200, "with a doubt", details={"codes": said}))
    await box.sent()
    assert [await code_of(box, boxes[0]), await code_of(box, boxes[1])] == ["why_doubted", "why_done"]
    found = (await asked(box, boxes[0])).answer
    async with box.pool.acquire() as conn:
        told = await deliveries.get(conn, box.subject(box.market.maker), found.delivery or 0)
    assert (told["state"], told["advice"]) == ("processed", "delivery_doubted")
    assert told["next"]


async def test_what_people_did_is_told(fresh: tuple[Exchange, list[str]]) -> None:
    box, boxes = fresh
    link, number = await shipped(box, boxes[:2])
    subject = box.subject(box.market.maker)
    more = {"to_org": box.market.wholesaler, "bill_no": number}
    async with box.pool.acquire() as conn:
        (one,) = await deliveries.listed(conn, subject)
        async with conn.transaction():
            await connections.set_state(conn, subject, link, "held")
        assert await code_of(box, boxes[0]) == "why_link_held"
        async with conn.transaction():
            await connections.set_state(conn, subject, link, "active")
            await deliveries.hold(conn, subject, one["id"], "买方有异议")
        assert "买方有异议" in (await asked(box, boxes[0])).answer.finding.text("zh")
        await box.market.move(201, box.market.maker, boxes[:1], revision=2, **more)
        await box.routed()
        assert await code_of(box, boxes[0]) == "why_waits"
        async with conn.transaction():
            await deliveries.give_up(conn, subject, one["id"], "改用纸质")
        second = max(d["id"] for d in await deliveries.listed(conn, subject))
        async with conn.transaction():
            await deliveries.give_up(conn, subject, second, "改用纸质")
        assert await code_of(box, boxes[0]) == "why_given_up"


async def test_a_void_bill_and_a_missing_key_and_an_exempt_product_are_told(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market = box.market
    link = await box.connect(market.maker, "jianguan")
    async with box.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "UPDATE connection SET secret = '\\x00010203040506070809101112131415161718' WHERE id = $1", link
        )
    await market.ship(market.maker, market.wholesaler, boxes[:1], bill_no="Z1")
    await box.routed()
    assert await code_of(box, boxes[0]) == "why_no_credentials"
    async with box.pool.acquire() as conn, conn.transaction():
        await connections.rotate(conn, box.subject(market.maker), KEEPER, link, {"app_secret": "s"})
        await conn.execute("UPDATE route_due SET next_at = now()")
    await box.routed()
    assert await code_of(box, boxes[0]) == "why_pending"

    async with box.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "UPDATE product SET flags = flags || '{herbal_slice}' WHERE id = $1", market.drug_id
        )
        await service_lists.override_item(
            conn,
            SYSTEM,
            "exemption",
            "test.all",
            "试点豁免",
            "exempt",
            "测试",
            attrs={"scope": "coding", "flag": "herbal_slice"},
        )  # fmt: skip
    await box.router._registry.refresh(market.conn)
    await market.ship(market.maker, market.wholesaler, boxes[1:2], bill_no="Z2")
    await box.routed()
    assert await code_of(box, boxes[1]) == "why_exempt"
    async with box.pool.acquire() as conn, conn.transaction():
        await conn.execute(
            "UPDATE product SET flags = array_remove(flags, 'herbal_slice') WHERE id = $1", market.drug_id
        )
    await box.router._registry.refresh(market.conn)

    await market.ship(market.maker, market.wholesaler, boxes[2:3], bill_no="Z3")
    await market.move(201, market.maker, [], to_org=market.wholesaler, bill_no="Z3", revision=2, void=True)
    assert await code_of(box, boxes[2]) == "why_void"


async def test_the_reason_is_in_the_readers_language(fresh: tuple[Exchange, list[str]]) -> None:
    box, boxes = fresh
    await box.connect(box.market.maker, "top")
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes)
    await box.routed()
    zh = box.subject(box.market.maker)
    en = Subject(zh.kind, zh.account_id, zh.org_id, zh.org_type, zh.role, zh.scopes, lang="en")
    found = (await asked(box, boxes[0], en)).answer
    assert found.finding.code == "why_not_owed"
    assert found.finding.text("en").isascii() or "trace system" in found.finding.text("en")
    assert "所属" not in found.finding.text("en")


async def test_what_was_only_activated_is_not_older_than_the_connection(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    await box.connect(box.market.maker, "jianguan")
    found = (await asked(box, boxes[0])).answer
    assert found.finding.code == "why_not_owed" and "激活" in found.finding.text("zh")


async def test_a_box_that_went_in_a_case_and_was_taken_out_elsewhere_was_uploaded_with_the_case(
    world: tuple[Exchange, Goods], fresh: tuple[Exchange, list[str]]
) -> None:
    box = fresh[0]
    goods, market = world[1], box.market
    case = goods.cases[next(_case)]
    inside = goods.boxes_of(goods.cases.index(case))
    await shipped(box, [case])
    await box.sent()
    assert await code_of(box, inside[0]) == "why_done"
    await market.move(102, market.wholesaler, [case], from_org=market.maker)
    await market.ship(market.wholesaler, market.pharmacy, inside[:1])
    found = await asked(box, inside[0])
    assert found.answer.finding.code == "why_done", "the maker shipped it inside the case"
    sold_on = await asked(box, inside[0], box.subject(market.pharmacy))
    assert sold_on.answer.finding.code == "why_not_scanned"


async def test_a_hospital_is_told_of_its_wards_and_the_operator_of_everybody(
    fresh: tuple[Exchange, list[str]],
) -> None:
    box, boxes = fresh
    market = box.market
    await box.connect(market.hospital, "jianguan")
    await market.pass_on(market.maker, market.hospital, boxes)
    ward = (await create_place(market.conn, market.subject(market.hospital), f"病区{next(_bill)}", 3904)).id
    await box.router._registry.refresh(market.conn)
    market.registry = box.router._registry
    await market.move(203, market.hospital, boxes[:2], to_org=ward)
    await market.move(104, ward, boxes[:2], from_org=market.hospital)
    await market.move(323, ward, boxes[:1], bill_no=f"WARD-{next(_bill)}")
    await box.routed()
    await box.sent()
    found = await asked(box, boxes[0], box.subject(market.hospital))
    assert found.answer.finding.code == "why_done" and "WARD" in str(found.answer.finding.params["bill_no"])
    operator = await asked(box, boxes[0], SYSTEM)
    assert operator.answer.finding.code == "why_no_connection"


async def test_what_an_ended_connection_uploaded_is_uploaded(fresh: tuple[Exchange, list[str]]) -> None:
    box, boxes = fresh
    link, _ = await shipped(box, boxes)
    await box.sent()
    async with box.pool.acquire() as conn, conn.transaction():
        await connections.set_state(conn, box.subject(box.market.maker), link, "ended", "换系统")
    assert await code_of(box, boxes[0]) == "why_done"


@pytest.mark.parametrize(
    ("state", "code"),
    [("done", "why_done"), ("failed", "why_failed"), ("pending", "why_pending"), ("none", "why_due")],
)
async def test_a_channel_with_a_stream_of_its_own_says_how_the_bill_stands_in_it(
    fresh: tuple[Exchange, list[str]], state: str, code: str
) -> None:
    box, boxes = fresh
    await box.connect(box.market.maker, "jianguan")
    await box.market.ship(box.market.maker, box.market.wholesaler, boxes, bill_no=f"Y{next(_bill)}")

    async def stands(conn: object, link: int, bill: int) -> Standing:
        return Standing(state, "12", "503 busy")

    one = box.other.channel("jianguan")
    streamed = Channel(one.name, one.zh, one.en, one.build, one.send, stands=stands)
    found = (await asked(box, boxes[0], channels={"jianguan": streamed})).answer
    assert found.finding.code == code
