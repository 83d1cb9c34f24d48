"""The units a group of bills touches, in memory: what the judge looks at and what it changes.

State sits on the outermost package (D3): `root` climbs to it. Taking a package out of a container is
`take_out`: the package gets its own state, every package around it holds that much less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

LOGISTICS_LEVEL = 90
"""Package level of a logistics container (SSCC); such a container has one row per product in it."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What is known of goods that stand in quarantine, or were lost from there: why they came, and a settled case
    (its number) that keeps them out of stock (R-B4).
    """

    verdict: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    decided: str = ""


_ASIDE = Aside()


class Unit:
    """A coded package as stored; None status/holder means inherited from the outermost package.

    `qty` counts smallest packages in it now; `since` is the business time of `last_bill`; `notice` is, for goods
    on their way, the bill they were shipped by; `was` and `was_qty` are what the
    database had when it was read. `alike`: it stands for a run of packages, see `Assumed`. `aside`: it is in quarantine
    or was lost from there.
    """

    __slots__ = (
        "alike",
        "aside",
        "batch_id",
        "code",
        "dest",
        "drug_id",
        "holder",
        "last_bill",
        "level",
        "notice",
        "parent",
        "qty",
        "since",
        "status",
        "touched",
        "was",
        "was_qty",
    )

    def __init__(
        self,
        drug_id: int,
        code: str,
        batch_id: int,
        level: int,
        parent: str | None,
        status: str | None,
        holder: int | None,
        dest: int | None,
        qty: int | None,
        since: datetime | None,
        last_bill: int,
        notice: int | None = None,
    ) -> None:
        self.drug_id = drug_id
        self.code = code
        self.batch_id = batch_id
        self.level = level
        self.parent = parent
        self.status = status
        self.holder = holder
        self.dest = dest
        self.qty = 1 if qty is None else qty
        self.since = since
        self.last_bill = last_bill
        self.notice = notice
        self.touched = False
        self.was = last_bill
        self.was_qty = self.qty
        self.alike = False
        self.aside: Aside | None = None

    def settle_aside(self, pre: str) -> None:
        """After a change from status `pre`: goods that were lost from quarantine stay known as such, others do not."""
        known = self.status == "Q" or (self.status == "N" and pre == "Q")
        self.aside = (self.aside or _ASIDE) if known else None

    @property
    def key(self) -> tuple[int, str]:
        """Primary key."""
        return (self.drug_id, self.code)

    def __repr__(self) -> str:
        return f"Unit({self.code} L{self.level} {self.status}@{self.holder} in {self.parent} ×{self.qty})"


@dataclass(slots=True)
class Assumed:
    """Packages of one product that are taken to be in one state, because a few of them were: whoever writes them proves
    it. Before they are written, nothing is known of them. One unit stands for all: it has the code of the first.
    """

    unit: Unit
    codes: list[str]
    status: str
    holder: int
    dest: int | None
    notice: int | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What the judge needs of a batch. `expires_at` is the first moment past 有效期至, in China time."""

    batch_id: int
    drug_id: int
    batch_no: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """A recall, lock or suspension in force (R-E4, R-B5). `org` set: only that owner's bills are stopped."""

    id: int
    kind: str
    """recall, lock or suspension."""
    ref: int
    number: str
    title: str
    level: int | None
    """Recall class 1 to 3."""
    org: int | None
    placed_by: int
    reason: str
    placed_at: datetime
    return_to: int | None = None
    """Where a recall order says that the goods go; None: it does not say."""

    def binds(self, owner: int) -> bool:
        """Whether bills of `owner` are stopped."""
        return self.org is None or self.org == owner

    @property
    def params(self) -> dict[str, object]:
        """What a refusal says of it."""
        return {
            "number": self.number,
            "title": self.title,
            "level": self.level if self.level is not None else "—",
            "reason": self.reason or "—",
        }


@dataclass(slots=True)
class Split:
    """An opened box (拆零, R-C9), in preparation units: left + out + lost = total, always.

    `out` is dispensed and not returned; `use_before` how long the opened box may be used.
    """

    total: int
    left: int
    out: int
    lost: int
    org: int
    opened_bill: int
    opened_at: datetime
    use_before: datetime | None
    undone: bool = False
    """The opening itself was taken back."""
    touched: bool = False

    def state(self) -> tuple[int, int, int, bool, bool]:
        """What a correction that is refused goes back to."""
        return (self.left, self.out, self.lost, self.undone, self.touched)


_NONE: Mapping[Stop, int] = {}


