"""Pools of pre-scanned boxes (预扫码池, R-C9): drawn without a scan, never more than there is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio

from dispensing.split_helpers import PER_BOX, Ward, ward_on
from yaosu.access.visibility import visible
from yaosu.db.engine import Pool
from yaosu.dispensing import split_pools as pools
from yaosu.dispensing import split_service
from yaosu.dispensing import split_store_pool as store
from yaosu.dispensing.split_model import Line, Want
from yaosu.errors import YaosuError
from yaosu.stops import service as stops

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


def number() -> str:
    """A fresh number."""
    return f"BY-{next(_numbers)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with ward_on(pool) as made:
        yield made


async def a_pool(ward: Ward, codes: list[str], kind: str = "ward") -> int:
    """A pool with these boxes."""
    async with ward.pool.acquire() as conn, conn.transaction():
        made = await pools.create(conn, ward.desk, f"池{next(_numbers)}", kind)
    found, _ = await pools.load(ward.desk, ward.market.batches, made, number(), codes, b"{}")
    assert {one.verdict for one in found} == {"pool_box_loaded"}
    return made


async def level(ward: Ward, pool_id: int) -> int:
    """Free units of the market's product in a pool."""
    async with ward.pool.acquire() as conn:
        rows = await store.levels(conn, visible(ward.desk.subject), pool_id)
    return sum(r["units"] for r in rows)


async def quiet(ward: Ward, pool_id: int) -> None:
    """Nothing is promised any more."""
    held = await ward.pool.fetchval("SELECT sum(reserved) FROM pool_box WHERE pool_id = $1", pool_id)
    assert held in (0, None)
    assert await ward.pool.fetchval("SELECT count(*) FROM split_order WHERE state = 'planned'") == 0


async def test_a_draw_takes_the_earliest_expiry_first_and_names_every_box(ward: Ward) -> None:
    later = (await ward.boxes(expires_on=date(2059, 6, 30))).boxes
    sooner = (await ward.boxes(expires_on=date(2059, 5, 31))).boxes
    made = await a_pool(ward, [later[0], sooner[0]])
    drug = ward.market.drug_id
    wants = [Want(drug, 20, "ZY-1"), Want(drug, 10, "ZY-2"), Want(drug, 1, "ZY-3")]
    done = await pools.draw(ward.desk, made, number(), wants, b"{}")
    assert [(s["prescription_no"], s["code"], s["units"]) for s in done.shares] == [
        ("ZY-1", sooner[0], 20),
        *sorted([("ZY-2", sooner[0], 4), ("ZY-2", later[0], 6)], key=lambda s: s[1]),
        ("ZY-3", later[0], 1),
    ]
    assert await level(ward, made) == 2 * PER_BOX - 31
    # the emptied box has left the pool
    assert await ward.pool.fetchval("SELECT left_why FROM pool_box WHERE code = $1", sooner[0]) == "drawn"
    await quiet(ward, made)
    await ward.market.conserved()


async def test_a_closed_box_needed_whole_is_given_whole_without_the_split_flag(ward: Ward) -> None:
    boxes = (await ward.boxes()).boxes
    made = await a_pool(ward, boxes[:2])
    done = await pools.draw(
        ward.desk, made, number(), [Want(ward.market.drug_id, PER_BOX + 5, "ZY-1")], b"{}"
    )
    assert sorted((s["units"], s["whole"]) for s in done.shares) == [(5, False), (PER_BOX, True)]
    whole = next(s["code"] for s in done.shares if s["whole"])
    assert (await ward.market.status(whole))[0] == "S" and await ward.left(whole) is None


async def test_a_machine_gets_its_boxes_opened_and_a_case_brings_all_boxes_in_it(ward: Ward) -> None:
    goods = await ward.boxes(cases=1, per_case=4)
    made = await a_pool(ward, goods.cases, "machine")
    assert await level(ward, made) == 4 * PER_BOX
    assert await ward.left(goods.boxes[3]) == (PER_BOX, PER_BOX, 0, 0)
    done = await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, PER_BOX, "ZY-1")], b"{}")
    assert [s["whole"] for s in done.shares] == [False]
    await ward.market.conserved()


