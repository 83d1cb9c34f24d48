"""A holder's recall task as a page: acknowledge, count by hand or by scanning, send back or destroy, close (R-E4)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.recall import reading, service, tasks
from yaosu.recall.pages_common import Lines, OrderId, OrgQuery, show
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

router = APIRouter()
Count = Annotated[str, Form(max_length=15, pattern=r"^[0-9]*$")]


def _address(order_id: int, org: int | None, tail: str = "") -> str:
    return f"/recalls/{order_id}/task{tail}" + (f"?org={org}" if org else "")


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    order_id: int,
    org: int | None,
    error: YaosuError | None = None,
) -> Response:
    lang = language(request)
    task = await reading.task(conn, registry_of(request), subject, order_id, org, lang)
    names = {code: one.label(lang) for code, one in bill_types().items()}
    context = {
        "task": task,
        "order": task["order"],
        "org": org,
        "query": f"?org={org}" if org else "",
        "type_names": names,
        "may_answer": subject.can(service.RESPOND)
        and task["order"]["state"] == "published"
        and task["done_at"] is None,
        "may_move": subject.can("bill.write"),
    }
    return show(request, "task.html", context, error)


@router.get("/recalls/{order_id}/task")
async def task(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: OrgQuery = None
) -> Response:
    """The own task; an office or the recalling firm without one goes to the order."""
    try:
        return await _page(request, conn, subject, order_id, org)
    except YaosuError as error:
        if error.code != "not_found":
            raise
        await service.shown(conn, subject, order_id)
        return see_other(f"/recalls/{order_id}")


@router.get("/recalls/{order_id}/task/scan")
async def scan(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: OrgQuery = None
) -> Response:
    """Count by scanning, on the scan station."""
    subject.require(service.RESPOND)
    lang = language(request)
    task = await reading.task(conn, registry_of(request), subject, order_id, org, lang)
    context = {
        "task": task,
        "order": task["order"],
        "org": org,
        "query": f"?org={org}" if org else "",
        "key": f"recall:{order_id}:{org or ''}:{subject.org_id}:{subject.account_id}",
    }
    return show(request, "task_scan.html", context)


async def _done(
    request: Request,
    conn: Connection,
    subject: Subject,
    order_id: int,
    org: int | None,
    act: Awaitable[object],
) -> Response:
    try:
        async with conn.transaction():
            await act
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _page(request, conn, subject, order_id, org, error)
    return see_other(_address(order_id, org))


@router.post("/recalls/{order_id}/task/acknowledge")
async def acknowledge(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: OrgQuery = None
) -> Response:
    """签收."""
    act = tasks.acknowledge(conn, subject, order_id, org)
    return await _done(request, conn, subject, order_id, org, act)


@router.post("/recalls/{order_id}/task/count")
async def count(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    order_id: OrderId,
    org: OrgQuery = None,
    counted: Count = "",
    sealed: Count = "",
    missing: Count = "",
    note: Lines = "",
) -> Response:
    """清点: an empty count takes the scanned codes."""
    act = tasks.count(
        conn,
        subject,
        order_id,
        found=int(counted) if counted else None,
        sealed=int(sealed or 0),
        missing=int(missing or 0),
        note=note,
        org=org,
    )
    return await _done(request, conn, subject, order_id, org, act)


@router.post("/recalls/{order_id}/task/restart")
async def restart(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: OrgQuery = None
) -> Response:
    """Forget the scans."""
    act = tasks.start_over(conn, subject, order_id, org)
    return await _done(request, conn, subject, order_id, org, act)


@router.post("/recalls/{order_id}/task/close")
async def close(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, org: OrgQuery = None
) -> Response:
    """办结."""
    act = tasks.close(conn, subject, order_id, org)
    return await _done(request, conn, subject, order_id, org, act)
