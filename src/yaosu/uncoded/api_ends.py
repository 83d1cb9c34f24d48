"""Ends of uncoded goods, verification and requests for codes over the API (R-C8, R-D1)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.registry.parts import registry_of
from yaosu.uncoded import counts, ends, requests, service
from yaosu.uncoded.api_common import LotId, OrgQuery, answered, as_json, doors_of, moved
from yaosu.uncoded.examples import MOVED, REQUEST
from yaosu.uncoded.schemas import (
    AnswerIn,
    AskIn,
    CountIn,
    ReturnIn,
    SaleIn,
    SupplementIn,
    ZoneIn,
    request_view,
)

router = APIRouter()


@router.post(
    "/lots/{lot_id}/return",
    summary="Return goods of a lot",
    description="无码退货 (22): back to the supplier, who is told.",
    responses=answered(MOVED, "uncoded_not_enough", "uncoded_invalid", "uncoded_number_used", "not_found"),
)
async def give_back(request: Request, body: ReturnIn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """Returned (R-D1)."""
    doors = doors_of(request)
    result = await ends.give_back(doors, subject, lot_id, body.qty, body.reason_text, bill_no=body.bill_no)
    return moved(request, result)


@router.post(
    "/lots/{lot_id}/sale",
    summary="Sell or settle goods of a lot",
    description="无码销售/结算 (23), with the number of the settlement or receipt and the reason for going without a "
    "scan. Refused from the dates of the region on, with date and source.",
    responses=answered(
        MOVED,
        "uncoded_settlement_blocked",
        "uncoded_not_enough",
        "uncoded_invalid",
        "uncoded_number_used",
        "not_found",
    ),
)
async def sell(request: Request, body: SaleIn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """Sold or settled (R-C8, R-A6)."""
    doors = doors_of(request)
    result = await ends.sell(
        doors, subject, lot_id, body.qty, body.receipt_no, body.reason, bill_no=body.bill_no, note=body.note
    )
    return moved(request, result)


@router.post(
    "/lots/{lot_id}/loss",
    summary="Write off goods of a lot",
    description="无码损耗 (25), with the reason.",
    responses=answered(MOVED, "uncoded_not_enough", "uncoded_invalid", "uncoded_number_used", "not_found"),
)
async def lose(request: Request, body: ReturnIn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """Lost."""
    doors = doors_of(request)
    result = await ends.lose(doors, subject, lot_id, body.qty, body.reason_text, bill_no=body.bill_no)
    return moved(request, result)


@router.post(
    "/lots/{lot_id}/supplement",
    summary="Scan in supplied codes",
    description="补码入库 (24): codes that the supplier announced by a shipping bill. n packages leave the uncoded "
    "account as n coded units; a verdict for every code.",
    responses=answered(MOVED, "uncoded_not_enough", "uncoded_invalid", "uncoded_number_used", "not_found"),
)
async def supplement(
    request: Request, body: SupplementIn, subject: CurrentSubject, lot_id: LotId
) -> Response:
    """Quantity becomes units (R-D1)."""
    result = await ends.supplement(
        doors_of(request),
        subject,
        lot_id,
        body.codes,
        notice=body.notice,
        bill_no=body.bill_no,
        body=await request.body(),
    )
    return moved(request, result)


@router.post(
    "/lots/{lot_id}/zone",
    summary="Move a lot within the separate zone",
    description="Says where the goods stand now.",
    responses=answered({"zone": "无码专区 B-02"}, "uncoded_invalid", "not_found"),
)
async def move(conn: Conn, body: ZoneIn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """Another shelf."""
    await service.move(conn, subject, lot_id, body.zone)
    return as_json({"zone": body.zone})


@router.post(
    "/lots/{lot_id}/counts",
    status_code=201,
    summary="Verify a lot",
    description="A physical count by two people. A difference must be explained; a shortage is posted as loss (25), a "
    "surplus is recorded and not booked.",
    responses=answered({"id": 9, "bill_no": "WH-20260112-0001"}, "uncoded_invalid", "not_found", status=201),
)
async def count(request: Request, body: CountIn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """Counted (R-D1)."""
    made, bill_no = await counts.verify(
        doors_of(request), subject, lot_id, body.counted, body.counter, body.checker, body.explanation
    )
    return as_json({"id": made, "bill_no": bill_no or None}, 201)


@router.get(
    "/counts",
    summary="Verifications",
    description="Of a lot or of the whole account, newest first, at most 200.",
    responses=answered(
        {
            "items": [
                {
                    "id": 9,
                    "lot_id": 5,
                    "booked": 120,
                    "counted": 118,
                    "counter": "盘点员甲",
                    "checker": "复核员乙",
                    "explanation": "破损 2 盒",
                    "bill_no": "WH-20260112-0001",
                    "made_at": "2026-01-12T10:00:00+08:00",
                }
            ]
        }
    ),
)
async def list_counts(
    conn: Conn,
    subject: CurrentSubject,
    lot_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    org: OrgQuery = None,
) -> Response:
    """History of verifications."""
    found = await counts.listed(conn, subject, org, lot_id)
    return as_json({"items": [dict(r) for r in found]})


@router.get(
    "/requests",
    summary="Requests for codes",
    description="`made`: those the organisation made; `asked`: those it was asked as supplier. Newest first.",
    responses=answered({"items": [REQUEST], "next": None}),
)
async def list_requests(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    side: Literal["made", "asked"] = "made",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Both sides of 补码."""
    found = await requests.listed(conn, subject, side, before=before, limit=limit)
    registry = registry_of(request)
    return as_json(
        {
            "items": [request_view(registry, r) for r in found],
            "next": str(found[-1]["id"]) if len(found) == limit else None,
        }
    )


@router.post(
    "/requests",
    status_code=201,
    summary="Ask the supplier for codes",
    description="For goods of a lot; the supplier is told.",
    responses=answered(
        {"id": 2},
        "uncoded_not_enough",
        "uncoded_supplier_elsewhere",
        "uncoded_exempt",
        "not_found",
        status=201,
    ),
)
async def ask(request: Request, conn: Conn, body: AskIn, subject: CurrentSubject) -> Response:
    """Ask (R-D1)."""
    made = await requests.ask(conn, registry_of(request), subject, body.lot_id, body.qty, body.reason)
    return as_json({"id": made}, 201)


@router.post(
    "/requests/{request_id}/answer",
    summary="Answer a request for codes",
    description="As the supplier: codes for the goods in place or coded goods in exchange, by a shipping bill; or "
    "declined with the reason.",
    responses=answered({"state": "in_place"}, "uncoded_request_closed", "uncoded_invalid", "not_found"),
)
async def answer(
    request: Request, conn: Conn, body: AnswerIn, subject: CurrentSubject, request_id: LotId
) -> Response:
    """The supplier's word."""
    registry = registry_of(request)
    await requests.answer(conn, registry, subject, request_id, body.kind, body.text, body.ship_bill_no)
    return as_json({"state": body.kind})


@router.post(
    "/requests/{request_id}/withdraw",
    summary="Withdraw a request for codes",
    description="While it is open.",
    responses=answered({"state": "withdrawn"}, "uncoded_request_closed", "not_found"),
)
async def withdraw(conn: Conn, subject: CurrentSubject, request_id: LotId) -> Response:
    """Taken back."""
    await requests.withdraw(conn, subject, request_id)
    return as_json({"state": "withdrawn"})
