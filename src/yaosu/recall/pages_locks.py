"""停售与锁定: what is stopped and why, stopping goods, and releasing them with a reason (R-E4, R-B5)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from yaosu.circulation.schemas import org_id
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.recall import locks, service, store_lock, views
from yaosu.recall.pages_common import (
    Before,
    Line,
    Lines,
    Long,
    OrderId,
    code_lines,
    products_for,
    show,
    split_lines,
)
from yaosu.recall.remit import is_office
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
PAGE = 50


@router.get("/locks")
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Annotated[Literal["live", "all"], Query()] = "live",
    before: Before = None,
) -> Response:
    """Locks and suspensions that concern the reader."""
    found = await locks.listed(
        conn, subject, True if tab == "live" else None, before or service.NEWEST, PAGE + 1
    )
    page = found[:PAGE]
    goods = await store_lock.goods(conn, [lock.id for lock in page])
    registry, lang = registry_of(request), language(request)
    context = {
        "tab": tab,
        "items": [views.lock_view(registry, lock, goods[lock.id], lang) for lock in page],
        "next": f"/locks?tab={tab}&before={page[-1].id}" if len(found) > PAGE else "",
        "may_place": subject.can(locks.MANAGE) and subject.org_id is not None,
    }
    return show(request, "locks.html", context)


async def _form(
    request: Request,
    conn: Connection,
    subject: Subject,
    values: dict[str, Any],
    error: YaosuError | None = None,
) -> Response:
    subject.require(locks.MANAGE)
    registry, zh = registry_of(request), language(request) == "zh"
    lister = registry.lists.get("lock_reason")
    kinds = ["lock"] if is_office(subject) else ["suspension", "lock"]
    maker = subject.org_type in ("1", "7") or is_office(subject)
    wanted = str(values.get("org") or "")
    context = {
        "v": values,
        "products": await products_for(request, conn, subject, recall=False),
        "kinds": kinds if maker else ["suspension"],
        "reasons": [(i.code, i.zh if zh else i.en) for i in lister],
        "office": is_office(subject),
        "bound": registry.org(int(wanted)) if wanted.isdecimal() else None,
    }
    return show(request, "lock_form.html", context, error)


@router.get("/locks/new")
async def new(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug: Annotated[str, Query(pattern=r"^[0-9]{0,9}$")] = "",
    batch: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    code: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """The form; goods may come with the address."""
    values: dict[str, Any] = {
        "kind": "lock" if is_office(subject) else "suspension",
        "drug_id": drug,
        "batches": batch,
        "codes": code,
        "reason": "quality",
        "reason_text": "",
        "org": "",
    }
    return await _form(request, conn, subject, values)


@router.post("/locks")
async def place(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    kind: Annotated[Literal["lock", "suspension"], Form()] = "suspension",
    drug_id: Annotated[str, Form(max_length=9, pattern=r"^[0-9]*$")] = "",
    batches: Long = "",
    codes: Long = "",
    reason: Line = "",
    reason_text: Lines = "",
    org: Annotated[str, Form(max_length=20, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """Stop goods."""
    values: dict[str, Any] = {
        "kind": kind,
        "drug_id": drug_id,
        "batches": batches,
        "codes": codes,
        "reason": reason,
        "reason_text": reason_text,
        "org": org,
    }
    registry = registry_of(request)
    try:
        async with conn.transaction():
            made = await locks.place(
                conn,
                registry,
                subject,
                kind=kind,
                drug_id=int(drug_id or 0),
                batch_nos=split_lines(batches),
                codes=code_lines(codes),
                reason=reason,
                reason_text=reason_text,
                org=org_id(registry, "org", org) if org else None,
            )
    except YaosuError as error:
        if error.code == "forbidden":
            raise
        return await _form(request, conn, subject, values, error)
    return see_other(f"/locks/{made}")


async def _page(
    request: Request, conn: Connection, subject: Subject, lock_id: int, error: YaosuError | None = None
) -> Response:
    lock = await locks.shown(conn, subject, lock_id)
    goods = (await store_lock.goods(conn, [lock_id]))[lock_id]
    view = views.lock_view(registry_of(request), lock, goods, language(request))
    may = subject.can(locks.MANAGE) and lock.released_at is None
    own = subject.org_id == lock.issuer or is_office(subject)
    return show(request, "lock.html", {"lock": view, "may_release": may and own}, error)


@router.get("/locks/{lock_id}")
async def one(request: Request, conn: Conn, subject: CurrentSubject, lock_id: OrderId) -> Response:
    """One of them."""
    return await _page(request, conn, subject, lock_id)


@router.post("/locks/{lock_id}/release")
async def release(
    request: Request, conn: Conn, subject: CurrentSubject, lock_id: OrderId, reason: Lines = ""
) -> Response:
    """Let goods move again."""
    try:
        async with conn.transaction():
            await locks.release(conn, registry_of(request), subject, lock_id, reason)
    except YaosuError as error:
        if error.http == 404:
            raise
        return await _page(request, conn, subject, lock_id, error)
    return see_other(f"/locks/{lock_id}")
