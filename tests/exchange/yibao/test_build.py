"""Parcels of real bills: each row once, corrections by deletion or return, returns behind their sale (R-C6, R-X9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from circulation.helpers import activate
from exchange.yibao.desk import Desk, open_desk
from yaosu.circulation.model import Quantity
from yaosu.db.engine import Connection
from yaosu.exchange.outbox.model import Parcel
from yaosu.insurance.fields import codes_of


def calls(parcels: list[Parcel]) -> list[tuple[str, list[tuple[str, ...]]]]:
    return [(p.body["infno"], [tuple(codes_of(r["fields"])) for r in p.body["rows"]]) for p in parcels]


def fields(parcel: Parcel, n: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = parcel.body["rows"][n]["fields"]
    return found


async def stocked(db: Connection, boxes: int = 5, **more: Any) -> tuple[Desk, list[str]]:
    desk = await open_desk(db, **more)
    goods = await activate(desk.market)
    mine = goods.boxes[:boxes]
    await desk.market.pass_on(desk.market.maker, desk.link.org, mine)
    return desk, mine


async def test_a_purchase_of_a_case_names_the_boxes_inside(db: Connection) -> None:
    desk = await open_desk(db)
    goods = await activate(desk.market)
    await desk.market.ship(desk.market.maker, desk.link.org, [goods.cases[0]])
    result, parcels = await desk.move(
        102, [goods.cases[0]], from_org=desk.market.maker, header={"invoice_no": "FP1"}
    )
    assert calls(parcels) == [("3503", [tuple(sorted(goods.boxes_of(0)))])]
    row = fields(parcels[0])
    assert (row["purc_retn_cnt"], row["purc_invo_no"], row["manu_lotnum"]) == (10, "FP1", goods.batch_no)
    assert row["fixmedins_bchno"] == f"Y{result.bill_id}-1"
    assert parcels[0].body["rows"][0]["partner"] == desk.market.maker
    assert len(parcels[0].body["msgid"]) == 30


async def test_a_partner_s_bill_is_not_ours_to_report(db: Connection) -> None:
    desk = await open_desk(db)
    goods = await activate(desk.market)
    shipped = await desk.market.ship(desk.market.maker, desk.link.org, goods.boxes[:1])
    assert await desk.parcels(shipped) == []


async def test_several_rows_go_in_one_batch_call_or_singly(db: Connection) -> None:
    desk, mine = await stocked(db)
    other = await activate(desk.market)
    await desk.market.pass_on(desk.market.maker, desk.link.org, other.boxes[:1])
    _, parcels = await desk.move(321, [mine[0], other.boxes[0]])
    assert calls(parcels) == [("3505A", [(mine[0],), (other.boxes[0],)])]
    desk.link = replace(desk.link, profile="qingdao")
    other = await activate(desk.market)
    await desk.market.pass_on(desk.market.maker, desk.link.org, other.boxes[:1])
    _, parcels = await desk.move(321, [mine[1], other.boxes[0]])
    assert [c for c, _ in calls(parcels)] == ["3505", "3505"]
    assert len({p.key for p in parcels}) == 2
    assert parcels[0].lane == parcels[1].lane
    assert len({p.body["msgid"] for p in parcels}) == 2


async def test_a_correction_deletes_what_changed_and_leaves_what_did_not(db: Connection) -> None:
    desk, mine = await stocked(db)
    other = await activate(desk.market)
    await desk.market.pass_on(desk.market.maker, desk.link.org, other.boxes[:1])
    sold, first = await desk.move(321, [mine[0], mine[1], other.boxes[0]])
    when = await db.fetchval("SELECT happened_at FROM bill WHERE id = $1", sold.bill_id)
    _, again = await desk.move(
        321, [mine[0], other.boxes[0]], bill_no=sold.bill_no, revision=2, happened_at=when
    )
    assert calls(again) == [("3507", [()]), ("3505", [(mine[0],)])]
    assert fields(again[0]) == {"fixmedins_bchno": fields(first[0])["fixmedins_bchno"], "inv_data_type": "4"}
    assert again[0].lane == first[0].lane
    # the same revision once more changes nothing
    assert await desk.parcels(sold) == []


async def test_a_void_deletes_every_row(db: Connection) -> None:
    desk, mine = await stocked(db)
    sold, first = await desk.move(321, mine[:2])
    _, parcels = await desk.move(321, [], bill_no=sold.bill_no, revision=2, void=True)
    assert [p.body["infno"] for p in parcels] == ["3507"]
    assert fields(parcels[0])["fixmedins_bchno"] == fields(first[0])["fixmedins_bchno"]


async def test_where_the_province_wants_a_return_a_void_is_one(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, mine = await stocked(db)
    sold, first = await desk.move(321, mine[:2], header={"settlement_id": "SET7"})
    from yaosu.exchange.yibao import build

    plain = build.profile_of
    monkeypatch.setattr(build, "profile_of", lambda *a: replace(plain(*a), correction="return"))
    _, parcels = await desk.move(321, [], bill_no=sold.bill_no, revision=2, void=True)
    assert calls(parcels) == [("3506", [tuple(sorted(mine[:2]))])] or calls(parcels) == [
        ("3506", [tuple(mine[:2])])
    ]
    row = fields(parcels[0])
    assert row["medins_prod_sel_no"] == fields(first[0])["fixmedins_bchno"]
    assert (row["setl_id"], row["memo"], row["manu_date"]) == ("SET7", "更正", "2026-01-01")


async def test_a_consumer_s_return_goes_behind_its_sale_and_names_it(db: Connection) -> None:
    desk, mine = await stocked(db)
    _, sale = await desk.move(321, mine[:2])
    _, back = await desk.move(116, mine[:1], header={"reason": "1"})
    assert calls(back) == [("3506", [(mine[0],)])]
    assert fields(back[0])["medins_prod_sel_no"] == fields(sale[0])["fixmedins_bchno"]
    assert back[0].lane == sale[0].lane


async def test_an_opened_box_is_named_for_each_patient(db: Connection) -> None:
    desk, mine = await stocked(db, who="hospital")
    _, opened = await desk.move(7, mine[:1])
    assert opened == []
    found = []
    for parts in (6, 8):
        _, parcels = await desk.move(323, mine[:1], parts={mine[0]: parts})
        found.append(fields(parcels[0]))
    assert [(r["sel_retn_cnt"], r["trdn_flag"], codes_of(r)) for r in found] == [
        (6, "1", [mine[0]]),
        (8, "1", [mine[0]]),
    ]
    assert found[0]["fixmedins_bchno"] != found[1]["fixmedins_bchno"]


async def test_uncoded_goods_are_bought_and_sold_without_codes(db: Connection) -> None:
    from datetime import date

    desk = await open_desk(db)
    one = Quantity(desk.market.drug_id, "OLD1", 10, date(2024, 1, 1), date(2058, 12, 31))
    header = {"invoice_no": "FP9", "invoice_date": "2025-01-05", "supplier": "老供货商"}
    _, bought = await desk.move(21, [], quantities=[one], header=header)
    assert calls(bought) == [("3503", [()])]
    assert (fields(bought[0])["manu_date"], fields(bought[0])["memo"]) == ("2024-01-01", "无码库")
    _, sold = await desk.move(23, [], quantities=[Quantity(desk.market.drug_id, "OLD1", 3)], header=header)
    row = fields(sold[0])
    assert (row["sel_retn_cnt"], row["expy_end"], row.get("drugtracinfo")) == (3, "2058-12-31", None)


async def test_nothing_personal_stands_in_what_is_kept(db: Connection) -> None:
    from yaosu.insurance.fields import tables

    desk, mine = await stocked(db)
    _, parcels = await desk.move(321, mine[:1], header={"doctor": "王大夫", "prescription_no": "RX1"})
    personal = {name for name, f in tables().fields.items() if f.person}
    assert not personal & set(fields(parcels[0]))
    assert "王大夫" not in str(parcels[0].body)
