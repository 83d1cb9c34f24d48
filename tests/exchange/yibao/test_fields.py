"""The field tables: complete, and every kind of wrong field is named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from yaosu.insurance import fields
from yaosu.insurance.profiles import Profile, profile
from yaosu.registry import lists

COMMON = Profile()


def sale(**changed: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "med_list_codg": "XA02BCA216A001010104475",
        "fixmedins_hilist_id": "D001",
        "fixmedins_hilist_name": "奥美拉唑肠溶胶囊",
        "fixmedins_bchno": "Y1-1",
        "prsc_dr_name": "王",
        "phar_name": "李",
        "phar_prac_cert_no": "ZY1",
        "hi_feesetl_type": "1",
        "mdtrt_sn": "M1",
        "psn_cert_type": "01",
        "manu_lotnum": "240101",
        "manu_date": "2024-01-01",
        "expy_end": "2026-12-31",
        "rx_flag": "1",
        "trdn_flag": "0",
        "rx_circ_flag": "0",
        "rtal_docno": "S1",
        "sel_retn_cnt": 2,
        "sel_retn_time": "2026-03-01 09:30:05",
        "sel_retn_opter_name": "收银员",
        "drugtracinfo": [{"drug_trac_codg": "81234567890123456789"}],
    }
    return row | changed


def codes(row: dict[str, Any], infno: str = "3505", like: Profile = COMMON) -> list[tuple[str, str]]:
    return [(f.code, f.where) for f in fields.check_row(infno, row, like, "input.selinfo")]


def test_the_tables_name_every_published_transaction_in_both_forms() -> None:
    known = fields.tables().transactions
    assert set(known) == {
        *(f"350{n}" for n in range(1, 8)),
        *(f"350{n}A" for n in range(1, 8)),
        "3513",
        "2207",
    }
    assert len(known["3505"].names) == 37
    for one in known.values():
        assert not set(one.required) & set(one.optional)


def test_a_right_sale_passes() -> None:
    assert codes(sale()) == []
    assert codes(sale(sel_retn_cnt="2.0000", sel_retn_time="2026-03-01T09:30:05")) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"manu_lotnum": ""}, ("yibao_field_missing", "input.selinfo.manu_lotnum")),
        ({"phar_name": None}, ("yibao_field_missing", "input.selinfo.phar_name")),
        ({"fixmedins_bchno": "x" * 31}, ("yibao_field_long", "input.selinfo.fixmedins_bchno")),
        ({"manu_date": "2024-02-30"}, ("yibao_field_form", "input.selinfo.manu_date")),
        ({"manu_date": "20240101"}, ("yibao_field_form", "input.selinfo.manu_date")),
        ({"sel_retn_cnt": "1.00001"}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"sel_retn_cnt": "1e9"}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"sel_retn_cnt": 10**12}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"sel_retn_cnt": True}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"trdn_flag": "2"}, ("yibao_field_value", "input.selinfo.trdn_flag")),
        ({"sel_retn_cnt": "0"}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"sel_retn_cnt": -1}, ("yibao_field_form", "input.selinfo.sel_retn_cnt")),
        ({"finl_trns_pric": "-0.01"}, ("yibao_field_form", "input.selinfo.finl_trns_pric")),
        ({"sel_retn_time": "0001-01-01 00:00:00"}, ("yibao_field_form", "input.selinfo.sel_retn_time")),
        ({"sel_retn_time": "9999-12-31 23:59:59"}, ("yibao_field_form", "input.selinfo.sel_retn_time")),
        ({"manu_date": "2026-02-30"}, ("yibao_field_form", "input.selinfo.manu_date")),
        (
            {"manu_date": "2026-01-02", "expy_end": "2026-01-01"},
            ("yibao_field_order", "input.selinfo.expy_end"),
        ),
        (
            {"drugtracinfo": [{"drug_trac_codg": 83857930000123456789}]},
            ("yibao_field_form", "input.selinfo.drugtracinfo"),
        ),
        ({"memo": "a\x00b"}, ("yibao_field_form", "input.selinfo.memo")),
        ({"memo": ["x"]}, ("yibao_field_form", "input.selinfo.memo")),
        (
            {"drugtracinfo": [{"drug_trac_codg": "1" * 101}]},
            ("yibao_field_long", "input.selinfo.drugtracinfo[0]"),
        ),
        ({"drugtracinfo": [{"drug_trac_codg": ""}]}, ("yibao_field_missing", "input.selinfo.drugtracinfo")),
        ({"drugtracinfo": [{"drug_trac_codg": "8"}] * 2}, ("yibao_code_twice", "input.selinfo.drugtracinfo")),
        (
            {"drugtracinfo": [{"drug_trac_codg": str(n)} for n in range(101)]},
            ("yibao_codes_many", "input.selinfo.drugtracinfo"),
        ),
    ],
)
def test_each_wrong_field_is_named(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    assert codes(sale(**changed)) == [expected]


def test_a_finding_about_a_person_does_not_repeat_the_value() -> None:
    found = fields.check_row("3505", sale(certno="3" * 60), COMMON)
    assert "3333" not in found[0].text("zh")


def test_other_spellings_are_read_and_shapes_of_codes() -> None:
    rows, wrong = fields.rows_of("3503", {"purcinfo": {"fixmedins_hist_id": "D1", "prdr_name": "药厂"}})
    assert (rows, wrong) == ([{"fixmedins_hilist_id": "D1", "prodentp_name": "药厂"}], [])
    for shape in (
        {"drugtracinfo": [{"drug_trac_codg": " 81 "}]},
        {"drugtracinfo": {"drug_trac_code": "81"}},
        {"drugtracinfo": ["81"]},
        {"drug_trac_codg": "81"},
    ):
        assert fields.codes_of(shape) == ["81"]
    beside, _ = fields.rows_of("3505", {"selinfo": {"memo": ""}, "drugtracinfo": [{"drug_trac_codg": "81"}]})
    assert fields.codes_of(beside[0]) == ["81"]


@pytest.mark.parametrize(
    ("infno", "body", "code"),
    [
        ("3505", {}, "yibao_node_missing"),
        ("3505", "text", "yibao_node_missing"),
        ("3505", {"selinfo": "x"}, "yibao_node_shape"),
        ("3505", {"selinfo": [{}, {}]}, "yibao_node_shape"),
        ("3505A", {"selinfoDetail": {}}, "yibao_node_shape"),
        ("3505A", {"selinfoDetail": []}, "yibao_node_shape"),
        ("3505A", {"selinfoDetail": [1]}, "yibao_node_shape"),
        ("9001", {}, "yibao_infno_unknown"),
    ],
)
def test_a_body_of_a_wrong_shape_is_refused(infno: str, body: object, code: str) -> None:
    rows, wrong = fields.rows_of(infno, body)
    assert rows == []
    assert [f.code for f in wrong] == [code]


def test_provinces_differ_by_data() -> None:
    known = lists.delivered()
    assert profile(known, region="440106").code == "guangzhou"
    assert profile(known, region="110105").code == "national"
    assert profile(known, "shanxi").enc_type == "SM4"
    guangzhou = profile(known, "guangzhou")
    without = sale(psn_cert_type="", expy_end="")
    assert codes(without, like=guangzhou) == []
    assert len(codes(without)) == 2
    with pytest.raises(KeyError):
        profile(known, "atlantis")
