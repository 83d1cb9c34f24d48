"""Recall orders over the API: draft, approve, publish, follow, report, end (R-E4, R-X7)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.recall import api_locks, api_public, api_tasks, examples, reading, reports, service, views
from yaosu.recall.api_common import (
    Before,
    Limit,
    OrderId,
    Org,
    PaperAs,
    answered,
    as_file,
    as_json,
    printed,
)
from yaosu.recall.schemas import FinishIn, OrderIn, ReasonIn, ReportIn
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["recall"])
router.include_router(api_tasks.router)
router.include_router(api_locks.router)
router.include_router(api_public.router)

StateName = Literal["draft", "approved", "published", "finished", "cancelled"]
_CHANGE = (
    "not_found",
    "recall_not_yours",
    "recall_wrong_state",
    "recall_changed",
    "body_too_large",
    "malformed_body",
)


@router.get(
    "/recalls",
    summary="Recall orders",
    description="Orders the caller runs, is asked by, or supervises, newest first. `running=true`: those in force, "
    "to be asked when receiving and shipping (standards §5.10); the scan itself is refused all the same.",
    responses=answered({"items": [examples.SHORT], "next": None}),
)
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: StateName | None = None,
    running: bool = False,
    simulated: bool | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Orders, newest first."""
    states = ["published"] if running else [state] if state else None
    found = await service.listed(
        conn,
        subject,
        states=states,
        simulated=simulated,
        before=before or service.NEWEST,
        limit=limit + 1,
    )
    page = found[:limit]
    items = await reading.short(conn, registry_of(request), page, language(request))
    return as_json({"items": items, "next": page[-1].id if len(found) > limit else None})


@router.post(
    "/recalls",
    status_code=201,
    summary="Draft a recall",
    description="By the product's MAH or maker, or by an office in charge of it (`kind: ordered`). Nothing is stopped "
    "until it is approved by a second account, or the office, and published.",
    responses=answered(
        examples.ORDER, "recall_not_yours", "not_found", "body_too_large", "malformed_body", status=201
    ),
)
async def draft(request: Request, subject: CurrentSubject, body: OrderIn, conn: Conn) -> Response:
    """A new order in state draft."""
    registry = registry_of(request)
    made = await service.draft(conn, registry, subject, body.draft(registry))
    return as_json(await reading.order(conn, registry, subject, made, language(request)), 201)


