"""The dossier as a paper to print, sign and hand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from yaosu.insurance.model import CHINA
from yaosu.papers.model import Block, Heading, Paper, Signatures, Table, Text, clean

Json = Mapping[str, Any]
WORDS = {
    "invoice_no": ("发票号", "Invoice"), "invoice_code": ("发票代码", "Invoice code"),
    "invoice_date": ("发票日期", "Invoice date"),
    "delivery_note": ("随货单号", "Delivery note"), "order_code": ("订单号", "Order"),
    "supplier": ("供货方", "Supplier"),
    "purchase_bill": ("原采购单", "Purchase"), "sale_bill": ("原销售单", "Sale"), "receipt_no": ("小票号", "Receipt"),
    "settlement_id": ("结算ID", "Settlement"), "visit_no": ("就诊号", "Visit"), "reason": ("原因", "Reason"),
}  # fmt: skip
NUMBERS = {
    "setl": ("结算ID", "settlement"), "mdtrt": ("就诊ID", "visit"), "visit": ("就医流水号", "visit"),
    "doc": ("单据号", "bill"), "fee": ("费用明细", "fee line"), "bch": ("批次流水号", "record"),
}  # fmt: skip
SIDES = {
    "purchase": ("购进/入库", "purchase"), "sale": ("销售/出库", "sale"), "own": ("本单位", "own"),
    "other": ("往来单位", "partner"),
}  # fmt: skip
KINDS = {
    "open": ("开封", "opened"),
    "dispense": ("发放", "dispensed"),
    "return": ("退回", "returned"),
    "loss": ("损耗", "lost"),
}


def paper(body: Json, lang: str = "zh", explanation: str = "") -> Paper:
    """The dossier as a description of a document; `explanation` is printed where nothing was kept yet."""
    zh = lang == "zh"
    n = 0 if zh else 1

    def t(chinese: str, english: str) -> str:
        return chinese if zh else english

    product = body["product"] or {}
    facts = [
        (t("追溯码", "Trace code"), body["code"]),
        (t("药品", "Product"), _join(product.get("name"), product.get("strength"), product.get("package_size"))),
        (t("编制单位", "Prepared by"), (body["for"] or {}).get("name", "")),
        (t("定点机构", "Institutions"), "、".join(f"{i['name']}（{i['code']}）" for i in body["institutions"]) or "—"),
        (t("生成时间", "Made at"), _at(body["generated_at"])),
    ]  # fmt: skip
    blocks: list[Block] = []
    columns: Sequence[str]
    if body["cases"]:
        blocks.append(Heading(t("一、核查事项", "1. Case")))
        rows = [
            [
                c["number"], c["title"], c["act"], "；".join(f["message"] for f in c["findings"]),
                "、".join(c["probable_causes"]), _at(c["due_at"]),
            ]
            for c in body["cases"]
        ]  # fmt: skip
        columns = (
            t("核查单号", "Case"), t("类别", "Kind"), t("结算/单据号", "Act"), t("核验结果", "Findings"),
            t("可能原因", "Probable causes"), t("说明期限", "Due"),
        )  # fmt: skip
        blocks.append(Table(columns, _safe(rows)))
    blocks.append(Heading(t("二、机构说明", "2. Explanation")))
    told = [f"{s['institution']} {_at(s['at'])} {s['by'] or ''}\n{s['text']}" for s in body["statements"]]
    if explanation.strip():
        told.append(explanation.strip())
    blocks += [Text(_plain(x)) for x in told] or [
        Text(t("（请在此填写说明）\n\n\n\n", "(to be filled in)\n\n\n\n"))
    ]
    if body["files"]:
        rows = [[f["name"], f["institution"], _at(f["at"]), f["sha256"]] for f in body["files"]]
        blocks.append(
            Table((t("附件", "File"), t("机构", "By"), t("上传时间", "At"), "SHA-256"), _safe(rows))
        )
    blocks.append(Heading(t("三、结算与采集记录", "3. Settlements and reports")))
    rows = [
        [
            s["institution"]["name"], _at(s["sold_at"]), s["state_name"],
            "、".join(f"{NUMBERS[k][n]} {v}" for k, v in sorted(s["numbers"].items()) if k in NUMBERS),
            t("拆零", "split") + f" {s['units'] or ''}" if s["split"] else t("整盒", "whole"),
            "；".join(f["message"] for f in s["findings"]) or t("核验通过", "in order"),
        ]
        for s in body["settlements"]
    ]  # fmt: skip
    rows += [
        [t("其他定点机构", "another institution"), _at(o["sold_at"]), t("已结算/销售", "settled"),
         t("统筹区 ", "region ") + o["region"], t("拆零", "split") if o["split"] else t("整盒", "whole"), "—"]
        for o in body["settled_by_others"]
    ]  # fmt: skip
    columns = (
        t("机构", "Institution"), t("销售时间", "Sold at"), t("状态", "State"), t("结算、就诊、单据号", "Numbers"),
        t("拆零", "Split"), t("核验", "Findings"),
    )  # fmt: skip
    blocks.append(Table(columns, _safe(rows)) if rows else Text(t("无记录。", "None.")))
    if body["reports"]:
        rows = [
            [
                r["transaction"], r["number"], _at(r["happened_at"]), _at(r["received_at"]), r["batch_no"], r["count"],
                _join(r["supplier"], r["invoice"]), _at(r["withdrawn_at"]) if r["withdrawn_at"] else "",
            ]
            for r in body["reports"]
        ]  # fmt: skip
        columns = (
            t("交易", "Call"), t("批次流水号", "Number"), t("业务时间", "At"), t("收到时间", "Received"),
            t("批号", "Batch"), t("数量", "Count"), t("供应商、发票", "Supplier, invoice"), t("删除", "Withdrawn"),
        )  # fmt: skip
        blocks.append(Table(columns, _safe(rows)))
    for view in body["views"]:
        blocks += _view(view, t, n)
    blocks.append(Heading(t("未列内容", "Left out"), 2))
    blocks.append(Text("\n".join(body["left_out"])))
    blocks.append(
        Text(
            t("内容摘要（除本行外全部内容的 JSON）", "Digest of the content as JSON")
            + f"\nSHA-256 {body['digest']['sha256']}\nSM3 {body['digest']['sm3']}"
        )
    )
    blocks.append(
        Signatures((t("经办人", "Prepared by"), t("负责人（盖章）", "In charge (seal)"), t("日期", "Date")))
    )
    return Paper(
        _plain(body["title"]),
        _plain(f"{body['code']}"),
        body["cases"][0]["number"] if body["cases"] else "",
        [(k, _plain(v)) for k, v in facts],
        blocks,
        t("由药溯平台生成；流转记录可凭单据存证摘要核验", "Made by Yaosu"),
        lang,
        True,
    )


def _view(view: Json, t: Any, n: int) -> list[Block]:
    name = (view["organisation"] or {}).get("name", "")
    now = view["now"]
    columns: Sequence[str]
    blocks: list[Block] = [Heading(_plain(t("四、追溯记录：", "4. Trace records: ") + name))]
    if now.get("explanation"):
        blocks.append(Text(_plain(now["explanation"])))
    rows = [
        [
            _at(e["happened_at"]), e["title"], e["bill_no"] or "—",
            t("（未授权）", "(not yours to see)") if e["hidden"]
            else " → ".join(x["name"] for x in (e["from"] or e["owner"], e["to"]) if x),
            t("扫码", "observed") if e["certainty"] == "observed" else t("随包装 ", "inside ") + (e["via"] or ""),
            "" if e["in_force"] else t("已更正或作废", "corrected or void"),
        ]
        for e in view["events"]
    ]  # fmt: skip
    columns = (
        t("时间", "Time"), t("业务", "Event"), t("单据号", "Bill"), t("单位", "Parties"), t("依据", "Seen as"),
        t("备注", "Remark"),
    )  # fmt: skip
    blocks.append(Table(columns, _safe(rows)) if rows else Text(t("本平台没有流转记录。", "No events here.")))
    rows = [
        [
            SIDES[b["side"]][n], b["title"], b["bill_no"], _at(b["happened_at"]), _at(b["recorded_at"]),
            b["operator"] or "—",
            "、".join(f"{WORDS[k][n]} {v}" for k, v in b["papers"].items()) or "—", b["leaf"][:16],
        ]
        for b in view["bills"]
    ]  # fmt: skip
    if rows:
        columns = (
            t("性质", "Side"), t("单据类型", "Type"), t("单据号", "Bill"), t("业务时间", "At"),
            t("上传时间", "Recorded"), t("操作人", "Operator"), t("票据", "Papers"), t("存证摘要", "Leaf"),
        )  # fmt: skip
        blocks.append(Heading(t("单据与票据", "Bills and papers"), 2))
        blocks.append(Table(columns, _safe(rows)))
    if view["receipt_checks"]:
        outcomes = {
            "matched": t("相符", "matched"),
            "mismatch": t("不符", "mismatch"),
            "refused": t("拒收", "refused"),
        }
        rows = [
            [
                str(c["id"]),
                (c["seller"] or {}).get("name", "—"),
                _at(c["made_at"]),
                outcomes.get(c["outcome"], c["outcome"]),
            ]
            for c in view["receipt_checks"]
        ]
        blocks.append(Heading(t("验收核对", "Receipt checks"), 2))
        blocks.append(
            Table(
                (t("编号", "No."), t("供货方", "Seller"), t("时间", "At"), t("结果", "Outcome")), _safe(rows)
            )
        )
    split = view["split"]
    if split:
        left, at = split["left"], _at(split["opened_at"])
        head = t(
            f"整盒 {split['total']}，已发 {split['out']}，损耗 {split['lost']}，剩余 {left}；开封 {at}",
            f"{split['total']} in all, {split['out']} out, {split['lost']} lost, {left} left; opened {at}",
        )
        blocks += [Heading(t("拆零", "Split dispensing"), 2), Text(head)]
        rows = [
            [KINDS.get(e["kind"], (e["kind"],) * 2)[n], str(e["qty"]), e["bill_no"], _at(e["at"])]
            for e in split["entries"]
        ]
        if rows:
            blocks.append(
                Table(
                    (t("业务", "Event"), t("数量", "Units"), t("单据号", "Bill"), t("时间", "At")),
                    _safe(rows),
                )
            )
    if view["deliveries"]:
        rows = [
            [
                d["to"],
                d["kind"],
                d["state"],
                _at(d["made_at"]),
                str(len(d["attempts"])),
                (d["answer"] or "—")[:200],
            ]
            for d in view["deliveries"]
        ]
        columns = (
            t("上传对象", "To"), t("内容", "What"), t("状态", "State"), t("生成时间", "Made at"), t("次数", "Attempts"),
            t("对方回答", "Their answer"),
        )  # fmt: skip
        blocks += [Heading(t("对外上传", "Deliveries"), 2), Table(columns, _safe(rows))]
    return blocks


def _safe(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[_plain(cell) for cell in row] for row in rows]


def _plain(value: object) -> str:
    """Text that the font has: characters beyond the basic plane become a box instead of failing the paper."""
    return "".join(c if ord(c) < 0x10000 else "□" for c in clean(value if value is not None else ""))


def _at(text: str | None) -> str:
    return f"{datetime.fromisoformat(text).astimezone(CHINA):%Y-%m-%d %H:%M}" if text else "—"


def _join(*parts: str | None) -> str:
    return " ".join(p for p in parts if p)
