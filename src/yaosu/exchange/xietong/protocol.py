"""The envelope over HTTP, for both roles: a platform takes from its systems, a trace system from its platform.

Answers are always HTTP 200 with `{success, msg_code, msg_info}`: clients of this interface look at the body. What is
asked by machines is signed; resolving is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from yaosu.db import trouble
from yaosu.edge import strict_json
from yaosu.edge.problem import language
from yaosu.edge.state import AppState, state
from yaosu.errors import YaosuError, message
from yaosu.exchange.xietong import client, envelope, hub, hub_restored, keys, wire
from yaosu.exchange.xietong import store_hub as store
from yaosu.exchange.xietong.resolve import LOOK_S, Home, Resolver, from_registry
from yaosu.people.keeper import Keeper
from yaosu.registry.parts import registry_of

router = APIRouter()
log = structlog.get_logger("yaosu.xietong")

MAIL_MAX = 200
MAIL_BYTES_MAX = 8 * 1024 * 1024


def resolver_of(app: AppState) -> Resolver:
    """The platform's table of prefixes."""
    found: Resolver = app.parts["xietong.resolver"]
    return found


async def _params(request: Request) -> dict[str, str]:
    """Parameters of a JSON or form body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        form = await request.form()
        return envelope.params_of({k: v for k, v in form.items() if isinstance(v, str)})
    try:
        return envelope.params_of(strict_json.parse(await request.body()))
    except strict_json.MalformedBodyError as error:
        raise envelope.wrong("body", error.zh, error.en) from None


def _answer(params: Mapping[str, str], key: str, body: Mapping[str, Any]) -> Response:
    full = {
        **body,
        "event_id": params.get("event_id", ""),
        "process_id": params.get("process_id", ""),
        "timestamp": envelope.stamp(datetime.now(UTC)),
    }
    full = {k: v for k, v in full.items() if v != ""}
    return JSONResponse(wire.sign_answer(full, key) if key else full)


def _refusal(error: YaosuError) -> dict[str, Any]:
    said = error.as_json("zh")
    found = {"success": False, "msg_code": error.code, "msg_info": str(said["message"])}
    where = str(error.params.get("field", "")) or (error.findings[0].where if error.findings else "")
    return {**found, "field": where} if where else found


def _done(said: Mapping[str, Any]) -> dict[str, Any]:
    code = "xietong_repeated" if said.get("repeated") else "ok"
    more = {k: v for k, v in said.items() if k != "repeated"}
    return {"success": True, "msg_code": code, "msg_info": message(code).text("zh", {}), **more}


@router.post("/xietong/exchange")
async def exchange(request: Request) -> Response:
    """One event: to the platform from a system, or to a system from its platform."""
    app = state(request)
    params: dict[str, str] = {}
    key = ""
    try:
        params = await _params(request)
        found = envelope.read(params)
        keeper: Keeper = app.parts["keeper"]
        async with app.pool.acquire() as conn:
            link = None
            # what a platform delivers carries its number in the mailbox; an installation may be both
            if "trace" in app.settings.roles and (found.n or "coordination" not in app.settings.roles):
                link = await client.link_of(conn, keeper, found.app_id)
            if link is not None:
                mine = link.secret.get("key", "")
                if not envelope.genuine(params, mine):
                    raise YaosuError("xietong_sign")
                key = mine
                if not envelope.in_time(found.sent_at, datetime.now(UTC)):
                    raise YaosuError("xietong_time", {"minutes": int(envelope.SKEW.total_seconds() // 60)})
                try:
                    async with conn.transaction():
                        new = await client.take(conn, link.id, found)
                except YaosuError as error:
                    if error.code == "xietong_numbers":
                        await client.doubt(conn, link.id)
                        app.parts["xietong.wake"].set()
                    raise
                app.parts["xietong.wake"].set()
                return _answer(params, key, _done({"repeated": not new} if not new else {}))
        if "coordination" not in app.settings.roles:
            raise YaosuError("xietong_role")
        async with app.pool.acquire() as conn:
            row = await hub.authenticate(conn, keeper, params, found.sent_at)
            key = keys.unseal(keeper, row["app_id"], row["key"])
            system = hub.system_of(row)
            try:
                async with conn.transaction():
                    said = await hub.receive(
                        conn, system, registry_of(request).lists, resolver_of(app), found
                    )
            except YaosuError as error:
                await conn.execute(store.REFUSED, system.id, str(error.as_json("zh")["message"])[:500])
                raise
        if found.event_type == envelope.BASE:
            resolver_of(app).stale()
        app.parts["xietong.wake"].set()
        return _answer(params, key, _done(said))
    except YaosuError as error:
        return _answer(params, key, _refusal(error))
    except Exception as error:
        # whatever broke is ours: the sender keeps the event and sends it again
        trouble.note(log, "xietong_exchange_broke", error)
        return _answer(params, key, _refusal(YaosuError("xietong_busy")))


@router.post("/xietong/mailbox")
async def mailbox(request: Request) -> Response:
    """Events for a system after a number, in order; each is a signed envelope of its own."""
    app = state(request)
    params: dict[str, str] = {}
    key = ""
    try:
        params = await _params(request)
        if "coordination" not in app.settings.roles:
            raise YaosuError("xietong_role")
        after, limit = _number(params, "after", 0), _number(params, "limit", 100)
        try:
            sent_at = datetime.strptime(
                params.get("timestamp") or params.get("tiemstamp", ""), "%Y-%m-%d %H:%M:%S"
            ).replace(tzinfo=envelope.CHINA)
        except ValueError:
            raise envelope.wrong("timestamp", "应为 yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss") from None
        keeper: Keeper = app.parts["keeper"]
        async with app.pool.acquire() as conn:
            row = await hub.authenticate(conn, keeper, params, sent_at)
            key = keys.unseal(keeper, row["app_id"], row["key"])
            system = hub.system_of(row)
            check, sent = params.get("check", ""), _number(params, "sent", 0)
            async with conn.transaction():
                fits = await hub_restored.agrees(conn, system, after, check, sent)
            if fits:
                await conn.execute(store.SET_PULLED, system.id, after)
            found = await hub.mailbox(conn, system.id, after, max(1, min(limit, MAIL_MAX)))
        events: list[dict[str, str]] = []
        size = 0
        now = datetime.now(UTC)
        for one in found:
            size += len(one.data)
            if events and size > MAIL_BYTES_MAX:
                break
            events.append(envelope.sign(one.params(system.app_id, now, params.get("process_id", "")), key))
        said = {**_done({}), "last": system.box, "held": system.held, "agrees": fits}
        return _answer(params, key, {**said, "events": events})
    except YaosuError as error:
        return _answer(params, key, _refusal(error))
    except Exception as error:
        # asked again from the same place
        trouble.note(log, "xietong_exchange_broke", error)
        return _answer(params, key, _refusal(YaosuError("xietong_busy")))


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    value = params.get(name, "")
    if not value:
        return default
    if not value.isdigit() or len(value) > 18:
        raise envelope.wrong(name, "应为整数", "a whole number")
    return int(value)


async def home_of(request: Request, code: str) -> Home | None:
    """The home of a code: a platform knows all filings, a trace system what the platform told it."""
    app = state(request)
    if "coordination" in app.settings.roles:
        resolver = resolver_of(app)
        await resolver.refresh(app.pool, LOOK_S)
        found = resolver.resolve(code)
        if found is not None:
            return found
    return from_registry(registry_of(request), code)


Code = Annotated[str, Query(min_length=1, max_length=2048)]


@router.get("/xietong/resolve")
async def resolve(request: Request, code: Code) -> Response:
    """Code → home system, resolver address, public query page (R-A4). Public."""
    found = await home_of(request, code)
    if found is None:
        error = YaosuError("xietong_resolve_unknown", {"code": code[:60]})
        return JSONResponse({**_refusal(error), **error.as_json(language(request))}, error.http)
    return JSONResponse({"success": True, "msg_code": "ok", **found.as_json()})


@router.get("/xietong/code")
async def lead(request: Request, code: Code) -> Response:
    """Leads the public to the query page of the system a code lives in."""
    found = await home_of(request, code)
    if found is None or not found.query_url.startswith(("http://", "https://")):
        raise YaosuError("xietong_resolve_unknown", {"code": code[:60]})
    return RedirectResponse(found.query_url, 302, {"cache-control": "no-store", "x-robots-tag": "noindex"})
