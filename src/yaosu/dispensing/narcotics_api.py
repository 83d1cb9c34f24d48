"""Narcotics and psychotropics over the API (R-C4).

An operation that moves goods answers with the act, `waiting` until somebody else has confirmed it; `confirm` with the
second person's own session, or their login and password, makes it hold. These operations need a person's session.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.visibility import visible
from yaosu.circulation.parts import batches_of
from yaosu.circulation.schemas import CheckIn
from yaosu.circulation.station import check_answer
from yaosu.dispensing import narcotics_desk as desk
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing import narcotics_views as views
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_deps import (
    act_answer,
    answered,
    as_json,
    desk_of,
    persons_of,
    register_file,
    register_of,
)
from yaosu.dispensing.narcotics_schemas import (
    ACT,
    COUNT,
    DUE,
    REGISTER,
    RX,
    STOCK,
    ConfirmIn,
    CountIn,
    DestroyIn,
    DispenseIn,
    IssueIn,
    PrescriptionIn,
    ReceiveIn,
    ResidueIn,
    ReturnIn,
)
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import CHINA
from yaosu.edge.problem import language
from yaosu.errors import message
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/narcotics", tags=["dispensing"])

Id = Annotated[int, Path(ge=1, le=2**62)]
Place = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="One place; all the caller sees when left out.")
]
Cursor = Annotated[int, Query(ge=1, le=2**62, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
_ACT = ("narcotics_person_only", "not_found", "narcotics_not_listed", "request_reused")
_SCAN = (*_ACT, "narcotics_codes_refused", "too_many_codes")
NEWEST = 2**62


def _page(items: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    return {"items": items, "next": str(items[-1]["id"]) if len(items) == limit else None}


@router.post(
    "/issues",
    summary="Issue narcotics to another place",
    description="药库 → 药房 → 病区: the giver scans (203). Refused as a whole when one code may not leave.",
    responses=answered(ACT, *_SCAN),
)
async def issue(request: Request, subject: CurrentSubject, body: IssueIn) -> Response:
    """Prepare an issue."""
    at = desk_of(request)
    place = desk.place_for(at.registry, subject, body.where)
    act, results = await desk.issue(
        at, subject, place, body.to_org, body.codes, body.happened_at, body.bill_no
    )
    return act_answer(request, act, results)


@router.post(
    "/receipts",
    summary="Receive narcotics from another place",
    description="The receiver scans what arrived (104). Refused as a whole when one code was not sent to it.",
    responses=answered(ACT, *_SCAN),
)
async def receive(request: Request, subject: CurrentSubject, body: ReceiveIn) -> Response:
    """Prepare a receipt."""
    at = desk_of(request)
    place = desk.place_for(at.registry, subject, body.where)
    act, results = await desk.receive(
        at, subject, place, body.from_org, body.codes, body.notice, body.happened_at, body.bill_no
    )
    return act_answer(request, act, results)


@router.post(
    "/prescriptions",
    summary="Register a prescription of a narcotic",
    description="One product, for a patient whose document was seen, and an agent with their own. Held against the "
    "limits of one prescription (list `narcotic_limit`). `notes` tell of ampoules the patient has not brought back.",
    responses=answered(RX, "not_found", "narcotics_not_listed", "rx_number_taken"),
)
async def register_prescription(request: Request, subject: CurrentSubject, body: PrescriptionIn) -> Response:
    """Register a prescription."""
    at, lang = desk_of(request), language(request)
    place = desk.place_for(at.registry, subject, body.place)
    made = await service.register_prescription(at, subject, place, body.draft(datetime.now(CHINA).date()))
    async with at.pool.acquire() as conn:
        patients = await persons_of(at, conn, subject, [made.prescription])
    view = views.rx_view(at.registry, made.prescription, patients, lang)
    return as_json({**view, "notes": [n.as_json(lang) for n in made.notes]})


@router.get(
    "/prescriptions",
    summary="Prescriptions of narcotics",
    description="Newest first, patients masked.",
    responses=answered({"items": [RX], "next": None}),
)
async def prescriptions(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: Place = None,
    state: Literal["", "open", "dispensed", "cancelled"] = "",
    after: Cursor = NEWEST,
    limit: Limit = 50,
) -> Response:
    """Prescriptions."""
    at = desk_of(request)
    found = await service.prescriptions(conn, subject, place, state, after, limit)
    patients = await persons_of(at, conn, subject, found)
    items = [views.rx_view(at.registry, rx, patients, language(request)) for rx in found]
    return as_json(_page(items, limit))


@router.get(
    "/prescriptions/{number}",
    summary="One prescription of a narcotic",
    description="With what has been dispensed of it by bills in force.",
    responses=answered(RX, "not_found"),
)
async def prescription(request: Request, conn: Conn, subject: CurrentSubject, number: Id) -> Response:
    """One prescription."""
    at = desk_of(request)
    rx = await service.prescription(conn, subject, number)
    patients = await persons_of(at, conn, subject, [rx])
    return as_json(views.rx_view(at.registry, rx, patients, language(request)))


@router.post(
    "/prescriptions/{number}/cancel",
    summary="Close a prescription",
    description="Nothing more is dispensed of it; what was dispensed stays.",
    responses=answered(RX, "not_found", "rx_closed"),
)
async def cancel_prescription(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """Close a prescription."""
    at = desk_of(request)
    rx = await service.cancel_prescription(at, subject, number)
    async with at.pool.acquire() as conn:
        patients = await persons_of(at, conn, subject, [rx])
    return as_json(views.rx_view(at.registry, rx, patients, language(request)))


@router.post(
    "/dispensings",
    summary="Dispense a narcotic",
    description="Scanned boxes, or `units` preparation units out of them, go to the patient of the prescription (323); "
    "the purchase is traced to the person. Boxes that are not needed refuse it, so do more units than prescribed.",
    responses=answered(
        ACT, *_SCAN, "rx_closed", "rx_other_product", "rx_units_do_not_fit", "rx_more_than_prescribed"
    ),
)
async def dispense(request: Request, subject: CurrentSubject, body: DispenseIn) -> Response:
    """Prepare a dispensing."""
    act, results = await desk.dispense(
        desk_of(request), subject, body.prescription, body.codes, body.units, body.happened_at, body.bill_no
    )
    return act_answer(request, act, results)


@router.post(
    "/dispensings/check",
    summary="Look at scans before dispensing",
    description="Like `POST /movements/check`; an opened box passes with what is left in it. Changes nothing.",
    responses=answered({"results": [], "tally": []}, "too_many_codes", "bill_type_unknown"),
)
async def check_dispensing(request: Request, conn: Conn, subject: CurrentSubject, body: CheckIn) -> Response:
    """What the station asks scan by scan."""
    subject.require(desk.WRITE)
    registry, lang = registry_of(request), language(request)
    found = await check_answer(conn, registry, batches_of(request), subject, body, lang)
    opened = [r for r in found["results"] if r["verdict"] == "opened_name_parts"]
    boxes = await store.boxes(conn, [(r["drug_id"], r["code"]) for r in opened])
    for one in opened:
        box = boxes[(one["drug_id"], one["code"])]
        note = message("narcotics_box_opened")
        params = {
            "left": box["unit_left"],
            "unit": views.product_view(registry, one["drug_id"], lang)["unit"],
        }
        told = {"message": note.text(lang, params), "next": note.next_step(lang, params)}
        one.update(verdict="narcotics_box_opened", severity="ok", **told)
    return as_json(found)


@router.get(
    "/acts",
    summary="What was done with narcotics",
    description="Acts with who prepared and who confirmed them, newest first.",
    responses=answered({"items": [ACT], "next": None}),
)
async def acts(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: Place = None,
    state: Literal["", "waiting", "running", "done", "refused", "cancelled"] = "",
    after: Cursor = NEWEST,
    limit: Limit = 50,
) -> Response:
    """Acts."""
    subject.require(desk.READ)
    states = [state] if state else None
    found = await store.acts(conn, visible(subject), None, place, states, "", after, limit)
    items = [views.act_view(registry_of(request), act, language(request)) for act in found]
    return as_json(_page(items, limit))


@router.get(
    "/acts/{number}",
    summary="One act",
    description="As the second person reads it before confirming: what was scanned, by whom, for which prescription.",
    responses=answered(ACT, "not_found"),
)
async def act(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """One act."""
    return act_answer(request, await desk.get_act(desk_of(request), subject, number))


@router.post(
    "/acts/{number}/confirm",
    summary="Confirm an act as the second person",
    description="With the own session (empty body), or somebody's login and password typed at the first person's "
    "screen. Never by whoever prepared it. The last confirmation needed posts the bill; `state` tells the result. "
    "Wrong passwords count as failed sign-ins.",
    responses=answered(
        ACT,
        "narcotics_person_only",
        "not_found",
        "confirmation_failed",
        "confirm_other_person",
        "act_not_waiting",
        "sign_in_locked",
        "password_change_due",
        "rx_more_than_prescribed",
        "ampoules_too_many",
        "narcotics_maker_gone",
    ),
)
async def confirm(request: Request, subject: CurrentSubject, number: Id, body: ConfirmIn) -> Response:
    """Confirm."""
    done = await desk.confirm_act(desk_of(request), subject, number, body.login, body.password)
    return act_answer(request, done)


@router.post(
    "/acts/{number}/cancel",
    summary="Cancel an act that waits",
    description="Nothing has moved; the act stays on record as cancelled.",
    responses=answered(ACT, "not_found", "act_not_waiting"),
)
async def cancel(request: Request, subject: CurrentSubject, number: Id) -> Response:
    """Cancel."""
    return act_answer(request, await desk.cancel_act(desk_of(request), subject, number))


@router.get(
    "/ampoules",
    summary="Empty ampoules and used patches due",
    description="By dispensing and batch, the oldest first; `settled=true` includes those that have come back.",
    responses=answered({"items": [DUE], "next": None}),
)
async def ampoules(
    request: Request, conn: Conn, subject: CurrentSubject, place: Place = None, settled: bool = False
) -> Response:
    """Ampoules due."""
    at = desk_of(request)
    found = await service.due(conn, subject, place, settled)
    patients = await service.shown(at, conn, subject, [d.patient for d in found])
    items = [views.due_view(at.registry, d, patients, language(request)) for d in found]
    return as_json({"items": items, "next": None})


@router.post(
    "/ampoule-returns",
    summary="Take empty ampoules back",
    description="空安瓿、废贴回收 by original batch; a second person confirms.",
    responses=answered(ACT, *_ACT, "ampoules_too_many"),
)
async def return_ampoules(request: Request, subject: CurrentSubject, body: ReturnIn) -> Response:
    """Prepare a return."""
    items = {one.batch_id: one.qty for one in body.items}
    made = await service.return_ampoules(
        desk_of(request), subject, body.bill_id, items, body.handed_by, body.happened_at
    )
    return act_answer(request, made)


@router.post(
    "/destructions",
    summary="Destroy empty ampoules",
    description="What was taken back is destroyed before two witnesses, who each confirm.",
    responses=answered(ACT, *_ACT, "ampoules_too_many"),
)
async def destroy(request: Request, subject: CurrentSubject, body: DestroyIn) -> Response:
    """Prepare a destruction."""
    at = desk_of(request)
    place = desk.place_for(at.registry, subject, body.place)
    items = {(one.drug_id, one.batch_id): one.qty for one in body.items}
    made = await service.destroy_ampoules(at, subject, place, items, body.method, body.happened_at)
    return act_answer(request, made)


@router.post(
    "/residues",
    summary="Destroy what was left in an ampoule",
    description="剩余药液 of a dispensing, poured away before a second person.",
    responses=answered(ACT, *_ACT),
)
async def residue(request: Request, subject: CurrentSubject, body: ResidueIn) -> Response:
    """Prepare the destruction of a residue."""
    made = await service.destroy_residue(
        desk_of(request), subject, body.bill_id, body.batch_id, body.amount, body.unit, body.method, body.happened_at
    )  # fmt: skip
    return act_answer(request, made)


@router.get(
    "/stock",
    summary="Narcotics in the books of a place",
    description="Now, by product and batch, in preparation units and packages: what a count is held against.",
    responses=answered(STOCK, "not_found"),
)
async def stock(request: Request, conn: Conn, subject: CurrentSubject, place: Place = None) -> Response:
    """What the books say."""
    registry = registry_of(request)
    card = desk.place_for(registry, subject, place)
    found = (await service.booked(conn, subject, registry, [card.id])).get(card.id, [])
    items = [views.booked_view(registry, one, language(request)) for one in found]
    return as_json({"place": views.place_view(registry, card.id), "items": items})


@router.post(
    "/counts",
    summary="Count the safe at change of shift",
    description="Every batch of the books, in preparation units; a difference needs a note and changes no books. "
    "Whoever takes over confirms.",
    responses=answered(ACT, *_ACT),
)
async def count(request: Request, subject: CurrentSubject, body: CountIn) -> Response:
    """Prepare a count."""
    at = desk_of(request)
    place = desk.place_for(at.registry, subject, body.place)
    items = [service.Counted(i.drug_id, i.batch_id, i.units, i.note) for i in body.items]
    return act_answer(request, await service.count(at, subject, place, body.shift, items, body.happened_at))


@router.get(
    "/counts",
    summary="Counts of the safe",
    description="With the books of that moment and the difference, the latest first.",
    responses=answered({"items": [COUNT], "next": None}),
)
async def counts(
    request: Request, conn: Conn, subject: CurrentSubject, place: Place = None, limit: Limit = 100
) -> Response:
    """Counts."""
    subject.require(desk.READ)
    found = await store.counts(conn, visible(subject), place, NEWEST, limit)
    items = [views.count_view(registry_of(request), r, language(request)) for r in found]
    return as_json({"items": items, "next": None})


@router.get(
    "/register",
    summary="Register of a narcotic",
    description="One product in one place, or with `whole` in the hospital and its places: opening + in − out = "
    "closing, in preparation units and packages. As JSON, or as PDF or XLSX for an inspector. Patients masked.",
    responses=answered(REGISTER, "not_found", "narcotics_not_listed", "ledger_time_range"),
)
async def register(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    place: Annotated[int, Query(ge=1, le=2**31 - 1)],
    drug_id: Annotated[int, Query(ge=1, le=2**31 - 1)],
    first: Annotated[
        date | None, Query(alias="from", description="First day; 30 days ago when left out.")
    ] = None,
    last: Annotated[date | None, Query(alias="to", description="Last day; today when left out.")] = None,
    whole: bool = False,
    format: Literal["json", "pdf", "xlsx"] = "json",
) -> Response:
    """The register of a product."""
    found, patients = await register_of(request, conn, subject, place, drug_id, first, last, whole)
    if format != "json":
        return await register_file(request, found, patients, format, subject.name)
    return as_json(views.register_view(registry_of(request), found, patients, language(request)))
