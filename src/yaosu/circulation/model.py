"""Values of the circulation room: a movement as it comes in, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from yaosu.errors import YaosuError, message
from yaosu.people.rules import SaleRule
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Product
from yaosu.rules.bill_types import BillType
from yaosu.rules.judge import Order, Scan

CODES_MAX = 10_000
"""Scanned codes in one synchronous bill; larger ones run as a job with the same result (issue 2 §5)."""

Mode = Literal["atomic", "per_code"]


class Flag:
    """Bits of bill.flags: remarks on the bill as a whole."""

    LATE = 1
    """Uploaded more than a day after it happened (D14)."""
    OUT_OF_ORDER = 2
    """Its time lies before an event of its units that was already on record (D14)."""
    NO_NOTICE = 4
    """A receipt with goods nobody announced (R-B4)."""
    REVERSAL = 8
    """Posts the reversing entries of a replaced revision (D8)."""
    CORRECTION = 16
    """A later revision."""

    NAMES: Mapping[int, str] = {
        1: "late",
        2: "out_of_order",
        4: "no_notice",
        8: "reversal",
        16: "correction",
    }

    @classmethod
    def names(cls, bits: int) -> list[str]:
        """The flags set in `bits`, by name."""
        return [name for bit, name in cls.NAMES.items() if bits & bit]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Goods without codes (无码库, R-C8): a product, its batch number and smallest packages.

    The dates are needed when the batch is named for the first time and checked against it later.
    """

    drug_id: int
    batch_no: str
    qty: int
    produced_on: date | None = None
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """A business document that moves units, whatever way it came in (design §1).

    `owner` 货主, `principal` 委托方, `carrier` 配送方, `direct_org` 直调企业 are organisation ids. `codes` are raw
    scanner texts. `notice` names the seller's shipping bill (its number) a receipt is checked against.
    `body` is the submission as received, byte for byte. `parts` names preparation units for scanned codes (拆零,
    R-C9); `quantities` goods without codes; `person` who bought or used the goods, as people.person id (R-C2, R-C4).
    """

    type: int
    bill_no: str
    owner: int
    happened_at: datetime
    codes: Sequence[str]
    revision: int = 1
    void: bool = False
    from_org: int | None = None
    to_org: int | None = None
    principal: int | None = None
    carrier: int | None = None
    direct_org: int | None = None
    mode: Mode = "per_code"
    notice: str = ""
    expected: Sequence[tuple[int, str]] = ()
    rejects: Sequence[str] = ()
    reject_batches: Sequence[str] = ()
    reject_all: bool = False
    header: Mapping[str, object] = field(default_factory=dict)
    body: bytes = b""
    parts: Mapping[str, int] = field(default_factory=dict)
    quantities: Sequence[Quantity] = ()
    person: int | None = None


@dataclass(slots=True)
class Prepared:
    """A movement after parsing, resolving and permission checks: ready for the transaction."""

    movement: Movement
    kind: BillType
    order: Order
    scans: list[Scan]
    submitter: int
    account_id: int | None
    content_hash: bytes
    keys: list[tuple[int, str]]
    """(drug_id, code) of readable scans of products."""
    containers: list[str]
    """Scanned logistics containers, whose products are looked up."""
    flags: int = 0
    sale_rules: Mapping[int, SaleRule] = field(default_factory=dict)
    """Rules of sales that name a person, by product, where the bill sells or uses (R-C2, R-C4)."""
    registered: frozenset[int] = frozenset()
    """Of a correction: products that stand in the register of persons under the revision before."""
    corrects: int = 0
    """Of a correction of a sale or use: the revision before."""
    products: Mapping[int, Product] = field(default_factory=dict)
    """Products of goods without codes."""
    lists: CodeLists | None = None
    """The code lists in force, for a sale, use or consumer return: may it tell what was told before (R-C6)."""
    region: str = ""
    """Of the owner."""


