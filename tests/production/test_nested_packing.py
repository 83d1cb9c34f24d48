"""Logistics units in logistics units: cartons on a pallet, each with an SSCC of its own (issue 4 §4, R-X4)."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from production.helpers import BOX, CASE, MIDDLE, code, make_maker, make_product, tree
from production.shop import Shop
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import packing
from yaosu.production.containers import DEPTH_MAX
from yaosu.registry.resolver import load_registry
from yaosu.simulate.cast import with_check_digit

PALLET, CARTON, CARTON2, OTHER, *MORE = (
    "(00)" + with_check_digit(f"06999900000{n:06d}", 18) for n in range(1, 8)
)
LABELS = [PALLET, CARTON, CARTON2, OTHER, *MORE]
SECOND = {BOX: "8300001", MIDDLE: "8300002", CASE: "8300003"}


def second(prefix: str, n: int) -> str:
    """A code of the other product."""
    return code(SECOND[prefix], n)


@pytest_asyncio.fixture(loop_scope="module")
async def shop(db: Connection, tmp_path: Path) -> AsyncIterator[Shop]:
    """Two full cases of one product in two batches, and two of another."""
    subject, drug_id, _ = await make_maker(db, contains=(1, 4, 3))
    await make_product(db, subject.org, tuple(SECOND.values()), (1, 4, 3))
    opened = Shop(db, subject, drug_id, await load_registry(db), tmp_path)
    for first, batch in ((1, "B1"), (50, "B2")):
        goods = tree(1, 3, 4, first=first)
        goods.batch = batch
        await opened.activate(goods.xml())
    data = tree(2, 3, 4).xml()
    for old, new in SECOND.items():
        data = data.replace(old.encode(), new.encode())
    await opened.activate(data)
    yield opened
    await opened.sound()


async def rows(shop: Shop, label: str) -> list[tuple[int, int, str | None, str | None]]:
    """A container's rows: product, quantity, what is around, state."""
    found = await shop.db.fetch("SELECT * FROM unit WHERE code = $1 ORDER BY drug_id", label)
    return [(r["drug_id"], r["qty"], r["parent"], r["status"]) for r in found]


async def test_a_pallet_of_cartons_and_a_case_holds_what_they_hold(shop: Shop) -> None:
    one, two = shop.drug_id, shop.drug_id + 1
    await shop.pack(CARTON, code(MIDDLE, 1), second(MIDDLE, 1), code(MIDDLE, 50))
    await shop.pack(CARTON2, second(BOX, 13))
    done = await shop.pack(PALLET, CARTON, CARTON2, second(CASE, 2))
    # the box of the second carton came out of that case
    assert done.container_qty == {one: 8, two: 4 + 1 + 11}
    assert done.codes == 3 and done.qty == 24
    assert await rows(shop, PALLET) == [(one, 8, None, "I"), (two, 16, None, "I")]
    assert await rows(shop, CARTON) == [(one, 8, PALLET, None), (two, 4, PALLET, None)]
    assert await rows(shop, CARTON2) == [(two, 1, PALLET, None)]
    # the pallet knows the batches of its cartons
    held = await shop.db.fetch(
        "SELECT qty FROM container_batch WHERE drug_id = $1 AND code = $2", one, PALLET
    )
    assert [r["qty"] for r in held] == [4, 4]
    await shop.sound()
    # more goes into a carton where it stands, also of a product that was not in it
    await shop.pack(CARTON2, code(BOX, 5))
    assert await rows(shop, CARTON2) == [(one, 1, PALLET, None), (two, 1, PALLET, None)]
    assert await rows(shop, PALLET) == [(one, 9, None, "I"), (two, 16, None, "I")]


