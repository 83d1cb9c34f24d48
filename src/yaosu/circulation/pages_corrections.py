"""更正 and 作废: what it would do is worked out and shown before anybody confirms it (R-X3)."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from asyncpg import Record
from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import pages_amounts, service, store_pages, views
from yaosu.circulation import store_read as store
from yaosu.circulation.cache import CHINA
from yaosu.circulation.header_words import header_labels
from yaosu.circulation.model import CODES_MAX
from yaosu.circulation.pages_bills import actions_of, head_of
from yaosu.circulation.pages_common import BillId, missing, show, station_key
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

router = APIRouter()

SHOWN_MAX = 200
"""Codes listed on the page of a void."""

REASONS = ("correct_reason", "void_reason")
"""Header fields that belong to one revision only."""


async def _correctable(request: Request, conn: Connection, subject: Subject, bill_id: int) -> Record:
    """The head of a bill that the subject may correct or void; refused (`forbidden`, `not_found`) otherwise."""
    row = await head_of(request, conn, subject, bill_id)
    subject.require("bill.correct")
    if not actions_of(subject, row)["may_correct"]:
        raise missing(request, "可更正的单据", "Bill to correct")
    return row


@router.get("/bills/{bill_id}/correct")
async def correct(request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Response:
    """The scan station with what was sent, to be changed and sent as the next revision (R-X3)."""
    row = await _correctable(request, conn, subject, bill_id)
    if await conn.fetchval(store_pages.HAS_PARTS, bill_id, row["drug_ids"]):
        # a list of codes cannot say how many tablets, or which goods without codes
        return await pages_amounts.page(request, conn, subject, row)
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    lines = await store.bill_lines(conn, sight, bill_id, None, CODES_MAX) or []
    notes = await store.bill_notes(conn, sight, bill_id, -1, CODES_MAX) or []
    seen = {r["code"] for r in lines}
    refused = [r["code"] or r["raw"] for r in notes if r["severity"] == "R" and r["code"] not in seen]
    view = views.bill_view(registry, row, lang)
    rows = await store.revisions(conn, sight, row["owner"], row["bill_no"])
    notice = ""
    if row["notice_bill"]:
        head = await store.bill(conn, sight, row["notice_bill"])
        notice = head["bill_no"] if head is not None else ""
    revision = max(r["revision"] for r in rows) + 1
    context = {
        "bill": view,
        "kind": submittable()[row["type"]],
        "revision": revision,
        "notice": notice,
        "codes": [r["code"] for r in lines] + refused,
        "happened": row["happened_at"].astimezone(CHINA).strftime("%Y-%m-%dT%H:%M:%S"),
        "fields": [(k, v) for k, v in view["header"].items() if k not in REASONS],
        "labels": header_labels(lang),
        "key": station_key(subject, "correct", bill_id, revision),
    }
    return show(request, "correct.html", context)


async def _void_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    row: Record,
    reason: str = "",
    error: YaosuError | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    movement = service.void_of(dict(row), reason, b"")
    shown = await service.preview(state(request).pool, registry, batches_of(request), subject, movement)
    lines = await store.bill_lines(conn, visible(subject), row["id"], None, SHOWN_MAX) or []
    effects: dict[str, Any] = views.preview_view(shown, lang)
    fates = {e["code"]: e for e in effects["effects"] if e["code"]}
    context = {
        "bill": views.bill_view(registry, row, lang),
        "lines": [views.line_view(registry, r, lang) for r in lines],
        "effects": effects,
        "fates": fates,
        "uncoded": [
            {**e, "product": views.product_name(registry, e["drug_id"])}
            for e in effects["effects"]
            if not e["code"]
        ],
        "reason": reason,
        "shipment": submittable()[row["type"]].kind == "ship",
    }
    return show(request, "void.html", context, error)


@router.get("/bills/{bill_id}/void")
async def void_page(request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Response:
    """What taking the bill back would do, or which later facts forbid it."""
    row = await _correctable(request, conn, subject, bill_id)
    return await _void_page(request, conn, subject, row)


@router.post("/bills/{bill_id}/void")
async def void(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill_id: BillId,
    reason: Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """Take a bill back (R-X3). The submission kept is the reason, not the browser's form."""
    row = await head_of(request, conn, subject, bill_id)
    try:
        if len(reason.strip()) < 2:
            told = "请填写作废原因" if language(request) == "zh" else "say why"
            raise YaosuError("field_invalid", {"field": "reason", "reason": told})
        body = orjson.dumps({"void": bill_id, "reason": reason.strip()})
        pool, committer = state(request).pool, committer_of(request)
        result = await service.void(
            pool, committer, registry_of(request), subject, bill_id, reason.strip(), body
        )
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        if not actions_of(subject, row)["may_correct"]:
            raise
        return await _void_page(request, conn, subject, row, reason, error)
    return see_other(f"/bills/{result.bill_id or bill_id}")
