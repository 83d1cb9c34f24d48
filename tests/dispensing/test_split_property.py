"""Never more out of a box than was in it (R-C9): random lives of boxes through the real write path.

Opens, dispensings at the station, draws from a pool, returns, losses and voids in any order, two of them at the same
time now and then. After every step each box adds up, and split_pack agrees with split_entry.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispensing.split_helpers import PER_BOX, Ward, ward_on
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement
from yaosu.db.engine import Pool
from yaosu.dispensing import split_pools, split_service
from yaosu.dispensing.split_model import Line, Want
from yaosu.dispensing.split_plan import Box, choose
from yaosu.errors import YaosuError

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)
BOXES = 3

step = st.one_of(
    st.tuples(st.just("open"), st.integers(0, BOXES - 1), st.just(0)),
    st.tuples(st.just("dispense"), st.integers(0, BOXES - 1), st.integers(1, PER_BOX + 4)),
    st.tuples(st.just("return"), st.integers(0, BOXES - 1), st.integers(1, PER_BOX)),
    st.tuples(st.just("lose"), st.integers(0, BOXES - 1), st.integers(1, 9)),
    st.tuples(st.just("draw"), st.just(0), st.integers(1, 2 * PER_BOX)),
    st.tuples(st.just("void"), st.integers(0, 20), st.just(0)),
    st.tuples(st.just("whole"), st.integers(0, BOXES - 1), st.just(0)),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with ward_on(pool) as made:
        yield made


@dataclass
class Life:
    """Boxes, a pool that holds them, and the bills made so far."""

    ward: Ward
    boxes: list[str]
    pool_id: int
    bills: list[int] = field(default_factory=list)

    async def do(self, what: str, n: int, units: int) -> bool:
        """One step; False when it was refused, which must leave everything as it was."""
        desk, number = self.ward.desk, f"S-{next(_numbers)}"
        line = Line(self.boxes[n % BOXES], units or 1, "CF")
        try:
            if what == "open":
                result = await split_service.open_boxes(desk, number, [line.code], b"{}")
                done = result.bill_id if result.status == "accepted" else 0
            elif what == "dispense":
                order = (await split_service.dispense(desk, number, [line], b"{}")).order
                done = order["bill_id"] if order is not None else 0
            elif what == "return":
                order = (await split_service.take_back(desk, number, [line], b"{}")).order
                done = order["bill_id"] if order is not None else 0
            elif what == "lose":
                done = (await split_service.lose(desk, number, [line], "破损", b"{}")).bill_id
            elif what == "draw":
                want = [Want(self.ward.market.drug_id, units, "ZY")]
                order = (await split_pools.draw(desk, self.pool_id, number, want, b"{}")).order
                done = order["bill_id"] if order is not None else 0
            elif what == "whole":
                movement = Movement(
                    323, number, self.ward.market.hospital, datetime.now(UTC), [line.code], body=b"{}"
                )
                whole = await circulation.submit(
                    desk.pool, desk.committer, desk.registry, desk.subject, movement
                )
                done = whole.bill_id
            else:
                if not self.bills:
                    return False
                bill = self.bills[n % len(self.bills)]
                await circulation.void(
                    desk.pool, desk.committer, desk.registry, desk.subject, bill, "登记错误", b"{}"
                )
                done = 0
        except YaosuError:
            return False
        if done:
            self.bills.append(done)
        return True

    async def adds_up(self) -> None:
        """Every box, by entries and by what the ledger says is left."""
        for code in self.boxes:
            sums = await self.ward.sums(code)
            left = await self.ward.left(code)
            if left is None:
                # never opened, or its opening was voided
                assert not any(sums.values()), sums
                continue
            total, rest, out, lost = left
            assert total == PER_BOX == sums["open"]
            assert sums.get("dispense", 0) - sums.get("return", 0) == out
            assert sums.get("loss", 0) == lost
            assert out + lost + rest == total and min(out, lost, rest) >= 0
        held = "SELECT coalesce(sum(reserved), 0) FROM pool_box WHERE pool_id = $1"
        assert await self.ward.pool.fetchval(held, self.pool_id) == 0
        assert await self.ward.pool.fetchval("SELECT count(*) FROM split_order WHERE state = 'planned'") == 0


async def a_life(ward: Ward) -> Life:
    """Three boxes of the hospital in a pool."""
    boxes = (await ward.boxes(cases=1, per_case=BOXES)).boxes
    async with ward.pool.acquire() as conn, conn.transaction():
        made = await split_pools.create(conn, ward.desk, f"池{next(_numbers)}", "ward")
    await split_pools.load(ward.desk, ward.market.batches, made, f"L-{next(_numbers)}", boxes, b"{}")
    return Life(ward, boxes, made)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.tuples(step, st.booleans()), min_size=4, max_size=16))
async def test_whatever_happens_to_a_box_its_parts_add_up(
    ward: Ward, steps: list[tuple[tuple[str, int, int], bool]]
) -> None:
    life = await a_life(ward)
    at = 0
    while at < len(steps):
        (what, n, units), together = steps[at]
        if together and at + 1 < len(steps):
            (other, m, more), _ = steps[at + 1]
            await asyncio.gather(life.do(what, n, units), life.do(other, m, more))
            at += 2
        else:
            await life.do(what, n, units)
            at += 1
        await life.adds_up()
    await ward.market.conserved()


box = st.builds(
    lambda n, free, opened: (n, free if opened else PER_BOX, opened),
    st.integers(0, 5),
    st.integers(0, PER_BOX),
    st.booleans(),
)


@given(boxes=st.lists(box, max_size=8), asked=st.lists(st.integers(1, 60), max_size=8))
async def test_a_plan_takes_what_is_asked_and_never_more_than_a_box_holds(
    boxes: list[tuple[int, int, bool]], asked: list[int]
) -> None:
    now = datetime(2026, 9, 30, tzinfo=UTC)
    made = [
        Box(7, f"C{k}", now + timedelta(days=day), opened, free, PER_BOX)
        for k, (day, free, opened) in enumerate(boxes)
    ]
    free = {b.code: b.free for b in made if b.until > now}
    until = {b.code: b.until for b in made}
    shares, short = choose([Want(7, units) for units in asked], made, now)
    left = dict(free)
    for n, units in enumerate(asked):
        mine = [s for s in shares if s.n == n]
        if n in short:
            assert not mine and short[n] < units and short[n] == sum(left.values())
            continue
        assert sum(s.units for s in mine) == units
        for share in mine:
            # what expires sooner was used up before
            assert all(left[c] == 0 or until[c] >= until[share.code] for c in left if c != share.code)
            left[share.code] -= share.units
            assert left[share.code] >= 0
            assert not share.whole or share.units == PER_BOX
