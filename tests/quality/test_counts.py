"""Stock counts: each difference is explained down to the bill, or to the code whose scan is missing (R-E2, R-X5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.quality import balance, counts
from yaosu.quality.counts import Piece, Quantity, missing_of

NOW = datetime.now(UTC)


async def stocked(db: Connection) -> tuple[Market, Goods]:
    """A wholesaler with two cases of ten boxes."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    return market, goods


async def count(db: Connection, market: Market, org: int, codes: list[str], **more: Any) -> dict[str, Any]:
    """The result of a count by codes."""
    subject = market.subject(org)
    number = await counts.by_codes(db, market.registry, subject, codes, **more)
    row = await counts.get(db, subject, number)
    return {**dict(row), **row["result"]}


async def test_scanning_the_cases_counts_all_boxes_in_them(db: Connection) -> None:
    """A container is counted by its own code; a box inside a scanned case is not counted twice."""
    market, goods = await stocked(db)
    found = await count(db, market, market.wholesaler, [*goods.cases, goods.boxes[0], goods.cases[0]])
    assert (found["booked"], found["counted"], found["differing"], found["inside"]) == (20, 20, 0, 1)
    assert found["details"] == []


async def test_a_missing_box_of_an_opened_case_is_named_with_the_bill_that_last_knew_it(
    db: Connection,
) -> None:
    """Nine of ten boxes were scanned one by one: the tenth lacks a scan on leaving."""
    market, goods = await stocked(db)
    found = await count(db, market, market.wholesaler, [goods.cases[0], *goods.boxes_of(1)[:9]])
    assert (found["booked"], found["counted"], found["unexplained"]) == (20, 19, 1)
    (missing,) = found["details"]
    assert (missing["kind"], missing["code"]) == ("missing", goods.boxes_of(1)[9])
    assert missing["reason"] == "quality_missing_scan"
    receipt = await db.fetchval("SELECT bill_no FROM bill WHERE owner = $1 AND type = 102", market.wholesaler)
    assert missing["params"] == {"bill_no": receipt}


async def test_a_whole_case_that_is_missing_is_one_line(db: Connection) -> None:
    """Nothing of it was scanned, so it is the case that is missing."""
    market, goods = await stocked(db)
    found = await count(db, market, market.wholesaler, [goods.cases[0]])
    (missing,) = found["details"]
    assert (missing["code"], missing["qty"]) == (goods.cases[1], 10)


async def test_a_refused_scan_explains_a_missing_box(db: Connection) -> None:
    """A box was scanned on leaving before it had been received: refused then, and gone now."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:1])
    await market.ship(market.maker, market.wholesaler, goods.cases[1:])
    box = goods.boxes_of(1)[0]
    sale = await market.move(201, market.wholesaler, [goods.cases[0], box], to_org=market.hospital)
    assert [r.severity for r in sale.results] == ["ok", "refused"]
    await market.move(102, market.wholesaler, goods.cases[1:], from_org=market.maker)
    found = await count(db, market, market.wholesaler, goods.boxes_of(1)[1:])
    (missing,) = found["details"]
    assert (missing["code"], missing["reason"], missing["explained"]) == (
        box,
        "quality_missing_refused",
        True,
    )
    assert missing["href"] == f"/bills/{sale.bill_id}"
    assert found["unexplained"] == 0


async def test_goods_on_the_shelf_that_were_never_received_lead_to_the_notice(db: Connection) -> None:
    """The second case arrived and nobody scanned the receipt."""
    market = await make_market(db)
    goods = await activate(market)
    bill = await market.ship(market.maker, market.wholesaler, goods.cases[1:])
    found = await count(db, market, market.wholesaler, [goods.cases[1]])
    (over,) = found["details"]
    assert (over["reason"], over["href"], over["qty"]) == (
        "quality_over_coming",
        f"/receive/{bill.bill_id}",
        10,
    )
    assert (found["counted"] - found["booked"], found["unexplained"]) == (10, 0)


async def test_a_box_of_somebody_else_is_surplus_without_saying_whose(db: Connection) -> None:
    """D10: the count says that it is not ours, never who has it in the books."""
    market, goods = await stocked(db)
    found = await count(db, market, market.pharmacy, [goods.boxes[0], "not a code"])
    assert [(d["reason"], d["explained"]) for d in found["details"]] == [
        ("quality_over_elsewhere", False),
        ("quality_over_unknown", False),
    ]
    assert str(market.wholesaler) not in [str(d["params"]) for d in found["details"]]


async def test_quantities_are_compared_batch_by_batch(db: Connection) -> None:
    """18 of 20 counted, and no record explains the two."""
    market, goods = await stocked(db)
    subject = market.subject(market.wholesaler)
    number = await counts.by_quantities(
        db, market.registry, subject, [Quantity(market.drug_id, goods.batch_no, 18)]
    )
    row = await counts.get(db, subject, number)
    (line,) = row["result"]["lines"]
    assert (line["booked"], line["counted"], line["difference"], line["unexplained"]) == (20, 18, -2, 2)


async def test_a_surplus_by_quantity_is_explained_by_an_open_notice(db: Connection) -> None:
    """Ten more than booked, ten announced and not received."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:1])
    await market.ship(market.maker, market.wholesaler, goods.cases[1:])
    subject = market.subject(market.wholesaler)
    number = await counts.by_quantities(
        db, market.registry, subject, [Quantity(market.drug_id, goods.batch_no, 21)]
    )
    row = await counts.get(db, subject, number)
    (line,) = row["result"]["lines"]
    assert (line["difference"], line["unexplained"]) == (11, 1)


