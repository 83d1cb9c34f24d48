"""Split dispensing at a station (拆零, R-C9): parts of boxes to patients, back again, written off."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from dispensing.split_helpers import PER_BOX, Ward, ward_on
from yaosu.access.visibility import visible
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement
from yaosu.db.engine import Pool
from yaosu.dispensing import split_clock, split_service
from yaosu.dispensing import split_store as store
from yaosu.dispensing.split_model import Line
from yaosu.errors import YaosuError

pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count(1)


def number() -> str:
    """A fresh number."""
    return f"CL-{next(_numbers)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(pool: Pool) -> AsyncIterator[Ward]:
    async with ward_on(pool) as made:
        yield made


async def test_two_patients_get_parts_of_one_box_and_both_name_its_trace_code(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    lines = [Line(box, 6, "CF-1", dosage="每次2粒"), Line(box, 4, "CF-2")]
    done = await split_service.dispense(ward.desk, number(), lines, b"{}")
    assert done.order is not None
    assert [(s["prescription_no"], s["code"], s["units"], s["whole"]) for s in done.shares] == [
        ("CF-1", box, 6, False),
        ("CF-2", box, 4, False),
    ]
    assert await ward.left(box) == (PER_BOX, 14, 10, 0)
    assert (await ward.market.status(box))[0] == "D"
    await ward.market.conserved()


async def test_a_repeated_number_gives_the_same_answer_and_other_content_is_refused(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    no = number()
    first = await split_service.dispense(ward.desk, no, [Line(box, 6, "CF-1")], b"{}")
    again = await split_service.dispense(ward.desk, no, [Line(box, 6, "CF-1")], b"{}")
    assert first.order is not None and again.order is not None
    assert again.replayed and again.order["bill_id"] == first.order["bill_id"]
    assert await ward.left(box) == (PER_BOX, 18, 6, 0)
    with pytest.raises(YaosuError) as refused:
        await split_service.dispense(ward.desk, no, [Line(box, 5, "CF-1")], b"{}")
    assert refused.value.code == "split_number_taken"


async def test_more_than_the_box_holds_is_refused_by_line_and_nothing_is_kept(ward: Ward) -> None:
    goods = await ward.boxes()
    box, other = goods.boxes[:2]
    no = number()
    lines = [Line(other, 1, "CF-1"), Line(box, 20, "CF-2"), Line(box, 5, "CF-3"), Line("不是追溯码", 1)]
    with pytest.raises(YaosuError) as refused:
        await split_service.dispense(ward.desk, no, lines, b"{}")
    assert refused.value.code == "split_lines_refused"
    assert [f.where for f in refused.value.findings] == ["lines[3]"]
    with pytest.raises(YaosuError) as refused:
        await split_service.dispense(ward.desk, no, lines[:3], b"{}")
    assert [(f.code, f.where) for f in refused.value.findings] == [
        ("split_not_enough", "lines[1]"),
        ("split_not_enough", "lines[2]"),
    ]
    assert await ward.left(box) is None and await ward.left(other) is None
    # the number is free again
    done = await split_service.dispense(ward.desk, no, lines[:1], b"{}")
    assert done.order is not None


async def test_a_box_used_up_in_parts_is_sold_and_a_returned_part_opens_it_again(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    await split_service.dispense(ward.desk, number(), [Line(box, 20, "CF-1"), Line(box, 4, "CF-2")], b"{}")
    assert (await ward.market.status(box))[0] == "S"
    with pytest.raises(YaosuError) as refused:
        await split_service.take_back(ward.desk, number(), [Line(box, 5, "CF-2")], b"{}")
    assert [f.code for f in refused.value.findings] == ["split_return_not_theirs"]
    done = await split_service.take_back(ward.desk, number(), [Line(box, 3, "CF-2")], b"{}")
    assert done.order is not None and done.order["kind"] == "return"
    assert await ward.left(box) == (PER_BOX, 3, 21, 0)
    assert (await ward.market.status(box))[0] == "D"
    with pytest.raises(YaosuError):
        await split_service.take_back(ward.desk, number(), [Line(box, 2, "CF-2")], b"{}")
    await ward.market.conserved()


async def test_a_loss_names_its_reason_and_a_void_gives_the_parts_back(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    done = await split_service.dispense(ward.desk, number(), [Line(box, 6, "CF-1")], b"{}")
    loss = await split_service.lose(ward.desk, number(), [Line(box, 2)], "掉落污染", b"{}")
    assert loss.status == "accepted"
    assert await ward.left(box) == (PER_BOX, 16, 6, 2)
    desk = ward.desk
    assert done.order is not None
    await circulation.void(
        desk.pool, desk.committer, desk.registry, desk.subject, loss.bill_id, "登记错误", b"{}"
    )
    assert await ward.left(box) == (PER_BOX, 18, 6, 0)
    async with ward.pool.acquire() as conn:
        rows, shares = await store.entries(conn, visible(desk.subject), ward.market.drug_id, box)
    assert [r["kind"] for r in rows] == ["open", "dispense", "loss", "loss"]
    assert [(s["prescription_no"], s["units"]) for s in shares] == [("CF-1", 6)]


async def test_the_station_sees_what_remains_and_why_a_box_cannot_be_split(ward: Ward) -> None:
    goods = await ward.boxes(cases=2)
    opened, closed = goods.boxes[:2]
    sold = goods.boxes[2]
    await split_service.dispense(ward.desk, number(), [Line(opened, 6, "CF-1")], b"{}")
    await ward.market.move(323, ward.market.hospital, [sold])
    async with ward.pool.acquire() as conn:
        looked = await split_service.look(
            conn,
            ward.market.registry,
            ward.market.batches,
            ward.desk.subject,
            ward.market.hospital,
            [opened, closed, sold, goods.cases[1], "x"],
        )
    assert [(o.verdict, o.left, o.total) for o in looked[:2]] == [("", 18, 24), ("", 24, 24)]
    assert [o.verdict for o in looked[2:4]] == ["already_sold", "split_not_possible"]
    assert looked[4].verdict and looked[4].left == 0


async def test_expired_remainders_are_told_once_a_day_and_closed_by_one_bill(ward: Ward) -> None:
    boxes = (await ward.boxes()).boxes[:3]
    for box in boxes:
        await split_service.dispense(ward.desk, number(), [Line(box, 6, "CF-1")], b"{}")
    gone = datetime.now(UTC) - timedelta(hours=1)
    await ward.pool.execute(
        "UPDATE split_pack SET use_before = $1 WHERE code = ANY($2::text[])", gone, boxes[:2]
    )
    async with ward.pool.acquire() as conn, conn.transaction():
        await split_clock.tick(conn)
        await split_clock.tick(conn)
    told = await ward.pool.fetchval(
        "SELECT count(*) FROM message WHERE org = $1 AND kind = 'notice_split_expired'", ward.market.hospital
    )
    assert told == 1
    with pytest.raises(YaosuError) as refused:
        await split_service.dispense(ward.desk, number(), [Line(boxes[0], 1, "CF-9")], b"{}")
    assert [f.code for f in refused.value.findings] == ["split_opened_too_long"]
    result = await split_service.close_expired(ward.desk, number(), "超过开封后使用期限", b"{}")
    assert result.status == "accepted" and len(result.results) == 2
    assert [await ward.left(b) for b in boxes] == [(24, 0, 6, 18), (24, 0, 6, 18), (24, 18, 6, 0)]
    with pytest.raises(YaosuError) as none:
        await split_service.close_expired(ward.desk, number(), "超过开封后使用期限", b"{}")
    assert none.value.code == "split_nothing_expired"
    await ward.market.conserved()


async def test_an_order_whose_server_stopped_is_finished_by_the_clock_or_forgotten(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    kept, lost = number(), number()
    await split_service.dispense(ward.desk, kept, [Line(box, 6, "CF-1")], b"{}")
    await split_service.dispense(ward.desk, lost, [Line(box, 1, "CF-2")], b"{}")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    # as it stands when the server stops between the bill and the confirmation; and when it stops before the bill
    await ward.pool.execute(
        "UPDATE split_order SET state = 'planned', bill_id = NULL, made_at = $1 WHERE number = ANY($2::text[])",
        long_ago,
        [kept, lost],
    )
    await ward.pool.execute("UPDATE split_order SET number = 'never' WHERE number = $1", lost)
    async with ward.pool.acquire() as conn, conn.transaction():
        await split_clock.tick(conn)
    rows = await ward.pool.fetch("SELECT number, state FROM split_order WHERE number IN ($1, 'never')", kept)
    assert [(r["number"], r["state"]) for r in rows] == [(kept, "done")]
    assert (
        await ward.pool.fetchval(
            "SELECT count(*) FROM split_share WHERE prescription_no = 'CF-2' "
            "AND order_id NOT IN (SELECT id FROM split_order)"
        )
        == 0
    )


async def test_others_see_nothing_of_the_ledger(ward: Ward) -> None:
    box = (await ward.boxes()).boxes[0]
    await split_service.dispense(ward.desk, number(), [Line(box, 6, "CF-1")], b"{}")
    soon, percent = split_service.limits(ward.market.registry)
    async with ward.pool.acquire() as conn:
        for org, count in ((ward.market.hospital, True), (ward.market.pharmacy, False)):
            sight = visible(ward.market.subject(org))
            rows = await store.boxes(conn, sight, "all", None, None, 50, soon, percent)
            assert bool(rows) is count
            found, shares = await store.entries(conn, sight, ward.market.drug_id, box)
            assert bool(found) is count and bool(shares) is count


async def test_two_desks_that_take_the_same_parts_back_at_once_take_them_back_once(ward: Ward) -> None:
    """The box has other patients' parts out, so only the prescription's own count can tell."""
    box = (await ward.boxes()).boxes[0]
    await split_service.dispense(ward.desk, number(), [Line(box, 6, "CF-A"), Line(box, 12, "CF-B")], b"{}")

    async def back(of: str) -> str:
        try:
            await split_service.take_back(ward.desk, of, [Line(box, 6, "CF-A")], b"{}")
        except YaosuError as error:
            return error.findings[0].code if error.findings else error.code
        return "taken"

    same = number()
    answers = await asyncio.gather(*(back(n) for n in (same, same, number(), number(), number())))
    assert sorted(answers) in (
        ["split_return_not_theirs"] * 3 + ["taken"] * 2,
        ["split_return_not_theirs"] * 4 + ["taken"],
    )
    assert await ward.left(box) == (PER_BOX, 12, 12, 0)
    assert await ward.pool.fetchval("SELECT count(*) FROM split_order WHERE state = 'planned'") == 0


async def test_a_corrected_bill_says_what_its_patient_holds_of_the_box(ward: Ward) -> None:
    """Two parts became five: five may come back, and the box's page says five."""
    box = (await ward.boxes()).boxes[0]
    first = number()
    await split_service.dispense(ward.desk, first, [Line(box, 2, "CF-K")], b"{}")
    row = await ward.pool.fetchrow("SELECT * FROM bill WHERE bill_no = $1", first)
    corrected = Movement(
        type=row["type"],
        bill_no=first,
        owner=row["owner"],
        happened_at=row["happened_at"],
        codes=[box],
        revision=2,
        header=dict(row["header"]),
        parts={box: 5},
        body=b"{}",
    )
    desk = ward.desk
    result = await circulation.submit(desk.pool, desk.committer, desk.registry, desk.subject, corrected)
    assert result.status == "accepted"
    async with ward.pool.acquire() as conn:
        _, shares = await store.entries(conn, visible(desk.subject), row["drug_ids"][0], box)
    assert [(s["prescription_no"], s["units"]) for s in shares] == [("CF-K", 5)]
    with pytest.raises(YaosuError):
        await split_service.take_back(desk, number(), [Line(box, 6, "CF-K")], b"{}")
    await split_service.take_back(desk, number(), [Line(box, 5, "CF-K")], b"{}")
    assert await ward.left(box) == (PER_BOX, PER_BOX, 0, 0)
