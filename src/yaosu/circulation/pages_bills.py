"""单据: the list with filters and export, one bill with its revisions, void and correct, delivery note (R-X3)."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

import segno
from asyncpg import Record
from fastapi import APIRouter, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from yaosu.access.visibility import note_reads, record_read, visible
from yaosu.circulation import store_pages, views
from yaosu.circulation import store_read as store
from yaosu.circulation.cache import CHINA
from yaosu.circulation.header_words import header_labels, reason_label
from yaosu.circulation.pages_common import (
    PAGE,
    BillId,
    Cursor,
    OrgId,
    at,
    choices,
    missing,
    show,
)
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import bill_types, submittable
from yaosu.subject import Subject

router = APIRouter()

EXPORT_MAX = 10_000
"""Bills in one export."""
CODES_SHOWN = 200
NOTES_SHOWN = 500
EVIDENCE_SHOWN = 40
"""Bills looked up to explain refusals; beyond, the reason stands without its bill."""

NumberQuery = Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")]
TypeText = Annotated[str, Query(pattern=r"^\d{0,3}$")]
DayText = Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


def _day(text: str, field: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except ValueError:
        raise YaosuError("field_invalid", {"field": field, "reason": text}) from None


async def _found(
    conn: Connection,
    subject: Subject,
    filters: dict[str, str],
    partner: int | None,
    before: int | None,
    limit: int,
) -> list[Record]:
    until = _day(filters["until"], "until")
    return await store.bills(
        conn,
        visible(subject),
        before=before,
        types=[int(filters["type"])] if filters["type"] else None,
        bill_no=filters["bill_no"].strip() or None,
        since=_day(filters["since"], "since"),
        # the last day counts whole
        until=until + timedelta(days=1) if until is not None else None,
        partner=partner,
        limit=limit,
    )


@router.get("/bills")
async def bills(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    type: TypeText = "",
    bill_no: NumberQuery = "",
    since: DayText = "",
    until: DayText = "",
    partner: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    before: Cursor = None,
) -> Response:
    """Bills newest first, filtered by type, number, partner and days."""
    subject.require("bill.read")
    registry, lang = registry_of(request), language(request)
    filters = {"type": type, "bill_no": bill_no, "since": since, "until": until}
    other = int(partner) if partner else None
    rows = await _found(conn, subject, filters, other, before, PAGE)
    if visible(subject).records_reads:
        await record_read(conn, subject, "bills", None)
    else:
        await note_reads(conn, [(subject, "bills", row["owner"]) for row in rows])
    kept = {k: v for k, v in {**filters, "partner": partner}.items() if v}
    more = "/bills?" + urlencode({**kept, "before": rows[-1]["id"]}) if len(rows) == PAGE else ""
    context = {
        "items": [views.bill_view(registry, r, lang) for r in rows],
        "filters": filters,
        "partner": registry.org(other) if other else None,
        "types": choices(bill_types().values(), lang),
        "next": more,
        "export": "/bills.csv" + ("?" + urlencode(kept) if kept else ""),
        "own": subject.org_id,
    }
    return show(request, "bills.html", context)


_HEADINGS = {
    "zh": ("单据号", "版本", "类型", "类型名称", "状态", "业务时间", "登记时间", "货主", "发货方", "收货方", "追溯码数",
           "最小包装数", "不通过数"),
    "en": ("bill_no", "revision", "type", "type_name", "status", "happened_at", "recorded_at", "owner", "from", "to",
           "codes", "smallest_packages", "refused"),
}  # fmt: skip


def spreadsheet_text(value: object) -> object:
    """Text that a spreadsheet will not run as a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


