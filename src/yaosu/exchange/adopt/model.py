"""Values of adoption: what another trace system says of goods that come to a firm of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from yaosu.circulation.model import MovementResult
from yaosu.errors import Finding


@dataclass(frozen=True, slots=True)
class Package:
    """One coded package with what it contains, as its home system tells. `level` 1 is the smallest (design §3)."""

    code: str
    level: int
    drug_id: int
    batch_no: str
    produced_on: date
    expires_on: date
    children: Sequence[Package] = ()

    def all(self) -> Iterator[Package]:
        """It and everything inside."""
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(frozen=True, slots=True)
class Upstream:
    """A shipping bill of a firm that works in another trace system, to a firm of ours or to one of its own.

    `system_id` is the home of the codes (registry.TraceSystem); `from_org` must be known as working elsewhere.
    `body` is what was received, byte for byte.
    """

    system_id: int
    from_org: int
    to_org: int
    bill_no: str
    happened_at: datetime
    packages: Sequence[Package]
    bill_type: int = 201
    header: Mapping[str, object] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Adopted:
    """What came of it. `refused` names each package that was not taken in, and why; the others moved."""

    bill: MovementResult | None
    taken_in: list[str]
    """Codes that entered our books for the first time."""
    refused: list[Finding]
