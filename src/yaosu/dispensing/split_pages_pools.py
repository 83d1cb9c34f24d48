"""Pages of pools (预扫码池, R-C9): all pools, and one with its levels, boxes and latest draws."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation.api_common import as_json
from yaosu.circulation.pages_common import at, owners_of, station_key, type_of
from yaosu.circulation.parts import batches_of
from yaosu.circulation.views import product_name
from yaosu.db.engine import Connection
from yaosu.dispensing import split_pools, split_service, split_views
from yaosu.dispensing import split_store_pool as store
from yaosu.dispensing.split_api_pools import pool_answer
from yaosu.dispensing.split_deps import desk_of
from yaosu.dispensing.split_model import last_day
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()

PoolId = Annotated[int, Path(ge=1, le=2**31 - 1)]
CHECK_MAX = 500


@router.get("/pools")
async def pools(
    request: Request, conn: Conn, subject: CurrentSubject, closed: Annotated[bool, Query()] = False
) -> Response:
    """All pools, open ones first."""
    return await _pools(request, conn, subject, closed)


async def _pools(
    request: Request,
    conn: Connection,
    subject: Subject,
    closed: bool = False,
    error: YaosuError | None = None,
) -> Response:
    subject.require("bill.read")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    if sight.records_reads:
        await record_read(conn, subject, "pools", None)
    rows = await store.pools(conn, sight, closed)
    may = subject.org_id is not None and type_of(subject) in (3, 4) and subject.can("bill.write")
    context = {
        "at": at,
        "pools": [split_views.pool_view(registry, r, lang) for r in rows],
        "closed": closed,
        "may": may,
        "owners": await owners_of(request, conn, subject) if may else [],
        "many": sight.kind != "own",
        "problem": error.as_json(lang) if error is not None else None,
    }
    return render(request, "dispensing/split_pools.html", context, error.http if error is not None else 200)


@router.post("/pools")
async def make(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Annotated[str, Form(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")],
    kind: Annotated[str, Form(pattern="^(ward|machine|counter)$")],
    opens: Annotated[str, Form(pattern="^[01]?$")] = "",
    owner: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
) -> Response:
    """A new pool."""
    desk = desk_of(request, subject)
    whose = int(owner) if owner else None
    try:
        made = await split_pools.create(conn, desk, name.strip(), kind, opens=opens == "1", owner=whose)
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _pools(request, conn, subject, error=error)
    return see_other(f"/pools/{made}")


@router.get("/pools/{pool_id}")
async def pool(request: Request, conn: Conn, subject: CurrentSubject, pool_id: PoolId) -> Response:
    """One pool: levels, boxes in the order of drawing, the latest acts; loading by scan."""
    return await _pool(request, conn, subject, pool_id)


async def _pool(
    request: Request, conn: Connection, subject: Subject, pool_id: int, error: YaosuError | None = None
) -> Response:
    found = await pool_answer(request, conn, subject, pool_id)
    lang = language(request)
    may = subject.can("bill.write") and found["closed_at"] is None and subject.org_id is not None
    context = {
        "at": at,
        "pool": found,
        "may": may and not visible(subject).records_reads,
        "key": station_key(subject, "pool", pool_id),
        "number": f"CC-{datetime.now(UTC):%Y%m%d-%H%M%S%f}",
        "problem": error.as_json(lang) if error is not None else None,
    }
    return render(request, "dispensing/split_pool.html", context, error.http if error is not None else 200)


@router.post("/pools/{pool_id}/check")
async def check(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    pool_id: PoolId,
    body: Annotated[dict[str, Any], Body()],
) -> Response:
    """The loading station's question: what of these scans could go into the pool."""
    head = await split_pools.mine(conn, desk_of(request, subject), pool_id)
    codes = _codes(body, CHECK_MAX)
    registry, lang = registry_of(request), language(request)
    looked = await split_service.look(conn, registry, batches_of(request), subject, head["org"], codes)
    results = []
    for one in looked:
        product = registry.product(one.drug_id)
        # a case cannot be split but brings the boxes in it
        good = (
            one.verdict in ("", "split_not_possible") and product is not None and product.prep_units_per > 1
        )
        verdict = "accepted" if good else one.verdict or "split_not_possible"
        said = split_views.said(verdict, {"code": one.code or one.raw, **(one.params or {})}, lang)
        results.append(
            {
                "raw": one.raw,
                "code": one.code,
                "severity": "ok" if good else "refused",
                **said,
                "product": product_name(registry, one.drug_id),
                "batch": "",
                "expiry": last_day(one.until).isoformat() if one.until is not None else "",
                "level_name": "",
                "qty": 1 if good else 0,
                "status": None,
            }
        )
    return as_json({"results": results})


