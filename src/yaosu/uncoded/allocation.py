"""Which lot gave what: the ledger knows products and batches, the 专帐 knows purchases. Pure.

A bill that names its lot takes from that lot. What names none, or more than its lot still had (a bill sent straight
to the movement door), is taken from the oldest purchase first. So the lots of a batch always add up to the ledger's
account, and no lot gives more than came into it, as long as the account itself never falls below nothing (D4).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from yaosu.uncoded.model import Draw, Entered

Given = dict[tuple[str, int, int], list[tuple[Draw, int]]]


def allocate(entered: Sequence[Entered], draws: Sequence[Draw]) -> tuple[Given, int]:
    """What each lot of one product and batch gave to which bill, oldest bill first; and what no lot could give.

    The second value is nothing while the books are right. Quantities of `entered` and `draws` that are not above
    nothing (voided bills) are left out.
    """
    lots = sorted(
        (e for e in entered if e.qty > 0), key=lambda e: (e.bought or date.max, e.at, e.bill_id, e.key)
    )
    left = {e.key: e.qty for e in lots}
    of_lot = {e.lot_id: e.key for e in lots if e.lot_id is not None}
    given: Given = {e.key: [] for e in lots}
    unnamed: list[tuple[Draw, int]] = []
    ordered = sorted((d for d in draws if d.qty > 0), key=lambda d: (d.at, d.bill_id))
    for draw in ordered:
        rest = draw.qty
        key = of_lot.get(draw.lot_id) if draw.lot_id is not None else None
        if key is not None:
            taken = min(rest, left[key])
            if taken:
                left[key] -= taken
                given[key].append((draw, taken))
                rest -= taken
        if rest:
            unnamed.append((draw, rest))
    short = 0
    first = 0
    for draw, wanted in unnamed:
        rest = wanted
        while rest and first < len(lots):
            key = lots[first].key
            taken = min(rest, left[key])
            if taken:
                left[key] -= taken
                given[key].append((draw, taken))
                rest -= taken
            if not left[key]:
                # used up; nothing ever comes back, so nobody looks at it again
                first += 1
        short += rest
    for parts in given.values():
        parts.sort(key=lambda p: (p[0].at, p[0].bill_id))
    return given, short
