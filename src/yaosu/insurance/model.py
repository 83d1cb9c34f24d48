"""Values of the insurance room: what is claimed, what is known of a code, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
Severity = Literal["ok", "examine", "refuse"]
SEVERITIES: tuple[Severity, ...] = ("ok", "examine", "refuse")
Channel = Literal["settle", "collect"]
"""settle: attached to a settlement (2207, our own check); collect: the stock channel after dispensing (3505)."""
Kind = Literal["not_a_code", "retail_barcode", "unknown", "elsewhere", "not_activated", "unit"]

FINE = ("fee", "bch", "line")
"""Numbers of one line of an act: 费用明细流水号, 批次流水号, the line of our own check."""
COARSE = ("setl", "mdtrt", "visit", "doc")
"""Numbers of a whole act: 结算ID, 就诊ID (mdtrt_id), 就医流水号 (mdtrt_sn), 零售单据号."""


@dataclass(frozen=True, slots=True)
class Institution:
    """A 定点医药机构 as the bureau knows it."""

    id: int
    bureau: int
    org: int | None
    """Our organisation, where it is on this platform."""
    code: str
    """fixmedins_code."""
    name: str
    region: str
    app: str
    profile: str
    active: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A row of the settlement ledger that counts: one code in one act."""

    id: int
    institution: int
    region: str
    keys: Mapping[str, str]
    split: bool
    units: int
    sold_at: datetime
    recorded_at: datetime
    channels: frozenset[Channel]
    person: bytes | None = None
    bill_id: int = 0


@dataclass(frozen=True, slots=True)
class OwnSale:
    """The latest sale of a code in the institution's own books."""

    bill_id: int
    bill_no: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What registry, units, stops and settlements say of one scanned text, as far as the rules need it."""

    kind: Kind
    code: str
    drug_id: int = 0
    refusal: tuple[str, Mapping[str, object]] | None = None
    """Message code and parameters, where the text is no code."""
    system: str = ""
    """Name of the trace system a foreign code belongs to."""
    system_url: str = ""
    product: str = ""
    yibao: frozenset[str] = frozenset()
    """医保药品编码 of the product."""
    per_pack: int = 1
    """Preparation units in one smallest package."""
    packs: int = 1
    """Smallest packages in the scanned one."""
    level: int = 1
    status: str = ""
    batch_no: str = ""
    expires_on: date | None = None
    activated_at: datetime | None = None
    """Looked up only where the sale could lie before it."""
    stops: Sequence[tuple[str, str, str, datetime]] = ()
    """(kind, number, title, placed at) of recalls and locks on it."""
    held: bool = True
    """Whether it is, or was at the time of the sale, in the institution's hands."""
    coming: bool = False
    """On its way to the institution."""
    stock_known: bool = True
    """Whether the institution keeps its books here, so that `held` means something."""
    own_sale: OwnSale | None = None
    opened: bool = False
    """Whether the institution opened the box (拆零)."""
    settled: Sequence[Settled] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """What an institution says of one code: it was sold in this act."""

    institution: int
    region: str
    channel: Channel
    keys: Mapping[str, str]
    sold_at: datetime
    split: bool
    med_list_codg: str = ""
    units: int = 0
    """Preparation units out of this box, when split; 0 where not told."""
    person: bytes | None = None
    act: str = ""
    """Number of the act as the institution says it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of list `insurance_limit` that the rules use, in seconds."""

    same_act_s: int
    double_scan_s: int
    late_upload_s: int
    ahead_s: int


@dataclass(frozen=True, slots=True)
class Said:
    """One thing found: a code of list `insurance_rule`, and what its text needs."""

    rule: str
    params: Mapping[str, object] = field(default_factory=dict)
    earlier: Settled | None = None
    """The row of the ledger it collides with."""


@dataclass(frozen=True, slots=True)
class Line:
    """One billed line with its scans, as it comes in. `qty` None where it is not told."""

    row: int
    codes: Sequence[str]
    keys: Mapping[str, str] = field(default_factory=dict)
    med_list_codg: str = ""
    qty: Decimal | None = None
    split: bool = False
    unit: Literal["pack", "prep"] | None = None
    """What `qty` counts; None: smallest packages, preparation units where split."""
    purchased_on: date | None = None
    """Day of the purchase invoice, for goods without codes."""
    sold_at: datetime | None = None
    """Where one message tells several sales: this one's own time, person and number; else the act's."""
    person: bytes | None = None
    act: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """One settlement, or sales told in one message: lines of one institution."""

    number: str
    channel: Channel
    sold_at: datetime
    lines: Sequence[Line]
    keys: Mapping[str, str] = field(default_factory=dict)
    person: bytes | None = None


@dataclass(slots=True)
class Verdict:
    """What is said of one code, or of one line (`code` empty)."""

    row: int
    code: str
    raw: str
    severity: Severity
    said: list[Said]
    known: Known | None = None
    claim: Claim | None = None
    repeated: bool = False
    settlement: int = 0
    case_no: str = ""

    @property
    def rule(self) -> str:
        """The weightiest thing found; "ok" when nothing was."""
        return self.said[0].rule if self.said else "ok"


@dataclass(slots=True)
class Outcome:
    """The answer to an act: a verdict per code, and per line where the line as a whole is meant."""

    act: str
    severity: Severity
    codes: list[Verdict]
    lines: list[Verdict]
    recorded: bool = False

    def row_severity(self, row: int) -> Severity:
        """The worst of a row."""
        found = [v.severity for v in (*self.codes, *self.lines) if v.row == row]
        return max(found, key=SEVERITIES.index, default="ok")
