"""Movements, bills, notices, receipt checks and quarantine over the API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.openapi import problems
from yaosu.access.visibility import note_reads, visible
from yaosu.circulation import delegations, service, tasks, views
from yaosu.circulation import store_read as store
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.circulation.schemas import (
    AnswerIn,
    CheckIn,
    DelegationIn,
    DismissIn,
    LargeMovementIn,
    MovementIn,
    VoidIn,
    org_id,
)
from yaosu.circulation.station import check_answer
from yaosu.circulation.write import unpack_body
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of

first = APIRouter(tags=["circulation"])
"""What most requests ask for; the application tries it before everything else."""
router = APIRouter(tags=["circulation"])

BillId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
OrgQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1)]

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


def answered(example: dict[str, Any], *codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with an example, and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object, status: int = 200) -> Response:
    """An answer written by orjson: verdict lists are long, and their shape is ours already."""
    return Response(orjson.dumps(value, default=str), status_code=status, media_type="application/json")


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
        since=_zoned(since),
        until=_zoned(until),
        partner=partner,
        limit=limit,
    )
    await note_reads(conn, [(subject, "bills", row["owner"]) for row in rows])
    registry, lang = registry_of(request), language(request)
    items = [views.bill_view(registry, r, lang) for r in rows]
    return as_json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


def _zoned(value: datetime | None) -> datetime | None:
    """A time without a zone is China time."""
    if value is None or value.tzinfo is not None:
        return value
    from yaosu.circulation.cache import CHINA

    return value.replace(tzinfo=CHINA)


def _not_found(request: Request, zh: str, en: str) -> YaosuError:
    return YaosuError("not_found", {"what": zh if language(request) == "zh" else en})


@router.get(
    "/bills/{bill_id}",
    summary="One bill",
    description="Head, all revisions of its number, the first codes and everything that was said of codes.",
    responses=answered(
        {"id": 4711, "bill_no": "XS20260930-0001", "revisions": [], "codes": [], "notes": []}, "not_found"
    ),
)
async def bill(request: Request, bill_id: BillId, subject: CurrentSubject, conn: Conn) -> Response:
    """One bill."""
    subject.require("bill.read")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    head = await store.bill(conn, sight, bill_id)
    if head is None:
        raise _not_found(request, "单据", "Bill")
    await note_reads(conn, [(subject, f"bill {bill_id}", head["owner"])])
    view = views.bill_view(registry, head, lang)
    revisions = await store.revisions(conn, sight, head["owner"], head["bill_no"])
    view["revisions"] = [views.bill_view(registry, r, lang) for r in revisions]
    lines = await store.bill_lines(conn, sight, bill_id, None, 200) or []
    view["codes"] = [views.line_view(registry, r, lang) for r in lines]
    notes = await store.bill_notes(conn, sight, bill_id, -1, 500) or []
    view["notes"] = [views.note_view(r, lang) for r in notes]
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
        raise _not_found(request, "单据", "Bill")
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
        raise _not_found(request, "单据", "Bill")
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


@router.get(
    "/notices",
    summary="List notices",
    description="What is on its way: `direction=in` to you (上游出库信息), `out` from you.",
    responses=answered({"items": [], "next": None}),
)
async def notices(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    direction: Annotated[str, Query(pattern="^(in|out)$")] = "in",
    state: Annotated[list[str] | None, Query(max_length=8)] = None,
    before: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Notices newest first (R-B1)."""
    subject.require("bill.read")
    rows = await store.notices(
        conn,
        visible(subject),
        to_org=subject.org_id if direction == "in" else None,
        from_org=subject.org_id if direction == "out" else None,
        states=[s for s in state or () if "\x00" not in s] or None,
        before=before,
        limit=limit,
    )
    registry, lang = registry_of(request), language(request)
    items = [views.notice_view(registry, r, lang) for r in rows]
    return as_json({"items": items, "next": rows[-1]["bill_id"] if len(rows) == limit else None})


