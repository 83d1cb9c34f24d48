"""Movements and bills over the API."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from yaosu.access.openapi import problems
from yaosu.access.visibility import note_reads, visible
from yaosu.circulation import api_acting, api_counts, api_partners, service, tasks, views
from yaosu.circulation import store_read as store
from yaosu.circulation.api_common import BillId, Cursor, Limit, OrgQuery, answered, as_json, not_found, zoned
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.circulation.schemas import (
    CheckIn,
    LargeMovementIn,
    MovementIn,
    VoidIn,
)
from yaosu.circulation.station import check_answer
from yaosu.circulation.write import unpack_body
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.registry.parts import registry_of

first = APIRouter(tags=["circulation"])
"""What most requests ask for; the application tries it before everything else."""
router = APIRouter(tags=["circulation"])
router.include_router(api_partners.router)
router.include_router(api_counts.router)
router.include_router(api_acting.router)

_RESULT_EXAMPLE = {
    "bill_id": 4711,
    "bill_no": "XS20260930-0001",
    "revision": 1,
    "status": "partial",
    "replayed": False,
    "accepted": 1,
    "refused": 1,
    "qty": 1,
    "flags": [],
    "recorded_at": "2026-09-30T10:12:32+08:00",
    "leaf": "9f2c…",
    "checks": [],
    "kept": 0,
    "taken_back": 0,
    "results": [
        {
            "raw": "83857940000879766660",
            "code": "83857940000879766660",
            "verdict": "accepted",
            "severity": "ok",
            "message": "已受理",
            "next": "",
            "quarantined": False,
            "qty": 1,
            "drug_id": 7,
            "evidence": None,
        },
        {
            "raw": "83857940000879766661",
            "code": "83857940000879766661",
            "verdict": "already_sold",
            "severity": "refused",
            "message": "本单位已登记售出/使用",
            "next": "请查看所列单据；如为顾客退回，请办理消费者退货（116）。",
            "quarantined": False,
            "qty": 0,
            "drug_id": 7,
            "evidence": {"bill_type": 321, "happened_at": "2026-09-29T17:20:11+08:00", "bill_no": "LS-88"},
        },
    ],
}


@first.post(
    "/movements",
    summary="Submit a movement",
    description="Ships, receives, sells, uses, returns, destroys …: every bill type. Answers after the commit with a "
    "verdict for every code. Repeating the same number and content is safe and gives the same answer; "
    "`status` is `accepted`, `partial` or `refused`. HTTP 200 in all three: nothing is refused silently.",
    responses=answered(
        _RESULT_EXAMPLE, "bill_conflict", "revision_gap", "later_fact", "too_busy", "not_your_bill"
    ),
)
async def submit(request: Request, body: MovementIn, subject: CurrentSubject) -> Response:
    """One scan, one movement (R-B6, R-C1, R-X1, R-X2)."""
    registry = registry_of(request)
    movement = body.movement(registry, subject.org_id, await request.body())
    result = await service.submit(state(request).pool, committer_of(request), registry, subject, movement)
    return as_json(result.as_json(language(request)))


@router.post(
    "/movements/jobs",
    status_code=202,
    summary="Submit a large movement as a job",
    description="The same document with up to 1,000,000 codes. Answers with a job; `GET /jobs/{id}` has state, "
    "progress and the same result (of bills past 10,000 codes the refused and remarkable codes; the others are the "
    "bill's codes).",
    responses={
        202: {
            "content": {
                "application/json": {"example": {"job": "8c1f7c1e-…", "url": "/api/v1/jobs/8c1f7c1e-…"}}
            }
        },
        **problems("unauthenticated", "forbidden", "invalid_request", "body_too_large"),
    },
)
async def submit_large(
    request: Request, body: LargeMovementIn, subject: CurrentSubject, conn: Conn
) -> Response:
    """A bill beyond one synchronous call."""
    subject.require("bill.write")
    made = await tasks.queue_bill(conn, subject, await request.body(), language(request), len(body.codes))
    return as_json({"job": made, "url": f"/api/v1/jobs/{made}"}, 202)


@router.post(
    "/movements/check",
    summary="Look at scans before submitting",
    description="What a submission would say of these scans now; changes nothing. For scan stations, scan by scan.",
    responses=answered({"results": [_RESULT_EXAMPLE["results"][0]], "tally": []}, "too_many_codes"),  # type: ignore[index]
)
async def check(request: Request, body: CheckIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The scan station's question (R-X1)."""
    answer = await check_answer(
        conn, registry_of(request), batches_of(request), subject, body, language(request)
    )
    return as_json(answer)


