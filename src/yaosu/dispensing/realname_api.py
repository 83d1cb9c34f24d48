"""Real-name sales over the API: sell with the person in one call, the special register, repeated buying (R-C2)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from yaosu.access.openapi import problems
from yaosu.access.visibility import visible
from yaosu.circulation import store_read
from yaosu.circulation.model import Movement
from yaosu.circulation.pages_common import BillId
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.circulation.schemas import org_id
from yaosu.circulation.station import check_answer
from yaosu.circulation.write import unpack_body
from yaosu.db.engine import Connection
from yaosu.dispensing import realname_service as service
from yaosu.dispensing import realname_views as views
from yaosu.dispensing.realname_schemas import (
    SALE,
    RegisterFileIn,
    RegisterIn,
    RegisterQueryIn,
    SaleCheckIn,
    SaleIn,
    example_row,
)
from yaosu.dispensing.realname_store import Wanted
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import Finding, YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.people import envelope
from yaosu.people import service as people
from yaosu.people.keeper import Keeper
from yaosu.people.parts import keeper_of
from yaosu.people.schemas import UnmaskIn
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry

router = APIRouter(tags=["dispensing"], prefix="/dispensing")

MEDIA = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
NO_STORE = {"cache-control": "no-store"}

_SOLD: dict[str, Any] = {
    "bill_id": 4711,
    "bill_no": "LS20260930-0001",
    "revision": 1,
    "status": "accepted",
    "replayed": False,
    "accepted": 1,
    "refused": 0,
    "qty": 1,
    "flags": [],
    "results": [],
    "person_id": 815,
}


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object) -> Response:
    """An answer that no cache keeps."""
    return Response(orjson.dumps(value, default=str), media_type="application/json", headers=NO_STORE)


@router.post(
    "/sales",
    summary="Sell to a named person",
    description="Sale or use with the person it is for in one call. Registers the person (encrypted, shown masked from "
    "then on), then judges and records the movement like `POST /movements`. Products under a rule are refused per code "
    "with `real_name_needed`, `prescription_needed`, `second_person_needed`, `limit_per_sale` or `limit_per_person`. "
    "The submission is kept as received, encrypted. Repeating the same number and content is safe.",
    responses=answered(
        _SOLD, "bill_conflict", "revision_gap", "too_busy", "not_your_bill", "person_unreadable"
    ),
)
async def sell(request: Request, body: SaleIn, subject: CurrentSubject) -> Response:
    """Person and bill in one call (R-C2)."""
    subject.require("bill.write")
    registry = registry_of(request)
    movement = body.movement(registry, subject.org_id, await request.body())
    result, person = await service.sell(
        state(request).pool,
        committer_of(request),
        registry,
        keeper_of(request),
        subject,
        movement,
        body.person.given() if body.person else None,
        body.agent.given() if body.agent else None,
    )
    return as_json({**result.as_json(language(request)), "person_id": person})


@router.post(
    "/sales/check",
    summary="Look at scans before a real-name sale",
    description="Like `POST /movements/check`, and says of products under a sale rule what is still missing: the "
    "document, the prescription, the second person, or that a limit is reached. Changes nothing.",
    responses=answered({"results": [], "tally": [], "demands": []}, "too_many_codes"),
)
async def check(request: Request, body: SaleCheckIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The real-name till's question, scan by scan."""
    registry, lang = registry_of(request), language(request)
    answer = await check_answer(conn, registry, batches_of(request), subject, body, lang)
    owner = org_id(registry, "owner", body.context.owner) or subject.org
    boxes: dict[int, int] = {}
    for one in answer["results"]:
        if one["severity"] != "refused" and one["drug_id"]:
            boxes[one["drug_id"]] = boxes.get(one["drug_id"], 0) + int(one["qty"] or 0)
    movement = Movement(
        type=body.context.type,
        bill_no="",
        owner=owner,
        happened_at=datetime.now(UTC),
        codes=(),
        person=body.context.person,
        header=body.context.header,
    )
    demands = await service.demands(conn, registry, owner, movement, boxes)
    for one in answer["results"]:
        found = demands.get(one["drug_id"])
        if found is None or one["severity"] == "refused":
            continue
        code, params = found.refusal or ("sale_demands_met", {"product": found.rule.product})
        said = Finding(code, params)
        # missing papers can still come; what may not be sold at all is red at once
        final = code in ("sale_not_allowed", "limit_per_sale", "limit_per_person", "buyer_not_adult")
        severity = "refused" if final else "warn" if found.refusal else "ok"
        one.update(verdict=code, severity=severity, message=said.text(lang), next=said.next_step(lang))
    answer["demands"] = [
        {
            "drug_id": d.drug_id,
            "product": d.rule.product,
            "rule": d.rule.name_zh if lang == "zh" else d.rule.name_en,
            "needs": sorted(d.rule.needs),
            "per_sale": d.rule.per_sale,
            "per_person": d.rule.per_person,
            "period_days": d.rule.period_days,
            "source": d.rule.source,
        }
        for d in demands.values()
    ]
    return as_json(answer)


