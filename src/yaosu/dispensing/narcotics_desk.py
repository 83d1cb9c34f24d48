"""The desk of narcotics: who stands at it, and acts that hold when a second person confirmed them (R-C4).

An act is prepared by one person: its scans are judged at once, nothing moves. Others of the same hospital confirm,
each from their own session or with their own password at the first person's screen. The last confirmation posts the
bill through the one write path; its number comes from the act's, so that doing it again after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from yaosu.access import audit, confirm
from yaosu.access import store as access_store
from yaosu.access.visibility import visible
from yaosu.circulation import service as circulation
from yaosu.circulation.cache import CHINA, BatchCache
from yaosu.circulation.model import CodeResult, Movement, MovementResult
from yaosu.db.engine import Connection, Pool
from yaosu.dispensing import narcotics_care as care
from yaosu.dispensing import narcotics_rules as rules
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_model import BILL_KINDS, Act
from yaosu.errors import Finding, YaosuError
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgCard, OrgType, Product
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

if TYPE_CHECKING:
    from yaosu.circulation.committer import Committer

READ, WRITE = "narcotics.read", "narcotics.write"
CODES_MAX = 200
"""Scans of one act: more than a safe holds."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the verbs need of the server."""

    pool: Pool
    committer: Committer
    registry: Registry
    batches: BatchCache
    keeper: Keeper


def missing(what: str) -> YaosuError:
    """Not there, or not the caller's to see."""
    return YaosuError("not_found", {"what": what})


def hospital_of(registry: Registry, org_id: int) -> OrgCard:
    """The hospital around a place, or the organisation itself; refused (`narcotics_hospital_only`) for others."""
    family = registry.family_of(org_id)
    if not family or family[0].type != OrgType.MEDICAL:
        raise YaosuError("narcotics_hospital_only")
    return family[0]


def place_for(registry: Registry, subject: Subject, place: int | None) -> OrgCard:
    """The place the subject acts in: its own organisation, or one of its places; `not_found` for anybody else's."""
    hospital_of(registry, subject.org)
    chosen = registry.org(place) if place is not None else registry.org(subject.org)
    mine = {subject.org} | {one.id for one in registry.places_of(subject.org)}
    if chosen is None or chosen.id not in mine:
        raise missing("内部场所" if subject.lang != "en" else "Place")
    return chosen


def person(subject: Subject) -> int:
    """The account that acts; refused (`narcotics_person_only`) for an API key, behind which nobody stands by name."""
    subject.require(WRITE)
    if subject.kind != "account" or subject.account_id is None:
        raise YaosuError("narcotics_person_only")
    return subject.account_id


def listed(registry: Registry, drug_id: int) -> Product:
    """The product, if books are kept of it; refused (`narcotics_not_listed`)."""
    product = registry.product(drug_id)
    if product is None or not rules.kind_of(product):
        name = product.generic_name if product is not None else str(drug_id)
        raise YaosuError("narcotics_not_listed", {"product": name})
    return product


async def _judged(desk: Desk, subject: Subject, movement: Movement) -> tuple[list[CodeResult], list[Product]]:
    """What the write path would say now, and the products; refused (`narcotics_codes_refused`) unless all pass."""
    if not movement.codes:
        raise YaosuError("invalid_request", {"count": 1}, [Finding("no_codes", {}, "codes")])
    if len(movement.codes) > CODES_MAX:
        raise YaosuError("too_many_codes", {"count": len(movement.codes), "limit": CODES_MAX})
    async with desk.pool.acquire() as conn:
        results, _ = await circulation.check(conn, desk.registry, desk.batches, subject, movement)
    # a part of an opened box is named only when the bill is made
    wrong = [r for r in results if r.severity == "refused" and r.verdict != "opened_name_parts"]
    if wrong:
        found = [
            Finding(r.verdict, {"code": r.code or r.raw, **(r.params or {})}, r.code or r.raw) for r in wrong
        ]
        raise YaosuError("narcotics_codes_refused", {"count": len(wrong)}, found)
    products = [listed(desk.registry, drug_id) for drug_id in dict.fromkeys(r.drug_id for r in results)]
    return results, products


async def propose(
    desk: Desk,
    subject: Subject,
    kind: str,
    place: OrgCard,
    products: Sequence[Product],
    payload: Mapping[str, object],
    happened_at: datetime | None,
    request_no: str = "",
) -> Act:
    """Write the act down; where nobody has to confirm it holds at once. `happened_at` None is now.

    A `request_no` that the place has used is refused (`request_reused`); `repeated` looks for it first.
    """
    made_by = person(subject)
    at = happened_at or datetime.now(UTC)
    hospital = hospital_of(desk.registry, place.id)
    count = rules.confirmations(
        desk.registry.lists, kind, products, at.astimezone(CHINA).date(), place.region
    )
    async with desk.pool.acquire() as conn, conn.transaction():
        values = (place.id, hospital.id, kind, count, made_by, at, dict(payload), request_no)
        number: int | None = await conn.fetchval(store.NEW_ACT, *values)
        if number is None:
            raise YaosuError("request_reused", {"number": request_no})
        await audit.record(conn, subject, f"narcotics.{kind}", ("narcotic_act", number), org_id=place.id)
    if count == 0:
        await _settle(desk, hospital.id, number)
    return await _act(desk, hospital.id, number)


