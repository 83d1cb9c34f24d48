"""Values of the exceptions room: what a case is opened with, and the kinds and resolutions of the code lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from yaosu.errors import YaosuError
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item

PIECES_MAX = 1_000_000
"""Scans of one case: as many as one bill may have, so that none of its goods stays free."""
CASES_MAX = 12
"""Cases opened at once: one per kind of mismatch."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One scan of a case, or a product and batch with a count. `qty` in smallest packages."""

    drug_id: int | None = None
    batch_id: int | None = None
    batch_no: str = ""
    code: str = ""
    qty: int = 0
    verdict: str = ""
    quarantine_id: int | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """A case about to be opened."""

    kind: str
    buyer: int
    seller: int
    pieces: Sequence[Piece]
    check_id: int | None = None
    receipt_bill: int | None = None
    notice_bill: int | None = None
    note: str = ""

    @property
    def qty(self) -> int:
        """Smallest packages concerned; a scan whose packages are not known counts as one."""
        return sum(p.qty or (1 if p.code else 0) for p in self.pieces)

    @property
    def drug_ids(self) -> list[int]:
        """Products concerned, sorted."""
        return sorted({p.drug_id for p in self.pieces if p.drug_id})


@dataclass(frozen=True, slots=True)
class Offer:
    """A proposed resolution (list `exception_resolution`)."""

    kind: str
    text: str = ""
    bill_no: str = ""
    amount: Decimal | None = None
    credit_no: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """Deadlines of one case, from list `exception_clock`."""

    answer_due: datetime
    resolve_due: datetime
    remind_hours: int
    mah_days: int
    regulator_days: int

    def stages(self) -> list[tuple[str, datetime]]:
        """What is due when, in order: reminders to the other side, overdue, holder told, regulator told."""
        day = timedelta(days=1)
        return sorted(
            [
                ("answer_soon", self.answer_due - timedelta(hours=self.remind_hours)),
                ("answer_overdue", self.answer_due),
                ("resolve_soon", self.resolve_due - day),
                ("resolve_overdue", self.resolve_due),
                ("mah", self.resolve_due + self.mah_days * day),
                ("regulator", self.resolve_due + self.regulator_days * day),
            ],
            key=lambda s: s[1],
        )


def _whole(item: Item, key: str) -> int:
    return int(str(item.attrs[key]))


def texts(item: Item, key: str) -> list[str]:
    """A column of a list that holds several values."""
    value = item.attrs.get(key) or ()
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def kind_item(lists: CodeLists, kind: str, region: str = "") -> Item:
    """The kind's entry; refused (`exception_kind_unknown`) when there is none in the region today."""
    found = lists.item("exception_kind", kind, region=region)
    if found is None:
        raise YaosuError("exception_kind_unknown", {"kind": kind})
    return found


def resolution_item(lists: CodeLists, kind: str, region: str = "") -> Item:
    """The resolution's entry; refused (`exception_resolution_unknown`)."""
    found = lists.item("exception_resolution", kind, region=region)
    if found is None:
        raise YaosuError("exception_resolution_unknown", {"kind": kind})
    return found


def kind_by(lists: CodeLists, column: str) -> dict[str, str]:
    """Kind of case by count of a receipt check (`counts`) or by reason of quarantine (`verdicts`)."""
    return {value: item.code for item in lists.get("exception_kind") for value in texts(item, column)}


def clock_of(
    lists: CodeLists,
    kind: str,
    region: str,
    opened_at: datetime,
    answer_due: datetime | None = None,
    resolve_due: datetime | None = None,
) -> Clock:
    """The deadlines of a case opened then; those already set on it stay."""
    item = lists.item("exception_clock", kind, region=region) or lists.item(
        "exception_clock", "default", region=region
    )
    assert item is not None, "the list exception_clock has an entry `default`"
    return Clock(
        answer_due or opened_at + timedelta(hours=_whole(item, "answer_hours")),
        resolve_due or opened_at + timedelta(days=_whole(item, "resolve_days")),
        _whole(item, "remind_hours"),
        _whole(item, "mah_days"),
        _whole(item, "regulator_days"),
    )


def next_look(stages: Iterable[tuple[str, datetime]], done: Iterable[str]) -> datetime | None:
    """When the clock has to look at the case again."""
    passed = set(done)
    return min((when for name, when in stages if name not in passed), default=None)
