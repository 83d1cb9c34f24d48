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
        "revision": abs(row["revision"]),
        "recorded_at": row["recorded_at"],
        "taken_back": row["taken_back"],
        "corrects": row["corrects"],
        "corrects_revision": row["corrects_revision"],
        "reason": row["reason"] if row["corrects"] is not None or row["revision"] > 1 else "",
        "net": 0 if row["taken_back"] or row["corrects"] is not None else row["qty"],
    }


def totals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was sold by product, what of it was taken back, and the net, in smallest packages."""
    found: dict[int, dict[str, Any]] = {}
    for v in rows:
        one = found.setdefault(
            v["drug_id"],
            {"drug_id": v["drug_id"], "product": v["product"], "unit": v["unit"], "sold": 0, "back": 0},
        )
        one["sold" if v["corrects"] is None else "back"] += abs(v["qty"])
    for one in found.values():
        one["net"] = one["sold"] - one["back"]
    return sorted(found.values(), key=lambda one: str(one["product"]))


def _bill_cell(v: dict[str, Any], zh: bool) -> str:
    """The bill of a line; of a line that takes another back, which one, who, when and why."""
    bill, n = str(v["bill_no"]), v["revision"]
    if v["taken_back"]:
        return bill + ("（已冲正）" if zh else " (taken back)")
    if v["corrects"] is None:
        later = f"（第{n}版）" if zh else f" (revision {n})"
        return bill + (later if n > 1 else "")
    n = v["corrects_revision"]
    whose = f"（冲正第{n}版）" if zh else f" (takes back revision {n})"
    who = f"{v['seller']} {china(v['recorded_at'])}".strip()
    return "\n".join(filter(None, (bill + whose, who, v["reason"])))


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


def _total_text(one: dict[str, Any], zh: bool) -> str:
    what, unit = one["product"], one["unit"]
    if zh:
        return f"{what}：登记 {one['sold']}{unit}，冲正 {one['back']}{unit}，净额 {one['net']}{unit}"
    return f"{what}: entered {one['sold']}, taken back {one['back']}, net {one['net']} {unit}"


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
    seen = [entry_view(registry, entry, lang) for entry in entries]
    for v in seen:
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
                _bill_cell(v, zh),
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
            *(Text(_total_text(one, zh)) for one in totals(seen)),
            Signatures(("登记人", "质量负责人", "日期") if zh else ("Kept by", "Quality", "Date")),
        ),
        lang=lang,
        landscape=True,
    )
