"""What a judged bill changes: its lines, alike ones together, and what they move in the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yaosu.rules.world import Unit


@dataclass(slots=True)
class Line:
    """One unit's change by a bill: before and after."""

    unit: Unit
    pre: str
    post: str
    pre_holder: int
    post_holder: int
    pre_dest: int
    prev_bill: int
    notice_bill: int
    left_parent: str
    contents: dict[int, int]
    """Smallest packages by batch."""
    part: int = 0
    """Preparation units dispensed, returned or lost by this line; 0: the package moved as a whole."""
    opened: int = 0
    """Preparation units of the box when this line opened it; 0: it did not."""
    dest: int = 0
    """Where it put the goods on their way to; 0: nowhere."""

    @property
    def qty(self) -> int:
        """Smallest packages in the unit when it moved; a later bill of the same group may have taken some out since."""
        return sum(self.contents.values())


@dataclass(slots=True)
class Alike:
    """Lines that differ in nothing but the code: boxes of one delivery, say. What is counted or booked is the same for
    each, so it is looked at once. `codes` are in the order of the bill.
    """

    first: Line
    codes: list[str]

    @property
    def contents(self) -> dict[int, int]:
        """Smallest packages by batch, of all together."""
        count = len(self.codes)
        return {batch_id: qty * count for batch_id, qty in self.first.contents.items()}

    @property
    def qty(self) -> int:
        """Smallest packages of all together."""
        return self.first.qty * len(self.codes)


def alike(lines: Iterable[Line]) -> list[Alike]:
    """`lines` sorted into alike ones, each kind where its first line stood."""
    found: dict[tuple[object, ...], Alike] = {}
    for line in lines:
        unit = line.unit
        what = (
            line.prev_bill,
            line.pre,
            line.post,
            line.pre_holder,
            line.post_holder,
            line.pre_dest,
            line.dest,
            line.notice_bill,
            line.left_parent,
            unit.drug_id,
            unit.batch_id,
            tuple(line.contents.items()),
            line.part,
            line.opened,
        )
        kind = found.get(what)
        if kind is None:
            found[what] = Alike(line, [unit.code])
        else:
            kind.codes.append(unit.code)
    return list(found.values())


Transfer = tuple[int, int, int, str, int, str]
"""(drug_id, batch_id, from_org, from_status, to_org, to_status)"""


def transfers(parts: Sequence[Alike]) -> dict[Transfer, int]:
    """The ledger's side of a bill's lines: smallest packages per transfer between two different accounts (D4)."""
    found: dict[Transfer, int] = {}
    for part in parts:
        line = part.first
        if line.pre == line.post and line.pre_holder == line.post_holder:
            continue
        for batch_id, qty in part.contents.items():
            key = (line.unit.drug_id, batch_id, line.pre_holder, line.pre, line.post_holder, line.post)
            found[key] = found.get(key, 0) + qty
    return found
