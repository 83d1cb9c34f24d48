"""Values that go to the server and come back, in the words of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

RECEIVE, TRANSFER_IN, CONSUMER_RETURN = 102, 104, 116
SHIP, PURCHASE_RETURN, TRANSFER_OUT, DESTROY, ADJUST = 201, 202, 203, 205, 214
SALE, DISPENSE = 321, 323
"""Bill types (单据类型) most used; any other number of code list `bill_type` works as well."""

Org = int | str
"""An organisation: its number, or its 统一社会信用代码."""


def now() -> datetime:
    """This moment, with its zone: times without one are refused."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Movement:
    """A business document that moves units (单据). `codes` are texts as the scanner gave them, any package level.

    (owner, `bill_no`, `revision`) is the idempotency key: the same content again gets the same answer and is booked
    once. `revision` + 1 corrects a bill.
    """

    type: int
    bill_no: str
    codes: Sequence[str] = ()
    happened_at: datetime = field(default_factory=now)
    revision: int = 1
    owner: Org | None = None
    from_org: Org | None = None
    to_org: Org | None = None
    principal: Org | None = None
    carrier: Org | None = None
    direct_org: Org | None = None
    mode: Literal["per_code", "atomic"] = "per_code"
    notice: str = ""
    rejects: Sequence[str] = ()
    reject_batches: Sequence[str] = ()
    reject_all: bool = False
    header: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    quantities: Sequence[Mapping[str, Any]] = ()
    person_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The body of the request; what is left out stays out."""
        if self.happened_at.tzinfo is None:
            raise ValueError("happened_at needs a time zone")
        body: dict[str, Any] = {
            "type": self.type,
            "bill_no": self.bill_no,
            "happened_at": self.happened_at.isoformat(),
            "codes": list(self.codes),
            "revision": self.revision,
            "mode": self.mode,
        }
        for name in ("owner", "from_org", "to_org", "principal", "carrier", "direct_org", "person_id"):
            if getattr(self, name) is not None:
                body[name] = getattr(self, name)
        for name in ("notice", "reject_all"):
            if getattr(self, name):
                body[name] = getattr(self, name)
        for name in ("rejects", "reject_batches", "quantities"):
            if getattr(self, name):
                body[name] = list(getattr(self, name))
        for name in ("header", "parts"):
            if getattr(self, name):
                body[name] = dict(getattr(self, name))
        return body


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and what to do."""

    code: str
    message: str
    next: str
    where: str


@dataclass(frozen=True, slots=True)
class CodeResult:
    """The verdict on one scanned text."""

    raw: str
    code: str
    verdict: str
    severity: str
    message: str
    next: str
    quarantined: bool
    qty: int
    drug_id: int | None
    evidence: Mapping[str, Any] | None

    @property
    def accepted(self) -> bool:
        """Whether it moved."""
        return self.severity != "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a bill: `status` accepted, partial, refused or void, and a verdict for every text, in order."""

    bill_id: int | None
    bill_no: str
    revision: int
    status: str
    replayed: bool
    qty: int
    flags: Sequence[str]
    leaf: str
    results: Sequence[CodeResult]
    body: Mapping[str, Any]
    """The whole answer."""

    @property
    def refused(self) -> list[CodeResult]:
        """Texts that did not move, each with reason and next step."""
        return [r for r in self.results if not r.accepted]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Result:
        """From the answer of the server."""
        names = CodeResult.__dataclass_fields__
        return cls(
            body["bill_id"],
            body["bill_no"],
            body["revision"],
            body["status"],
            body["replayed"],
            body["qty"],
            tuple(body["flags"]),
            body["leaf"],
            tuple(CodeResult(**{name: one.get(name) for name in names}) for one in body["results"]),
            body,
        )


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill on record, as the list tells it; `body` has everything."""

    id: int
    bill_no: str
    type: int
    revision: int
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Bill:
        """From the answer of the server."""
        return cls(body["id"], body["bill_no"], body["type"], body["revision"], body)
