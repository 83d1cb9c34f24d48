"""A holder's recall task over the API: acknowledge, count, close (R-E4)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.recall import examples, reading, tasks, views
from yaosu.recall.api_common import OrderId, Org, answered, as_json
from yaosu.recall.schemas import CountIn, ScansIn
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
_TASK = ("not_found", "recall_not_running", "recall_task_settled")
_BODY = ("body_too_large", "malformed_body")


async def _shown(
    request: Request, conn: Connection, subject: Subject, order_id: int, org: int | None
) -> Response:
    registry = registry_of(request)
    return as_json(await reading.task(conn, registry, subject, order_id, org, language(request)))


@router.get(
    "/recalls/{order_id}/task",
    summary="Own recall task",
    description="What the own organisation had at the publication, what it said, and what the ledger says: bills that "
    "returned or destroyed goods since. `org` chooses a store of the own chain.",
    responses=answered(examples.OWN_TASK, "not_found"),
)
async def task(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: Org = None
) -> Response:
    """The own task."""
    return await _shown(request, conn, subject, order_id, org)


@router.post(
    "/recalls/{order_id}/task/acknowledge",
    summary="Acknowledge a recall",
    description="签收: the time is kept and measured against the recall's clock. A second time changes nothing.",
    responses=answered(examples.OWN_TASK, *_TASK),
)
async def acknowledge(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: Org = None
) -> Response:
    """签收."""
    await tasks.acknowledge(conn, subject, order_id, org)
    return await _shown(request, conn, subject, order_id, org)


@router.post(
    "/recalls/{order_id}/task/count",
    summary="Report a recall count",
    description="What was found by hand, or the sum of the scanned codes; the ledger's count of the same moment is "
    "kept beside it. It may be repeated until the task is closed.",
    responses=answered(examples.OWN_TASK, *_TASK, *_BODY, "recall_not_counted"),
)
async def count(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: CountIn, conn: Conn, org: Org = None
) -> Response:
    """清点."""
    await tasks.count(
        conn,
        subject,
        order_id,
        found=body.counted,
        sealed=body.sealed,
        missing=body.missing,
        note=body.note,
        org=org,
    )
    return await _shown(request, conn, subject, order_id, org)


async def _scans(
    request: Request,
    conn: Connection,
    subject: Subject,
    order_id: int,
    body: ScansIn,
    org: int | None,
    keep: bool,
) -> Response:
    found, total = await tasks.scan(conn, registry_of(request), subject, order_id, body.codes, org, keep=keep)
    lang = language(request)
    results = [views.scan_view(one, lang) for one in found]
    refused = sum(r["severity"] == "refused" for r in results)
    status = "refused" if refused == len(results) else "partial" if refused else "accepted"
    return as_json(
        {
            "bill_no": body.bill_no,
            "bill_id": None,
            "url": f"/recalls/{order_id}/task" + (f"?org={org}" if org else ""),
            "status": status,
            "accepted": len(results) - refused,
            "refused": refused,
            "total": total,
            "results": results,
        }
    )


@router.post(
    "/recalls/{order_id}/task/scans/check",
    summary="Look at scans of a recall count",
    description="A verdict per scan, nothing is kept: recalled and in our books, recalled and in somebody else's, or "
    "not recalled.",
    responses=answered(examples.SCANS, *_TASK, *_BODY, "trace_too_many_codes"),
)
async def check_scans(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: ScansIn, conn: Conn, org: Org = None
) -> Response:
    """What each scan is."""
    return await _scans(request, conn, subject, order_id, body, org, False)


@router.post(
    "/recalls/{order_id}/task/scans",
    summary="Count recalled goods by scanning",
    description="Keeps the recalled codes of the own books; a package counts with everything recalled inside it, once. "
    "`total` is the sum so far; `POST …/count` without `counted` reports it.",
    responses=answered(examples.SCANS, *_TASK, *_BODY, "trace_too_many_codes"),
)
async def keep_scans(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: ScansIn, conn: Conn, org: Org = None
) -> Response:
    """Count by scanning."""
    return await _scans(request, conn, subject, order_id, body, org, True)


@router.delete(
    "/recalls/{order_id}/task/scans",
    summary="Begin a recall count anew",
    description="Forgets the scans of the count.",
    responses=answered(examples.OWN_TASK, *_TASK),
)
async def drop_scans(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: Org = None
) -> Response:
    """Forget the scans."""
    await tasks.start_over(conn, subject, order_id, org)
    return await _shown(request, conn, subject, order_id, org)


@router.post(
    "/recalls/{order_id}/task/close",
    summary="Close a recall task",
    description="办结: what the books still hold must be explained by what is sealed or missing; otherwise refused "
    "with the numbers.",
    responses=answered(examples.OWN_TASK, *_TASK, "recall_not_counted", "recall_task_unsettled"),
)
async def close(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: Org = None
) -> Response:
    """办结."""
    await tasks.close(conn, subject, order_id, org)
    return await _shown(request, conn, subject, order_id, org)
