"""Notices, receipt checks, quarantine and today's duties over the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from yaosu.access.visibility import visible
from yaosu.circulation import service, views
from yaosu.circulation import store_read as store
from yaosu.circulation.api_common import BillId, Cursor, Limit, answered, as_json, not_found
from yaosu.circulation.schemas import (
    AnswerIn,
    DismissIn,
)
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["circulation"])


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
        raise not_found(request, "发货通知", "Notice")
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
        raise not_found(request, "核对结果", "Receipt check")
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
        raise not_found(request, "待处理记录", "Quarantine entry")
    return as_json(dict(row))


@router.get(
    "/duties", summary="Today's work at a glance", responses=answered({"notices_open": 2, "quarantined": 0})
)
async def duties(subject: CurrentSubject, conn: Conn) -> Response:
    """Counts of what waits for the caller's organisation."""
    subject.require("bill.read")
    return as_json(await store.duties(conn, visible(subject)))
