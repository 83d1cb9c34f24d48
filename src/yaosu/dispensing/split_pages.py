"""Pages of split dispensing: station, ledger, one box, one act with its labels (拆零, R-C9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import record_read, visible
from yaosu.circulation.pages_common import at, missing, owners_of, station_key, type_of
from yaosu.circulation.views import product_name
from yaosu.db.engine import Connection
from yaosu.dispensing import split_pages_pools, split_service, split_views
from yaosu.dispensing import split_store as store
from yaosu.dispensing.split_api import box_with_entries
from yaosu.dispensing.split_deps import cursor_of, cursor_text, desk_of, order_answer, soon_of
from yaosu.dispensing.split_model import BOX_STATES, Line
from yaosu.dispensing.split_orders import Recorded
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

router = APIRouter()

PAGE = 50
TYPES = (321, 323, 327, 326, 320)
"""Bill types that dispense parts, the usual ones first; vaccination has its own page."""
Text = Annotated[str, Query(max_length=4096, pattern=r"^[^\x00]*$")]
NumberForm = Annotated[str, Form(min_length=1, max_length=64)]
ReasonForm = Annotated[str, Form(min_length=2, max_length=500, pattern=r"^[^\x00]*$")]
CodeForm = Annotated[str, Form(min_length=1, max_length=4096)]
UnitsForm = Annotated[int, Form(ge=1, le=1_000_000)]


def stamp(prefix: str) -> str:
    """A number for one act of a form: the moment, to the microsecond."""
    return f"{prefix}-{datetime.now(UTC):%Y%m%d-%H%M%S%f}"


def submitted(**fields: object) -> bytes:
    """What a form said, as the submission that is kept (D8)."""
    return orjson.dumps(fields)


def show(
    request: Request, template: str, context: dict[str, Any], error: YaosuError | None = None
) -> Response:
    """A page of the room, with what a form was refused for."""
    body = error.as_json(language(request)) if error is not None else None
    full = {"at": at, "problem": body, **context}
    return render(request, f"dispensing/{template}", full, error.http if error is not None else 200)


@router.get("/split")
async def station(request: Request, conn: Conn, subject: CurrentSubject, code: Text = "") -> Response:
    """拆零发放: scan boxes, say the units for each prescription."""
    subject.require("bill.write")
    own = type_of(subject)
    if own not in (3, 4):
        raise YaosuError("forbidden", {"scope": "bill.write"})
    kinds = [submittable()[t] for t in TYPES if own in submittable()[t].actors]
    lang = language(request)
    context = {
        "types": [(k.code, f"{k.code} {k.label(lang)}") for k in kinds],
        "type": split_service.default_type(registry_of(request), subject.org),
        "owners": await owners_of(request, conn, subject),
        "own": subject.org,
        "key": station_key(subject, "split"),
        "code": code,
    }
    return show(request, "split_station.html", context)


@router.get("/split/boxes")
async def boxes(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Annotated[str, Query(pattern="^[a-z]{1,12}$")] = "open",
    drug: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    before: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """拆零台账: opened boxes with what is left, and when they must be used."""
    return await _ledger(request, conn, subject, state if state in BOX_STATES else "open", drug, before)


async def _ledger(
    request: Request,
    conn: Connection,
    subject: Subject,
    state: str,
    drug: str = "",
    before: str = "",
    error: YaosuError | None = None,
) -> Response:
    subject.require("bill.read")
    registry, sight = registry_of(request), visible(subject)
    soon, percent = split_service.limits(registry)
    drug_id = int(drug) if drug and 0 < int(drug) < 2**31 else None
    rows = await store.boxes(conn, sight, state, drug_id, cursor_of(before), PAGE, soon, percent)
    if sight.records_reads:
        await record_read(conn, subject, "split ledger", None)
    query = {"state": state, "drug": drug}
    after = cursor_text(rows[-1]["opened_at"], rows[-1]["code"]) if len(rows) == PAGE else ""
    mine = subject.org_id is not None and type_of(subject) in (3, 4) and subject.can("bill.write")
    context = {
        "boxes": [split_views.box_view(registry, r, soon_of(soon)) for r in rows],
        "counts": await store.counts(conn, sight, soon, percent),
        "state": state,
        "drug": drug,
        "next": f"/split/boxes?{urlencode({**query, 'before': after})}" if after else "",
        "ask": urlencode({"state": state, **({"drug_id": drug} if drug_id else {})}),
        "expired": await split_service.expired_remainders(conn, subject, subject.org) if mine else [],
        "number": stamp("CS"),
        "many": sight.kind != "own",
        "days": soon.days,
        "percent": percent,
        "box_address": lambda code: "/split/box?code=" + quote(code, safe=""),
        "name_of": lambda drug_id: product_name(registry, drug_id),
        "unit_of": lambda drug_id: split_views.unit_name(registry, drug_id),
    }
    return show(request, "split_boxes.html", context, error)


@router.post("/split/boxes/close-expired")
async def close_expired(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    number: NumberForm,
    reason: ReasonForm,
    codes: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Write the expired remainders that stand on the page off, in one bill."""
    try:
        result = await split_service.close_expired(
            desk_of(request, subject),
            number,
            reason,
            submitted(number=number, reason=reason, codes=codes),
            codes=codes or [],
        )
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _ledger(request, conn, subject, "expired", error=error)
    return see_other(f"/bills/{result.bill_id}")


