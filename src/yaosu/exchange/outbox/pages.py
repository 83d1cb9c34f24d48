"""Pages of 对接: connections, deliveries, to whom a bill went, why a code was not uploaded (R-X9)."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA, china, render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import backfill as backfills
from yaosu.exchange.outbox import connections, deliveries, service
from yaosu.exchange.outbox.parts import channels_of, places_of
from yaosu.exchange.outbox.why import why
from yaosu.people.parts import keeper_of
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

router = APIRouter(prefix="/exchange")

PAGE = 50
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Big = Annotated[int, Path(ge=1, le=2**63 - 1)]
STATES = "^(" + "|".join(deliveries.STATES) + ")?$"
TONES = {
    "processed": "ok", "partly": "warn", "failed": "warn", "unknown": "warn", "given_up": "refused", "held": "warn",
}  # fmt: skip


def _at(iso: str | None) -> str:
    return china(datetime.fromisoformat(iso), True) if iso else ""


def _context(request: Request, subject: Subject, **more: Any) -> dict[str, Any]:
    return {
        "at": _at,
        "tones": TONES,
        "problem": None,
        "tested": None,
        "done": "",
        "count": 0,
        "may_manage": subject.can(connections.MANAGE),
        "names": {
            c["channel"]: c["name"] for c in service.described(channels_of(request), language(request))
        },
        **more,
    }


def _day(text: str) -> datetime:
    try:
        return datetime.combine(datetime.fromisoformat(text).date(), time(), CHINA)
    except ValueError as error:
        raise YaosuError("field_invalid", {"field": "since", "reason": "2026-09-30"}) from error


async def _links_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    shown_once: tuple[str, str] | None = None,
    form: dict[str, Any] | None = None,
    channel: str = "",
) -> Response:
    lang = language(request)
    described = service.described(channels_of(request), lang)
    chosen = next((c for c in described if c["channel"] == channel), None)
    return render(
        request,
        "exchange/connections.html",
        _context(
            request,
            subject,
            links=await connections.listed(conn, subject),
            counts=await deliveries.counts(conn, subject),
            channels=[c for c in described if not c["whole"] or subject.can("registry.admin")],
            chosen=chosen,
            problem=error.as_json(lang) if error else None,
            shown_once=shown_once,
            form=form or {},
            operator=subject.can("registry.admin"),
        ),
        error.http if error else 200,
    )


@router.get("")
async def links(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    channel: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Connections of the own organisation with their counters."""
    return await _links_page(request, conn, subject, channel=channel)


@router.post("")
async def add(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    channel: Annotated[str, Form(max_length=32)],
    title: Annotated[str, Form(max_length=100)] = "",
    url: Annotated[str, Form(max_length=500)] = "",
    region: Annotated[str, Form(pattern=r"^(\d{2}|\d{4}|\d{6})?$")] = "",
    profile: Annotated[str, Form(max_length=64)] = "",
    everyone: Annotated[bool, Form()] = False,
) -> Response:
    """Add one; a secret that we made is on this one page."""
    account, secret = await _fields(request, channel)
    given = {"title": title, "url": url, "region": region, "profile": profile, **account}
    try:
        async with conn.transaction():
            made = await service.add(
                conn, subject, keeper_of(request), channels_of(request), state(request).settings.webhook_hosts,
                channel=channel, title=title, url=url.strip(), account=account, secret=secret, region=region,
                profile=profile.strip(), everyone=everyone,
            )  # fmt: skip
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _links_page(request, conn, subject, error, form=given, channel=channel)
    if made.secret:
        return await _links_page(request, conn, subject, shown_once=(title or url, made.secret))
    return see_other(f"/exchange/{made.id}")