@router.get(
    "/recalls/{order_id}",
    summary="One recall",
    description="The order; for who runs it figures reckoned from the ledger's bills since the publication, the "
    "measured times (located, told, first refused scan, acknowledgements) and reports; for a holder its own task.",
    responses=answered(examples.ORDER, "not_found"),
)
async def one(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """One order."""
    return as_json(await reading.order(conn, registry_of(request), subject, order_id, language(request)))


@router.put(
    "/recalls/{order_id}",
    summary="Change a draft",
    description="Replaces the draft; whoever changes it counts as its drafter from then on. `version` refuses a change "
    "of something that somebody else changed meanwhile.",
    responses=answered(examples.ORDER, *_CHANGE),
)
async def revise(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: OrderIn, conn: Conn
) -> Response:
    """Change a draft."""
    registry = registry_of(request)
    await service.revise(conn, registry, subject, order_id, body.draft(registry), body.version)
    return as_json(await reading.order(conn, registry, subject, order_id, language(request)))


@router.post(
    "/recalls/{order_id}/approve",
    summary="Approve a recall",
    description="By a second account of the product's firm; an ordered recall by the office in charge. Not by keys.",
    responses=answered(examples.ORDER, *_CHANGE[:4], "recall_second_person", "recall_ordered_by_office"),
)
async def approve(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """Approve a draft."""
    registry = registry_of(request)
    await service.approve(conn, registry, subject, order_id)
    return as_json(await reading.order(conn, registry, subject, order_id, language(request)))


@router.post(
    "/recalls/{order_id}/publish",
    summary="Publish a recall",
    description="In one transaction the stop takes hold, every holder is found in the ledger, gets a task and is told. "
    "From the commit on every scan of an affected unit is refused with the recall named. A drill stops nothing.",
    responses=answered(examples.ORDER, *_CHANGE[:4], "stops_too_many_codes"),
)
async def publish(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """Publish an approved order."""
    registry = registry_of(request)
    await service.publish(conn, registry, subject, order_id)
    return as_json(await reading.order(conn, registry, subject, order_id, language(request)))


@router.post(
    "/recalls/{order_id}/finish",
    summary="Finish a recall",
    description="Ends it; with holders not through or goods outstanding a reason is needed. The stop stays in force: "
    "recalled goods do not come back into trade. Without a reason `{}`.",
    responses=answered(examples.ORDER, *_CHANGE, "recall_order_open"),
)
async def finish(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: FinishIn, conn: Conn
) -> Response:
    """End a recall."""
    registry = registry_of(request)
    await service.finish(conn, registry, subject, order_id, body.reason)
    return as_json(await reading.order(conn, registry, subject, order_id, language(request)))


@router.post(
    "/recalls/{order_id}/cancel",
    summary="Cancel a recall",
    description="Withdraws it; the stop is lifted at once and every holder is told.",
    responses=answered(examples.ORDER, *_CHANGE),
)
async def cancel(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: ReasonIn, conn: Conn
) -> Response:
    """Cancel a recall."""
    registry = registry_of(request)
    await service.cancel(conn, registry, subject, order_id, body.reason)
    return as_json(await reading.order(conn, registry, subject, order_id, language(request)))


@router.get(
    "/recalls/{order_id}/holders",
    summary="Holders of recalled goods",
    description="Every holder the caller may see, with what it had at the publication, what it says and what the "
    "ledger says since. `cursor` is the position to go on from. A drill names holders once they have answered.",
    responses=answered({"items": [examples.TASK], "total": 214, "next": 50}, "not_found"),
)
async def holders(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    order_id: OrderId,
    state: Literal["open", "read", "counted", "done"] | None = None,
    region: Annotated[str, Query(pattern=r"^(\d{6})?$", description="GB/T 2260")] = "",
    cursor: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Limit = 50,
) -> Response:
    """Holders, the largest first."""
    _, items, total = await reading.holders(
        conn,
        registry_of(request),
        subject,
        order_id,
        state=state or "",
        region=region,
        start=cursor,
        limit=limit,
    )
    after = cursor + limit if cursor + limit < total else None
    return as_json({"items": items, "total": total, "next": after})


@router.post(
    "/recalls/{order_id}/reports",
    status_code=201,
    summary="File a recall report",
    description="A progress report while it runs, the summary after its end; the figures of the moment are kept with "
    "it and the office in charge is told.",
    responses=answered(
        examples.REPORT,
        "not_found",
        "recall_not_yours",
        "recall_not_running",
        "recall_report_early",
        "body_too_large",
        "malformed_body",
        status=201,
    ),
)
async def report(
    request: Request, subject: CurrentSubject, order_id: OrderId, body: ReportIn, conn: Conn
) -> Response:
    """File a report."""
    made = await reports.file(conn, registry_of(request), subject, order_id, body.kind, body.findings)
    return as_json(views.report_view(made, language(request)), 201)


@router.get(
    "/recalls/{order_id}/letter",
    response_class=Response,
    summary="Recall letter",
    description="The letter to one holder, as PDF or XLSX: its own, or of any holder for who runs the recall.",
    responses=as_file("recall_letter_unavailable"),
)
async def letter(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    order_id: OrderId,
    org: Org = None,
    format: PaperAs = "pdf",
) -> Response:
    """召回通知书."""
    paper = await reading.letter(conn, registry_of(request), subject, order_id, org)
    return await printed(paper, f"{paper.number}-召回通知书", format)


@router.get(
    "/recalls/{order_id}/summary",
    response_class=Response,
    summary="Recall summary report",
    description="Figures, measured times, every holder and the filed reports, as PDF or XLSX; a progress report while "
    "the recall runs.",
    responses=as_file(),
)
async def summary(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, format: PaperAs = "pdf"
) -> Response:
    """召回总结报告."""
    paper = await reading.summary(conn, registry_of(request), subject, order_id)
    return await printed(paper, f"{paper.number}-召回报告", format)