async def repeated(
    desk: Desk, subject: Subject, place: OrgCard, kind: str, codes: Sequence[str], request_no: str
) -> Act | None:
    """The act that the same request made before, so that sending it again after a lost answer does nothing twice."""
    if not request_no:
        return None
    async with desk.pool.acquire() as conn:
        old = await conn.fetchrow(store.SAME_REQUEST, place.id, request_no)
    if old is None:
        return None
    said = (old["kind"], old["made_by"], list(old["payload"].get("codes") or ()))
    if said != (kind, subject.account_id, list(codes)):
        raise YaosuError("request_reused", {"number": request_no})
    return await _act(desk, hospital_of(desk.registry, place.id).id, old["id"])


async def _act(desk: Desk, hospital: int, number: int) -> Act:
    async with desk.pool.acquire() as conn:
        found = await store.act_of_hospital(conn, hospital, number)
    if found is None:
        raise missing("业务")
    return found


async def get_act(desk: Desk, subject: Subject, number: int) -> Act:
    """An act of the subject's hospital, to look at before confirming; `not_found` for others'."""
    subject.require(READ)
    return await _act(desk, hospital_of(desk.registry, subject.org).id, number)


async def issue(
    desk: Desk,
    subject: Subject,
    place: OrgCard,
    to: int,
    codes: Sequence[str],
    happened_at: datetime | None = None,
    request_no: str = "",
) -> tuple[Act, list[CodeResult]]:
    """发出: goods leave `place` for another place of the same hospital (203, or 药库 → 药房 → 病区)."""
    person(subject)
    if old := await repeated(desk, subject, place, "issue", codes, request_no):
        return old, []
    family = {one.id for one in desk.registry.family_of(place.id)}
    if to not in family or to == place.id:
        raise YaosuError(
            "invalid_request", {"count": 1}, [Finding("narcotics_other_place_needed", {}, "to_org")]
        )
    movement = _movement("issue", place.id, codes, happened_at, to_org=to)
    results, products = await _judged(desk, subject, movement)
    payload = {"to": to, "codes": list(codes), "lines": _lines(results)}
    return await propose(desk, subject, "issue", place, products, payload, happened_at, request_no), results


async def receive(
    desk: Desk,
    subject: Subject,
    place: OrgCard,
    giver: int,
    codes: Sequence[str],
    notice: str = "",
    happened_at: datetime | None = None,
    request_no: str = "",
) -> tuple[Act, list[CodeResult]]:
    """领入: the receiver scans what arrived (104); what was not sent to it is refused."""
    person(subject)
    if old := await repeated(desk, subject, place, "receive", codes, request_no):
        return old, []
    movement = _movement("receive", place.id, codes, happened_at, from_org=giver, notice=notice)
    results, products = await _judged(desk, subject, movement)
    payload = {"from": giver, "notice": notice, "codes": list(codes), "lines": _lines(results)}
    return await propose(desk, subject, "receive", place, products, payload, happened_at, request_no), results