@dataclass(slots=True)
class CodeResult:
    """The verdict on one scanned code (R-X1): stable code, severity, evidence, next step come by `as_json`."""

    raw: str
    code: str
    verdict: str
    severity: str
    params: Mapping[str, object] | None = None
    quarantined: bool = False
    qty: int = 0
    drug_id: int = 0
    batch_id: int = 0
    evidence_bill: int = 0
    evidence: Mapping[str, object] | None = None
    """The bill that explains the verdict, as far as the owner may see it (D10)."""

    @property
    def accepted(self) -> bool:
        """Whether it moved."""
        return self.severity != "refused"

    def as_json(self, lang: str) -> dict[str, object]:
        """The form of API answers and pages."""
        entry = message(self.verdict)
        params = {"code": self.code or self.raw, **(self.params or {})}
        return {
            "raw": self.raw,
            "code": self.code,
            "verdict": self.verdict,
            "severity": self.severity,
            "message": entry.text(lang, params),
            "next": entry.next_step(lang, params),
            "quarantined": self.quarantined,
            "qty": self.qty,
            "drug_id": self.drug_id or None,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """A code that a correction leaves alone: it says of it what was said before, and it has moved on since."""

    code: str
    drug_id: int
    qty: int
    from_bill: int
    """The earlier revision whose line it is."""
    later_bill: int
    """The bill that moved it on."""


@dataclass(slots=True)
class MovementResult:
    """The answer to a submission. `status`: accepted (all), partial, refused (nothing moved), void."""

    bill_id: int
    bill_no: str
    revision: int
    status: str
    results: list[CodeResult]
    owner: int = 0
    flags: int = 0
    replayed: bool = False
    qty: int = 0
    recorded_at: datetime | None = None
    leaf: str = ""
    checks: list[dict[str, object]] = field(default_factory=list)
    """For receipts: the check against each notice touched (R-B2)."""
    kept: list[Kept] = field(default_factory=list)
    """For corrections: what stays as it was because it moved on since (R-X3)."""
    taken_back: list[str] = field(default_factory=list)
    """For corrections and voids: the codes whose movement was reversed."""

    def as_json(self, lang: str) -> dict[str, object]:
        """The form of API answers."""
        accepted = sum(1 for r in self.results if r.accepted)
        return {
            "bill_id": self.bill_id or None,
            "bill_no": self.bill_no,
            "revision": self.revision,
            "status": self.status,
            "replayed": self.replayed,
            "accepted": accepted,
            "refused": len(self.results) - accepted,
            "qty": self.qty,
            "flags": Flag.names(self.flags),
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None,
            "leaf": self.leaf,
            "checks": self.checks,
            "kept": len(self.kept),
            "taken_back": len(self.taken_back),
            "results": [r.as_json(lang) for r in self.results],
        }


@dataclass(frozen=True, slots=True)
class Effect:
    """What taking a bill back does to one package, or to goods without codes (`code` is empty).

    `units` come back into an opened box (below nothing: go out of it), which then holds `left`; None when it is closed.
    Of goods without codes `left` is what a correction leaves on the account.
    """

    code: str
    qty: int
    before: str
    after: str
    units: int = 0
    left: int | None = None
    drug_id: int = 0
    batch_no: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a correction or void would do, without doing it (R-X3)."""

    result: MovementResult | None
    """The answer it would get, with what is kept, taken back and added; None when it would be refused."""
    error: YaosuError | None
    """Why it would be refused, with the later facts in the way."""
    effects: Sequence[Effect] = ()
    """What becomes of codes that are taken back and not moved anew."""

    @property
    def added(self) -> list[CodeResult]:
        """Codes that were not on the revision before, with their verdicts."""
        if self.result is None:
            return []
        before = {k.code for k in self.result.kept} | set(self.result.taken_back)
        return [r for r in self.result.results if r.code not in before]

    @property
    def removed(self) -> list[str]:
        """Codes of the revision before that the new one no longer moves."""
        if self.result is None:
            return []
        after = {r.code for r in self.result.results if r.accepted or r.quarantined}
        return [code for code in self.result.taken_back if code not in after]
