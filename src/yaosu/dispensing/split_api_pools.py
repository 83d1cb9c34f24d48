"""Pools of pre-scanned boxes over the API (预扫码池, R-C9): for wards, dispensing machines and HIS."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation.api_common import answered, as_json
from yaosu.circulation.parts import batches_of
from yaosu.db.engine import Connection
from yaosu.dispensing import split_pools, split_views
from yaosu.dispensing import split_store_pool as store
from yaosu.dispensing.split_deps import desk_of, order_answer
from yaosu.dispensing.split_examples import ORDER_EXAMPLE
from yaosu.dispensing.split_schemas import BackIn, CountIn, DrawIn, LevelIn, LoadIn, PoolIn, UnloadIn
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter(tags=["dispensing"])

PoolId = Annotated[int, Path(ge=1, le=2**31 - 1)]
_POOL: dict[str, Any] = {
    "id": 3,
    "org": {"id": 5, "name": "某医院", "uscc": "", "type": 3, "region": "370102"},
    "name": "三病区包药机",
    "kind": "machine",
    "type": 323,
    "type_name": "使用出库",
    "opens": True,
    "made_at": "2026-09-30T07:00:00+08:00",
    "closed_at": None,
    "boxes": 12,
    "blocked": 0,
    "low": 0,
}
_LEVEL: dict[str, Any] = {
    "drug_id": 7,
    "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
    "prep_unit": "粒",
    "boxes": 12,
    "units": 288,
    "refill_below": 100,
    "low": False,
}
_LOADED: dict[str, Any] = {
    "raw": "83857930000879766660",
    "code": "83857930000879766660",
    "boxes": 1,
    "verdict": "pool_box_loaded",
    "message": "已装入",
    "next": "",
    "params": {},
}
_DRAWN = {**ORDER_EXAMPLE, "number": "BY-20260930-0730", "pool_id": 3}


@router.get(
    "/dispensing/pools",
    summary="Pools",
    description="Open pools first, with boxes, blocked boxes and products below their level for refilling.",
    responses=answered({"items": [_POOL]}),
)
async def pools(
    request: Request, subject: CurrentSubject, conn: Conn, closed: Annotated[bool, Query()] = False
) -> Response:
    """预扫码池 (R-C9)."""
    subject.require("bill.read")
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    if sight.records_reads:
        await record_read(conn, subject, "pools", None)
    rows = await store.pools(conn, sight, closed)
    return as_json({"items": [split_views.pool_view(registry, r, lang) for r in rows]})


@router.post(
    "/dispensing/pools",
    summary="Make a pool",
    description="For a ward, a dispensing machine (包药机) or a counter. `opens`: boxes are opened as they are loaded.",
    responses=answered(_POOL, "pool_name_taken", "not_your_bill", "pool_type_not_dispensing"),
)
async def make(request: Request, body: PoolIn, subject: CurrentSubject, conn: Conn) -> Response:
    """A new pool (R-C9)."""
    desk = desk_of(request, subject)
    made = await split_pools.create(
        conn, desk, body.name, body.kind, bill_type=body.type, opens=body.opens, owner=body.owner
    )
    row = await store.pool(conn, visible(subject), made)
    assert row is not None
    return as_json(split_views.pool_view(registry_of(request), row, language(request)))


@router.get(
    "/dispensing/pools/{pool_id}",
    summary="One pool",
    description="Levels by product and the boxes in the order in which draws take them.",
    responses=answered({**_POOL, "levels": [_LEVEL], "contents": []}, "not_found"),
)
async def one(request: Request, pool_id: PoolId, subject: CurrentSubject, conn: Conn) -> Response:
    """One pool (R-C9)."""
    return as_json(await pool_answer(request, conn, subject, pool_id))


async def pool_answer(request: Request, conn: Connection, subject: Subject, pool_id: int) -> dict[str, Any]:
    """A pool as API and page show it."""
    found = await split_pools.shown(conn, subject, pool_id)
    registry, lang = registry_of(request), language(request)
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, f"pool {pool_id}", found["pool"]["org"])
    return {
        **split_views.pool_view(registry, found["pool"], lang),
        "levels": split_views.level_views(registry, found["levels"]),
        "contents": [split_views.pool_box_view(registry, r, lang) for r in found["boxes"]],
        "orders": [
            {
                "order_id": r["id"],
                "number": r["number"],
                "kind": r["kind"],
                "bill_id": r["bill_id"],
                "units": r["units"],
                "parts": r["shares"],
                "happened_at": r["happened_at"],
                "refused": len(r["refused"]),
            }
            for r in found["orders"]
        ],
    }


@router.post(
    "/dispensing/pools/{pool_id}/load",
    summary="Load boxes",
    description="Scan boxes, or whole cases, in advance. Opened boxes with a remainder may be loaded too. A verdict "
    "for every scan; a pool that opens its boxes answers with the bill (type 7) as well.",
    responses=answered({"items": [_LOADED], "bill": None}, "not_found", "pool_closed"),
)
async def load(request: Request, pool_id: PoolId, body: LoadIn, subject: CurrentSubject) -> Response:
    """装池 (R-C9)."""
    lang = language(request)
    found, opened = await split_pools.load(
        desk_of(request, subject),
        batches_of(request),
        pool_id,
        body.number,
        body.codes,
        await request.body(),
    )
    return as_json(
        {
            "items": [split_views.loaded_view(one, lang) for one in found],
            "bill": opened.as_json(lang) if opened is not None else None,
        }
    )


@router.post(
    "/dispensing/pools/{pool_id}/draw",
    summary="Draw from a pool",
    description="Dispense by product and preparation units, without a scan: earliest expiry first, over several boxes "
    "if needed, up to 500 lines as one bill. Each line answers with the trace codes and parts used and their 拆零标志. "
    "Machines may draw at the same time: never more is drawn than there is. Repeating the same number and content "
    "gives the same answer.",
    responses=answered(
        _DRAWN,
        "not_found",
        "pool_closed",
        "split_lines_refused",
        "split_number_taken",
        "split_no_lines",
        "too_busy",
    ),
)
async def draw(request: Request, pool_id: PoolId, body: DrawIn, subject: CurrentSubject) -> Response:
    """池内发放 (R-C9)."""
    done = await split_pools.draw(
        desk_of(request, subject),
        pool_id,
        body.number,
        body.wants(),
        await request.body(),
        happened_at=body.happened_at,
        atomic=body.mode == "atomic",
    )
    return as_json(await order_answer(request, subject, done))


@router.post(
    "/dispensing/pools/{pool_id}/returns",
    summary="Return parts to a pool",
    description="Parts that were drawn come back into their boxes (116 with parts) and the boxes into the pool.",
    responses=answered({**_DRAWN, "kind": "return", "type": 116}, "not_found", "split_lines_refused"),
)
async def give_back(request: Request, pool_id: PoolId, body: BackIn, subject: CurrentSubject) -> Response:
    """退回药池 (R-C9)."""
    lines = [line.line() for line in body.lines]
    done = await split_pools.give_back(
        desk_of(request, subject), pool_id, body.number, lines, await request.body(), body.happened_at
    )
    return as_json(await order_answer(request, subject, done))


@router.post(
    "/dispensing/pools/{pool_id}/unload",
    summary="Take boxes out",
    description="Boxes leave the pool, opened or not, and stay in stock. A verdict for every scan.",
    responses=answered({"items": [{**_LOADED, "verdict": "accepted", "message": "已受理"}]}, "not_found"),
)
async def unload(request: Request, pool_id: PoolId, body: UnloadIn, subject: CurrentSubject) -> Response:
    """出池 (R-C9)."""
    found = await split_pools.unload(desk_of(request, subject), pool_id, body.codes)
    lang = language(request)
    return as_json({"items": [split_views.loaded_view(one, lang) for one in found]})


@router.post(
    "/dispensing/pools/{pool_id}/count",
    summary="Count a pool, and close it",
    description="Units counted by box. What is missing from opened boxes is written off as a loss (type 8) with the "
    "reason. With `close` every box is counted and the pool takes no further draws.",
    responses=answered(
        {"written_off": 1, "bill": {"bill_id": 4714, "bill_no": "QD-20260930-0001", "status": "accepted"}},
        "not_found",
        "split_lines_refused",
        "pool_closed",
    ),
)
async def count(request: Request, pool_id: PoolId, body: CountIn, subject: CurrentSubject) -> Response:
    """清点、清空、关闭 (R-C9)."""
    result, units = await split_pools.count(
        desk_of(request, subject),
        pool_id,
        body.number,
        {c.code: c.units for c in body.counts},
        body.reason,
        await request.body(),
        close=body.close,
    )
    bill = result.as_json(language(request)) if result is not None else None
    return as_json({"written_off": units, "bill": bill})


@router.post(
    "/dispensing/pools/{pool_id}/unblock",
    summary="Try refused boxes again",
    description="Boxes that the write path refused (recalled, held elsewhere …) are left out of draws until somebody "
    "looked; this lets draws try them again.",
    responses=answered({"id": 3}, "not_found"),
)
async def unblock(request: Request, pool_id: PoolId, subject: CurrentSubject, conn: Conn) -> Response:
    """After somebody looked at them (R-C9)."""
    await split_pools.unblock(conn, desk_of(request, subject), pool_id)
    return as_json({"id": pool_id})


@router.put(
    "/dispensing/pools/{pool_id}/levels/{drug_id}",
    summary="Level for refilling",
    description="When a draw leaves fewer free units of the product, the owner is told once a day.",
    responses=answered({"drug_id": 7, "refill_below": 100}, "not_found"),
)
async def set_level(
    request: Request,
    pool_id: PoolId,
    drug_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    body: LevelIn,
    subject: CurrentSubject,
    conn: Conn,
) -> Response:
    """补充线 (R-C9)."""
    await split_pools.set_level(conn, desk_of(request, subject), pool_id, drug_id, body.refill_below)
    return as_json({"drug_id": drug_id, "refill_below": body.refill_below})
