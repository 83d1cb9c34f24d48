"""Periodic checks, findings, the balance sheet and stock counts over the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.quality import balance, checks, counts, views
from yaosu.quality.answers import Before, Limit, OrgId, RecordId, answer, answered, page
from yaosu.quality.counts import Quantity
from yaosu.quality.schemas import AssignIn, CountIn, PlanIn, SaidIn
from yaosu.registry.parts import registry_of

router = APIRouter()

_FIGURE: dict[str, Any] = {
    "rule": "matching_notices",
    "area": "matching",
    "name": "超期未收货的上游出库信息",
    "held": False,
    "value": 2,
    "of": 0,
    "qty": 40,
    "limit": 0,
    "unit": "count",
    "days": 3,
    "source": "…",
    "links": [{"text": "2026-09-30", "href": "/receive/88"}],
}
_CHECK = {
    "id": 5,
    "org_id": 3,
    "origin": "clock",
    "by": None,
    "made_at": "2026-10-05T02:00:00+08:00",
    "found": 1,
    "figures": [_FIGURE],
}
_FINDING = {
    "id": 9,
    "org_id": 3,
    "rule": "matching_notices",
    "area": "matching",
    "name": "超期未收货的上游出库信息",
    "state": "open",
    "found_at": "2026-10-05T02:00:00+08:00",
    "due_at": "2026-10-08T02:00:00+08:00",
    "owner": {"id": 12, "name": "王小明"},
    "params": {"value": 2, "limit": 0},
    "evidence": [{"text": "2026-09-30", "href": "/receive/88"}],
    "answer": "",
    "answered_at": None,
    "closed_at": None,
}
_COUNT = {
    "id": 4,
    "org_id": 3,
    "made_at": "2026-10-05T18:00:00+08:00",
    "mode": "codes",
    "drug_id": None,
    "batch_no": None,
    "booked": 120,
    "counted": 119,
    "differing": 1,
    "unexplained": 1,
    "by": "王小明",
}


@router.get(
    "/plan",
    summary="Show the plan of periodic checks",
    description="How often the own organisation is checked and who answers for it; null without one (R-E2).",
    responses=answered(
        {"every": "week", "account_id": 12, "active": True, "next_at": "2026-10-12T02:00:00+08:00"}
    ),
)
async def show_plan(conn: Conn, subject: CurrentSubject) -> Response:
    """The own plan."""
    found = await checks.plan(conn, subject)
    return answer(dict(found) if found is not None else None)


@router.put(
    "/plan",
    status_code=204,
    response_class=Response,
    summary="Set the plan of periodic checks",
    description="Checks run by themselves every day, week or month at two in the morning; "
    "findings go to the account named.",
    responses=problems(
        "unauthenticated", "forbidden", "invalid_request", "quality_every_unknown", "quality_no_account"
    ),
)
async def set_plan(body: PlanIn, conn: Conn, subject: CurrentSubject) -> Response:
    """Set the own plan."""
    await checks.set_plan(conn, subject, body.every, body.account_id, body.active)
    return Response(status_code=204)


@router.post(
    "/checks",
    status_code=201,
    summary="Run a periodic check now",
    description="Measures every rule of the list quality_rule for the own organisation. What does not hold becomes "
    "or updates "
    "a finding; what holds again closes its finding.",
    responses=answered(_CHECK, status=201),
)
async def run_check(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Check now."""
    number = await checks.run_now(conn, registry_of(request), subject)
    return answer(views.check(await checks.get(conn, subject, number), language(request)), 201)


@router.get(
    "/checks",
    summary="List periodic checks",
    description="Newest first; an office sees those of its region.",
    responses=answered({"items": [_CHECK], "next": None}),
)
async def list_checks(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    org_id: OrgId = None,
    before: Before = None,
    limit: Limit = 30,
) -> Response:
    """Checks made."""
    rows = await checks.listed(conn, subject, org_id, before, limit)
    return page([views.check(row, language(request)) for row in rows], limit)


