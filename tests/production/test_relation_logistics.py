"""A packing line that builds pallets tells them in the relation file: cartons and pallets with SSCCs (R-A3, R-A5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from production.helpers import BOX, CASE, MASTER, MIDDLE, Row, Tree, code, judged, make_maker, parsed, tree
from production.shop import Shop
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import activation
from yaosu.production.relation.logistics import DEPTH_MAX
from yaosu.simulate.cast import with_check_digit

LABELS = ["(00)" + with_check_digit(f"06977777{n:09d}", 18) for n in range(1, 9)]
PALLET, CARTON, CARTON2, *MORE = LABELS


def pallet() -> Tree:
    """Three cases: one in a carton, one with the first boxes' carton beside it on a pallet, one on the pallet."""
    told = tree(3, 3, 4)
    by_code = {r.code: r for r in told.rows}
    by_code[code(CASE, 1)].parent = CARTON
    by_code[code(CASE, 2)].parent = CARTON2
    by_code[code(CASE, 3)].parent = PALLET
    # the outer ones first, as a line writes that scans from the outside; one carton has no line of its own
    told.rows[:0] = [Row(PALLET, 5), Row(CARTON, 4, PALLET)]
    told.rows.append(Row(CARTON2, 4, PALLET))
    return told


@pytest_asyncio.fixture(loop_scope="module")
async def shop(db: Connection, tmp_path: Path) -> AsyncIterator[Shop]:
    subject, drug_id, registry = await make_maker(db, contains=(1, 4, 3))
    opened = Shop(db, subject, drug_id, registry, tmp_path)
    yield opened
    await opened.sound()


@pytest.mark.parametrize("stock_in", [True, False])
async def test_a_file_with_a_pallet_leaves_a_pallet(shop: Shop, stock_in: bool) -> None:
    path = shop.folder / "pallet.xml"
    path.write_bytes(pallet().xml())
    options = activation.Options(stock_in=stock_in)
    check = await activation.check(shop.db, shop.subject, path, shop.registry, MASTER)
    assert check.ok, list(check.errors)
    assert check.summary()["logistics"] == 3 and check.summary()["codes"] == 3 + 9 + 36
    done = await activation.activate(shop.db, shop.subject, path, shop.registry, MASTER, options)
    assert (done.codes, done.boxes) == (48, 36)
    assert "relation_note_logistics" in [n["code"] for n in done.notes]
    outer, carton, case = [await shop.unit(c) for c in (PALLET, CARTON, code(CASE, 1))]
    assert (outer["status"], outer["qty"], outer["parent"]) == ("I" if stock_in else "A", 36, None)
    assert (carton["parent"], case["parent"]) == (PALLET, CARTON)
    assert (await shop.unit(code(CASE, 3)))["parent"] == PALLET
    await shop.sound()
    # the same file again is the same answer, and packs nothing twice
    again = await activation.activate(shop.db, shop.subject, path, shop.registry, MASTER, options)
    assert again.repeated and again.bill_id == done.bill_id


async def test_boxes_stand_in_a_carton_without_a_package_between(shop: Shop) -> None:
    told = tree(1, 3, 4)
    told.rows = [r for r in told.rows if r.layer == 1]
    for row in told.rows:
        row.parent = CARTON
    path = shop.folder / "boxes.xml"
    path.write_bytes(told.xml())
    await activation.activate(shop.db, shop.subject, path, shop.registry, MASTER)
    assert (await shop.unit(CARTON))["qty"] == 12
    assert (await shop.unit(code(BOX, 5)))["parent"] == CARTON


async def test_two_files_fill_one_pallet_and_a_label_in_other_hands_is_refused(shop: Shop) -> None:
    await shop.activate(pallet().xml())
    second = tree(1, 3, 4, first=50)
    second.batch = "B2"
    second.rows[0].parent = PALLET
    await shop.activate(second.xml())
    assert (await shop.unit(PALLET))["qty"] == 48
    await shop.sound()
    await shop.db.execute("UPDATE unit SET holder = holder + 1 WHERE code = $1", PALLET)
    third = tree(1, 3, 4, first=90)
    third.batch = "B3"
    third.rows[0].parent = PALLET
    with pytest.raises(YaosuError) as refused:
        async with shop.db.transaction():
            await shop.activate(third.xml())
    assert refused.value.code == "relation_refused"
    (found,) = refused.value.findings
    assert (found.code, found.where) == ("pack_container_elsewhere", "line 6")
    assert await shop.db.fetchval("SELECT count(*) FROM unit WHERE code = $1", code(CASE, 90)) == 0
    await shop.db.execute("UPDATE unit SET holder = holder - 1 WHERE code = $1", PALLET)


def in_a_case(told: Tree) -> dict[str, int]:
    told.rows[1].parent = code(CASE, 2)
    return {"relation_logistics_parent": 1}


def on_two_pallets(told: Tree) -> dict[str, int]:
    told.rows += [Row(CARTON, 4, MORE[0]), Row(MORE[0], 5)]
    return {"relation_two_parents": 1, "pack_logistics_empty": 1}


def in_a_circle(told: Tree) -> dict[str, int]:
    told.rows[0].parent = CARTON
    return {"relation_cycle": 2}


def empty(told: Tree) -> dict[str, int]:
    told.rows.append(Row(MORE[0], 4, PALLET))
    return {"pack_logistics_empty": 1}


def too_deep(told: Tree) -> dict[str, int]:
    inner = PALLET
    for around in MORE[: DEPTH_MAX - 1]:
        next(r for r in told.rows if r.code == inner).parent = around
        told.rows.append(Row(around, 6))
        inner = around
    # both cartons stand that deep
    return {"pack_too_deep": 2}


def case_in_two_cartons(told: Tree) -> dict[str, int]:
    told.rows.append(Row(code(CASE, 1), 3, CARTON2))
    return {"relation_duplicate": 1}


@pytest.mark.parametrize(
    "spoil", [in_a_case, on_two_pallets, in_a_circle, empty, too_deep, case_in_two_cartons]
)
def test_what_cannot_stand_so_is_said_with_its_line(
    spoil: Callable[[Tree], dict[str, int]], maker_of: Callable[[bytes], dict[str, int]]
) -> None:
    told = pallet()
    expected = spoil(told)
    assert maker_of(told.xml()) == expected


@pytest.fixture
def maker_of(shop: Shop) -> Callable[[bytes], dict[str, int]]:
    """Judges a file and counts what is wrong."""

    def judge(data: bytes) -> dict[str, int]:
        found = judged(data, shop.registry, shop.subject.org)
        assert all(f.where for f in found.errors), list(found.errors)
        return dict(found.errors.counts)

    return judge


def test_the_pallet_is_told_innermost_first_and_stands_in_no_column() -> None:
    file = parsed(pallet().xml())
    assert [(u.label, sorted(u.codes)) for u in file.logistics][-1] == (
        PALLET,
        sorted([CARTON, CARTON2, code(CASE, 3)]),
    )
    assert len(file) == 48 and file.parts[-1].end == 48
    assert code(MIDDLE, 9) in {file.text(i) for i in range(len(file))}
