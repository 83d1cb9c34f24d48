"""Split dispensing over the API (拆零, R-C9): look, dispense, take back, write off, the ledger."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation.api_common import answered, as_json
from yaosu.circulation.parts import batches_of
from yaosu.dispensing import split_api_pools, split_papers, split_service, split_views
from yaosu.dispensing import split_store as store
from yaosu.dispensing.split_deps import (
    box_key,
    cursor_of,
    cursor_text,
    desk_of,
    order_answer,
    org_name,
    people_of,
    soon_of,
)
from yaosu.dispensing.split_examples import BOX_EXAMPLE, ORDER_EXAMPLE
from yaosu.dispensing.split_model import Line
from yaosu.dispensing.split_orders import Recorded
from yaosu.dispensing.split_schemas import BackIn, CloseExpiredIn, LookIn, LossIn, OpenIn, PartsIn
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter(tags=["dispensing"])


@router.post(
    "/dispensing/split/look",
    summary="What remains in scanned boxes",
    description="For stations: product, units left, last moment of use, or the reason why none of it may be dispensed. "
    "Changes nothing.",
    responses=answered(
        {
            "items": [
                {
                    "raw": "83857930000879766660",
                    "code": "83857930000879766660",
                    "ok": True,
                    "verdict": "accepted",
                    "message": "已受理",
                    "next": "",
                    "params": {},
                    "drug_id": 7,
                    "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
                    "prep_unit": "粒",
                    "opened": True,
                    "total": 24,
                    "left": 18,
                    "until": "2028-03-01T00:00:00+08:00",
                }
            ]
        },
        "not_your_bill",
    ),
)
async def look(request: Request, body: LookIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The split station's question (R-C9, R-X1)."""
    owner = desk_of(request, subject).owner(body.owner)
    registry, lang = registry_of(request), language(request)
    found = await split_service.look(conn, registry, batches_of(request), subject, owner, body.codes)
    return as_json({"items": [split_views.looked_view(registry, one, lang) for one in found]})


@router.post(
    "/dispensing/split/open",
    summary="Open boxes",
    description="Bill type 7: closed boxes in stock become opened ones with their preparation units. Dispensing opens "
    "a closed box by itself; this is for opening in advance. A verdict for every code.",
    responses=answered(
        {"bill_id": 4710, "bill_no": "KF-20260930-0001", "status": "accepted"}, "bill_conflict"
    ),
)
async def open_boxes(request: Request, body: OpenIn, subject: CurrentSubject) -> Response:
    """拆零开封 (R-C9)."""
    desk = desk_of(request, subject)
    raw = await request.body()
    result = await split_service.open_boxes(desk, body.number, body.codes, raw, body.owner)
    return as_json(result.as_json(language(request)))


@router.post(
    "/dispensing/split",
    summary="Dispense parts",
    description="Parts of scanned boxes to one or several prescriptions, as one bill: all lines or none. Each part "
    "names its box's trace code; `trdn_flag` 1 is 拆零标志 as 医保 takes it. Closed boxes are opened by it. Never "
    "more than is in a box. Repeating the same number and content is safe.",
    responses=answered(
        ORDER_EXAMPLE,
        "split_lines_refused",
        "split_number_taken",
        "not_your_bill",
        "bill_conflict",
        "too_busy",
    ),
)
async def dispense(request: Request, body: PartsIn, subject: CurrentSubject) -> Response:
    """拆零发放 (R-C9)."""
    done = await split_service.dispense(
        desk_of(request, subject),
        body.number,
        [line.line() for line in body.lines],
        await request.body(),
        bill_type=body.type,
        happened_at=body.happened_at,
        owner=body.owner,
    )
    return as_json(await order_answer(request, subject, done))


@router.post(
    "/dispensing/split/returns",
    summary="Take parts back",
    description="Parts come back into their boxes (bill type 116 with parts): all lines or none. A line with a "
    "prescription gives back at most what that prescription holds of the box.",
    responses=answered(
        {**ORDER_EXAMPLE, "kind": "return", "type": 116, "type_name": "消费者退货入库"},
        "split_lines_refused",
        "split_number_taken",
        "not_your_bill",
        "bill_conflict",
    ),
)
async def take_back(request: Request, body: BackIn, subject: CurrentSubject) -> Response:
    """拆零退药 (R-C9)."""
    done = await split_service.take_back(
        desk_of(request, subject),
        body.number,
        [line.line() for line in body.lines],
        await request.body(),
        happened_at=body.happened_at,
        owner=body.owner,
    )
    return as_json(await order_answer(request, subject, done))


@router.post(
    "/dispensing/split/losses",
    summary="Write parts off",
    description="Bill type 8 with the reason: broken, spoiled, past its life. All lines or none.",
    responses=answered(
        {"bill_id": 4712, "bill_no": "CS-20260930-0001", "status": "accepted"},
        "split_lines_refused",
        "not_your_bill",
        "bill_conflict",
    ),
)
async def lose(request: Request, body: LossIn, subject: CurrentSubject) -> Response:
    """拆零损耗 (R-C9)."""
    lines = [Line(one.code, one.units) for one in body.lines]
    result = await split_service.lose(
        desk_of(request, subject),
        body.number,
        lines,
        body.reason,
        await request.body(),
        happened_at=body.happened_at,
        owner=body.owner,
    )
    return as_json(result.as_json(language(request)))


