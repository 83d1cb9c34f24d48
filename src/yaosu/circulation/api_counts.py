"""Stock counts over the API (R-B6)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.access.visibility import visible
from yaosu.circulation import counts, service, views, views_count
from yaosu.circulation import store_count as store
from yaosu.circulation.api_common import Cursor, Limit, answered, as_json
from yaosu.circulation.model import CODES_MAX, Movement
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.circulation.schemas import INT_MAX, Number, RawCode
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter(prefix="/counts", tags=["circulation"])

CountId = Annotated[int, Path(ge=1, le=2**63 - 1)]

_COUNT = {
    "id": 5,
    "count_no": "PD-20260930-0001",
    "state": "open",
    "scans": 118,
    "comparison": {
        "matched": 117,
        "short": 2,
        "found": 1,
        "digest": "0f9a…",
        "missing": [{"code": "83857940000879766660", "product": "复方测试胶囊 0.3g 24粒/盒", "qty": 2}],
        "surplus": [{"code": "83857930000879761234", "verdict": "accepted"}],
        "explained": [
            {"code": "83857930000879761111", "verdict": "already_sold", "message": "本单位已登记售出/使用"}
        ],
    },
}


class CountIn(BaseModel):
    """What was scanned, and what was to be counted: everything, a product, or a batch of it."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [{"bill_no": "PD-20260930-0001", "drug_id": 7, "codes": ["83857930000879766660"]}]
        },
    )
    bill_no: Annotated[Number, Field(description="盘点单号: unique per organisation.")]
    codes: Annotated[list[RawCode], Field(max_length=CODES_MAX, description="Everything on the shelf.")]
    drug_id: Annotated[int | None, Field(ge=1, le=INT_MAX)] = None
    batch_no: Annotated[CleanText, Field(max_length=64)] = ""


class CountCheckIn(BaseModel):
    """Scans to look at while counting."""

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"codes": ["83857930000879766660"]}]}
    )
    codes: Annotated[list[RawCode], Field(max_length=500)]


class ConfirmIn(BaseModel):
    """The difference as shown, and why it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"digest": "0f9a…", "reason": "月末盘点"}]}
    )
    digest: Annotated[CleanText, Field(min_length=1, max_length=64)]
    reason: Annotated[CleanText, Field(min_length=2, max_length=500)]


async def whole(request: Request, conn: Connection, subject: Subject, count_id: int) -> dict[str, Any]:
    """A count with its comparison as of now; one that is posted or dropped stands as it was."""
    row = await counts.seen(conn, subject, count_id)
    registry, lang = registry_of(request), language(request)
    numbers = []
    if row["batch_id"]:
        numbers = await conn.fetch(store.BATCH_NUMBERS, [row["drug_id"]], [row["batch_id"]])
    view = views_count.head(registry, row, numbers[0]["batch_no"] if numbers else "")
    if row["state"] in ("open", "posting") and row["org"] == subject.org_id and subject.can("bill.write"):
        scope = (row["codes"], row["drug_id"], row["batch_id"], row["org"])
        found = await counts.compare(conn, registry, batches_of(request), subject, *scope)
        view["comparison"] = await views_count.comparison(conn, registry, found, lang)
    return view


@router.post(
    "",
    summary="Submit a stock count",
    description="Everything scanned on the shelf, for the whole stock, a product or a batch. Nothing is booked: the "
    "answer compares books and shelf; `POST /counts/{id}/confirm` books the difference.",
    responses=answered(_COUNT, "count_number_taken", "count_batch_unknown", "count_too_large", "not_found"),
)
async def begin(request: Request, body: CountIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The scans of a count; answers like a station's submission, with the count's number as `bill_id`."""
    registry = registry_of(request)
    made = await counts.begin(
        conn,
        registry,
        subject,
        count_no=body.bill_no,
        codes=body.codes,
        drug_id=body.drug_id,
        batch_no=body.batch_no,
    )
    view = await whole(request, conn, subject, made)
    station = {
        "bill_no": body.bill_no,
        "bill_id": made,
        "status": "accepted",
        "accepted": view["scans"],
        "refused": 0,
        "results": [],
    }
    return as_json({**view, **station})


