"""Verbs of narcotics that post no bill: prescriptions, empty ampoules, residues, counts, what stands where (R-C4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.dispensing import narcotics_rules as rules
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing import store_narcotics_book as book
from yaosu.dispensing.narcotics_desk import (
    READ,
    WRITE,
    Desk,
    hospital_of,
    listed,
    missing,
    place_for,
    propose,
)
from yaosu.dispensing.narcotics_model import Act, Booked, Due, Prescription
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text
from yaosu.people import service as people
from yaosu.people.model import Given, Shown
from yaosu.registry.model import OrgCard, Product
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

ITEMS_MAX = 200


@dataclass(frozen=True, slots=True, repr=False)
class RxDraft:
    """A prescription as it is entered. Identities stand here in the open and go to `people` only."""

    number: str
    drug_id: int
    case_kind: str
    patient: Given
    department: str
    doctor: str
    diagnosis: str
    dose: rules.Dose
    prescribed_on: date
    agent: Given | None = None
    reason: str = ""

    def __repr__(self) -> str:
        return f"RxDraft({self.number})"


@dataclass(frozen=True, slots=True)
class Registered:
    """A prescription on record, and what to tell the person at the counter."""

    prescription: Prescription
    notes: Sequence[Finding]
    """E.g. that ampoules of earlier dispensings are still to be brought back."""


async def register_prescription(desk: Desk, subject: Subject, place: OrgCard, draft: RxDraft) -> Registered:
    """Enter a prescription of one product for a patient whose document was seen.

    Refused (`invalid_request`) with a finding per field: documents that cannot be right, an unknown case, more than
    the limit of one prescription (list `narcotic_limit`), no doctor; `rx_number_taken`; `narcotics_not_listed`.
    """
    subject.require(WRITE)
    product = listed(desk.registry, draft.drug_id)
    hospital = hospital_of(desk.registry, place.id)
    lists = desk.registry.lists
    found = []
    for field in ("number", "department", "doctor", "diagnosis"):
        if not getattr(draft, field).strip():
            found.append(Finding("value_missing", {"field": field}, field))
    if lists.item("narcotic_case", draft.case_kind, draft.prescribed_on) is None:
        params = {"field": "case_kind", "value": draft.case_kind, "list": "narcotic_case"}
        found.append(Finding("value_not_in_list", params, "case_kind"))
    limit = rules.limit_of(lists, product, draft.case_kind, draft.prescribed_on, place.region)
    found += rules.dose_findings(limit, draft.dose, draft.reason.strip())
    fields = ("number", "department", "doctor", "diagnosis", "reason")
    found += free_text.findings({field: getattr(draft, field) for field in fields})
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found)
    # the person is registered for the place that dispenses: its people see them, and the hospital's
    at_place = replace(subject, org_id=place.id)
    async with desk.pool.acquire() as conn, conn.transaction():
        patient = await people.identify(conn, desk.keeper, at_place, draft.patient, lists)
        agent = (
            await people.identify(conn, desk.keeper, at_place, draft.agent, lists) if draft.agent else None
        )
        if agent == patient:
            raise YaosuError("invalid_request", {"count": 1}, [Finding("agent_is_patient", {}, "agent")])
        dose = draft.dose
        number = await conn.fetchval(
            store.NEW_PRESCRIPTION, place.id, hospital.id, draft.number.strip(), product.id, draft.case_kind, patient,
            agent, draft.department.strip(), draft.doctor.strip(), draft.diagnosis.strip(), dose.units,
            dose.times_per_day, dose.days, dose.total, draft.reason.strip(), draft.prescribed_on, subject.account_id,
        )  # fmt: skip
        if number is None:
            raise YaosuError("rx_number_taken", {"number": draft.number.strip()})
        # whom a prescription names is not forgotten while nobody has come for it
        await people.keep(conn, (patient, agent))
        owed = await store.patient_due(conn, visible(subject), patient, product.id)
        await audit.record(conn, subject, "narcotics.prescription", ("prescription", number), org_id=place.id)
        made = (await store.prescriptions(conn, visible(subject), number, limit=1))[0]
    notes = []
    if owed and rules.comes_back(lists, product):
        notes.append(Finding("ampoules_outstanding", {"qty": owed, "product": product.generic_name}))
    return Registered(made, notes)


async def prescriptions(
    conn: Connection,
    subject: Subject,
    org: int | None = None,
    state: str = "",
    before: int = 2**62,
    limit: int = 50,
) -> list[Prescription]:
    """Prescriptions the subject sees, newest first; reads of others' are written down."""
    subject.require(READ)
    found = await store.prescriptions(conn, visible(subject), None, org, state, before, limit)
    await _record(conn, subject, "narcotic prescriptions")
    return found


