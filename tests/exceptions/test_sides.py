"""Who speaks for which side of a case, and what one side may put on the other (R-A7, R-B4, R-B7)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from access.helpers import make_org as bare_org
from circulation.helpers import activate
from exceptions.helpers import Desk, desk
from registry.helpers import make_org
from yaosu.circulation import notices
from yaosu.exceptions import opening, record, service, views
from yaosu.exceptions.model import Offer, Piece
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry

__all__ = ["desk"]


async def test_headquarters_speak_as_seller_and_their_store_as_buyer(desk: Desk) -> None:
    market, registry = desk.market, desk.market.registry
    boxes = desk.goods.boxes[:3]
    await market.pass_on(market.wholesaler, market.pharmacy, boxes)
    sent = await market.ship(market.pharmacy, market.store, boxes)
    got = await market.move(102, market.store, boxes[:2], from_org=market.pharmacy, notice=sent.bill_no)
    (case_id,) = await desk.open("store", int(str(got.checks[0]["id"])))
    head = await desk.case("pharmacy", case_id)
    assert head["may"]["role"] == "seller"
    assert {code for code, _, _ in head["may"]["offers"]} == {"corrected", "sent", "credited"}
    await service.say(desk.conn, registry, desk.of("pharmacy"), case_id, "总部查找中")
    assert (await desk.case("store", case_id))["answered_at"] is not None
    offer = await service.propose(
        desk.conn, registry, desk.of("pharmacy"), case_id, Offer("credited", "", "", Decimal("9.9"), "HZ1")
    )
    # headquarters upload for stores without accounts of their own (R-B7), so they may answer for them too
    assert (await desk.case("pharmacy", case_id))["may"]["answer"] == offer
    await service.answer(desk.conn, registry, desk.of("store"), case_id, offer, accept=True)
    view = await desk.case("store", case_id)
    assert (view["state"], view["entries"][-2]["org"]["id"]) == ("closed", market.store)


async def test_the_domestic_responsible_person_answers_for_the_overseas_holder(desk: Desk) -> None:
    market, conn = desk.market, desk.conn
    person = await make_org(conn, OrgType.MAH)
    await conn.execute("UPDATE org SET domestic_agent_id = $1 WHERE id = $2", person, market.maker)
    market.registry = await load_registry(conn)
    more = await activate(market, cases=1)
    sent = await market.ship(market.maker, market.wholesaler, more.boxes[:3])
    case_id = await opening.open_report(
        conn,
        market.registry,
        desk.of("wholesaler"),
        kind="short",
        pieces=[Piece(more.drug_id, None, more.batch_no, "", 1)],
        bill_id=sent.bill_id,
    )
    agent = market.subject(person)
    await service.say(conn, market.registry, agent, case_id, "境内责任人已受理")
    row = await record.seen(conn, agent, case_id)
    view = await views.whole(conn, market.registry, agent, row, "zh")
    assert (view["may"]["role"], view["answered_at"] is not None) == ("seller", True)


async def test_a_bill_from_before_the_delivery_is_no_shipment_of_what_was_missing(desk: Desk) -> None:
    market, registry = desk.market, desk.market.registry
    earlier = await market.ship(market.wholesaler, market.pharmacy, desk.goods.boxes[15:17])
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    offer = Offer("sent", "已发", earlier.bill_no)
    doing = service.propose(desk.conn, registry, desk.of("wholesaler"), case_id, offer)
    await desk.refused("exception_bill_unfit", doing)


async def test_a_withdrawn_case_leaves_no_proposal_waiting(desk: Desk) -> None:
    (case_id,) = await desk.open("pharmacy", await desk.short_delivery())
    registry = desk.market.registry
    await service.propose(desk.conn, registry, desk.of("wholesaler"), case_id, Offer("sent", "补发"))
    await service.withdraw(desk.conn, registry, desk.of("pharmacy"), case_id, "箱底找到")
    assert [p["state"] for p in (await desk.case("wholesaler", case_id))["proposals"]] == ["taken_back"]


async def test_the_other_side_of_a_case_is_a_firm_that_deals_in_goods(desk: Desk) -> None:
    market = desk.market
    office = await bare_org(desk.conn, 110, "370000")
    market.registry = await load_registry(desk.conn)
    piece = [Piece(desk.goods.drug_id, None, "W-1", "", 10)]
    for partner in (office, market.pharmacy, 2_000_000_000):
        doing = opening.open_report(
            desk.conn, market.registry, desk.of("pharmacy"), kind="uncoded", pieces=piece, partner=partner
        )
        await desk.refused("exception_no_seller", doing)


async def test_another_than_the_sender_learns_nothing_of_the_senders_bill(desk: Desk) -> None:
    market = desk.market
    await desk.stranger_in_quarantine()
    ids = [
        r["id"] for r in await desk.conn.fetch("SELECT id FROM quarantine WHERE org = $1", market.pharmacy)
    ]
    (case_id,) = await opening.open_quarantine(
        desk.conn, market.registry, desk.of("pharmacy"), ids, "wrong", market.other
    )
    view = await desk.case("other", case_id)
    assert (view["notice_no"], view["notice_bill"]) == (None, None)
    assert view["receipt_no"]


async def test_goods_that_are_not_in_the_own_quarantine_are_named_and_nothing_is_opened(desk: Desk) -> None:
    market = desk.market
    await desk.stranger_in_quarantine()
    ids = [
        r["id"] for r in await desk.conn.fetch("SELECT id FROM quarantine WHERE org = $1", market.pharmacy)
    ]
    doing = opening.open_quarantine(desk.conn, market.registry, desk.of("pharmacy"), [*ids, 2_000_000])
    refused = await desk.refused("exception_no_goods", doing)
    assert [f.params["id"] for f in refused.findings] == [2_000_000]
    assert await desk.conn.fetchval("SELECT count(*) FROM exception_case") == 0


async def test_goods_beyond_what_a_check_lists_are_in_the_case_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = desk.market
    boxes = desk.goods.boxes[:5]
    sent = await market.ship(market.wholesaler, market.pharmacy, boxes[:1])
    await market.ship(market.wholesaler, market.pharmacy, boxes[1:])
    for room in (notices, opening):
        monkeypatch.setattr(room, "DETAILS_MAX", 2)
    got = await market.move(102, market.pharmacy, boxes, from_org=market.wholesaler, notice=sent.bill_no)
    check_id = next(int(str(c["id"])) for c in got.checks if c["outcome"] == "mismatch")
    (case_id,) = await desk.open("pharmacy", check_id)
    assert (await desk.case("pharmacy", case_id))["qty"] == 4
    held = await market.move(6, market.pharmacy, boxes[1:], header={"reason_text": "放行"})
    assert {r.verdict for r in held.results} == {"exception_open"}
