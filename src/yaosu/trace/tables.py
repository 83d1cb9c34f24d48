"""Answers of the trace room as rows for CSV and XLSX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yaosu.ledger.sheets import Value
from yaosu.rules.states import LABELS, label

Table = tuple[list[str], list[list[Value]]]


def _heads(lang: str, pairs: list[tuple[str, str]]) -> list[str]:
    return [zh if lang.startswith("zh") else en for zh, en in pairs]


def _name(org: Mapping[str, Any] | None) -> str:
    return str(org["name"]) if org else ""


def _state(letter: str | None, lang: str) -> str:
    return label(letter, lang) if letter in LABELS else (letter or "")


def history_table(body: Mapping[str, Any], lang: str) -> Table:
    """One row per event."""
    head = _heads(
        lang,
        [
            ("业务时间", "Happened at"),
            ("记录时间", "Recorded at"),
            ("事件", "Event"),
            ("单据类型", "Bill type"),
            ("单据编号", "Bill number"),
            ("货主", "Owner"),
            ("发货方", "From"),
            ("收货方", "To"),
            ("前状态", "Before"),
            ("后状态", "After"),
            ("依据", "Certainty"),
            ("经由包装", "Via"),
            ("有效", "In force"),
            ("标记", "Flags"),
        ],
    )
    zh = lang.startswith("zh")
    certainty = {"observed": "扫码" if zh else "observed", "inferred": "随外包装" if zh else "inferred"}
    rows: list[list[Value]] = [
        [
            e["happened_at"],
            e["recorded_at"],
            e["title"],
            e["bill_type"],
            e["bill_no"],
            _name(e["owner"]),
            _name(e["from"]),
            _name(e["to"]),
            _state(e["before"], lang),
            _state(e["after"], lang),
            certainty[e["certainty"]],
            e["via"],
            ("是" if zh else "yes") if e["in_force"] else ("否" if zh else "no"),
            ", ".join(e["flags"]),
        ]
        for e in body["events"]
    ]
    return head, rows


def contents_table(body: Mapping[str, Any], lang: str) -> Table:
    """One row per package."""
    head = _heads(
        lang,
        [
            ("追溯码", "Trace code"),
            ("上级包装", "Inside"),
            ("层次", "Depth"),
            ("包装级别", "Package level"),
            ("最小包装数", "Smallest packages"),
            ("批号", "Batch"),
            ("状态", "State"),
        ],
    )
    inside, out = ("在内", "已取出") if lang.startswith("zh") else ("inside", "taken out")
    rows: list[list[Value]] = [
        [i["code"], i["parent"], i["depth"], i["level"]["name"], i["qty"], i["batch_no"], inside]
        for i in body["items"]
    ]
    rows += [[t["code"], t["parent"], None, None, t["qty"], t["batch_no"], out] for t in body["taken_out"]]
    return head, rows


def where_table(body: Mapping[str, Any], lang: str) -> Table:
    """One row per holder and status, then one per pair that goods travel between."""
    head = _heads(
        lang,
        [
            ("持有单位", "Holder"),
            ("状态", "Status"),
            ("发往", "On its way to"),
            ("最小包装数", "Smallest packages"),
        ],
    )
    rows: list[list[Value]] = [
        [_name(i["holder"]), _state(i["status"], lang), "", i["qty"]] for i in body["items"]
    ]
    rows += [[_name(t["from"]), _state("O", lang), _name(t["to"]), t["qty"]] for t in body["on_the_way"]]
    return head, rows
