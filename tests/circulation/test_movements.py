"""Movements on real PostgreSQL: what may move, what is refused and why, what the ledger says (R-B1…B6, C1, X1…X5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from circulation.helpers import BOX, Market, activate, make_market
from people.helpers import card
from yaosu.circulation.issued import Issued
from yaosu.circulation.write import unpack_body
from yaosu.codes.issue import Range, derive, nth
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import requests


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> AsyncIterator[Market]:
    made = await make_market(db)
    yield made
    await made.conserved()


def verdicts(result) -> dict[str, str]:
    return {r.code or r.raw: r.verdict for r in result.results}


async def test_a_case_ships_at_the_cost_of_one_code_and_its_boxes_come_along(market: Market) -> None:
    goods = await activate(market)
    result = await market.ship(market.maker, market.wholesaler, [goods.cases[0]])
    assert result.qty == 10
    assert await market.status(goods.boxes_of(0)[3]) == ("O", market.maker, market.wholesaler)
    lines = await market.conn.fetchval("SELECT count(*) FROM bill_line WHERE bill_id = $1", result.bill_id)
    assert lines == 1
    assert await market.stock(market.maker, "I") == 10
    assert await market.stock(market.maker, "O") == 10


async def test_a_box_is_sold_out_of_a_case_that_came_in_whole(market: Market) -> None:
    goods = await activate(market, cases=4, pallets=1)
    await market.pass_on(market.maker, market.wholesaler, goods.pallets)
    await market.pass_on(market.wholesaler, market.pharmacy, [goods.cases[1]])
    box = goods.boxes_of(1)[0]
    sold = await market.move(321, market.pharmacy, [box])
    assert verdicts(sold) == {box: "taken_out"}
    assert await market.status(box) == ("S", market.pharmacy, None)
    assert await market.status(goods.cases[1]) == ("I", market.pharmacy, None)
    left = await market.conn.fetchval("SELECT qty FROM unit WHERE code = $1", goods.cases[1])
    on_pallet = await market.conn.fetchval("SELECT qty FROM unit WHERE code = $1", goods.pallets[0])
    assert (left, on_pallet) == (9, 30)
    assert await market.stock(market.pharmacy) == 9
    assert await market.stock(market.wholesaler) == 30


async def test_a_sold_box_cannot_be_sold_again_and_the_refusal_names_the_sale(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    box = goods.boxes[0]
    first = await market.move(321, market.pharmacy, [box], bill_no="LS-1")
    again = await market.move(321, market.pharmacy, [box])
    assert again.status == "refused"
    (one,) = again.results
    assert one.verdict == "already_sold"
    assert one.evidence is not None
    assert (one.evidence["bill_no"], one.evidence["bill_id"]) == ("LS-1", first.bill_id)
    assert "116" in one.as_json("zh")["next"]  # type: ignore[operator]


async def test_a_stranger_learns_what_happened_but_not_who_did_it(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    await market.move(321, market.pharmacy, [goods.boxes[0]])
    seen = await market.move(321, market.store, [goods.boxes[0], goods.boxes[1]])
    assert verdicts(seen) == {goods.boxes[0]: "sold_elsewhere", goods.boxes[1]: "held_elsewhere"}
    evidence = seen.results[0].evidence
    assert evidence is not None and evidence["bill_type"] == 321
    assert evidence["bill_no"] is None and evidence["owner"] is None


@pytest.mark.parametrize(("mode", "status", "sold"), [("atomic", "refused", 0), ("per_code", "partial", 1)])
async def test_the_caller_says_whether_one_bad_code_stops_the_bill(
    market: Market, mode: str, status: str, sold: int
) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, [goods.cases[0]])
    codes = [goods.boxes_of(0)[0], goods.boxes_of(1)[0], "not a code"]
    result = await market.move(321, market.pharmacy, codes, mode=mode)
    assert result.status == status
    assert [r.verdict for r in result.results][1] == "held_elsewhere"
    assert result.results[2].severity == "refused"
    assert await market.stock(market.pharmacy, "S") == sold


async def test_a_package_and_its_content_in_one_bill_and_doubled_scans_are_named(market: Market) -> None:
    goods = await activate(market)
    box = goods.boxes_of(0)[0]
    result = await market.move(
        201, market.maker, [goods.cases[0], box, goods.cases[1], goods.cases[1]], to_org=market.wholesaler
    )
    assert [r.verdict for r in result.results] == [
        "accepted",
        "inside_scanned_package",
        "accepted",
        "duplicate_in_bill",
    ]
    assert result.qty == 20


async def test_goods_on_their_way_to_somebody_else_go_to_quarantine_and_never_to_stock(
    market: Market,
) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.other, [goods.cases[0]])
    result = await market.move(
        102, market.wholesaler, [goods.cases[0], goods.cases[1]], from_org=market.maker
    )
    assert verdicts(result) == {goods.cases[0]: "in_transit_elsewhere", goods.cases[1]: "no_notice"}
    assert await market.stock(market.wholesaler) == 0
    rows = await market.conn.fetch("SELECT code, moved FROM quarantine WHERE org = $1", market.wholesaler)
    assert {(r["code"], r["moved"]) for r in rows} == {(goods.cases[0], False), (goods.cases[1], False)}
    assert result.checks[0]["outcome"] == "mismatch"


async def test_a_late_shipment_report_lets_the_same_goods_in_and_closes_the_quarantine(
    market: Market,
) -> None:
    goods = await activate(market)
    case = goods.cases[0]
    first = await market.move(102, market.wholesaler, [case], from_org=market.maker)
    assert first.results[0].verdict == "no_notice"
    yesterday = datetime.now(UTC) - timedelta(days=2)
    late = await market.ship(market.maker, market.wholesaler, [case], happened_at=yesterday)
    assert late.flags & 1
    second = await market.move(102, market.wholesaler, [case], from_org=market.maker)
    assert second.status == "accepted"
    open_ = await market.conn.fetchval("SELECT count(*) FROM quarantine WHERE closed_at IS NULL")
    assert open_ == 0


async def test_the_receipt_check_counts_matched_short_over_and_wrong_at_any_mix_of_levels(
    market: Market,
) -> None:
    goods = await activate(market, cases=4, pallets=2)
    await market.ship(market.maker, market.wholesaler, [goods.pallets[0]], bill_no="CK-1")
    await market.ship(market.maker, market.wholesaler, [goods.cases[2]], bill_no="CK-2")
    # one whole case of the pallet, three boxes of the other, and a case of the other notice
    scans = [goods.cases[0], *goods.boxes_of(1)[:3], goods.cases[2], "83857930000000000000"]
    result = await market.move(102, market.wholesaler, scans, from_org=market.maker, notice="CK-1")
    assert [r.verdict for r in result.results] == [
        "taken_out",
        *["taken_out"] * 3,
        "on_other_notice",
        "not_activated",
    ]
    checks = {c["notice_bill"]: c for c in result.checks}
    assert len(checks) == 2
    main = next(c for c in result.checks if c["counts"].get("matched"))  # type: ignore[attr-defined]
    assert main["counts"] == {"matched": 13, "short": 7, "over": 1, "not_activated": 1}
    assert await market.stock(market.wholesaler, "I") == 13
    assert await market.stock(market.wholesaler, "Q") == 10
    state = await market.conn.fetchval("SELECT state FROM notice WHERE bill_id = $1", main["notice_bill"])
    assert state == "part"


async def test_what_the_buyer_rejects_goes_back_to_the_seller_with_a_notice_of_its_own(
    market: Market,
) -> None:
    goods = await activate(market)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases)
    receipt = await market.move(
        102, market.wholesaler, goods.cases, from_org=market.maker, rejects=[goods.cases[1]]
    )
    assert [r.verdict for r in receipt.results] == ["accepted", "rejected_by_you"]
    assert await market.status(goods.cases[1]) == ("O", market.maker, market.maker)
    back = await market.conn.fetchrow("SELECT * FROM notice WHERE to_org = $1", market.maker)
    assert (back["bill_id"], back["expected"]) == (receipt.bill_id, 10)
    returned = await market.move(103, market.maker, [goods.cases[1]], from_org=market.maker)
    assert returned.status == "accepted"
    assert await market.stock(market.maker) == 10
    row = await market.conn.fetchrow("SELECT * FROM notice WHERE bill_id = $1", shipped.bill_id)
    assert (row["state"], row["received"], row["refused"]) == ("received", 10, 10)


async def test_a_whole_delivery_or_a_batch_can_be_rejected(market: Market) -> None:
    one, two = await activate(market, cases=1), await activate(market, cases=1)
    await market.ship(market.maker, market.wholesaler, [*one.cases, *two.cases])
    receipt = await market.move(
        102, market.wholesaler, [*one.cases, *two.cases], from_org=market.maker, reject_batches=[two.batch_no]
    )
    assert [r.verdict for r in receipt.results] == ["accepted", "rejected_by_you"]
    assert await market.stock(market.wholesaler) == 10


async def test_a_consumer_return_goes_to_quarantine_and_needs_a_release(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    box = goods.boxes[0]
    await market.move(321, market.pharmacy, [box])
    back = await market.move(116, market.pharmacy, [box])
    assert back.status == "accepted"
    assert await market.status(box) == ("Q", market.pharmacy, None)
    refused = await market.move(321, market.pharmacy, [box])
    assert refused.results[0].verdict == "in_quarantine"
    await market.move(6, market.pharmacy, [box], header={"reason_text": "外观完好，冷链记录完整"})
    assert await market.status(box) == ("I", market.pharmacy, None)
    open_ = await market.conn.fetchval("SELECT count(*) FROM quarantine WHERE closed_at IS NULL")
    assert open_ == 0


async def test_only_what_was_sold_here_can_be_returned_by_a_consumer(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, [goods.cases[0]])
    await market.move(321, market.pharmacy, [goods.boxes[0]])
    result = await market.move(116, market.store, [goods.boxes[0]])
    assert result.results[0].verdict == "sold_elsewhere"
    result = await market.move(116, market.pharmacy, [goods.boxes[1]])
    assert result.results[0].verdict == "not_sold"


async def test_the_same_submission_again_gets_the_same_answer_and_moves_nothing(market: Market) -> None:
    goods = await activate(market)
    when = datetime.now(UTC) - timedelta(hours=1)
    codes = [goods.cases[0], goods.boxes_of(1)[0], "X"]
    first = await market.move(
        201, market.maker, codes, to_org=market.wholesaler, bill_no="A", happened_at=when
    )
    again = await market.move(
        201, market.maker, codes, to_org=market.wholesaler, bill_no="A", happened_at=when
    )
    assert again.replayed
    wanted, given = first.as_json("zh"), again.as_json("zh")
    assert given.pop("replayed") is True and wanted.pop("replayed") is False
    for answer in (wanted, given):
        answer.pop("recorded_at")
        answer.pop("checks")
    assert given == wanted


async def test_other_content_under_a_used_number_is_a_conflict_that_names_the_difference(
    market: Market,
) -> None:
    goods = await activate(market)
    when = datetime.now(UTC) - timedelta(hours=1)
    await market.ship(market.maker, market.wholesaler, [goods.cases[0]], bill_no="A", happened_at=when)
    with pytest.raises(YaosuError) as caught:
        await market.ship(market.maker, market.other, [goods.cases[0]], bill_no="A", happened_at=when)
    assert caught.value.code == "bill_conflict" and caught.value.http == 409
    assert [f.params["field"] for f in caught.value.findings] == ["to_org"]


async def test_a_correction_takes_the_old_revision_back_and_keeps_both_on_record(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="A")
    fixed = await market.move(
        201, market.maker, [goods.cases[0]], to_org=market.other, bill_no="A", revision=2
    )
    assert fixed.status == "accepted"
    assert await market.status(goods.cases[0]) == ("O", market.maker, market.other)
    assert await market.status(goods.cases[1]) == ("I", market.maker, None)
    rows = await market.conn.fetch("SELECT revision, status FROM bill WHERE bill_no = 'A' ORDER BY id")
    assert [tuple(r) for r in rows] == [(1, "R"), (-1, "V"), (2, "A")]
    states = await market.conn.fetch("SELECT to_org, state FROM notice ORDER BY bill_id")
    assert [tuple(r) for r in states] == [(market.wholesaler, "cancelled"), (market.other, "open")]
    received = await market.move(102, market.other, [goods.cases[0]], from_org=market.maker)
    assert received.status == "accepted"


async def test_a_refused_correction_leaves_everything_as_it_was(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, [goods.cases[0]], bill_no="A")
    bad = await market.move(
        201, market.maker, ["X"], to_org=market.other, bill_no="A", revision=2, mode="atomic"
    )
    assert bad.status == "refused"
    assert await market.status(goods.cases[0]) == ("O", market.maker, market.wholesaler)
    received = await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
    assert received.status == "accepted"


async def test_a_bill_that_others_built_on_cannot_be_taken_back(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, bill_no="A")
    await market.move(102, market.wholesaler, [goods.cases[0]], from_org=market.maker)
    with pytest.raises(YaosuError) as caught:
        await market.move(201, market.maker, [], to_org=market.wholesaler, bill_no="A", revision=2, void=True)
    assert caught.value.code == "later_fact"
    assert [f.where for f in caught.value.findings] == [goods.cases[0]]


async def test_a_case_that_lost_a_box_since_cannot_be_taken_back_either(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, [goods.cases[0]], bill_no="A")
    await market.move(102, market.wholesaler, [goods.boxes_of(0)[0]], from_org=market.maker)
    with pytest.raises(YaosuError) as caught:
        await market.move(201, market.maker, [], to_org=market.wholesaler, bill_no="A", revision=2, void=True)
    assert caught.value.code == "later_fact"


async def test_a_voided_receipt_puts_the_goods_back_on_their_way(market: Market) -> None:
    goods = await activate(market)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases)
    await market.move(102, market.wholesaler, goods.cases, from_org=market.maker, bill_no="R")
    await market.move(102, market.wholesaler, [], from_org=market.maker, bill_no="R", revision=2, void=True)
    assert await market.status(goods.cases[0]) == ("O", market.maker, market.wholesaler)
    row = await market.conn.fetchrow("SELECT * FROM notice WHERE bill_id = $1", shipped.bill_id)
    assert (row["state"], row["received"]) == ("open", 0)
    again = await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    assert again.status == "accepted"


async def test_expired_goods_are_neither_sold_nor_shipped_but_may_be_returned(market: Market) -> None:
    goods = await activate(market, expires_on=date(2026, 9, 30))
    august = datetime(2026, 8, 1, tzinfo=UTC)
    await market.ship(market.maker, market.pharmacy, goods.cases, happened_at=august)
    await market.move(102, market.pharmacy, goods.cases, from_org=market.maker, happened_at=august)
    last_day = datetime(2026, 9, 30, 15, 59, tzinfo=UTC)
    assert (
        await market.move(321, market.pharmacy, [goods.boxes[0]], happened_at=last_day)
    ).status == "accepted"
    next_day = datetime(2026, 9, 30, 16, 0, tzinfo=UTC)
    late = await market.move(321, market.pharmacy, [goods.boxes[1]], happened_at=next_day)
    assert late.results[0].verdict == "expired"
    back = await market.move(202, market.pharmacy, [goods.cases[1]], to_org=market.maker)
    assert back.status == "accepted"


async def test_expired_goods_that_arrive_go_to_quarantine(market: Market) -> None:
    goods = await activate(market, expires_on=date(2026, 9, 30))
    august = datetime(2026, 8, 1, tzinfo=UTC)
    await market.ship(market.maker, market.pharmacy, goods.cases, happened_at=august)
    result = await market.move(102, market.pharmacy, goods.cases, from_org=market.maker)
    assert {r.verdict for r in result.results} == {"expired"}
    assert all(r.quarantined for r in result.results)
    assert await market.stock(market.pharmacy, "Q") == 20


async def test_a_bill_older_than_what_is_on_record_is_accepted_and_flagged(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    early = datetime.now(UTC) - timedelta(hours=3)
    result = await market.move(321, market.pharmacy, [goods.boxes[0]], happened_at=early)
    assert result.results[0].verdict == "out_of_order"
    assert result.results[0].severity == "warn"
    assert result.flags & 2


async def test_a_chain_submits_for_its_stores_and_others_need_a_delegation(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    await market.move(203, market.pharmacy, [goods.cases[0]], to_org=market.store)
    received = await market.move(
        104, market.store, [goods.cases[0]], from_org=market.pharmacy, by=market.pharmacy
    )
    assert received.status == "accepted"
    with pytest.raises(YaosuError) as caught:
        await market.move(321, market.store, [goods.boxes[0]], by=market.wholesaler)
    assert caught.value.code == "not_your_bill"
    await market.conn.execute(
        "INSERT INTO delegation (principal, agent) VALUES ($1, $2)", market.store, market.wholesaler
    )
    assert (await market.move(321, market.store, [goods.boxes[0]], by=market.wholesaler)).status == "accepted"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": 999}, "bill_type_unknown"),
        ({"type": 1}, "bill_type_unknown"),
        ({"type": 323}, "bill_type_not_yours"),
        ({"to_org": None}, "field_needed"),
        ({"to_org": 999_999}, "party_unknown"),
        ({"codes": []}, "no_codes"),
        ({"happened_at": datetime(2036, 1, 1, tzinfo=UTC)}, "happened_in_future"),
        ({"happened_at": datetime(1999, 1, 1, tzinfo=UTC)}, "happened_too_early"),
    ],
)
async def test_header_problems_are_named_and_change_nothing(market: Market, change: dict, code: str) -> None:
    goods = await activate(market)
    values = {"type": 201, "to_org": market.wholesaler, "codes": goods.cases, **change}
    with pytest.raises(YaosuError) as caught:
        await market.move(values.pop("type"), market.maker, values.pop("codes"), **values)
    assert code in {caught.value.code, *(f.code for f in caught.value.findings)}
    assert await market.stock(market.maker) == 20


async def test_every_bill_type_has_its_effect_on_status_and_ledger(market: Market) -> None:
    goods = await activate(market, cases=6)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    destroy = {"reason": "1", "executer_name": "执行", "superviser_name": "监督"}
    for case, (type_, after, header) in zip(
        goods.cases,
        [(206, "N", {}), (214, "N", {}), (205, "X", destroy), (216, "X", {}), (320, "S", {}), (112, "Q", {})],
        strict=True,
    ):
        result = await market.move(type_, market.pharmacy, [case], header=header)
        assert result.status == "accepted", result.results[0].verdict
        assert await market.status(case) == (after, market.pharmacy, None)
    found = await market.move(111, market.pharmacy, [goods.cases[1]])
    assert found.status == "accepted"
    assert await market.stock(market.pharmacy) == 10


async def test_a_late_sale_of_goods_returned_since_is_refused_with_the_later_bill(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    box = goods.boxes[0]
    await market.move(320, market.pharmacy, [goods.boxes[1]])
    noon, evening = (datetime.now(UTC) - timedelta(minutes=m) for m in (20, 10))
    back = await market.move(202, market.pharmacy, [box], to_org=market.maker, happened_at=evening)
    late = await market.move(321, market.pharmacy, [box], happened_at=noon)
    assert verdicts(late) == {box: "conflicts_with_later"}
    assert late.results[0].evidence is not None
    assert late.results[0].evidence["bill_id"] == back.bill_id
    after = await market.move(321, market.pharmacy, [box])
    assert verdicts(after) == {box: "conflicts_with_later"}
    now = await market.move(321, market.pharmacy, [box], happened_at=datetime.now(UTC))
    assert verdicts(now) == {box: "already_shipped"}


async def test_a_made_up_code_is_told_from_one_that_waits_for_activation(market: Market) -> None:
    master = bytes(range(32))
    maker = market.subject(market.maker)
    asked = await requests.create(market.conn, maker, market.registry, market.drug_id, {1: 100})
    row = await market.conn.fetchrow("SELECT key_id, start_no FROM code_range WHERE prefix = $1", BOX)
    waiting = nth(Range(BOX, derive(master, row["key_id"]), row["start_no"], 100), 7)
    made_up = waiting[:-1] + str((int(waiting[-1]) + 1) % 10)
    market.batches.issued = Issued(master)
    result = await market.move(321, market.pharmacy, [waiting, made_up])
    assert asked.drug_id == market.drug_id
    assert verdicts(result) == {waiting: "not_activated", made_up: "never_issued"}


async def test_rejected_goods_come_back_also_when_the_bill_names_the_buyer(market: Market) -> None:
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases)
    receipt = await market.move(102, market.wholesaler, goods.cases, from_org=market.maker, reject_all=True)
    assert {r.verdict for r in receipt.results} == {"rejected_by_you"}
    back = await market.move(
        103, market.maker, goods.cases, from_org=market.wholesaler, notice=receipt.bill_no
    )
    assert back.status == "accepted"
    assert await market.stock(market.maker) == 20
    states = await market.conn.fetch("SELECT outcome, state FROM receipt_check ORDER BY id")
    assert [tuple(r) for r in states] == [("refused", "open"), ("matched", "closed")]


@pytest.mark.parametrize("words", ["{}", "证件{}", "身份证 {} 男"])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_an_identity_card_scanned_for_a_code_is_kept_nowhere(
    db: Connection, words: str, ascii_only: bool
) -> None:
    """A reader at the till types whatever lies under it (design §6)."""
    market = await make_market(db)
    goods = await activate(market)
    number = card("650102", "19850615", 321)
    scan = words.format(number)
    body = json.dumps({"codes": [scan, goods.cases[0]]}, ensure_ascii=ascii_only).encode()
    movement = replace(
        market.movement(201, market.maker, [scan, goods.cases[0]], to_org=market.wholesaler), body=body
    )
    result = await market.submit(movement)
    assert [r.verdict for r in result.results] == ["code_is_identity_card", "accepted"]
    assert number not in str([r.as_json("zh") for r in result.results])
    query = "SELECT s.body FROM submission s JOIN bill b ON b.submission_id = s.id WHERE b.id = $1"
    kept = await db.fetchval(query, result.bill_id)
    part = await db.fetchval("SELECT part FROM bill WHERE id = $1", result.bill_id)
    assert number.encode() not in unpack_body(kept, part) and goods.cases[0].encode() in unpack_body(
        kept, part
    )
    notes = await db.fetch("SELECT raw, params::text FROM bill_note WHERE bill_id = $1", result.bill_id)
    assert notes and number not in str([tuple(r) for r in notes])
