"""Dispensings of narcotics are corrected: prescription, ampoules and register follow (R-C4, R-X3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest_asyncio

from dispensing.narcotics_helpers import Ward, ward_on
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement, MovementResult
from yaosu.db.engine import Pool
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing.narcotics_model import Act, Due, Prescription, Register
from yaosu.dispensing.narcotics_rules import Dose


@pytest_asyncio.fixture(loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with pool.acquire() as conn:
        await conn.execute("TRUNCATE org CASCADE")
    async with ward_on(pool) as made:
        yield made
        await made.market.conserved()


async def dispensed(ward: Ward, boxes: list[str], units: int | None, most: int) -> tuple[Act, Prescription]:
    """Boxes in the pharmacy, a prescription of `most`, and `units` of it handed out."""
    await ward.move(ward.hospital, ward.pharmacy, boxes, 5)
    rx = await ward.prescribe(case_kind="pain", dose=Dose(Decimal(most), 1, 1))
    return await ward.dispense(rx, boxes[:1] if units else boxes, units), rx


async def correct(
    ward: Ward, act: Act, revision: int, codes: list[str], parts: dict[str, int] | None = None, **header: Any
) -> MovementResult:
    """The bill of a dispensing said again, without naming the patient."""
    async with ward.desk.pool.acquire() as conn:
        old = await conn.fetchrow("SELECT * FROM bill WHERE id = $1", act.bill_id)
    movement = Movement(
        type=323,
        bill_no=old["bill_no"],
        owner=old["owner"],
        happened_at=old["happened_at"],
        codes=codes,
        revision=revision,
        parts=parts or {},
        header={**old["header"], "correct_reason": "数量写错", **header},
        body=b"{}",
    )
    return await circulation.submit(
        ward.desk.pool, ward.desk.committer, ward.desk.registry, ward.of("药师甲"), movement
    )


async def books(ward: Ward) -> Register:
    async with ward.desk.pool.acquire() as conn:
        return await registers.register(
            conn,
            ward.of("药师甲"),
            ward.desk.registry,
            ward.pharmacy,
            ward.goods.drug_id,
            datetime.now(UTC) - timedelta(days=2),
        )


async def rx_of(ward: Ward, rx: Prescription) -> tuple[int, str]:
    async with ward.desk.pool.acquire() as conn:
        now = await service.prescription(conn, ward.of("药师甲"), rx.id)
    return now.dispensed, now.state


async def due(ward: Ward) -> list[Due]:
    async with ward.desk.pool.acquire() as conn:
        return await service.due(conn, ward.of("药师甲"), ward.pharmacy)


async def bring_back(ward: Ward, bill_id: int, qty: int) -> None:
    act = await service.return_ampoules(
        ward.desk, ward.of("药师甲"), bill_id, {ward.goods.batch_id: qty}, "家属"
    )
    await ward.done(act, "药师乙")


async def test_a_corrected_dispensing_counts_against_its_prescription_and_stands_in_the_register(
    ward: Ward,
) -> None:
    box = ward.goods.boxes[0]
    act, rx = await dispensed(ward, [box], 3, 3)
    assert await rx_of(ward, rx) == (3, "dispensed")
    result = await correct(ward, act, 2, [box], {box: 2})
    assert result.status == "accepted", result.results
    assert await rx_of(ward, rx) == (2, "open")
    register = await books(ward)
    assert [(line.units, line.corrects) for line in register.lines] == [
        (10, None),
        (-3, None),
        (3, 1),
        (-2, None),
    ]
    out = register.lines[1:]
    assert {(line.patient, line.prescription, line.doctor) for line in out} == {
        (rx.patient, rx.number, rx.doctor)
    }
    assert [line.reason for line in out] == ["", "数量写错", "数量写错"]
    told = [row[-1] for row in registers.in_words(register, ward.desk.registry, {})]
    assert "冲正第1版" in told[3] and "数量写错" in told[3]
    (one,) = await due(ward)
    assert (one.bill_id, one.due, one.returned) == (result.bill_id, 2, 0)
    # the rest is dispensed on the same prescription, and not more
    await ward.dispense(rx, [box], 1)
    assert await rx_of(ward, rx) == (3, "dispensed")
    over = await correct(ward, act, 3, [box], {box: 3})
    assert over.status == "refused"
    assert {r.verdict for r in over.results} == {"rx_more_than_prescribed"}
    assert (await books(ward)).closing == 7


async def test_ampoules_that_came_back_stay_with_the_corrected_dispensing(ward: Ward) -> None:
    box, other = ward.goods.boxes[:2]
    act, _ = await dispensed(ward, [box, other], 4, 4)
    assert act.bill_id is not None
    await bring_back(ward, act.bill_id, 2)
    second = await correct(ward, act, 2, [other], {other: 3})
    assert second.status == "accepted", second.results
    (one,) = await due(ward)
    assert (one.bill_id, one.due, one.returned) == (second.bill_id, 3, 2)
    fewer = await correct(ward, act, 3, [other], {other: 1})
    assert [(r.verdict, (r.params or {})["qty"], (r.params or {})["units"]) for r in fewer.results] == [
        ("ampoules_came_back", 2, 1)
    ]
    await bring_back(ward, second.bill_id, 1)
    assert await due(ward) == []


async def test_boxes_that_came_back_since_stay_in_a_corrected_dispensing(ward: Ward) -> None:
    boxes = ward.goods.boxes[:2]
    act, rx = await dispensed(ward, boxes, None, 20)
    back = await ward.market.move(
        116, ward.pharmacy, boxes[:1], header={"reason_text": "患者退回"}, happened_at=datetime.now(UTC)
    )
    assert back.status == "accepted"
    result = await correct(ward, act, 2, boxes, correct_reason="科室写错", department="外科")
    assert [r.verdict for r in result.results] == ["kept", "accepted"]
    assert await rx_of(ward, rx) == (20, "dispensed")
    async with ward.desk.pool.acquire() as conn:
        rows = await conn.fetch(
            "SELECT p.bill_id, p.qty, p.corrects, p.person FROM people.purchase p "
            "JOIN bill b ON b.id = p.bill_id WHERE b.bill_no = $1 ORDER BY p.bill_id",
            act.bill_no,
        )
    assert [(r["qty"], r["corrects"]) for r in rows] == [(2, None), (-2, act.bill_id), (2, None)]
    assert {r["person"] for r in rows} == {rx.patient}


async def test_a_prescription_whose_dispensing_was_voided_is_open_again(ward: Ward) -> None:
    box = ward.goods.boxes[0]
    act, rx = await dispensed(ward, [box], 2, 2)
    assert act.bill_id is not None
    desk = ward.desk
    await circulation.void(
        desk.pool, desk.committer, desk.registry, ward.of("药师甲"), act.bill_id, "未取药", b"{}"
    )
    assert await rx_of(ward, rx) == (0, "open")
    register = await books(ward)
    assert register.lines[-1].patient == rx.patient and register.lines[-1].reason == "未取药"
    await ward.dispense(rx, [box], 2)
    assert await rx_of(ward, rx) == (2, "dispensed")


async def test_a_corrected_dispensing_still_names_its_second_person(ward: Ward) -> None:
    box = ward.goods.boxes[0]
    act, rx = await dispensed(ward, [box], 2, 2)
    result = await correct(ward, act, 2, [box], {box: 1}, second_person="")
    assert {r.verdict for r in result.results} == {"second_person_needed"}
    assert (await books(ward)).closing == 8
    assert await rx_of(ward, rx) == (2, "dispensed")