async def dispense(
    desk: Desk,
    subject: Subject,
    prescription_id: int,
    codes: Sequence[str],
    units: int | None = None,
    happened_at: datetime | None = None,
    request_no: str = "",
) -> tuple[Act, list[CodeResult]]:
    """调配: scanned boxes, or `units` preparation units out of them, go to the patient of a prescription (323).

    Refused: `narcotics_codes_refused`, `rx_other_product`, `rx_units_do_not_fit` when the boxes hold another quantity,
    `rx_more_than_prescribed`, `rx_closed`.
    """
    person(subject)
    async with desk.pool.acquire() as conn:
        found = await store.prescriptions(conn, visible(subject), prescription_id, limit=1)
    if not found:
        raise missing("处方")
    rx = found[0]
    place = place_for(desk.registry, subject, rx.org)
    if old := await repeated(desk, subject, place, "dispense", codes, request_no):
        return old, []
    if rx.state != "open":
        raise YaosuError("rx_closed", {"number": rx.number})
    results, products = await _judged(desk, subject, _movement("dispense", place.id, codes, happened_at))
    other = [p for p in products if p.id != rx.drug_id]
    if other:
        raise YaosuError("rx_other_product", {"product": other[0].generic_name, "number": rx.number})
    per = products[0].prep_units_per
    async with desk.pool.acquire() as conn:
        rows = await store.boxes(conn, [(r.drug_id, r.code) for r in results])
    boxes = []
    for r in results:
        row = rows[(r.drug_id, r.code)]
        opened = row["unit_left"] is not None
        boxes.append(rules.Box(r.code, row["unit_left"] if opened else row["qty"] * per, opened))
    wanted = units if units is not None else sum(b.left for b in boxes)
    given = rules.allocate(wanted, boxes)
    if given is None:
        raise YaosuError("rx_units_do_not_fit", {"units": wanted, "held": sum(b.left for b in boxes)})
    left = rx.units - rx.dispensed
    if wanted > left:
        raise YaosuError("rx_more_than_prescribed", {"units": wanted, "left": left, "number": rx.number})
    parts = {b.code: given[b.code] for b in boxes if b.opened or given[b.code] != b.left}
    batches = {r.code: r.batch_id or rows[(r.drug_id, r.code)]["batch_id"] for r in results}
    payload = {
        "prescription": rx.id,
        "codes": list(codes),
        "units": wanted,
        "parts": parts,
        "given": {code: [batches[code], count] for code, count in given.items()},
        "drug_id": rx.drug_id,
        "lines": _lines(results),
    }
    return await propose(
        desk, subject, "dispense", place, products, payload, happened_at, request_no
    ), results


def _lines(results: Sequence[CodeResult]) -> list[dict[str, object]]:
    """What was scanned, as the confirming person reads it."""
    return [{"code": r.code, "drug_id": r.drug_id, "batch_id": r.batch_id, "qty": r.qty} for r in results]


def _movement(kind: str, owner: int, codes: Sequence[str], at: datetime | None, **more: object) -> Movement:
    values: dict[str, object] = {"bill_no": "", **more}
    return Movement(
        type=BILL_KINDS[kind],
        owner=owner,
        happened_at=at or datetime.now(UTC),
        codes=tuple(codes),
        mode="atomic",
        **values,  # type: ignore[arg-type]
    )


async def confirm_act(desk: Desk, subject: Subject, number: int, login: str = "", password: str = "") -> Act:
    """A second person confirms: the subject itself, or whoever's login and password are given at its screen.

    The last confirmation needed makes the act hold. Refused: `confirmation_failed`, `confirm_other_person` for whoever
    prepared it or confirmed before, `act_not_waiting`. An act that was interrupted while it ran is completed.
    """
    subject.require(WRITE)
    hospital = hospital_of(desk.registry, subject.org)
    act = await _act(desk, hospital.id, number)
    if act.state == "running":
        return await _settle(desk, hospital.id, number)
    if act.state != "waiting":
        raise YaosuError("act_not_waiting", {"state": act.state})
    if login:
        orgs = {one.id for one in desk.registry.family_of(hospital.id)}
        who = await confirm.by_password(desk.pool, login, password, orgs)
        if WRITE not in who.scopes:
            raise YaosuError("confirmation_failed")
        account, way = who.account_id, "password"
    else:
        account, way = person(subject), "session"
    if account == act.made_by or account in {c.account_id for c in act.confirmed}:
        raise YaosuError("confirm_other_person")
    async with desk.pool.acquire() as conn, conn.transaction():
        if await conn.fetchval(store.LOCK_ACT, number) != "waiting":
            raise YaosuError("act_not_waiting", {"state": "—"})
        await conn.execute(store.CONFIRM, number, account, way)
        by = {"account": account, "way": way}
        await audit.record(conn, subject, "narcotics.confirm", ("narcotic_act", number), by, org_id=act.org)
    act = await _act(desk, hospital.id, number)
    return act if act.missing else await _settle(desk, hospital.id, number)


async def cancel_act(desk: Desk, subject: Subject, number: int) -> Act:
    """Take back what waits for confirmation; nothing has moved. Refused (`act_not_waiting`) afterwards."""
    subject.require(WRITE)
    act = await get_act(desk, subject, number)
    async with desk.pool.acquire() as conn, conn.transaction():
        if await conn.fetchval(store.LOCK_ACT, number) != "waiting":
            raise YaosuError("act_not_waiting", {"state": act.state})
        await conn.execute(store.CLOSE_ACT, number, "cancelled", None, None, subject.account_id)
        await audit.record(conn, subject, "narcotics.cancel", ("narcotic_act", number), org_id=act.org)
    return await _act(desk, act.hospital, number)


