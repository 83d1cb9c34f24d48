"""Values of the narcotics part: prescriptions, acts that two people do, lines of the register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

BILL_KINDS = {"issue": 203, "receive": 104, "dispense": 323}
"""Acts that post a bill, with its type (standards §5.5)."""


@dataclass(frozen=True, slots=True)
class Prescription:
    """麻醉、精神药品处方, one product. `patient` and `agent` are numbers of people.person."""

    id: int
    org: int
    hospital: int
    number: str
    drug_id: int
    case_kind: str
    patient: int
    agent: int | None
    department: str
    doctor: str
    diagnosis: str
    dose_units: Decimal
    times_per_day: int
    days: int
    units: int
    """Preparation units prescribed in all."""
    reason: str
    state: str
    prescribed_on: date
    made_at: datetime
    dispensed: int = 0
    """Preparation units handed out by dispensings in force."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Somebody else who confirmed an act, by session or by own password at the first person's screen."""

    account_id: int
    name: str
    way: str
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Act:
    """One thing done with narcotics. It holds when `confirmations` other people have confirmed it."""

    id: int
    org: int
    hospital: int
    kind: str
    state: str
    confirmations: int
    made_by: int
    made_by_name: str
    made_at: datetime
    happened_at: datetime
    payload: Mapping[str, object]
    bill_no: str
    bill_id: int | None
    closed_at: datetime | None
    outcome: Mapping[str, object] | None
    confirmed: Sequence[Confirmation] = ()

    @property
    def missing(self) -> int:
        """How many still have to confirm."""
        return max(0, self.confirmations - len(self.confirmed))


@dataclass(frozen=True, slots=True)
class Due:
    """Ampoules or patches of one dispensing and batch that must come back."""

    bill_id: int
    bill_no: str
    org: int
    drug_id: int
    batch_id: int
    batch_no: str
    due: int
    returned: int
    happened_at: datetime
    prescription: str
    patient: int

    @property
    def open(self) -> int:
        """Still to come back."""
        return self.due - self.returned


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the 专用账册: what one bill did to one batch in one place, in preparation units and packages."""

    at: datetime
    bill_id: int
    bill_no: str
    type: int
    reversal: bool
    org: int
    counterparty: int | None
    batch_id: int
    batch_no: str
    units: int
    """Preparation units in (positive) or out (negative)."""
    packages: int
    """Packages in or out; an opened one counts until it is empty."""
    balance: int = 0
    """Preparation units in the books after it."""
    packages_balance: int = 0
    codes: Sequence[str] = ()
    patient: int | None = None
    prescription: str = ""
    doctor: str = ""
    department: str = ""
    handler: str = ""
    checker: str = ""
    confirmed: bool = False
    """Whether the checker confirmed here, or is only named on the bill by whoever sent it."""
    corrects: int | None = None
    """Of a line that takes another back: the revision whose line that is."""
    reason: str = ""
    """Why, of a correction or void."""
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """专用账册 of one product over a period: opening + in − out = closing, in preparation units and in packages."""

    orgs: Sequence[int]
    drug_id: int
    start: datetime
    end: datetime
    opening: int
    opening_packages: int
    lines: Sequence[Line] = field(default_factory=tuple)

    @property
    def received(self) -> int:
        """Preparation units in."""
        return sum(line.units for line in self.lines if line.units > 0)

    @property
    def issued(self) -> int:
        """Preparation units out."""
        return -sum(line.units for line in self.lines if line.units < 0)

    @property
    def closing(self) -> int:
        """Preparation units at the end."""
        return self.opening + self.received - self.issued

    @property
    def closing_packages(self) -> int:
        """Packages at the end, opened ones included."""
        return self.opening_packages + sum(line.packages for line in self.lines)


@dataclass(frozen=True, slots=True)
class Booked:
    """What the books of a place say of one product and batch now."""

    drug_id: int
    batch_id: int
    batch_no: str
    expires_on: date
    units: int
    packages: int
    opened: int
    """Opened boxes among the packages."""