async def test_a_carton_leaves_the_pallet_whole_and_a_box_leaves_both(shop: Shop) -> None:
    await shop.pack(CARTON, code(MIDDLE, 1), second(MIDDLE, 1))
    await shop.pack(PALLET, CARTON, code(CASE, 50))
    await shop.unpack(second(BOX, 1))
    assert [r[1] for r in await rows(shop, CARTON)] == [4, 3]
    assert [r[1] for r in await rows(shop, PALLET)] == [16, 3]
    done = await shop.unpack(CARTON)
    assert done.codes == 1 and done.qty == 7
    assert [r[1:] for r in await rows(shop, CARTON)] == [(4, None, "I"), (3, None, "I")]
    # nothing of the second product is on the pallet any more
    assert await rows(shop, PALLET) == [(shop.drug_id, 12, None, "I")]
    left = await shop.db.fetch(
        "SELECT left_parent, pre, post, qty FROM bill_line WHERE bill_id = $1", done.bill_id
    )
    assert sorted(tuple(r) for r in left) == [(PALLET, "I", "I", 3), (PALLET, "I", "I", 4)]
    # everything off the pallet, and its label is free
    await shop.pack(PALLET, CARTON)
    await shop.unpack(PALLET, whole=True)
    assert await rows(shop, PALLET) == [] and len(await rows(shop, CARTON)) == 2


async def test_an_emptied_carton_is_off_the_pallet_and_its_label_free(shop: Shop) -> None:
    await shop.pack(CARTON, code(MIDDLE, 1), second(MIDDLE, 1))
    await shop.pack(PALLET, CARTON, code(CASE, 50))
    done = await shop.unpack(CARTON, whole=True)
    assert done.codes == 2 and await rows(shop, CARTON) == []
    lines = await shop.db.fetch(
        "SELECT code, left_parent, qty FROM bill_line WHERE bill_id = $1", done.bill_id
    )
    assert sorted((r["code"], r["left_parent"], r["qty"]) for r in lines) == sorted(
        [
            (code(MIDDLE, 1), CARTON, 4),
            (second(MIDDLE, 1), CARTON, 4),
            (CARTON, PALLET, 0),
            (CARTON, PALLET, 0),
        ]
    )
    await shop.sound()
    await shop.pack(CARTON, code(MIDDLE, 2))
    assert await rows(shop, CARTON) == [(shop.drug_id, 4, None, "I")]


async def test_circles_are_refused_and_name_the_codes(shop: Shop) -> None:
    await shop.pack(CARTON, code(MIDDLE, 1))
    await shop.pack(PALLET, CARTON)
    await shop.pack(OTHER, PALLET)
    for inner in (CARTON, PALLET):
        told = await shop.findings(shop.pack(inner, OTHER))
        assert [(f.code, f.where) for f in told] == [("pack_into_itself", OTHER)]
    assert await shop.refused(shop.pack(CARTON, CARTON)) == ["pack_into_itself"]
    assert await shop.refused(shop.pack(CARTON, PALLET)) == ["pack_into_itself"]
    assert await shop.refused(shop.pack(CARTON2, PALLET, CARTON)) == ["pack_inside_other"]


async def test_a_carton_is_on_one_pallet_only(shop: Shop) -> None:
    await shop.pack(CARTON, code(MIDDLE, 1), second(MIDDLE, 1))
    await shop.pack(PALLET, CARTON)
    (found,) = await shop.findings(shop.pack(OTHER, CARTON))
    assert (found.code, found.params["code"], found.params["container"]) == ("pack_in_other", CARTON, PALLET)
    assert await shop.refused(shop.pack(PALLET, CARTON)) == ["pack_same_package"]
    await shop.unpack(CARTON)
    await shop.pack(OTHER, CARTON)


async def test_logistics_units_stand_so_many_deep_and_no_deeper(shop: Shop) -> None:
    await shop.pack(LABELS[0], code(BOX, 1))
    for inner, outer in itertools.pairwise(LABELS[:DEPTH_MAX]):
        await shop.pack(outer, inner)
    (found,) = await shop.findings(shop.pack(LABELS[DEPTH_MAX], LABELS[DEPTH_MAX - 1]))
    assert (found.code, found.where, found.params["limit"]) == (
        "pack_too_deep",
        LABELS[DEPTH_MAX - 1],
        DEPTH_MAX,
    )
    # seen from below as well: a stack into the innermost
    await shop.pack(LABELS[DEPTH_MAX], second(BOX, 1))
    assert await shop.refused(shop.pack(LABELS[0], LABELS[DEPTH_MAX])) == ["pack_too_deep"]