async def _settle(desk: Desk, hospital: int, number: int) -> Act:
    """Make the confirmed act hold, or complete one that was interrupted."""
    act = await _act(desk, hospital, number)
    if act.kind not in BILL_KINDS:
        async with desk.pool.acquire() as conn, conn.transaction():
            if await conn.fetchval(store.LOCK_ACT, number) == "waiting":
                await care.carry_out(conn, act)
                await conn.execute(store.CLOSE_ACT, number, "done", None, None, None)
        return await _act(desk, hospital, number)
    bill_no = f"MJ-{act.happened_at.astimezone(CHINA):%Y%m%d}-{act.id:06d}"
    async with desk.pool.acquire() as conn, conn.transaction():
        state = await conn.fetchval(store.LOCK_ACT, number)
        if state == "waiting":
            if act.kind == "dispense":
                await _still_prescribed(conn, act)
            await conn.execute(store.SET_RUNNING, number, bill_no)
        elif state != "running":
            return await _act(desk, hospital, number)
        maker = await _maker(conn, act)
        header = await _header(conn, act)
        patient = await _patient(conn, act)
    try:
        result = await circulation.submit(
            desk.pool, desk.committer, desk.registry, maker, _bill(act, bill_no, header, patient)
        )
    except YaosuError as error:
        await _close(desk, act, None, error.as_json("zh"))
        raise
    accepted = result.status == "accepted"
    await _close(desk, act, result if accepted else None, None if accepted else result.as_json("zh"))
    return await _act(desk, hospital, number)


async def _still_prescribed(conn: Connection, act: Act) -> None:
    """Other dispensings may have been confirmed since this one was prepared."""
    row = await conn.fetchrow(store.LOCK_PRESCRIPTION, act.payload["prescription"], act.id)
    assert row is not None, "prescriptions are never deleted"
    left = row["units"] - row["dispensed"] - row["running"]
    units = int(str(act.payload["units"]))
    if row["state"] != "open" or units > left:
        raise YaosuError("rx_more_than_prescribed", {"units": units, "left": max(left, 0), "number": "—"})


async def _maker(conn: Connection, act: Act) -> Subject:
    """Whoever prepared the act, with the permissions of now: the bill is theirs, not the confirming person's."""
    row = await conn.fetchrow(store.ACCOUNT, act.made_by)
    if row is None or not row["active"]:
        raise YaosuError("narcotics_maker_gone")
    return access_store.account_subject(row, 0)


async def _header(conn: Connection, act: Act) -> dict[str, object]:
    """What stands on the bill: the second person, and of a prescription what its readers may know."""
    header: dict[str, object] = {"act": act.id}
    if act.confirmed:
        header["checker_account"] = act.confirmed[0].account_id
        header["second_person"] = "、".join(c.name for c in act.confirmed)
    if act.kind == "dispense":
        rx = await _prescription(conn, act)
        header |= {"prescription_no": rx["number"], "doctor": rx["doctor"], "department": rx["department"]}
        if rx["agent"] is not None:
            header["agent_person"] = rx["agent"]
    return header


async def _patient(conn: Connection, act: Act) -> int | None:
    return int((await _prescription(conn, act))["patient"]) if act.kind == "dispense" else None


async def _prescription(conn: Connection, act: Act) -> Mapping[str, Any]:
    row = await conn.fetchrow(store.PRESCRIPTION_OF_ACT, act.payload["prescription"])
    assert row is not None, "prescriptions are never deleted"
    return dict(row)


def _bill(act: Act, bill_no: str, header: Mapping[str, object], patient: int | None) -> Movement:
    payload = act.payload
    codes: list[str] = list(payload["codes"])  # type: ignore[call-overload]
    parts: dict[str, int] = dict(payload.get("parts") or {})  # type: ignore[call-overload]
    movement = Movement(
        type=BILL_KINDS[act.kind],
        bill_no=bill_no,
        owner=act.org,
        happened_at=act.happened_at,
        codes=codes,
        mode="atomic",
        header=header,
    )
    if act.kind == "issue":
        movement = replace(movement, to_org=int(str(payload["to"])))
    elif act.kind == "receive":
        movement = replace(
            movement, from_org=int(str(payload["from"])), notice=str(payload.get("notice") or "")
        )
    else:
        movement = replace(movement, parts=parts, person=patient)
    kept = {"act": act.id, "type": movement.type, "bill_no": bill_no, "codes": codes, "parts": parts}
    return replace(movement, body=orjson.dumps({**kept, "header": dict(header), "person_id": patient}))


async def _close(
    desk: Desk, act: Act, result: MovementResult | None, outcome: Mapping[str, object] | None
) -> None:
    async with desk.pool.acquire() as conn, conn.transaction():
        if await conn.fetchval(store.LOCK_ACT, act.id) != "running":
            return
        if result is not None and act.kind == "dispense":
            await care.handed_out(conn, desk.registry, act, result.bill_id)
        state = "done" if result is not None else "refused"
        await conn.execute(store.CLOSE_ACT, act.id, state, result.bill_id if result else None, outcome, None)