@router.post("/pools/{pool_id}/load")
async def load(
    request: Request, subject: CurrentSubject, pool_id: PoolId, body: Annotated[dict[str, Any], Body()]
) -> Response:
    """The loading station's submission; its answer has the station's form."""
    codes = _codes(body, split_pools.LOADED_MAX)
    number = body.get("bill_no")
    if not isinstance(number, str) or not 1 <= len(number) <= 64 or "\x00" in number:
        raise YaosuError("field_invalid", {"field": "bill_no", "reason": str(number)[:40]})
    found, opened = await split_pools.load(
        desk_of(request, subject), batches_of(request), pool_id, number, codes, await request.body()
    )
    lang = language(request)
    results = []
    for one in found:
        good = one.verdict == "pool_box_loaded"
        view = split_views.loaded_view(one, lang)
        results.append({**view, "severity": "ok" if good else "refused", "qty": one.boxes})
    accepted = sum(1 for r in results if r["severity"] == "ok")
    refused = len(results) - accepted
    status = "accepted" if not refused else "partial" if accepted else "refused"
    return as_json(
        {
            "bill_no": number,
            "bill_id": opened.bill_id if opened is not None and opened.bill_id else None,
            "status": status,
            "accepted": accepted,
            "refused": refused,
            "qty": sum(one.boxes for one in found),
            "results": results,
        }
    )


def _codes(body: dict[str, Any], most: int) -> list[str]:
    codes = body.get("codes")
    if not isinstance(codes, list) or not all(isinstance(c, str) and len(c) <= 4096 for c in codes):
        raise YaosuError("field_invalid", {"field": "codes", "reason": '["…"]'})
    if len(codes) > most:
        raise YaosuError("too_many_codes", {"count": len(codes), "limit": most})
    return codes


@router.post("/pools/{pool_id}/unload")
async def unload(
    request: Request,
    subject: CurrentSubject,
    pool_id: PoolId,
    codes: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Take the ticked boxes out."""
    await split_pools.unload(desk_of(request, subject), pool_id, (codes or [])[:1000])
    return see_other(f"/pools/{pool_id}")


@router.post("/pools/{pool_id}/unblock")
async def unblock(request: Request, conn: Conn, subject: CurrentSubject, pool_id: PoolId) -> Response:
    """Let draws try the refused boxes again."""
    await split_pools.unblock(conn, desk_of(request, subject), pool_id)
    return see_other(f"/pools/{pool_id}")


@router.post("/pools/{pool_id}/levels")
async def set_level(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    pool_id: PoolId,
    drug_id: Annotated[int, Form(ge=1, le=2**31 - 1)],
    refill_below: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
) -> Response:
    """The level for refilling of a product; empty takes it away."""
    below = int(refill_below) if refill_below and int(refill_below) > 0 else None
    await split_pools.set_level(conn, desk_of(request, subject), pool_id, drug_id, below)
    return see_other(f"/pools/{pool_id}")


@router.post("/pools/{pool_id}/count")
async def count(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    pool_id: PoolId,
    number: Annotated[str, Form(min_length=1, max_length=64)],
    reason: Annotated[str, Form(min_length=2, max_length=500, pattern=r"^[^\x00]*$")],
    code: Annotated[list[str] | None, Form()] = None,
    units: Annotated[list[str] | None, Form()] = None,
    close: Annotated[str, Form(pattern="^1?$")] = "",
) -> Response:
    """What was counted in each box; a box left empty was not counted."""
    counts: dict[str, int] = {}
    try:
        for one, text in zip(code or [], units or [], strict=True):
            if text.strip():
                if not text.strip().isascii() or not text.strip().isdigit() or len(text) > 9:
                    raise YaosuError("field_invalid", {"field": one[:40], "reason": text[:40]})
                counts[one] = int(text)
        if not counts and not close:
            raise YaosuError("split_no_lines")
        await split_pools.count(
            desk_of(request, subject),
            pool_id,
            number,
            counts,
            reason,
            orjson.dumps({"number": number, "reason": reason, "counts": counts}),
            close=close == "1",
        )
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _pool(request, conn, subject, pool_id, error)
    except ValueError:
        raise YaosuError("field_invalid", {"field": "units", "reason": "code ≠ units"}) from None
    return see_other(f"/pools/{pool_id}")
