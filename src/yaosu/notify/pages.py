"""Pages of messages and webhooks."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.errors import message as entry_of
from yaosu.notify import service, webhooks
from yaosu.notify.parts import unread_of
from yaosu.settings import master_secret
from yaosu.subject import Subject

router = APIRouter()

CHINA = ZoneInfo("Asia/Shanghai")
PAGE = 50
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
MessageId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


def kind_label(kind: str, lang: str) -> str:
    """A kind of message in a filter: its text without the parts that differ each time."""
    text = entry_of(kind).text(lang, {})
    return text if len(text) <= 40 else text[:39] + "…"


@router.get("/messages")
async def messages(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    show: Annotated[str, Query(pattern="^(unread|all)?$")] = "",
    kind: Annotated[str, Query(max_length=64)] = "",
    cursor: Cursor = None,
) -> Response:
    """What the organisation was told; unread first by choice."""
    lang = language(request)
    only_unread = show != "all"
    found = await service.messages(conn, subject, before=cursor, unread=only_unread, kind=kind, limit=PAGE)
    unread = await service.unread(conn, subject)
    unread_of(request).put(subject.org, unread)
    more = len(found) == PAGE
    query = f"show={'unread' if only_unread else 'all'}&kind={kind}"
    return render(
        request,
        "notify/messages.html",
        {
            "items": [(one, one.text(lang), one.next_step(lang)) for one in found],
            "show": "unread" if only_unread else "all",
            "unread_now": unread,
            "kind": kind,
            "kinds": [(k, kind_label(k, lang)) for k in await service.kinds_got(conn, subject)],
            "newest": found[0].id if found and cursor is None else 0,
            "next": f"/messages?{query}&cursor={found[-1].id}" if more else "",
        },
    )


@router.get("/messages/unread")
async def unread_badge(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The number in the bar on top, asked for once by a page that did not know it."""
    count = await service.unread(conn, subject)
    unread_of(request).put(subject.org, count)
    return render(request, "notify/_badge.html", {"count": count})


@router.post("/messages/read")
async def read_all(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    up_to: Annotated[int, Form(ge=0, le=2**63 - 1)] = 0,
) -> Response:
    """Mark everything that the page showed as read."""
    await service.mark_all_read(conn, subject, up_to)
    unread_of(request).put(subject.org, await service.unread(conn, subject))
    return see_other("/messages")


@router.post("/messages/{message_id}/open")
async def open_one(request: Request, conn: Conn, subject: CurrentSubject, message_id: MessageId) -> Response:
    """Mark as read and go where it leads."""
    link = await service.open_message(conn, subject, message_id)
    unread_of(request).put(subject.org, await service.unread(conn, subject))
    return see_other(link)


async def _hooks_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    shown_once: tuple[str, str] | None = None,
    form: dict[str, Any] | None = None,
) -> Response:
    lang = language(request)
    known = [k["kind"] for k in service.kinds() if k["kind"] not in service.UNHOOKED]
    return render(
        request,
        "notify/webhooks.html",
        {
            "hooks": await webhooks.listed(conn, subject),
            "kinds": [(k, kind_label(k, lang)) for k in known],
            "labels": {k: kind_label(k, lang) for k in known},
            "problem": error.as_json(lang) if error else None,
            "shown_once": shown_once,
            "form": form or {},
        },
        error.http if error else 200,
    )


@router.get("/webhooks")
async def hooks(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Subscriptions of the own organisation."""
    return await _hooks_page(request, conn, subject)


@router.post("/webhooks")
async def add(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    url: Annotated[str, Form(max_length=500)] = "",
    kind: Annotated[list[str] | None, Form(max_length=100)] = None,
) -> Response:
    """Subscribe an address; the secret is on this one page."""
    chosen = state(request).settings
    wanted = kind or []
    try:
        _, secret = await webhooks.add(
            conn, subject, master_secret(chosen.data), chosen.webhook_hosts, url.strip(), wanted
        )
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _hooks_page(request, conn, subject, error, form={"url": url, "kinds": wanted})
    return await _hooks_page(request, conn, subject, shown_once=(url.strip(), secret))


async def _hook_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    webhook_id: int,
    state_: str = "",
    cursor: int | None = None,
    done: str = "",
    secret: str = "",
) -> Response:
    found = await webhooks.deliveries(conn, subject, webhook_id, state_, cursor, PAGE)
    lang = language(request)
    known = {k["kind"] for k in service.kinds()}
    for one in found:
        one["text"] = entry_of(one["kind"]).text(lang, one["params"]) if one["kind"] in known else ""
    more = len(found) == PAGE
    return render(
        request,
        "notify/webhook.html",
        {
            "hook": await webhooks.get(conn, subject, webhook_id),
            "deliveries": found,
            "state": state_,
            "done": done,
            "secret": secret,
            "next": f"/webhooks/{webhook_id}?state={state_}&cursor={found[-1]['id']}" if more else "",
        },
    )


@router.get("/webhooks/{webhook_id}")
async def hook(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    webhook_id: Number,
    state: Annotated[str, Query(pattern="^(pending|processed|failed|given_up)?$")] = "",
    cursor: Cursor = None,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """One subscription with its deliveries."""
    return await _hook_page(request, conn, subject, webhook_id, state, cursor, done)


@router.post("/webhooks/{webhook_id}/secret")
async def renew(request: Request, conn: Conn, subject: CurrentSubject, webhook_id: Number) -> Response:
    """A new secret, shown this once."""
    master = master_secret(state(request).settings.data)
    secret = await webhooks.renew(conn, subject, master, webhook_id)
    return await _hook_page(request, conn, subject, webhook_id, secret=secret)


@router.post("/webhooks/{webhook_id}/test")
async def test(conn: Conn, subject: CurrentSubject, webhook_id: Number) -> Response:
    """Send a test delivery."""
    await webhooks.test(conn, subject, webhook_id)
    return see_other(f"/webhooks/{webhook_id}?done=test")


@router.post("/webhooks/{webhook_id}/active")
async def set_active(
    conn: Conn, subject: CurrentSubject, webhook_id: Number, active: Annotated[bool, Form()] = False
) -> Response:
    """Pause or resume."""
    await webhooks.set_active(conn, subject, webhook_id, active)
    return see_other(f"/webhooks/{webhook_id}")


@router.post("/webhooks/{webhook_id}/replay")
async def replay(
    conn: Conn,
    subject: CurrentSubject,
    webhook_id: Number,
    from_message: Annotated[str, Form(pattern=r"^\d{0,18}$")] = "",
    since: Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
) -> Response:
    """Send again from a message or a day on."""
    start = None
    if since:
        try:
            start = datetime.combine(datetime.fromisoformat(since).date(), time(), CHINA)
        except ValueError as error:
            raise YaosuError("field_invalid", {"field": "since", "reason": "2026-09-30"}) from error
    await webhooks.replay(conn, subject, webhook_id, int(from_message or 0) or None, start)
    return see_other(f"/webhooks/{webhook_id}?done=replay")


@router.post("/webhooks/{webhook_id}/remove")
async def remove(conn: Conn, subject: CurrentSubject, webhook_id: Number) -> Response:
    """End a subscription."""
    await webhooks.remove(conn, subject, webhook_id)
    return see_other("/webhooks")
