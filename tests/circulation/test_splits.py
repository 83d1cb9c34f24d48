"""Opened boxes (拆零, R-C9): parts to several patients, returns, losses, and never more out than was in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError

TOTAL = 24
"""Preparation units in a box of the market's product."""


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()
    assert await splits_off(db) == []


async def splits_off(conn: Connection) -> list[str]:
    """Opened boxes whose inside is not what their entries say."""
    rows = await conn.fetch(
        """
        SELECT e.code FROM (
            SELECT drug_id, code,
                sum(qty) FILTER (WHERE kind = 'open') AS opened,
                coalesce(sum(qty) FILTER (WHERE kind = 'dispense'), 0) AS dispensed,
                coalesce(sum(qty) FILTER (WHERE kind = 'return'), 0) AS returned,
                coalesce(sum(qty) FILTER (WHERE kind = 'loss'), 0) AS lost
            FROM split_entry GROUP BY 1, 2) e
        LEFT JOIN split_pack s ON s.drug_id = e.drug_id AND s.code = e.code
        WHERE coalesce(s.total, 0) <> e.opened OR coalesce(s.unit_out, 0) <> e.dispensed - e.returned
            OR coalesce(s.unit_lost, 0) <> e.lost
            OR coalesce(s.unit_left, 0) <> e.opened - e.dispensed + e.returned - e.lost"""
    )
    return [r["code"] for r in rows]


async def stocked(market: Market) -> Goods:
    goods = await activate(market, cases=1, per_case=4)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    return goods


async def left(market: Market, code: str) -> int | None:
    found: int | None = await market.conn.fetchval("SELECT unit_left FROM split_pack WHERE code = $1", code)
    return found


async def test_one_box_serves_several_patients_and_each_part_names_the_same_code(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    for taken, remains in ((6, 18), (10, 8)):
        result = await market.move(323, market.hospital, [box], parts={box: taken})
        assert result.status == "accepted", result.results
        assert await left(market, box) == remains
        assert (await market.status(box))[0] == "D"
    assert await market.stock(market.hospital, "D") == 1
    assert await market.stock(market.hospital) == 3


async def test_the_last_part_uses_the_box_up(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 20})
    await market.move(323, market.hospital, [box], parts={box: 4})
    assert await left(market, box) == 0
    assert (await market.status(box))[0] == "S"
    again = await market.move(323, market.hospital, [box], parts={box: 1})
    assert [r.verdict for r in again.results] == ["already_sold"]


async def test_never_more_comes_out_of_a_box_than_was_in_it(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    too_much = await market.move(323, market.hospital, [box], parts={box: TOTAL + 1})
    assert [(r.verdict, r.params) for r in too_much.results] == [
        ("split_not_enough", {"asked": TOTAL + 1, "left": TOTAL})
    ]
    assert (await market.status(box))[0] == "I"
    await market.move(323, market.hospital, [box], parts={box: 20})
    more = await market.move(323, market.hospital, [box], parts={box: 5})
    assert [(r.verdict, r.params) for r in more.results] == [("split_not_enough", {"asked": 5, "left": 4})]


async def test_an_opened_box_does_not_move_as_a_whole(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    opened = await market.move(7, market.hospital, [box])
    assert opened.status == "accepted"
    assert (await left(market, box), (await market.status(box))[0]) == (TOTAL, "D")
    whole = await market.move(323, market.hospital, [box])
    assert [r.verdict for r in whole.results] == ["opened_name_parts"]
    away = await market.move(202, market.hospital, [box], to_org=market.maker)
    assert [r.verdict for r in away.results] == ["opened"]


async def test_parts_come_back_and_only_as_many_as_are_out(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: TOTAL})
    back = await market.move(116, market.hospital, [box], parts={box: 5})
    assert back.status == "accepted"
    assert (await left(market, box), (await market.status(box))[0]) == (5, "D")
    too_many = await market.move(116, market.hospital, [box], parts={box: 20})
    assert [r.verdict for r in too_many.results] == ["split_return_too_much"]


async def test_a_box_sold_whole_takes_no_parts_back(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box])
    back = await market.move(116, market.hospital, [box], parts={box: 5})
    assert [r.verdict for r in back.results] == ["split_return_too_much"]


async def test_what_spoils_is_written_off_with_a_reason(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 20})
    with pytest.raises(YaosuError) as refused:
        await market.move(8, market.hospital, [box], parts={box: 4})
    assert refused.value.findings[0].code == "field_needed"
    lost = await market.move(8, market.hospital, [box], parts={box: 4}, header={"reason_text": "受潮"})
    assert lost.status == "accepted"
    assert (await market.status(box))[0] == "S"