async def prescription(conn: Connection, subject: Subject, number: int) -> Prescription:
    """One prescription; `not_found` for others'."""
    subject.require(READ)
    found = await store.prescriptions(conn, visible(subject), number, limit=1)
    if not found:
        raise missing("处方")
    await _record(conn, subject, f"narcotic prescription {number}")
    return found[0]


async def cancel_prescription(desk: Desk, subject: Subject, number: int) -> Prescription:
    """Close an open prescription; what was dispensed of it stays. Refused (`rx_closed`) when it is closed."""
    subject.require(WRITE)
    async with desk.pool.acquire() as conn, conn.transaction():
        rx = await prescription(conn, subject, number)
        place_for(desk.registry, subject, rx.org)
        if rx.state != "open":
            raise YaosuError("rx_closed", {"number": rx.number})
        await conn.execute(store.SET_PRESCRIPTION, number, "cancelled")
        await audit.record(
            conn, subject, "narcotics.prescription_cancel", ("prescription", number), org_id=rx.org
        )
        return await prescription(conn, subject, number)


async def _record(conn: Connection, subject: Subject, what: str) -> None:
    """Offices look by right, and it is written down."""
    if visible(subject).records_reads:
        await record_read(conn, subject, what, None)


async def shown(
    desk: Desk, conn: Connection, subject: Subject, ids: Sequence[int | None]
) -> dict[int, Shown]:
    """Patients and agents, masked."""
    return await people.shown(conn, desk.keeper, subject, [i for i in ids if i])


# -- empty ampoules and residues ---------------------------------------------------------------------------------------


async def due(
    conn: Connection, subject: Subject, org: int | None = None, settled: bool = False, limit: int = 200
) -> list[Due]:
    """Dispensings of which ampoules or patches are still to come back, the oldest first."""
    subject.require(READ)
    return await store.due(conn, visible(subject), org, None, settled, limit)


async def return_ampoules(
    desk: Desk,
    subject: Subject,
    bill_id: int,
    quantities: dict[int, int],
    handed_by: str,
    happened_at: datetime | None = None,
) -> Act:
    """Take empty ampoules or used patches of a dispensing back: `quantities` by batch id (原批号).

    Refused: `not_found`; `ampoules_too_many` for more than are due; `invalid_request` without who brought them.
    """
    subject.require(WRITE)
    free_text.refuse(handed_by=handed_by)
    if not handed_by.strip():
        raise YaosuError(
            "invalid_request", {"count": 1}, [Finding("value_missing", {"field": "handed_by"}, "handed_by")]
        )
    async with desk.pool.acquire() as conn:
        rows = {r["batch_id"]: r for r in await store.dispensing(conn, visible(subject), bill_id)}
    if not rows:
        raise missing("调配记录")
    place = place_for(desk.registry, subject, next(iter(rows.values()))["org"])
    items = []
    for batch_id, qty in quantities.items():
        row = rows.get(batch_id)
        left = row["due"] - row["returned"] if row is not None else 0
        if qty > left or qty < 1:
            raise YaosuError("ampoules_too_many", {"qty": qty, "left": left})
        assert row is not None
        items.append({"drug_id": row["drug_id"], "batch_id": batch_id, "bill_id": bill_id, "qty": qty})
    products = _products(desk.registry, items)
    payload = {"items": items, "handed_by": handed_by.strip()}
    return await propose(desk, subject, "ampoule_return", place, products, payload, happened_at)


async def destroy_ampoules(
    desk: Desk,
    subject: Subject,
    place: OrgCard,
    quantities: dict[tuple[int, int], int],
    method: str,
    happened_at: datetime | None = None,
) -> Act:
    """Destroy received ampoules or patches before witnesses: `quantities` by (product, batch).

    Refused: `ampoules_too_many` for more than were received and not yet destroyed; `invalid_request` without a method.
    """
    subject.require(WRITE)
    async with desk.pool.acquire() as conn:
        held = {
            (r["drug_id"], r["batch_id"]): r["qty"]
            for r in await store.ampoules(conn, visible(subject), place.id)
        }
    if not method.strip() or not quantities:
        raise YaosuError(
            "invalid_request", {"count": 1}, [Finding("value_missing", {"field": "method"}, "method")]
        )
    free_text.refuse(method=method)
    items = []
    for (drug_id, batch_id), qty in quantities.items():
        left = held.get((drug_id, batch_id), 0)
        if qty > left or qty < 1:
            raise YaosuError("ampoules_too_many", {"qty": qty, "left": left})
        items.append({"drug_id": drug_id, "batch_id": batch_id, "qty": qty})
    payload = {"items": items, "method": method.strip()}
    products = _products(desk.registry, items)
    return await propose(desk, subject, "ampoule_destroy", place, products, payload, happened_at)


