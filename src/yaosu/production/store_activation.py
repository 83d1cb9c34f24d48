"""SQL of activation. Writing happens only inside `activation.activate`; reads are the owner's own records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.production.copy_rows import COLUMNS
from yaosu.production.relation import BatchFacts

# one activation of the same file at a time: the second waits, then finds the first one's answer
LOCK_FILE = "SELECT pg_advisory_xact_lock(hashtextextended($1, 4))"

# the answer to the same bytes by the same owner
FILE_BY_HASH = """
SELECT f.*, b.bill_no, b.leaf, b.recorded_at, b.qty
FROM relation_file f JOIN bill b ON b.owner = f.org AND b.id = f.bill_id WHERE f.org = $1 AND f.sha256 = $2"""

BILL_BY_NUMBER = (
    "SELECT id, content_hash FROM bill WHERE owner = $1 AND bill_no = $2 ORDER BY revision DESC LIMIT 1"
)

# facts for validation, before any lock
BATCHES = """
SELECT b.drug_id, b.batch_no, b.id, b.maker, b.produced_on, b.expires_on
FROM unnest($1::int[], $2::text[]) AS a(drug_id, batch_no)
JOIN batch b ON b.drug_id = a.drug_id AND b.batch_no = a.batch_no"""

NEW_BATCH = """
INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on, workshop, line_name, line_manager)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (drug_id, batch_no) DO NOTHING"""

# the same facts again under lock: another file may have made the batch meanwhile
LOCK_BATCH = """
SELECT id, maker, produced_on, expires_on FROM batch WHERE drug_id = $1 AND batch_no = $2 FOR UPDATE"""

NEXT_BILLS = "SELECT nextval('bill_id_seq') FROM generate_series(1, $1::int)"

INSERT_SUBMISSION = "INSERT INTO submission (parts, body) VALUES (1, $1) RETURNING id"
INSERT_CHUNK = "INSERT INTO relation_chunk (submission_id, n, packed, body) VALUES ($1, $2, $3, $4)"
CHUNKS = "SELECT packed, body FROM relation_chunk WHERE submission_id = $1 AND n = $2"

INSERT_BILL = """
INSERT INTO bill (id, owner, submitter, account_id, type, mode, lines, qty, happened_at, submission_id, part,
    bill_no, content_hash, leaf, header, drug_ids)
