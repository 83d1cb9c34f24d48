"""The special register as API answers, tables and printed matter show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yaosu.dispensing.realname_service import Entry, Repeat
from yaosu.edge.pages import china
from yaosu.papers.model import Paper, Signatures, Table, Text
from yaosu.registry.resolver import Registry


def entry_view(registry: Registry, entry: Entry, lang: str) -> dict[str, Any]:
    """One row: what the rules demand of a register (国食药监办〔2012〕260号), and the trace codes (R-C2)."""
    row = entry.row
    product = registry.product(row["drug_id"])
    maker = registry.org(product.manufacturer_id) if product else None
    shop = registry.org(row["org"])
    return {
        "bill_id": row["bill_id"],
        "bill_no": row["bill_no"],
        "bill_type": row["bill_type"],
        "happened_at": row["happened_at"],
        "drug_id": row["drug_id"],
        "product": product.generic_name if product else f"#{row['drug_id']}",
        "strength": product.strength if product else "",
        "package": product.package_size if product else "",
        "dosage_form": product.dosage_form if product else "",
        "unit": product.levels[0].name if product else "",
        "maker": maker.name if maker else "",
        "batch_no": row["batch_no"] or "",
        "expires_on": row["expires_on"],
        "qty": row["qty"],
        "codes": list(row["codes"]),
        "person_id": row["person"],
        "name": entry.name,
        "number": entry.number,
        "phone": entry.phone,
        "kind_name": registry.lists.text("id_kind_person", entry.kind, lang) if entry.kind else "",
        "erased": row["person"] is not None and not entry.number,
        "agent_id": row["agent"],
        "agent_name": entry.agent_name,
        "agent_number": entry.agent_number,
        "prescription_no": row["prescription_no"],
        "doctor": row["doctor"],
        "second_person": row["second_person"],
        "org_id": row["org"],
        "org": shop.name if shop else f"#{row['org']}",
        "seller": row["seller"],
        "taken_back": row["taken_back_at"] is not None,
    }


def repeat_view(registry: Registry, one: Repeat, lang: str) -> dict[str, Any]:
    """One flagged buyer."""
    return {
        "flag": one.code,
        "flag_name": registry.lists.text("repeat_buying", one.code, lang),
        "person_id": one.person,
        "name": one.name,
        "number": one.number,
        "erased": not one.name,
        "purchases": one.purchases,
        "packages": one.packages,
        "days": one.days,
        "shops": one.shops,
        "total": one.total,
        "first_at": one.first_at,
        "last_at": one.last_at,
    }


_COLUMNS = {
    "zh": (
        "销售时间",
        "药品名称",
        "规格",
        "生产企业",
        "批号",
        "数量",
        "追溯码",
        "购买人",
        "证件",
        "证件号码",
        "处方",
        "销售单位/人员",
        "单据",
    ),
    "en": (
        "Sold at",
        "Product",
        "Strength",
        "Maker",
        "Batch",
        "Qty",
        "Trace codes",
        "Buyer",
        "Document",
        "Number",
        "Prescription",
        "Shop / seller",
        "Bill",
    ),
}
_WIDTHS = (6.5, 8, 6, 8, 6, 4, 16, 5.5, 5.5, 13.5, 6, 7, 8)


def paper(
    registry: Registry,
    entries: Sequence[Entry],
    facts: Sequence[tuple[str, str]],
    masked: bool,
    lang: str,
) -> Paper:
    """The register as a document to hand to an inspector."""
    zh = lang == "zh"
    # the head names the unit; rows name another only
    unit = facts[0][1] if facts else ""
    rows = []
    for entry in entries:
        v = entry_view(registry, entry, lang)
        void = ("（已作废）" if zh else " (void)") if v["taken_back"] else ""
        erased = "已到期清除" if zh else "erased"
        agent = (
            f"\n{'代办' if zh else 'agent'} {v['agent_name']} {v['agent_number']}" if v["agent_name"] else ""
        )
        script = " ".join(filter(None, (v["prescription_no"], v["doctor"], v["second_person"])))
        rows.append(
            (
                china(v["happened_at"]),
                v["product"],
                " ".join(filter(None, (v["strength"], v["package"]))),
                v["maker"],
                v["batch_no"],
                f"{v['qty']}{v['unit']}",
                "\n".join(v["codes"]),
                (erased if v["erased"] else v["name"]) + agent,
                v["kind_name"],
                v["number"],
                script,
                " ".join(filter(None, ("" if v["org"] == unit else v["org"], v["seller"]))),
                v["bill_no"] + void,
            )
        )
    note = (
        "个人信息已遮盖；查看原文须有权限并登记理由。"
        if masked
        else "本表含个人信息原文，理由已登记；用毕请按规定保管或销毁。"
    )
    note_en = (
        "Personal data are masked; seeing them in full needs a right and a recorded reason."
        if masked
        else "Holds personal data in full, for a recorded reason; keep or destroy it as the rules say."
    )
    return Paper(
        title="实名购药登记专册" if zh else "Register of real-name sales",
        facts=facts,
        blocks=(
            Text(note if zh else note_en),
            Table(_COLUMNS["zh" if zh else "en"], rows, _WIDTHS),
            Signatures(("登记人", "质量负责人", "日期") if zh else ("Kept by", "Quality", "Date")),
        ),
        lang=lang,
        landscape=True,
    )