async def _fields(request: Request, channel: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the channel asks for, from the form: (account, secret)."""
    form = await request.form()
    fields = service.channel_of(channels_of(request), channel).fields
    account: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, _, _, hidden in fields:
        value = str(form.get(f"f_{name}", "")).strip()[: 8000 if hidden else 200]
        if value:
            (secret if hidden else account)[name] = value
    return account, secret


@router.get("/deliveries")
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    connection: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    state: Annotated[str, Query(pattern=STATES)] = "",
    bill_no: Annotated[str, Query(max_length=64)] = "",
    todo: Annotated[bool, Query()] = False,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """To whom what went and what they answered."""
    found = await deliveries.listed(
        conn, subject, connection=int(connection or 0) or None, states=[state] if state else (), before=cursor,
        todo=todo, bill_no=bill_no.strip(), limit=PAGE,
    )  # fmt: skip
    query = f"connection={connection}&state={state}&bill_no={bill_no}&todo={str(todo).lower()}"
    more = len(found) == PAGE
    return render(
        request,
        "exchange/deliveries.html",
        _context(
            request,
            subject,
            items=found,
            links=await connections.listed(conn, subject),
            connection=connection,
            state=state,
            bill_no=bill_no,
            todo=todo,
            next=f"/exchange/deliveries?{query}&cursor={found[-1]['id']}" if more else "",
        ),
    )


@router.get("/deliveries/{delivery_id:int}")
async def delivery(request: Request, conn: Conn, subject: CurrentSubject, delivery_id: Big) -> Response:
    """One delivery with every attempt, word for word."""
    found = await deliveries.get(conn, subject, delivery_id)
    return render(request, "exchange/delivery.html", _context(request, subject, d=found))


@router.post("/deliveries/{delivery_id:int}/{act}")
async def act_on(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    delivery_id: Big,
    act: Annotated[str, Path(pattern="^(retry|hold|release|give-up)$")],
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Retry, hold, release, give up."""
    try:
        async with conn.transaction():
            if act == "retry":
                await deliveries.retry(conn, subject, delivery_id)
            elif act == "release":
                await deliveries.release(conn, subject, delivery_id)
            elif act == "hold":
                await deliveries.hold(conn, subject, delivery_id, reason)
            else:
                await deliveries.give_up(conn, subject, delivery_id, reason)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        found = await deliveries.get(conn, subject, delivery_id)
        context = _context(request, subject, d=found, problem=error.as_json(language(request)))
        return render(request, "exchange/delivery.html", context, error.http)
    return see_other(f"/exchange/deliveries/{delivery_id}")


@router.get("/bills/{bill_id:int}")
async def of_bill(request: Request, conn: Conn, subject: CurrentSubject, bill_id: Big) -> Response:
    """To whom a bill went, what they answered, what is still owed."""
    found = await deliveries.of_bill(conn, subject, bill_id)
    registry: Registry = state(request).parts["registry"]
    lang = language(request)

    def rule_names(code: str) -> str:
        return registry.lists.text("route_rule", code, lang) if code else ""

    return render(request, "exchange/bill.html", _context(request, subject, rule_names=rule_names, **found))


@router.get("/why")
async def explain(
    request: Request, conn: Conn, subject: CurrentSubject, code: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """Why a code was not uploaded."""
    subject.require(connections.READ)
    registry: Registry = state(request).parts["registry"]
    found = None
    if code.strip():
        answer = await why(conn, subject, registry, channels_of(request), code.strip())
        found = answer.as_json(language(request))
    return render(request, "exchange/why.html", _context(request, subject, code=code, found=found))


async def _link_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    connection_id: int,
    error: YaosuError | None = None,
    **more: Any,
) -> Response:
    lang = language(request)
    one = await connections.get(conn, subject, connection_id)
    channel = next(
        (c for c in service.described(channels_of(request), lang) if c["channel"] == one.channel), None
    )
    return render(
        request,
        "exchange/connection.html",
        _context(
            request,
            subject,
            link=one,
            channel=channel,
            counts=(await deliveries.counts(conn, subject)).get(one.id, {}),
            problem=error.as_json(lang) if error else None,
            items=await deliveries.listed(conn, subject, connection=one.id, limit=20),
            filling=await backfills.of(conn, one.id),
            **more,
        ),
        error.http if error else 200,
    )


@router.get("/{connection_id:int}")
async def link(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    done: Annotated[str, Query(max_length=20)] = "",
    count: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """One connection."""
    return await _link_page(request, conn, subject, connection_id, done=done, count=count)


@router.post("/{connection_id:int}/test")
async def test(request: Request, conn: Conn, subject: CurrentSubject, connection_id: Number) -> Response:
    """Whether the address answers and the credentials can be opened."""
    allowed = state(request).settings.webhook_hosts
    answer = await service.test(conn, subject, keeper_of(request), allowed, connection_id)
    return await _link_page(request, conn, subject, connection_id, tested=answer)


@router.post("/{connection_id:int}/state")
async def set_state(
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    state: Annotated[str, Form(pattern="^(active|held|ended)$")],
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Hold, release, end."""
    await connections.set_state(conn, subject, connection_id, state, reason)
    return see_other(f"/exchange/{connection_id}")


@router.post("/{connection_id:int}/change")
async def change(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    title: Annotated[str, Form(max_length=100)] = "",
    url: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Address, title, what is not secret; and credentials where new ones are given."""
    one = await connections.get(conn, subject, connection_id)
    account, secret = await _fields(request, one.channel)
    try:
        async with conn.transaction():
            await connections.change(
                conn, subject, connection_id, title=title or one.title, url=url.strip(),
                account={**one.account, **account}, region=one.region, profile=one.profile,
                allowed=state(request).settings.webhook_hosts,
            )  # fmt: skip
            if secret:
                await connections.rotate(conn, subject, keeper_of(request), connection_id, secret)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _link_page(request, conn, subject, connection_id, error)
    return see_other(f"/exchange/{connection_id}?done=change")


@router.post("/{connection_id:int}/retry")
async def retry_all(
    conn: Conn, subject: CurrentSubject, connection_id: Number, refused: Annotated[bool, Form()] = False
) -> Response:
    """Everything that waits for a person."""
    count = await deliveries.retry_all(conn, subject, connection_id, refused)
    return see_other(f"/exchange/{connection_id}?done=retry&count={count}")


@router.post("/{connection_id:int}/backfill")
async def backfill(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    since: Annotated[str, Form(max_length=10)],
) -> Response:
    """Everything recorded from a day on."""
    places = places_of(request, subject)
    count = await deliveries.backfill(conn, subject, connection_id, _day(since), places)
    return see_other(f"/exchange/{connection_id}?done=backfill&count={count}")


@router.post("/{connection_id:int}/backfill/state")
async def backfill_state(
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    state: Annotated[str, Form(pattern="^(paused|running)$")],
) -> Response:
    """Pause it, or let it go on."""
    await deliveries.backfill_state(conn, subject, connection_id, state)
    return see_other(f"/exchange/{connection_id}")


@router.post("/{connection_id:int}/replay")
async def replay(
    conn: Conn,
    subject: CurrentSubject,
    connection_id: Number,
    since: Annotated[str, Form(max_length=10)] = "",
    from_delivery: Annotated[str, Form(pattern=r"^\d{0,18}$")] = "",
) -> Response:
    """An own system's events again, from a delivery or a day on."""
    begin = _day(since) if since else None
    count, _ = await deliveries.replay(conn, subject, connection_id, int(from_delivery or 0) or None, begin)
    return see_other(f"/exchange/{connection_id}?done=replay&count={count}")
