"""Narcotics in hospitals: storehouse → pharmacy → ward, dispensing to the person, checked by two people (R-C4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from dispensing.narcotics_helpers import PASSWORD, Ward, agent, ward_on
from people.helpers import given
from yaosu.db.engine import Pool
from yaosu.dispensing import narcotics_desk as desk
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing.narcotics_model import Register
from yaosu.dispensing.narcotics_rules import Dose
from yaosu.errors import YaosuError
from yaosu.subject import Subject

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with pool.acquire() as conn:
        await conn.execute("TRUNCATE org CASCADE")
    async with ward_on(pool) as made:
        yield made
        await made.market.conserved()


async def refused(code: str, work: Any) -> YaosuError:
    with pytest.raises(YaosuError) as caught:
        await work
    assert caught.value.code == code, (caught.value.code, caught.value.findings)
    return caught.value


def said(error: YaosuError) -> list[str]:
    return [f.code for f in error.findings]


async def stocks(ward: Ward) -> tuple[int, int, int, int]:
    """Boxes on hand: hospital, storehouse, pharmacy, ward."""
    found = [await ward.market.stock(org) for org in (ward.hospital, ward.store, ward.pharmacy, ward.ward)]
    return found[0], found[1], found[2], found[3]


async def books(ward: Ward, org: int, who: str = "药师甲", **more: Any) -> Register:
    """The register of one place, opened and closed where the ledger says it stands."""
    start = more.pop("start", LONG_AGO)
    async with ward.desk.pool.acquire() as conn:
        found = await registers.register(
            conn, ward.of(who), ward.desk.registry, org, ward.goods.drug_id, start, **more
        )
        held = await service.booked(conn, ward.of(who), ward.desk.registry, found.orgs)
    assert found.opening + found.received - found.issued == found.closing
    if "end" not in more:
        lines = [b for one in held.values() for b in one]
        assert found.closing == sum(b.units for b in lines)
        assert found.closing_packages == sum(b.packages for b in lines)
    balance = found.opening
    for line in found.lines:
        balance += line.units
        assert line.balance == balance >= 0
    return found


async def test_nothing_moves_before_a_second_person_has_confirmed(ward: Ward) -> None:
    boxes = ward.goods.boxes[:2]
    act, results = await desk.issue(
        ward.desk, ward.of("药师甲"), ward.place(ward.hospital), ward.store, boxes
    )
    assert (act.state, act.missing, len(results)) == ("waiting", 1, 2)
    assert await stocks(ward) == (20, 0, 0, 0)
    await refused("confirm_other_person", desk.confirm_act(ward.desk, ward.of("药师甲"), act.id))
    await refused("forbidden", desk.confirm_act(ward.desk, ward.of("质控"), act.id))
    await refused("forbidden", desk.confirm_act(ward.desk, ward.of("外人"), act.id))
    act = await ward.done(act, "药师乙")
    assert await stocks(ward) == (18, 0, 0, 0)
    assert await ward.market.stock(ward.hospital, "O") == 2
    async with ward.desk.pool.acquire() as conn:
        bill = await conn.fetchrow("SELECT type, account_id, header FROM bill WHERE id = $1", act.bill_id)
    assert bill["type"] == 203 and bill["account_id"] == ward.of("药师甲").account_id
    assert bill["header"]["second_person"] == "药师乙"
    assert bill["header"]["checker_account"] == ward.of("药师乙").account_id
    await refused("act_not_waiting", desk.confirm_act(ward.desk, ward.of("药师丙"), act.id))


async def test_the_second_person_may_confirm_with_their_password_at_the_first_ones_screen(ward: Ward) -> None:
    first = ward.of("药师甲")
    act, _ = await desk.issue(ward.desk, first, ward.place(ward.hospital), ward.store, ward.goods.boxes[:1])
    nurse = ward.logins["护士甲"]
    for login, password in (
        (nurse, "wrong-password"),
        ("nobody.here", PASSWORD),
        # somebody of another firm, and somebody who may only read
        (ward.logins["外人"], PASSWORD),
        (ward.logins["质控"], PASSWORD),
    ):
        await refused("confirmation_failed", desk.confirm_act(ward.desk, first, act.id, login, password))
    own = ward.logins["药师甲"]
    await refused("confirm_other_person", desk.confirm_act(ward.desk, first, act.id, own, PASSWORD))
    act = await desk.confirm_act(ward.desk, first, act.id, nurse, PASSWORD)
    assert act.state == "done"
    assert [(c.name, c.way) for c in act.confirmed] == [("护士甲", "password")]


async def test_guessing_the_second_persons_password_locks_the_account(ward: Ward) -> None:
    first = ward.of("药师甲")
    act, _ = await desk.issue(ward.desk, first, ward.place(ward.hospital), ward.store, ward.goods.boxes[:1])
    login = ward.logins["药师丙"]
    for _ in range(5):
        await refused("confirmation_failed", desk.confirm_act(ward.desk, first, act.id, login, "guess-guess"))
    await refused("sign_in_locked", desk.confirm_act(ward.desk, first, act.id, login, PASSWORD))
    # their own session is not hurt by what others type
    assert (await desk.confirm_act(ward.desk, ward.of("药师乙"), act.id)).state == "done"


async def test_both_sides_scan_from_storehouse_to_pharmacy_to_ward(ward: Ward) -> None:
    boxes = ward.goods.boxes
    await ward.move(ward.hospital, ward.store, ward.goods.cases, 6)
    await ward.move(ward.store, ward.pharmacy, boxes[:4], 5)
    await ward.move(ward.pharmacy, ward.ward, boxes[:1], 4)
    assert await stocks(ward) == (0, 16, 3, 1)
    # a box that was not sent to the ward is refused when it scans it
    error = await refused(
        "narcotics_codes_refused",
        desk.receive(ward.desk, ward.of("护士甲"), ward.place(ward.ward), ward.pharmacy, boxes[5:6]),
    )
    assert len(error.findings) == 1
    # the nurse acts for the ward, not for the pharmacy
    await refused("not_found", desk_place(ward, "护士甲", ward.pharmacy))


async def desk_place(ward: Ward, who: str, place: int) -> None:
    desk.place_for(ward.desk.registry, ward.of(who), place)


async def test_goods_leave_only_for_another_place_of_the_same_hospital(ward: Ward) -> None:
    here = ward.place(ward.hospital)
    for to in (ward.hospital, ward.market.wholesaler, 999_999):
        error = await refused(
            "invalid_request", desk.issue(ward.desk, ward.of("药师甲"), here, to, ward.goods.boxes[:1])
        )
        assert said(error) == ["narcotics_other_place_needed"]


async def test_a_cancelled_act_has_moved_nothing_and_stays_on_record(ward: Ward) -> None:
    act, _ = await desk.issue(
        ward.desk, ward.of("药师甲"), ward.place(ward.hospital), ward.store, ward.goods.boxes[:1]
    )
    cancelled = await desk.cancel_act(ward.desk, ward.of("药师乙"), act.id)
    assert (cancelled.state, cancelled.bill_id) == ("cancelled", None)
    await refused("act_not_waiting", desk.confirm_act(ward.desk, ward.of("药师丙"), act.id))
    assert await stocks(ward) == (20, 0, 0, 0)


async def test_what_others_did_in_the_meantime_refuses_the_act_as_a_whole(ward: Ward) -> None:
    boxes = ward.goods.boxes
    one, _ = await desk.issue(ward.desk, ward.of("药师甲"), ward.place(ward.hospital), ward.store, boxes[:2])
    two, _ = await desk.issue(ward.desk, ward.of("药师甲"), ward.place(ward.hospital), ward.store, boxes[1:3])
    await ward.done(one, "药师乙")
    two = await ward.confirmed(two, "药师乙")
    assert (two.state, two.bill_id) == ("refused", None)
    assert two.outcome is not None and two.outcome["status"] == "refused"
    assert await ward.market.stock(ward.hospital) == 18


async def test_an_api_key_does_not_stand_for_a_person(ward: Ward) -> None:
    key = Subject("key", None, ward.hospital, "3", "", ward.of("药师甲").scopes, region="370102", name="HIS")
    await refused(
        "narcotics_person_only",
        desk.issue(ward.desk, key, ward.place(ward.hospital), ward.store, ward.goods.boxes[:1]),
    )


async def test_a_prescription_is_held_against_the_limits_of_its_kind(ward: Ward) -> None:
    """处方管理办法: injections one dose; patients with cancer pain three days; inpatients one day."""
    error = await refused("invalid_request", ward.prescribe(dose=Dose(Decimal(1), 1, 2)))
    assert said(error) == ["rx_days_beyond", "rx_doses_beyond"]
    assert "待核实" in str(error.findings[0].params["source"])
    error = await refused("invalid_request", ward.prescribe(dose=Dose(Decimal(1), 2, 1)))
    assert said(error) == ["rx_doses_beyond"]
    rx = await ward.prescribe(case_kind="pain", dose=Dose(Decimal(1), 4, 3))
    assert rx.units == 12
    await refused("invalid_request", ward.prescribe(case_kind="pain", dose=Dose(Decimal(1), 4, 4)))
    await refused("invalid_request", ward.prescribe(case_kind="inpatient", dose=Dose(Decimal(1), 4, 2)))
    # half an ampoule at a time is an ampoule opened each time
    assert (await ward.prescribe(case_kind="inpatient", dose=Dose(Decimal("0.5"), 3, 1))).units == 3


async def test_a_prescription_names_its_patient_by_a_right_document_and_stands_once(ward: Ward) -> None:
    wrong = given("患者乙", number="11010119800101001X")
    error = await refused("invalid_request", ward.prescribe(patient=wrong))
    assert "11010119800101001X" not in str(error) + str(error.as_json("zh"))
    await refused("invalid_request", ward.prescribe(doctor=" "))
    await refused("invalid_request", ward.prescribe(case_kind="fish"))
    same = given("患者甲")
    await refused("invalid_request", ward.prescribe(patient=same, agent=same))
    await ward.prescribe(number="RX-1")
    await refused("rx_number_taken", ward.prescribe(number="RX-1"))


async def test_dispensing_is_traced_to_the_person_and_the_identity_stands_nowhere_else(ward: Ward) -> None:
    await ward.move(ward.hospital, ward.pharmacy, ward.goods.boxes[:2], 5)
    patient, other = given("患者丙"), agent()
    rx = await ward.prescribe(patient=patient, agent=other, case_kind="pain", dose=Dose(Decimal(1), 4, 3))
    act = await ward.dispense(rx, ward.goods.boxes[:1])
    async with ward.desk.pool.acquire() as conn:
        bought = await conn.fetchrow("SELECT * FROM people.purchase WHERE bill_id = $1", act.bill_id)
        rows = [
            str(dict(r))
            for table in ("narcotic_prescription", "narcotic_act", "narcotic_dispensing", "audit", "bill")
            for r in await conn.fetch(f"SELECT * FROM {table}")
        ]
        shown = await service.shown(ward.desk, conn, ward.of("药师甲"), [rx.patient, rx.agent])
    assert (bought["person"], bought["agent"], bought["prescription_no"]) == (rx.patient, rx.agent, rx.number)
    text = "\n".join(rows)
    for secret in (patient.number, patient.name, other.number, other.name, patient.phone):
        assert secret not in text
    assert shown[rx.patient].name_masked != patient.name
    assert shown[rx.patient].number_masked.count("*") > 5
    assert await ward.market.status(ward.goods.boxes[0]) == ("S", ward.pharmacy, None)


async def test_two_ampoules_of_a_box_of_ten_are_dispensed_and_eight_stay_in_the_books(ward: Ward) -> None:
    box, second = ward.goods.boxes[:2]
    await ward.move(ward.hospital, ward.ward, [box, second], 5)
    for n in range(2):
        rx = await ward.prescribe(place=ward.ward, case_kind="inpatient", dose=Dose(Decimal(1), 1, 1))
        await ward.dispense(rx, [box], 1)
        register = await books(ward, ward.ward)
        assert (register.closing, register.closing_packages) == (19 - n, 2)
    rx = await ward.prescribe(place=ward.ward, case_kind="pain", dose=Dose(Decimal(1), 4, 3))
    # eight are left in the opened box, and four come out of the next
    await ward.dispense(rx, [box, second], 12)
    register = await books(ward, ward.ward)
    assert (register.received, register.issued, register.closing) == (20, 14, 6)
    assert (register.lines[-1].units, register.closing_packages) == (-12, 1)
    assert await ward.market.status(box) == ("S", ward.ward, None)


async def test_a_dispensing_neither_exceeds_the_prescription_nor_takes_more_boxes_than_needed(
    ward: Ward,
) -> None:
    boxes = ward.goods.boxes
    await ward.move(ward.hospital, ward.pharmacy, boxes[:3], 5)
    rx = await ward.prescribe(case_kind="pain", dose=Dose(Decimal(1), 4, 3))
    pharmacist = ward.of("药师甲")
    for codes, units, code in (
        (boxes[:2], None, "rx_more_than_prescribed"),
        (boxes[:1], 11, "rx_units_do_not_fit"),
        (boxes[:2], 8, "rx_units_do_not_fit"),
        # not in this pharmacy
        (boxes[5:6], 1, "narcotics_codes_refused"),
    ):
        await refused(code, desk.dispense(ward.desk, pharmacist, rx.id, codes, units))
    when = datetime.now(UTC) - timedelta(minutes=9)
    one, _ = await desk.dispense(ward.desk, pharmacist, rx.id, boxes[:1], 7, when)
    two, _ = await desk.dispense(ward.desk, pharmacist, rx.id, boxes[1:2], 7, when)
    await ward.done(one, "药师乙")
    # both were prepared while 12 were left; together they would be 14
    await refused("rx_more_than_prescribed", desk.confirm_act(ward.desk, ward.of("药师乙"), two.id))
    await ward.dispense(rx, boxes[:1], 3)
    await ward.dispense(rx, boxes[1:2], 2)
    await refused("rx_closed", desk.dispense(ward.desk, pharmacist, rx.id, boxes[1:2], 1))


async def test_empty_ampoules_come_back_are_counted_and_destroyed_before_two_witnesses(ward: Ward) -> None:
    box, batch = ward.goods.boxes[0], ward.goods.batch_id
    await ward.move(ward.hospital, ward.pharmacy, [box], 5)
    patient = given("患者丁")
    rx = await ward.prescribe(patient=patient, case_kind="pain", dose=Dose(Decimal(1), 1, 3))
    act = await ward.dispense(rx, [box], 3)
    assert act.bill_id is not None
    pharmacist, bill = ward.of("药师甲"), act.bill_id
    async with ward.desk.pool.acquire() as conn:
        (due,) = await service.due(conn, pharmacist, ward.pharmacy)
    assert (due.due, due.open, due.bill_id, due.prescription) == (3, 3, bill, rx.number)
    # the next time the patient comes, the desk is reminded
    again = await service.register_prescription(
        ward.desk,
        pharmacist,
        ward.place(ward.pharmacy),
        service.RxDraft(
            "RX-NEXT", ward.goods.drug_id, "ordinary", patient, "急诊科", "医师甲", "疼痛",
            Dose(Decimal(1), 1, 1), rx.prescribed_on,
        ),
    )  # fmt: skip
    assert [(n.code, n.params["qty"]) for n in again.notes] == [("ampoules_outstanding", 3)]
    await refused(
        "ampoules_too_many", service.return_ampoules(ward.desk, pharmacist, bill, {batch: 4}, "患者")
    )
    await refused("invalid_request", service.return_ampoules(ward.desk, pharmacist, bill, {batch: 1}, " "))
    back = await service.return_ampoules(ward.desk, pharmacist, bill, {batch: 2}, "患者本人")
    await ward.done(back, "药师乙")
    key = (ward.goods.drug_id, batch)
    place = ward.place(ward.pharmacy)
    await refused(
        "ampoules_too_many", service.destroy_ampoules(ward.desk, pharmacist, place, {key: 3}, "碾碎")
    )
    gone = await service.destroy_ampoules(ward.desk, pharmacist, place, {key: 2}, "碾碎后按医疗废物处置")
    assert gone.confirmations == 2
    gone = await ward.confirmed(gone, "药师乙")
    assert (gone.state, gone.missing) == ("waiting", 1)
    gone = await ward.done(gone, "药师丙")
    async with ward.desk.pool.acquire() as conn:
        left = await conn.fetchval("SELECT sum(qty) FROM narcotic_ampoule WHERE org = $1", ward.pharmacy)
        (due,) = await service.due(conn, pharmacist, ward.pharmacy)
    assert (left, due.open) == (0, 1)


async def test_what_is_left_in_an_ampoule_is_poured_away_before_a_second_person(ward: Ward) -> None:
    box, batch = ward.goods.boxes[0], ward.goods.batch_id
    await ward.move(ward.hospital, ward.ward, [box], 5)
    rx = await ward.prescribe(place=ward.ward, case_kind="inpatient", dose=Dose(Decimal("0.5"), 1, 1))
    act = await ward.dispense(rx, [box], 1)
    assert act.bill_id is not None
    work = service.destroy_residue(
        ward.desk, ward.of("药师甲"), act.bill_id, batch, Decimal("0.5"), "ml", "倾入下水道，大量水冲"
    )
    poured = await ward.done(await work, "护士甲")
    assert [c.name for c in poured.confirmed] == ["护士甲"]
    await refused(
        "invalid_request",
        service.destroy_residue(ward.desk, ward.of("药师甲"), act.bill_id, batch, Decimal(0), "ml", "倾倒"),
    )
    await refused(
        "not_found",
        service.destroy_residue(ward.desk, ward.of("药师甲"), 1, batch, Decimal(1), "ml", "倾倒"),
    )


async def test_a_count_at_change_of_shift_is_held_against_the_books(ward: Ward) -> None:
    box = ward.goods.boxes[0]
    await ward.move(ward.hospital, ward.ward, [box], 5)
    rx = await ward.prescribe(place=ward.ward, case_kind="inpatient", dose=Dose(Decimal(1), 1, 1))
    await ward.dispense(rx, [box], 1)
    nurse, place = ward.of("护士甲"), ward.place(ward.ward)
    drug, batch = ward.goods.drug_id, ward.goods.batch_id
    for items, code in (
        ([], "count_line_missing"),
        ([service.Counted(drug, batch, 10)], "count_note_needed"),
        ([service.Counted(drug, batch + 999, 9), service.Counted(drug, batch, 9)], "count_line_unknown"),
    ):
        error = await refused("invalid_request", service.count(ward.desk, nurse, place, "白班", items))
        assert code in said(error)
    right = await service.count(ward.desk, nurse, place, "白班", [service.Counted(drug, batch, 9)])
    await ward.done(right, "药师乙")
    short = [service.Counted(drug, batch, 8, "少 1 支，已报告药学部")]
    await ward.done(await service.count(ward.desk, nurse, place, "夜班", short), "药师乙")
    async with ward.desk.pool.acquire() as conn:
        found = await conn.fetch("SELECT shift, counted, booked FROM narcotic_count ORDER BY act_id")
    assert [tuple(r) for r in found] == [("白班", 9, 9), ("夜班", 8, 9)]
    # a count changes no books
    assert (await books(ward, ward.ward)).closing == 9


async def test_the_register_names_voucher_batch_codes_patient_and_both_people(ward: Ward) -> None:
    box = ward.goods.boxes[0]
    await ward.move(ward.hospital, ward.pharmacy, ward.goods.boxes[:3], 5)
    rx = await ward.prescribe(patient=given("欧阳患者"), case_kind="pain", dose=Dose(Decimal(1), 1, 2))
    act = await ward.dispense(rx, [box], 2)
    register = await books(ward, ward.pharmacy)
    came, left = register.lines
    assert (came.type, came.units, came.packages, came.counterparty) == (104, 30, 3, ward.hospital)
    assert (left.type, left.units, left.balance, left.codes) == (323, -2, 28, (box,))
    assert (left.bill_no, left.batch_no) == (act.bill_no, ward.goods.batch_no)
    assert (left.handler, left.checker, left.doctor) == ("药师甲", "药师乙", "医师甲")
    assert (left.prescription, left.patient) == (rx.number, rx.patient)
    async with ward.desk.pool.acquire() as conn:
        patients = await service.shown(ward.desk, conn, ward.of("药师甲"), [left.patient])
    rows = registers.in_words(register, ward.desk.registry, patients)
    assert rows[0][2] == "上期结存"
    told = "\n".join(" ".join(r) for r in rows)
    assert "欧阳患者" not in told and rx.number in told
    # from a day when half of it had already happened, the opening balance says so
    later = await books(ward, ward.pharmacy, start=came.at + timedelta(minutes=1))
    assert (later.opening, later.opening_packages, len(later.lines)) == (30, 3, 1)
    # and what was closed then is what is opened now
    before = await books(ward, ward.pharmacy, end=came.at + timedelta(minutes=1))
    assert (before.closing, before.closing_packages) == (later.opening, later.opening_packages)


async def test_the_register_of_the_whole_hospital_adds_up_over_its_places(ward: Ward) -> None:
    boxes = ward.goods.boxes
    await ward.move(ward.hospital, ward.store, ward.goods.cases, 6)
    await ward.move(ward.store, ward.ward, boxes[:2], 5)
    rx = await ward.prescribe(place=ward.ward, case_kind="inpatient", dose=Dose(Decimal(1), 2, 1))
    await ward.dispense(rx, boxes[:1], 2)
    whole = await books(ward, ward.hospital, whole=True)
    assert set(whole.orgs) == {ward.hospital, ward.store, ward.pharmacy, ward.ward}
    assert whole.closing == 198
    parts = [await books(ward, org) for org in whole.orgs]
    assert sum(p.closing for p in parts) == whole.closing


async def test_a_voided_dispensing_brings_the_ampoules_back_into_the_books_and_stays_in_the_register(
    ward: Ward,
) -> None:
    from yaosu.circulation import service as circulation

    box = ward.goods.boxes[0]
    await ward.move(ward.hospital, ward.pharmacy, [box], 5)
    rx = await ward.prescribe(case_kind="pain", dose=Dose(Decimal(1), 1, 2))
    act = await ward.dispense(rx, [box], 2)
    assert act.bill_id is not None
    await circulation.void(
        ward.desk.pool,
        ward.desk.committer,
        ward.desk.registry,
        ward.of("药师甲"),
        act.bill_id,
        "患者未取药",
        b"{}",
    )
    register = await books(ward, ward.pharmacy)
    assert [line.units for line in register.lines] == [10, -2, 2]
    assert (register.lines[-1].reversal, register.closing) == (True, 10)
    async with ward.desk.pool.acquire() as conn:
        assert await service.due(conn, ward.of("药师甲"), ward.pharmacy) == []
        again = await service.prescription(conn, ward.of("药师甲"), rx.id)
    assert again.dispensed == 0


async def test_an_opened_box_that_is_put_aside_and_scrapped_leaves_the_books_with_what_was_in_it(
    ward: Ward,
) -> None:
    box = ward.goods.boxes[0]
    await ward.move(ward.hospital, ward.ward, [box], 5)
    rx = await ward.prescribe(place=ward.ward, case_kind="inpatient", dose=Dose(Decimal(1), 3, 1))
    await ward.dispense(rx, [box], 3)
    for type_, code in ((112, "accepted"), (216, "accepted")):
        result = await ward.market.move(type_, ward.ward, [box], happened_at=datetime.now(UTC))
        assert result.status == code, [(r.verdict, r.params) for r in result.results]
        await books(ward, ward.ward)
    register = await books(ward, ward.ward)
    assert [line.units for line in register.lines] == [10, -3, -7]
    assert register.closing == 0


async def test_the_books_are_the_hospitals_its_regulators_and_nobody_elses(ward: Ward) -> None:
    await ward.move(ward.hospital, ward.pharmacy, ward.goods.boxes[:1], 5)
    await refused("forbidden", books(ward, ward.pharmacy, "外人"))
    # a ward sees its own books and not the pharmacy's
    await books(ward, ward.ward, "护士甲")
    await refused("not_found", books(ward, ward.pharmacy, "护士甲"))
    scopes = frozenset({"narcotics.read", "supervise.read"})
    near = Subject("account", 1, 900_001, "110", "regulator", scopes, region="370000", name="检查员")
    far = Subject("account", 1, 900_002, "110", "regulator", scopes, region="650000", name="检查员")
    ward.people |= {"辖区": near, "外省": far}
    assert (await books(ward, ward.pharmacy, "辖区")).closing == 10
    await refused("not_found", books(ward, ward.pharmacy, "外省"))
    async with ward.desk.pool.acquire() as conn:
        reads = await conn.fetchval("SELECT count(*) FROM read_record WHERE org_id = 900001")
    assert reads >= 1


async def test_an_act_interrupted_while_it_ran_is_completed_and_posts_once(ward: Ward) -> None:
    box = ward.goods.boxes[0]
    await ward.move(ward.hospital, ward.pharmacy, [box], 5)
    rx = await ward.prescribe(case_kind="pain", dose=Dose(Decimal(1), 1, 2))
    act = await ward.dispense(rx, [box], 2)
    async with ward.desk.pool.acquire() as conn:
        # as after a crash between the bill and its closing: the bill is there, the act does not know
        await conn.execute("DELETE FROM narcotic_dispensing WHERE bill_id = $1", act.bill_id)
        await conn.execute("UPDATE narcotic_act SET state = 'running', bill_id = NULL WHERE id = $1", act.id)
    again = await desk.confirm_act(ward.desk, ward.of("药师丙"), act.id)
    assert (again.state, again.bill_id) == ("done", act.bill_id)
    assert (await books(ward, ward.pharmacy)).closing == 8
    async with ward.desk.pool.acquire() as conn:
        assert len(await service.due(conn, ward.of("药师甲"), ward.pharmacy)) == 1


async def test_a_checker_who_is_only_named_on_a_bill_is_told_from_one_who_confirmed(ward: Ward) -> None:
    when = datetime.now(UTC) - timedelta(hours=2)
    named, bare = ward.goods.boxes[:2]
    refused = await ward.market.move(203, ward.hospital, [bare], to_org=ward.store, happened_at=when)
    assert [r.verdict for r in refused.results] == ["second_person_needed"]
    header = {"second_person": "药师乙", "checker_account": 1}
    await ward.market.move(203, ward.hospital, [named], to_org=ward.store, happened_at=when, header=header)
    await ward.move(ward.hospital, ward.pharmacy, ward.goods.boxes[2:3], 1)
    register = await books(ward, ward.hospital)
    remarks = [row[-1] for row in registers.in_words(register, ward.desk.registry, {})]
    assert remarks == ["", "", "复核人未经系统确认", ""]
