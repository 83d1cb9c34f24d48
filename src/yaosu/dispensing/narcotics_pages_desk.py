"""Pages of narcotics: the desk, issue and receipt, prescriptions, what waits for a second person (R-C4)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.dispensing import narcotics_desk as desk
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing import narcotics_views as views
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_deps import desk_of, persons_of
from yaosu.dispensing.narcotics_desk import Desk
from yaosu.dispensing.narcotics_rules import Dose
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA, render, see_other
from yaosu.edge.problem import language
from yaosu.errors import Finding, YaosuError
from yaosu.people.model import Given
from yaosu.registry.forms import Form
from yaosu.registry.model import OrgCard
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()

Id = Annotated[int, Path(ge=1, le=2**62)]
PlaceQuery = Annotated[str, Query(pattern=r"^\d{0,9}$")]
PAGE = 50


def number(text: str) -> int | None:
    """A number from the address, or None when blank."""
    return int(text) if text else None


def here(request: Request, subject: Subject, place: str) -> OrgCard:
    """The place the page is about; the subject's organisation unless one is named."""
    return desk.place_for(registry_of(request), subject, number(place))


def frame(request: Request, subject: Subject, place: OrgCard) -> dict[str, Any]:
    """What every page of the room shows: the places to choose from, the chosen one, choices of lists."""
    registry, lang = registry_of(request), language(request)
    mine = [registry.org(subject.org), *registry.places_of(subject.org)]
    return {
        "places": [views.place_view(registry, one.id) for one in mine if one is not None],
        "spot": views.place_view(registry, place.id),
        "may": subject.can(desk.WRITE) and subject.kind == "account",
        "choices": lambda name: [(i.code, i.zh if lang == "zh" else i.en) for i in registry.lists.get(name)],
        "drugs": [
            (drug_id, views.product_view(registry, drug_id, lang)["name"])
            for drug_id in service.controlled(registry)
        ],
        "at": lambda value: value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if value else "",
    }


def show(
    request: Request, template: str, context: Mapping[str, Any], error: YaosuError | None = None
) -> Response:
    """A page of the room; the error of the form stands on top and at its fields."""
    body: Any = error.as_json(language(request)) if error is not None else None
    fields: dict[str, str] = {}
    for finding in body["findings"] if body else ():
        fields.setdefault(finding["where"], finding["message"])
    full = {"problem": body, "errors": fields, **context}
    answer = render(request, f"dispensing/{template}", full, error.http if error is not None else 200)
    # masked persons all the same: no shared PC keeps them
    answer.headers["cache-control"] = "no-store"
    return answer


@router.get("/narcotics")
async def home(request: Request, conn: Conn, subject: CurrentSubject, place: PlaceQuery = "") -> Response:
    """麻精药品: what each place holds by the books, and what waits."""
    subject.require(desk.READ)
    if visible(subject).records_reads:
        return await _office(request, conn, subject)
    registry, lang, card = registry_of(request), language(request), here(request, subject, place)
    family = [one.id for one in registry.family_of(subject.org) if one.id == subject.org or not place]
    held = await service.booked(conn, subject, registry, family if not place else [card.id])
    waiting = await store.acts(conn, visible(subject), None, None, ["waiting", "running"], "", 2**62, PAGE)
    due = await service.due(conn, subject, None)
    counts = await store.counts(conn, visible(subject), None, 2**62, 1)
    context = {
        "stock": [
            (views.place_view(registry, org), [views.booked_view(registry, one, lang) for one in lines])
            for org, lines in sorted(held.items())
        ],
        "waiting": [views.act_view(registry, act, lang) for act in waiting],
        "due": sum(one.open for one in due),
        "counted": views.count_view(registry, counts[0], lang) if counts else None,
        "one": place,
    }
    return show(request, "narcotics_home.html", {**frame(request, subject, card), **context})


async def _office(request: Request, conn: Connection, subject: Subject) -> Response:
    """A regulator chooses whose register to read."""
    registry = registry_of(request)
    lang = language(request)
    context = {
        "drugs": [(d, views.product_view(registry, d, lang)["name"]) for d in service.controlled(registry)]
    }
    return show(request, "narcotics_office.html", context)


def station_key(subject: Subject, *parts: object) -> str:
    """Where the browser keeps this station's scans."""
    return ":".join(str(p) for p in ("narcotics", *parts, subject.org_id, subject.account_id))


@router.get("/narcotics/issue")
async def issue(request: Request, conn: Conn, subject: CurrentSubject, place: PlaceQuery = "") -> Response:
    """发出: the giver scans."""
    subject.require(desk.WRITE)
    card = here(request, subject, place)
    registry = registry_of(request)
    family = registry.family_of(card.id)
    # places first: goods go onward more often than back to the hospital's own account
    others = [views.place_view(registry, one.id) for one in (*family[1:], family[0]) if one.id != card.id]
    context = {
        "to": [(one["id"], one["name"]) for one in others],
        "key": station_key(subject, "issue", card.id),
        "panel": await panel(request, conn, subject),
    }
    return show(request, "narcotics_issue.html", {**frame(request, subject, card), **context})


