"""Bulk registration of historical stock from XLSX or CSV: all rows or none, an error per cell (R-D1).

Rows of one invoice become one 无码入库. Bill numbers are made from what the rows of an invoice say, so that the same
file sent twice, or saved again in between, enters nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import sheets
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.uncoded import service, store
from yaosu.uncoded.intake import Doors, Opened, check, open_account
from yaosu.uncoded.model import Item, Opening

ROWS_MAX = 2_000
ERRORS_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file."""

    key: str
    zh: str
    en: str
    needed: bool
    note: str
    note_en: str


COLUMNS = (
    Column(
        "drug",
        "药品",
        "Product",
        True,
        "药品标识码、商品条码、本位码、医保编码或产品编号",
        "Product code, barcode, national drug code, insurance code or product number",
    ),
    Column("batch_no", "生产批号", "Batch", True, "", ""),
    Column("qty", "数量", "Quantity", True, "最小销售包装数", "Smallest packages"),
    Column(
        "produced_on",
        "生产日期",
        "Produced",
        False,
        "如 2024-05-01；批号首次登记时必填",
        "E.g. 2024-05-01; needed when the batch is new",
    ),
    Column(
        "expires_on",
        "有效期至",
        "Expiry",
        False,
        "最后一日，如 2027-04-30；批号首次登记时必填",
        "Last day, e.g. 2027-04-30; needed when the batch is new",
    ),
    Column("supplier", "供货单位", "Supplier", True, "统一社会信用代码或全称", "Credit code or full name"),
    Column("invoice_no", "购货发票号", "Invoice", True, "", ""),
    Column(
        "invoice_date",
        "发票日期",
        "Invoice date",
        True,
        "购进日期，如 2025-06-01",
        "Day of purchase, e.g. 2025-06-01",
    ),
    Column("zone", "专区货位", "Zone", True, "如 无码专区 A-01", "E.g. zone for uncoded goods A-01"),
    Column(
        "proof",
        "凭证文件",
        "Proof file",
        False,
        "与一并上传的文件同名；只传一个文件时可不填",
        "Name of a file chosen with this one; may be empty when there is one",
    ),
)

