"""The 专用账册 against the ledger over random days: whole boxes, parts, returns, losses, quarantine, voids (R-C4)."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from dispensing.narcotics_helpers import Ward, ward_on
from people.helpers import given
from yaosu.circulation import service as circulation
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Pool
from yaosu.dispensing import narcotics_register as registers
from yaosu.dispensing import narcotics_service as service
from yaosu.errors import YaosuError
from yaosu.people import service as people

STEPS = int(os.environ.get("YAOSU_NARCOTIC_STEPS", "60"))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with pool.acquire() as conn:
        await conn.execute("TRUNCATE org CASCADE")
    async with ward_on(pool) as made:
        yield made
        await made.market.conserved()


async def check(ward: Ward, place: int, whole: bool = False) -> None:
    """Opening + in − out = closing, and closing is what accounts and opened boxes hold."""
    who = ward.of("药师甲")
    async with ward.desk.pool.acquire() as conn:
        found = await registers.register(
            conn, who, ward.desk.registry, place, ward.goods.drug_id, LONG_AGO, None, whole
        )
        held = await service.booked(conn, who, ward.desk.registry, found.orgs)
        packs = await conn.fetchval(
            "SELECT coalesce(sum(qty), 0)::int FROM balance WHERE org = ANY($1) AND status IN ('A', 'I', 'Q', 'D')",
            list(found.orgs),
        )
        # the units themselves, without the ledger: ten in a closed box, what is left in an opened one
        units = await conn.fetchval(
            """
            SELECT coalesce(sum(CASE WHEN s.code IS NULL THEN 10 * coalesce(u.qty, 1) ELSE s.unit_left END), 0)::int
            FROM unit u LEFT JOIN split_pack s ON s.drug_id = u.drug_id AND s.code = u.code
            WHERE u.parent IS NULL AND u.holder = ANY($1) AND u.status IN ('A', 'I', 'Q', 'D')""",
            list(found.orgs),
        )
    booked = [b for lines in held.values() for b in lines]
    assert found.opening == 0
    assert found.received - found.issued == found.closing == sum(b.units for b in booked) == units
    assert found.closing_packages == sum(b.packages for b in booked) == packs
    if found.lines:
        assert found.lines[-1].balance == found.closing


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_a_day_brings_the_register_closes_where_the_ledger_stands(
    ward: Ward, seed: int
) -> None:
    dice = random.Random(seed)
    places = [ward.hospital, ward.store, ward.pharmacy, ward.ward]
    async with ward.desk.pool.acquire() as conn:
        patient = await people.identify(conn, ward.desk.keeper, ward.of("药师甲"), given())
    clock = datetime.now(UTC) - timedelta(hours=20)
    bills: list[int] = []
    done: Counter[str] = Counter()

    async def go(name: str, type_: int, owner: int, code: str, **more: object) -> MovementResult | None:
        try:
            result = await ward.market.move(type_, owner, [code], happened_at=clock, **more)
        except YaosuError:
            done[f"{name} refused"] += 1
            return None
        if result.status != "accepted":
            done[f"{name} refused"] += 1
            return None
        bills.append(result.bill_id)
        done[name] += 1
        return result

    for _ in range(STEPS):
        clock += timedelta(minutes=5)
        box = dice.choice(ward.goods.boxes[:12])
        _status, holder, _to = await ward.market.status(box)
        place = holder if holder in places else ward.hospital
        use = {
            "person": patient,
            "header": {"prescription_no": "RX", "doctor": "医师甲", "second_person": "药师乙"},
        }
        act = dice.choices(
            ["move", "whole", "part", "loss", "return", "hold", "release", "scrap", "void"],
            [6, 2, 8, 2, 3, 2, 2, 1, 2],
        )[0]
        if act == "move":
            to = dice.choice([p for p in places if p != place])
            second = {"header": {"second_person": "药师乙"}}
            if await go("move", 203, place, box, to_org=to, **second):
                clock += timedelta(minutes=1)
                if dice.random() < 0.8:
                    await go("receive", 104, to, box, from_org=place, **second)
        elif act == "whole":
            await go("whole", 323, place, box, **use)
        elif act == "part":
            await go("part", 323, place, box, parts={box: dice.randint(1, 6)}, **use)
        elif act == "loss":
            await go("loss", 8, place, box, parts={box: 1}, header={"reason_text": "破损"})
        elif act == "return":
            part = {"parts": {box: dice.randint(1, 3)}} if dice.random() < 0.7 else {}
            await go("return", 116, place, box, **part)
        elif act == "hold":
            await go("hold", 112, place, box)
        elif act == "release":
            await go("release", 6, place, box, header={"reason_text": "验收合格"})
        elif act == "scrap":
            await go("scrap", 216, place, box)
        elif bills:
            bill = dice.choice(bills[-6:])
            try:
                await circulation.void(
                    ward.desk.pool,
                    ward.desk.committer,
                    ward.desk.registry,
                    ward.of("药师甲"),
                    bill,
                    "录错",
                    b"{}",
                )
                done["void"] += 1
            except YaosuError:
                done["void refused"] += 1
        for one in places:
            await check(ward, one)
        await check(ward, ward.hospital, whole=True)
    assert {"move", "part", "receive"} <= set(done), done
