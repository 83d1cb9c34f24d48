"""SQL of bills as the trade's methods ask for them: pages of own bills, their goods, what upstream announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

REVERSAL = 8

_BILL = (
    "b.id, b.type, b.bill_no, b.owner, b.submitter, b.from_org, b.to_org, b.principal, b.carrier, b.direct_org, "
    "b.happened_at, b.recorded_at, b.revision, b.status, b.lines, b.qty, b.refused, b.header, b.drug_ids"
)
# In force: not replaced, not void, no reversing entry.
_IN_FORCE = f"b.status = 'A' AND b.revision > 0 AND b.flags & {REVERSAL} = 0"
_WANTED = f"""b.owner = $1 AND {_IN_FORCE} AND b.type = ANY ($2::int[])
    AND ($3::timestamptz IS NULL OR b.happened_at >= $3) AND ($4::timestamptz IS NULL OR b.happened_at < $4)
    AND ($5::timestamptz IS NULL OR b.recorded_at >= $5) AND ($6::timestamptz IS NULL OR b.recorded_at < $6)
    AND ($7::text = '' OR b.bill_no = $7)
    AND ($8::int IS NULL OR coalesce(b.from_org, b.owner) = $8)
    AND ($9::int IS NULL OR coalesce(b.to_org, b.owner) = $9)
    AND ($10::bool IS NULL OR (b.refused > 0) = $10)"""

# Bills of one owner by page, newest first.
BILLS = f"SELECT {_BILL} FROM bill b WHERE /*visible:bill b*/ AND {_WANTED} ORDER BY b.id DESC LIMIT $11 OFFSET $12"  # noqa: S608 - constants

# How many there are.
COUNT = f"SELECT count(*) FROM bill b WHERE /*visible:bill b*/ AND {_WANTED}"  # noqa: S608 - constants

# How many there are of each kind.
BY_TYPE = f"""
SELECT b.type, count(*) AS count FROM bill b WHERE /*visible:bill b*/ AND {_WANTED}
GROUP BY b.type ORDER BY b.type"""  # noqa: S608 - constants

# One bill by its number, in force. $3: only these types; empty for any.
BY_NUMBER = f"""
SELECT {_BILL} FROM bill b
WHERE b.owner = $1 AND b.bill_no = $2 AND {_IN_FORCE} AND (cardinality($3::int[]) = 0 OR b.type = ANY ($3))
    AND /*visible:bill b*/ ORDER BY b.revision DESC LIMIT 1"""  # noqa: S608 - constants

# One bill by our number of it.
BY_ID = f"SELECT {_BILL} FROM bill b WHERE b.id = $1 AND b.owner = $2 AND {_IN_FORCE} AND /*visible:bill b*/"  # noqa: S608

# Goods on a bill by product and batch, with what a correction left to an earlier revision.
GOODS = """
SELECT l.drug_id, l.batch_id, t.batch_no, t.produced_on, t.expires_on, sum(l.qty)::bigint AS qty, count(*) AS codes
FROM (
    SELECT i.drug_id, i.batch_id, i.qty FROM bill_line i JOIN bill b ON b.id = i.bill_id
    WHERE i.bill_id = $1 AND i.drug_id = ANY ($2::int[]) AND /*visible:bill b*/
    UNION ALL
    SELECT i.drug_id, i.batch_id, i.qty FROM bill_kept k JOIN bill b ON b.id = k.bill_id
    JOIN bill_line i ON i.drug_id = k.drug_id AND i.bill_id = k.from_bill AND i.code = k.code
    WHERE k.bill_id = $1 AND /*visible:bill b*/
) l LEFT JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 3"""

# Goods without codes on a bill.
QUANTITIES = """
SELECT e.drug_id, e.batch_id, t.batch_no, t.produced_on, t.expires_on, sum(e.qty)::bigint AS qty, 0::bigint AS codes
FROM entry e JOIN bill b ON b.id = e.bill_id JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE e.bill_id = $1 AND e.drug_id = ANY ($2::int[]) AND (e.from_status IN ('U', 'W') OR e.to_status IN ('U', 'W'))
    AND /*visible:bill b*/ GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 3"""

# Codes on a bill with level and what they were inside of, for whom codes are shown to.
CODES = """
SELECT l.code, l.drug_id, l.batch_id, l.qty, l.left_parent, u.level, u.parent FROM (
    SELECT i.code, i.drug_id, i.batch_id, i.qty, i.left_parent FROM bill_line i JOIN bill b ON b.id = i.bill_id
    WHERE i.bill_id = $1 AND i.drug_id = ANY ($2::int[]) AND /*visible:coded b*/
    UNION ALL
    SELECT i.code, i.drug_id, i.batch_id, i.qty, i.left_parent FROM bill_kept k JOIN bill b ON b.id = k.bill_id
    JOIN bill_line i ON i.drug_id = k.drug_id AND i.bill_id = k.from_bill AND i.code = k.code
    WHERE k.bill_id = $1 AND /*visible:coded b*/
) l LEFT JOIN unit u ON u.drug_id = l.drug_id AND u.code = l.code
ORDER BY l.drug_id, l.code LIMIT $3"""

# Codes on a shipment that are still on their way by it.
WAITING_CODES = """
SELECT i.code FROM bill_line i JOIN bill b ON b.id = i.bill_id
JOIN unit u ON u.drug_id = i.drug_id AND u.code = i.code AND u.status = 'O' AND u.notice = i.bill_id
WHERE i.bill_id = $1 AND i.drug_id = ANY ($2::int[]) AND /*visible:coded b*/"""

_UP = """FROM notice n JOIN bill b ON b.id = n.bill_id JOIN notice_line l ON l.bill_id = n.bill_id
JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id
WHERE n.to_org = $1 AND n.state <> 'cancelled' AND ($2::int IS NULL OR n.from_org = $2)
    AND ($3::timestamptz IS NULL OR n.shipped_at >= $3) AND ($4::timestamptz IS NULL OR n.shipped_at < $4)
    AND ($5::timestamptz IS NULL OR b.recorded_at >= $5) AND ($6::timestamptz IS NULL OR b.recorded_at < $6)
    AND ($7::text = '' OR b.bill_no = $7) AND ($8::int = 0 OR b.type = $8) AND ($9::text = '' OR t.batch_no = $9)
    AND ($10::int = 0 OR l.drug_id = $10)
    AND ($11::bool IS NULL OR (n.state IN ('received', 'refused')) = $11)
    AND /*visible:parties n.from_org n.to_org*/"""

# What upstream announced to somebody, one row per bill, product and batch, newest first.
UPSTREAM = f"""
SELECT n.bill_id, n.from_org, n.to_org, n.state, n.shipped_at, b.bill_no, b.type, b.recorded_at, b.principal, l.drug_id,
    l.batch_id, l.expected, t.batch_no, t.produced_on, t.expires_on
{_UP} ORDER BY n.bill_id DESC, l.drug_id, t.batch_no LIMIT $12 OFFSET $13"""

UPSTREAM_COUNT = f"SELECT count(*) {_UP}"

# Bills that announced something, by kind.
UPSTREAM_BY_TYPE = f"""
SELECT x.type, count(*) AS count FROM (SELECT DISTINCT b.id, b.type {_UP}) x GROUP BY x.type ORDER BY x.type"""  # noqa: S608

# One announcement by the seller's number or by our number of it.
UPSTREAM_BILL = f"""
SELECT {_BILL}, n.state, n.shipped_at FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND ($2::int IS NULL OR n.from_org = $2) AND (b.bill_no = $3 OR b.id = $4::bigint)
    AND n.state <> 'cancelled' AND /*visible:parties n.from_org n.to_org*/ ORDER BY n.bill_id DESC LIMIT 1"""  # noqa: S608

# Upstream bills that were corrected or taken back meanwhile: what a receiver has read of them is no longer true.
CHANGED = """
SELECT b.id, b.type, b.bill_no, b.owner, b.from_org, b.to_org, b.recorded_at, b.revision, b.status,
    count(*) OVER () AS total
