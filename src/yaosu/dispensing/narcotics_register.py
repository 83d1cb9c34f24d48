"""专用账册: one product in one place or a whole hospital, line by line, as it is handed to an inspector (R-C4).

Opening balance + in − out = closing balance, in preparation units and in packages; the closing balance of now is what
the ledger's accounts and the opened boxes hold. Nothing is stored for it: it is read from the bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.dispensing import store_narcotics_book as store
from yaosu.dispensing.narcotics_desk import READ, hospital_of, listed
from yaosu.dispensing.narcotics_model import Line, Register
from yaosu.edge.pages import CHINA
from yaosu.errors import YaosuError
from yaosu.papers.model import Paper, Signatures, Table, Text
from yaosu.people.model import Shown
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

CODES_SHOWN = 5
"""Codes printed in one line; the bill holds all of them."""


async def register(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    org: int,
    drug_id: int,
    start: datetime,
    end: datetime | None = None,
    whole: bool = False,
) -> Register:
    """The register of a product in the place `org`, or with `whole` in the hospital and all of its places.

    By business time from `start` to before `end` (now). Refused: `not_found` for books that are not the subject's to
    see, `ledger_time_range`, `narcotics_not_listed`. A regulator's read is written down.
    """
    subject.require(READ)
    product = listed(registry, drug_id)
    hospital_of(registry, org)
    until = end or datetime.now(UTC)
    if start >= until:
        raise YaosuError("ledger_time_range")
    orgs = [one.id for one in registry.family_of(org)] if whole else [org]
    sight = visible(subject)
    if not await store.may_see(conn, sight, orgs[0]):
        raise YaosuError("not_found", {"what": "账册"})
    if sight.records_reads:
        await record_read(conn, subject, f"narcotic register {drug_id}", orgs[0])
    opening = packages = 0
    lines = []
    for r in await store.changes(conn, sight, orgs, drug_id, product.prep_units_per, until):
        if r["happened_at"] < start:
            opening, packages = opening + r["units"], packages + r["packages"]
            continue
        lines.append(_line(r))
    codes = await store.codes(conn, sight, drug_id, [line.bill_id for line in lines])
    balance, held, told = opening, packages, []
    for line in lines:
        balance, held = balance + line.units, held + line.packages
        scanned = codes.get((line.bill_id, line.batch_id), [])
        told.append(replace(line, balance=balance, packages_balance=held, codes=tuple(scanned)))
    return Register(tuple(orgs), drug_id, start, until, opening, packages, tuple(told))


def _line(r: Any) -> Line:
    org, giver, receiver = r["org"], r["from_org"], r["to_org"]
    # a bill is read from the place's side: what came says from whom, what left says to whom
    other = next((p for p in (giver, receiver, r["owner"]) if p is not None and p != org), None)
    names = (
        "bill_id",
        "bill_no",
        "type",
        "reversal",
        "batch_id",
        "batch_no",
        "corrects",
        "reason",
        "recorded_at",
    )
    values = {name: r[name] for name in names}
    return Line(
        at=r["happened_at"],
        org=org,
        counterparty=other,
        units=int(str(r["units"])),
        packages=int(str(r["packages"])),
        patient=r["patient"],
        prescription=str(r["prescription"] or ""),
        doctor=str(r["doctor"] or ""),
        department=str(r["department"] or ""),
        handler=str(r["handler"] or ""),
        checker=str(r["confirmed"] or r["checker"] or ""),
        confirmed=r["confirmed"] is not None,
        **values,
    )


def in_words(
    register: Register, registry: Registry, patients: Mapping[int, Shown], lang: str = "zh"
) -> list[list[str]]:
    """The lines as texts, for page, paper and sheet alike; the first is the balance brought forward."""
    zh = lang == "zh"
    blank = [""] * 9
    day = register.start.astimezone(CHINA).strftime("%Y-%m-%d")
    first = [day, "—", "上期结存" if zh else "Brought forward", "", "", "", str(register.opening)]
    rows = [[*first, str(register.opening_packages), *blank[:7]]]
    types = bill_types()
    for line in register.lines:
        kind = types.get(line.type)
        name = kind.label(lang) if kind else str(line.type)
        if line.reversal:
            name += "（冲回）" if zh else " (taken back)"
        other = registry.org(line.counterparty) if line.counterparty else None
        place = registry.org(line.org)
        if len(register.orgs) > 1 and place is not None:
            name = f"{place.short_name or place.name} {name}"
        person = patients.get(line.patient) if line.patient else None
        patient = f"{person.name_masked} {person.number_masked}" if person else ""
        codes = ("、" if zh else ", ").join(line.codes[:CODES_SHOWN])
        if len(line.codes) > CODES_SHOWN:
            codes += f" 等{len(line.codes)}个" if zh else f" … {len(line.codes)}"
        rows.append(
            [
                line.at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M"),
                line.bill_no,
                name,
                patient or (other.short_name or other.name if other is not None else line.department),
                str(line.units) if line.units > 0 else "",
                str(-line.units) if line.units < 0 else "",
                str(line.balance),
                str(line.packages_balance),
                line.batch_no,
                codes,
                line.prescription,
                line.doctor,
                line.handler,
                line.checker,
                _remark(line, zh),
            ]
        )
    return rows


CHECKED = (203, 104, 323)
"""Bills between places and to patients, which a second person confirms."""


def _remark(line: Line, zh: bool) -> str:
    """What else is to be said of a line; of one that takes another back or follows it: which, when and why."""
    if line.reversal and line.recorded_at is not None:
        at = line.recorded_at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")
        whose = f"冲正第{line.corrects}版 {at}" if zh else f"takes back revision {line.corrects}, {at}"
        return f"{whose} {line.reason}".strip()
    said = _unchecked(line, zh)
    return f"{line.reason} {said}".strip() if line.reason else said


def _unchecked(line: Line, zh: bool) -> str:
    if line.confirmed or line.type not in CHECKED:
        return ""
    if line.checker:
        return "复核人未经系统确认" if zh else "checker named, not confirmed here"
    return "未复核" if zh else "not checked"


COLUMNS = {
    "zh": (
        "日期", "凭证号", "摘要", "来源/去向/患者", "收入", "支出", "结存", "结存（盒）", "批号", "追溯码", "处方号",
        "处方医师", "经手人", "复核人", "备注",
    ),
    "en": (
        "Date", "Bill", "Entry", "From / to / patient", "In", "Out", "Balance", "Packages", "Batch", "Trace codes",
        "Prescription", "Prescriber", "Handled by", "Checked by", "Remark",
    ),
}  # fmt: skip
"""The register's columns. On paper it is in Chinese: it is the hospital's book of record, for inspectors."""
WIDTHS = (1.55, 1.7, 1.3, 1.8, 0.85, 0.85, 1.05, 0.95, 1.1, 2.85, 1.2, 0.9, 0.9, 0.9, 0.8)


def paper(register: Register, registry: Registry, patients: Mapping[int, Shown], printed_by: str) -> Paper:
    """The register as a document to print and sign."""
    product = listed(registry, register.drug_id)
    card = registry.org(register.orgs[0])
    hospital = hospital_of(registry, register.orgs[0])
    unit = product.prep_unit or "—"
    start, end = (t.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") for t in (register.start, register.end))
    facts = (
        ("医疗机构", hospital.name),
        (
            "账册范围",
            "全院各场所" if len(register.orgs) > 1 else (card.short_name or card.name if card else ""),
        ),
        ("药品", f"{product.generic_name} {product.strength} {product.package_size}"),
        ("剂型", product.dosage_form),
        ("计量单位", f"{unit}（每盒 {product.prep_units_per} {unit}）"),
        ("期间", f"{start} 至 {end}"),
    )
    total = (
        f"期初结存 {register.opening} {unit}，收入 {register.received} {unit}，支出 {register.issued} {unit}，"
        f"期末结存 {register.closing} {unit}（{register.closing_packages} 盒，含已开封）。"
    )
    rows = in_words(register, registry, patients)
    return Paper(
        title="麻醉药品、精神药品专用账册",
        facts=facts,
        blocks=(
            Table(COLUMNS["zh"], rows, WIDTHS),
            Text(total),
            Text("患者姓名、证件号码已按规定脱敏；账册由扫码单据生成，结存与平台账务一致。"),
            Signatures(("保管人", "复核人", "药学部门负责人", "检查人")),
        ),
        footer=f"{hospital.name} · {printed_by}",
        landscape=True,
    )
