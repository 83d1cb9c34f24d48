"""SQL of locks and suspensions: seen by who placed them, whom they bind, the product's firm and offices."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.recall.model import Lock

_LOCK = (
    "l.id, l.kind, l.drug_id, l.issuer, l.org, l.number, l.reason, l.reason_text, l.placed_by, l.placed_at, l.stop_id, "
    "l.released_by, l.released_org, l.released_at, l.release_reason"
)
# A lock that binds everybody is everybody's to know: their scans are refused with it.
_SEEN = """(/*visible:parties l.issuer l.org*/ OR (l.kind = 'lock' AND l.org IS NULL)
    OR EXISTS (SELECT 1 FROM product p WHERE p.id = l.drug_id AND /*visible:parties p.mah_id p.manufacturer_id*/))"""

ONE = f"SELECT {_LOCK} FROM goods_lock l WHERE l.id = $1 AND {_SEEN}"  # noqa: S608 -- only constants are put in
LIST = f"""
SELECT {_LOCK} FROM goods_lock l
WHERE l.id < $1 AND ($2::bool IS NULL OR (l.released_at IS NULL) = $2::bool) AND {_SEEN}
ORDER BY l.id DESC LIMIT $3"""  # noqa: S608 -- only constants are put in
# Locks and suspensions in force; with an organisation ($1) those that stop goods in its hands, by batch or by code
# (whoever holds the outermost package holds what is inside).
COUNT = f"""
SELECT count(*) FROM goods_lock l WHERE l.released_at IS NULL AND {_SEEN} AND ($1::int IS NULL OR (
    (l.org IS NULL OR l.org = $1) AND (
    EXISTS (SELECT 1 FROM goods_lock_batch x JOIN balance b ON b.drug_id = x.drug_id AND b.batch_id = x.batch_id
        WHERE x.lock_id = l.id AND b.org = $1 AND b.qty > 0 AND b.status IN ('A', 'I', 'Q', 'D')
            AND /*visible:org b.org*/)
    OR EXISTS (WITH RECURSIVE up AS (
        SELECT u.parent, u.holder, u.status
        FROM goods_lock_code c JOIN unit u ON u.drug_id = l.drug_id AND u.code = c.code
        WHERE c.lock_id = l.id
        UNION SELECT u.parent, u.holder, u.status FROM up JOIN unit u ON u.drug_id = l.drug_id AND u.code = up.parent)
        SELECT 1 FROM up WHERE up.parent IS NULL AND up.holder = $1 AND up.status IN ('A', 'I', 'Q', 'D')))))"""  # noqa: S608 -- only constants are put in
LOCKED = f"SELECT {_LOCK} FROM goods_lock l WHERE l.id = $1 FOR UPDATE"  # noqa: S608 -- only constants are put in

LAST_NUMBER = """
SELECT number FROM goods_lock WHERE number LIKE $1 ORDER BY length(number) DESC, number DESC LIMIT 1"""
INSERT = """
INSERT INTO goods_lock (kind, drug_id, issuer, org, number, reason, reason_text, placed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""
PUT_BATCHES = (
    "INSERT INTO goods_lock_batch (drug_id, batch_id, lock_id) SELECT $1, b, $2 FROM unnest($3::int[]) AS b"
)
PUT_CODES = (
    "INSERT INTO goods_lock_code (drug_id, lock_id, code) SELECT $1, $2, c FROM unnest($3::text[]) AS c"
)
SET_STOP = "UPDATE goods_lock SET stop_id = $2 WHERE id = $1"
RELEASE = """
UPDATE goods_lock SET released_by = $2, released_org = $3, released_at = clock_timestamp(), release_reason = $4
WHERE id = $1 AND released_at IS NULL RETURNING id"""

# ungated: goods of a lock that the reader was let in to; batch numbers are printed on the box
BATCHES_OF = """
SELECT x.lock_id, b.batch_no FROM goods_lock_batch x JOIN batch b ON b.drug_id = x.drug_id AND b.id = x.batch_id
WHERE x.lock_id = ANY($1::int[]) ORDER BY b.batch_no"""
CODES_OF = "SELECT lock_id, code FROM goods_lock_code WHERE lock_id = ANY($1::int[]) ORDER BY code LIMIT 1000"

BATCH_IDS_OF = "SELECT batch_id FROM goods_lock_batch WHERE lock_id = $1"

# Holders of batches in a firm's own hands or an office's region: whether there is anything to lock there.
HOLDS = """
SELECT EXISTS (SELECT 1 FROM balance b WHERE b.drug_id = $1 AND b.batch_id = ANY($2::int[]) AND b.qty > 0
    AND b.org = $3 AND b.status NOT IN ('P', 'W') AND /*visible:org b.org*/)"""

# Whether every one of these codes is held in the reader's region.
CODES_SEEN = """
WITH RECURSIVE up AS (
    SELECT u.code AS asked, u.parent, u.holder FROM unit u WHERE u.drug_id = $1 AND u.code = ANY($2::text[])
    UNION ALL
    SELECT up.asked, u.parent, u.holder FROM up JOIN unit u ON u.drug_id = $1 AND u.code = up.parent
)
SELECT count(*) FROM up WHERE up.parent IS NULL AND /*visible:org up.holder*/"""

# Who has locked goods now, to be told.
# ungated: numbers of organisations that a message goes to; leaves the store in no answer
HOLDERS = """
SELECT DISTINCT b.org FROM balance b WHERE b.drug_id = $1 AND b.batch_id = ANY($2::int[]) AND b.qty > 0
    AND b.status IN ('A', 'I', 'Q', 'D', 'O')"""
# ungated: numbers of organisations that a message goes to; leaves the store in no answer
HOLDERS_OF_CODES = """
WITH RECURSIVE up AS (
    SELECT u.parent, u.holder, u.dest, u.status FROM unit u WHERE u.drug_id = $1 AND u.code = ANY($2::text[])
    UNION SELECT u.parent, u.holder, u.dest, u.status FROM up JOIN unit u ON u.drug_id = $1 AND u.code = up.parent
)
SELECT DISTINCT x AS org FROM up, unnest(ARRAY[up.holder, up.dest]) AS x
WHERE up.parent IS NULL AND x IS NOT NULL AND up.status IN ('A', 'I', 'Q', 'D', 'O')"""
CODES_OF_LOCK = "SELECT code FROM goods_lock_code WHERE lock_id = $1"


# Products an organisation has goods of.
STOCKED = """
SELECT DISTINCT b.drug_id FROM balance b
WHERE b.org = $1 AND b.status IN ('A', 'I', 'Q', 'D') AND b.qty > 0 AND /*visible:org b.org*/ LIMIT 1000"""


@traced_read("recall.stocked")
async def stocked(conn: Connection, sight: Sight, org: int) -> list[int]:
    """Products an organisation has in hand."""
    sql, args = sight.apply(STOCKED, org)
    return [r["drug_id"] for r in await conn.fetch(sql, *args)]


@traced_read("recall.lock")
async def one(conn: Connection, sight: Sight, lock_id: int) -> Lock | None:
    """The lock, if the reader may see it."""
    sql, args = sight.apply(ONE, lock_id)
    row = await conn.fetchrow(sql, *args)
    return Lock(*row.values()) if row is not None else None


@traced_read("recall.locks")
async def listed(conn: Connection, sight: Sight, before: int, live: bool | None, limit: int) -> list[Lock]:
    """Locks the reader may see, newest first."""
    sql, args = sight.apply(LIST, before, live, limit)
    return [Lock(*r.values()) for r in await conn.fetch(sql, *args)]


@traced_read("recall.lock_count")
async def count(conn: Connection, sight: Sight, org: int | None) -> int:
    """Locks and suspensions in force that the reader may see; of `org` those that stop goods in its hands."""
    sql, args = sight.apply(COUNT, org)
    found: int = await conn.fetchval(sql, *args)
    return found


@traced_read("recall.lock_holds")
async def holds(conn: Connection, sight: Sight, drug_id: int, batch_ids: Sequence[int], org: int) -> bool:
    """Whether `org`, as far as the reader sees it, has goods of the batches."""
    sql, args = sight.apply(HOLDS, drug_id, list(batch_ids), org)
    found: bool = await conn.fetchval(sql, *args)
    return found


@traced_read("recall.lock_codes")
async def codes_seen(conn: Connection, sight: Sight, drug_id: int, codes: Sequence[str]) -> int:
    """How many of the codes are held by organisations that the reader sees."""
    sql, args = sight.apply(CODES_SEEN, drug_id, list(codes))
    found: int = await conn.fetchval(sql, *args)
    return found


async def locked(conn: Connection, lock_id: int) -> Lock | None:
    """The lock under lock, for its release."""
    row = await conn.fetchrow(LOCKED, lock_id)
    return Lock(*row.values()) if row is not None else None


async def goods(conn: Connection, ids: Sequence[int]) -> dict[int, tuple[list[str], list[str]]]:
    """Batch numbers and codes of each lock."""
    found: dict[int, tuple[list[str], list[str]]] = {i: ([], []) for i in ids}
    for row in await conn.fetch(BATCHES_OF, list(ids)):
        found[row["lock_id"]][0].append(row["batch_no"])
    for row in await conn.fetch(CODES_OF, list(ids)):
        found[row["lock_id"]][1].append(row["code"])
    return found