FROM bill b
WHERE b.to_org = $1 AND b.owner <> $1 AND b.recorded_at >= $2 AND b.recorded_at < $3
    AND ((b.status = 'A' AND b.revision > 1) OR (b.status = 'V' AND b.revision > 0)) AND /*visible:bill b*/
ORDER BY b.id DESC LIMIT $4 OFFSET $5"""

# What was refused of a bill, for its owner and submitter; $2 a code, $3 a verdict, empty for any.
NOTES = """
SELECT x.n, x.code, x.raw, x.verdict, x.params, b.recorded_at, b.bill_no, count(*) OVER () AS total
FROM bill_note x JOIN bill b ON b.id = x.bill_id
WHERE x.bill_id = $1 AND x.severity = 'R' AND ($2::text = '' OR x.code = $2 OR x.raw = $2)
    AND (cardinality($3::text[]) = 0 OR x.verdict = ANY ($3)) AND /*visible:org b.owner*/
ORDER BY x.n LIMIT $4 OFFSET $5"""

# Direct shipments that name somebody as the one whose goods are shipped past.
DIRECT = f"""
SELECT {_BILL} FROM bill b
WHERE b.type IN (207, 237) AND b.direct_org = $1 AND {_IN_FORCE}
    AND ($2::timestamptz IS NULL OR b.happened_at >= $2) AND ($3::timestamptz IS NULL OR b.happened_at < $3)
    AND ($4::text = '' OR b.bill_no = $4) AND /*visible:bill b*/ ORDER BY b.id DESC LIMIT $5"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of one owner's bills."""

    owner: int
    types: Sequence[int]
    since: datetime | None = None
    until: datetime | None = None
    recorded_since: datetime | None = None
    recorded_until: datetime | None = None
    bill_no: str = ""
    sender: int | None = None
    receiver: int | None = None
    refused: bool | None = None
    """Whether something of it was refused; None: either."""

    def args(self) -> tuple[Any, ...]:
        """In the order of the queries."""
        return (
            self.owner, list(self.types), self.since, self.until, self.recorded_since, self.recorded_until,
            self.bill_no, self.sender, self.receiver, self.refused,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upstream:
    """Which of the announcements to one receiver."""

    receiver: int
    sender: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    recorded_since: datetime | None = None
    recorded_until: datetime | None = None
    bill_no: str = ""
    type: int = 0
    batch_no: str = ""
    drug_id: int = 0
    settled: bool | None = None
    """Whether it was received or refused; None: either."""

    def args(self) -> tuple[Any, ...]:
        """In the order of the queries."""
        return (
            self.receiver, self.sender, self.since, self.until, self.recorded_since, self.recorded_until, self.bill_no,
            self.type, self.batch_no, self.drug_id, self.settled,
        )  # fmt: skip


@traced_read("top bills")
async def bills(
    conn: Connection, sight: Sight, wanted: Wanted, offset: int, limit: int
) -> tuple[list[Record], int]:
    """A page of bills and how many there are."""
    sql, args = sight.apply(COUNT, *wanted.args())
    total = await conn.fetchval(sql, *args)
    if not total:
        return [], 0
    sql, args = sight.apply(BILLS, *wanted.args(), limit, offset)
    return await conn.fetch(sql, *args), total


@traced_read("top bills by type")
async def by_type(conn: Connection, sight: Sight, wanted: Wanted) -> dict[int, int]:
    """How many bills of each type."""
    sql, args = sight.apply(BY_TYPE, *wanted.args())
    return {row["type"]: row["count"] for row in await conn.fetch(sql, *args)}


@traced_read("top bill by number")
async def by_number(
    conn: Connection, sight: Sight, owner: int, bill_no: str, types: Sequence[int] = ()
) -> Record | None:
    """The bill in force with that number."""
    sql, args = sight.apply(BY_NUMBER, owner, bill_no, list(types))
    return await conn.fetchrow(sql, *args)


@traced_read("top bill by id")
async def by_id(conn: Connection, sight: Sight, bill_id: int, owner: int) -> Record | None:
    """The owner's bill in force with that id."""
    sql, args = sight.apply(BY_ID, bill_id, owner)
    return await conn.fetchrow(sql, *args)


@traced_read("top goods of a bill")
async def goods(conn: Connection, sight: Sight, bill_id: int, drug_ids: Sequence[int]) -> list[Record]:
    """Products and batches on a bill, with and without codes."""
    found: list[Record] = []
    for query in (GOODS, QUANTITIES):
        sql, args = sight.apply(query, bill_id, list(drug_ids))
        found += await conn.fetch(sql, *args)
    return found


@traced_read("top codes of a bill")
async def codes(
    conn: Connection, sight: Sight, bill_id: int, drug_ids: Sequence[int], limit: int
) -> list[Record]:
    """Codes on a bill."""
    sql, args = sight.apply(CODES, bill_id, list(drug_ids), limit)
    return await conn.fetch(sql, *args)


@traced_read("top codes on their way")
async def waiting_codes(conn: Connection, sight: Sight, bill_id: int, drug_ids: Sequence[int]) -> set[str]:
    """Codes on a shipment that nobody has received yet."""
    sql, args = sight.apply(WAITING_CODES, bill_id, list(drug_ids))
    return {row["code"] for row in await conn.fetch(sql, *args)}


@traced_read("top upstream")
async def upstream(
    conn: Connection, sight: Sight, wanted: Upstream, offset: int, limit: int
) -> tuple[list[Record], int]:
    """A page of what upstream announced, and how many rows there are."""
    sql, args = sight.apply(UPSTREAM_COUNT, *wanted.args())
    total = await conn.fetchval(sql, *args)
    if not total:
        return [], 0
    sql, args = sight.apply(UPSTREAM, *wanted.args(), limit, offset)
    return await conn.fetch(sql, *args), total


@traced_read("top upstream by type")
async def upstream_by_type(conn: Connection, sight: Sight, wanted: Upstream) -> dict[int, int]:
    """How many upstream bills of each type."""
    sql, args = sight.apply(UPSTREAM_BY_TYPE, *wanted.args())
    return {row["type"]: row["count"] for row in await conn.fetch(sql, *args)}


@traced_read("top upstream bill")
async def upstream_bill(
    conn: Connection,
    sight: Sight,
    receiver: int,
    sender: int | None,
    bill_no: str,
    bill_id: int | None = None,
) -> Record | None:
    """One announcement, by the seller's number or our id of it."""
    sql, args = sight.apply(UPSTREAM_BILL, receiver, sender, bill_no, bill_id)
    return await conn.fetchrow(sql, *args)


@traced_read("top changed upstream bills")
async def changed(
    conn: Connection,
    sight: Sight,
    receiver: int,
    since: datetime,
    until: datetime,
    offset: int,
    limit: int,
) -> list[Record]:
    """Upstream bills that were corrected or taken back in a period; `total` in each row."""
    sql, args = sight.apply(CHANGED, receiver, since, until, limit, offset)
    return await conn.fetch(sql, *args)


@traced_read("top refused codes")
async def refused_codes(
    conn: Connection,
    sight: Sight,
    bill_id: int,
    code: str,
    verdicts: Sequence[str],
    offset: int,
    limit: int,
) -> list[Record]:
    """What was refused of a bill; `total` in each row."""
    sql, args = sight.apply(NOTES, bill_id, code, list(verdicts), limit, offset)
    return await conn.fetch(sql, *args)


@traced_read("top direct shipments")
async def direct(
    conn: Connection,
    sight: Sight,
    org: int,
    since: datetime | None,
    until: datetime | None,
    bill_no: str,
    limit: int,
) -> list[Record]:
    """Direct shipments that name `org`."""
    sql, args = sight.apply(DIRECT, org, since, until, bill_no, limit)
    return await conn.fetch(sql, *args)