@router.post(
    "/dispensing/split/expired/close",
    summary="Write expired remainders off",
    description="All opened boxes past their last day with something left, or those named, as one loss bill.",
    responses=answered(
        {"bill_id": 4713, "bill_no": "CS-20260930-0002", "status": "accepted"},
        "split_nothing_expired",
        "not_your_bill",
    ),
)
async def close_expired(request: Request, body: CloseExpiredIn, subject: CurrentSubject) -> Response:
    """过期余量 (R-C9)."""
    desk = desk_of(request, subject)
    raw = await request.body()
    result = await split_service.close_expired(
        desk, body.number, body.reason, raw, codes=body.codes, owner=body.owner
    )
    return as_json(result.as_json(language(request)))


@router.get(
    "/dispensing/split/boxes",
    summary="The split ledger",
    description="Opened boxes, the latest first: total, dispensed, lost, left, last moment of use. `state`: open, "
    "expiring, expired, remainder (little left), finished, all. `format` xlsx or pdf gives the ledger as a file (needs "
    "`export.read`).",
    responses=answered({"items": [BOX_EXAMPLE], "next": None}),
)
async def boxes(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    state: Literal["open", "expiring", "expired", "remainder", "finished", "all"] = "open",
    drug_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    before: Annotated[str, Query(max_length=200, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    format: Literal["json", "xlsx", "pdf"] = "json",
) -> Response:
    """拆零台账 (R-C9)."""
    subject.require("bill.read")
    registry = registry_of(request)
    soon, percent = split_service.limits(registry)
    sight = visible(subject)
    if format != "json":
        subject.require("export.read")
        limit = split_papers.ROWS_MAX
    rows = await store.boxes(conn, sight, state, drug_id, cursor_of(before), limit, soon, percent)
    if sight.records_reads:
        await record_read(conn, subject, "split ledger", None)
    views = [split_views.box_view(registry, r, soon_of(soon)) for r in rows]
    if format != "json":
        paper = split_papers.ledger(views, org_name(request, subject), language(request))
        data = await asyncio.to_thread(split_papers.render, paper, format)
        return split_papers.file(data, format, "split-ledger")
    after = cursor_text(rows[-1]["opened_at"], rows[-1]["code"]) if len(rows) == limit else None
    return as_json({"items": views, "next": after})


@router.get(
    "/dispensing/split/box",
    summary="One opened box with every entry",
    description="The box as the ledger has it, each entry with its bill, and who got which part; patients masked.",
    responses=answered(
        {
            **BOX_EXAMPLE,
            "entries": [
                {
                    "bill_id": 4711,
                    "bill_no": "CL-20260930-0001",
                    "type": 323,
                    "type_name": "使用出库",
                    "kind": "dispense",
                    "qty": 6,
                    "change": -6,
                    "happened_at": "2026-09-30T10:12:31+08:00",
                    "recorded_at": "2026-09-30T10:12:32+08:00",
                    "by": "",
                    "reason": "",
                    "bill_status": "A",
                }
            ],
            "shares": [],
        },
        "not_found",
    ),
)
async def box(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    code: Annotated[str, Query(min_length=1, max_length=4096, description="Scanned text of the box.")],
    format: Literal["json", "xlsx", "pdf"] = "json",
) -> Response:
    """One box of the ledger (R-C9)."""
    subject.require("bill.read")
    found = await box_with_entries(request, conn, subject, code)
    if format != "json":
        subject.require("export.read")
        paper = split_papers.one_box(found, org_name(request, subject), language(request))
        data = await asyncio.to_thread(split_papers.render, paper, format)
        return split_papers.file(data, format, "split-box")
    return as_json(found)


async def box_with_entries(request: Request, conn: Conn, subject: Subject, code: str) -> dict[str, Any]:
    """A box, its entries and shares; `not_found` for others' boxes and boxes never opened."""
    registry, lang, sight = registry_of(request), language(request), visible(subject)
    key = box_key(registry, code)
    row = await store.box(conn, sight, *key) if key is not None else None
    if row is None or key is None:
        raise YaosuError("not_found", {"what": "拆零药盒" if lang == "zh" else "Opened box"})
    entries, shares = await store.entries(conn, sight, *key)
    if sight.records_reads:
        await record_read(conn, subject, f"split box {key[1]}", row["org"])
    people = await people_of(request, subject, [s["person_id"] for s in shares])
    soon, _ = split_service.limits(registry)
    return {
        **split_views.box_view(registry, row, soon_of(soon)),
        "entries": [split_views.entry_view(e, lang) for e in entries],
        "shares": [split_views.share_view(s, people) for s in shares],
    }


@router.get(
    "/dispensing/split/orders/{order_id}",
    summary="One dispensing or return of parts",
    description="Its lines and parts, for labels and for the 医保 upload.",
    responses=answered(ORDER_EXAMPLE, "not_found"),
)
async def order(
    request: Request, subject: CurrentSubject, conn: Conn, order_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """拆零发放单 (R-C9)."""
    subject.require("bill.read")
    found = await store.order(conn, visible(subject), order_id)
    if found is None or found[0]["state"] != "done":
        raise YaosuError("not_found", {"what": "拆零发放单" if language(request) == "zh" else "Order"})
    return as_json(await order_answer(request, subject, Recorded(*found)))


router.include_router(split_api_pools.router)
