"""无码药品专帐 as a document: every lot with its purchase, proof, place, what left it and what is left (R-D1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from yaosu.circulation.views import product_name
from yaosu.papers.model import Block, Heading, Paper, Signatures, Table
from yaosu.registry.resolver import Registry
from yaosu.registry.uncoded_rules import Deadline
from yaosu.rules.bill_types import bill_types
from yaosu.uncoded.model import Lot

_STATES = {
    "overdue": ("已逾期", "overdue"),
    "due": ("限期内", "in time"),
    "free": ("未设期限", "no date"),
    "exempt": ("豁免", "exempt"),
}


def account(
    registry: Registry, org_id: int, lots: Sequence[Lot], dates: Sequence[Deadline], today: date, lang: str
) -> Paper:
    """The 专帐 of an organisation as of `today`, to be rendered as PDF, DOCX or XLSX."""
    zh = lang == "zh"
    card = registry.org(org_id)
    facts = [
        ("单位" if zh else "Organisation", card.name if card is not None else f"#{org_id}"),
        ("统一社会信用代码" if zh else "USCC", card.uscc if card is not None else ""),
        ("截至日期" if zh else "As of", today.isoformat()),
        ("结存（最小销售包装）" if zh else "Left (smallest packages)", f"{sum(lot.left for lot in lots):,}"),
    ]
    blocks: list[Block] = []
    if dates:
        blocks.append(
            Table(
                ["事项", "日期", "剩余天数", "依据"] if zh else ["Duty", "Date", "Days left", "Source"],
                [[d.title, d.date.isoformat(), str(d.days_left), d.source] for d in dates],
                widths=[5, 2, 1.5, 4],
                title="期限" if zh else "Dates",
            )
        )
    columns = (
        ["药品", "批号", "有效期至", "供货单位", "发票", "购进日期", "凭证", "专区", "入库", "结存", "状态"]
        if zh
        else [
            "Product",
            "Batch",
            "Expiry",
            "Supplier",
            "Invoice",
            "Bought",
            "Proof",
            "Zone",
            "In",
            "Left",
            "State",
        ]
    )
    rows = [
        [
            product_name(registry, lot.drug_id),
            lot.batch_no,
            lot.expires_on.isoformat() if lot.expires_on else "",
            lot.supplier_name,
            lot.invoice_no,
            lot.invoice_date.isoformat() if lot.invoice_date else "",
            (f"#{lot.proof_id}" if lot.proof_id else ("缺" if zh else "none")),
            lot.zone,
            str(lot.entered),
            str(lot.left),
            _STATES[lot.state(today)][0 if zh else 1],
        ]
        for lot in lots
    ]
    blocks.append(Heading("专帐" if zh else "Account"))
    blocks.append(Table(columns, rows, widths=[4, 2, 1.7, 3, 2, 1.7, 1, 2, 1.2, 1.2, 1.4]))
    moves = [
        [
            draw.at.date().isoformat(),
            draw.bill_no,
            _type(draw.type, lang),
            product_name(registry, lot.drug_id),
            lot.batch_no,
            lot.invoice_no,
            str(qty),
        ]
        for lot in lots
        for draw, qty in lot.draws
    ]
    if moves:
        heads = (
            ["日期", "单据编号", "去向", "药品", "批号", "发票", "数量"]
            if zh
            else ["Date", "Bill", "End", "Product", "Batch", "Invoice", "Quantity"]
        )
        blocks.append(Heading("去向明细" if zh else "What left"))
        blocks.append(Table(heads, sorted(moves), widths=[1.6, 3, 2, 4, 2, 2.4, 1.2]))
    blocks.append(
        Signatures(["质量负责人", "仓储负责人", "日期"] if zh else ["Quality", "Warehouse", "Date"])
    )
    return Paper(
        title="无码药品专帐" if zh else "Account of uncoded drugs",
        subtitle="专区存放、专帐登记、专项核验" if zh else "Kept apart, booked apart, verified apart",
        facts=facts,
        blocks=blocks,
        lang=lang,
        landscape=True,
    )


def _type(code: int, lang: str) -> str:
    found = bill_types().get(code)
    return found.label(lang) if found is not None else str(code)
