"""The interface's addresses and the pages: feeds for the operator, sources for the regulator."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.frames import operator_page
from yaosu.exchange.jianguan import held, protocol, service
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
router.include_router(protocol.router)

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Text = Annotated[str, Form(max_length=500)]


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    once: dict[str, str] | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    held.require_regulator(subject)
    roles = state(request).settings.roles
    operator = subject.org_id is None
    zh = language(request) == "zh"
    profiles = registry_of(request).lists.get("jianguan_profile")
    return operator_page(
        request,
        "exchange/jianguan.html",
        error,
        once,
        form,
        operator=operator,
        trace="trace" in roles,
        regulator="regulator" in roles,
        feeds=[f.as_json() for f in await service.feeds(conn, subject)] if operator else [],
        sources=await held.sources(conn, subject) if "regulator" in roles else [],
        profiles=[(i.code, i.zh if zh else i.en) for i in profiles],
    )


@router.get("/jianguan")
async def overview(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """How far each regulator holds what it is owed; how complete each source is."""
    return await _page(request, conn, subject)


@router.post("/jianguan/feeds")
async def add_feed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    org: Annotated[str, Form(max_length=9)] = "",
    url: Text = "",
    source_id: Text = "",
    key: Text = "",
    profile: Annotated[str, Form(max_length=40)] = "national",
    region: Annotated[str, Form(max_length=6)] = "",
    title: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Feed a regulator."""
    subject.require("registry.admin")
    values = {
        "org": org, "url": url, "source_id": source_id, "profile": profile, "region": region, "title": title,
    }  # fmt: skip
    app = state(request)
    try:
        if not org.isdigit() or registry_of(request).org(int(org)) is None:
            raise YaosuError("field_invalid", {"field": "org", "reason": org or "—"})
        for name, value, fine in (
            ("source_id", source_id, bool(source_id.strip())),
            ("key", "", len(key.strip()) >= 16),
            ("region", region, region == "" or region.isdigit()),
        ):
            if not fine:
                raise YaosuError("field_invalid", {"field": name, "reason": value or "—"})
        draft = service.FeedDraft(
            int(org), source_id.strip(), key.strip(), url.strip(), profile, region, title.strip()
        )
        async with conn.transaction():
            await service.add(conn, subject, app.parts["keeper"], draft, app.settings.webhook_hosts)
    except YaosuError as error:
        return await _page(request, conn, subject, error, form=values)
    return see_other("/jianguan")


@router.get("/jianguan/feeds/{number}")
async def feed(request: Request, conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """One feed with its reconciliations."""
    return await _feed(request, conn, subject, number)


async def _feed(
    request: Request, conn: Connection, subject: Subject, number: int, error: YaosuError | None = None
) -> Response:
    checks = await service.checks(conn, subject, number)
    found = next((f.as_json() for f in await service.feeds(conn, subject) if f.link.id == number), None)
    if found is None:
        raise YaosuError("not_found", {"what": "监管接口" if language(request) == "zh" else "Feed"})
    problem = error.as_json(language(request)) if error else None
    context = {"feed": found, "checks": checks, "problem": problem}
    return render(request, "exchange/jianguan_feed.html", context, error.http if error else 200)


@router.post("/jianguan/feeds/{number}/reconcile")
async def reconcile(request: Request, conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """Compare both sides now."""
    try:
        await service.reconcile(state(request), subject, number)
    except YaosuError as error:
        if error.code != "jianguan_no_answer":
            raise
        return await _feed(request, conn, subject, number, error)
    return see_other(f"/jianguan/feeds/{number}")


@router.post("/jianguan/sources")
async def add_source(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Annotated[str, Form(max_length=200)] = "",
    region: Annotated[str, Form(max_length=6)] = "",
) -> Response:
    """Register a source; its key is on this one page."""
    try:
        async with conn.transaction():
            found, key = await held.register(conn, subject, state(request).parts["keeper"], name, region)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _page(request, conn, subject, error, form={"name": name, "source_region": region})
    once = {"name": found.name, "source_id": found.source_id, "key": key}
    return await _page(request, conn, subject, once=once)


@router.get("/jianguan/sources/{number}")
async def source(request: Request, conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """Completeness of one source."""
    found = await held.completeness(conn, subject, number)
    return render(request, "exchange/jianguan_source.html", {**found, "operator": subject.org_id is None})


@router.post("/jianguan/sources/{number}/key")
async def renew_key(request: Request, conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """A new key for a source; it is on this one page."""
    found = await held.source(conn, subject, number)
    key = await held.renew_key(conn, subject, state(request).parts["keeper"], number)
    once = {"name": found.name, "source_id": found.source_id, "key": key}
    return await _page(request, conn, subject, once=once)


@router.post("/jianguan/sources/{number}/end")
async def end_source(conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """Take nothing more of a source."""
    await held.end(conn, subject, number)
    return see_other(f"/jianguan/sources/{number}")
