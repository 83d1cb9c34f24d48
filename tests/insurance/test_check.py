"""The settlement check with real goods (R-C7): each verdict, one act told once, what is recorded."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from circulation.helpers import activate
from insurance.helpers import OTHER_YIBAO, YIBAO, Scene, ago, make_scene, register, rules_of, stocked
from registry.helpers import make_filing, make_product
from yaosu.db.engine import Connection
from yaosu.insurance.model import Line
from yaosu.stops import service as stops

HERBS, PILLS = "XA02BCT040A001010100003", "XA02BCT040A001010100004"


@pytest.fixture
async def scene(db: Connection) -> Scene:
    """A bureau and its institutions."""
    return await make_scene(db)


async def test_goods_in_stock_are_settled_and_the_same_act_again_is_the_same_answer(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    first = await scene.settle(shop, goods.boxes[:3], number="S1")
    assert (first.severity, rules_of(first)) == ("ok", ["ok", "ok", "ok"])
    again = await scene.settle(shop, goods.boxes[:3], number="S1")
    assert again.severity == "ok"
    assert all(v.repeated for v in again.codes)
    for code in goods.boxes[:3]:
        assert [(r["state"], r["institution"]) for r in await scene.rows(code)] == [("S", shop.id)]
    assert await scene.cases() == []


async def test_a_check_alone_leaves_nothing_behind(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    outcome = await scene.settle(scene.pharmacy.institution, goods.boxes[:1], record=False)
    assert outcome.severity == "ok"
    assert await scene.rows(goods.boxes[0]) == []


async def test_codes_never_seen_in_circulation_are_refused_by_kind(scene: Scene) -> None:
    shop = scene.pharmacy.institution
    never = "8385793" + "9" * 13
    outcome = await scene.settle(shop, ["12345670000000000000", never, "abc"], qty=None)
    assert rules_of(outcome) == ["unknown", "not_activated", "not_a_code"]
    assert outcome.severity == "refuse"
    retail = await scene.settle(shop, ["6901234567892"], qty=None)
    assert rules_of(retail) == ["retail_barcode"]


async def test_a_code_of_another_system_names_its_home_and_is_paid(scene: Scene) -> None:
    conn = scene.conn
    other = await conn.fetchval(
        "INSERT INTO trace_system (name, query_url) VALUES ('码上放心', 'https://example.org') RETURNING id"
    )
    await make_filing(conn, scene.market.maker, ["8123456"], system_id=other)
    await scene.market.registry.refresh(conn, full=True)
    code = "8123456" + "0" * 12 + "7"
    outcome = await scene.settle(scene.pharmacy.institution, [code])
    (verdict,) = outcome.codes
    assert verdict.severity == "ok"
    assert [s.params["system"] for s in verdict.said if s.rule == "elsewhere"] == ["码上放心"]
    # what lives elsewhere is settled once all the same
    second = await scene.settle(scene.hospital.institution, [code])
    assert rules_of(second) == ["settled_elsewhere"]


async def test_another_product_than_billed_is_refused_and_both_are_named(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    outcome = await scene.settle(scene.pharmacy.institution, goods.boxes[:1], billed=OTHER_YIBAO)
    (verdict,) = outcome.codes
    assert verdict.rule == "other_product"
    assert verdict.said[0].params == {
        "product": "复方测试胶囊 每粒装0.3g",
        "its": YIBAO,
        "billed": OTHER_YIBAO,
    }
    assert await scene.rows(goods.boxes[0]) != []
    assert (await scene.rows(goods.boxes[0]))[0]["state"] == "R"


async def test_a_code_settled_elsewhere_is_refused_with_time_and_region_and_no_name(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    await scene.settle(scene.pharmacy.institution, goods.boxes[:1], number="S1", sold_at=ago(days=2))
    outcome = await scene.settle(scene.hospital.institution, goods.boxes[:1], number="S2")
    (verdict,) = outcome.codes
    assert (verdict.rule, verdict.severity) == ("settled_elsewhere", "refuse")
    assert verdict.said[0].params["region"] == "370102"
    assert scene.pharmacy.institution.name not in str(verdict.said)
    (case,) = await scene.cases()
    assert (case["rule"], case["institution"], case["other"]) == (
        "settled_elsewhere",
        scene.hospital.institution.id,
        scene.pharmacy.institution.id,
    )
    # told again: the same case, once more
    await scene.settle(scene.hospital.institution, goods.boxes[:1], number="S2")
    (case,) = await scene.cases()
    assert case["times"] == 2
    assert len(await scene.rows(goods.boxes[0])) == 2


async def test_the_same_box_in_another_act_here_is_a_duplicate_with_its_probable_cause(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    await scene.settle(shop, goods.boxes[:1], number="S1")
    outcome = await scene.settle(shop, goods.boxes[:1], number="S2")
    assert rules_of(outcome) == ["settled_here"]
    (case,) = await scene.cases()
    assert case["hint"].split(",")[0] == "double_scan"


async def test_two_lines_of_one_visit_with_one_box_are_a_duplicate_of_the_same_visit(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.hospital)
    ward = scene.hospital.institution
    await scene.settle(ward, goods.boxes[:1], number="V1", keys={"mdtrt": "V1"}, line_keys={"fee": "F1"})
    outcome = await scene.settle(
        ward, goods.boxes[:1], number="V1", keys={"mdtrt": "V1"}, line_keys={"fee": "F2"}
    )
    assert rules_of(outcome) == ["settled_here"]
    (case,) = await scene.cases()
    assert "same_visit" in case["hint"]


async def test_both_channels_of_one_sale_are_one_act(scene: Scene) -> None:
    """R-C6: the settlement and the stock channel tell one sale; our own books already know it."""
    goods = await stocked(scene, scene.market.hospital)
    ward = scene.hospital.institution
    sold_at = ago(minutes=30)
    sale = await scene.market.move(323, scene.market.hospital, goods.boxes[:1], happened_at=sold_at)
    await scene.settle(
        ward, goods.boxes[:1], keys={"mdtrt": "M1"}, line_keys={"fee": "F1"}, sold_at=sold_at, number="M1"
    )
    told = await scene.settle(
        ward, goods.boxes[:1], channel="collect", keys={"visit": "M1", "doc": "R9"}, line_keys={"bch": "B1"},
        sold_at=sold_at + timedelta(minutes=5), number="M1",
    )  # fmt: skip
    assert told.severity == "ok"
    (row,) = await scene.rows(goods.boxes[0])
    assert row["collected_at"] and row["settled_at"]
    assert row["bill_id"] == sale.bill_id
    assert {k.split(":")[1] for k in row["keys"]} == {"mdtrt", "visit", "doc", "fee", "bch"}
    assert await scene.cases() == []


async def test_channels_without_a_number_in_common_are_one_act_when_close_in_time(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.hospital, cases=1)
    ward = scene.hospital.institution
    one, two = goods.boxes[:2]
    for code, gap in ((one, timedelta(hours=2)), (two, timedelta(days=20))):
        await scene.settle(ward, [code], keys={"mdtrt": f"M{code}"}, sold_at=ago(days=25), number=f"M{code}")
        await scene.settle(
            ward, [code], channel="collect", keys={"doc": f"R{code}"}, sold_at=ago(days=25) + gap, number=f"R{code}"
        )  # fmt: skip
    assert [r["state"] for r in await scene.rows(one)] == ["S"]
    assert [r["state"] for r in await scene.rows(two)] == ["S", "D"]


async def test_a_sale_before_activation_and_after_expiry_is_refused(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    early = await scene.settle(
        shop, goods.boxes[:1], sold_at=datetime(2026, 1, 1, 3, tzinfo=UTC), record=False
    )
    assert "before_activation" in {s.rule for s in early.codes[0].said}
    old = await activate(scene.market, cases=1, expires_on=date(2026, 2, 1))
    late = await scene.settle(shop, old.boxes[:1], record=False)
    assert late.codes[0].rule == "expired"


async def test_recalled_goods_are_refused_from_the_recall_on_and_sales_before_it_are_not(
    scene: Scene,
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    await stops.place(
        scene.conn, kind="recall", ref=1, number="ZH1", title="召回", level=1, placed_by=scene.market.maker,
        reason="x", batches=[(goods.drug_id, goods.batch_id)], codes=[],
    )  # fmt: skip
    assert rules_of(await scene.settle(shop, goods.boxes[:1], record=False)) == ["recalled"]
    before = await scene.settle(shop, goods.boxes[:1], sold_at=ago(minutes=10), record=False)
    assert "recalled" not in {s.rule for s in before.codes[0].said}


async def test_goods_of_somebody_else_are_paid_but_examined_and_their_holder_is_not_named(
    scene: Scene,
) -> None:
    goods = await stocked(scene, scene.market.hospital)
    outcome = await scene.settle(scene.pharmacy.institution, goods.boxes[:1])
    (verdict,) = outcome.codes
    assert (verdict.rule, verdict.severity, outcome.severity) == ("not_in_stock", "examine", "examine")
    assert outcome.recorded
    hospital = scene.market.registry.org(scene.market.hospital)
    assert hospital is not None
    assert hospital.name not in str(verdict.said)
    (case,) = await scene.cases()
    assert case["severity"] == "examine"


async def test_goods_on_their_way_here_and_goods_sold_by_others_are_told_apart(scene: Scene) -> None:
    goods = await activate(scene.market, cases=1)
    await scene.market.pass_on(scene.market.maker, scene.market.wholesaler, goods.cases)
    await scene.market.ship(scene.market.wholesaler, scene.market.pharmacy, goods.cases)
    shop = scene.pharmacy.institution
    assert rules_of(await scene.settle(shop, goods.boxes[:1], record=False)) == ["not_received"]
    sold = await stocked(scene, scene.market.hospital)
    await scene.market.move(323, scene.market.hospital, sold.boxes[:1])
    assert rules_of(await scene.settle(shop, sold.boxes[:1], record=False)) == ["sold_by_another"]


async def test_a_box_sold_long_ago_is_not_settled_again_on_another_act(scene: Scene) -> None:
    """Sold for cash in the spring, swiped on a card in the autumn."""
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    sale = await scene.market.move(321, scene.market.pharmacy, goods.boxes[:1], happened_at=ago(minutes=20))
    later = datetime.now(UTC) + timedelta(days=30)
    outcome = await scene.settle(shop, goods.boxes[:1], sold_at=later, now=later, record=False)
    assert outcome.codes[0].said[0].rule == "sold_before"
    # the number of that very sale makes it the same act, however late it is settled
    same = await scene.settle(
        shop, goods.boxes[:1], sold_at=later, now=later, number=sale.bill_no, record=False
    )
    assert same.severity == "ok"


async def test_quantity_and_codes_must_agree_and_a_box_is_scanned_once(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    short = await scene.settle(shop, goods.boxes[:2], qty=3)
    assert [v.rule for v in short.lines] == ["quantity"]
    assert short.severity == "refuse"
    assert not short.recorded
    assert await scene.rows(goods.boxes[0]) == []
    twice = await scene.settle(shop, [goods.boxes[0], goods.boxes[0]], qty=1, record=False)
    assert [v.rule for v in twice.lines] == ["twice_in_act"]


async def test_an_opened_box_is_settled_in_parts_until_it_is_empty(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.hospital)
    ward = scene.hospital.institution
    for number, units in enumerate((10, 10, 4)):
        part = await scene.settle(ward, goods.boxes[:1], qty=units, split=True, number=f"P{number}")
        assert part.severity == "ok", part.codes[0].said
    over = await scene.settle(ward, goods.boxes[:1], qty=1, split=True, number="P9")
    assert rules_of(over) == ["split_over"]
    whole = await scene.settle(ward, goods.boxes[:1], number="P10")
    assert rules_of(whole) == ["settled_here"]


async def test_a_line_without_a_code_is_exempt_uncoded_or_refused(scene: Scene) -> None:
    conn, market = scene.conn, scene.market
    for number, (flags, value) in enumerate(((("decoction",), HERBS), ((), PILLS))):
        await make_product(
            conn, market.maker, levels=(("盒", 1, f"83857{80 + number}"),), generic_name=f"药{number}",
            flags=frozenset(flags), links=[("yibao", value)],
        )  # fmt: skip
    await market.registry.refresh(conn, full=True)
    lines = [
        Line(1, [], {}, HERBS, Decimal(1)),
        Line(2, [], {}, PILLS, Decimal(1)),
        Line(3, [], {}, PILLS, Decimal(1), purchased_on=date(2025, 6, 1)),
        Line(4, [], {}, PILLS, Decimal(1), purchased_on=date(2025, 8, 1)),
        Line(5, [], {}, OTHER_YIBAO, Decimal(1)),
    ]
    outcome = await scene.act(scene.pharmacy.institution, lines, record=False)
    assert [(v.row, v.rule, v.severity) for v in outcome.lines] == [
        (1, "exempt", "ok"),
        (2, "no_code", "refuse"),
        (3, "uncoded", "ok"),
        (4, "uncoded_late", "refuse"),
        (5, "billed_unknown", "examine"),
    ]


async def test_a_settlement_is_paid_whole_or_not_at_all(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    await scene.settle(shop, goods.boxes[:1], number="S1")
    outcome = await scene.settle(shop, goods.boxes[:3], number="S2")
    assert outcome.severity == "refuse"
    assert [len(await scene.rows(code)) for code in goods.boxes[:3]] == [2, 0, 0]


async def test_an_institution_that_keeps_no_books_here_is_judged_by_settlements_alone(scene: Scene) -> None:
    stranger = (await register(scene, None, "H37019900009")).institution
    goods = await activate(scene.market, cases=1)
    outcome = await scene.settle(stranger, goods.boxes[:1])
    assert [s.rule for s in outcome.codes[0].said] == ["stock_not_checked"]
    again = await scene.settle(scene.hospital.institution, goods.boxes[:1])
    assert again.codes[0].rule == "settled_elsewhere"


async def test_four_hundred_codes_take_a_handful_of_statements(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy, cases=40)
    counted = 0

    def listen(_: object) -> None:
        nonlocal counted
        counted += 1

    scene.conn.add_query_logger(listen)
    try:
        outcome = await scene.settle(scene.pharmacy.institution, goods.boxes[:400])
    finally:
        scene.conn.remove_query_logger(listen)
    assert outcome.severity == "ok"
    assert counted <= 12


async def test_one_box_on_two_lines_of_one_message_counts_once(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = scene.pharmacy.institution
    lines = [
        Line(n, goods.boxes[:1], {"bch": f"B{n}", "doc": f"R{n}"}, YIBAO, Decimal(1), act=f"R{n}")
        for n in (1, 2)
    ]
    outcome = await scene.act(shop, lines, channel="collect", keys={})
    assert rules_of(outcome) == ["ok", "settled_here"]
    assert [r["state"] for r in await scene.rows(goods.boxes[0])] == ["S", "D"]
    (case,) = await scene.cases()
    assert case["act"] == "R2"
