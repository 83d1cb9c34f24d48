"""Opened boxes (拆零, R-C9): parts to several patients, returns, losses, and never more out than was in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
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


async def test_an_earlier_part_is_not_taken_back_while_later_parts_stand(market: Market) -> None:
    box = (await stocked(market)).boxes[0]
    await market.move(323, market.hospital, [box], parts={box: 6}, bill_no="CL-VOID-3")
    await market.move(323, market.hospital, [box], parts={box: 6})
    with pytest.raises(YaosuError) as refused:
        await market.move(323, market.hospital, [], bill_no="CL-VOID-3", revision=2, void=True)
    assert refused.value.code == "later_fact"
    assert await left(market, box) == 12


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
