"""Values of the people room. Open personal data stands only in `Given` and `Open`, which are never printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, repr=False)
class Given:
    """A person as given at the counter: document kind (list `id_kind_person`), number, name, telephone."""

    kind: str
    number: str
    name: str
    phone: str = ""

    def __repr__(self) -> str:
        return "Given(…)"


@dataclass(frozen=True, slots=True)
class Shown:
    """A person as anybody may see one: masked. After erasure the texts are empty."""

    person: int
    kind: str
    name_masked: str
    number_masked: str
    phone_masked: str = ""
    erased: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Open:
    """A person in full, for somebody who gave a reason that is on record."""

    person: int
    kind: str
    number: str
    name: str
    phone: str

    def __repr__(self) -> str:
        return f"Open(person={self.person})"


@dataclass(frozen=True, slots=True)
class SaleRule:
    """What the sale of one product demands here and now: all rules of list `sale_rule` that apply to it, as one."""

    codes: tuple[str, ...]
    """The rules it is made of."""
    bill_types: frozenset[int]
    """Bills it governs."""
    needs: frozenset[str]
    """Of `person`, `prescription`, `second_person`, `agent_allowed`."""
    per_sale: int | None = None
    """Smallest packages in one sale."""
    per_person: int | None = None
    """Smallest packages to one person within `period_days`, over all organisations of the platform."""
    period_days: int = 0
    forbidden: frozenset[int] = frozenset()
    """Those of them by which it may not leave at all."""
    adult: bool = False
    register: bool = False
    """Kept in the special register (专册)."""
    counted: frozenset[int] = frozenset()
    """Products whose purchases count together with this one's against the limits."""
    product: str = ""
    """Name of the product, for explanations."""
    name_zh: str = ""
    name_en: str = ""
    source: str = ""
    """The legal text."""

    def governs(self, bill_type: int) -> bool:
        """Whether a bill of this type has to meet the rule."""
        return bill_type in self.bill_types


def number_of(value: object) -> int | None:
    """A person's number as somebody wrote it into a header; None for what is none."""
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@dataclass(frozen=True, slots=True)
class Purchase:
    """One product and batch of one sale or use. `qty` counts smallest packages.

    Of `header` are read: `prescription_no`, `doctor`, `second_person` (who checked besides the seller) and
    `agent_person` (people.person id of the 代办人).
    """

    org: int
    bill_type: int
    person: int | None
    drug_id: int
    batch_id: int
    qty: int
    codes: Sequence[str]
    happened_at: datetime
    header: Mapping[str, object] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A header field as text; empty when it is not there."""
        value = self.header.get(name)
        return "" if value is None else str(value).strip()

    @property
    def agent(self) -> int | None:
        """The person who came instead, if any."""
        return number_of(self.header.get("agent_person"))
