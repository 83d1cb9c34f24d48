"""药品召回: the list, the order form, one order with its fan-out, and what may be done with it (R-E4, R-X7)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation.schemas import org_id
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.recall import pages_locks, pages_public, pages_task, reading, reports, service, store_task
from yaosu.recall.model import Draft
from yaosu.recall.pages_common import (
    Before,
    Line,
    Lines,
    Long,
    OrderId,
    code_lines,
    products_for,
    provinces,
    show,
    split_lines,
)
from yaosu.recall.remit import is_office, product_of
from yaosu.registry.lists import region_path
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
router.include_router(pages_public.router)

PAGE = 50
HOLDERS_SHOWN = 100
_TABS: dict[str, list[str] | None] = {
    "all": None,
    "running": ["published"],
    "drafts": ["draft", "approved"],
    "ended": ["finished", "cancelled"],
}


@router.get("/recalls")
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Annotated[Literal["all", "running", "drafts", "ended"], Query()] = "all",
    before: Before = None,
) -> Response:
    """Orders that concern the reader, and its own tasks that wait."""
    found = await service.listed(
        conn, subject, states=_TABS[tab], before=before or service.NEWEST, limit=PAGE + 1
    )
    items = await reading.short(conn, registry_of(request), found[:PAGE], language(request))
    duties: dict[int, Any] = {}
    if subject.org_id is not None and not is_office(subject):
        rows = await store_task.duties(conn, visible(subject), subject.org)
        duties = {r["order_id"]: r for r in rows}
    context = {
        "tab": tab,
        "items": items,
        "duties": duties,
        "may_draft": subject.can(service.MANAGE) and subject.org_id is not None,
        "next": f"/recalls?tab={tab}&before={found[PAGE - 1].id}" if len(found) > PAGE else "",
    }
    return show(request, "list.html", context)


async def _form(
    request: Request,
    conn: Connection,
    subject: Subject,
    values: dict[str, Any],
    order: dict[str, Any] | None,
    error: YaosuError | None = None,
) -> Response:
    subject.require(service.MANAGE)
    registry, lang = registry_of(request), language(request)
    zh = lang == "zh"
    goal = registry.org(int(values["return_to"])) if str(values.get("return_to") or "").isdecimal() else None
    context = {
        "v": values,
        "order": order,
        "products": await products_for(request, conn, subject, recall=True),
        "levels": [(i.code, i.zh if zh else i.en) for i in registry.lists.get("recall_clock")],
        "measures": [(i.code, i.zh if zh else i.en) for i in registry.lists.get("recall_measure")],
        "provinces": provinces(request),
        "office": is_office(subject),
        "goal": goal,
    }
    return show(request, "form.html", context, error)


@router.get("/recalls/new")
async def new(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug: Annotated[str, Query(pattern=r"^[0-9]{0,9}$")] = "",
    batch: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """The order form; product and batch may come with the address."""
    values: dict[str, Any] = {
        "drug_id": drug,
        "level": "1",
        "kind": "ordered" if is_office(subject) else "active",
        "simulated": False,
        "public": True,
        "title": "",
        "reason": "",
        "hazard": "",
        "measure": "return",
        "contact": "",
        "batches": batch,
        "codes": "",
        "regions": [],
        "more_regions": "",
        "return_to": "",
        "version": "",
    }
    return await _form(request, conn, subject, values, None)


@router.get("/recalls/{order_id}/edit")
async def edit(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """The form of a draft."""
    order = await reading.order(conn, registry_of(request), subject, order_id, language(request))
    if order["state"] != "draft" or not order["may_manage"]:
        return see_other(f"/recalls/{order_id}")
    whole = [r for r in order["regions"] if r.endswith("0000")]
    values = {
        **{
            k: order[k]
            for k in ("kind", "simulated", "public", "title", "reason", "hazard", "measure", "contact")
        },
        "drug_id": str(order["product"]["drug_id"]),
        "level": str(order["level"]),
        "batches": "\n".join(order["batches"]),
        "codes": "\n".join(c["code"] for c in order["codes"]),
        "regions": whole,
        "more_regions": "、".join(r for r in order["regions"] if r not in whole),
        "return_to": order["return_to"]["org_id"] if order["return_to"] else "",
        "version": order["version"],
    }
    return await _form(request, conn, subject, values, order)


@router.post("/recalls")
async def save(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug_id: Annotated[str, Form(max_length=9, pattern=r"^[0-9]*$")] = "",
    level: Annotated[str, Form(pattern=r"^[123]$")] = "1",
    kind: Annotated[Literal["active", "ordered"], Form()] = "active",
    title: Line = "",
    reason: Lines = "",
    hazard: Lines = "",
    measure: Line = "return",
    contact: Line = "",
    batches: Long = "",
    codes: Long = "",
    regions: Annotated[list[str] | None, Form()] = None,
    more_regions: Line = "",
    return_to: Annotated[str, Form(max_length=20, pattern=r"^[^\x00]*$")] = "",
    simulated: Annotated[str, Form(max_length=4)] = "",
    public: Annotated[str, Form(max_length=4)] = "",
    order_id: Annotated[str, Form(max_length=9, pattern=r"^[0-9]*$")] = "",
    version: Annotated[str, Form(max_length=9, pattern=r"^[0-9]*$")] = "",
) -> Response:
    """Save a draft, new or changed."""
    registry = registry_of(request)
    wanted = [r for r in regions or () if r.isdecimal() and len(r) == 6] + split_lines(more_regions)
    values: dict[str, Any] = {
        "drug_id": drug_id,
        "level": level,
        "kind": kind,
        "simulated": bool(simulated),
        "public": bool(public),
        "title": title.strip(),
        "reason": reason.strip(),
        "hazard": hazard.strip(),
        "measure": measure,
        "contact": contact.strip(),
        "batches": batches,
        "codes": codes,
        "regions": regions or [],
        "more_regions": more_regions,
        "return_to": return_to,
        "version": version,
    }
    try:
        async with conn.transaction():
            for field in ("title", "reason", "contact"):
                if not values[field]:
                    raise YaosuError("field_invalid", {"field": field, "reason": "—"})
            given = Draft(
                product_of(registry, int(drug_id or 0)).id,
                int(level),
                kind,
                bool(simulated),
                values["title"],
                values["reason"],
                values["hazard"],
                measure,
                values["contact"],
                bool(public) and not simulated,  # the form says so beside the box of the drill
                tuple(dict.fromkeys(wanted)),
                tuple(split_lines(batches)),
                tuple(code_lines(codes)),
                org_id(registry, "return_to", return_to) if return_to else None,
            )
            if order_id:
                number = int(order_id)
                await service.revise(
                    conn, registry, subject, number, given, int(version) if version else None
                )
            else:
                number = await service.draft(conn, registry, subject, given)
    except YaosuError as error:
        if error.http == 403:
            raise
        order = None
        if order_id:
            order = await reading.order(conn, registry, subject, int(order_id), language(request))
        return await _form(request, conn, subject, values, order, error)
    return see_other(f"/recalls/{number}")


async def _order_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    order_id: int,
    *,
    state: str = "",
    region: str = "",
    page: int = 0,
    error: YaosuError | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    order = await reading.order(conn, registry, subject, order_id, lang)
    found = await service.shown(conn, subject, order_id)
    start = page * HOLDERS_SHOWN
    _, items, total = await reading.holders(
        conn,
        registry,
        subject,
        order_id,
        state=state,
        region=region,
        start=start,
        limit=HOLDERS_SHOWN,
    )
    second = subject.kind == "account" and subject.account_id != found.drafted_by
    ask = "&".join(f"{k}={v}" for k, v in (("state", state), ("region", region)) if v)
    context = {
        "order": order,
        "holders": items,
        "total": total,
        "state": state,
        "region": region,
        "region_label": region_path(region, lang) if region else "",
        "region_of": lambda code: region_path(code, lang) if code else "—",
        "prev": f"/recalls/{order_id}?page={page - 1}&{ask}" if page else "",
        "next": f"/recalls/{order_id}?page={page + 1}&{ask}" if start + len(items) < total else "",
        "may_approve": second
        and subject.can(service.MANAGE)
        and (is_office(subject) if found.kind == "ordered" else subject.org_id in found.parties),
        "may_run": order["may_manage"] or (subject.can(service.MANAGE) and subject.org_id in found.parties),
        "office": is_office(subject),
    }
    return show(request, "order.html", context, error)


@router.get("/recalls/{order_id}")
async def one(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    order_id: OrderId,
    state: Annotated[str, Query(pattern=r"^(open|read|counted|done)?$")] = "",
    region: Annotated[str, Query(pattern=r"^(\d{6})?$")] = "",
    page: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """One order: what is recalled, how far it is, every holder."""
    return await _order_page(request, conn, subject, order_id, state=state, region=region, page=page)


async def _done(
    request: Request, conn: Connection, subject: Subject, order_id: int, act: Awaitable[object]
) -> Response:
    """Do it in a savepoint; what is refused is shown on the page of the order."""
    try:
        async with conn.transaction():
            await act
    except YaosuError as error:
        if error.http == 404:
            raise
        return await _order_page(request, conn, subject, order_id, error=error)
    return see_other(f"/recalls/{order_id}")


@router.post("/recalls/{order_id}/approve")
async def approve(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """批准."""
    act = service.approve(conn, registry_of(request), subject, order_id)
    return await _done(request, conn, subject, order_id, act)


@router.post("/recalls/{order_id}/publish")
async def publish(request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId) -> Response:
    """发布."""
    act = service.publish(conn, registry_of(request), subject, order_id)
    return await _done(request, conn, subject, order_id, act)


@router.post("/recalls/{order_id}/finish")
async def finish(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, reason: Lines = ""
) -> Response:
    """结束."""
    act = service.finish(conn, registry_of(request), subject, order_id, reason)
    return await _done(request, conn, subject, order_id, act)


@router.post("/recalls/{order_id}/cancel")
async def cancel(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: OrderId, reason: Lines = ""
) -> Response:
    """撤销."""
    act = service.cancel(conn, registry_of(request), subject, order_id, reason)
    return await _done(request, conn, subject, order_id, act)


@router.post("/recalls/{order_id}/reports")
async def report(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    order_id: OrderId,
    kind: Annotated[Literal["progress", "summary"], Form()] = "progress",
    findings: Lines = "",
) -> Response:
    """提交报告."""
    act = reports.file(conn, registry_of(request), subject, order_id, kind, findings)
    return await _done(request, conn, subject, order_id, act)


router.include_router(pages_task.router)
router.include_router(pages_locks.router)