@router.get("/narcotics/receive")
async def receive(
    request: Request, conn: Conn, subject: CurrentSubject, place: PlaceQuery = "", notice: PlaceQuery = ""
) -> Response:
    """领入: what is on its way to the place; then the receiver scans."""
    subject.require(desk.WRITE)
    card = here(request, subject, place)
    registry = registry_of(request)
    rows = await store.coming(conn, visible(subject), card.id, service.controlled(registry))
    coming = [{**dict(r), "from": views.place_view(registry, r["from_org"])} for r in rows]
    chosen = next((one for one in coming if str(one["bill_id"]) == notice), None)
    if chosen is None and len(coming) == 1:
        chosen = coming[0]
    context = {
        "coming": coming,
        "chosen": chosen,
        "key": station_key(subject, "receive", card.id, chosen["bill_id"] if chosen else 0),
        "panel": await panel(request, conn, subject),
    }
    return show(request, "narcotics_receive.html", {**frame(request, subject, card), **context})


async def panel(request: Request, conn: Connection, subject: Subject) -> list[dict[str, Any]]:
    """What waits for a second person now."""
    registry, lang = registry_of(request), language(request)
    found = await store.acts(conn, visible(subject), None, None, ["waiting", "running"], "", 2**62, 20)
    return [views.act_view(registry, act, lang) for act in found]


