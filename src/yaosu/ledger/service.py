"""Stock, statement and conservation, read from the double-entry ledger (D4, R-X5); units are never scanned for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from yaosu.access.visibility import note_reads, record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.ledger import store
from yaosu.ledger.model import ON_HAND, Axis, Conservation, Discrepancy, LevelLine, StatementLine, StockLine
from yaosu.rules.states import LABELS, WITHOUT_UNITS
from yaosu.subject import Subject

SCOPE = "stock.read"
STATUSES = ("A", "I", "O", "Q", "D", "U", "N", "S", "T", "X", "C")
SHELVES = ("I", "Q", "D")
"""Accounts whose packages stand on shelves and are counted by level."""
PAGE_MAX = 10_000
EXPORT_MAX = 200_000
OFF_MAX = 100
"""Discrepancies of one kind that are listed."""
_COUNTER = "P"


async def stock(
    conn: Connection,
    subject: Subject,
    org: int | None = None,
    drug_id: int | None = None,
    batch_no: str | None = None,
    statuses: Sequence[str] = ON_HAND,
    at: datetime | None = None,
    axis: Axis = "recorded",
    after: store.Cursor = store.START,
    limit: int = 1_000,
) -> tuple[list[StockLine], store.Cursor | None]:
    """Accounts by organisation, product, batch and status, now or `at` a past moment; and the next cursor.

    Without `org` the reader's own; offices and the operator may leave it out to see all they may. A past moment
    is asked of one organisation. Refused: `ledger_status_unknown`, `not_found` for books that are not the
    reader's to see.
    """
    subject.require(SCOPE)
    unknown = [s for s in statuses if s not in LABELS]
    if unknown:
        raise YaosuError("ledger_status_unknown", {"status": "、".join(unknown)})
    sight = visible(subject)
    asked = org if org is not None else (subject.org_id if sight.kind == "own" or at is not None else None)
    if at is None:
        limit = min(limit, PAGE_MAX)
        lines = await store.stock(conn, sight, asked, drug_id, batch_no, statuses, after, limit + 1)
        page = lines[:limit]
        last = page[-1] if len(lines) > limit else None
        cursor = (last.org, last.drug_id, last.batch_id, last.status) if last else None
    else:
        if asked is None:
            raise YaosuError("ledger_org_needed")
        await _books(conn, subject, asked)
        page = await store.stock_at(conn, sight, asked, drug_id, batch_no, statuses, at, axis == "happened")
        cursor = None
    if sight.records_reads:
        await record_read(conn, subject, "stock", asked)
    else:
        await note_reads(conn, [(subject, "stock", line.org) for line in page])
    return page, cursor


async def whole_stock(
    conn: Connection,
    subject: Subject,
    org: int | None = None,
    drug_id: int | None = None,
    batch_no: str | None = None,
    statuses: Sequence[str] = ON_HAND,
    at: datetime | None = None,
    axis: Axis = "recorded",
) -> list[StockLine]:
    """All pages of `stock`, for an export; refused (`ledger_export_too_large`) past `EXPORT_MAX` lines."""
    found: list[StockLine] = []
    after = store.START
    while True:
        page, cursor = await stock(conn, subject, org, drug_id, batch_no, statuses, at, axis, after, PAGE_MAX)
        found += page
        if len(found) > EXPORT_MAX:
            raise YaosuError("ledger_export_too_large", {"limit": EXPORT_MAX})
        if cursor is None:
            return found
        after = cursor


async def _books(conn: Connection, subject: Subject, org: int) -> None:
    """Refused (`not_found`) when the reader may not see the books of `org` as a whole."""
    sight = visible(subject)
    if not sight.owns(org) and not await store.may_see_books(conn, sight, org):
        raise YaosuError("not_found", {"what": str(org)})


async def levels(
    conn: Connection, subject: Subject, org: int, drug_id: int, batch_id: int, status: str = "I"
) -> tuple[list[LevelLine], int]:
    """How an account stands on the shelf: outermost packages by level; and what mixed containers hold of it.

    Goods activated but not yet stocked in (A) have no event of their own: they are counted by `stock` only.
    """
    subject.require(SCOPE)
    if status not in SHELVES:
        raise YaosuError("ledger_status_unknown", {"status": status})
    await _books(conn, subject, org)
    return await store.levels(conn, org, drug_id, batch_id, status)


async def levels_by_number(
    conn: Connection, subject: Subject, org: int, drug_id: int, batch_no: str, status: str = "I"
) -> tuple[list[LevelLine], int]:
    """`levels` for a batch by its number; refused (`not_found`) when the product has no such batch."""
    subject.require(SCOPE)
    found = await store.batches_of(conn, drug_id, batch_no)
    if not found:
        raise YaosuError("not_found", {"what": batch_no})
    return await levels(conn, subject, org, drug_id, found[0][0], status)


async def statement(
    conn: Connection,
    subject: Subject,
    start: datetime,
    end: datetime,
    org: int | None = None,
    drug_id: int | None = None,
    axis: Axis = "happened",
) -> list[StatementLine]:
    """进销存 between two moments (after `start`, up to `end`), per product and batch, in and out by bill type.

    Opening and closing are sums of entries, the balance is reckoned back from the live accounts: two ways that
    must meet. Refused: `ledger_time_range`, `not_found`.
    """
    subject.require(SCOPE)
    if start >= end:
        raise YaosuError("ledger_time_range")
    whose = org if org is not None else subject.org
    await _books(conn, subject, whose)
    sight = visible(subject)
    lines: dict[tuple[int, int], StatementLine] = {}
    after: dict[tuple[int, int], int] = {}
    rows = await store.statement_rows(conn, whose, start, end, axis == "happened", ON_HAND, drug_id)
    for drug, batch, number, period, kind, reversal, inward, change, late in rows:
        line = lines.setdefault((drug, batch), StatementLine(drug, batch, number))
        if period == 0:
            line.opening += change
        elif period == 1:
            # a reversal takes back: what it brings in is less gone out, what it takes out is less come in
            side = line.came if inward != reversal else line.went
            side[kind] = side.get(kind, 0) + (change if side is line.came else -change)
            line.late += late
        else:
            after[(drug, batch)] = after.get((drug, batch), 0) + change
    now = {(d, b): (n, q) for d, b, n, q in await store.on_hand_now(conn, sight, whose, ON_HAND, drug_id)}
    for (drug, batch), (number, _) in now.items():
        lines.setdefault((drug, batch), StatementLine(drug, batch, number))
    for key, line in lines.items():
        line.closing = line.opening + sum(line.came.values()) - sum(line.went.values())
        line.balance = now.get(key, ("", 0))[1] - after.get(key, 0)
    if sight.records_reads:
        await record_read(conn, subject, "statement", whose)
    empty = [k for k, v in lines.items() if not (v.opening or v.came or v.went or v.closing or v.balance)]
    for key in empty:
        del lines[key]
    return [lines[key] for key in sorted(lines)]


async def conservation(
    conn: Connection, subject: Subject, drug_id: int, batch_no: str | None = None
) -> list[Conservation]:
    """Each batch of a product added up by accounts and by units (R-X5). For the platform's operator.

    Reads the product's units: a check, not a page.
    """
    if subject.kind != "system":
        subject.require("platform.read")
    found = []
    for batch_id, number in await store.batches_of(conn, drug_id, batch_no):
        accounts = await store.batch_accounts(conn, drug_id, batch_id)
        activated = -accounts.pop(_COUNTER, 0)
        # goods without codes are booked beside, and balance among themselves (R-C8)
        accounts = {status: qty for status, qty in accounts.items() if status not in WITHOUT_UNITS}
        units = await store.batch_units(conn, drug_id, batch_id)
        found.append(Conservation(drug_id, batch_id, number, activated, accounts, units))
    return found


async def check(conn: Connection, drug_id: int | None = None) -> list[Discrepancy]:
    """Everything that does not agree: accounts of a batch, balances with entries, accounts with units."""
    return await store.discrepancies(conn, drug_id, OFF_MAX)


async def assert_conserved(conn: Connection, drug_id: int | None = None) -> None:
    """AssertionError naming the first disagreements; for tests, the demo and `yaosu ledger check`."""
    off = await check(conn, drug_id)
    assert not off, "; ".join(str(one) for one in off[:10])