async def test_what_is_no_carton_of_ours_is_refused(shop: Shop) -> None:
    assert await shop.refused(shop.pack(PALLET, CARTON)) == ["pack_logistics_empty"]
    assert await shop.refused(shop.unpack(CARTON)) == ["pack_logistics_empty"]
    await shop.pack(CARTON, code(MIDDLE, 1), second(MIDDLE, 1))
    assert await shop.refused(shop.pack(code(CASE, 1), CARTON)) == ["pack_no_nesting"]
    call = packing.void(shop.db, shop.subject, shop.registry, [CARTON], "报废", with_content=True)
    assert await shop.refused(call) == ["void_logistics"]
    await shop.db.execute("UPDATE unit SET holder = holder + 1 WHERE code = $1", CARTON)
    assert await shop.refused(shop.pack(PALLET, CARTON, code(CASE, 50))) == ["pack_not_held"]
    await shop.db.execute("UPDATE unit SET holder = holder - 1 WHERE code = $1", CARTON)


async def test_an_empty_case_goes_into_no_carton(shop: Shop) -> None:
    await shop.unpack(code(CASE, 1), whole=True)
    assert await shop.refused(shop.pack(CARTON, code(CASE, 1))) == ["pack_empty_package"]
    assert await shop.refused(shop.pack(CARTON, code(CASE, 1), code(CASE, 50))) == ["pack_empty_package"]
    # one that is emptied on the pallet comes off with the last of its goods
    await shop.pack(CARTON, code(CASE, 50))
    await shop.pack(PALLET, CARTON)
    await shop.unpack(code(CASE, 50), whole=True)
    case = await shop.unit(code(CASE, 50))
    assert (case["parent"], case["status"], case["qty"]) == (None, "I", 0)
    assert await rows(shop, PALLET) == [] and await rows(shop, CARTON) == []


async def test_goods_cancelled_in_a_carton_leave_it_and_the_pallet(shop: Shop) -> None:
    await shop.pack(CARTON, code(BOX, 1), second(BOX, 1))
    await shop.pack(PALLET, CARTON, code(CASE, 50))
    await packing.void(shop.db, shop.subject, shop.registry, [second(BOX, 1)], "留样")
    assert [r[1] for r in await rows(shop, PALLET)] == [13]
    assert [r[1] for r in await rows(shop, CARTON)] == [1]


@pytest.mark.parametrize("seed", range(6))
async def test_random_nesting_keeps_every_count_right(shop: Shop, seed: int) -> None:
    rng = random.Random(seed)
    numbers = [*range(1, 13), *range(50, 62)]
    boxes = [code(BOX, n) for n in numbers] + [second(BOX, n) for n in range(1, 25)]
    middles = [code(MIDDLE, n) for n in (1, 2, 3, 50, 51, 52)] + [second(MIDDLE, n) for n in range(1, 7)]
    nested = taken = 0
    for step in range(60):
        act = rng.randrange(9)
        try:
            async with shop.db.transaction():
                if act < 4:
                    await shop.pack(rng.choice(LABELS), *rng.sample(boxes + middles, rng.randint(1, 4)))
                elif act < 7:
                    await shop.pack(*rng.sample(LABELS, rng.randint(2, 3)))
                    nested += 1
                elif act == 7:
                    await shop.unpack(rng.choice([*LABELS, *boxes]))
                    taken += 1
                else:
                    await shop.unpack(rng.choice([*middles, *LABELS]), whole=True)
        except YaosuError as error:
            assert error.code == "pack_refused"
        if step % 6 == 0:
            await shop.sound()
    assert nested and taken