@router.post(
    "/sales/{bill_id}/submission",
    summary="Open the submission of a real-name sale",
    description="The submission byte for byte as received, decrypted. Needs `person.unmask` and a reason; on record.",
    responses={
        200: {"description": "OK", "content": {"application/octet-stream": {}}},
        **problems(
            "unauthenticated", "forbidden", "invalid_request", "not_found", "not_sealed", "person_erased"
        ),
    },
)
async def submission(
    request: Request, bill_id: BillId, body: UnmaskIn, subject: CurrentSubject, conn: Conn
) -> Response:
    """What was received, for whoever may see it (D8)."""
    subject.require("person.unmask")
    found = await store_read.bill_body(conn, visible(subject), bill_id)
    if found is None:
        raise YaosuError("not_found", {"what": "单据" if language(request) == "zh" else "Bill"})
    received = await envelope.unseal(conn, keeper_of(request), subject, unpack_body(*found), body.reason)
    return Response(received, media_type="application/octet-stream", headers=NO_STORE)


async def wanted_of(
    conn: Connection, registry: Registry, keeper: Keeper, body: RegisterIn, after: str = ""
) -> Wanted | None:
    """The filters as the store takes them; None when the document named belongs to nobody we know."""
    person = None
    if body.document is not None:
        document = body.document
        person = await people.find(conn, keeper, document.kind, document.number, registry.lists)
        if person is None:
            return None
    start = time(tzinfo=CHINA)
    return Wanted(
        since=datetime.combine(body.since, start) if body.since else None,
        until=datetime.combine(body.until, start) + timedelta(days=1) if body.until else None,
        drug_ids=service.drugs_named(registry, body.product),
        batch_no=body.batch_no,
        bill_no=body.bill_no,
        org=body.org,
        person=person,
        before=service.cursor(after),
    )


