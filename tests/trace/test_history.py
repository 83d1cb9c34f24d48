"""A box's history is its own events and those of what it was inside of, each with its reason (R-X4, D3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.trace import service


async def _journey(db: Connection) -> tuple[Market, Goods, dict[str, int]]:
    """Pallet to the wholesaler, a case to the pharmacy, a box of it sold; the bills by name."""
    market = await make_market(db)
    goods = await activate(market, cases=4, pallets=1)
    bills = {}
    shipped = await market.ship(market.maker, market.wholesaler, goods.pallets)
    bills["pallet out"] = shipped.bill_id
    bills["pallet in"] = (
        await market.move(102, market.wholesaler, goods.pallets, from_org=market.maker)
    ).bill_id
    bills["case out"] = (await market.ship(market.wholesaler, market.pharmacy, goods.cases[:1])).bill_id
    bills["case in"] = (
        await market.move(102, market.pharmacy, goods.cases[:1], from_org=market.wholesaler)
    ).bill_id
    bills["sale"] = (await market.move(321, market.pharmacy, goods.boxes[:1])).bill_id
    return market, goods, bills


async def _history(market: Market, org: int, code: str) -> dict[str, Any]:
    found: Any = await service.history(market.conn, market.registry, market.subject(org), code)
    return dict(found)


def _told(body: dict[str, Any]) -> list[tuple[int, str, str | None]]:
    return [(e["bill_type"], e["certainty"], e["via"]) for e in body["events"]]


async def test_a_box_scanned_out_of_its_case_keeps_the_cases_and_the_pallets_history(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    body = await _history(market, market.maker, goods.boxes[0])
    pallet, case = goods.pallets[0], goods.cases[0]
    assert _told(body) == [
        (1, "observed", None),
        (201, "inferred", pallet),
        (102, "inferred", pallet),
        (201, "inferred", case),
        (102, "inferred", case),
        (321, "observed", None),
    ]
    assert [e["after"] for e in body["events"]] == ["A", "O", "I", "O", "I", "S"]


async def test_each_inferred_event_names_the_intervals_that_justify_it(db: Connection) -> None:
    market, goods, bills = await _journey(db)
    body = await _history(market, market.pharmacy, goods.boxes[0])
    by_type = {(e["bill_type"], e["via"]): e for e in body["events"]}
    inside_case = by_type[(102, goods.cases[0])]["because"]
    assert [(s["code"], s["container"], s["to_bill"], s["open"]) for s in inside_case] == [
        (goods.boxes[0], goods.cases[0], bills["sale"], False)
    ]
    inside_pallet = by_type[(201, goods.pallets[0])]["because"]
    assert [(s["code"], s["container"]) for s in inside_pallet] == [
        (goods.boxes[0], goods.cases[0]),
        (goods.cases[0], goods.pallets[0]),
    ]


async def test_what_happens_to_the_case_after_the_box_left_is_not_the_boxs(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    before = _told(await _history(market, market.pharmacy, goods.boxes[0]))
    await market.move(202, market.pharmacy, goods.cases[:1], to_org=market.wholesaler)
    assert _told(await _history(market, market.pharmacy, goods.boxes[0])) == before
    sibling = _told(await _history(market, market.pharmacy, goods.boxes[1]))
    assert sibling[-1] == (202, "inferred", goods.cases[0])


async def test_a_package_still_inside_shares_an_open_interval(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    body = await _history(market, market.wholesaler, goods.cases[1])
    (stay,) = body["stays"]
    assert (stay["container"], stay["open"], stay["to"]) == (goods.pallets[0], True, None)
    assert _told(body)[-1] == (102, "inferred", goods.pallets[0])


async def test_both_time_axes_are_told_and_a_time_that_runs_back_is_marked(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    early = datetime.now(UTC) - timedelta(days=20)
    await market.move(321, market.pharmacy, goods.boxes[1:2], happened_at=early)
    body = await _history(market, market.pharmacy, goods.boxes[1])
    last = body["events"][-1]
    assert last["happened_at"] == early.isoformat()
    assert last["recorded_at"] > last["happened_at"]
    assert {"late", "out_of_order", "time_runs_back"} <= set(last["flags"])


async def test_a_corrected_bill_stays_in_the_history_and_is_marked(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    sale = await market.move(321, market.pharmacy, goods.boxes[2:3], bill_no="SALE-9")
    await market.move(321, market.pharmacy, [], bill_no="SALE-9", revision=2, void=True)
    events = (await _history(market, market.pharmacy, goods.boxes[2]))["events"]
    assert [e["in_force"] for e in events if e["bill_no"] == "SALE-9"] == [False, False]
    assert events[-1]["flags"] == ["reversal"]
    assert events[-1]["after"] == "I"
    assert sale.bill_id in {e["bill_id"] for e in events}


async def test_one_step_up_and_down_is_told_and_further_steps_are_blank(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    events = (await _history(market, market.pharmacy, goods.boxes[0]))["events"]
    assert [e["hidden"] for e in events] == [True, True, True, False, False, False]
    for event in events[:3]:
        assert event["bill_no"] is event["bill_id"] is event["owner"] is event["from"] is event["to"] is None


async def test_a_stranger_sees_no_event_no_holder_and_no_bill_number(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    body = await _history(market, market.other, goods.boxes[0])
    assert body["events"] == []
    assert body["stays"] == []
    assert body["hidden"] == 6
    assert body["now"]["holder"] is None
    assert body["now"]["holder_hidden"]
    numbers = await db.fetch("SELECT bill_no FROM bill")
    assert not any(row["bill_no"] in str(body) for row in numbers)


async def test_contents_tell_what_is_inside_and_what_left_by_which_bill(db: Connection) -> None:
    market, goods, bills = await _journey(db)
    body: Any = await service.contents(db, market.registry, market.subject(market.pharmacy), goods.cases[0])
    assert body["qty"] == 9
    assert {i["code"] for i in body["items"]} == {goods.cases[0], *goods.boxes[1:10]}
    assert [(t["code"], t["bill_id"]) for t in body["taken_out"]] == [(goods.boxes[0], bills["sale"])]


async def test_a_large_package_is_read_level_by_level(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    body: Any = await service.contents(
        db, market.registry, market.subject(market.wholesaler), goods.pallets[0], limit=20
    )
    assert not body["complete"]
    assert [i["code"] for i in body["items"]] == sorted(goods.cases[1:])
    inner: Any = await service.contents(
        db, market.registry, market.subject(market.wholesaler), goods.pallets[0], parent=goods.cases[1]
    )
    assert [i["code"] for i in inner["items"]] == sorted(goods.boxes_of(1))


async def test_contents_are_not_for_strangers_and_not_for_packages_outside(db: Connection) -> None:
    market, goods, _ = await _journey(db)
    with pytest.raises(YaosuError) as refused:
        await service.contents(db, market.registry, market.subject(market.other), goods.pallets[0])
    assert refused.value.http == 404
    with pytest.raises(YaosuError, match="activation"):
        await service.contents(
            db, market.registry, market.subject(market.wholesaler), goods.pallets[0], parent=goods.cases[0]
        )