@router.post(
    "/check",
    summary="Look at scans while counting",
    description="For the scan station: in stock here, written off earlier, or why it is not in stock. Changes nothing.",
    responses=answered({"results": [{"code": "83857930000879766660", "verdict": "count_matched"}]}),
)
async def check(request: Request, body: CountCheckIn, subject: CurrentSubject, conn: Conn) -> Response:
    """One verdict per scan, in words of the count."""
    registry, lang = registry_of(request), language(request)
    movement = Movement(counts.OVER_TYPE, "", subject.org, counts.now(), body.codes)
    results, world = await service.check(conn, registry, batches_of(request), subject, movement)
    answers = []
    for one in results:
        units = world.rows_of.get(one.code, ())
        # whatever lies in own stock is what a count looks for, although a bill would have nothing to do with it
        if counts.in_own_stock(world, units, subject.org):
            one.verdict, one.severity = "count_matched", "ok"
        elif one.accepted:
            one.verdict, one.severity = "count_found", "warn"
        facts = world.batches.get(one.batch_id)
        view = one.as_json(lang)
        view["product"] = views.product_name(registry, one.drug_id)
        view["batch"] = facts.batch_no if facts else ""
        view["level_name"] = (
            views.level_name(registry, units[0].drug_id, units[0].level, lang) if units else ""
        )
        answers.append(view)
    return as_json({"results": answers, "tally": []})


@router.get(
    "",
    summary="List stock counts",
    description="Newest first, with what was booked.",
    responses=answered({"items": [], "next": None}),
)
async def listed(
    request: Request, subject: CurrentSubject, conn: Conn, before: Cursor = None, limit: Limit = 50
) -> Response:
    """Counts of the own organisation."""
    subject.require("stock.read")
    rows = await store.counts(conn, visible(subject), before, limit)
    registry = registry_of(request)
    items = [views_count.head(registry, r) for r in rows]
    return as_json({"items": items, "next": rows[-1]["id"] if len(rows) == limit else None})


@router.get(
    "/{count_id}",
    summary="Read a stock count",
    description="With the comparison as of now while it is open.",
    responses=answered(_COUNT, "not_found", "count_too_large"),
)
async def count(request: Request, count_id: CountId, subject: CurrentSubject, conn: Conn) -> Response:
    """Books against shelf."""
    return as_json(await whole(request, conn, subject, count_id))


@router.post(
    "/{count_id}/confirm",
    summary="Book the difference of a stock count",
    description="Posts 214 盘亏出库 for what is missing and 111 盘盈入库 for what turned up again, all or nothing. "
    "Refused when stock has changed since the comparison named by `digest`.",
    responses={
        **answered({"id": 5, "state": "posted", "short_bill": 4711, "over_bill": 4712}),
        **problems(
            "unauthenticated", "forbidden", "invalid_request", "not_found", "count_changed", "count_done"
        ),
    },
)
async def confirm(request: Request, count_id: CountId, body: ConfirmIn, subject: CurrentSubject) -> Response:
    """One confirmation for both bills."""
    pool, committer = state(request).pool, committer_of(request)
    registry, batches = registry_of(request), batches_of(request)
    await counts.confirm(pool, committer, registry, batches, subject, count_id, body.digest, body.reason)
    async with pool.acquire() as conn:
        return as_json(await whole(request, conn, subject, count_id))


@router.post(
    "/{count_id}/drop",
    summary="Give up a stock count",
    description="Nothing is booked; the scans stay on record.",
    responses=answered({"id": 5, "state": "dropped"}, "not_found", "count_done"),
)
async def drop(request: Request, count_id: CountId, subject: CurrentSubject, conn: Conn) -> Response:
    """Not this one."""
    await counts.drop(conn, subject, count_id)
    return as_json(await whole(request, conn, subject, count_id))