async def test_what_the_pool_cannot_fill_is_refused_beside_the_others_or_refuses_the_call(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:1])
    drug = ward.market.drug_id
    wants = [Want(drug, 20, "ZY-1"), Want(drug, 5, "ZY-2"), Want(drug, 4, "ZY-3")]
    with pytest.raises(YaosuError) as refused:
        await pools.draw(ward.desk, made, number(), wants, b"{}", atomic=True)
    assert [(f.code, f.where) for f in refused.value.findings] == [("pool_short", "lines[1]")]
    assert await level(ward, made) == PER_BOX
    no = number()
    done = await pools.draw(ward.desk, made, no, wants, b"{}")
    assert done.order is not None
    assert [(r["n"], r["code"], r["params"]["have"]) for r in done.order["refused"]] == [(1, "pool_short", 4)]
    assert sorted(s["n"] for s in done.shares) == [0, 2]
    again = await pools.draw(ward.desk, made, no, wants, b"{}")
    assert again.replayed and again.order is not None and again.order["id"] == done.order["id"]
    assert await level(ward, made) == 0
    await quiet(ward, made)


async def test_two_machines_on_one_pool_never_draw_more_than_there_is(ward: Ward) -> None:
    boxes = (await ward.boxes(cases=1, per_case=5)).boxes
    made = await a_pool(ward, boxes)
    drug = ward.market.drug_id

    async def machine(one: int) -> int:
        drawn = 0
        for turn in range(12):
            try:
                done = await pools.draw(
                    ward.desk, made, f"{made}-{one}-{turn}", [Want(drug, 7, f"P{one}")], b"{}"
                )
                drawn += sum(s["units"] for s in done.shares)
            except YaosuError as error:
                assert error.code == "split_lines_refused"
        return drawn

    drawn = sum(await asyncio.gather(*[machine(n) for n in range(4)]))
    # 120 units hold seventeen draws of seven, whoever makes them
    assert drawn == 5 * PER_BOX // 7 * 7
    assert await level(ward, made) == 5 * PER_BOX - drawn
    out = await ward.pool.fetchval("SELECT sum(unit_out) FROM split_pack WHERE code = ANY($1::text[])", boxes)
    assert out == drawn
    await quiet(ward, made)
    await ward.market.conserved()


async def test_a_number_sent_twice_at_once_draws_once(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:1])
    no = number()
    wants = [Want(ward.market.drug_id, 5, "ZY-1")]
    found = await asyncio.gather(*[pools.draw(ward.desk, made, no, wants, b"{}") for _ in range(4)])
    assert len({one.order["id"] for one in found if one.order is not None}) == 1
    assert await level(ward, made) == PER_BOX - 5
    await quiet(ward, made)


async def test_a_recalled_box_is_left_out_and_the_draw_takes_another(ward: Ward) -> None:
    bad = await ward.boxes(expires_on=date(2059, 6, 30))
    good = (await ward.boxes()).boxes[0]
    made = await a_pool(ward, [bad.boxes[0], good])
    async with ward.pool.acquire() as conn, conn.transaction():
        stop = await stops.place(
            conn,
            kind="lock",
            ref=1,
            number="SD-1",
            title="锁定",
            level=None,
            placed_by=ward.market.maker,
            reason="质量可疑",
            batches=[(bad.drug_id, bad.batch_id)],
            codes=[],
        )
    done = await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 3, "ZY-1")], b"{}")
    assert [s["code"] for s in done.shares] == [good]
    assert await ward.pool.fetchval("SELECT blocked FROM pool_box WHERE code = $1", bad.boxes[0]) == "locked"
    async with ward.pool.acquire() as conn, conn.transaction():
        await stops.lift(conn, stop, "检验合格")
        await pools.unblock(conn, ward.desk, made)
    done = await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 3, "ZY-1")], b"{}")
    assert [s["code"] for s in done.shares] == [bad.boxes[0]]


async def test_a_missing_person_is_the_callers_matter_and_no_box_is_held_back_for_it(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:1])
    drug = ward.market.drug_id
    await ward.pool.execute("UPDATE product SET flags = '{narcotic}' WHERE id = $1", drug)
    async with ward.pool.acquire() as conn:
        await ward.market.registry.refresh(conn, full=True)
        with pytest.raises(YaosuError) as refused:
            await pools.draw(ward.desk, made, number(), [Want(drug, 3, "ZY-1")], b"{}")
        await conn.execute("UPDATE product SET flags = '{}' WHERE id = $1", drug)
        await ward.market.registry.refresh(conn, full=True)
    assert refused.value.code == "split_lines_refused"
    assert [f.where for f in refused.value.findings] == ["lines[0]"]
    assert await ward.pool.fetchval("SELECT blocked FROM pool_box WHERE pool_id = $1", made) == ""
    await quiet(ward, made)
    assert await level(ward, made) == PER_BOX


