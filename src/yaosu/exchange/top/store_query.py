"""SQL of the gateway's questions about codes. What names organisations or bills passes `access.visibility` (D10)."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# What is directly inside a package, in code order.
# ungated: the caller may know the package's holder, or is the product's firm, as the handler made sure
CHILDREN = """
SELECT u.code, u.level, coalesce(u.qty, 1) AS qty FROM unit u WHERE u.drug_id = $1 AND u.parent = $2
ORDER BY u.code LIMIT $3"""

# The number ranges that were given out under a prefix, with the key their codes are computed by.
# ungated: only whether a code can be one of them leaves the handler
ISSUED = "SELECT key_id, start_no, count FROM code_range WHERE prefix = $1 ORDER BY start_no"

# The last activation under each prefix: when the product's newest batch of coded goods came into being.
# ungated: that a product is coded, and since when, is for everyone who may scan it
LAST_ACTIVE = """
SELECT p.prefix, max(b.recorded_at) AS at
FROM code_prefix p JOIN batch t ON t.drug_id = p.drug_id
JOIN bill b ON b.owner = t.maker AND b.type = 1 AND p.drug_id = ANY (b.drug_ids)
WHERE p.prefix = ANY ($1::text[]) GROUP BY p.prefix"""

# Batches of one number: a batch number is printed on every box.
# ungated: batch numbers, dates and products are on the box
BATCHES_OF = """
SELECT t.drug_id, t.id, t.batch_no, t.produced_on, t.expires_on FROM batch t
WHERE t.drug_id = ANY ($1::int[]) AND lower(t.batch_no) = lower($2) ORDER BY t.drug_id, t.id"""

# One's own bills that moved a package or what is around it, newest first.
BILLS_OF_CODES = """
SELECT b.id, b.type, b.bill_no, b.happened_at, b.recorded_at, b.owner, b.from_org, b.to_org, b.principal, b.status
FROM bill b WHERE b.id = ANY ($1::bigint[]) AND b.owner = $2 AND b.status <> 'V' AND b.revision > 0
    AND /*visible:bill b*/ ORDER BY b.id DESC"""

# Shipments to somebody among bills, newest first: where a package came from.
SHIPMENTS_TO = """
SELECT b.id, b.type, b.bill_no, b.happened_at, b.recorded_at, b.owner, b.from_org, b.to_org, b.principal, b.status
FROM bill b WHERE b.id = ANY ($1::bigint[]) AND b.to_org = $2 AND b.status = 'A' AND b.revision > 0
    AND /*visible:bill b*/ ORDER BY b.id DESC"""


@traced_read("top own bills of a code")
async def own_bills(conn: Connection, sight: Sight, ids: list[int], owner: int) -> list[Record]:
    """Those of these bills that are `owner`'s and in force."""
    sql, args = sight.apply(BILLS_OF_CODES, ids, owner)
    return await conn.fetch(sql, *args)


@traced_read("top shipments of a code")
async def shipments_to(conn: Connection, sight: Sight, ids: list[int], receiver: int) -> list[Record]:
    """Those of these bills that sent goods to `receiver`."""
    sql, args = sight.apply(SHIPMENTS_TO, ids, receiver)
    return await conn.fetch(sql, *args)
