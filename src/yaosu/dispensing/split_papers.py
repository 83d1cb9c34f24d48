"""The split ledger as files: 拆零台账 with the columns of the retail rules for split sales, and one box's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from yaosu.circulation.cache import CHINA
from yaosu.papers import pdf, xlsx
from yaosu.papers.model import Paper, Signatures, Table

ROWS_MAX = 5_000
"""Boxes in one file."""
_TYPES = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_KINDS = {
    "open": ("开封", "opened"),
    "dispense": ("发放", "dispensed"),
    "return": ("退回", "returned"),
    "loss": ("损耗", "lost"),
}
_STATES = {
    "open": ("使用中", "open"),
    "expiring": ("即将到期", "expiring"),
    "expired": ("已过期", "expired"),
    "finished": ("已用完", "finished"),
}


_WIDTHS = (11.5, 19, 6.5, 8.5, 16, 6, 4.5, 4.5, 4.5, 11.5, 7.5)
"""Of the ledger on paper: a trace code of 20 digits stands on one line."""


def _time(value: datetime | None) -> str:
    return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if value is not None else ""


def _word(pair: tuple[str, str], lang: str) -> str:
    return pair[0] if lang == "zh" else pair[1]


def ledger(boxes: Sequence[Mapping[str, Any]], org: str, lang: str) -> Paper:
    """拆零台账: a row per opened box."""
    zh = lang == "zh"
    columns = (
        ("拆零日期", "药品", "批号", "有效期至", "追溯码", "整盒", "已发", "损耗", "剩余", "最后使用", "状态")
        if zh
        else (
            "opened",
            "product",
            "batch",
            "expiry",
            "trace code",
            "total",
            "out",
            "lost",
            "left",
            "use by",
            "state",
        )
    )
    rows = [
        (
            _time(b["opened_at"]),
            b["product"],
            b["batch_no"],
            str(b["expires_on"]),
            b["code"],
            f"{b['total']} {b['prep_unit']}",
            str(b["dispensed"]),
            str(b["lost"]),
            str(b["left"]),
            _time(b["until"]),
            _word(_STATES[b["state"]], lang),
        )
        for b in boxes
    ]
    return Paper(
        title="拆零台账" if zh else "Split ledger",
        subtitle=org,
        facts=(
            ("导出时间" if zh else "exported", _time(datetime.now(UTC))),
            ("盒数" if zh else "boxes", str(len(rows))),
        ),
        blocks=(
            Table(columns, rows, _WIDTHS),
            Signatures(("拆零人", "复核人") if zh else ("split by", "checked by")),
        ),
        lang=lang,
        landscape=True,
    )


def one_box(box: Mapping[str, Any], org: str, lang: str) -> Paper:
    """Every entry of one box, and who got which part (patients by prescription only)."""
    zh = lang == "zh"
    entries = [
        (
            _time(e["happened_at"]),
            _word(_KINDS[e["kind"]], lang),
            f"{e['change']:+d}" if e["change"] else f"({e['qty']})",
            e["bill_no"],
            e["by"],
            e["reason"],
        )
        for e in box["entries"]
    ]
    shares = [
        (
            _time(s["happened_at"]),
            _word(_KINDS[s["kind"]], lang),
            str(s["units"]),
            s["prescription_no"],
            s["number"],
        )
        for s in box["shares"]
    ]
    return Paper(
        title="拆零记录" if zh else "Split record",
        subtitle=org,
        number=box["code"],
        facts=(
            ("药品" if zh else "product", box["product"]),
            ("批号" if zh else "batch", box["batch_no"]),
            ("有效期至" if zh else "expiry", str(box["expires_on"])),
            ("开封时间" if zh else "opened", _time(box["opened_at"])),
            ("最后使用时间" if zh else "use by", _time(box["until"])),
            (
                "整盒/已发/损耗/剩余" if zh else "total/out/lost/left",
                f"{box['total']} / {box['dispensed']} / {box['lost']} / {box['left']} {box['prep_unit']}",
            ),
        ),
        blocks=(
            Table(
                ("时间", "事项", "数量", "单据号", "经办", "原因")
                if zh
                else ("time", "entry", "units", "bill", "by", "reason"),
                entries,
                title="明细" if zh else "Entries",
            ),
            Table(
                ("时间", "事项", "数量", "处方号", "单据号")
                if zh
                else ("time", "entry", "units", "prescription", "bill"),
                shares,
                title="处方去向" if zh else "Prescriptions",
            ),
            Signatures(("拆零人", "复核人") if zh else ("split by", "checked by")),
        ),
        lang=lang,
    )


def render(paper: Paper, kind: str) -> bytes:
    """The file's bytes; takes CPU, call it in a thread."""
    return pdf.render(paper) if kind == "pdf" else xlsx.render(paper)


def file(data: bytes, kind: str, name: str) -> Response:
    """The file as a download."""
    headers = {"content-disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(data, media_type=_TYPES[kind], headers=headers)