_DATE = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?: 00:00:00)?\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read."""

    number: int
    invoice: tuple[str, date, str, str]
    """Number and date of the invoice, supplier, proof."""
    item: Item


def template() -> bytes:
    """An empty XLSX with headings, and one row of notes."""
    heads = [c.zh + ("*" if c.needed else "") for c in COLUMNS]
    return sheets.write_xlsx(
        "无码库存", heads, [["说明：" + COLUMNS[0].note, *(c.note for c in COLUMNS[1:])]]
    )


async def import_file(
    doors: Doors, subject: Subject, data: bytes, name: str, proofs: Sequence[tuple[str, bytes]]
) -> list[Opened]:
    """Enter every row of a file with its proofs, or none; one bill per invoice.

    `proofs` are (file name, bytes). Refused: `uncoded_import_bad` with a finding per cell (`where` is row:column),
    `import_file_unreadable`, `import_too_large`, and what proofs are refused for.
    """
    subject.require("uncoded.open")
    rows = await asyncio.to_thread(sheets.read, data, name)
    if len(rows) > ROWS_MAX + 2:
        raise YaosuError("import_too_large", {"what": "行数 rows", "max": ROWS_MAX})
    async with doors.pool.acquire() as conn, conn.transaction():
        kept = {n.strip(): await service.keep_proof(conn, subject, body, n) for n, body in proofs}
        if not kept:
            raise YaosuError("uncoded_proof_empty")
        parsed, found = _parse(doors.registry, rows, kept)
        openings = _openings(doors.registry, parsed, kept)
        found += await _checked(conn, doors.registry, subject, parsed, openings)
        if found or not openings:
            if not found:
                raise YaosuError("import_empty")
            raise YaosuError("uncoded_import_bad", {"count": len(found)}, found[:ERRORS_SHOWN_MAX])
        done = {
            one.bill_no for one in openings if await conn.fetchval(store.FIRST_AT, subject.org, one.bill_no)
        }
    return [await open_account(doors, subject, one) for one in openings if one.bill_no not in done]


def _parse(
    registry: Registry, rows: list[sheets.Row], proofs: Mapping[str, int]
) -> tuple[list[Row], list[Finding]]:
    if not rows:
        return [], []
    heads = [h.strip().rstrip("*＊").strip().casefold() for h in rows[0][1]]
    places: dict[str, int] = {}
    found: list[Finding] = []
    for column in COLUMNS:
        names = (column.zh, column.en.casefold(), column.key)
        position = next((i for i, head in enumerate(heads) if head in names), None)
        if position is not None:
            places[column.key] = position
        elif column.needed:
            found.append(Finding("uncoded_import_heading", {"heading": column.zh}, "1"))
    if found:
        return [], found
    parsed = []
    for number, cells in rows[1:]:
        if cells and cells[0].startswith("说明"):
            continue
        values = {k: cells[i].strip() if i < len(cells) else "" for k, i in places.items()}
        row = _row(registry, number, values, proofs, found)
        if row is not None:
            parsed.append(row)
    return parsed, found


def _row(
    registry: Registry,
    number: int,
    values: Mapping[str, str],
    proofs: Mapping[str, int],
    found: list[Finding],
) -> Row | None:
    before = len(found)
    title = {c.key: c.zh for c in COLUMNS}

    def wrong(key: str, finding: Finding) -> None:
        found.append(Finding(finding.code, finding.params, f"{number}:{title[key]}"))

    for column in COLUMNS:
        if column.needed and not values.get(column.key):
            wrong(column.key, Finding("value_missing", {"field": column.zh}))
    drug = product_of(registry, values.get("drug", ""))
    if values.get("drug") and isinstance(drug, Finding):
        wrong("drug", drug)
    qty = values.get("qty", "").replace(",", "")
    if qty and not (qty.isascii() and qty.isdigit() and len(qty) <= 9):
        wrong("qty", _no(qty, "数量", "quantity"))
    days: dict[str, date | None] = {}
    for key in ("produced_on", "expires_on", "invoice_date"):
        text = values.get(key, "")
        days[key] = day_of(text)
        if text and days[key] is None:
            wrong(key, _no(text, "日期", "date"))
    proof = values.get("proof", "")
    if proof and proof not in proofs:
        wrong("proof", Finding("uncoded_import_proof", {"name": proof[:100]}))
    elif not proof and len(proofs) > 1:
        wrong("proof", Finding("value_missing", {"field": "凭证文件"}))
    bought = days["invoice_date"]
    if len(found) > before or bought is None or isinstance(drug, Finding):
        return None
    return Row(
        number,
        (values["invoice_no"], bought, values["supplier"], proof),
        Item(
            drug,
            values["batch_no"],
            int(qty),
            days["produced_on"],
            days["expires_on"],
            values["zone"][: service.ZONE_MAX],
        ),
    )


def _no(value: str, zh: str, en: str) -> Finding:
    return Finding("uncoded_import_value", {"value": value[:40], "kind": zh, "kind_en": en})


def day_of(text: str) -> date | None:
    """A date as people write it (2025-06-01, 2025/6/1, 20250601, 2025年6月1日); None when it is none."""
    match = _DATE.match(text.strip())
    if match is None:
        return None
    try:
        return datetime(*(int(g) for g in match.groups())).date()  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        return None


def product_of(registry: Registry, text: str) -> int | Finding:
    """The product that a code of any kind, or our own number, stands for."""
    linked = registry.linked(text)
    if len(linked) == 1:
        return linked[0]
    if len(linked) > 1:
        return Finding("uncoded_product_several", {"value": text[:40], "count": len(linked)})
    if text.isascii() and text.isdigit() and len(text) <= 6 and registry.product(int(text)) is not None:
        return int(text)
    return Finding("uncoded_product_unknown", {"value": text[:40]})


def _openings(registry: Registry, rows: Sequence[Row], proofs: Mapping[str, int]) -> list[Opening]:
    groups: dict[tuple[str, date, str, str], list[Item]] = {}
    for row in rows:
        groups.setdefault(row.invoice, []).append(row.item)
    only = next(iter(proofs.values()))
    made = []
    for key, items in groups.items():
        number, bought, supplier, proof = key
        # by what it says and not by its bytes: a file saved again is the same stock
        lines = sorted(f"{i.drug_id}|{i.batch_no}|{i.qty}|{i.expires_on}" for i in items)
        mark = hashlib.sha256("\n".join([number, str(bought), supplier, *lines]).encode()).hexdigest()[:16]
        made.append(
            Opening(
                invoice_no=number,
                invoice_date=bought,
                items=tuple(items),
                zone=items[0].zone,
                proof_id=proofs.get(proof, only),
                supplier=supplier_id(registry, supplier),
                supplier_name=supplier,
                bill_no=f"WR-{bought:%Y%m%d}-{mark}",
            )
        )
    return made


def supplier_id(registry: Registry, text: str) -> int | None:
    """Our id of a supplier named by 统一社会信用代码; None for one that is not registered, or named otherwise."""
    card = registry.org_by_uscc(text.strip().upper())
    return card.id if card is not None else None


async def _checked(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    rows: Sequence[Row],
    openings: Sequence[Opening],
) -> list[Finding]:
    """What each invoice would be refused for, at the rows it came from."""
    found = []
    title = {c.key: c.zh for c in COLUMNS} | {"drug_id": "药品"}
    lines: dict[int, list[int]] = {}
    numbers = {id(row.item): row.number for row in rows}
    for n, one in enumerate(openings):
        lines[n] = [numbers[id(item)] for item in one.items]
        for finding in await check(conn, registry, subject, one):
            parts = finding.where.split(".")
            if parts[0] == "items" and len(parts) == 3:
                where = f"{lines[n][int(parts[1])]}:{title.get(parts[2], parts[2])}"
            else:
                where = f"{lines[n][0]}:{title.get(finding.where, finding.where)}"
            found.append(Finding(finding.code, finding.params, where))
    return found
