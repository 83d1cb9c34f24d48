"""Values of the recall room. Counts are smallest sales packages (standards §5.10, R-E4, R-X7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["draft", "approved", "published", "finished", "cancelled"]
Kind = Literal["active", "ordered"]
"""主动, 责令."""

STATES: Mapping[str, tuple[str, str]] = {
    "draft": ("起草", "draft"),
    "approved": ("已批准", "approved"),
    "published": ("召回中", "running"),
    "finished": ("已结束", "finished"),
    "cancelled": ("已撤销", "cancelled"),
}
KINDS: Mapping[str, tuple[str, str]] = {
    "active": ("主动召回", "voluntary"),
    "ordered": ("责令召回", "ordered"),
}

ON_HAND = ("A", "I", "Q", "D", "N", "U")
"""Accounts of goods that stand somewhere and must be found, whatever may be done with them."""
SOLD = ("S", "T")
BATCHES_MAX = 500
CODES_MAX = 5_000
"""Single codes named in one order; each counts with everything inside it."""
UNITS_MAX = 200_000
"""Innermost packages of the single codes of one order."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody writes into an order; `batch_nos` and `codes` as typed, `regions` empty for the whole country."""

    drug_id: int
    level: int
    kind: Kind
    simulated: bool
    title: str
    reason: str
    hazard: str
    measure: str
    contact: str
    is_public: bool = False
    regions: Sequence[str] = ()
    batch_nos: Sequence[str] = ()
    codes: Sequence[str] = ()
    return_to: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """召回单 as stored; field names of the data set in docs/recall.md."""

    id: int
    drug_id: int
    issuer: int
    owner: int
    maker: int
    return_to: int
    level: int
    kind: Kind
    simulated: bool
    is_public: bool
    measure: str
    state: State
    number: str
    title: str
    reason: str
    hazard: str
    regions: Sequence[str]
    contact: str
    drafted_by: int | None
    drafted_at: datetime
    approved_by: int | None
    approved_org: int | None
    approved_at: datetime | None
    published_by: int | None
    published_at: datetime | None
    ended_by: int | None
    ended_at: datetime | None
    end_reason: str
    stop_id: int | None
    bill_mark: int | None
    located_ms: float | None
    clock: Mapping[str, int] | None
    version: int

    @property
    def parties(self) -> frozenset[int]:
        """Who runs it: the issuer, the MAH and the maker."""
        return frozenset((self.issuer, self.owner, self.maker))

    @property
    def was_published(self) -> bool:
        """Whether it ever took hold."""
        return self.published_at is not None


@dataclass(frozen=True, slots=True)
class Goods:
    """What is recalled: batches (id, number) and single codes (code, level, smallest packages)."""

    batches: Sequence[tuple[int, str]] = ()
    codes: Sequence[tuple[str, int, int]] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One holder's part. The first four counts are those of the moment of publication."""

    id: int
    order_id: int
    drug_id: int
    org: int
    on_hand: int
    coming: int
    sent: int
    sold: int
    told_at: datetime | None
    read_by: int | None
    read_at: datetime | None
    counted_by: int | None
    counted_at: datetime | None
    counted: int | None
    ledger_then: int | None
    sealed: int | None
    missing: int | None
    note: str
    done_by: int | None
    done_at: datetime | None
    reminded_at: datetime | None
    overdue_at: datetime | None
    named: bool = True
    """Whether the reader may know who it is; a drill's holders are named once they answered."""

    @property
    def state(self) -> str:
        """open, read, counted or done."""
        if self.done_at is not None:
            return "done"
        if self.counted_at is not None:
            return "counted"
        return "read" if self.read_at is not None else "open"


@dataclass(slots=True)
class Ledger:
    """What the ledger says of one holder's recalled goods since the publication.

    `due` = in hand then + arrived since; due + found − returned − destroyed − sold − lost = `now`.
    """

    due: int = 0
    arrived: int = 0
    returned: int = 0
    """Sent by it since, arrived or not: whom it went to has it under `arrived`, and the whole under `Figures.back`."""
    destroyed: int = 0
    sold: int = 0
    now: int = 0
    """In hand now."""
    quarantined: int = 0
    """Of these in quarantine."""
    coming: int = 0
    """Still on the way to it."""
    under_way: int = 0
    """Sent by it, and not received by anybody yet: still its own in the books."""


@dataclass(slots=True)
class Figures:
    """Where a recall stands as a whole, from the ledger; and by holder."""

    recalled: int = 0
    """In hand elsewhere than with the recalling firm, or on the way, when it was published."""
    home: int = 0
    """In the recalling firm's own hand then: nothing to fetch back."""
    sold: int = 0
    """Sold or used by then."""
    back: int = 0
    """Received by the recalling firm since."""
    destroyed: int = 0
    """Destroyed since, by holders."""
    destroyed_home: int = 0
    """Destroyed since, by the recalling firm."""
    outstanding: int = 0
    """In hand elsewhere, or on the way."""
    sealed: int = 0
    """Of the outstanding: in quarantine or told to be sealed."""
    on_the_way: int = 0
    by_org: dict[int, Ledger] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Share of the recalled goods that came back or were destroyed, 0 to 1; 1 when there was nothing to recall."""
        total = self.back + self.destroyed + self.outstanding
        return (self.back + self.destroyed) / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Times:
    """The measured fan-out (R-X7); seconds after the publication, None where it has not happened."""

    located_ms: float | None
    first_told_s: float | None
    last_told_s: float | None
    first_refused_s: float | None
    first_read_s: float | None
    last_read_s: float | None
    holders: int
    read: int
    refused_scans: int


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock (锁定) or a suspension of sale by the firm itself (暂停销售)."""

    id: int
    kind: Literal["lock", "suspension"]
    drug_id: int
    issuer: int
    org: int | None
    number: str
    reason: str
    reason_text: str
    placed_by: int | None
    placed_at: datetime
    stop_id: int | None
    released_by: int | None
    released_org: int | None
    released_at: datetime | None
    release_reason: str
