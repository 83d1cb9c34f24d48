"""The regulator interface over HTTP: events and reconciliation in, the feed out for regulators that pull.

Every answer is a signed message of the same form as the question. HTTP status 200 means the receipt is in the body;
refusals carry the status of their code.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from yaosu.db import trouble
from yaosu.db.engine import Connection
from yaosu.edge import strict_json
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.jianguan import compare, feed, form, held, wire
from yaosu.exchange.jianguan import store_feed as feeds
from yaosu.exchange.jianguan import store_held as store
from yaosu.exchange.outbox import connections
from yaosu.people.keeper import Keeper

router = APIRouter()
log = structlog.get_logger("yaosu.jianguan")


def _answer(
    source_id: str, request_id: str, key: str, body: Mapping[str, Any], status: int = 200
) -> Response:
    head = wire.head(source_id or "-", request_id)
    if key:
        return JSONResponse(form.sign(head, dict(body), key), status)
    return JSONResponse({"head": {"version": form.VERSION, **head}, "body": dict(body)}, status)


def _refused(error: YaosuError) -> dict[str, Any]:
    said = error.as_json("zh")
    return {
        "success": False,
        "code": error.code,
        "message": str(said["message"]),
        "next": str(said["next"]),
        "field": error.findings[0].where if error.findings else "",
    }


async def _message(request: Request) -> Any:
    try:
        return strict_json.parse(await request.body())
    except strict_json.MalformedBodyError as error:
        raise form.wrong("body", error.zh, error.en) from None


async def _serve(request: Request, what: str) -> Response:
    app = state(request)
    source_id = request_id = key = ""
    try:
        if "regulator" not in app.settings.roles:
            raise YaosuError("jianguan_role")
        message = await _message(request)
        keeper: Keeper = app.parts["keeper"]
        async with app.pool.acquire() as conn:
            found, key, head = await held.authenticate(conn, keeper, message)
            source_id, request_id = head.source_id, head.request_id
            try:
                async with conn.transaction():
                    told = await _do(conn, what, found, message["body"])
            except YaosuError as error:
                await conn.execute(store.REFUSED, found.id, str(error.as_json("zh")["message"])[:500])
                raise
        return _answer(
            source_id, request_id, key, {"success": True, "code": "jianguan_ok", "message": "已接收", **told}
        )
    except YaosuError as error:
        return _answer(source_id, request_id, key, _refused(error), error.http)
    except Exception as error:
        # whatever broke is ours: the sender keeps its events and sends them again
        trouble.note(log, "jianguan_broke", error)
        busy = YaosuError("jianguan_busy")
        return _answer(source_id, request_id, key, _refused(busy), busy.http)


async def _do(conn: Connection, what: str, found: held.Source, body: Mapping[str, Any]) -> dict[str, Any]:
    if what == "events":
        return await held.take(conn, found, body)
    return await compare.answer(conn, compare.received(found.id), body)


@router.post("/jianguan/v1/events")
async def events(request: Request) -> Response:
    """A batch of events; the receipt says up to which number everything is held."""
    return await _serve(request, "events")


@router.post("/jianguan/v1/reconcile")
async def reconcile(request: Request) -> Response:
    """One question of a reconciliation, or its result: of a source to its regulator, or of a regulator that pulls."""
    roles = state(request).settings.roles
    if "trace" in roles and ("regulator" not in roles or await _pulls(request)):
        return await _to_regulator(request, _compared)
    return await _serve(request, "reconcile")


async def _pulls(request: Request) -> bool:
    """Whether the sourceID is one under which a regulator pulls from here, where an installation has both roles."""
    try:
        head = form.read_head(await _message(request))
    except YaosuError:
        return False
    async with state(request).pool.acquire() as conn:
        return await conn.fetchval(feeds.LINK_BY_SOURCE, head.source_id) is not None


@router.post("/jianguan/v1/feed")
async def pull(request: Request) -> Response:
    """For a regulator that pulls: events after `after`, at most `limit`; asking for what follows is the receipt."""
    return await _to_regulator(request, _fed)


async def _compared(conn: Connection, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
    async with conn.transaction():
        return await compare.answer(conn, compare.numbered(number), body)


async def _fed(conn: Connection, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
    after, limit = body.get("after", 0), body.get("limit", feed.EVENTS_MAX)
    for name, value in (("after", after), ("limit", limit)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < held.NUMBER_MAX:
            raise form.wrong(f"body.{name}", "应为非负整数", "a whole number from 0")
    row = await conn.fetchrow(feeds.FEED, number)
    last = row["seq"] if row is not None else 0
    if row is not None and after > last:
        raise form.wrong("body.after", f"大于最后序号 {last}", f"beyond the last number {last}")
    if row is not None:
        await conn.execute(feeds.ACKED, number, after, "pull")
    return {
        "last": last,
        "events": await feed.batch(conn, number, after, max(1, min(limit, feed.EVENTS_MAX))),
    }


async def _to_regulator(
    request: Request, told: Callable[[Connection, int, Mapping[str, Any]], Awaitable[dict[str, Any]]]
) -> Response:
    """Answer a regulator that asks here, under the sourceID and key of its feed."""
    app = state(request)
    source_id = request_id = key = ""
    try:
        if "trace" not in app.settings.roles:
            raise YaosuError("jianguan_role")
        message = await _message(request)
        head = form.read_head(message)
        keeper: Keeper = app.parts["keeper"]
        async with app.pool.acquire() as conn:
            number = await conn.fetchval(feeds.LINK_BY_SOURCE, head.source_id)
            if number is None:
                raise YaosuError("jianguan_source")
            link = await connections.open_link(conn, keeper, number)
            mine = link.secret.get("key", "")
            if not form.genuine(message, mine):
                raise YaosuError("jianguan_sign")
            key, source_id, request_id = mine, head.source_id, head.request_id
            held.check_time(head)
            found = await told(conn, number, message["body"])
        body = {"success": True, "code": "jianguan_ok", "message": "", **found}
        return _answer(source_id, request_id, key, body)
    except YaosuError as error:
        return _answer(source_id, request_id, key, _refused(error), error.http)
    except Exception as error:
        # whatever broke is ours: the regulator asks again
        trouble.note(log, "jianguan_broke", error)
        busy = YaosuError("jianguan_busy")
        return _answer(source_id, request_id, key, _refused(busy), busy.http)