VALUES ($1, $2, $3, $4, $5, 'T', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING recorded_at"""

# outermost packages only: what is inside inherits (D3)
INSERT_LINES = """
INSERT INTO bill_line (bill_id, prev_bill, drug_id, batch_id, qty, pre_holder, pre, post, code)
SELECT $1, $2, $3, $4, qty, $5, $6, $7, code FROM unnest($8::text[], $9::int[]) AS v(code, qty)"""

INSERT_ENTRY = """
INSERT INTO entry (bill_id, drug_id, batch_id, from_org, to_org, qty, from_status, to_status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""

UPSERT_BALANCE = """
INSERT INTO balance AS b (drug_id, batch_id, org, status, qty) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (drug_id, batch_id, org, status) DO UPDATE SET qty = b.qty + excluded.qty RETURNING qty"""

INSERT_FILE = """
INSERT INTO relation_file (bill_id, org, submission_id, size, codes, boxes, stock_bill, sha256, format, encoding,
    file_name, batches, notes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"""

# which of these codes exist; by primary key
EXISTING = """
SELECT u.code FROM unnest($2::text[]) AS a(code) JOIN unit u ON u.drug_id = $1 AND u.code = a.code"""

# where a code that exists came from: back along its own events to the bill that activated it
ORIGIN = """
WITH RECURSIVE chain(code, bill_id, depth) AS (
    SELECT u.code, u.last_bill, 0 FROM unit u WHERE u.drug_id = $1 AND u.code = ANY ($2::text[])
    UNION ALL
    SELECT c.code, l.prev_bill, c.depth + 1
    FROM chain c JOIN bill_line l ON l.drug_id = $1 AND l.bill_id = c.bill_id AND l.code = c.code
    WHERE l.prev_bill <> 0 AND c.depth < 1000
)
SELECT DISTINCT ON (u.code) u.code, t.batch_no, b.bill_no, b.recorded_at, coalesce(f.file_name, '') AS file_name
FROM chain c JOIN unit u ON u.drug_id = $1 AND u.code = c.code
LEFT JOIN batch t ON t.drug_id = u.drug_id AND t.id = u.batch_id
LEFT JOIN bill b ON b.id = c.bill_id
LEFT JOIN relation_file f ON f.bill_id = c.bill_id
ORDER BY u.code, c.depth DESC"""

# prefixes of a file for which codes were issued here
ISSUED = """
SELECT r.prefix, r.key_id, r.start_no, r.count FROM code_range r WHERE r.prefix = ANY ($1::text[])
ORDER BY r.prefix, r.start_no"""

OWN_FILES = """
SELECT f.bill_id, f.file_name, f.codes, f.boxes, f.size, f.received_at, f.format, f.sha256, f.batches, f.stock_bill,
    b.bill_no
FROM relation_file f JOIN bill b ON b.owner = f.org AND b.id = f.bill_id
WHERE f.org = $1 AND f.bill_id < $2 ORDER BY f.bill_id DESC LIMIT $3"""

OWN_FILE = OWN_FILES.replace("f.bill_id < $2 ORDER BY f.bill_id DESC LIMIT $3", "f.bill_id = $2").replace(
    "b.bill_no", "b.bill_no, f.submission_id, f.notes, f.encoding"
)


async def batch_facts(conn: Connection, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], BatchFacts]:
    """Existing batches of (drug_id, batch_no)."""
    rows = await conn.fetch(BATCHES, [k[0] for k in keys], [k[1] for k in keys])
    return {
        (r["drug_id"], r["batch_no"]): BatchFacts(r["id"], r["maker"], r["produced_on"], r["expires_on"])
        for r in rows
    }


async def make_batch(conn: Connection, values: Sequence[Any]) -> BatchFacts:
    """The batch of (drug_id, batch_no, maker, produced_on, expires_on, …), made if absent, locked."""
    await conn.execute(NEW_BATCH, *values)
    row = await conn.fetchrow(LOCK_BATCH, values[0], values[1])
    assert row is not None
    return BatchFacts(row["id"], row["maker"], row["produced_on"], row["expires_on"])


async def copy_units(conn: Connection, source: AsyncIterator[bytes]) -> str:
    """COPY rows into `unit`; the server's answer."""
    done: str = await conn.copy_to_table("unit", source=source, columns=COLUMNS, format="text")
    return done


async def insert_bill(
    conn: Connection,
    values: Sequence[Any],
) -> datetime:
    """One bill; the time it was recorded at."""
    at: datetime = await conn.fetchval(INSERT_BILL, *values)
    return at


async def post(
    conn: Connection,
    bill_id: int,
    drug_id: int,
    batch_id: int,
    orgs: tuple[int, int],
    qty: int,
    move: tuple[str, str],
) -> None:
    """One balanced entry between two accounts, (organisation, status) each, and both balances (D4)."""
    await conn.execute(INSERT_ENTRY, bill_id, drug_id, batch_id, *orgs, qty, *move)
    for org, status, delta in sorted(((orgs[0], move[0], -qty), (orgs[1], move[1], qty))):
        left = await conn.fetchval(UPSERT_BALANCE, drug_id, batch_id, org, status, delta)
        assert left >= 0 or status == "P", "a balance below nothing"


async def existing(conn: Connection, drug_id: int, codes: Sequence[str]) -> list[str]:
    """Those of the codes that exist."""
    return [r["code"] for r in await conn.fetch(EXISTING, drug_id, codes)]


async def origins(conn: Connection, drug_id: int, codes: Sequence[str]) -> dict[str, Record]:
    """Batch, file, bill and time of activation of codes."""
    return {r["code"]: r for r in await conn.fetch(ORIGIN, drug_id, list(codes))}
