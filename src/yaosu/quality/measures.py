"""What a periodic check measures, rule by rule (R-E2). Limits and times come from the list `quality_rule` (D11).

A measure is a number, what it is a part of, and links to the records that show it. Each rule is a function here;
a code of the list without one is reported as a defect when the check runs, never passed over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.production.tasks import KINDS
from yaosu.quality import balance
from yaosu.quality import store_measures as store
from yaosu.registry.model import Item
from yaosu.registry.resolver import Registry

CHINA = ZoneInfo("Asia/Shanghai")
Link = dict[str, str]


def number(item: Item, column: str) -> float:
    """A number column of the list; 0 where the entry has none. ValueError for an entry that says something else."""
    value = item.attrs.get(column, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{item.code}: {column} is {value!r}, not a number")
    return value


@dataclass(frozen=True, slots=True)
class Measured:
    """One rule looked at. `value` is compared with the rule's limit; `of` is what it is a part of (0: of nothing)."""

    value: float
    of: int = 0
    qty: int = 0
    """Smallest packages concerned, where that can be said."""
    links: list[Link] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Question:
    """Who is looked at, when, and by which entry of the list."""

    conn: Connection
    registry: Registry
    org: int
    item: Item
    now: datetime

    @property
    def before(self) -> datetime:
        """What waits since before this has waited too long."""
        return self.now - timedelta(days=number(self.item, "days"))

    @property
    def since(self) -> datetime:
        """What is counted over a period is counted from here."""
        return self.now - timedelta(days=number(self.item, "period_days") or 30)

    def product(self, drug_id: int) -> str:
        """A product as people call it."""
        found = self.registry.product(drug_id)
        return f"{found.generic_name} {found.strength}" if found is not None else str(drug_id)


def _links(rows: list[Record], text: Callable[[Record], str], href: Callable[[Record], str]) -> list[Link]:
    return [{"text": text(row), "href": href(row)} for row in rows[: store.SHOWN]]


def _qty(rows: list[Record]) -> int:
    return sum(row["qty"] for row in rows)


def _day(row: Record) -> str:
    """A record as its link names it: the bill's number, else its own, and the day."""
    at: datetime = row["at"]
    name = row.get("bill_no") or f"#{row['id']}"
    return f"{name} · {at.astimezone(CHINA).date().isoformat()}"


async def _unfiled(q: Question) -> Measured:
    rows = await store.unfiled(q.conn, q.org)
    links = _links(rows, lambda r: f"{r['generic_name']} {r['name']}", lambda r: f"/products/{r['id']}")
    return Measured(len(rows), links=links)


async def _uncoded(q: Question) -> Measured:
    rows = await store.uncoded(q.conn, q.org)
    links = _links(rows, lambda r: q.product(r["id"]), lambda r: f"/products/{r['id']}")
    return Measured(len(rows), qty=_qty(rows), links=links)


async def _idle(q: Question) -> Measured:
    rows = await store.idle(q.conn, q.org, q.before)
    missing = sum(r["issued"] - r["activated"] for r in rows)
    links = _links(
        rows,
        lambda r: f"{q.product(r['id'])}：{r['issued'] - r['activated']} / {r['issued']}",
        lambda r: f"/code-requests/{r['oldest']}",
    )
    return Measured(missing, sum(r["issued"] for r in rows), missing, links)


async def _files(q: Question) -> Measured:
    rows = await store.pending_files(q.conn, q.org, (KINDS[0], KINDS[1]), q.before)
    return Measured(
        len(rows), links=_links(rows, lambda r: r["name"] or "—", lambda r: f"/relations/jobs/{r['id']}")
    )


async def _refused(q: Question) -> Measured:
    rows = await store.refused(q.conn, q.org, q.since)
    links = _links(rows, lambda r: f"{r['bill_no']}（{r['codes']}）", lambda r: f"/bills/{r['id']}")
    return Measured(sum(r["codes"] for r in rows), links=links)


async def _late(q: Question) -> Measured:
    bills, late, rows = await store.late(q.conn, q.org, q.since)
    share = round(100 * late / bills, 1) if bills else 0.0
    return Measured(share, bills, links=_links(rows, lambda r: r["bill_no"], lambda r: f"/bills/{r['id']}"))


async def _order(q: Question) -> Measured:
    rows = await store.out_of_order(q.conn, q.org, q.since)
    return Measured(len(rows), links=_links(rows, lambda r: r["bill_no"], lambda r: f"/bills/{r['id']}"))


async def _notices(q: Question) -> Measured:
    rows = await store.waiting(q.conn, store.NOTICES, q.org, q.before)
    return Measured(len(rows), qty=_qty(rows), links=_links(rows, _day, lambda r: f"/receive/{r['id']}"))


async def _transit(q: Question) -> Measured:
    rows = await store.waiting(q.conn, store.TRANSIT, q.org, q.before)
    return Measured(len(rows), qty=_qty(rows), links=_links(rows, _day, lambda r: f"/bills/{r['id']}"))


async def _answers(q: Question) -> Measured:
    rows = await store.waiting(q.conn, store.ANSWERS, q.org, q.before)
    return Measured(len(rows), links=_links(rows, _day, lambda r: f"/checks/{r['id']}"))


async def _checks(q: Question) -> Measured:
    rows = await store.waiting(q.conn, store.CHECKS, q.org, q.before)
    return Measured(len(rows), links=_links(rows, _day, lambda r: f"/checks/{r['id']}"))


async def _quarantine(q: Question) -> Measured:
    rows = await store.waiting(q.conn, store.QUARANTINE, q.org, q.before)
    links = _links(rows, lambda r: r["code"] or _day(r), lambda r: "/quarantine")
    return Measured(len(rows), qty=_qty(rows), links=links)


async def _books(q: Question) -> Measured:
    off = await balance.disagreements(q.conn, q.org)
    links = [
        {"text": f"{q.product(one.drug_id)} {one.batch_no} {one.status}: {one.left} / {one.right}",
         "href": f"/quality/balance?drug={one.drug_id}&batch={one.batch_no}"}
        for one in off[: store.SHOWN]
    ]  # fmt: skip
    return Measured(len(off), qty=sum(abs(one.left - one.right) for one in off), links=links)


async def _counts(q: Question) -> Measured:
    rows = await store.counts(q.conn, q.org)
    return Measured(
        len(rows), qty=_qty(rows), links=_links(rows, _day, lambda r: f"/quality/counts/{r['id']}")
    )


RULES: dict[str, Callable[[Question], Awaitable[Measured]]] = {
    "coding_unfiled": _unfiled,
    "coding_uncoded": _uncoded,
    "activation_idle": _idle,
    "activation_files": _files,
    "activation_refused": _refused,
    "timeliness_late": _late,
    "matching_notices": _notices,
    "matching_answers": _answers,
    "matching_checks": _checks,
    "matching_quarantine": _quarantine,
    "balance_transit": _transit,
    "balance_order": _order,
    "balance_books": _books,
    "balance_count": _counts,
}
"""What each code of the list `quality_rule` measures."""
