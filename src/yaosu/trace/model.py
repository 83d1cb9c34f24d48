"""Values of the trace room: what is known of a code, its history, its contents, and where a batch is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

VERIFY_MAX = 1_000
"""Codes in one verify call (issue 2 §6)."""
CONTENTS_MAX = 10_000
"""Packages in one answer of `contents`; a larger package is read parent by parent."""
EXPORT_MAX = 200_000
"""Packages in one export of `contents`; a larger one is refused, never cut off silently."""
DEPTH_MAX = 12
"""Packages inside one another that are followed: nine sales levels and logistics containers around them."""
EVENTS_MAX = 5_000
"""Events in one history; a container that has been in use for years stays readable."""

Key = tuple[int, str]
"""(drug_id, code)"""


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A coded package as stored; None status and holder mean inherited from the outermost package (D3)."""

    drug_id: int
    code: str
    batch_id: int
    level: int
    parent: str | None
    status: str | None
    holder: int | None
    dest: int | None
    qty: int
    since: datetime | None
    last_bill: int


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """生产批次: `expires_on` is the last day of use (有效期至). Never changes once it exists."""

    id: int
    drug_id: int
    batch_no: str
    produced_on: date
    expires_on: date


@dataclass(frozen=True, slots=True)
class Found:
    """One unit with the packages around it, as one consistent reading.

    `path[0]` is the unit itself, `path[-1]` the outermost package, whose state is the effective one.
    `queries` counts public queries, `first_query` is the time of the first.
    """

    path: tuple[UnitRow, ...]
    queries: int = 0
    first_query: datetime | None = None

    @property
    def unit(self) -> UnitRow:
        """The unit itself."""
        return self.path[0]

    @property
    def root(self) -> UnitRow:
        """The outermost package around it: its state is the unit's."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class LineRow:
    """One own event of a unit: what a bill did to it (table bill_line)."""

    bill_id: int
    prev_bill: int
    pre: str
    post: str
    pre_holder: int
    qty: int
    left_parent: str


@dataclass(frozen=True, slots=True)
class Tale:
    """Everything of one unit's own that its history is made of.

    `lines` newest first. The bill before the oldest line is the activation or packing that brought the unit into
    the books; the unit has no line for that. The label of a logistics container may have had several lives, whose
    lines are all here. `was`: the code whose place this one took, and by which bill (单码替换).
    """

    code: str
    parent: str | None
    last_bill: int
    lines: tuple[LineRow, ...]
    was: tuple[str, int] | None = None

    @property
    def origins(self) -> dict[int, str]:
        """Bills that brought the unit into the books, with the status it then had ('' where no line tells)."""
        own = {line.bill_id for line in self.lines}
        found = {
            line.prev_bill: line.pre for line in self.lines if line.prev_bill and line.prev_bill not in own
        }
        if self.last_bill and self.last_bill not in own:
            found.setdefault(self.last_bill, "")
        return found


@dataclass(frozen=True, slots=True)
class Stay:
    """包装关系区间: a unit was inside `container` from bill `entered` until bill `left` (None: it still is)."""

    code: str
    container: str
    entered: int
    left: int | None
    renamed: bool = False
    """Not inside another package: the same package under the code it had before (单码替换)."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a history before bills are read: which bill, seen on which code, and why it counts.

    `via` empty: observed, the code itself was scanned. Otherwise inferred: it happened to `via` while the code
    was inside, which `stays` proves, innermost first (D3, R-X4).
    """

    bill_id: int
    code: str
    pre: str
    post: str
    via: str = ""
    stays: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class BillHead:
    """A bill of a history. `seen` is whether the reader may know its number and parties (D10)."""

    id: int
    type: int
    status: str
    flags: int
    revision: int
    bill_no: str
    owner: int
    from_org: int | None
    to_org: int | None
    happened_at: datetime
    recorded_at: datetime
    header: Mapping[str, object] | None
    replaces: int | None
    """The bill that a later revision or a reversal takes the place of."""
    seen: bool


@dataclass(frozen=True, slots=True)
class Node:
    """One package of a package tree."""

    code: str
    parent: str | None
    level: int
    qty: int
    batch_id: int
    drug_id: int
    depth: int
    gone: bool = False
    """It was inside and has been taken out by bill `left_bill`."""
    left_bill: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """Smallest packages of a batch in one account; `org` None: holders the reader may not know, summed up."""

    org: int | None
    status: str
    qty: int


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """Smallest packages between two organisations, by the notice they travel on."""

    from_org: int | None
    to_org: int | None
    qty: int
    shipped_at: datetime | None


@dataclass(frozen=True, slots=True)
class Where:
    """Where a batch is, from balances alone (R-X7): never by reading units."""

    batch: BatchFacts
    activated: int
    totals: Mapping[str, int]
    """By status, everywhere."""
    holdings: Sequence[Holding]
    on_the_way: Sequence[OnTheWay]
    hidden_holders: int
    """Holders whose names the reader may not know."""