@router.post(
    "/register/search",
    summary="Search the special register",
    description="专册: date, product, strength, maker, batch, quantity, trace codes, buyer (masked), document, seller. "
    "Newest first. Own sales; headquarters also their stores'; a regulator those of its region (on record). A POST, "
    "because the document's number must not stand in an address. A line is never altered: what a correction or void "
    "takes back is a line of its own, with the quantity below nothing, `corrects` (the bill whose line it takes back), "
    "`corrects_revision`, `seller` (who), `recorded_at` (when) and `reason`. `taken_back` marks the line taken back, "
    "`net` is what a line still counts.",
    responses=answered({"items": [example_row()], "next": None}, "person_unreadable"),
)
async def search(request: Request, body: RegisterQueryIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The register page by page (R-C2)."""
    subject.require("person.read")
    registry, keeper, lang = registry_of(request), keeper_of(request), language(request)
    wanted = await wanted_of(conn, registry, keeper, body, body.after)
    if wanted is None:
        return as_json({"items": [], "next": None})
    found = await service.register(conn, registry, keeper, subject, wanted, body.limit)
    return as_json(
        {
            "items": [views.entry_view(registry, e, lang) for e in found],
            "next": found[-1].cursor if len(found) == body.limit else None,
        }
    )


@router.post(
    "/register/file",
    summary="Export the special register",
    description="As PDF or XLSX, masked. With a `reason` (needs `person.unmask`) in full, and every person in it is "
    "entered in the audit record. At most 5,000 rows.",
    responses={
        200: {"description": "OK", "content": {MEDIA["pdf"]: {}, MEDIA["xlsx"]: {}}},
        **problems("unauthenticated", "forbidden", "invalid_request", "register_too_long"),
    },
)
async def export(request: Request, body: RegisterFileIn, subject: CurrentSubject, conn: Conn) -> Response:
    """The register as a file."""
    return await file_of(request, body, subject, conn)


async def file_of(
    request: Request, body: RegisterFileIn, subject: CurrentSubject, conn: Connection
) -> Response:
    """The file asked for, with a name that says what it is."""
    subject.require("person.read")
    registry, keeper, lang = registry_of(request), keeper_of(request), language(request)
    wanted = await wanted_of(conn, registry, keeper, body)
    reason = body.reason or None
    rows = (
        await service.whole_register(conn, registry, keeper, subject, wanted, reason)
        if wanted is not None
        else []
    )
    made = views.paper(registry, rows, facts_of(registry, body, subject.org_id, lang), reason is None, lang)
    content = await asyncio.to_thread(pdf.render if body.format == "pdf" else xlsx.render, made)
    name = f"real-name-register-{datetime.now(CHINA):%Y%m%d}.{body.format}"
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=MEDIA[body.format], headers=headers)


def facts_of(registry: Registry, body: RegisterIn, own: int | None, lang: str) -> list[tuple[str, str]]:
    """The head of the printed register: whose, from when to when, what of it."""
    zh = lang == "zh"
    card = registry.org(body.org or own or 0)
    until = body.until or datetime.now(CHINA).date()
    span = f"{body.since} — {until}" if body.since else f"截至 {until}" if zh else f"until {until}"
    found = [
        ("单位" if zh else "Organisation", card.name if card else "—"),
        ("期间" if zh else "Period", span),
    ]
    if body.product:
        found.append(("药品" if zh else "Product", body.product))
    if body.batch_no:
        found.append(("批号" if zh else "Batch", body.batch_no))
    found.append(("制表时间" if zh else "Made at", f"{datetime.now(CHINA):%Y-%m-%d %H:%M}"))
    return found


@router.get(
    "/repeat-buyers",
    summary="List repeated buying",
    description="Buyers who reached a threshold of list `repeat_buying` in the last 90 days, masked: a shop sees its "
    "own sales, a regulator those of its region over all shops.",
    responses=answered(
        {
            "items": [
                {
                    "flag": "ephedrine_week",
                    "flag_name": "七日内多次购买含麻黄碱类复方制剂",
                    "person_id": 815,
                    "name": "张*",
                    "number": "1101**********002X",
                    "erased": False,
                    "purchases": 3,
                    "packages": 6,
                    "days": 7,
                    "shops": 2,
                    "total": 6,
                    "first_at": "2026-09-21T10:12:31+08:00",
                    "last_at": "2026-09-26T18:00:00+08:00",
                }
            ]
        }
    ),
)
async def repeat_buyers(request: Request, subject: CurrentSubject, conn: Conn) -> Response:
    """Who buys often (R-C2)."""
    registry, lang = registry_of(request), language(request)
    found = await service.repeat_buyers(conn, registry, keeper_of(request), subject)
    return as_json({"items": [views.repeat_view(registry, one, lang) for one in found]})


__all__ = ["SALE", "file_of", "router", "wanted_of"]
