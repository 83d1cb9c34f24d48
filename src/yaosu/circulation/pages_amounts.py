"""更正 of bills that say more than a list of codes: parts of opened boxes, goods without codes (R-X3, R-C8, R-C9).

The same form twice: first it shows what the correction would do, then, unchanged, it is confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import orjson
from asyncpg import Record
from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.amounts import Amounts, amounts_of
from yaosu.circulation.cache import CHINA
from yaosu.circulation.header_words import header_labels
from yaosu.circulation.model import Movement, Preview, Quantity
from yaosu.circulation.pages_bills import actions_of, head_of
from yaosu.circulation.pages_common import BillId, missing, show
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.registry import uncoded_rules
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

router = APIRouter()

LINES_MAX = 500
"""Codes and quantities of one form."""
FIELDS_MAX = 4_000
BLANK = 2
"""Empty rows for goods that are on the wrong batch."""
REASONS = ("correct_reason", "void_reason")


async def page(
    request: Request,
    conn: Connection,
    subject: Subject,
    row: Record,
    given: Mapping[str, Any] | None = None,
    shown: Preview | None = None,
    error: YaosuError | None = None,
) -> Response:
    """The form, with what was typed, and what it would do once that was asked."""
    registry, lang = registry_of(request), language(request)
    lines = await _lines(conn, subject, row)
    amounts = await amounts_of(conn, row["id"], row["drug_ids"])
    bill = views.bill_view(registry, row, lang)
    header = {k: v for k, v in bill["header"].items() if k not in REASONS}
    given = given or {}
    effects = views.preview_view(shown, lang) if shown is not None else None
    entering = row["type"] == uncoded_rules.PURCHASE
    context = {
        "bill": bill,
        "revision": row["revision"] + 1,
        "boxes": [
            {
                **views.line_view(registry, line, lang),
                "units": given.get(f"u_{n}", amounts.parts.get(line["code"])),
                "part": line["code"] in amounts.parts,
                "kept": f"k_{n}" in given if given else True,
            }
            for n, line in enumerate(lines)
        ],
        "quantities": _rows(registry, amounts, given, entering),
        "products": sorted(
            {(q.drug_id, views.product_name(registry, q.drug_id)) for q in amounts.quantities}
        ),
        "entering": entering,
        "happened": given.get(
            "happened_at", row["happened_at"].astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S")
        ),
        "fields": [(k, given.get(f"h_{k}", v)) for k, v in header.items()],
        "labels": header_labels(lang),
        "reason": given.get("reason", ""),
        "changed": [
            {"code": code, "was": was, "now": given[f"u_{n}"]}
            for n, code in enumerate(line["code"] for line in lines)
            if (was := amounts.parts.get(code)) is not None
            and given.get(f"u_{n}", str(was)) not in ("0", str(was))
        ],
        "effects": effects,
        "moved": [
            {**e, "product": views.product_name(registry, e["drug_id"]) if e["drug_id"] else ""}
            for e in (effects["effects"] if effects else ())
        ],
    }
    return show(request, "correct_amounts.html", context, error)


async def _lines(conn: Connection, subject: Subject, row: Record) -> Sequence[Record]:
    """The codes of the bill; refused (`too_many_codes`) where the form would leave some out."""
    lines = await store.bill_lines(conn, visible(subject), row["id"], None, LINES_MAX + 1) or []
    if len(lines) > LINES_MAX:
        raise YaosuError("too_many_codes", {"count": row["lines"], "limit": LINES_MAX})
    return lines


def _rows(
    registry: Registry, amounts: Amounts, given: Mapping[str, Any], entering: bool
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "drug_id": q.drug_id,
            "batch_no": q.batch_no,
            "qty": q.qty,
            "produced_on": q.produced_on,
            "expires_on": q.expires_on,
        }
        for q in amounts.quantities
    ]
    if rows and entering:
        blank = dict.fromkeys(("batch_no", "qty", "produced_on", "expires_on"), "")
        rows += [{"drug_id": rows[0]["drug_id"], **blank} for _ in range(BLANK)]
    names = {"drug_id": "d", "batch_no": "b", "qty": "q", "produced_on": "p", "expires_on": "e"}
    for n, one in enumerate(rows):
        one.update({k: given[f"{short}_{n}"] for k, short in names.items() if f"{short}_{n}" in given})
        one["product"] = views.product_name(registry, int(one["drug_id"]))
    return rows


def _number(form: FormData, name: str) -> int:
    text = str(form.get(name) or "0").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise YaosuError("field_invalid", {"field": name, "reason": text[:20]})
    return int(text)


def _day(form: FormData, name: str) -> date | None:
    text = str(form.get(name) or "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise YaosuError("field_invalid", {"field": name, "reason": text[:20]}) from None


def _moment(form: FormData, was: datetime) -> datetime:
    """The time as typed; the second that the page shows is the recorded moment itself."""
    text = str(form.get("happened_at") or "").strip()
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=CHINA) if text else was
    except ValueError:
        raise YaosuError("field_invalid", {"field": "happened_at", "reason": text[:20]}) from None
    return was if at == was.replace(microsecond=0) else at


def _said(
    form: FormData,
    row: Record,
    codes: Sequence[str],
    amounts: Amounts,
    header: Mapping[str, Any],
    reason: str,
) -> Movement:
    """The next revision as the form says it."""
    parts: dict[str, int] = {}
    stay = []
    for n, code in enumerate(codes):
        if code in amounts.parts:
            units = _number(form, f"u_{n}")
            if not units:
                continue
            parts[code] = units
        elif f"k_{n}" not in form:
            continue
        stay.append(code)
    quantities = []
    entering = row["type"] == uncoded_rules.PURCHASE
    for n in range(len(amounts.quantities) + (BLANK if entering else 0)):
        qty, batch_no = _number(form, f"q_{n}"), str(form.get(f"b_{n}") or "").strip()
        if not qty:
            continue
        dates = (_day(form, f"p_{n}"), _day(form, f"e_{n}")) if entering else (None, None)
        quantities.append(Quantity(_number(form, f"d_{n}"), batch_no[:64], qty, *dates))
    said = {k: str(form.get(f"h_{k}", v)) if isinstance(v, str) else v for k, v in header.items()}
    fields = {k: v for k, v in said.items() if v not in ("", None)} | {"correct_reason": reason}
    body = {
        "bill_no": row["bill_no"],
        "revision": row["revision"] + 1,
        "codes": stay,
        "parts": parts,
        "quantities": [[q.drug_id, q.batch_no, q.qty, q.produced_on, q.expires_on] for q in quantities],
        "header": fields,
    }
    return Movement(
        type=row["type"],
        bill_no=row["bill_no"],
        owner=row["owner"],
        happened_at=_moment(form, row["happened_at"]),
        codes=stay,
        revision=row["revision"] + 1,
        from_org=row["from_org"],
        to_org=row["to_org"],
        principal=row["principal"],
        carrier=row["carrier"],
        direct_org=row["direct_org"],
        mode="atomic",
        header=fields,
        body=orjson.dumps(body),
        parts=parts,
        quantities=quantities,
    )


@router.post("/bills/{bill_id}/correct")
async def correct(request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Response:
    """Show what the correction would do; with `confirm`, do it."""
    row = await head_of(request, conn, subject, bill_id)
    subject.require("bill.correct")
    if not actions_of(subject, row)["may_correct"] or row["type"] not in submittable():
        raise missing(request, "可更正的单据", "Bill to correct")
    form = await request.form(max_fields=FIELDS_MAX)
    given = {k: str(v) for k, v in form.items()}
    registry, pool = registry_of(request), state(request).pool
    shown: Preview | None = None
    try:
        reason = str(form.get("reason") or "").strip()
        if not 2 <= len(reason) <= 500 or "\x00" in reason:
            told = "请填写更正原因" if language(request) == "zh" else "say why"
            raise YaosuError("field_invalid", {"field": "reason", "reason": told})
        lines = await _lines(conn, subject, row)
        amounts = await amounts_of(conn, bill_id, row["drug_ids"])
        header = {k: v for k, v in (row["header"] or {}).items() if k not in REASONS}
        movement = _said(form, row, [r["code"] for r in lines], amounts, header, reason)
        if "confirm" in form:
            result = await service.submit(pool, committer_of(request), registry, subject, movement)
            if result.bill_id:
                return see_other(f"/bills/{result.bill_id}")
        shown = await service.preview(pool, registry, batches_of(request), subject, movement)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await page(request, conn, subject, row, given, None, error)
    return await page(request, conn, subject, row, given, shown)