@router.post(
    "/movements/preview",
    summary="What a correction or void would do",
    description="Takes the next revision of a bill (or `void`: true in the header-only form) and answers what would be "
    "kept because it moved on since, taken back, added and removed, with the verdict of every code; in `effects` what "
    "becomes of the first 200 codes that are taken back and not moved anew: status `before` and `after`, preparation "
    "`units` that come back into an opened box, and what it then holds (`left`, null: it is a closed box again); or, "
    "in `blocked`, the later facts that forbid it. Changes nothing (R-X3).",
    responses=answered(
        {
            "possible": True,
            "kept": [{"code": "83857940000879766660", "later_bill": 4712, "qty": 200}],
            "taken_back": ["83857940000879766661"],
            "added": [{"code": "83857940000879766662", "verdict": "accepted"}],
            "removed": ["83857930000879766660"],
            "effects": [
                {
                    "code": "83857930000879766660",
                    "drug_id": None,
                    "batch_no": "",
                    "qty": 1,
                    "before": "S",
                    "after": "D",
                    "after_name": "拆零中",
                    "units": 6,
                    "left": 6,
                }
            ],
            "blocked": None,
            "result": _RESULT_EXAMPLE,
        },
        "nothing_to_revise",
        "bill_conflict",
        "not_your_bill",
    ),
)
async def preview(
    request: Request,
    body: MovementIn,
    subject: CurrentSubject,
    void: Annotated[bool, Query(description="Preview taking the bill back instead.")] = False,
) -> Response:
    """The effects of a correction, before it is confirmed."""
    registry = registry_of(request)
    movement = body.movement(registry, subject.org_id, b"")
    if void:
        movement = replace(movement, void=True, codes=(), quantities=(), parts={})
    shown = await service.preview(state(request).pool, registry, batches_of(request), subject, movement)
    return as_json(views.preview_view(shown, language(request)))