@pytest.mark.parametrize(
    ("quantities", "code"),
    [([], "quality_count_empty"), ([(1, "NO-SUCH", 1)], "quality_batch_unknown")],
)
async def test_a_count_of_nothing_or_of_an_unknown_batch_is_refused(
    db: Connection, quantities: list[tuple[int, str, int]], code: str
) -> None:
    """With a code that says what is wrong."""
    market, _ = await stocked(db)
    with pytest.raises(YaosuError) as refused:
        await counts.by_quantities(
            db, market.registry, market.subject(market.wholesaler), [Quantity(*q) for q in quantities]
        )
    assert refused.value.code == code


async def test_the_sheet_ties_and_names_the_bill_when_it_does_not(db: Connection) -> None:
    """opening + in − out = closing = balance = packages; an entry changed behind the ledger's back is found."""
    market, _ = await stocked(db)
    subject = market.subject(market.wholesaler)
    span = (NOW - timedelta(days=5), NOW + timedelta(days=1))
    (line,) = await balance.sheet(db, subject, market.wholesaler, *span)
    assert (line.ties, line.shelf, line.units) == (True, 20, 20)
    await db.execute("UPDATE entry SET qty = 19 WHERE to_org = $1 AND to_status = 'I'", market.wholesaler)
    (line,) = await balance.sheet(db, subject, market.wholesaler, *span)
    assert not line.ties
    assert [r.code for r in line.reasons] == ["quality_bill_differs"]
    assert line.reasons[0].qty == 1


async def test_a_package_in_a_state_that_no_bill_gave_it_is_named(db: Connection) -> None:
    """The case says S, its last bill says I."""
    market, goods = await stocked(db)
    await db.execute("UPDATE unit SET status = 'S' WHERE code = $1", goods.cases[0])
    span = (NOW - timedelta(days=5), NOW + timedelta(days=1))
    (line,) = await balance.sheet(db, market.subject(market.wholesaler), market.wholesaler, *span)
    assert not line.ties
    assert [(r.code, r.params["code"]) for r in line.reasons] == [("quality_unit_differs", goods.cases[0])]


@given(st.sets(st.sampled_from(["r", "a", "b", "a1", "a2", "b1", "b2"])))
def test_what_is_missing_is_all_that_was_not_scanned_and_never_twice(scanned: set[str]) -> None:
    """For a package with two parts of two each: missing and scanned boxes are the whole, with no overlap."""
    parts = {"r": ["a", "b"], "a": ["a1", "a2"], "b": ["b1", "b2"]}
    qty = {"r": 4, "a": 2, "b": 2}

    def piece(code: str) -> Piece:
        return Piece(1, code, 1, qty.get(code, 1), 0)

    def boxes(code: str) -> set[str]:
        return {code} if code not in parts else {x for p in parts[code] for x in boxes(p)}

    inside = {code: [piece(p) for p in children] for code, children in parts.items()}
    missing = missing_of(piece("r"), inside, frozenset(scanned))
    present = {x for code in scanned for x in boxes(code)}
    assert {x for p in missing for x in boxes(p.code)} == boxes("r") - present
    assert sum(p.qty for p in missing) == len(boxes("r") - present)
