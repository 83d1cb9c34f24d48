"""A dispensing is voided after others were served from the box (R-C9, R-X3): each prescription keeps its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dispensing.split_helpers import Ward, ward_on
from yaosu.circulation import service as circulation
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Pool
from yaosu.dispensing import split_pools, split_service
from yaosu.dispensing.split_model import Line, Want
from yaosu.errors import YaosuError

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with ward_on(pool) as made:
        yield made


def number() -> str:
    return f"V-{next(_numbers)}"


async def serve(ward: Ward, box: str, units: int, prescription: str) -> tuple[int, str]:
    """Bill and number of a dispensing."""
    no = number()
    done = await split_service.dispense(ward.desk, no, [Line(box, units, prescription)], b"{}")
    assert done.order is not None
    return done.order["bill_id"], no


async def bring_back(ward: Ward, box: str, units: int, prescription: str) -> str:
    """The number of a return."""
    no = number()
    done = await split_service.take_back(ward.desk, no, [Line(box, units, prescription)], b"{}")
    assert done.order is not None
    return no


async def void(ward: Ward, bill: int) -> MovementResult:
    desk = ward.desk
    return await circulation.void(
        desk.pool, desk.committer, desk.registry, desk.subject, bill, "登记错误", b"{}"
    )


async def test_each_prescription_answers_for_its_own_returns(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    first, _ = await serve(ward, box, 6, "CF-A")
    second, _ = await serve(ward, box, 10, "CF-B")
    back = await bring_back(ward, box, 4, "CF-A")
    # there is enough of the second patient's outside, but what came back was the first one's
    with pytest.raises(YaosuError) as refused:
        await void(ward, first)
    finding = refused.value.findings[0]
    assert (finding.code, finding.params["bill_no"]) == ("part_relied_on", back)
    assert (await void(ward, second)).status == "void"
    assert await ward.left(box) == (24, 22, 2, 0)
    with pytest.raises(YaosuError) as refused:
        await split_service.take_back(ward.desk, number(), [Line(box, 1, "CF-B")], b"{}")
    assert [f.code for f in refused.value.findings] == ["split_return_not_theirs"]


async def test_another_patients_return_stands_in_nobodys_way(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    first, _ = await serve(ward, box, 6, "CF-A")
    await serve(ward, box, 10, "CF-B")
    await bring_back(ward, box, 4, "CF-B")
    assert (await void(ward, first)).status == "void"
    assert await ward.left(box) == (24, 18, 6, 0)


async def test_a_void_and_a_return_of_the_same_parts_at_once_never_both_happen(ward: Ward) -> None:
    for _ in range(4):
        box = (await ward.boxes(cases=1, per_case=1)).boxes[0]
        first, _ = await serve(ward, box, 6, "CF-A")
        await serve(ward, box, 10, "CF-B")
        answers = await asyncio.gather(
            void(ward, first), bring_back(ward, box, 6, "CF-A"), return_exceptions=True
        )
        happened = [a for a in answers if not isinstance(a, BaseException)]
        refused = [a for a in answers if isinstance(a, YaosuError)]
        assert len(happened) == 1 and len(refused) == 1, answers
        # in both cases the first patient has nothing any more
        assert await ward.left(box) == (24, 14, 10, 0)


async def test_what_a_voided_draw_took_is_there_for_the_next_one(ward: Ward) -> None:
    boxes = (await ward.boxes(cases=1, per_case=2)).boxes
    async with ward.pool.acquire() as conn, conn.transaction():
        made = await split_pools.create(conn, ward.desk, f"池{number()}", "ward")
    await split_pools.load(ward.desk, ward.market.batches, made, number(), boxes[:1], b"{}")
    want = [Want(ward.market.drug_id, 20, "ZY-1")]
    done = await split_pools.draw(ward.desk, made, number(), want, b"{}")
    assert done.order is not None
    rest = await split_pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 4, "ZY-2")], b"{}")
    assert rest.order is not None, "the box is used up and has left the pool"
    await void(ward, done.order["bill_id"])
    assert await ward.left(boxes[0]) == (24, 20, 4, 0)
    again = await split_pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 18, "ZY-3")], b"{}")
    assert again.order is not None and [s["code"] for s in again.shares] == boxes[:1]
    assert await ward.left(boxes[0]) == (24, 2, 22, 0)
    # what was taken out of the pool by hand stays out, whatever is voided later
    await split_pools.unload(ward.desk, made, boxes[:1])
    await void(ward, again.order["bill_id"])
    with pytest.raises(YaosuError) as refused:
        await split_pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 1, "ZY-4")], b"{}")
    assert [f.code for f in refused.value.findings] == ["pool_short"]
