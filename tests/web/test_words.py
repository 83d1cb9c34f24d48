"""Words that people read on pages: times, states, nothing to show."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from rich.console import Console

from web.rendering import WHOLESALER, page
from yaosu.edge import terminal
from yaosu.errors import Finding
from yaosu.exchange.xietong import commands as xietong
from yaosu.grants import commands as grants
from yaosu.trace.pages import _tree


def test_a_moment_in_a_message_is_read_out_without_its_zone_and_kept_with_it() -> None:
    moved = Finding("moved_on_since", {"code": "1", "bill_no": "CK-1", "time": "2026-11-17 22:57:44+08:00"})
    assert "（单据 CK-1，2026-11-17 22:57:44）" in moved.text("zh")
    assert moved.as_json()["params"]["time"] == "2026-11-17 22:57:44+08:00"  # type: ignore[index]
    # what somebody typed is shown as it was typed
    typed = Finding("moved_on_since", {"code": "1", "bill_no": "CK 2026-11-17 22:57:44+08:00", "time": "—"})
    assert "CK 2026-11-17 22:57:44+08:00" in typed.text("zh")


def test_an_office_of_a_system_that_receives_no_supervision_data_is_told_so() -> None:
    office = replace(WHOLESALER, org_type="110")
    context = {
        "operator": False,
        "trace": True,
        "regulator": False,
        "sources": [],
        "problem": None,
        "once": None,
    }
    assert "没有启用监管数据的接收" in page("exchange/jianguan.html", context, subject=office)
    receives = page("exchange/jianguan.html", context | {"regulator": True}, subject=office)
    assert "没有启用监管数据的接收" not in receives and "还没有数据来源" in receives


def test_what_went_out_is_named_in_words_and_not_in_those_of_the_program() -> None:
    parcel = {
        "id": 7, "created_at": "", "connection": 1, "title": "协同平台", "bill": 0, "bill_no": "", "kind": "produce",
        "revision": 1, "state": "processed", "advice": "", "answer_status": "", "answer": "", "remote": "", "text": "",
        "next": "",
    }  # fmt: skip
    context = {
        "items": [parcel, parcel | {"kind": "yibao.3505"}], "at": str, "tones": {}, "links": [], "connection": "",
        "state": "", "bill_no": "", "todo": False, "next": "",
    }  # fmt: skip
    shown = page("exchange/deliveries.html", context)
    assert "生产赋码" in shown and "医保 3505" in shown
    assert "produce" not in shown and "yibao.3505" not in shown


@pytest.mark.parametrize(
    "module",
    [
        "access.commands", "capture.commands", "dispensing.narcotics_commands", "dispensing.realname_commands",
        "dispensing.split_commands", "exchange.top.commands", "grants.commands", "notify.commands",
    ],
)  # fmt: skip
def test_a_table_of_the_command_line_that_goes_to_a_file_is_not_cut_to_a_narrow_screen(module: str) -> None:
    found = import_module(f"yaosu.{module}").out
    assert isinstance(found, Console)
    assert found is terminal.out


def test_a_grant_of_the_command_line_ends_in_china_time() -> None:
    assert grants._until("2027-12-31T16:00:00+00:00") == "2027-12-31"
    assert grants._until("2027-12-31T06:00:00+00:00") == "2027-12-31 14:00"
    assert grants._until(None) == "长期 no end"


@pytest.mark.parametrize(("zh", "name"), [(True, "物流单元"), (False, "logistics unit")])
def test_a_pallet_in_the_tree_is_named_in_the_language_of_the_reader(zh: bool, name: str) -> None:
    code = "(00)069999000000000019"
    pallet = {
        "code": code, "level": {"number": 90, "name": "物流单元"}, "qty": 94, "parent": None, "depth": 0,
    }  # fmt: skip
    case = {"code": "8099", "level": {"number": 2, "name": "箱"}, "qty": 94, "parent": code, "depth": 1}
    body = {"code": code, "items": [pallet, case], "taken_out": []}
    (root,) = _tree(body, {"status": {"code": "I"}}, zh)
    # the ladder of a product is named by its maker
    assert (root["level"], root["children"][0]["level"]) == (name, "箱")


def test_the_command_line_counts_what_is_filed_in_words() -> None:
    assert xietong._counts({"filed": 3, "refused": 1}) == "filed 3, refused 1"
    assert xietong._counts({}) == "—"
