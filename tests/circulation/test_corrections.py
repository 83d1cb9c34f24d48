"""Corrections (R-X3): late-scanned codes appended, header and codes corrected, although goods have moved on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from yaosu.circulation import store_read
from yaosu.circulation.service import preview
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.trace import service as trace

AT = datetime.now(UTC) - timedelta(hours=2)


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


async def bills_lines(market: Market, bill_id: int) -> list[str]:
    drug_ids = [market.drug_id]
    rows = await market.conn.fetch(store_read.BILL_LINES, bill_id, drug_ids, None, 100)
    return [r["code"] for r in rows]


async def test_late_scanned_codes_are_appended_although_the_others_have_moved_on(market: Market) -> None:
    goods = await activate(market, cases=3)
    first = await market.ship(
        market.maker, market.wholesaler, goods.cases[:2], bill_no="XS-1", happened_at=AT
    )
    await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
    second = await market.move(
        201, market.maker, goods.cases, to_org=market.wholesaler, bill_no="XS-1", revision=2, happened_at=AT
    )
    assert [r.verdict for r in second.results] == ["kept", "accepted", "accepted"]
    assert ([k.code for k in second.kept], second.taken_back) == ([goods.cases[0]], [goods.cases[1]])
    assert second.qty == 30
    # what the buyer received stays received, with all three cases on the bill now in force
    assert await market.status(goods.cases[0]) == ("I", market.wholesaler, None)
    assert await bills_lines(market, second.bill_id) == sorted(goods.cases)
    old = await market.conn.fetchrow("SELECT * FROM notice WHERE bill_id = $1", first.bill_id)
    new = await market.conn.fetchrow("SELECT * FROM notice WHERE bill_id = $1", second.bill_id)
    assert (old["state"], old["expected"], old["received"]) == ("received", 10, 10)
    assert (new["state"], new["expected"]) == ("open", 20)
    await market.move(102, market.wholesaler, goods.cases[1:], from_org=market.maker, notice="XS-1")


async def test_a_header_is_corrected_without_touching_what_moved_on(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="XS-2", happened_at=AT)
    await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    result = await market.move(
        201,
        market.maker,
        goods.cases,
        to_org=market.wholesaler,
        bill_no="XS-2",
        revision=2,
        happened_at=AT,
        header={"order_code": "DD-2"},
    )
    assert [r.verdict for r in result.results] == ["kept", "kept"]
    assert await market.stock(market.wholesaler) == 20
    entries = "SELECT count(*) FROM entry WHERE bill_id >= $1"
    assert await market.conn.fetchval(entries, result.bill_id) == 0


async def test_history_says_that_the_kept_event_is_in_force(market: Market) -> None:
    goods = await activate(market)
    args = {"bill_no": "XS-3", "happened_at": AT}
    await market.ship(market.maker, market.wholesaler, goods.cases, **args)
    await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
    await market.move(201, market.maker, goods.cases, to_org=market.wholesaler, revision=2, **args)
    for case, fate in ((0, [True, True]), (1, [False, False, True])):
        subject = market.subject(market.maker)
        history = await trace.history(market.conn, market.registry, subject, goods.cases[case])
        told = [e["in_force"] for e in history["events"] if e["bill_type"] in (201, 102)]
        assert told == fate, history["events"]


async def test_a_code_that_moved_on_cannot_be_taken_off_its_bill(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="XS-4", happened_at=AT)
    received = await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
    with pytest.raises(YaosuError) as refused:
        await market.move(
            201,
            market.maker,
            [goods.cases[1]],
            to_org=market.wholesaler,
            bill_no="XS-4",
            revision=2,
            happened_at=AT,
        )
    assert refused.value.code == "later_fact"
    assert [(f.where, f.params["bill"]) for f in refused.value.findings] == [
        (goods.cases[0], received.bill_id)
    ]


async def test_a_bill_dated_after_what_came_of_it_is_told_which_bill_and_which_times(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="XS-5", happened_at=AT)
    received = AT + timedelta(minutes=30)
    args = {"from_org": market.maker, "happened_at": received, "bill_no": "SH-5"}
    await market.move(102, market.wholesaler, goods.cases[:1], **args)
    again = {"to_org": market.wholesaler, "bill_no": "XS-5", "revision": 2}
    late = received + timedelta(minutes=15)
    with pytest.raises(YaosuError) as refused:
        await market.move(201, market.maker, goods.cases, happened_at=late, **again)
    (finding,) = refused.value.findings
    assert (refused.value.code, finding.code, finding.where) == (
        "later_fact",
        "correction_past_later",
        goods.cases[0],
    )
    assert finding.params["bill_no"] == "SH-5"
    for at, name in ((late, "time"), (received, "later")):
        assert datetime.fromisoformat(str(finding.params[name])) == at.replace(microsecond=0)
    # people read China time, without the zone
    told = str(finding.params["later"]).removesuffix("+08:00")
    assert all(p in finding.text("zh") for p in ("SH-5", goods.cases[0], told))
    assert told in finding.next_step("zh")
    # as it says: up to that time it can be moved
    done = await market.move(201, market.maker, goods.cases, happened_at=received, **again)
    assert [r.verdict for r in done.results] == ["kept", "accepted"]


async def test_a_case_from_which_boxes_were_taken_since_names_the_bill_that_took_them(market: Market) -> None:
    goods = await activate(market, cases=2, pallets=1)
    await market.ship(market.maker, market.wholesaler, goods.pallets, bill_no="XS-51", happened_at=AT)
    args = {"from_org": market.maker, "bill_no": "SH-51", "happened_at": AT}
    await market.move(102, market.wholesaler, goods.pallets, **args)
    taken = AT + timedelta(minutes=20)
    box = goods.boxes[:1]
    sold = {"to_org": market.pharmacy, "bill_no": "XS-52", "happened_at": taken}
    await market.move(201, market.wholesaler, box, **sold)
    with pytest.raises(YaosuError) as refused:
        await market.move(102, market.wholesaler, [], void=True, revision=2, **args)
    (finding,) = refused.value.findings
    assert (finding.code, finding.params["bill_no"]) == ("content_left_since", "XS-52")
    with pytest.raises(YaosuError) as moved:
        await market.move(
            102,
            market.wholesaler,
            goods.pallets,
            revision=2,
            **{**args, "happened_at": AT + timedelta(hours=1)},
        )
    (finding,) = moved.value.findings
    assert (finding.code, finding.params["bill_no"]) == ("correction_past_later", "XS-52")


async def test_strangers_bills_are_told_by_their_time_alone(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="XS-53", happened_at=AT)
    await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    await market.pass_on(market.wholesaler, market.hospital, goods.cases)
    with pytest.raises(YaosuError) as refused:
        await market.move(201, market.maker, [], bill_no="XS-53", revision=2, void=True)
    params = refused.value.findings[0].params
    assert (params["bill"], params["bill_no"]) == (0, "—")
    assert params["time"] != "—"


async def test_the_receiver_cannot_be_changed_once_the_goods_arrived(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="XS-6", happened_at=AT)
    await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    with pytest.raises(YaosuError) as refused:
        await market.move(
            201, market.maker, goods.cases, to_org=market.other, bill_no="XS-6", revision=2, happened_at=AT
        )
    assert refused.value.code == "later_fact"


async def test_a_third_revision_carries_on_what_the_second_kept_and_a_void_needs_it_all_back(
    market: Market,
) -> None:
    goods = await activate(market, cases=3)
    args = {"bill_no": "XS-7", "happened_at": AT}
    await market.ship(market.maker, market.wholesaler, goods.cases[:1], **args)
    receipt = await market.move(
        102, market.wholesaler, goods.cases[:1], from_org=market.maker, bill_no="SH-7"
    )
    assert receipt.status == "accepted"
    for revision in (2, 3):
        result = await market.move(
            201, market.maker, goods.cases[:revision], to_org=market.wholesaler, revision=revision, **args
        )
        assert result.results[0].verdict == "kept"
    assert await bills_lines(market, result.bill_id) == sorted(goods.cases)
    void = {"to_org": market.wholesaler, "revision": 4, "void": True, **args}
    with pytest.raises(YaosuError):
        await market.move(201, market.maker, [], **void)
    await market.move(102, market.wholesaler, [], bill_no="SH-7", revision=2, void=True)
    await market.move(201, market.maker, [], **void)
    assert await market.stock(market.maker) == await market.stock(market.maker, "I")
    assert {(await market.status(c))[0] for c in goods.cases} == {"I"}


async def test_voiding_a_release_puts_the_goods_back_into_quarantine(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases)
    expected = [(market.drug_id, "OTHER")]
    await market.move(102, market.wholesaler, goods.cases, from_org=market.maker, expected=expected)
    open_rows = "SELECT count(*) FROM quarantine WHERE org = $1 AND code = ANY($2) AND closed_at IS NULL"
    assert await market.conn.fetchval(open_rows, market.wholesaler, goods.cases) == 2
    await market.move(6, market.wholesaler, goods.cases, header={"reason_text": "核对无误"}, bill_no="FX-1")
    assert await market.conn.fetchval(open_rows, market.wholesaler, goods.cases) == 0
    await market.move(6, market.wholesaler, [], bill_no="FX-1", revision=2, void=True)
    assert await market.status(goods.cases[0]) == ("Q", market.wholesaler, None)
    assert await market.conn.fetchval(open_rows, market.wholesaler, goods.cases) == 2


async def test_a_preview_tells_all_and_changes_nothing(pool: Pool) -> None:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=3)
        await market.ship(market.maker, market.wholesaler, goods.cases[:2], bill_no="XS-8", happened_at=AT)
        await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
        before = await conn.fetchval("SELECT count(*) FROM bill")
    correction = market.movement(
        201, market.maker, goods.cases, to_org=market.wholesaler, bill_no="XS-8", revision=2, happened_at=AT
    )
    subject = market.subject(market.maker)
    shown = await preview(pool, market.registry, market.batches, subject, correction)
    assert shown.error is None and shown.result is not None
    assert [k.code for k in shown.result.kept] == [goods.cases[0]]
    assert [r.code for r in shown.added] == [goods.cases[2]]
    assert shown.removed == []
    less = market.movement(
        201, market.maker, [goods.cases[1]], to_org=market.wholesaler, bill_no="XS-8", revision=2
    )
    forbidden = await preview(pool, market.registry, market.batches, subject, less)
    assert forbidden.result is None and forbidden.error is not None
    assert [f.where for f in forbidden.error.findings] == [goods.cases[0]]
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM bill") == before
        assert (await conn.fetchrow("SELECT status FROM unit WHERE code = $1", goods.cases[2]))[0] == "I"
