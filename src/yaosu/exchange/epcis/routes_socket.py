"""`GET /queries/{name}/events` with `Upgrade: websocket` (EPCIS 2.0 §12.8): the conversation's beginning and end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import structlog
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from yaosu.access.sockets import KEY_ID, RECHECK, request_of
from yaosu.edge.state import AppState, state
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import schedule, store
from yaosu.exchange.epcis.query import page_size
from yaosu.exchange.epcis.query_values import time_of, truth
from yaosu.exchange.epcis.sockets import EVENTS_A_MESSAGE, FAILED, ONLY_TELLS, EndedError, Hub, Teller, Wanted
from yaosu.exchange.epcis.times import stamp
from yaosu.exchange.epcis.web import VERSIONS, XML, answer_type, check_request, chosen, reader, refused
from yaosu.exchange.epcis.writing import DIGITAL_LINK, EPC_FORMATS, URN, WORD_FORMATS

log = structlog.get_logger("yaosu.exchange.epcis")

_CONTROLS = frozenset(["stream", "reportIfEmpty", "initialRecordTime", "perPage", "lang", *schedule.FIELDS])


async def socket(ws: WebSocket) -> None:
    """Follow a named query."""
    request = request_of(ws.scope)
    app = state(request)
    hub: Hub = app.parts["epcis_sockets"]
    try:
        wanted = await _wanted(request, app)
        with hub.place(int(ws.scope["state"][KEY_ID])) as wake:
            about = {
                **VERSIONS,
                "GS1-Query-Min-Record-Time": stamp(wanted.begin),
                "GS1-EPC-Format": wanted.epc,
            }
            await ws.accept(headers=[(k.lower().encode(), v.encode()) for k, v in about.items()])
            teller = Teller(hub, wanted, wake, ws.scope["state"][RECHECK], ws.send_text)
            await _converse(ws, teller)
    except YaosuError as error:
        await refused(request, error)(ws.scope, ws.receive, ws.send)
    except WebSocketDisconnect:
        return


async def _wanted(request: Request, app: AppState) -> Wanted:
    """What is asked for, checked before the connection is taken."""
    check_request(request)
    subject, name = reader(request), request.path_params["name"]
    async with app.pool.acquire() as conn:
        row = await conn.fetchrow(store.QUERY, subject.org, name[:200])
    if row is None:
        raise YaosuError("epcis_no_such_name", {"name": name[:100]})
    given: dict[str, str] = {}
    for key, value in request.query_params.multi_items():
        if key not in _CONTROLS:
            raise YaosuError("epcis_query_unknown_parameter", {"name": key[:100]})
        if key in given:
            raise YaosuError("epcis_subscription_form", {"field": key, "reason": "×2"})
        given[key] = value
    fields = {k: v for k, v in given.items() if k in schedule.FIELDS}
    stream = truth("stream", given["stream"]) if "stream" in given else False
    if stream == bool(fields):
        raise YaosuError(
            "epcis_subscription_form", {"field": "stream", "reason": "stream=true XOR second … dayOfWeek"}
        )
    plan = schedule.read(fields) if fields else None
    now = datetime.now(UTC)
    if plan is not None:
        schedule.following(plan, now)
    begin = now
    if "initialRecordTime" in given:
        begin = time_of("initialRecordTime", given["initialRecordTime"])
    return Wanted(
        name=name,
        made_at=row["created_at"],
        plan=plan,
        report_empty=truth("reportIfEmpty", given["reportIfEmpty"]) if "reportIfEmpty" in given else False,
        begin=begin,
        per_message=page_size(given.get("perPage", EVENTS_A_MESSAGE)),
        epc=chosen(request, "GS1-EPC-Format", EPC_FORMATS, DIGITAL_LINK),
        words=chosen(request, "GS1-CBV-XML-Format", WORD_FORMATS, URN),
        xml=answer_type(request) == XML,
        number=str(uuid4()),
    )


async def _converse(ws: WebSocket, teller: Teller) -> None:
    """Tell and listen until one of the two ends."""
    tasks = {asyncio.create_task(teller.run()), asyncio.create_task(_hear(ws))}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    ends = [task.exception() for task in done]
    if any(isinstance(end, WebSocketDisconnect) for end in ends):
        return
    end = ends[0]
    if not isinstance(end, EndedError):
        log.error("epcis_socket_failed", exc_info=end)
        end = EndedError(FAILED, "internal_error")
    with suppress(WebSocketDisconnect, RuntimeError):
        await ws.close(end.code, end.reason)


async def _hear(ws: WebSocket) -> None:
    """Whoever follows a query has nothing to say; pings are answered by the server itself."""
    message = await ws.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    raise EndedError(ONLY_TELLS, "this connection only tells: send nothing")
