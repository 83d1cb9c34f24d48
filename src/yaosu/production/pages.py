"""Pages of production: code requests, relation files, packing."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.production import files, jobs, packing, requests
from yaosu.production.parts import master_of
from yaosu.production.relation.validate import acts_for
from yaosu.registry.forms import Form
from yaosu.registry.model import Product
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
SIZE = 50
FINDINGS_SHOWN = 500

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


def _own_products(request: Request, subject: Subject) -> list[Product]:
    """Products whose codes the caller may request."""
    registry = registry_of(request)
    found = [
        p
        for p in registry.products().values()
        if p.active and subject.org_id is not None and acts_for(registry, p, subject.org_id)
    ]
    return sorted(found, key=lambda p: (p.generic_name, p.id))


def _body(request: Request, error: YaosuError | None) -> dict[str, object] | None:
    return error.as_json(language(request)) if error is not None else None


# -- code requests ------------------------------------------------------------------------------------------------


async def _requests_page(
    request: Request, conn: Any, subject: Subject, before: int | None, error: YaosuError | None = None
) -> Response:
    items = await requests.list_own(conn, subject, before, SIZE)
    registry = registry_of(request)
    more = f"/code-requests?before={items[-1].id}" if len(items) == SIZE else ""
    context = {
        "items": items,
        "next": more,
        "products": _own_products(request, subject),
        "names": {p.id: p for p in registry.products().values()},
        "error": _body(request, error),
    }
    return render(request, "production/requests.html", context, error.http if error else 200)


@router.get("/code-requests")
async def request_list(
    request: Request, conn: Conn, subject: CurrentSubject, before: Before = None
) -> Response:
    """Own requests, and the form for a new one."""
    return await _requests_page(request, conn, subject, before)


@router.post("/code-requests")
async def request_create(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Ask for codes."""
    form = await Form.of(request)
    counts: dict[int, int] = {}
    for level in range(1, 10):
        text = form.text(f"count_{level}").replace(",", "")
        if text and not (text.isascii() and text.isdigit() and len(text) <= 10):
            error = YaosuError("code_request_count", {"count": text[:20], "max": 1_000_000_000})
            return await _requests_page(request, conn, subject, None, error)
        if text:
            counts[level] = int(text)
    drug = form.text("drug_id")
    try:
        drug_id = int(drug) if drug.isascii() and drug.isdigit() and len(drug) <= 9 else 0
        async with conn.transaction():
            made = await requests.create(
                conn, subject, registry_of(request), drug_id, counts, form.text("purpose")[:200]
            )
    except YaosuError as error:
        return await _requests_page(request, conn, subject, None, error)
    return see_other(f"/code-requests/{made.id}")


@router.get("/code-requests/{request_id}")
async def request_page(request: Request, conn: Conn, subject: CurrentSubject, request_id: Number) -> Response:
    """One request with its downloads."""
    found = await requests.get(conn, subject, request_id)
    product = registry_of(request).product(found.drug_id)
    return render(request, "production/request.html", {"item": found, "product": product})


# -- relation files -----------------------------------------------------------------------------------------------


async def _relations_page(
    request: Request, conn: Any, subject: Subject, before: int | None, error: YaosuError | None = None
) -> Response:
    items = await files.list_own(conn, subject, before, SIZE)
    context = {
        "items": items,
        "jobs": await jobs.recent(conn, subject, 10),
        "next": f"/relations?before={items[-1]['bill_id']}" if len(items) == SIZE else "",
        "error": _body(request, error),
    }
    return render(request, "production/relations.html", context, error.http if error else 200)


@router.get("/relations")
async def relation_list(
    request: Request, conn: Conn, subject: CurrentSubject, before: Before = None
) -> Response:
    """Activated files, running jobs, and the place to put a new file."""
    return await _relations_page(request, conn, subject, before)


@router.post("/relations")
async def relation_submit(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Check or activate an upload: the worker does it, the page watches."""
    form = await Form.of(request)
    try:
        upload = UUID(form.text("upload"))
    except ValueError:
        return await _relations_page(request, conn, subject, None, YaosuError("relation_empty"))
    try:
        async with conn.transaction():
            job_id = await jobs.queue_relation(
                conn,
                subject,
                upload,
                dry_run=form.text("action") != "activate",
                stock_in=form.text("stock_in") == "1",
                lang=language(request),
            )
    except YaosuError as error:
        return await _relations_page(request, conn, subject, None, error)
    return see_other(f"/relations/jobs/{job_id}")


async def _job(request: Request, conn: Any, subject: Subject, job_id: UUID, template: str) -> Response:
    subject.require("production.read")
    found = await jobs.get(conn, subject, job_id)
    return render(request, template, {"job": found, "result": found["result"] or {}, "shown": FINDINGS_SHOWN})


@router.get("/relations/jobs/{job_id}")
async def relation_job(request: Request, conn: Conn, subject: CurrentSubject, job_id: UUID) -> Response:
    """A check or activation, followed live."""
    return await _job(request, conn, subject, job_id, "production/relation_job.html")


@router.get("/relations/jobs/{job_id}/state")
async def relation_job_state(request: Request, conn: Conn, subject: CurrentSubject, job_id: UUID) -> Response:
    """The part of the page that changes."""
    return await _job(request, conn, subject, job_id, "production/_job_state.html")


@router.get("/relations/{bill_id}")
async def relation_page(
    request: Request, conn: Conn, subject: CurrentSubject, bill_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """One activated file."""
    found = await files.get(conn, subject, bill_id)
    names = {p.id: p.generic_name for p in registry_of(request).products().values()}
    return render(request, "production/relation.html", {"item": found, "names": names})


# -- packing ------------------------------------------------------------------------------------------------------

ACTS = ("pack", "unpack", "replace", "void")


def _packing(
    request: Request, act: str, values: dict[str, str], error: YaosuError | None = None, done: Any = None
) -> Response:
    context = {"act": act, "values": values, "error": _body(request, error), "done": done}
    return render(request, "production/packing.html", context, error.http if error else 200)


@router.get("/packing")
async def packing_page(request: Request, subject: CurrentSubject, act: str = "pack") -> Response:
    """The form of one of the four acts."""
    subject.require("bill.write")
    return _packing(request, act if act in ACTS else "pack", {})


@router.post("/packing")
async def packing_submit(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Do it; refusals are shown with the form as it was."""
    form = await Form.of(request)
    names = ("container", "whole", "old", "new", "reason", "with_content")
    values = {name: form.text(name) for name in names}
    # a list of codes may be longer than a field; the service counts them
    sent = (await request.form()).get("codes", "")
    values["codes"] = sent if isinstance(sent, str) else ""
    act = form.text("act") if form.text("act") in ACTS else "pack"
    codes = [line.strip() for line in values["codes"].splitlines() if line.strip()]
    registry, done = registry_of(request), None
    try:
        async with conn.transaction():
            if act == "pack":
                done = await packing.pack(conn, subject, registry, values["container"], codes)
            elif act == "unpack":
                done = await packing.unpack(conn, subject, registry, codes, values["whole"] == "1")
            elif act == "replace":
                done = await packing.replace(
                    *(conn, subject, registry, master_of(request)),
                    *(values["old"], values["new"], values["reason"][:100] or "标签破损"),
                )
            else:
                reason = values["reason"][:100] or "注销"
                whole = values["with_content"] == "1"
                done = await packing.void(conn, subject, registry, codes, reason, whole)
    except YaosuError as error:
        return _packing(request, act, values, error)
    return _packing(request, act, {}, None, done)
