"""Pages of the 无码库: the account with its dates, a lot with its ends, requests for codes, proofs, export."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from yaosu.access.types import CleanText
from yaosu.access.visibility import visible
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.papers import pdf, xlsx
from yaosu.registry.forms import Form
from yaosu.registry.parts import registry_of
from yaosu.uncoded import (
    counts,
    ends,
    pages_entry,
    paper,
    requests,
    service,
    store,
    store_requests,
)
from yaosu.uncoded.api_common import MEDIA, doors_of, filed
from yaosu.uncoded.model import SUPPLEMENT
from yaosu.uncoded.pages_common import show, shown
from yaosu.uncoded.schemas import deadline_view, request_view

router = APIRouter()
router.include_router(pages_entry.router)

PAGE = 100
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
OrgId = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Way = Literal["return", "sale", "loss", "count", "zone", "ask"]


@router.get("/uncoded")
async def account(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    q: Annotated[CleanText, Query()] = "",
    tab: Literal["open", "all", "overdue", "bare"] = "open",
    org: OrgId = None,
    after: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """The 专帐: dates, what is left, lots with age and proof."""
    registry, day = registry_of(request), service.today()
    owner = service.org_of(subject, org)
    lots = await service.book(conn, registry, subject, org)
    verified = await store.last_counts(conn, visible(subject), owner)
    left = [lot for lot in lots if lot.left > 0]
    tabs = {
        "open": left,
        "all": lots,
        "overdue": [lot for lot in left if lot.overdue(day)],
        "bare": [lot for lot in left if lot.id is None],
    }
    found = service.chosen(registry, tabs[tab], service.Filter(text=q, open=False))
    card = registry.org(owner)
    own = owner == subject.org_id
    context: dict[str, Any] = {
        "lots": [shown(request, lot) for lot in found[after : after + PAGE]],
        "verified": verified,
        "total": len(found),
        "counts": {key: len(rows) for key, rows in tabs.items()},
        "left": sum(lot.left for lot in left),
        "overdue": sum(lot.left for lot in tabs["overdue"]),
        "exempt_only": bool(left) and all(lot.exempt for lot in left),
        "dates": [deadline_view(d) for d in service.dates(registry, subject, org)],
        "q": q,
        "tab": tab,
        "owner_name": card.name if card is not None and not own else "",
        "org": org,
        "next": f"/uncoded?tab={tab}&after={after + PAGE}" if len(found) > after + PAGE else "",
        "may_open": own and subject.can("uncoded.open"),
        "may_export": subject.can("export.read"),
    }
    return show(request, "account.html", context)


@router.get("/uncoded/book.{kind}")
async def book(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    kind: Annotated[str, Path(pattern=r"^(xlsx|pdf)$")],
    org: OrgId = None,
) -> Response:
    """The account as a document."""
    subject.require("export.read")
    registry, day = registry_of(request), service.today()
    lots = await service.book(conn, registry, subject, org)
    owner = service.org_of(subject, org)
    made = paper.account(registry, owner, lots, service.dates(registry, subject, org), day, language(request))
    data = await asyncio.to_thread(xlsx.render if kind == "xlsx" else pdf.render, made)
    return filed(data, f"无码药品专帐-{day}.{kind}", MEDIA[kind])


@router.get("/uncoded/proofs/{proof_id}")
async def proof(
    conn: Conn, subject: CurrentSubject, proof_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """A proof: pictures are shown, a PDF is saved."""
    found = await service.proof(conn, subject, proof_id)
    return filed(found["body"], found["name"], found["media"], inline=found["media"].startswith("image/"))


async def _lot_page(
    request: Request, conn: Conn, subject: CurrentSubject, lot_id: int, error: YaosuError | None = None
) -> Response:
    registry = registry_of(request)
    lot = await service.lot(conn, registry, subject, lot_id)
    asked = await store_requests.requests(conn, visible(subject), org=lot.org, lot=lot_id)
    own = lot.org == subject.org_id
    lang = language(request)
    blocked = ends.blocked_sale(registry, lot)
    supplier = registry.org(lot.supplier) if lot.supplier is not None else None
    card = registry.org(lot.org)
    context: dict[str, Any] = {
        "lot": shown(request, lot, draws=True),
        "requests": [request_view(registry, r) for r in asked],
        "verifications": await counts.listed(conn, subject, lot.org, lot_id),
        "may_act": own and subject.can("bill.write") and lot.left > 0,
        "may_sell": card is not None and card.type in (3, 4) and blocked is None,
        "blocked": blocked.as_json(lang)
        if blocked is not None and card is not None and card.type in (3, 4)
        else None,
        "may_ask": supplier is not None and supplier.active and not lot.exempt,
        "reasons": ends.sale_reasons(registry, lot, lang),
    }
    return show(request, "lot.html", context, error)


@router.get("/uncoded/lots/{lot_id}")
async def lot(request: Request, conn: Conn, subject: CurrentSubject, lot_id: Number) -> Response:
    """One lot: facts, what left it, verifications, and every way out."""
    return await _lot_page(request, conn, subject, lot_id)


@router.get("/uncoded/lots/{lot_id}/supplement")
async def supplement(request: Request, conn: Conn, subject: CurrentSubject, lot_id: Number) -> Response:
    """The scan station for supplied codes."""
    subject.require("bill.write")
    registry = registry_of(request)
    found = await service.lot(conn, registry, subject, lot_id)
    if found.org != subject.org_id:
        raise service.not_found(subject, "无码库存批次", "Lot of uncoded stock")
    asked = await store_requests.requests(conn, visible(subject), org=found.org, lot=lot_id)
    notices = [r["ship_bill_no"] for r in asked if r["state"] in ("in_place", "replaced")]
    context = {
        "lot": shown(request, found),
        "type": SUPPLEMENT,
        "notice": notices[-1] if notices else "",
        "key": f"uncoded:{lot_id}:{subject.org_id}:{subject.account_id}",
    }
    return show(request, "supplement.html", context)


@router.post("/uncoded/lots/{lot_id}/{way}")
async def leave(request: Request, conn: Conn, subject: CurrentSubject, lot_id: Number, way: Way) -> Response:
    """A form of the lot's page: return, sale, loss, verification, another place, a request for codes."""
    form = await Form.of(request)
    doors = doors_of(request)
    target = f"/uncoded/lots/{lot_id}"
    try:
        qty = form.number("qty") or 0
        if way == "return":
            await ends.give_back(doors, subject, lot_id, qty, form.text("reason_text"))
        elif way == "sale":
            await ends.sell(
                doors,
                subject,
                lot_id,
                qty,
                form.text("receipt_no"),
                form.text("reason"),
                note=form.text("note"),
            )
        elif way == "loss":
            await ends.lose(doors, subject, lot_id, qty, form.text("reason_text"))
        elif way == "zone":
            await service.move(conn, subject, lot_id, form.text("zone"))
        elif way == "ask":
            made = await requests.ask(
                conn, registry_of(request), subject, lot_id, qty, form.text("reason_text")
            )
            target = f"/uncoded/requests/{made}"
        else:
            counted = form.number("counted")
            await counts.verify(
                doors,
                subject,
                lot_id,
                counted if counted is not None else -1,
                form.text("counter"),
                form.text("checker"),
                form.text("explanation"),
            )
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _lot_page(request, conn, subject, lot_id, error)
    return see_other(target)