@router.get(
    "/bills",
    summary="List bills",
    description="Newest first: own bills, and those that name you as sender, receiver, principal or carrier.",
    responses=answered({"items": [], "next": None}),
)
async def bills(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    type: Annotated[list[int] | None, Query(max_length=60)] = None,
    bill_no: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    owner: OrgQuery = None,
    partner: OrgQuery = None,
    before: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Bills newest first."""
    subject.require("bill.read")
    kinds = [t for t in type or () if 0 < t < 1000]
    rows = await store.bills(
        conn,
        visible(subject),
        before=before,
        types=kinds,
        owner=owner,
        bill_no=bill_no,
        since=zoned(since),
        until=zoned(until),
        partner=partner,
        limit=limit,
    )
    await note_reads(conn, [(subject, "bills", row["owner"]) for row in rows])
    registry, lang = registry_of(request), language(request)
    items = [views.bill_view(registry, r, lang) for r in rows]
    return as_json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


@router.get(
    "/bills/{bill_id}",
    summary="One bill",
    description="Head, all revisions of its number, the first codes, everything that was said of codes, goods without "
    "codes (`quantities`), preparation units of opened boxes (`parts`), and the codes that a correction left as an "
    "earlier revision has them (`kept`).",
    responses=answered(
        {
            "id": 4711,
            "bill_no": "XS20260930-0001",
            "revisions": [],
            "codes": [],
            "notes": [],
            "quantities": [],
            "parts": [{"code": "83857940000879766660", "drug_id": 7, "kind": "dispense", "qty": 6}],
            "kept": [{"code": "83857940000879766661", "from_bill": 4709}],
        },
        "not_found",
    ),
)
async def bill(request: Request, bill_id: BillId, subject: CurrentSubject, conn: Conn) -> Response:
    """One bill."""
    subject.require("bill.read")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    head = await store.bill(conn, sight, bill_id)
    if head is None:
        raise not_found(request, "单据", "Bill")
    await note_reads(conn, [(subject, f"bill {bill_id}", head["owner"])])
    view = views.bill_view(registry, head, lang)
    revisions = await store.revisions(conn, sight, head["owner"], head["bill_no"])
    view["revisions"] = [views.bill_view(registry, r, lang) for r in revisions]
    lines = await store.bill_lines(conn, sight, bill_id, None, 200) or []
    view["codes"] = [views.line_view(registry, r, lang) for r in lines]
    notes = await store.bill_notes(conn, sight, bill_id, -1, 500) or []
    view["notes"] = [views.note_view(r, lang) for r in notes]
    quantities = await store.bill_quantities(conn, sight, bill_id) or []
    view["quantities"] = [views.quantity_view(registry, r) for r in quantities]
    parts, kept = await store.bill_parts(conn, sight, bill_id, 500) or ([], [])
    view["parts"], view["kept"] = [dict(r) for r in parts], [dict(r) for r in kept]
    return as_json(view)


@router.get(
    "/bills/{bill_id}/codes",
    summary="Codes of a bill",
    responses=answered({"items": [], "next": None}, "not_found"),
)
async def bill_codes(
    request: Request,
    bill_id: BillId,
    subject: CurrentSubject,
    conn: Conn,
    after: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    limit: Limit = 200,
) -> Response:
    """Accepted codes by page."""
    subject.require("bill.read")
    head = await store.bill(conn, visible(subject), bill_id)
    rows = await store.bill_lines(conn, visible(subject), bill_id, after, limit)
    if head is None or rows is None:
        raise not_found(request, "单据", "Bill")
    await note_reads(conn, [(subject, f"bill {bill_id} codes", head["owner"])])
    registry, lang = registry_of(request), language(request)
    items = [views.line_view(registry, r, lang) for r in rows]
    return as_json({"items": items, "next": rows[-1]["code"] if len(rows) == limit else None})


@router.get(
    "/bills/{bill_id}/submission",
    summary="The submission as received",
    description="Byte for byte what was sent; only for owner and submitter.",
    responses={
        200: {"content": {"application/octet-stream": {}}},
        **problems("unauthenticated", "not_found"),
    },
)
async def bill_submission(request: Request, bill_id: BillId, subject: CurrentSubject, conn: Conn) -> Response:
    """What was received (D8)."""
    subject.require("bill.read")
    found = await store.bill_body(conn, visible(subject), bill_id)
    if found is None:
        raise not_found(request, "单据", "Bill")
    headers = {"content-disposition": f'attachment; filename="submission-{bill_id}.bin"'}
    return Response(unpack_body(*found), media_type="application/octet-stream", headers=headers)


@router.post(
    "/bills/{bill_id}/void",
    summary="Void a bill",
    description="Takes it back with reversing entries. Refused when a unit of it has moved on since.",
    responses=answered(
        {**_RESULT_EXAMPLE, "status": "void", "results": []}, "not_found", "later_fact", "bill_is_void"
    ),
)
async def void(request: Request, bill_id: BillId, body: VoidIn, subject: CurrentSubject) -> Response:
    """Void a bill (R-X3)."""
    result = await service.void(
        state(request).pool,
        committer_of(request),
        registry_of(request),
        subject,
        bill_id,
        body.reason,
        await request.body(),
    )
    return as_json(result.as_json(language(request)))
