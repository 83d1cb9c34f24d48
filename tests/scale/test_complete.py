"""The quick ways of the lists find exactly what the mark of visibility alone finds, page after page (D10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from scale.test_lists import BUSY, CARRIER, FAR, FAR_OFFICE, HEAD, LENT, NATION, OFFICE, QUIET, filled, own
from yaosu.access.visibility import Sight
from yaosu.circulation import store_read
from yaosu.db.engine import Connection
from yaosu.exceptions import store as exceptions
from yaosu.ledger import store as ledger

__all__ = ["filled"]

LIMIT, PAGES = 7, 4
SIGHTS = {
    **{f"org {n}": own(n) for n in (BUSY, QUIET, HEAD, CARRIER, LENT, FAR, 105, 150)},
    "far office": FAR_OFFICE,
    "office": OFFICE,
    "nation": NATION,
    "public": Sight("public"),
}
STARTS = (None, 14_003, 96)
"""Cursors: the first page, one in the middle, one near the end."""

Page = Callable[[Connection, Sight, int | None], Awaitable[Sequence[Any]]]


async def _same(db: Connection, all_of: str, key: str, page: Page, ids: str = "id") -> None:
    """Pages from some cursors on against all rows that the mark alone lets through."""
    for name, sight in SIGHTS.items():
        sql, args = sight.apply(all_of)
        whole = [r[0] for r in await db.fetch(f"{sql} ORDER BY {key} DESC", *args)]
        for start in STARTS:
            cursor, want = start, [i for i in whole if start is None or i < start]
            for n in range(PAGES):
                rows = [r[ids] for r in await page(db, sight, cursor)]
                assert rows == want[n * LIMIT : (n + 1) * LIMIT], (name, start, n)
                if len(rows) < LIMIT:
                    break
                cursor = rows[-1]


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({}, "TRUE"),
        ({"types": [102, 321]}, "b.type IN (102, 321)"),
        ({"owner": 150}, "b.owner = 150"),
        ({"owner": LENT}, f"b.owner = {LENT}"),
        ({"partner": BUSY}, f"(b.from_org = {BUSY} OR b.to_org = {BUSY})"),
        ({"partner": QUIET}, f"(b.from_org = {QUIET} OR b.to_org = {QUIET})"),
        ({"partner": 150, "types": [201]}, "(b.from_org = 150 OR b.to_org = 150) AND b.type = 201"),
        ({"bill_no": "N12345"}, "b.bill_no = 'N12345'"),
        ({"bill_no": "N23"}, "b.bill_no = 'N23'"),
    ],
)
async def test_bills(filled: None, db: Connection, filters: dict[str, Any], condition: str) -> None:
    async def page(conn: Connection, sight: Sight, before: int | None) -> Sequence[Any]:
        return await store_read.bills(conn, sight, before=before, limit=LIMIT, **filters)

    await _same(db, f"SELECT b.id FROM bill b WHERE /*visible:bill b*/ AND {condition}", "b.id", page)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({}, "TRUE"),
        ({"states": ["open", "part"]}, "n.state IN ('open', 'part')"),
        ({"states": ["received", "open"]}, "n.state IN ('received', 'open')"),
        ({"to_org": 150}, "n.to_org = 150"),
        ({"from_org": BUSY, "states": ["open"]}, f"n.from_org = {BUSY} AND n.state = 'open'"),
        ({"from_org": BUSY}, f"n.from_org = {BUSY}"),
        ({"to_org": QUIET, "from_org": BUSY}, f"n.to_org = {QUIET} AND n.from_org = {BUSY}"),
    ],
)
async def test_notices(filled: None, db: Connection, filters: dict[str, Any], condition: str) -> None:
    async def page(conn: Connection, sight: Sight, before: int | None) -> Sequence[Any]:
        return await store_read.notices(conn, sight, before=before, limit=LIMIT, **filters)

    mark = "/*visible:parties n.from_org n.to_org*/"
    await _same(
        db, f"SELECT n.bill_id FROM notice n WHERE {mark} AND {condition}", "n.bill_id", page, "bill_id"
    )


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({}, "TRUE"),
        ({"outcomes": ["mismatch"]}, "c.outcome = 'mismatch'"),
        ({"state": "open"}, "c.state = 'open'"),
        ({"state": "closed", "buyer": 150}, "c.state = 'closed' AND c.buyer = 150"),
        ({"seller": BUSY, "outcomes": ["mismatch", "matched"]}, f"c.seller = {BUSY}"),
    ],
)
async def test_receipt_checks(filled: None, db: Connection, filters: dict[str, Any], condition: str) -> None:
    async def page(conn: Connection, sight: Sight, before: int | None) -> Sequence[Any]:
        return await store_read.checks(conn, sight, before=before, limit=LIMIT, **filters)

    mark = "/*visible:parties c.buyer c.seller*/"
    await _same(db, f"SELECT c.id FROM receipt_check c WHERE {mark} AND {condition}", "c.id", page)


@pytest.mark.parametrize("org", [None, BUSY, 150])
@pytest.mark.parametrize("is_open", [None, True, False])
async def test_quarantine(filled: None, db: Connection, org: int | None, is_open: bool | None) -> None:
    async def page(conn: Connection, sight: Sight, before: int | None) -> Sequence[Any]:
        return await store_read.quarantine(conn, sight, org, is_open, before, LIMIT)

    state = {None: "TRUE", True: "q.closed_at IS NULL", False: "q.closed_at IS NOT NULL"}[is_open]
    whose = "TRUE" if org is None else f"q.org = {org}"
    query = f"SELECT q.id FROM quarantine q WHERE /*visible:org q.org*/ AND {state} AND {whose}"
    await _same(db, query, "q.id", page)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({}, "TRUE"),
        ({"state": "open"}, "c.state = 'open'"),
        ({"state": "closed"}, "c.state = 'closed'"),
        ({"overdue": True}, "c.state = 'open'"),
        ({"buyer": 150}, "c.buyer = 150"),
        ({"seller": BUSY, "state": "open"}, f"c.seller = {BUSY} AND c.state = 'open'"),
    ],
)
async def test_cases(filled: None, db: Connection, filters: dict[str, Any], condition: str) -> None:
    async def page(conn: Connection, sight: Sight, before: int | None) -> Sequence[Any]:
        return await exceptions.cases(conn, sight, before=before, limit=LIMIT, **filters)

    mark = "EXISTS (SELECT 1 FROM exception_party p WHERE p.case_id = c.id AND /*visible:parties p.org*/)"
    await _same(db, f"SELECT c.id FROM exception_case c WHERE {mark} AND {condition}", "c.id", page)


async def test_stock(filled: None, db: Connection) -> None:
    for name, sight in SIGHTS.items():
        sql, args = sight.apply(
            "SELECT x.org, x.drug_id, x.batch_id, x.status FROM balance x "
            "WHERE /*visible:holder x.org x.drug_id*/ AND x.qty > 0 AND x.status IN ('I', 'S')"
        )
        whole = [tuple(r) for r in await db.fetch(f"{sql} ORDER BY 1, 2, 3, 4", *args)]
        after, found = ledger.START, []
        for _ in range(PAGES):
            lines = await ledger.stock(db, sight, None, None, None, ["I", "S"], after, LIMIT)
            found += [(r.org, r.drug_id, r.batch_id, r.status) for r in lines]
            if len(lines) < LIMIT:
                break
            after = found[-1]
        assert found == whole[: PAGES * LIMIT], name
