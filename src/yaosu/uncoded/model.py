"""Values of the uncoded room: lots, what left them, proofs, requests for codes, verifications."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

IN, RETURN, SALE, SUPPLEMENT, LOSS = 21, 22, 23, 24, 25
"""Own bill types of goods without codes (rules/bill_types.yaml)."""

PROOF_MB_MAX = 5
ITEMS_MAX = 200
"""Products and batches of one invoice."""
OVERDUE, DUE, FREE, EXEMPT = "overdue", "due", "free", "exempt"

ProofMedia = Literal["application/pdf", "image/jpeg", "image/png"]
RequestState = Literal["asked", "in_place", "replaced", "declined", "done", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Goods that left the uncoded stock of one product and batch."""

    bill_no: str
    type: int
    qty: int
    at: datetime
    bill_id: int
    lot_id: int | None = None
    """The lot it names; None for a bill that named none (the oldest lots give)."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Goods that entered by one 无码入库: one product and batch of one bill."""

    key: tuple[str, int, int]
    """(bill number, drug_id, batch_id)."""
    qty: int
    at: datetime
    bill_id: int
    bought: date | None
    lot_id: int | None


@dataclass(slots=True)
class Lot:
    """An entry of the 专帐: one product and batch of one purchase, with its proof and what is left of it."""

    id: int | None
    """None while the goods have no proof on file."""
    org: int
    drug_id: int
    batch_id: int
    batch_no: str
    produced_on: date | None
    expires_on: date | None
    bill_no: str
    bill_id: int
    entered_at: datetime
    entered: int
    left: int
    zone: str
    supplier: int | None
    supplier_name: str
    invoice_no: str
    invoice_date: date | None
    proof_id: int | None
    proof_name: str
    exempt: bool = False
    """Never coded by nature (R-A6): no date binds it."""
    due: date | None = None
    """Last day for clearing it, where the region sets one (R-D1)."""
    draws: list[tuple[Draw, int]] = field(default_factory=list)
    """What left this lot, oldest first."""

    def state(self, today: date) -> str:
        """`overdue`, `due` (a clearing day lies ahead), `free` (none is set), `exempt`."""
        if self.exempt:
            return EXEMPT
        if self.due is None:
            return FREE
        return OVERDUE if today > self.due else DUE

    def overdue(self, today: date) -> bool:
        """Whether goods are left although the clearing day has passed."""
        return self.left > 0 and self.state(today) == OVERDUE

    def age_days(self, today: date) -> int:
        """Days since the purchase, or since the entry where the purchase is unknown."""
        return (today - (self.invoice_date or self.entered_at.date())).days


@dataclass(frozen=True, slots=True)
class Item:
    """A product and batch to be entered."""

    drug_id: int
    batch_no: str
    qty: int
    """Smallest packages."""
    produced_on: date | None = None
    expires_on: date | None = None
    zone: str = ""
    """专区 location of this item; the invoice's when empty."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Goods of one purchase invoice to be entered into the uncoded account, with the proof."""

    invoice_no: str
    invoice_date: date
    items: tuple[Item, ...]
    zone: str
    proof_id: int
    supplier: int | None = None
    supplier_name: str = ""
    bill_no: str = ""
    """Made from the invoice when empty."""
    happened_at: datetime | None = None
    """Now when empty."""
