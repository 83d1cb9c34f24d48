"""Values of split dispensing (拆零, R-C9): what is asked for, what was given out of which box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from yaosu.circulation.cache import CHINA

LINES_MAX = 500
"""Lines of one dispensing or draw."""
UNITS_MAX = 1_000_000
"""Preparation units of one line; far above any box."""

OPEN, LOSS, RETURN = 7, 8, 116
"""Bill types: opening (拆零开封), loss of parts (拆零损耗), return by a person (消费者退货)."""

BoxState = Literal["open", "expiring", "expired", "remainder", "finished", "all"]
BOX_STATES: tuple[BoxState, ...] = ("open", "expiring", "expired", "remainder", "finished", "all")


def last_day(until: datetime) -> date:
    """The last day in China on which a box may be used, of the first moment at which it may not."""
    return (until - timedelta(microseconds=1)).astimezone(CHINA).date()


@dataclass(frozen=True, slots=True)
class Line:
    """One patient's part: `units` preparation units (片, 粒 …) out of the box with this scanned code."""

    code: str
    """Raw scanner text."""
    units: int
    prescription_no: str = ""
    person_id: int | None = None
    dosage: str = ""
    """用法用量, printed on the label."""


@dataclass(frozen=True, slots=True)
class Want:
    """One draw: `units` of a product, whichever boxes of the pool they come from."""

    drug_id: int
    units: int
    prescription_no: str = ""
    person_id: int | None = None
    dosage: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """What line `n` took out of one box. `whole`: a closed box as it is, without 拆零标志."""

    n: int
    drug_id: int
    code: str
    units: int
    whole: bool = False
    prescription_no: str = ""
    person_id: int | None = None
    dosage: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not filled: a code of the messages registry and its parameters."""

    n: int
    code: str
    params: Mapping[str, object] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """As kept with the order."""
        return {"n": self.n, "code": self.code, "params": dict(self.params)}


@dataclass(frozen=True, slots=True)
class Plan:
    """An order ready for its bill."""

    org: int
    kind: Literal["dispense", "return"]
    bill_type: int
    number: str
    happened_at: datetime
    content_hash: bytes
    shares: Sequence[Share]
    pool_id: int | None = None
    refused: Sequence[Refused] = ()
