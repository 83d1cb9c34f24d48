"""Packing after activation: every package in one place, every count right, the ledger untouched (issue 2 §4)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from production.helpers import BOX, CASE, MASTER, MIDDLE, code, make_maker, make_product, tree
from production.shop import Shop
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import packing
from yaosu.registry.resolver import load_registry

SSCC, SSCC2 = "(00)006141411234567890", "(00)106141412345678908"


@pytest_asyncio.fixture(loop_scope="module")
async def shop(db: Connection, tmp_path: Path) -> AsyncIterator[Shop]:
    subject, drug_id, registry = await make_maker(db, contains=(1, 4, 3))
    opened = Shop(db, subject, drug_id, registry, tmp_path)
    await opened.activate(tree(2, 3, 4).xml())
    yield opened
    await opened.sound()


async def test_a_box_taken_out_has_its_own_state_and_every_package_around_holds_less(shop: Shop) -> None:
    done = await shop.unpack(code(BOX, 1))
    box, middle, case = [await shop.unit(c) for c in (code(BOX, 1), code(MIDDLE, 1), code(CASE, 1))]
    assert (box["parent"], box["status"], box["holder"], box["last_bill"]) == (
        None,
        "I",
        shop.subject.org,
        done.bill_id,
    )
    assert (middle["qty"], case["qty"], case["status"]) == (3, 11, "I")
    line = await shop.db.fetchrow("SELECT * FROM bill_line WHERE bill_id = $1", done.bill_id)
    assert line is not None and (line["left_parent"], line["pre"], line["post"]) == (
        code(MIDDLE, 1),
        "I",
        "I",
    )
    assert line["prev_bill"] > 0


async def test_repacking_moves_a_box_from_one_package_to_another(shop: Shop) -> None:
    await shop.unpack(code(BOX, 1))
    done = await shop.pack(code(MIDDLE, 1), code(BOX, 5))
    assert (await shop.unit(code(BOX, 5)))["parent"] == code(MIDDLE, 1)
    assert [(await shop.unit(code(m, n)))["qty"] for m, n in ((MIDDLE, 1), (MIDDLE, 2), (CASE, 1))] == [
        4,
        3,
        11,
    ]
    assert done.container_qty == {shop.drug_id: 4}


async def test_a_full_package_takes_no_more(shop: Shop) -> None:
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(BOX, 5))) == ["pack_overfull"]


async def test_wrong_levels_and_places_are_refused_one_by_one(shop: Shop) -> None:
    assert await shop.refused(shop.pack(code(CASE, 1), code(BOX, 20))) == ["pack_level"]
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(BOX, 1))) == ["pack_same_package"]
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(CASE, 1))) == ["pack_into_itself"]
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(BOX, 9999), "rubbish")) == [
        "pack_code_unreadable"
    ]
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(BOX, 9999))) == ["pack_unit_unknown"]
    assert await shop.refused(shop.pack(code(MIDDLE, 1), code(BOX, 5), code(BOX, 5))) == ["pack_twice"]
    assert await shop.refused(shop.unpack(code(CASE, 1))) == ["pack_not_packed"]
    assert await shop.refused(shop.unpack(code(MIDDLE, 1), code(BOX, 1))) == ["pack_inside_other"]


async def test_goods_of_somebody_else_cannot_be_packed(shop: Shop) -> None:
    await shop.db.execute("UPDATE unit SET holder = holder + 1 WHERE code = $1", code(CASE, 2))
    assert await shop.refused(shop.unpack(code(BOX, 13))) == ["pack_not_held"]
    await shop.db.execute("UPDATE unit SET holder = holder - 1 WHERE code = $1", code(CASE, 2))


async def test_a_pallet_of_two_products_is_one_row_per_product(shop: Shop) -> None:
    other = await make_product(shop.db, shop.subject.org, ("8300001", "8300002", "8300003"), (1, 4, 3))
    shop.registry = await load_registry(shop.db)
    swap = {BOX: b"8300001", MIDDLE: b"8300002", CASE: b"8300003"}
    data = tree(1, 3, 4).xml()
    for old, new in swap.items():
        data = data.replace(old.encode(), new)
    await shop.activate(data)
    second = tree(1, 3, 4, first=50)
    second.batch = "B2"
    await shop.activate(second.xml())
    done = await shop.pack(SSCC, code(CASE, 1), code("8300003", 1), code(BOX, 13))
    assert done.container_qty == {shop.drug_id: 13, other: 12}
    row = await shop.db.fetchrow("SELECT * FROM logistics_container WHERE code = $1", SSCC)
    assert row is not None and row["drug_ids"] == sorted([shop.drug_id, other])
    pallet = await shop.unit(SSCC)
    assert (pallet["level"], pallet["status"], pallet["qty"], pallet["holder"]) == (
        90,
        "I",
        13,
        shop.subject.org,
    )
    assert pallet["batch_id"] != 0
    await shop.sound()
    # a second batch of the same product
    await shop.pack(SSCC, code(CASE, 50))
    assert (await shop.unit(SSCC))["batch_id"] == 0
    assert await shop.db.fetchval("SELECT count(*) FROM container_batch WHERE code = $1", SSCC) == 2
    await shop.sound()
    # a box out of a case on the pallet
    await shop.unpack(code(BOX, 50))
    assert (await shop.unit(SSCC))["qty"] == 24
    await shop.sound()
    assert await shop.refused(shop.pack(code(CASE, 2), SSCC)) == ["pack_no_nesting"]
    # everything off the pallet: its label is free again
    await shop.unpack(SSCC, whole=True)
    assert await shop.db.fetchval("SELECT count(*) FROM unit WHERE code = $1", SSCC) == 0
    assert await shop.db.fetchval("SELECT count(*) FROM logistics_container") == 0
    assert (await shop.unit(code(CASE, 1)))["status"] == "I"
    await shop.pack(SSCC, code(CASE, 1))


async def test_a_pallet_shipped_away_takes_nothing_more(shop: Shop) -> None:
    await shop.pack(SSCC, code(CASE, 1))
    await shop.db.execute("UPDATE unit SET status = 'O' WHERE code = $1", SSCC)
    assert await shop.refused(shop.pack(SSCC, code(CASE, 2))) == ["pack_container_busy"]
    await shop.db.execute("UPDATE unit SET status = 'I' WHERE code = $1", SSCC)


async def test_a_replaced_code_leaves_its_place_to_the_new_one(shop: Shop) -> None:
    old, new = code(MIDDLE, 1), code(MIDDLE, 999)
    done = await packing.replace(shop.db, shop.subject, shop.registry, MASTER, old, new, "标签破损")
    fresh, gone = await shop.unit(new), await shop.unit(old)
    assert (fresh["parent"], fresh["qty"], fresh["status"]) == (code(CASE, 1), 4, None)
    assert (gone["parent"], gone["qty"], gone["status"]) == (None, 0, "C")
    assert (await shop.unit(code(BOX, 1)))["parent"] == new
    link = await shop.db.fetchrow("SELECT * FROM unit_replaced WHERE old_code = $1", old)
    assert link is not None and (link["new_code"], link["bill_id"], link["reason"]) == (
        new,
        done.bill_id,
        "标签破损",
    )
    await shop.sound()
    box = await packing.replace(
        shop.db, shop.subject, shop.registry, MASTER, code(BOX, 2), code(BOX, 998), "x"
    )
    assert (await shop.unit(code(BOX, 998)))["qty"] is None and box.qty == 1
    whole = await packing.replace(
        shop.db, shop.subject, shop.registry, MASTER, code(CASE, 2), code(CASE, 998), "x"
    )
    case = await shop.unit(code(CASE, 998))
    assert (case["status"], case["qty"], case["holder"]) == ("I", 12, shop.subject.org) and whole.qty == 12
    call = packing.replace(shop.db, shop.subject, shop.registry, MASTER, code(BOX, 3), code(BOX, 4), "x")
    assert await shop.refused(call) == ["replace_new_exists"]
    call = packing.replace(shop.db, shop.subject, shop.registry, MASTER, code(BOX, 3), code(MIDDLE, 77), "x")
    assert await shop.refused(call) == ["replace_other_product"]


async def test_voided_codes_leave_the_books(shop: Shop) -> None:
    await packing.void(shop.db, shop.subject, shop.registry, [code(BOX, 1), code(BOX, 2)], "留样")
    assert (await shop.unit(code(CASE, 1)))["qty"] == 10
    call = packing.void(shop.db, shop.subject, shop.registry, [code(CASE, 2)], "报废")
    assert await shop.refused(call) == ["void_not_empty"]
    await packing.void(shop.db, shop.subject, shop.registry, [code(CASE, 2)], "报废", with_content=True)
    assert (await shop.unit(code(CASE, 2)))["status"] == "C"
    booked = await shop.db.fetchval("SELECT sum(qty) FROM balance WHERE status = 'C'")
    assert booked == 14
    call = packing.void(shop.db, shop.subject, shop.registry, [code(BOX, 1)], "again")
    assert await shop.refused(call) == ["pack_not_held"]


async def test_the_same_bill_again_gets_the_same_answer(shop: Shop) -> None:
    first = await shop.pack(SSCC, code(CASE, 1), bill_no="ZX-7")
    again = await shop.pack(SSCC, code(CASE, 1), bill_no="ZX-7")
    assert again.repeated and again.bill_id == first.bill_id
    with pytest.raises(YaosuError, match="taken by other content"):
        await shop.pack(SSCC, code(CASE, 2), bill_no="ZX-7")


@pytest.mark.parametrize("seed", range(8))
async def test_random_packing_keeps_every_count_right(shop: Shop, seed: int) -> None:
    rng = random.Random(seed)
    boxes = [code(BOX, n) for n in range(1, 25)]
    middles = [code(MIDDLE, n) for n in range(1, 7)]
    cases = [code(CASE, n) for n in (1, 2)]
    done = 0
    for step in range(40):
        some = rng.sample(boxes, rng.randint(1, 3))
        act = rng.randrange(5)
        try:
            async with shop.db.transaction():
                if act == 0:
                    await shop.unpack(*(some if rng.random() < 0.7 else rng.sample(middles, 1)))
                elif act == 1:
                    await shop.pack(rng.choice(middles), *some)
                elif act == 2:
                    await shop.pack(rng.choice(cases), *rng.sample(middles, rng.randint(1, 2)))
                elif act == 3:
                    await shop.pack(rng.choice([SSCC, SSCC2]), *rng.sample(boxes + middles + cases, 2))
                else:
                    await shop.unpack(rng.choice([*middles, *cases, SSCC, SSCC2]), whole=True)
            done += 1
        except YaosuError as error:
            assert error.code == "pack_refused"
        if step % 8 == 0:
            await shop.sound()
    assert done > 3