@router.get("/bills.csv")
async def export(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    type: TypeText = "",
    bill_no: NumberQuery = "",
    since: DayText = "",
    until: DayText = "",
    partner: OrgId = None,
) -> Response:
    """The same list as a table, up to 10,000 bills, with a byte order mark so that Excel reads Chinese."""
    subject.require("bill.read")
    subject.require("export.read")
    registry, lang = registry_of(request), language(request)
    filters = {"type": type, "bill_no": bill_no, "since": since, "until": until}
    rows = await _found(conn, subject, filters, partner, None, EXPORT_MAX)
    if visible(subject).records_reads:
        await record_read(conn, subject, "bills export", None)
    else:
        await note_reads(conn, [(subject, "bills export", row["owner"]) for row in rows])
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_HEADINGS[lang])
    for row in rows:
        v = views.bill_view(registry, row, lang)
        names = [v[key]["name"] if v[key] else "" for key in ("owner", "from_org", "to_org")]
        times = [at(v["happened_at"], seconds=True), at(v["recorded_at"], seconds=True)]
        line = [v["bill_no"], v["revision"], v["type"], v["type_name"], v["status"], *times, *names]
        writer.writerow([spreadsheet_text(x) for x in (*line, v["lines"], v["qty"], v["refused"])])
    headers = {"content-disposition": 'attachment; filename="bills.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def head_of(request: Request, conn: Connection, subject: Subject, bill_id: int) -> Record:
    subject.require("bill.read")
    row = await store.bill(conn, visible(subject), bill_id)
    if row is None:
        raise missing(request, "单据", "Bill")
    await note_reads(conn, [(subject, f"bill {bill_id}", row["owner"])])
    return row


def actions_of(subject: Subject, row: Record) -> dict[str, bool]:
    """What the subject may do with this bill."""
    party = subject.org_id is not None and subject.org_id in (row["owner"], row["submitter"])
    live = row["status"] == "A" and row["type"] in submittable()
    return {
        "may_correct": party and live and subject.can("bill.correct") and subject.can("bill.write"),
        "may_fetch": party,
        "is_owner": subject.org_id == row["owner"],
    }


_COMPARED = (
    "type",
    "from_org",
    "to_org",
    "principal",
    "carrier",
    "direct_org",
    "happened_at",
    "qty",
    "lines",
)


async def _revisions(
    request: Request, conn: Connection, subject: Subject, head: Record
) -> list[dict[str, Any]]:
    """All revisions of the number, each with what it changed against the one before."""
    registry, lang = registry_of(request), language(request)
    rows = await store.revisions(conn, visible(subject), head["owner"], head["bill_no"])
    found: list[dict[str, Any]] = []
    before: Record | None = None
    for row in rows:
        view = views.bill_view(registry, row, lang)
        # a reversal only takes back; what changed is told by the revision that follows it
        view["reversal"] = "reversal" in view["flags"]
        changes = []
        if before is not None and not view["reversal"]:
            old = views.bill_view(registry, before, lang)
            for key in _COMPARED:
                if row[key] != before[key]:
                    changes.append((key, _shown(old[key]), _shown(view[key])))
        view["changes"] = changes
        if not view["reversal"]:
            before = row
        found.append(view)
    return found


def _shown(value: object) -> object:
    if isinstance(value, dict):
        return value["name"]
    return at(value, seconds=True) if isinstance(value, datetime) else value


async def _bill_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    bill_id: int,
    after: str | None = None,
    error: YaosuError | None = None,
) -> Response:
    row = await head_of(request, conn, subject, bill_id)
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    lines = await store.bill_lines(conn, sight, bill_id, after, CODES_SHOWN) or []
    notes = await store.bill_notes(conn, sight, bill_id, -1, NOTES_SHOWN) or []
    evidence = await _evidence(request, conn, subject, notes)
    account = None
    if row["account_id"] and subject.org_id == row["submitter"]:
        account = await conn.fetchval(store_pages.ACCOUNT_NAME, row["account_id"])
    view = views.bill_view(registry, row, lang)
    if "reason" in view["header"]:
        reason = reason_label(registry.lists, row["type"], view["header"]["reason"], lang)
        view["header"] = {**view["header"], "reason": reason}
    context = {
        "bill": view,
        "codes": [views.line_view(registry, r, lang) for r in lines],
        "next": f"/bills/{bill_id}?after={lines[-1]['code']}#codes" if len(lines) == CODES_SHOWN else "",
        "after": after,
        "notes": [{**views.note_view(r, lang), "evidence": evidence.get(r["evidence_bill"])} for r in notes],
        "revisions": await _revisions(request, conn, subject, row),
        "checks": await store_pages.checks_of_bill(conn, sight, bill_id),
        "account": account,
        "shipment": row["type"] in submittable() and submittable()[row["type"]].kind == "ship",
        "labels": header_labels(lang),
        # either side of a delivery may open a case for it (R-B4, R-B5)
        "may_case": subject.can("exception.handle")
        and row["type"] in submittable()
        and submittable()[row["type"]].kind in ("ship", "receive")
        and subject.org_id in (row["owner"], row["from_org"], row["to_org"]),
        **actions_of(subject, row),
    }
    return show(request, "bill.html", context, error)


async def _evidence(
    request: Request, conn: Connection, subject: Subject, notes: list[Record]
) -> dict[int, dict[str, Any]]:
    """The bills that explain refusals, as far as the reader may open them."""
    registry, lang = registry_of(request), language(request)
    found = {}
    for number in sorted({r["evidence_bill"] for r in notes if r["evidence_bill"]})[:EVIDENCE_SHOWN]:
        row = await store.bill(conn, visible(subject), number)
        if row is not None:
            found[number] = views.bill_view(registry, row, lang)
    return found


@router.get("/bills/{bill_id}")
async def bill(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill_id: BillId,
    after: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
) -> Response:
    """One bill: head, parties, codes, what was said of them, revisions, receipt checks."""
    return await _bill_page(request, conn, subject, bill_id, after)


@router.get("/bills/{bill_id}/note")
async def delivery_note(request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Response:
    """随货同行单 of a shipment, with a QR code of its number for the receiver's scanner."""
    row = await head_of(request, conn, subject, bill_id)
    if row["type"] not in submittable() or submittable()[row["type"]].kind != "ship":
        raise missing(request, "随货同行单", "Delivery note")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    found = await store.notice(conn, sight, bill_id)
    lines = await store.bill_lines(conn, sight, bill_id, None, 500) or []
    image = segno.make(row["bill_no"], error="m", micro=False).svg_inline(omitsize=True, border=0)
    goods = []
    for r in found[1] if found is not None else ():
        product = registry.product(r["drug_id"])
        maker = registry.org(product.manufacturer_id) if product is not None else None
        goods.append(
            {
                **views.notice_line_view(registry, r),
                "produced_on": r["produced_on"],
                "approval_no": product.approval_no if product is not None else "",
                "maker": maker.name if maker is not None else "",
                "unit": product.levels[0].name if product is not None else "",
            }
        )
    context = {
        "bill": views.bill_view(registry, row, lang),
        "goods": goods,
        "packages": [views.line_view(registry, r, lang) for r in lines],
        "qr": Markup(image),  # noqa: S704 - drawn by segno from the number, holds no text of ours
    }
    return show(request, "delivery_note.html", context)