@router.get("/uncoded/requests")
async def list_requests(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    side: Literal["made", "asked"] = "made",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """补码: what we asked for, and what we were asked for."""
    rows = await requests.listed(conn, subject, side, before=before)
    registry = registry_of(request)
    context = {
        "side": side,
        "items": [request_view(registry, r) for r in rows],
        "next": f"/uncoded/requests?side={side}&before={rows[-1]['id']}" if len(rows) == 50 else "",
    }
    return show(request, "requests.html", context)


async def _request_page(
    request: Request, conn: Conn, subject: CurrentSubject, request_id: int, error: YaosuError | None = None
) -> Response:
    row = await requests.one(conn, subject, request_id)
    live = row["state"] in ("asked", "in_place", "replaced")
    write = subject.can("bill.write")
    context = {
        "r": request_view(registry_of(request), row),
        "ours": row["org"] == subject.org_id,
        "may_answer": live and write and row["supplier"] == subject.org_id,
        "may_withdraw": live and write and row["org"] == subject.org_id,
        "step": {"asked": 1, "in_place": 2, "replaced": 2, "done": 4}.get(row["state"], 1),
    }
    return show(request, "request.html", context, error)


@router.get("/uncoded/requests/{request_id}")
async def one_request(request: Request, conn: Conn, subject: CurrentSubject, request_id: Number) -> Response:
    """One request, for both sides."""
    return await _request_page(request, conn, subject, request_id)


@router.post("/uncoded/requests/{request_id}/answer")
async def answer(request: Request, conn: Conn, subject: CurrentSubject, request_id: Number) -> Response:
    """The supplier's answer."""
    form = await Form.of(request)
    kind = form.text("kind")
    if kind not in ("in_place", "replaced", "declined"):
        kind = "declined"
    registry = registry_of(request)
    try:
        await requests.answer(
            conn,
            registry,
            subject,
            request_id,
            kind,  # type: ignore[arg-type]
            form.text("text"),
            form.text("ship_bill_no"),
        )
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _request_page(request, conn, subject, request_id, error)
    return see_other(f"/uncoded/requests/{request_id}")


@router.post("/uncoded/requests/{request_id}/withdraw")
async def withdraw(request: Request, conn: Conn, subject: CurrentSubject, request_id: Number) -> Response:
    """Taken back."""
    try:
        await requests.withdraw(conn, subject, request_id)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _request_page(request, conn, subject, request_id, error)
    return see_other(f"/uncoded/requests/{request_id}")
