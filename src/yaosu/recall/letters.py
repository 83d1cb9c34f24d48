"""召回通知书, 进展报告, 召回总结报告 as papers: the same description prints as PDF and opens as XLSX (R-E4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from yaosu.papers.model import Heading, Paper, Signatures, Table, Text
from yaosu.recall.service import CHINA

Json = dict[str, Any]
HOLDERS_MAX = 20_000
"""Holders listed in a summary; nobody has met more."""


def _day(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone(CHINA):%Y-%m-%d %H:%M}" if text else "—"


def _n(value: int | None) -> str:
    return f"{value:,}" if value is not None else "—"


def _goods(order: Json) -> str:
    parts = []
    if order["batches"]:
        parts.append("批号 " + "、".join(order["batches"]))
    if order["codes"]:
        parts.append(f"追溯码 {len(order['codes'])} 个（见附表）")
    return "；".join(parts)


def _facts(order: Json) -> list[tuple[str, str]]:
    product = order["product"] or {}
    return [
        ("药品通用名称", product.get("name", "")),
        ("剂型、规格", f"{product.get('dosage_form', '')} {product.get('strength', '')}"),
        ("包装规格", product.get("package_size", "")),
        ("批准文号", product.get("approval_no", "")),
        ("持有人", product.get("mah", "")),
        ("生产企业", product.get("manufacturer", "")),
        ("召回批次与追溯码", _goods(order)),
        ("召回级别", order["level_name"]),
        ("召回类型", order["kind_name"] + ("（模拟召回）" if order["simulated"] else "")),
        ("召回范围", "、".join(order["region_names"]) or "全国"),
        ("处置要求", order["measure_name"]),
        ("退回单位", order["return_to"]["name"] if order["return_to"] else ""),
    ]


def _title(order: Json, name: str) -> str:
    return f"【演练】{name}" if order["simulated"] else name


def _codes(order: Json) -> list[Heading | Table]:
    if not order["codes"]:
        return []
    rows = [[c["code"], str(c["level"]), _n(c["qty"])] for c in order["codes"]]
    return [Heading("附：召回的追溯码", 2), Table(("追溯码", "包装级别", "最小包装数"), rows)]


def letter(order: Json, task: Json, due: str | None) -> Paper:
    """召回通知书 to one holder: what is recalled, why, what to do, by when, and what the books say it has."""
    holder = task["holder"]["name"] if task["holder"] else ""
    then = task["at_publication"]
    issuer = order["issuer"]["name"] if order["issuer"] else ""
    asked = [
        "一、立即停止销售和使用上述药品，已在途的到货后转入待处理区；",
        "二、在规定时限内签收本通知，清点库存并在系统中登记清点结果；",
        f"三、处置要求：{order['measure_name']}。退回请开具召回出库单（211），销毁请开具销毁出库单（205）并由两人执行、监督；",
        "四、找不到实物的，如实登记数量并说明情况；已售出的，配合召回单位告知使用者。",
    ]
    if order["simulated"]:
        asked.insert(0, "本通知为召回演练，不停止销售，不移动任何药品，请按真实召回的要求签收和清点。")
    rows = [[_n(then["on_hand"]), _n(then["coming"]), _n(then["sent"]), _n(then["sold"])]]
    return Paper(
        title=_title(order, "药品召回通知书"),
        subtitle=order["title"],
        number=order["number"],
        facts=_facts(order),
        blocks=[
            Text(f"{holder}："),
            Text(f"召回原因：{order['reason']}"),
            Text(f"健康危害：{order['hazard']}"),
            Heading("贵单位的账面数量（发布时刻，最小销售包装）", 2),
            Table(("在手", "在途（到货）", "在途（发出）", "已售出"), rows),
            Heading("请贵单位", 2),
            *(Text(line) for line in asked),
            Text(f"签收时限：{_day(due)}　联系方式：{order['contact']}"),
            *_codes(order),
            Text(f"{issuer}　{_day(order['published_at'])}"),
        ],
        footer=f"{order['number']}　{order['title']}",
    )


_STATE = {"open": "未签收", "read": "已签收", "counted": "已清点", "done": "已办结"}


def summary(
    order: Json, figures: Json, times: Json, tasks: Sequence[Json], reports: Sequence[Json], findings: str
) -> Paper:
    """召回总结报告, or the progress report while it runs: figures, measured times, every holder."""
    ended = order["state"] == "finished"
    name = "药品召回总结报告" if ended else "药品召回进展报告"
    numbers = [
        ("应召回（发布时各单位在手与在途）", _n(figures["recalled"])),
        ("召回单位自有库存", _n(figures["home"])),
        ("发布前已售出", _n(figures["sold"])),
        ("已收回", _n(figures["back"])),
        ("持有单位已销毁", _n(figures["destroyed"])),
        ("召回单位已销毁", _n(figures["destroyed_home"])),
        ("尚未收回", _n(figures["outstanding"])),
        ("其中在途", _n(figures["on_the_way"])),
        ("其中已封存", _n(figures["sealed"])),
        ("收回率", f"{figures['rate']:.1%}"),
    ]

    def seconds(value: float | None) -> str:
        return "—" if value is None else f"{value:,.1f} 秒" if value < 7200 else f"{value / 3600:,.1f} 小时"

    located = times["located_ms"]
    measured = [
        ("定位全部持有单位", f"{located:,.0f} 毫秒" if located is not None else "—"),
        ("首家通知", seconds(times["first_told_s"])),
        ("全部通知", seconds(times["last_told_s"])),
        ("首次拒绝扫码", seconds(times["first_refused_s"])),
        ("首家签收", seconds(times["first_read_s"])),
        ("全部签收", seconds(times["last_read_s"])),
        ("签收单位", f"{times['read']} / {times['holders']}"),
        ("拒绝扫码次数", _n(times["refused_scans"])),
    ]
    rows = []
    for task in tasks[:HOLDERS_MAX]:
        line = task["ledger"] or {}
        rows.append(
            [
                task["holder"]["name"] if task["holder"] else "（演练未答复单位）",
                task["region_name"],
                _n(task["at_publication"]["on_hand"] + task["at_publication"]["coming"]),
                _n(line.get("returned", 0)),
                _n(line.get("destroyed", 0)),
                _n(line.get("now", 0)),
                _n(task["counted"]),
                _n(task["difference"]),
                _STATE[task["state"]],
            ]
        )
    blocks: list[Any] = [
        Heading("一、召回原因与危害"),
        Text(f"{order['reason']}\n{order['hazard']}"),
        Heading("二、召回结果（最小销售包装）"),
        Table(("项目", "数量"), [list(r) for r in numbers], (3, 2)),
        Heading("三、时限"),
        Table(("环节", "发布后用时"), [list(r) for r in measured], (3, 2)),
        Heading("四、持有单位"),
        Table(
            ("单位", "地区", "应召回", "退回", "销毁", "现在手", "清点", "差异", "进度"),
            rows,
            (5, 3, 2, 2, 2, 2, 2, 2, 2),
        ),
        Heading("五、原因分析与评估"),
        Text(findings or "—"),
    ]
    if reports:
        filed = [[str(r["n"]), r["name"], _day(r["made_at"]), r["findings"] or "—"] for r in reports]
        blocks += [
            Heading("六、已提交的报告"),
            Table(("序号", "报告", "时间", "说明"), filed, (1, 2, 3, 6)),
        ]
    if order["end_reason"]:
        blocks.append(Text(f"结束说明：{order['end_reason']}"))
    blocks += [*_codes(order), Signatures(("召回负责人", "质量负责人", "日期"))]
    return Paper(
        title=_title(order, name),
        subtitle=order["title"],
        number=order["number"],
        facts=[
            *_facts(order),
            ("发布时间", _day(order["published_at"])),
            ("结束时间", _day(order["ended_at"])),
        ],
        blocks=blocks,
        footer=f"{order['number']}　{name}",
        landscape=True,
    )