@router.get("/narcotics/waiting")
async def waiting(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The list by itself, for stations to renew after each submission."""
    subject.require(desk.READ)
    context = {"panel": await panel(request, conn, subject)}
    card = desk.place_for(registry_of(request), subject, None)
    return show(request, "_narcotics_waiting.html", {**frame(request, subject, card), **context})


@router.get("/narcotics/acts")
async def acts(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: PlaceQuery = "",
    after: Annotated[int, Query(ge=1, le=2**62)] = 2**62,
) -> Response:
    """业务记录: everything that was done, with who prepared and who confirmed."""
    subject.require(desk.READ)
    registry, lang, card = registry_of(request), language(request), here(request, subject, place)
    found = await store.acts(conn, visible(subject), None, number(place), None, "", after, PAGE)
    context = {
        "acts": [views.act_view(registry, act, lang) for act in found],
        "one": place,
        "next": f"/narcotics/acts?place={place}&after={found[-1].id}" if len(found) == PAGE else "",
    }
    return show(request, "narcotics_acts.html", {**frame(request, subject, card), **context})


@router.get("/narcotics/acts/{number}")
async def act(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """One act, as the second person reads it before confirming."""
    return await _act(request, subject, number)


async def _act(request: Request, subject: Subject, act_id: int, error: YaosuError | None = None) -> Response:
    at, lang = desk_of(request), language(request)
    found = await desk.get_act(at, subject, act_id)
    view = views.act_view(at.registry, found, lang)
    rx = None
    if view["prescription"]:
        async with at.pool.acquire() as conn:
            mine = await store.prescriptions(conn, visible(subject), int(view["prescription"]), limit=1)
            patients = await persons_of(at, conn, subject, mine)
        rx = views.rx_view(at.registry, mine[0], patients, lang) if mine else None
    card = desk.place_for(at.registry, subject, None)
    mine_too = found.made_by == subject.account_id or any(
        c.account_id == subject.account_id for c in found.confirmed
    )
    context = {"act": view, "rx": rx, "mine": mine_too}
    return show(request, "narcotics_act.html", {**frame(request, subject, card), **context}, error)


@router.post("/narcotics/acts/{number}/confirm")
async def confirm(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """复核: by the own session, or with login and password of whoever stands beside."""
    form = await Form.of(request)
    try:
        login = form.text("login")
        data = await request.form()
        # a password may begin or end with blanks; the form's reader would strip them
        password = str(data.get("password", ""))[:200] if login else ""
        await desk.confirm_act(desk_of(request), subject, number, login, password)
    except YaosuError as error:
        if error.http in (401, 404) or error.code == "forbidden":
            raise
        return await _act(request, subject, number, error)
    return see_other(f"/narcotics/acts/{number}")


@router.post("/narcotics/acts/{number}/cancel")
async def cancel(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """撤销: nothing has moved."""
    try:
        await desk.cancel_act(desk_of(request), subject, number)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _act(request, subject, number, error)
    return see_other(f"/narcotics/acts/{number}")


# -- prescriptions -----------------------------------------------------------------------------------------------------


@router.get("/narcotics/prescriptions")
async def prescriptions(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: PlaceQuery = "",
    after: Annotated[int, Query(ge=1, le=2**62)] = 2**62,
) -> Response:
    """处方: newest first."""
    at, lang, card = desk_of(request), language(request), here(request, subject, place)
    found = await service.prescriptions(conn, subject, number(place), "", after, PAGE)
    patients = await persons_of(at, conn, subject, found)
    context = {
        "items": [views.rx_view(at.registry, rx, patients, lang) for rx in found],
        "one": place,
        "next": f"/narcotics/prescriptions?place={place}&after={found[-1].id}" if len(found) == PAGE else "",
    }
    return show(request, "narcotics_prescriptions.html", {**frame(request, subject, card), **context})


@router.get("/narcotics/prescriptions/new")
async def new_prescription(request: Request, subject: CurrentSubject, place: PlaceQuery = "") -> Response:
    """登记处方: the patient's document is seen, the limits are looked at."""
    subject.require(desk.WRITE)
    return _prescription_form(request, subject, here(request, subject, place), {})


KEPT = (
    "number", "drug_id", "case_kind", "department", "doctor", "diagnosis", "dose_units", "times_per_day", "days",
    "reason", "patient_kind", "agent_kind", "prescribed_on",
)  # fmt: skip
"""Fields of the form that come back after a refusal. Names and document numbers do not."""


def _prescription_form(
    request: Request,
    subject: Subject,
    card: OrgCard,
    form: Mapping[str, str],
    error: YaosuError | None = None,
) -> Response:
    kept = {name: form.get(name, "") for name in KEPT}
    context = {"form": kept, "today": datetime.now(CHINA).date().isoformat()}
    return show(
        request, "narcotics_prescription_form.html", {**frame(request, subject, card), **context}, error
    )


def _person(form: Form, who: str) -> Given | None:
    kind, document, name, phone = (form.text(f"{who}_{part}") for part in ("kind", "number", "name", "phone"))
    given = Given(kind or "1", document, name, phone)
    return given if given.number or given.name else None


def _units(form: Form, name: str) -> Decimal:
    try:
        value = Decimal(form.text(name))
    except InvalidOperation:
        value = Decimal(0)
    if not Decimal(0) < value <= 1000 or value != round(value, 2):
        form.findings.append(Finding("value_shape", {"field": name}, name))
        return Decimal(1)
    return value


@router.post("/narcotics/prescriptions/new")
async def register(request: Request, subject: CurrentSubject) -> Response:
    """Register a prescription."""
    form = await Form.of(request)
    at = desk_of(request)
    card = desk.place_for(at.registry, subject, form.number("place"))
    try:
        draft = _draft(form)
        form.refuse("invalid_request")
        made = await service.register_prescription(at, subject, card, draft)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return _prescription_form(request, subject, card, form.back(), error)
    return see_other(f"/narcotics/prescriptions/{made.prescription.id}")


def _draft(form: Form) -> service.RxDraft:
    times, days = form.number("times_per_day") or 0, form.number("days") or 0
    if not 1 <= times <= 24:
        form.findings.append(Finding("value_shape", {"field": "times_per_day"}, "times_per_day"))
    if not 1 <= days <= 60:
        form.findings.append(Finding("value_shape", {"field": "days"}, "days"))
    for name, longest in (
        ("number", 64),
        ("department", 64),
        ("doctor", 64),
        ("diagnosis", 200),
        ("reason", 200),
    ):
        if len(form.text(name)) > longest:
            params = {"field": name, "length": len(form.text(name)), "max": longest}
            form.findings.append(Finding("value_too_long", params, name))
    patient = _person(form, "patient")
    if patient is None:
        form.findings.append(Finding("value_missing", {"field": "patient_number"}, "patient_number"))
    return service.RxDraft(
        number=form.text("number"),
        drug_id=form.number("drug_id") or 0,
        case_kind=form.text("case_kind"),
        patient=patient or Given("1", "", ""),
        department=form.text("department"),
        doctor=form.text("doctor"),
        diagnosis=form.text("diagnosis"),
        dose=Dose(_units(form, "dose_units"), max(times, 1), max(days, 1)),
        prescribed_on=form.day("prescribed_on") or date.today(),  # noqa: DTZ011 — a calendar day where the server runs
        agent=_person(form, "agent"),
        reason=form.text("reason"),
    )


@router.get("/narcotics/prescriptions/{number}")
async def prescription(request: Request, conn: Conn, subject: CurrentSubject, number: Id) -> Response:
    """One prescription, and the station that dispenses it."""
    at, lang = desk_of(request), language(request)
    rx = await service.prescription(conn, subject, number)
    patients = await persons_of(at, conn, subject, [rx])
    owed = await store.patient_due(conn, visible(subject), rx.patient, rx.drug_id)
    context = {
        "rx": views.rx_view(at.registry, rx, patients, lang),
        "owed": owed,
        "key": station_key(subject, "dispense", rx.id),
        "panel": await panel(request, conn, subject),
    }
    return show(
        request, "narcotics_prescription.html", {**_frame_at(request, subject, at, rx.org), **context}
    )


def _frame_at(request: Request, subject: Subject, at: Desk, org: int) -> dict[str, Any]:
    """The frame for a record of `org`; those who only look stay at their own place."""
    try:
        card = desk.place_for(at.registry, subject, org)
    except YaosuError:
        card = desk.place_for(at.registry, subject, None)
    return frame(request, subject, card)


@router.post("/narcotics/prescriptions/{number}/cancel")
async def cancel_prescription(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """Close a prescription."""
    await service.cancel_prescription(desk_of(request), subject, number)
    return see_other(f"/narcotics/prescriptions/{number}")
