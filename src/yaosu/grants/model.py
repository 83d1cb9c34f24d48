"""Values of the grants room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

State = Literal["offered", "declined", "withdrawn", "ended", "in_force"]
STATES: tuple[State, ...] = ("in_force", "offered", "ended", "withdrawn", "declined")


@dataclass(frozen=True, slots=True)
class Grant:
    """One organisation's leave for another to see records of its own (R-B10)."""

    id: int
    grantor: int
    """Whose records they are: the distributor."""
    grantee: int
    """Who may see them: the MAH or maker."""
    drug_ids: tuple[int, ...] | None
    """Products; None: every product the grantee answers for, future ones included."""
    fields: tuple[str, ...]
    """Of `access.visibility.FIELDS`."""
    offered_by: int | None
    granted_at: datetime
    accepted_at: datetime | None
    until: datetime | None
    withdrawn_at: datetime | None
    declined_at: datetime | None
    note: str
    replaces: int | None

    @property
    def state(self) -> State:
        """Where it stands now."""
        if self.declined_at is not None:
            return "declined"
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.until is not None and self.until <= datetime.now(UTC):
            return "ended"
        return "in_force" if self.accepted_at is not None else "offered"

    @property
    def waits_for(self) -> int | None:
        """The side whose answer is due; None when none is."""
        if self.state != "offered":
            return None
        return self.grantee if self.offered_by == self.grantor else self.grantor


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant opens."""

    drug_ids: tuple[int, ...] | None
    fields: frozenset[str]
    until: datetime | None
    note: str = ""

    def within(self, other: Grant) -> bool:
        """Whether these terms open nothing that `other` does not."""
        products = other.drug_ids is None or (
            self.drug_ids is not None and set(self.drug_ids) <= set(other.drug_ids)
        )
        ends = other.until is None or (self.until is not None and self.until <= other.until)
        return products and ends and self.fields <= set(other.fields)


@dataclass(frozen=True, slots=True)
class Read:
    """A read of somebody's records by others, as their owner sees it."""

    id: int
    at: datetime
    org: int | None
    kind: str
    """account, key or system"""
    what: str
    owner: int | None