async def test_voiding_the_opening_closes_the_box_again(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    number = "CL-VOID-1"
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no=number)
    await market.move(323, market.hospital, [], bill_no=number, revision=2, void=True)
    assert await left(market, box) is None
    assert (await market.status(box))[0] == "I"
    whole = await market.move(323, market.hospital, [box])
    assert whole.status == "accepted"


async def test_voiding_a_later_part_gives_back_just_that_part(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6})
    await market.move(323, market.hospital, [box], parts={box: 18}, bill_no="CL-VOID-2")
    assert (await market.status(box))[0] == "S"
    await market.move(323, market.hospital, [], bill_no="CL-VOID-2", revision=2, void=True)
    assert (await left(market, box), (await market.status(box))[0]) == (18, "D")


async def inside(market: Market, code: str) -> tuple[int, int, int]:
    """(left, out, lost) of an opened box."""
    row = await market.conn.fetchrow(
        "SELECT unit_left, unit_out, unit_lost FROM split_pack WHERE code = $1", code
    )
    return (row["unit_left"], row["unit_out"], row["unit_lost"])


async def void(market: Market, number: str, revision: int = 2, type: int = 323) -> None:
    await market.move(type, market.hospital, [], bill_no=number, revision=revision, void=True)


async def test_an_earlier_part_is_taken_back_while_later_patients_keep_theirs(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(7, market.hospital, [box])
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-MID-1")
    await market.move(323, market.hospital, [box], parts={box: 18})
    assert (await market.status(box))[0] == "S"
    await void(market, "CL-MID-1")
    assert (await inside(market, box), (await market.status(box))[0]) == ((6, 18, 0), "D")
    next_patient = await market.move(323, market.hospital, [box], parts={box: 6})
    assert (next_patient.status, (await market.status(box))[0]) == ("accepted", "S")


async def test_the_box_stays_open_for_those_served_after_the_one_that_opened_it(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-FIRST-1")
    await market.move(323, market.hospital, [box], parts={box: 4}, bill_no="CL-SECOND-1")
    opened = await market.conn.fetchrow("SELECT opened_at, use_before FROM split_pack WHERE code = $1", box)
    await void(market, "CL-FIRST-1")
    assert (await inside(market, box), (await market.status(box))[0]) == ((20, 4, 0), "D")
    after = await market.conn.fetchrow("SELECT opened_at, use_before FROM split_pack WHERE code = $1", box)
    assert after == opened, "paper makes no opened box younger"
    # nobody was ever served from it: it closes, and is a whole box in stock again
    await void(market, "CL-SECOND-1")
    assert (await left(market, box), (await market.status(box))[0]) == (None, "I")
    assert (await market.move(323, market.hospital, [box])).status == "accepted"


async def test_voids_in_any_order_leave_the_same_box(market: Market) -> None:
    goods = await stocked(market)
    for n, order in enumerate((("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b"), ("b", "c", "a"))):
        box = goods.boxes[n]
        for name, units in (("a", 6), ("b", 10), ("c", 8)):
            await market.move(323, market.hospital, [box], parts={box: units}, bill_no=f"CL-ANY-{n}{name}")
        for name in order:
            await void(market, f"CL-ANY-{n}{name}")
        assert (await left(market, box), (await market.status(box))[0]) == (None, "I"), order


async def test_what_was_brought_back_or_used_since_is_not_pulled_from_under_later_bills(
    market: Market,
) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-RELY-1")
    await market.move(116, market.hospital, [box], parts={box: 5}, bill_no="TL-RELY-1")
    with pytest.raises(YaosuError) as refused:
        await void(market, "CL-RELY-1")
    finding = refused.value.findings[0]
    assert (refused.value.code, finding.code, finding.params["bill_no"]) == (
        "later_fact",
        "part_relied_on",
        "TL-RELY-1",
    )
    assert "TL-RELY-1" in finding.text("zh") and "TL-RELY-1" in finding.next_step("zh")
    # the return comes first, then what it brought back
    await market.move(323, market.hospital, [box], parts={box: 22}, bill_no="CL-RELY-2")
    with pytest.raises(YaosuError) as used:
        await void(market, "TL-RELY-1", type=116)
    assert used.value.findings[0].params["bill_no"] == "CL-RELY-2"
    assert await inside(market, box) == (1, 23, 0)
    await void(market, "CL-RELY-2")
    await void(market, "TL-RELY-1", type=116)
    await void(market, "CL-RELY-1")
    assert (await market.status(box))[0] == "I"


async def test_a_box_that_left_is_named_with_the_bill_it_left_by(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-GONE-1")
    header = {"reason_text": "破损报废"}
    held = await market.move(112, market.hospital, [box], bill_no="BF-GONE-1", header=header)
    assert held.status == "accepted", held.results
    with pytest.raises(YaosuError) as refused:
        await void(market, "CL-GONE-1")
    finding = refused.value.findings[0]
    assert (finding.code, finding.params["bill_no"]) == ("moved_on_since", "BF-GONE-1")


async def test_a_dispensing_is_corrected_although_others_were_served_since(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-CORR-1")
    await market.move(323, market.hospital, [box], parts={box: 10})
    less = await market.move(323, market.hospital, [box], parts={box: 4}, bill_no="CL-CORR-1", revision=2)
    assert less.status == "accepted", less.results
    assert await inside(market, box) == (10, 14, 0)
    more = await market.move(323, market.hospital, [box], parts={box: 15}, bill_no="CL-CORR-1", revision=3)
    assert [(r.verdict, r.params) for r in more.results] == [("split_not_enough", {"asked": 15, "left": 14})]
    assert await inside(market, box) == (10, 14, 0), "a refused correction leaves everything as it was"


async def test_an_opening_is_corrected_although_the_box_was_used_since(market: Market) -> None:
    goods = await stocked(market)
    one, other, late = goods.boxes[:3]
    when = datetime.now(UTC) - timedelta(minutes=20)
    await market.move(7, market.hospital, [one, other], bill_no="KF-1", happened_at=when)
    used = {"parts": {one: 6}, "happened_at": when + timedelta(minutes=5)}
    await market.move(323, market.hospital, [one], bill_no="CL-KF-1", **used)
    again = {"bill_no": "KF-1", "revision": 2}
    with pytest.raises(YaosuError) as refused:
        await market.move(7, market.hospital, [one, late], happened_at=datetime.now(UTC), **again)
    assert [(f.code, f.params["bill_no"]) for f in refused.value.findings] == [
        ("correction_past_later", "CL-KF-1")
    ]
    fixed = await market.move(7, market.hospital, [one, late], happened_at=when, **again)
    assert [(r.code, r.verdict) for r in fixed.results] == [(one, "kept"), (late, "taken_out")]
    assert [(await market.status(b))[0] for b in (one, other, late)] == ["D", "I", "D"]
    # voided as a whole, the opening stays for the patient who was served
    await void(market, "KF-1", revision=3, type=7)
    assert [(await market.status(b))[0] for b in (one, other, late)] == ["D", "I", "I"]
    assert await inside(market, one) == (18, 6, 0)


async def test_a_bill_of_the_same_commit_counts_too(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-GRP-1")
    void_ = market.movement(323, market.hospital, [], bill_no="CL-GRP-1", revision=2, void=True)
    back = market.movement(116, market.hospital, [box], parts={box: 4}, bill_no="TL-GRP-1")
    subject = market.subject(market.hospital)
    group = [await prepare(market.conn, market.registry, subject, m) for m in (back, void_)]
    async with market.conn.transaction():
        first, second = await apply_group(market.conn, group, market.batches)
    assert isinstance(first, MovementResult) and first.status == "accepted"
    assert isinstance(second, YaosuError) and second.findings[0].code == "part_relied_on"
    assert await inside(market, box) == (22, 2, 0)


async def test_a_case_cannot_be_split_and_parts_must_name_a_scanned_code(market: Market) -> None:
    goods = await stocked(market)
    case = await market.move(323, market.hospital, goods.cases, parts={goods.cases[0]: 1})
    assert [r.verdict for r in case.results] == ["split_not_possible"]
    with pytest.raises(YaosuError) as refused:
        await market.move(323, market.hospital, [goods.boxes[0]], parts={goods.boxes[1]: 1})
    assert refused.value.findings[0].code == "part_invalid"


async def test_an_opened_box_past_its_time_is_not_dispensed(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    opened_at = datetime.now(UTC) - timedelta(days=2)
    await market.move(7, market.hospital, [box], happened_at=opened_at)
    await market.conn.execute(
        "UPDATE split_pack SET use_before = $2 WHERE code = $1", box, opened_at + timedelta(days=1)
    )
    late = await market.move(323, market.hospital, [box], parts={box: 1})
    assert [r.verdict for r in late.results] == ["split_opened_too_long"]
