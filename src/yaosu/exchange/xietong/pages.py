"""The envelope's addresses and the operator's pages."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA, render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.frames import operator_page
from yaosu.exchange.xietong import client, hub, protocol, views
from yaosu.exchange.xietong.hub import SystemDraft
from yaosu.registry.parts import registry_of
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

router = APIRouter()
router.include_router(protocol.router)

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
BigNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Text = Annotated[str, Form(max_length=500)]
PAGE = 50


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    once: dict[str, str] | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    require_operator(subject)
    roles = state(request).settings.roles
    hub_side = "coordination" in roles
    return operator_page(
        request,
        "exchange/xietong.html",
        error,
        once,
        form,
        hub=hub_side,
        trace="trace" in roles,
        systems=await hub.systems(conn, subject) if hub_side else [],
        tally=await views.tally(conn, subject) if hub_side else {},
        rules=await views.rules(conn, subject, 0, 50) if hub_side else [],
        events=await views.events(conn, subject, None, 20) if hub_side else [],
        standings=await client.standings(conn, subject) if "trace" in roles else [],
        sub_types=_sub_types(request),
    )


def _sub_types(request: Request) -> dict[str, str]:
    lists = registry_of(request).lists
    zh = language(request) == "zh"
    return {i.code: i.zh if zh else i.en for i in lists.get("xietong_sub_type")}


@router.get("/xietong")
async def overview(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Who takes part, what is filed, how the exchange stands."""
    return await _page(request, conn, subject)


@router.post("/xietong/systems")
async def register(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Text = "",
    operator: Text = "",
    usc_id: Text = "",
    query_url: Text = "",
    resolver_url: Text = "",
    receive_url: Text = "",
) -> Response:
    """Register a trace system; its key is on this one page."""
    require_operator(subject)
    draft = SystemDraft(name.strip(), operator, usc_id, resolver_url, query_url, receive_url)
    values = {
        "name": name, "operator": operator, "usc_id": usc_id, "query_url": query_url,
        "resolver_url": resolver_url, "receive_url": receive_url,
    }  # fmt: skip
    try:
        async with conn.transaction():
            system, key = await hub.register(conn, subject, state(request).parts["keeper"], draft)
    except YaosuError as error:
        return await _page(request, conn, subject, error, form=values)
    return await _page(
        request, conn, subject, once={"name": system.name, "app_id": system.app_id, "key": key}
    )


@router.post("/xietong/systems/{number}/key")
async def renew(request: Request, conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """A new key, on this one page."""
    key = await hub.renew_key(conn, subject, state(request).parts["keeper"], number)
    found = next(s for s in await hub.systems(conn, subject) if s.id == number)
    return await _page(request, conn, subject, once={"name": found.name, "app_id": found.app_id, "key": key})


@router.post("/xietong/connections")
async def connect(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    org: Annotated[str, Form(max_length=9)] = "",
    url: Text = "",
    app_id: Text = "",
    key: Text = "",
    since: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Take part in a platform."""
    require_operator(subject)
    app = state(request)
    values = {"org": org, "url": url, "app_id": app_id, "since": since}
    try:
        if not org.isdigit() or registry_of(request).org(int(org)) is None:
            raise YaosuError("field_invalid", {"field": "org", "reason": org or "—"})
        if not app_id.strip() or not key.strip():
            raise YaosuError("field_invalid", {"field": "app_id / key", "reason": "—"})
        async with conn.transaction():
            await client.connect(
                conn, subject, app.parts["keeper"], int(org), url.strip(), app_id.strip(), key.strip(),
                allowed=app.settings.webhook_hosts, since=_day(since) if since else None,
            )  # fmt: skip
    except YaosuError as error:
        return await _page(request, conn, subject, error, form=values)
    return see_other("/xietong")


@router.get("/xietong/connections/{number}")
async def connection(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    number: Number,
    show: Annotated[str, Query(pattern="^(filed|inbox)?$")] = "",
    only: Annotated[str, Query(pattern="^(due|filed|refused|waiting|done|partly)?$")] = "",
    cursor: Cursor = None,
) -> Response:
    """What is filed with a platform, what came from it."""
    require_operator(subject)
    standing = next((s for s in await client.standings(conn, subject) if s.link.id == number), None)
    if standing is None:
        raise YaosuError("not_found", {"what": "对接" if language(request) == "zh" else "Connection"})
    inbox = show == "inbox"
    items = (
        await views.inbox(conn, subject, number, only, cursor, PAGE)
        if inbox
        else await views.filed(conn, subject, number, only, 200)
    )
    more = inbox and len(items) == PAGE
    return render(
        request,
        "exchange/xietong_connection.html",
        {
            "standing": standing,
            "show": "inbox" if inbox else "filed",
            "only": only,
            "items": items,
            "sub_types": _sub_types(request),
            "next": f"/xietong/connections/{number}?show=inbox&only={only}&cursor={items[-1]['id']}"
            if more
            else "",
        },
    )


def _day(text: str) -> datetime:
    """A day of a form, from its first moment in China."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except ValueError:
        raise YaosuError("field_invalid", {"field": "since", "reason": text[:10] or "—"}) from None


@router.post("/xietong/connections/{number}/backfill")
async def backfill(
    conn: Conn, subject: CurrentSubject, number: Number, since: Annotated[str, Form(max_length=10)] = ""
) -> Response:
    """Tell what was recorded before."""
    await client.backfill(conn, subject, number, _day(since))
    return see_other(f"/xietong/connections/{number}")


@router.post("/xietong/connections/{number}/backfill/state")
async def backfill_state(
    conn: Conn,
    subject: CurrentSubject,
    number: Number,
    state: Annotated[str, Form(pattern="^(paused|running)$")],
) -> Response:
    """Pause it, or let it go on."""
    await client.backfill_state(conn, subject, number, state)
    return see_other(f"/xietong/connections/{number}")


@router.post("/xietong/connections/{number}/file")
async def file_again(conn: Conn, subject: CurrentSubject, number: Number) -> Response:
    """Send refused filings once more."""
    await views.file_again(conn, subject, number, "", "")
    return see_other(f"/xietong/connections/{number}")


@router.post("/xietong/connections/{number}/inbox/{event}")
async def retry(
    request: Request, conn: Conn, subject: CurrentSubject, number: Number, event: BigNumber
) -> Response:
    """Book an event again."""
    await views.retry(conn, subject, event)
    state(request).parts["xietong.wake"].set()
    return see_other(f"/xietong/connections/{number}?show=inbox")
