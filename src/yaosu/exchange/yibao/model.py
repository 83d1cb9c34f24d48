"""Values of the 医保 channel: rows of a bill, and why some of it is not reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import orjson

CHANNEL = "yibao"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one transaction: a product and batch, with its codes. `count` is in smallest sales packages, or in
    preparation units where `split`. `facts` are fields of the bill's header under the table's names; nothing personal.
    """

    infno: str
    drug_id: int
    batch_no: str
    produced_on: str
    expires_on: str
    count: Decimal
    at: datetime
    """Wall clock of China."""
    codes: tuple[str, ...] = ()
    split: bool = False
    chg: str = ""
    partner: int | None = None
    origin: str = ""
    """bchno of the row it returns."""
    memo: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what it says: equal rows are the same row."""
        content = [
            self.infno, self.drug_id, self.batch_no, self.produced_on, self.expires_on, str(self.count.normalize()),
            self.at.isoformat(), sorted(self.codes), self.split, self.chg, self.partner, self.origin, self.memo,
            dict(sorted(self.facts.items())),
        ]  # fmt: skip
        return hashlib.sha256(orjson.dumps(content)).digest()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a bill that is not reported, with the reason as a message code."""

    code: str
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """A row that went out earlier and still counts."""

    bchno: str
    infno: str
    drug_id: int
    batch_no: str
    count: Decimal
    split: bool
    codes: tuple[str, ...]
    digest: bytes
    facts: Mapping[str, str]
    state: str
    key: str
