"""Opened boxes on the write path (拆零, R-C9): what is left of each, and the entries that say why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from yaosu.circulation import store_write as store
from yaosu.db.engine import Connection
from yaosu.rules.world import Split, World

if TYPE_CHECKING:
    from yaosu.circulation.posting import Posting
    from yaosu.circulation.revise import OldLine

Key = tuple[int, str]
Entry = tuple[str, int]
"""(kind, preparation units); kind: open, dispense, return, loss"""
SplitRow = tuple[int, int, int, str, str]
"""(bill_id, drug_id, qty, kind, code), as written"""


async def load(conn: Connection, keys: Sequence[Key]) -> dict[Key, Split]:
    """The opened ones among `keys`."""
    rows = await conn.fetch(store.SPLITS, [k[0] for k in keys], [k[1] for k in keys])
    return {
        (r["drug_id"], r["code"]): Split(
            total=r["total"],
            left=r["unit_left"],
            out=r["unit_out"],
            lost=r["unit_lost"],
            org=r["org"],
            opened_bill=r["opened_bill"],
            opened_at=r["opened_at"],
            use_before=r["use_before"],
        )
        for r in rows
    }


async def entries_of(conn: Connection, old: Sequence[OldLine]) -> dict[tuple[int, int, str], list[Entry]]:
    """What the lines that may be taken back did to opened boxes, by (bill, product, code)."""
    # a box may be opened and used up by one line, from I to S
    bills = sorted({line.bill_id for line in old if line.qty == 1 and {line.pre, line.post} & {"D", "S"}})
    found: dict[tuple[int, int, str], list[Entry]] = {}
    if bills:
        for r in await conn.fetch(store.SPLIT_ENTRIES_OF, bills):
            found.setdefault((r["bill_id"], r["drug_id"], r["code"]), []).append((r["kind"], r["qty"]))
    return found


def undo(split: Split, entries: Sequence[Entry], *, closes: bool, at: tuple[int, int, str]) -> list[SplitRow]:
    """Take the entries of a bill back, and the opening of the box with them where it `closes`; the rows that say so.

    `at` is the reversal, the product and the code.
    """
    bill_id, drug_id, code = at
    rows: list[SplitRow] = []
    for kind, qty in entries:
        if kind == "dispense":
            split.left, split.out = split.left + qty, split.out - qty
        elif kind == "return":
            split.left, split.out = split.left - qty, split.out + qty
        elif kind == "loss":
            split.left, split.lost = split.left + qty, split.lost - qty
        else:
            continue
        rows.append((bill_id, drug_id, -qty, kind, code))
    if closes:
        split.undone = True
        rows.append((bill_id, drug_id, -split.total, "open", code))
    split.touched = True
    assert split.left + split.out + split.lost == split.total and min(split.left, split.out, split.lost) >= 0
    return rows


def rows_of(posting: Posting) -> list[SplitRow]:
    """The entries a bill makes."""
    rows: list[SplitRow] = list(posting.split_rows)
    means = posting.prepared.kind.parts
    for part in posting.parts:
        line = part.first
        if not (line.opened or line.part):
            continue
        for code in part.codes:
            if line.opened:
                rows.append((posting.bill_id, line.unit.drug_id, line.opened, "open", code))
            if line.part:
                rows.append((posting.bill_id, line.unit.drug_id, line.part, means, code))
    return rows


async def write(conn: Connection, world: World, postings: Sequence[Posting]) -> None:
    """Record entries and the boxes' new insides; nothing is sent where no box was opened."""
    rows = [row for posting in postings for row in rows_of(posting)]
    touched: Mapping[Key, Split] = {k: s for k, s in world.splits.items() if s.touched}
    if not rows and not touched:
        return
    await store.insert_rows(conn, "split_entry", store.SPLIT_ENTRY_COLUMNS, rows)
    gone = [k for k, s in touched.items() if s.undone]
    if gone:
        await conn.execute(store.DELETE_SPLITS, [k[0] for k in gone], [k[1] for k in gone])
    await store.columns(
        conn,
        store.UPSERT_SPLITS,
        [
            (
                drug_id,
                code,
                world.units[(drug_id, code)].batch_id,
                world.units[(drug_id, code)].holder,
                s.total,
                s.left,
                s.out,
                s.lost,
                s.opened_bill,
                s.opened_at,
                s.use_before,
            )
            for (drug_id, code), s in sorted(touched.items())
            if not s.undone
        ],
    )
