"""SQL of 数据落地: upstream's bills as files that a firm takes over, and what it said of each."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Upstream's bills to a firm that it has not taken over yet, oldest first.
WAITING = """
SELECT b.id, b.type, b.bill_no, b.owner, b.happened_at FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND n.state <> 'cancelled' AND /*visible:parties n.from_org n.to_org*/
    AND NOT EXISTS (SELECT 1 FROM top_landing l
        WHERE l.org = $1 AND l.kind = 'bill' AND l.bill_id = b.id AND l.accepted)
ORDER BY b.id LIMIT $2"""

# One of them, for the file.
ONE = """
SELECT b.id, b.type, b.bill_no, b.owner, b.from_org, b.to_org, b.happened_at, b.drug_ids
FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE n.to_org = $1 AND b.id = $2 AND n.state <> 'cancelled' AND /*visible:parties n.from_org n.to_org*/"""

# What a firm says of a file; a later word takes the place of an earlier one.
SAID = """
INSERT INTO top_landing (org, kind, bill_id, accepted, reason) VALUES ($1, 'bill', $2, $3, $4)
ON CONFLICT (org, kind, bill_id) DO UPDATE SET accepted = excluded.accepted, reason = excluded.reason, at = now()"""

# To be taken over once more.
AGAIN = "DELETE FROM top_landing WHERE org = $1 AND kind = 'bill' AND bill_id = $2"

# How many there were in a period, and how many were taken over.
# ungated: counts of what was announced to the asking firm itself
REPORT = """
SELECT count(*) AS files, count(*) FILTER (WHERE l.accepted) AS accepted
FROM notice n JOIN bill b ON b.id = n.bill_id
LEFT JOIN top_landing l ON l.org = n.to_org AND l.kind = 'bill' AND l.bill_id = n.bill_id
WHERE n.to_org = $1 AND n.state <> 'cancelled' AND b.recorded_at >= $2 AND b.recorded_at < $3"""

# What a firm last said of a bill.
# ungated: the firm's own word
LAST = "SELECT accepted, reason FROM top_landing WHERE org = $1 AND kind = 'bill' AND bill_id = $2"


@traced_read("top landing files")
async def waiting(conn: Connection, sight: Sight, org: int, limit: int) -> list[Record]:
    """Bills to be taken over."""
    sql, args = sight.apply(WAITING, org, limit)
    return await conn.fetch(sql, *args)


@traced_read("top landing file")
async def one(conn: Connection, sight: Sight, org: int, bill_id: int) -> Record | None:
    """One of them."""
    sql, args = sight.apply(ONE, org, bill_id)
    return await conn.fetchrow(sql, *args)