async def test_a_station_that_used_a_box_of_the_pool_does_not_confuse_the_draw(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    made = await a_pool(ward, [box])
    await split_service.dispense(ward.desk, number(), [Line(box, 20, "CF-1")], b"{}")
    with pytest.raises(YaosuError) as refused:
        await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 5, "ZY-1")], b"{}")
    assert refused.value.findings[0].params["have"] == 4
    done = await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 4, "ZY-1")], b"{}")
    assert len(done.shares) == 1


async def test_returned_parts_bring_their_box_back_into_the_pool(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    made = await a_pool(ward, [box], "machine")
    await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, PER_BOX, "ZY-1")], b"{}")
    assert await level(ward, made) == 0
    await pools.give_back(ward.desk, made, number(), [Line(box, 4, "ZY-1")], b"{}")
    assert await level(ward, made) == 4
    await quiet(ward, made)


async def test_a_low_level_is_told_once_a_day(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:1])
    async with ward.pool.acquire() as conn, conn.transaction():
        await pools.set_level(conn, ward.desk, made, ward.market.drug_id, 20)
    for units in (3, 3, 3):
        await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, units, "ZY-1")], b"{}")
    told = await ward.pool.fetch(
        "SELECT params FROM message WHERE kind = 'notice_pool_refill' AND link = $1", f"/pools/{made}"
    )
    assert [t["params"]["units"] for t in told] == [18]


async def test_a_box_is_in_one_pool_and_refused_by_another(ward: Ward) -> None:
    goods = await ward.boxes()
    box, sold = goods.boxes[:2]
    await ward.market.move(323, ward.market.hospital, [sold])
    first = await a_pool(ward, [box])
    async with ward.pool.acquire() as conn, conn.transaction():
        other = await pools.create(conn, ward.desk, "另一个池", "ward")
        with pytest.raises(YaosuError) as taken:
            await pools.create(conn, ward.desk, "另一个池", "ward")
    assert taken.value.code == "pool_name_taken"
    found, _ = await pools.load(ward.desk, ward.market.batches, other, number(), [box, sold, "x"], b"{}")
    assert [f.verdict for f in found][:2] == ["pool_box_elsewhere", "already_sold"]
    assert [f.verdict for f in await pools.unload(ward.desk, first, [box])] == ["accepted"]
    found, _ = await pools.load(ward.desk, ward.market.batches, other, number(), [box], b"{}")
    assert [f.verdict for f in found] == ["pool_box_loaded"]


async def test_closing_counts_every_box_and_writes_off_what_is_missing(ward: Ward) -> None:
    boxes = (await ward.boxes()).boxes[:3]
    made = await a_pool(ward, boxes)
    await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 6, "ZY-1")], b"{}")
    (opened,) = [b for b in boxes if await ward.left(b) is not None]
    closed = [b for b in boxes if b != opened]

    async def count(counts: dict[str, int]) -> tuple[object, int]:
        return await pools.count(ward.desk, made, number(), counts, "清点", b"{}", close=True)

    for counts, code in (
        ({opened: 18}, "pool_count_incomplete"),
        ({opened: 19, closed[0]: 24, closed[1]: 24}, "pool_count_more"),
        ({opened: 18, closed[0]: 24, closed[1]: 20}, "pool_count_whole_missing"),
    ):
        with pytest.raises(YaosuError) as refused:
            await count(counts)
        assert code in {f.code for f in refused.value.findings}
    _, missing = await count({opened: 16, closed[0]: 24, closed[1]: 24})
    assert missing == 2 and await ward.left(opened) == (24, 16, 6, 2)
    with pytest.raises(YaosuError) as over:
        await pools.draw(ward.desk, made, number(), [Want(ward.market.drug_id, 1, "ZY-1")], b"{}")
    assert over.value.code == "pool_closed"
    await ward.market.conserved()


async def test_another_organisation_finds_no_pool(ward: Ward) -> None:
    made = await a_pool(ward, (await ward.boxes()).boxes[:1])
    stranger = ward.market.subject(ward.market.pharmacy)
    async with ward.pool.acquire() as conn:
        with pytest.raises(YaosuError) as refused:
            await pools.shown(conn, stranger, made)
        assert refused.value.code == "not_found"
        assert await store.pools(conn, visible(stranger), True) == []
        assert await store.levels(conn, visible(stranger), made) == []
        assert await store.boxes(conn, visible(stranger), made, 10) == []