async def destroy_residue(
    desk: Desk,
    subject: Subject,
    bill_id: int,
    batch_id: int,
    amount: Decimal,
    unit: str,
    method: str,
    happened_at: datetime | None = None,
) -> Act:
    """剩余药液: what was left in an opened ampoule of a dispensing is poured away before a second person."""
    subject.require(WRITE)
    async with desk.pool.acquire() as conn:
        rows = await store.dispensing(conn, visible(subject), bill_id, batch_id)
    if not rows:
        raise missing("调配记录")
    found = [
        Finding("value_missing", {"field": name}, name)
        for name, value in (("unit", unit), ("method", method))
        if not value.strip()
    ]
    found += free_text.findings({"unit": unit, "method": method})
    if not Decimal(0) < amount < Decimal(1_000_000):
        found.append(Finding("value_shape", {"field": "amount"}, "amount"))
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found)
    place = place_for(desk.registry, subject, rows[0]["org"])
    item = {"drug_id": rows[0]["drug_id"], "batch_id": batch_id, "bill_id": bill_id}
    payload = {**item, "amount": str(amount), "unit": unit.strip(), "method": method.strip()}
    products = _products(desk.registry, [item])
    return await propose(desk, subject, "residue_destroy", place, products, payload, happened_at)


# -- the safe ----------------------------------------------------------------------------------------------------------


def controlled(registry: Registry) -> list[int]:
    """Products that books are kept of."""
    return [p.id for p in registry.products().values() if rules.kind_of(p)]


async def booked(
    conn: Connection, subject: Subject, registry: Registry, orgs: Sequence[int]
) -> dict[int, list[Booked]]:
    """What the books of the places say now, by place."""
    subject.require(READ)
    found: dict[int, list[Booked]] = {}
    for r in await book.booked(conn, visible(subject), orgs, controlled(registry)):
        product = registry.product(r["drug_id"])
        assert product is not None
        units = r["whole"] * product.prep_units_per + r["units"]
        one = Booked(
            r["drug_id"], r["batch_id"], r["batch_no"], r["expires_on"], units, r["packages"], r["opened"]
        )
        found.setdefault(r["org"], []).append(one)
    return found


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one product and batch, in preparation units, and why it differs."""

    drug_id: int
    batch_id: int
    units: int
    note: str = ""


async def count(
    desk: Desk,
    subject: Subject,
    place: OrgCard,
    shift: str,
    items: Sequence[Counted],
    happened_at: datetime | None = None,
) -> Act:
    """交接班清点: everything in the safe, against the books of this moment; the person taking over confirms.

    Refused (`invalid_request`): a batch of the books that was not counted, one counted twice, a difference without
    a note. A difference is kept as it is: it is cleared by bills, never by the count.
    """
    subject.require(WRITE)
    async with desk.pool.acquire() as conn:
        held = (await booked(conn, subject, desk.registry, [place.id])).get(place.id, [])
    books = {(b.drug_id, b.batch_id): b for b in held}
    found, rows, seen = [], [], set()
    if not shift.strip():
        found.append(Finding("value_missing", {"field": "shift"}, "shift"))
    found += free_text.findings({"shift": shift, "note": " | ".join(one.note for one in items)})
    for one in items[:ITEMS_MAX]:
        key = (one.drug_id, one.batch_id)
        product = listed(desk.registry, one.drug_id)
        if key in seen or key not in books or one.units < 0:
            found.append(Finding("count_line_unknown", {"product": product.generic_name}, "items"))
            continue
        seen.add(key)
        expected = books[key].units
        if one.units != expected and not one.note.strip():
            params = {"product": product.generic_name, "batch": books[key].batch_no}
            found.append(Finding("count_note_needed", {**params, "diff": one.units - expected}, "note"))
        rows.append(
            {
                "drug_id": one.drug_id,
                "batch_id": one.batch_id,
                "counted": one.units,
                "booked": expected,
                "note": one.note.strip(),
            }
        )
    for key in books.keys() - seen:
        product = listed(desk.registry, key[0])
        params = {"product": product.generic_name, "batch": books[key].batch_no}
        found.append(Finding("count_line_missing", params, "items"))
    if not rows and not found:
        found.append(Finding("count_nothing", {}, "items"))
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found)
    payload = {"shift": shift.strip(), "items": rows}
    return await propose(desk, subject, "count", place, _products(desk.registry, rows), payload, happened_at)


def _products(registry: Registry, items: Sequence[Mapping[str, object]]) -> list[Product]:
    return [listed(registry, int(str(one["drug_id"]))) for one in items]
