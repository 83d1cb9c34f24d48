"""Rows of bills against expectations worked out by hand (R-C6, R-C7, R-C8, R-C9)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.yibao.helpers import bill, line
from yaosu.exchange.outbox.model import RoutedBill
from yaosu.exchange.yibao.model import Row, Standing
from yaosu.exchange.yibao.rows import Surroundings, fields_of, opposite, rows_of
from yaosu.insurance.fields import tables
from yaosu.insurance.profiles import Profile
from yaosu.registry import lists
from yaosu.rules.bill_types import submittable

LISTS = lists.delivered()
COMMON = Profile()


def rows(one: RoutedBill, like: Profile = COMMON, **around: Any) -> list[Row]:
    return rows_of(one, LISTS, like, Surroundings(**around))[0]


def test_a_settled_sale_gives_one_row_for_the_batch_with_every_field_it_knows() -> None:
    header = {"settlement_id": "SET1", "visit_no": "V1", "prescription_no": "RX9", "unit_price": "12.50"}
    (row,) = rows(bill(321, header=header))
    assert fields_of(row, "Y55-1") == {
        "fixmedins_bchno": "Y55-1",
        "manu_lotnum": "240101",
        "manu_date": "2024-01-01",
        "expy_end": "2026-12-31",
        "trdn_flag": "0",
        "setl_id": "SET1",
        "mdtrt_sn": "V1",
        "mdtrt_setl_type": "1",
        "hi_feesetl_type": "1",
        "rtal_docno": "S-1",
        "rxno": "RX9",
        "rx_circ_flag": "0",
        "stoout_no": "S-1",
        "finl_trns_pric": 12.5,
        "sel_retn_time": "2026-03-01 09:30:05",
        "sel_retn_cnt": 2,
        "drugtracinfo": [{"drug_trac_codg": "81"}, {"drug_trac_codg": "82"}],
    }


def test_a_sale_for_cash_says_so() -> None:
    made = fields_of(rows(bill(323))[0], "1")
    assert (made["hi_feesetl_type"], made["mdtrt_setl_type"], made["mdtrt_sn"]) == ("0", "2", "S-1")
    assert "setl_id" not in made


def test_products_and_batches_have_rows_of_their_own() -> None:
    lines = [line("81"), line("82", batch_no="B2"), line("83", drug_id=8), line("84")]
    found = [(r.drug_id, r.batch_no, r.count, r.codes) for r in rows(bill(321, lines))]
    assert found == [
        (7, "240101", Decimal(2), ("81", "84")),
        (7, "B2", Decimal(1), ("82",)),
        (8, "240101", Decimal(1), ("83",)),
    ]


def test_a_case_stands_for_the_boxes_inside_it_and_rows_hold_no_more_codes_than_allowed() -> None:
    boxes = [f"9{n:03d}" for n in range(250)]
    found = rows(bill(102, [line("C1", level=2, qty=250)], from_org=4), inside={"C1": boxes})
    assert [r.count for r in found] == [100, 100, 50]
    assert [code for r in found for code in r.codes] == boxes


def test_a_container_nobody_can_look_into_counts_what_the_bill_says() -> None:
    (row,) = rows(bill(102, [line("C1", level=2, qty=10)]), inside={"C1": ["1"]})
    assert (row.count, row.codes) == (Decimal(10), ("C1",))


def test_an_opened_box_has_a_row_of_its_own_in_preparation_units() -> None:
    found = rows(bill(323, [line("81", parts=6), line("82"), line("83", parts=2)]))
    assert [(r.split, r.count, r.codes) for r in found] == [
        (True, Decimal(6), ("81",)),
        (True, Decimal(2), ("83",)),
        (False, Decimal(1), ("82",)),
    ]
    assert fields_of(found[0], "x")["trdn_flag"] == "1"


def test_goods_without_codes_are_marked_as_the_profile_wants() -> None:
    one = bill(23, [], quantities=[(7, "B9", 3)])
    dates = {(7, "B9"): ("2023-01-01", "2025-12-31")}
    (row,) = rows(one, dates=dates)
    made = fields_of(row, "x")
    assert (made["sel_retn_cnt"], made["memo"], made["manu_date"]) == (3, "无码库", "2023-01-01")
    assert "drugtracinfo" not in made
    left, why = rows_of(one, LISTS, Profile(uncoded="leave"), Surroundings(dates=dates))
    assert (left, why[0].code, why[0].params["qty"]) == ([], "yibao_uncoded_left", 3)
    # exempt goods are not «without codes»: they need none (R-A6)
    exempt = rows(one, Profile(uncoded="leave"), dates=dates, exempt={7: "中药饮片结算不扫码"})
    assert exempt[0].memo == "免采集：中药饮片结算不扫码"


@pytest.mark.parametrize(
    ("type_code", "infno", "chg"),
    [
        (102, "3503", ""), (202, "3504", ""), (321, "3505", ""), (323, "3505", ""), (116, "3506", ""),
        (104, "3502", "101"), (203, "3502", "102"), (111, "3502", "103"), (214, "3502", "104"),
        (205, "3502", "105"), (113, "3502", "106"), (217, "3502", "107"), (110, "3502", "110"),
    ],
)  # fmt: skip
def test_the_mapping_of_the_standard(type_code: int, infno: str, chg: str) -> None:
    (row,) = rows(bill(type_code, from_org=4, to_org=5))
    assert (row.infno, row.chg) == (infno, chg)
    assert fields_of(row, "x").get("inv_chg_type", "") == chg


def test_every_bill_an_institution_may_submit_has_a_word_in_the_list() -> None:
    known = {item.code for item in LISTS.whole("yibao_route").items}
    of_institutions = {c for c, kind in submittable().items() if {3, 4} & set(kind.actors)}
    assert {c for c in of_institutions if str(c) not in known} == set()
    for item in LISTS.whole("yibao_route").items:
        infno = item.attrs["infno"]
        assert infno in tables().transactions or (infno == "" and item.attrs["why"])
        if infno == "3502":
            allowed = tables().fields["inv_chg_type"].values
            assert {item.attrs["chg"], item.attrs["back"]} <= allowed


def test_what_is_not_owed_says_why() -> None:
    none, why = rows_of(bill(7), LISTS, COMMON, Surroundings())
    assert none == []
    assert "开封不改变库存数量" in why[0].params["why"]  # type: ignore[operator]
    _, inner = rows_of(bill(203), LISTS, COMMON, Surroundings(inner=True))
    assert "机构内部" in inner[0].params["why"]  # type: ignore[operator]
    settled = bill(321, header={"settlement_id": "S9"})
    assert (
        rows_of(settled, LISTS, Profile(settle="2207"), Surroundings())[1][0].code == "yibao_with_settlement"
    )
    assert len(rows(settled, Profile(settle="both"))) == 1
    assert len(rows(bill(321), Profile(settle="2207"))) == 1


def standing(**more: Any) -> Standing:
    values: dict[str, Any] = {
        "bchno": "Y40-1",
        "infno": "3505",
        "drug_id": 7,
        "batch_no": "240101",
        "count": Decimal(2),
        "split": False,
        "codes": ("81", "82"),
        "digest": b"",
        "facts": {
            "setl_id": "SET1",
            "mdtrt_sn": "V1",
            "rxno": "R",
            "_made": "2024-01-01",
            "_expires": "2026-12-31",
        },
        "state": "done",
        "key": "k",
        **more,
    }
    return Standing(**values)


def test_a_return_names_the_sale_it_returns() -> None:
    (one, other) = rows(bill(116), origins={"81": standing()})
    assert fields_of(one, "x")["medins_prod_sel_no"] == "Y40-1"
    assert "medins_prod_sel_no" not in fields_of(other, "x")
    (purchase,) = rows(bill(202, [line("81")], to_org=4), origins={"81": standing(infno="3503")})
    assert fields_of(purchase, "x")["medins_prod_purc_no"] == "Y40-1"
    assert purchase.partner == 4


def test_the_opposite_of_a_row_takes_it_back_under_its_number() -> None:
    at = bill(321).happened_at
    back = opposite(standing(), LISTS, 321, at)
    assert back is not None
    made = fields_of(back, "Y60-1")
    assert (back.infno, made["medins_prod_sel_no"], made["setl_id"], made["manu_date"]) == (
        "3506",
        "Y40-1",
        "SET1",
        "2024-01-01",
    )
    assert "rxno" not in made
    changed = opposite(standing(infno="3502", facts={}), LISTS, 214, at)
    assert changed is not None
    assert changed.chg == "103"
    assert opposite(standing(infno="3501"), LISTS, 1, at) is None


def test_rows_that_say_the_same_are_the_same() -> None:
    first, again = rows(bill(321))[0], rows(bill(321, [line("82"), line("81")], id=99, revision=2))[0]
    assert first.digest == again.digest
    for other in (bill(321, [line("81")]), bill(321, header={"visit_no": "V2"}), bill(326)):
        assert (rows(other)[0].digest == first.digest) is (other.type == 326)