@router.get(
    "/checks/{check_id}",
    summary="Show a periodic check",
    description="Every rule with what was measured, its limit, its legal source and links to the records.",
    responses=answered(_CHECK, "not_found"),
)
async def show_check(request: Request, check_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One check."""
    return answer(views.check(await checks.get(conn, subject, check_id), language(request)))


@router.get(
    "/findings",
    summary="List findings of periodic checks",
    description="Tasks with owner and deadline; by default those not closed.",
    responses=answered({"items": [_FINDING], "next": None}),
)
async def list_findings(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Annotated[Literal["open", "answered", "closed"] | None, Query()] = None,
    org_id: OrgId = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Findings."""
    states = (state,) if state else ("open", "answered")
    rows = await checks.findings(conn, subject, states, org_id, before, limit)
    return page([views.finding(registry_of(request), row, language(request)) for row in rows], limit)


@router.get(
    "/findings/{finding_id}",
    summary="Show a finding with its history",
    description="The task, its evidence, and every step since it was found.",
    responses=answered(
        {
            **_FINDING,
            "events": [{"at": "2026-10-05T02:00:00+08:00", "kind": "found", "by": None, "text": "2"}],
        },
        "not_found",
    ),
)
async def show_finding(
    request: Request, finding_id: RecordId, conn: Conn, subject: CurrentSubject
) -> Response:
    """One finding."""
    row, events = await checks.finding(conn, subject, finding_id)
    body = views.finding(registry_of(request), row, language(request))
    return answer({**body, "events": [views.event(one) for one in events]})


async def _done(request: Request, conn: Conn, subject: CurrentSubject, number: int) -> Response:
    row, events = await checks.finding(conn, subject, number)
    body = views.finding(registry_of(request), row, language(request))
    return answer({**body, "events": [views.event(one) for one in events]})


@router.post(
    "/findings/{finding_id}/answer",
    summary="Answer a finding",
    description="By its owner or whoever manages quality: what was found and done. "
    "The next check confirms it or opens it again.",
    responses=answered(_FINDING, "not_found", "quality_finding_closed", "quality_answer_empty"),
)
async def answer_finding(
    request: Request, finding_id: RecordId, body: SaidIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Answer."""
    await checks.answer(conn, subject, finding_id, body.text)
    return await _done(request, conn, subject, finding_id)


@router.post(
    "/findings/{finding_id}/close",
    summary="Close an answered finding",
    description="With a reason, without waiting for the next check.",
    responses=answered(_FINDING, "not_found", "quality_not_answered", "quality_finding_closed"),
)
async def close_finding(
    request: Request, finding_id: RecordId, body: SaidIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Close."""
    await checks.close(conn, subject, finding_id, body.text)
    return await _done(request, conn, subject, finding_id)


@router.post(
    "/findings/{finding_id}/assign",
    summary="Give a finding to a colleague",
    description="With another deadline where one is named.",
    responses=answered(_FINDING, "not_found", "quality_no_account", "quality_finding_closed"),
)
async def assign_finding(
    request: Request, finding_id: RecordId, body: AssignIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Assign."""
    await checks.assign(conn, subject, finding_id, body.account_id, body.due_at)
    return await _done(request, conn, subject, finding_id)


@router.get(
    "/balance",
    summary="Compare books, entries and packages",
    description="opening + in − out = closing for each batch, beside the live balance and the packages on the shelf; "
    "each "
    "difference is explained down to the bill or the package.",
    responses=answered(
        {
            "items": [
                {
                    "drug_id": 7,
                    "product": "复方测试胶囊 0.3g",
                    "batch_no": "20260101",
                    "opening": 0,
                    "in": 20,
                    "out": 5,
                    "closing": 15,
                    "balance": 15,
                    "shelf": 15,
                    "units": 15,
                    "ties": True,
                    "reasons": [],
                }
            ],
            "ties": True,
        },
        "not_found",
        "ledger_time_range",
    ),
)
async def show_balance(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    start: Annotated[AwareDatetime, Query(alias="from", examples=["2026-09-01T00:00:00+08:00"])],
    end: Annotated[AwareDatetime, Query(alias="to", examples=["2026-10-01T00:00:00+08:00"])],
    drug_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    batch_no: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    org_id: OrgId = None,
) -> Response:
    """The sheet of a period."""
    lines = await balance.sheet(conn, subject, org_id or subject.org, start, end, drug_id, batch_no)
    items = [views.balance_line(registry_of(request), line, language(request)) for line in lines]
    return answer({"items": items, "ties": all(line.ties for line in lines)})


@router.post(
    "/counts",
    status_code=201,
    summary="Compare a stock count with the books",
    description="`codes`: all codes on the shelf (a case counts for what is in it), of all stock or of one product "
    "or batch. "
    "`quantities`: smallest packages by batch. Every difference comes with the bill that explains it or the code whose "
    "scan is missing. Nothing moves: surplus and shortage are posted by bills of their own.",
    responses=answered(
        {**_COUNT, "lines": [], "details": [], "inside": 0, "omitted": 0},
        "quality_count_empty",
        "quality_count_too_large",
        "quality_count_twice",
        "quality_batch_unknown",
        "too_many_codes",
        status=201,
    ),
)
async def add_count(request: Request, body: CountIn, conn: Conn, subject: CurrentSubject) -> Response:
    """A stock count."""
    registry = registry_of(request)
    if body.quantities:
        given = [Quantity(q.drug_id, q.batch_no, q.qty) for q in body.quantities]
        number = await counts.by_quantities(conn, registry, subject, given)
    else:
        number = await counts.by_codes(conn, registry, subject, body.codes, body.drug_id, body.batch_no)
    return answer(views.count(await counts.get(conn, subject, number), language(request)), 201)


@router.get(
    "/counts",
    summary="List shelf counts compared with the books",
    description="Newest first.",
    responses=answered({"items": [_COUNT], "next": None}),
)
async def list_counts(
    conn: Conn, subject: CurrentSubject, org_id: OrgId = None, before: Before = None, limit: Limit = 50
) -> Response:
    """Stock counts."""
    rows = await counts.listed(conn, subject, before, org_id, limit)
    return page([views.count_head(row) for row in rows], limit)


@router.get(
    "/counts/{count_id}",
    summary="Show a shelf count with its differences",
    description="Per batch what the books say and what was counted, and every difference with its explanation.",
    responses=answered({**_COUNT, "lines": [], "details": [], "inside": 0, "omitted": 0}, "not_found"),
)
async def show_count(request: Request, count_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One stock count."""
    return answer(views.count(await counts.get(conn, subject, count_id), language(request)))