@router.get("/split/box")
async def box(request: Request, conn: Conn, subject: CurrentSubject, code: Text) -> Response:
    """One opened box with every entry."""
    return await _box(request, conn, subject, code)


async def _box(
    request: Request, conn: Connection, subject: Subject, code: str, error: YaosuError | None = None
) -> Response:
    subject.require("bill.read")
    found = await box_with_entries(request, conn, subject, code)
    held: dict[str, int] = {}
    for share in found["shares"]:
        sign = 1 if share["kind"] == "dispense" else -1
        held[share["prescription_no"]] = held.get(share["prescription_no"], 0) + sign * share["units"]
    context = {
        "box": found,
        "held": [(p, n) for p, n in held.items() if n > 0],
        "mine": found["org"]["id"] == subject.org_id and subject.can("bill.write"),
        "back_number": stamp("CT"),
        "loss_number": stamp("CS"),
        "ask": urlencode({"code": code}),
    }
    return show(request, "split_box.html", context, error)


@router.post("/split/box/return")
async def give_back(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: CodeForm,
    number: NumberForm,
    units: UnitsForm,
    prescription_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """Parts come back into the box."""
    line = Line(code, units, prescription_no.strip())
    try:
        body = submitted(number=number, code=code, units=units, prescription_no=prescription_no)
        await split_service.take_back(desk_of(request, subject), number, [line], body)
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _box(request, conn, subject, code, error)
    return see_other("/split/box?" + urlencode({"code": code}))


@router.post("/split/box/loss")
async def lose(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: CodeForm,
    number: NumberForm,
    units: UnitsForm,
    reason: ReasonForm,
) -> Response:
    """Parts of the box are written off."""
    desk = desk_of(request, subject)
    try:
        body = submitted(number=number, code=code, units=units, reason=reason)
        await split_service.lose(desk, number, [Line(code, units)], reason, body)
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _box(request, conn, subject, code, error)
    return see_other("/split/box?" + urlencode({"code": code}))


@router.get("/split/orders/{order_id}")
async def order(
    request: Request, conn: Conn, subject: CurrentSubject, order_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """What was given out, with a label for each part as the rules for split sales ask for it."""
    subject.require("bill.read")
    found = await store.order(conn, visible(subject), order_id)
    if found is None or found[0]["state"] != "done":
        raise missing(request, "拆零发放单", "Order")
    registry = registry_of(request)
    card = registry.org(found[0]["org"])
    if visible(subject).records_reads:
        await record_read(conn, subject, f"split order {order_id}", found[0]["org"])
    products = {s["drug_id"]: registry.product(s["drug_id"]) for s in found[1]}
    context = {
        "order": await order_answer(request, subject, Recorded(*found)),
        "org_name": card.name if card is not None else "",
        "products": products,
    }
    return show(request, "split_order.html", context)


router.include_router(split_pages_pools.router)