@dataclass
class World:
    """Units by key; `rows_of` lists the keys a scanned code stands for (several for a mixed container)."""

    units: dict[tuple[int, str], Unit] = field(default_factory=dict)
    rows_of: dict[str, tuple[Unit, ...]] = field(default_factory=dict)
    batches: dict[int, BatchFacts] = field(default_factory=dict)
    container_batches: dict[tuple[int, str], dict[int, int]] = field(default_factory=dict)
    stop_batches: Mapping[tuple[int, int], Sequence[Stop]] = field(default_factory=dict)
    """Stops by (product, batch)."""
    stop_codes: Mapping[tuple[int, str], Sequence[Stop]] = field(default_factory=dict)
    """Stops by code; what is inside is stopped too."""
    stop_holding: dict[tuple[int, str], dict[Stop, int]] = field(default_factory=dict)
    """How many stopped codes are somewhere inside a package, by stop."""
    splits: dict[tuple[int, str], Split] = field(default_factory=dict)
    """Opened boxes among the units."""
    assumed: list[Assumed] = field(default_factory=list)
    """Packages that nobody has read; all others are as stored."""
    held: Mapping[tuple[int, str], str] = field(default_factory=dict)
    """Units in quarantine that a case holds there, with the case's number (R-B4)."""
    sent: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    """Of shipments (product, bill) that may have left quarantine: each code's status before."""
    lost: Mapping[tuple[int, str], Aside] = field(default_factory=dict)
    """Units in quarantine before they were lost: those not there any more, or not before a bill that is taken back."""
    sellers: Mapping[tuple[int, int, int], frozenset[int]] = field(default_factory=dict)
    """Who delivered goods of a batch to an organisation: by (organisation, product, batch)."""
    stored_for: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Whose goods a logistics firm stores."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Of organisations that a refusal names."""
    labels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Scanned logistics containers, with the products that were in them when they were read."""

    def add(self, unit: Unit) -> None:
        """Put one stored unit in."""
        self.units[(unit.drug_id, unit.code)] = unit
        self.rows_of[unit.code] = (*self.rows_of.get(unit.code, ()), unit)

    def add_run(self, run: Assumed) -> None:
        """Put packages in that are taken to be alike; none of their codes is there yet."""
        run.unit.alike = True
        self.units[run.unit.key] = run.unit
        self.rows_of.update(dict.fromkeys(run.codes, (run.unit,)))
        self.assumed.append(run)

    def container_of(self, unit: Unit) -> Unit | None:
        """The package `unit` is directly inside of."""
        if unit.parent is None:
            return None
        return self.units[(unit.drug_id, unit.parent)]

    def root(self, unit: Unit) -> Unit:
        """The outermost package around `unit` (itself when it is inside nothing)."""
        while unit.parent is not None:
            unit = self.units[(unit.drug_id, unit.parent)]
        return unit

    def ancestors(self, unit: Unit) -> list[Unit]:
        """Packages around `unit`, innermost first."""
        found = []
        while unit.parent is not None:
            unit = self.units[(unit.drug_id, unit.parent)]
            found.append(unit)
        return found

    def batches_in(self, unit: Unit) -> dict[int, int]:
        """Smallest packages of `unit` by batch; more than one entry only for mixed containers."""
        if unit.batch_id:
            return {unit.batch_id: unit.qty}
        return {b: q for b, q in self.container_batches.get(unit.key, {}).items() if q > 0}

    def split_of(self, unit: Unit) -> Split | None:
        """What is left of an opened box; None when it is whole."""
        split = self.splits.get(unit.key)
        return None if split is None or split.undone else split

    def stop_of(self, unit: Unit, owner: int) -> Stop | None:
        """The stop that forbids `owner` to move `unit`; None when there is none."""
        for stop, count in self.stop_holding.get(unit.key, _NONE).items():
            if count > 0 and stop.binds(owner):
                return stop
        if self.stop_codes:
            around: Unit | None = unit
            while around is not None:
                for stop in self.stop_codes.get(around.key, ()):
                    if stop.binds(owner):
                        return stop
                around = self.container_of(around)
        if self.stop_batches:
            for batch_id in self.batches_in(unit):
                for stop in self.stop_batches.get((unit.drug_id, batch_id), ()):
                    if stop.binds(owner):
                        return stop
        return None

    def stops_of(self, unit: Unit, owner: int) -> list[Stop]:
        """All stops that forbid `owner` to move `unit`."""
        found = dict.fromkeys(s for s, n in self.stop_holding.get(unit.key, _NONE).items() if n > 0)
        for one in (unit, *self.ancestors(unit)):
            found |= dict.fromkeys(self.stop_codes.get(one.key, ()))
        for batch_id in self.batches_in(unit):
            found |= dict.fromkeys(self.stop_batches.get((unit.drug_id, batch_id), ()))
        return [stop for stop in found if stop.binds(owner)]

    def left_quarantine(self, root: Unit) -> bool:
        """Whether goods on their way were sent from quarantine, as far as `sent` tells."""
        lines = self.sent.get((root.drug_id, root.notice or 0))
        if lines is None:
            return False
        # what was taken out of its case since has no line of its own there: the careful answer
        was = lines.get(root.code)
        return was == "Q" if was is not None else "Q" in lines.values()

    def take_out(self, unit: Unit) -> str:
        """Take `unit` out of all packages around it; the code of the one it was directly in, or ''."""
        if unit.parent is None:
            return ""
        left = unit.parent
        outer = self.root(unit)
        contents = self.batches_in(unit)
        stopped: dict[Stop, int] = {}
        stopped_inside = bool(self.stop_holding)
        if stopped_inside:
            stopped = dict(self.stop_holding.get(unit.key, _NONE))
            for stop in self.stop_codes.get(unit.key, ()):
                stopped[stop] = stopped.get(stop, 0) + 1
        for around in self.ancestors(unit):
            for stop, count in stopped.items():
                held_stops = self.stop_holding.get(around.key)
                if held_stops is not None and stop in held_stops:
                    held_stops[stop] -= count
            assert around.qty >= unit.qty, f"{around.code} holds {around.qty}, less than {unit.code}"
            around.qty -= unit.qty
            around.touched = True
            if stopped_inside and not around.qty:
                # an empty package stops nothing it is in
                for stop in self.stop_codes.get(around.key, ()):
                    stopped[stop] = stopped.get(stop, 0) + 1
            if not around.batch_id:
                held = self.container_batches[around.key]
                for batch_id, qty in contents.items():
                    held[batch_id] -= qty
        unit.parent = None
        unit.status = outer.status
        unit.holder = outer.holder
        unit.dest = outer.dest
        unit.since = outer.since
        unit.notice = outer.notice
        unit.aside = outer.aside
        return left
