"""Values of a benchmark: sizes, what is held, one row's runs, and the order of runs that shares noise fairly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

Say = Callable[[str], None]
"""Takes one line about what is happening now."""
Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of every row. `FULL` is what design §5 names; `SMALL` shows within a minute that everything works."""

    boxes: int
    """Row `activate`: boxes in the relation file."""
    bill_codes: int
    """Row `box_bill`: box codes in the bill."""
    bill_sets: int
    """Row `box_bill`: bills in and out per run."""
    http_seconds: float
    """Rows `sale_http`, `verify_http`: seconds per measurement, after the warm-up."""
    http_warm_up: float
    connections: tuple[int, ...]
    stores: int
    """Pharmacies that sell side by side."""
    store_boxes: int
    """Boxes on sale in all of them."""
    mixed_seconds: float
    mixed_rate: int
    """Row `verify_p99_ms`: requests per second offered, of all kinds."""
    pallet_boxes: int
    pallet_bills: int
    recall_big: int
    recall_small: int
    holders: int
    recall_calls: int
    issue_codes: int
    disk_pallets: int
    disk_sales: int
    """Row `bytes_per_box`: boxes sold singly after the four hops."""
    parse_strings: int
    way_bills: int
    """Rows `way_…` of bills: bills of `bill_codes` codes per run and side."""
    way_sales: int
    """Rows `way_…` of sales and settlements: so many per run and side."""
    way_stores: int
    """Pharmacies in these."""


FULL = Scale(
    boxes=1_000_000,
    bill_codes=1_000,
    bill_sets=12,
    http_seconds=4.0,
    http_warm_up=1.0,
    connections=(32, 64),
    stores=40,
    store_boxes=320_000,
    mixed_seconds=20.0,
    mixed_rate=300,
    pallet_boxes=48_000,
    pallet_bills=30,
    recall_big=10_000_000,
    recall_small=10_000,
    holders=4_000,
    recall_calls=15,
    issue_codes=10_000_000,
    disk_pallets=8,
    disk_sales=60_000,
    parse_strings=200_000,
    way_bills=16,
    way_sales=1_600,
    way_stores=20,
)
SMALL = replace(
    FULL,
    boxes=4_000,
    bill_codes=100,
    bill_sets=2,
    http_seconds=0.6,
    http_warm_up=0.2,
    connections=(8,),
    stores=4,
    store_boxes=16_000,
    mixed_seconds=2.0,
    mixed_rate=100,
    pallet_boxes=2_000,
    pallet_bills=3,
    recall_big=100_000,
    recall_small=1_000,
    holders=200,
    recall_calls=3,
    issue_codes=100_000,
    disk_pallets=12,
    disk_sales=300,
    parse_strings=5_000,
    way_bills=4,
    way_sales=24,
    way_stores=3,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What design §5 asks of a row: of its ratio, or of its own figure where there is nothing to compare with."""

    of: Literal["ratio", "ours"]
    better: Direction
    hold: float
    aim: float
    text: str

    def reached(self, value: float, bound: float) -> bool:
        """Whether `value` is at least as good as `bound`."""
        return value >= bound if self.better == "higher" else value <= bound


_WITHIN_TWICE = Target("ratio", "higher", 0.5, 0.8, "≥ 0.5 / ≥ 0.8")
"""A way in is at least half as fast as the native one (issue 4)."""
TARGETS = {
    "activate": Target("ratio", "higher", 0.35, 0.6, "≥ 0.35 / ≥ 0.6"),
    "box_bill": Target("ratio", "higher", 0.5, 0.8, "≥ 0.5 / ≥ 0.8"),
    "sale_http": Target("ratio", "higher", 0.2, 0.4, "≥ 0.2 / ≥ 0.4"),
    "verify_http": Target("ratio", "higher", 0.4, 0.7, "≥ 0.4 / ≥ 0.7"),
    "verify_p99_ms": Target("ours", "lower", 100, 35, "< 100 / < 35 ms"),
    "pallet": Target("ratio", "lower", 2.0, 1.2, "≤ 2 / ≤ 1.2"),
    "recall_locate": Target("ratio", "lower", 3.0, 1.5, "≤ 3 / ≤ 1.5, < 1 s"),
    "issue": Target("ratio", "higher", 0.3, 0.6, "≥ 0.3 / ≥ 0.6"),
    "bytes_per_box": Target("ours", "lower", 350, 200, "≤ 350 / ≤ 200 B"),
    "parse": Target("ours", "higher", 50_000, 200_000, "≥ 50 k / ≥ 200 k"),
    "way_top": _WITHIN_TWICE,
    "way_top_retail": _WITHIN_TWICE,
    "way_epcis": _WITHIN_TWICE,
    "way_file": _WITHIN_TWICE,
    "way_yibao": _WITHIN_TWICE,
}


@dataclass(slots=True)
class Row:
    """One measured row. `ours` and `baseline` hold one value per run, in `unit`; `baseline` None: no comparison."""

    id: str
    unit: str
    ours: list[float]
    baseline: list[float] | None
    work: str
    against: str = ""
    extra: dict[str, object] = field(default_factory=dict)
    """Further figures of the same run."""
    aim_also: bool = True
    """Whether what the aim asks besides the ratio was met."""

    @property
    def ratio(self) -> float | None:
        """Median of ours over median of the baseline: of speeds or of times, as `unit` says."""
        return median(self.ours) / median(self.baseline) if self.baseline else None

    @property
    def verdict(self) -> str:
        """`aim`, `hold` or `missed`."""
        target = TARGETS[self.id]
        value = self.ratio if target.of == "ratio" else median(self.ours)
        assert value is not None
        if target.reached(value, target.aim) and self.aim_also:
            return "aim"
        return "hold" if target.reached(value, target.hold) else "missed"

    def as_json(self) -> dict[str, object]:
        """The form of the JSON file (design §5)."""
        target = TARGETS[self.id]
        return {
            "id": self.id,
            "ours": median(self.ours),
            "baseline": median(self.baseline) if self.baseline else None,
            "unit": self.unit,
            "ratio": self.ratio,
            "runs": len(self.ours),
            "hold": target.hold,
            "aim": target.aim,
            "verdict": self.verdict,
            "work": self.work,
            "against": self.against,
            "spread": {
                "ours": spread(self.ours),
                "baseline": spread(self.baseline) if self.baseline else None,
            },
            "extra": self.extra,
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median, maximum."""
    return {"min": min(values), "median": median(values), "max": max(values)}


Side = Callable[[int], Awaitable[float]]
"""Measures one side once; takes the number of the run."""


async def interleave(
    runs: int, *sides: Side, before: Callable[[int], Awaitable[None]] | None = None
) -> list[list[float]]:
    """Values of every side, one per run. The sides take turns, and each run begins with another one.

    `before` prepares a run and is not measured.
    """
    found: list[list[float]] = [[] for _ in sides]
    for run in range(runs):
        if before is not None:
            await before(run)
        for step in range(len(sides)):
            which = (run + step) % len(sides)
            found[which].append(await sides[which](run))
    return found