@router.get(
    "/notices/{bill_id}",
    summary="One notice with its package hierarchy",
    responses=answered({"bill_id": 4711, "lines": [], "packages": [], "next": None}, "not_found"),
)
async def notice(
    request: Request,
    bill_id: BillId,
    subject: CurrentSubject,
    conn: Conn,
    after: Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Response:
    """What the seller announced, down to the last package, `limit` outermost packages a page (R-B1)."""
    subject.require("bill.read")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    found = await store.notice(conn, sight, bill_id)
    if found is None:
        raise _not_found(request, "发货通知", "Notice")
    view = views.notice_view(registry, found[0], lang)
    view["lines"] = [views.notice_line_view(registry, r) for r in found[1]]
    tree = await store.notice_tree(conn, sight, bill_id, after, limit) or []
    view["packages"] = [
        {
            "code": r["code"],
            "parent": r["parent"],
            "level": r["level"],
            "level_name": views.level_name(registry, r["drug_id"], r["level"], lang),
            "drug_id": r["drug_id"],
            "qty": r["qty"],
        }
        for r in tree
    ]
    roots = sorted(r["code"] for r in tree if r["parent"] is None)
    view["next"] = roots[-1] if len(roots) >= limit else None
    return as_json(view)


@router.get(
    "/receipt-checks",
    summary="List receipt checks",
    description="`side=seller`: what buyers found in your deliveries. `side=buyer`: your own checks.",
    responses=answered({"items": [], "next": None}),
)
async def checks(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    side: Annotated[str, Query(pattern="^(seller|buyer)$")] = "seller",
    outcome: Annotated[list[str] | None, Query(max_length=8)] = None,
    state: Annotated[str | None, Query(pattern="^(open|answered|closed)$")] = None,
    before: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Receipt checks newest first (R-B2)."""
    subject.require("bill.read")
    rows = await store.checks(
        conn,
        visible(subject),
        seller=subject.org_id if side == "seller" else None,
        buyer=subject.org_id if side == "buyer" else None,
        outcomes=[o for o in outcome or () if "\x00" not in o] or None,
        state=state,
        before=before,
        limit=limit,
    )
    items = [views.check_view(registry_of(request), r) for r in rows]
    return as_json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


@router.get(
    "/receipt-checks/{check_id}",
    summary="One receipt check",
    responses=answered({"id": 1, "outcome": "mismatch", "counts": {"matched": 9, "short": 1}}, "not_found"),
)
async def one_check(request: Request, check_id: BillId, subject: CurrentSubject, conn: Conn) -> Response:
    """One receipt check with details."""
    subject.require("bill.read")
    row = await store.check(conn, visible(subject), check_id)
    if row is None:
        raise _not_found(request, "核对结果", "Receipt check")
    return as_json(views.check_view(registry_of(request), row))


@router.post(
    "/receipt-checks/{check_id}/answer",
    summary="Answer a receipt check",
    description="The seller's answer, once.",
    responses=answered({"id": 1, "state": "answered"}, "not_found", "check_not_open"),
)
async def answer(
    request: Request, check_id: BillId, body: AnswerIn, subject: CurrentSubject, conn: Conn
) -> Response:
    """The seller answers (R-B2, R-B5)."""
    return as_json(await service.answer_check(conn, subject, check_id, body.kind, body.text))


@router.get(
    "/quarantine",
    summary="List quarantined goods",
    responses=answered({"items": [], "next": None}),
)
async def quarantine(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    is_open: Annotated[bool | None, Query(alias="open")] = True,
    before: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """What must not enter stock (R-B4)."""
    subject.require("bill.read")
    rows = await store.quarantine(conn, visible(subject), subject.org_id, is_open, before, limit)
    registry, lang = registry_of(request), language(request)
    items = [views.quarantine_view(registry, r, lang) for r in rows]
    return as_json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


@router.post(
    "/quarantine/{entry_id}/dismiss",
    summary="Close an entry of goods that never entered the books",
    description="For goods whose units belong to somebody else's books: says what became of them. Goods that are in "
    "your books leave quarantine by a movement (release 6, return 202, destruction 205).",
    responses=answered({"id": 5, "code": "83857940000879766660"}, "not_found"),
)
async def dismiss(
    request: Request, entry_id: BillId, body: DismissIn, subject: CurrentSubject, conn: Conn
) -> Response:
    """Dispose of goods that were never ours (R-B4)."""
    subject.require("quarantine.dispose")
    row = await conn.fetchrow(store.DISMISS, entry_id, subject.org, body.disposition)
    if row is None:
        raise _not_found(request, "待处理记录", "Quarantine entry")
    return as_json(dict(row))


@router.get(
    "/duties", summary="Today's work at a glance", responses=answered({"notices_open": 2, "quarantined": 0})
)
async def duties(subject: CurrentSubject, conn: Conn) -> Response:
    """Counts of what waits for the caller's organisation."""
    subject.require("bill.read")
    return as_json(await store.duties(conn, visible(subject)))


@router.get(
    "/delegations",
    summary="Who may submit for whom",
    responses=answered({"items": []}),
)
async def list_delegations(request: Request, subject: CurrentSubject, conn: Conn) -> Response:
    """Delegations given and held (R-B8)."""
    subject.require("bill.read")
    return as_json({"items": await delegations.listed(conn, registry_of(request), subject)})


@router.post("/delegations", summary="Let another organisation submit for you", responses=answered({"id": 1}))
async def delegate(request: Request, body: DelegationIn, subject: CurrentSubject, conn: Conn) -> Response:
    """Give a delegation, e.g. to a logistics firm (R-B8)."""
    agent = org_id(registry_of(request), "agent", body.agent) or 0
    made = await delegations.give(conn, registry_of(request), subject, agent, body.valid_until)
    return as_json({"id": made})


@router.delete(
    "/delegations/{delegation_id}",
    summary="Withdraw a delegation",
    responses=answered({"id": 1}, "not_found"),
)
async def withdraw(
    delegation_id: Annotated[int, Path(ge=1, le=2**31 - 1)], subject: CurrentSubject, conn: Conn
) -> Response:
    """Withdraw it with immediate effect."""
    await delegations.withdraw(conn, subject, delegation_id)
    return as_json({"id": delegation_id})
