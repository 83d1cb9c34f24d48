"""Values of the ledger's reading half: stock, statement, conservation (D4, R-X5). Counts are smallest packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Axis = Literal["recorded", "happened"]
"""Which of the two times a past moment is meant on (D14): when we learned of it, or when it was done."""

ON_HAND = ("A", "I", "Q", "D", "U")
"""Statuses of goods in the organisation's hands: activated, in stock, quarantine. In transit (O) has left."""


@dataclass(frozen=True, slots=True)
class StockLine:
    """One account: how many smallest packages of a batch an organisation has in a status."""

    org: int
    drug_id: int
    batch_id: int
    batch_no: str
    expires_on: str
    status: str
    qty: int


@dataclass(frozen=True, slots=True)
class LevelLine:
    """How an account stands on the shelf: outermost packages by package level."""

    level: int
    packages: int
    qty: int


@dataclass(slots=True)
class StatementLine:
    """进销存 of one batch: opening + what came in − what went out = closing.

    `came` and `went` by bill type; a reversal counts against the type it takes back. `closing` is the sum of all
    entries up to the end; `balance` the same moment reckoned back from the live balance. `difference` is
    balance − closing: anything but 0 means that balance and entries disagree.
    """

    drug_id: int
    batch_id: int
    batch_no: str
    opening: int = 0
    came: dict[int, int] = field(default_factory=dict)
    went: dict[int, int] = field(default_factory=dict)
    closing: int = 0
    balance: int = 0
    late: int = 0
    """Net change in the period by bills recorded only after it (happened axis): why an earlier print differs."""

    @property
    def difference(self) -> int:
        """Balance minus what the entries say; 0 when all is well."""
        return self.balance - self.closing

    @property
    def ties(self) -> bool:
        """Whether opening + in − out = closing, and the balance says the same."""
        moved = sum(self.came.values()) - sum(self.went.values())
        return self.opening + moved == self.closing and self.difference == 0


@dataclass(frozen=True, slots=True)
class Conservation:
    """One batch, added up three ways. All three must agree (R-X5)."""

    drug_id: int
    batch_id: int
    batch_no: str
    activated: int
    """What the contra account P has given out."""
    accounts: Mapping[str, int]
    """Balances by status, without P."""
    units: Mapping[str, int]
    """Units by status of their outermost package."""

    @property
    def holds(self) -> bool:
        """Whether activated = Σ accounts, and the units say the same of every status."""
        accounts = {s: q for s, q in self.accounts.items() if q}
        units = {s: q for s, q in self.units.items() if q}
        return self.activated == sum(self.accounts.values()) and accounts == units


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something the ledger says twice and differently. `kind`: unbalanced, entries, units."""

    kind: str
    drug_id: int
    batch_id: int
    org: int | None
    status: str
    left: int
    right: int

    def __str__(self) -> str:
        place = f"drug {self.drug_id} batch {self.batch_id} org {self.org} status {self.status}"
        return f"{self.kind}: {place}: {self.left} against {self.right}"
