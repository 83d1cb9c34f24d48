"""Pages of empty ampoules, residues, counts at change of shift, and the register (R-C4)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.dispensing import narcotics_desk as desk
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing import narcotics_views as views
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_deps import desk_of, register_file, register_of
from yaosu.dispensing.narcotics_pages_desk import PlaceQuery, frame, here, number, show
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA, see_other
from yaosu.edge.problem import language
from yaosu.errors import Finding, YaosuError
from yaosu.registry.forms import Form
from yaosu.registry.model import OrgCard
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()


@router.get("/narcotics/ampoules")
async def ampoules(request: Request, conn: Conn, subject: CurrentSubject, place: PlaceQuery = "") -> Response:
    """空安瓿、废贴: due, received, destroyed; residues."""
    return await _ampoules(request, conn, subject, here(request, subject, place))


async def _ampoules(
    request: Request, conn: Connection, subject: Subject, card: OrgCard, error: YaosuError | None = None
) -> Response:
    at, lang, sight = desk_of(request), language(request), visible(subject)
    due = await service.due(conn, subject, card.id)
    patients = await service.shown(at, conn, subject, [d.patient for d in due])
    held = await store.ampoules(conn, sight, card.id)
    residues = await store.residues(conn, sight, card.id, 50)
    context = {
        "due": [views.due_view(at.registry, d, patients, lang) for d in due],
        "held": [{**dict(r), "product": views.product_view(at.registry, r["drug_id"], lang)} for r in held],
        "residues": [
            {**dict(r), "product": views.product_view(at.registry, r["drug_id"], lang)} for r in residues
        ],
    }
    return show(request, "narcotics_ampoules.html", {**frame(request, subject, card), **context}, error)


@router.post("/narcotics/ampoules/{what}")
async def ampoules_done(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    what: Literal["return", "destroy", "residue"],
) -> Response:
    """Prepare a return, a destruction, or the destruction of a residue."""
    form = await Form.of(request)
    at = desk_of(request)
    card = desk.place_for(at.registry, subject, form.number("place"))
    try:
        bill, batch, qty = form.number("bill_id"), form.number("batch_id"), form.number("qty")
        if what == "return":
            form.refuse("invalid_request")
            made = await service.return_ampoules(
                at, subject, bill or 0, {batch or 0: qty or 0}, form.text("handed_by")[:100]
            )
        elif what == "destroy":
            key = (form.number("drug_id") or 0, batch or 0)
            form.refuse("invalid_request")
            made = await service.destroy_ampoules(
                at, subject, card, {key: qty or 0}, form.text("method")[:64]
            )
        else:
            try:
                amount = round(Decimal(form.text("amount")), 3)
            except InvalidOperation:
                amount = Decimal(0)
            form.refuse("invalid_request")
            unit, method = form.text("unit")[:10], form.text("method")[:64]
            made = await service.destroy_residue(at, subject, bill or 0, batch or 0, amount, unit, method)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _ampoules(request, conn, subject, card, error)
    return see_other(f"/narcotics/acts/{made.id}")


@router.get("/narcotics/counts")
async def counts(request: Request, conn: Conn, subject: CurrentSubject, place: PlaceQuery = "") -> Response:
    """交接班清点: what was counted, and a sheet for the next count."""
    return await _counts(request, conn, subject, here(request, subject, place))


async def _counts(
    request: Request,
    conn: Connection,
    subject: Subject,
    card: OrgCard,
    error: YaosuError | None = None,
    form: Form | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    held = (await service.booked(conn, subject, registry, [card.id])).get(card.id, [])
    done = await store.counts(conn, visible(subject), card.id, 2**62, 100)
    context = {
        "held": [views.booked_view(registry, one, lang) for one in held],
        "done": [views.count_view(registry, r, lang) for r in done],
        "form": form.back() if form is not None else {},
    }
    return show(request, "narcotics_counts.html", {**frame(request, subject, card), **context}, error)


@router.post("/narcotics/counts")
async def count(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Prepare a count: one field per batch of the books."""
    form = await Form.of(request)
    at = desk_of(request)
    card = desk.place_for(at.registry, subject, form.number("place"))
    try:
        items = []
        for key in form.several("line")[: service.ITEMS_MAX]:
            drug, _, batch = key.partition("-")
            counted = form.number(f"units-{key}")
            if counted is None:
                form.findings.append(Finding("value_missing", {"field": "units"}, f"units-{key}"))
            elif drug.isdigit() and batch.isdigit() and len(key) < 20:
                items.append(service.Counted(int(drug), int(batch), counted, form.text(f"note-{key}")[:200]))
        form.refuse("invalid_request")
        made = await service.count(at, subject, card, form.text("shift")[:64], items)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _counts(request, conn, subject, card, error, form)
    return see_other(f"/narcotics/acts/{made.id}")


@router.get("/narcotics/register")
async def register(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: PlaceQuery = "",
    drug: PlaceQuery = "",
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
    whole: bool = False,
    file: Literal["", "pdf", "xlsx"] = "",
) -> Response:
    """专用账册 of one product, on screen, or as a file to hand to an inspector."""
    subject.require(desk.READ)
    registry, lang = registry_of(request), language(request)
    office = visible(subject).records_reads
    org = number(place) if office else here(request, subject, place).id
    drugs = service.controlled(registry)
    chosen = number(drug) or (drugs[0] if drugs else None)
    context: dict[str, object] = {
        "drugs": [(d, views.product_view(registry, d, lang)["name"]) for d in drugs],
        "drug": chosen,
        "whole": whole,
        "office": office,
        "register": None,
        "org": org,
        "first": first,
        "last": last,
        "places": [],
        "spot": views.place_view(registry, org) if org else None,
    }
    if not office:
        context = {**frame(request, subject, here(request, subject, place)), **context}
        context["places"] = frame(request, subject, here(request, subject, place))["places"]
    if chosen is None or org is None:
        return show(request, "narcotics_register.html", context)
    found, patients = await register_of(request, conn, subject, org, chosen, first, last, whole)
    if file:
        return await register_file(request, found, patients, file, subject.name)
    context |= {
        "register": found,
        "rows": registers.in_words(found, registry, patients, lang),
        "bills": [None, *(line.bill_id for line in found.lines)],
        "columns": registers.COLUMNS[lang],
        "product": views.product_view(registry, chosen, lang),
        "first": first or found.start.astimezone(CHINA).date(),
        "last": last or found.end.astimezone(CHINA).date(),
        "query": f"place={org}&drug={chosen}&whole={'true' if whole else 'false'}",
    }
    return show(request, "narcotics_register.html", context)
