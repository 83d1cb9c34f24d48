"""Which boxes of a pool a draw takes from. Pure: what is there is read before, what is decided is written after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from yaosu.dispensing.split_model import Share, Want


@dataclass(slots=True)
class Box:
    """A box of a pool with what is free in it, in preparation units."""

    drug_id: int
    code: str
    until: datetime
    """First moment at which it may no longer be dispensed."""
    opened: bool
    free: int
    total: int


def choose(wants: Sequence[Want], boxes: Sequence[Box], at: datetime) -> tuple[list[Share], dict[int, int]]:
    """Shares for every want that can be filled whole, and what was there for each that cannot (by its position).

    Earliest expiry first, opened boxes before closed ones of the same date, over as many boxes as needed. A closed
    box that is needed whole is given whole. Wants are served in their order; `boxes` are used up in place.
    """
    stock: dict[int, list[Box]] = {}
    for box in sorted(boxes, key=lambda b: (b.until, not b.opened, b.free, b.code)):
        if box.until > at and box.free > 0:
            stock.setdefault(box.drug_id, []).append(box)
    shares: list[Share] = []
    short: dict[int, int] = {}
    for n, want in enumerate(wants):
        held = stock.get(want.drug_id, [])
        there = sum(box.free for box in held)
        if there < want.units:
            short[n] = there
            continue
        shares += _take(n, want, held)
    return shares, short


def _take(n: int, want: Want, held: list[Box]) -> list[Share]:
    """`want` out of `held`, which holds enough; boxes that are used up leave it."""
    taken: list[Share] = []
    missing = want.units
    used = 0
    for box in held:
        if not missing:
            break
        units = min(missing, box.free)
        whole = not box.opened and units == box.total
        taken.append(
            Share(n, box.drug_id, box.code, units, whole, want.prescription_no, want.person_id, want.dosage)
        )
        box.free -= units
        box.opened = True
        missing -= units
        used += not box.free
    assert not missing, "a want was planned that its boxes do not hold"
    del held[:used]
    return taken
