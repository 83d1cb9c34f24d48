"""The counter scans, the HIS tells the same sale again: one status change, one answer (R-C6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from circulation.helpers import Market, activate, make_market
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection

NOW = datetime.now(UTC) - timedelta(hours=1)


WAY = {"way": "top"}


async def tell(market: Market, type: int, owner: int, codes: list[str], **more: Any) -> MovementResult:
    """A bill through the write path."""
    return await market.move(type, owner, codes, **more)


async def stocked(db: Connection, who: str = "pharmacy") -> tuple[Market, int, list[str]]:
    market = await make_market(db)
    goods = await activate(market)
    owner = getattr(market, who)
    await market.pass_on(market.maker, owner, goods.boxes[:4])
    return market, owner, goods.boxes[:4]


async def test_the_his_tells_the_sale_of_the_till_again(db: Connection) -> None:
    market, owner, boxes = await stocked(db)
    first = await tell(market, 321, owner, boxes[:2], happened_at=NOW)
    again = await tell(market, 321, owner, boxes[:2], happened_at=NOW + timedelta(minutes=4), header=WAY)
    assert (again.status, again.bill_id, again.bill_no, again.replayed) == (
        "accepted",
        first.bill_id,
        first.bill_no,
        True,
    )
    assert {r.verdict for r in again.results} == {"same_act"}
    assert first.bill_no in str(again.as_json("zh")["results"])
    assert await market.stock(owner, "S") == 2
    await market.conserved()


async def test_the_same_box_scanned_twice_at_the_till_is_refused(db: Connection) -> None:
    """The second customer would leave with a box that nobody scanned."""
    market, owner, boxes = await stocked(db)
    await tell(market, 321, owner, boxes[:1], happened_at=NOW)
    slip = await tell(market, 321, owner, boxes[:1], happened_at=NOW + timedelta(minutes=1))
    assert (slip.status, slip.results[0].verdict) == ("refused", "already_sold")


async def test_another_customer_an_hour_later_is_a_second_sale(db: Connection) -> None:
    market, owner, boxes = await stocked(db)
    await tell(market, 321, owner, boxes[:1], happened_at=NOW)
    later = await tell(market, 321, owner, boxes[:1], happened_at=NOW + timedelta(minutes=40))
    assert (later.status, later.results[0].verdict) == ("refused", "already_sold")
    other_paper = {"prescription_no": "RX2"}
    one = await tell(market, 321, owner, boxes[1:2], happened_at=NOW, header={"prescription_no": "RX1"})
    two = await tell(market, 321, owner, boxes[1:2], happened_at=NOW, header=other_paper)
    assert (one.status, two.results[0].verdict) == ("accepted", "already_sold")


async def test_the_same_prescription_the_next_day_is_the_same_sale(db: Connection) -> None:
    market, owner, boxes = await stocked(db)
    paper = {"prescription_no": "RX1"}
    first = await tell(market, 321, owner, boxes[:2], happened_at=NOW - timedelta(days=1), header=paper)
    again = await tell(market, 321, owner, boxes[:1], happened_at=NOW, header=paper)
    assert (again.bill_id, again.replayed) == (first.bill_id, True)


async def test_a_bill_with_one_more_box_is_judged_for_itself(db: Connection) -> None:
    market, owner, boxes = await stocked(db)
    await tell(market, 321, owner, boxes[:1], happened_at=NOW)
    mixed = await tell(market, 321, owner, boxes[:2], happened_at=NOW)
    assert mixed.status == "partial"
    assert not mixed.replayed


async def test_sold_returned_and_sold_again_within_minutes_is_judged(db: Connection) -> None:
    market, owner, boxes = await stocked(db)
    await tell(market, 321, owner, boxes[:1], happened_at=NOW)
    back = await tell(
        market, 116, owner, boxes[:1], happened_at=NOW + timedelta(minutes=2), header={"reason": "1"}
    )
    again = await tell(
        market, 116, owner, boxes[:1], happened_at=NOW + timedelta(minutes=3), header={"reason": "1", **WAY}
    )
    assert (back.status, again.bill_id, again.replayed) == ("accepted", back.bill_id, True)
    resold = await tell(market, 321, owner, boxes[:1], happened_at=NOW + timedelta(minutes=5))
    assert (resold.status, resold.results[0].verdict) == ("refused", "in_quarantine")


async def test_tablets_for_two_patients_from_one_box_are_two_acts(db: Connection) -> None:
    market, owner, boxes = await stocked(db, "hospital")
    box = boxes[0]
    await tell(market, 7, owner, [box], happened_at=NOW - timedelta(hours=1))
    paper = {"prescription_no": "RX1"}
    one = await tell(market, 323, owner, [box], happened_at=NOW, parts={box: 6}, header=paper)
    same = await tell(
        market, 323, owner, [box], happened_at=NOW + timedelta(minutes=1), parts={box: 6}, header=paper | WAY
    )
    other = await tell(
        market, 323, owner, [box], happened_at=NOW + timedelta(minutes=2), parts={box: 6},
        header={"prescription_no": "RX2"} | WAY,
    )  # fmt: skip
    noon = await tell(
        market, 323, owner, [box], happened_at=NOW + timedelta(minutes=3), parts={box: 6}, header=paper
    )
    assert not noon.replayed
    assert (same.bill_id, same.replayed) == (one.bill_id, True)
    assert not other.replayed
    left = await db.fetchval("SELECT unit_left FROM split_pack WHERE code = $1", box)
    assert left == 24 - 18
