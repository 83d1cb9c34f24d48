"""账实核对: opening + in − out = closing, said by entries, balances and units; a difference explained to the bill.

The three ways must agree (R-X5). Where they do not, `explain` names the bills whose lines and entries differ and the
packages whose state is not what their last bill made it (R-E2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.ledger import service as ledger
from yaosu.ledger import store as ledger_store
from yaosu.ledger.model import StatementLine
from yaosu.quality import store_balance as store
from yaosu.subject import Subject

ACCOUNTS_MAX = 200
"""Accounts whose packages one check adds up: those that moved last."""
SHELF = ("I", "Q")
YEARS = range(1950, 2200)
"""Years a period can lie in; beyond, times cannot be turned into China's."""


@dataclass(frozen=True, slots=True)
class Off:
    """One account said twice and differently. `kind`: entries (balance ≠ entries) or units (balance ≠ packages)."""

    kind: str
    drug_id: int
    batch_id: int
    batch_no: str
    status: str
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Reason:
    """What explains a difference: a message code with its parameters, the packages concerned, where to look."""

    code: str
    params: dict[str, object]
    qty: int
    href: str = ""


@dataclass(slots=True)
class Line:
    """One batch of an organisation over a period, with the packages that stand on its shelf now."""

    statement: StatementLine
    shelf: int = 0
    """Balances I and Q now."""
    units: int | None = None
    """Packages on the shelf now; None where they were not added up."""
    reasons: list[Reason] = field(default_factory=list)

    @property
    def ties(self) -> bool:
        """Whether everything agrees."""
        return self.statement.ties and (self.units is None or self.units == self.shelf)


async def _units(conn: Connection, org: int, drug_id: int, batch_id: int, status: str) -> int:
    levels, mixed = await ledger_store.levels(conn, org, drug_id, batch_id, status)
    return sum(one.qty for one in levels) + mixed


async def disagreements(conn: Connection, org: int) -> list[Off]:
    """Everything the books of `org` say twice and differently: all entries, and the packages of `ACCOUNTS_MAX`
    shelf accounts, those that moved last."""
    found = [
        Off("entries", r["drug_id"], r["batch_id"], r["batch_no"], r["status"], r["l"], r["r"])
        for r in await store.rows(conn, store.ENTRIES_OFF, org)
    ]
    for row in await store.rows(conn, store.MOVED, org, ACCOUNTS_MAX):
        units = await _units(conn, org, row["drug_id"], row["batch_id"], row["status"])
        if units != row["qty"]:
            found.append(
                Off(
                    "units",
                    row["drug_id"],
                    row["batch_id"],
                    row["batch_no"],
                    row["status"],
                    row["qty"],
                    units,
                )
            )
    return found


async def sheet(
    conn: Connection,
    subject: Subject,
    org: int,
    start: datetime,
    end: datetime,
    drug_id: int | None = None,
    batch_no: str = "",
) -> list[Line]:
    """The statement of a period with the shelf beside it; differences come explained.

    Packages are added up for the first `ACCOUNTS_MAX` batches. Refused: `not_found` for books that are not the reader's
    to see, `ledger_time_range`, `field_invalid`.
    """
    subject.require("quality.read")
    for name, moment in (("from", start), ("to", end)):
        if moment.year not in YEARS:
            raise YaosuError("field_invalid", {"field": name, "reason": f"{YEARS[0]} … {YEARS[-1]}"})
    lines: list[Line] = []
    booked = {
        (r["drug_id"], r["batch_id"]): r["qty"]
        for r in await store.rows(conn, store.BOOKED, org, drug_id, None)
    }
    for one in await ledger.statement(conn, subject, start, end, org, drug_id):
        if batch_no and one.batch_no != batch_no:
            continue
        line = Line(one, shelf=booked.get((one.drug_id, one.batch_id), 0))
        if len(lines) < ACCOUNTS_MAX:
            line.units = sum([await _units(conn, org, one.drug_id, one.batch_id, s) for s in SHELF])
        if not line.ties:
            line.reasons = await explain(conn, org, one.drug_id, one.batch_id)
        lines.append(line)
    return lines


async def explain(conn: Connection, org: int, drug_id: int, batch_id: int) -> list[Reason]:
    """Why the books of one batch disagree: bills with other lines than entries, packages in another state."""
    found = [
        Reason(
            "quality_bill_differs",
            {"bill_no": r["bill_no"], "lines": r["lines"], "entries": r["entries"]},
            abs(r["lines"] - r["entries"]),
            f"/bills/{r['id']}",
        )
        for r in await store.rows(conn, store.BILLS_OFF, org, drug_id, batch_id)
    ]
    found += [
        Reason(
            "quality_unit_differs",
            {"code": r["code"], "bill_no": r["bill_no"], "post": r["post"], "status": r["status"] or "—"},
            r["qty"],
            f"/trace?code={r['code']}",
        )
        for r in await store.rows(conn, store.UNITS_OFF, org, drug_id, batch_id)
    ]
    return found or [Reason("quality_books_differ", {}, 0)]


def totals(lines: Sequence[Line]) -> dict[str, int]:
    """Sums over a sheet, for its head."""
    return {
        "lines": len(lines),
        "off": sum(not one.ties for one in lines),
        "shelf": sum(one.shelf for one in lines),
    }
