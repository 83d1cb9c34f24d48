"""SQL of the files room. Every row belongs to one organisation, and every query names it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection

PIECE = 4 << 20

_FILE = """id, org, account_id, received_at, way, state, kind, format, name, size, sha256, choices, job, repeats,
    summary, finished_at"""

# A file as received.
INSERT = f"""
INSERT INTO exchange_file (org, account_id, way, kind, format, name, size, sha256, choices)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {_FILE}"""  # noqa: S608 - constant columns

PUT_CHUNK = "INSERT INTO exchange_chunk (file_id, n, body) VALUES ($1, $2, $3)"
CHUNK = "SELECT body FROM exchange_chunk WHERE file_id = $1 AND n = $2"

# One file of the own organisation.
GET = f"SELECT {_FILE} FROM exchange_file WHERE id = $1 AND org = $2 AND state <> 'dropped'"  # noqa: S608

# The same, held while its choices are added to: two people may answer at once.
HELD = f"{GET} FOR UPDATE"

# Own files, newest first.
LIST = f"""
SELECT {_FILE} FROM exchange_file
WHERE org = $1 AND state <> 'dropped' AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"""  # noqa: S608

# The same bytes before: the finished one first, then an open one.
SAME = f"""
SELECT {_FILE} FROM exchange_file WHERE org = $1 AND sha256 = $2 AND state <> 'dropped'
ORDER BY (state = 'done') DESC, id DESC LIMIT 1"""  # noqa: S608

# When these bytes first came: the time of bills that name none.
FIRST_AT = "SELECT min(received_at) FROM exchange_file WHERE org = $1 AND sha256 = $2"

CHOOSE = "UPDATE exchange_file SET choices = $3 WHERE id = $1 AND org = $2 AND state = 'preview' RETURNING id"
SENDING = """
UPDATE exchange_file SET state = 'sending', job = coalesce($3, job)
WHERE id = $1 AND org = $2 AND state IN ('preview', 'sending') RETURNING id"""
FINISH = """
UPDATE exchange_file SET state = 'done', summary = $3, repeats = $4, finished_at = now()
WHERE id = $1 AND org = $2 RETURNING id"""
DROP = (
    "UPDATE exchange_file SET state = 'dropped' WHERE id = $1 AND org = $2 AND state = 'preview' RETURNING id"
)

# Previews that nobody confirmed within a week, and dropped ones: their bytes, then they themselves.
SWEEP_OLD = """
SELECT id FROM exchange_file WHERE state = 'dropped' OR (state = 'preview' AND received_at < now() - interval '7 days')
LIMIT 500"""
SWEEP_CHUNKS = "DELETE FROM exchange_chunk WHERE file_id = ANY($1::bigint[])"
SWEEP_FILES = "DELETE FROM exchange_file WHERE id = ANY($1::bigint[]) AND state IN ('preview', 'dropped')"

# The result of one bill of a file. Written once; a second try after a crash finds it.
PUT_BILL = """
INSERT INTO exchange_file_bill
    (file_id, n, bill_no, type, bill_id, status, lines, accepted, refused, ignored, error, answer)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (file_id, n) DO NOTHING"""
DONE_BILLS = "SELECT n FROM exchange_file_bill WHERE file_id = $1"
TOTALS = """
SELECT count(*) FILTER (WHERE n > 0)::int AS bills, coalesce(sum(lines), 0)::int AS lines,
    coalesce(sum(accepted), 0)::int AS accepted, coalesce(sum(refused), 0)::int AS refused,
    coalesce(sum(ignored), 0)::int AS ignored,
    (count(*) FILTER (WHERE n > 0 AND status IN ('refused', 'partial')))::int AS bills_refused
FROM exchange_file_bill WHERE file_id = $1"""
BILLS = """
SELECT n, bill_no, type, bill_id, status, lines, accepted, refused, ignored, error FROM exchange_file_bill
WHERE file_id = $1 AND n > $2 ORDER BY n LIMIT $3"""
ANSWER = """
SELECT n, bill_no, type, bill_id, status, error, answer FROM exchange_file_bill
WHERE file_id = $1 AND n > $2 ORDER BY n LIMIT 1"""

# Who works on a file now: held for as long as the session lasts, given back by itself when it dies.
LOCK = "SELECT pg_try_advisory_lock(723, ($1::bigint % 2147483647)::int)"
UNLOCK = "SELECT pg_advisory_unlock(723, ($1::bigint % 2147483647)::int)"

# What bills of these numbers said before: times of bills whose file names none.
# ungated: the caller's own bills by their numbers; only their time is read, to write the same bill again
KNOWN_TIMES = """
SELECT bill_no, happened_at FROM bill WHERE owner = $1 AND bill_no = ANY($2::text[]) AND revision = 1"""

# Partners as the firm's files call them.
PARTNERS = "SELECT name_norm, partner FROM exchange_partner WHERE org = $1 AND name_norm = ANY($2::text[])"
ALL_PARTNERS = """
SELECT name_norm, shown, partner, made_at FROM exchange_partner WHERE org = $1 AND name_norm > $2
ORDER BY name_norm LIMIT $3"""
REMEMBER = """
INSERT INTO exchange_partner (org, name_norm, shown, partner, made_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org, name_norm) DO UPDATE SET partner = $4, shown = $3, made_by = $5, made_at = now()"""
FORGET = "DELETE FROM exchange_partner WHERE org = $1 AND name_norm = $2 RETURNING partner"

# Folders that the server watches.
FOLDER = "SELECT org, path, active, set_at, looked_at, note FROM exchange_folder WHERE org = $1"
FOLDERS = "SELECT org, path, active, set_at, looked_at, note FROM exchange_folder WHERE active ORDER BY org"
SET_FOLDER = """
INSERT INTO exchange_folder (org, path, active, set_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (org) DO UPDATE SET path = $2, active = $3, set_by = $4, set_at = now(), note = ''
RETURNING org, path, active, set_at, looked_at, note"""
LOOKED = "UPDATE exchange_folder SET looked_at = now(), note = $2 WHERE org = $1"


async def put_body(conn: Connection, file_id: int, data: bytes) -> None:
    """Keep a file's bytes."""
    for n, at in enumerate(range(0, len(data), PIECE)):
        await conn.execute(PUT_CHUNK, file_id, n, zlib.compress(data[at : at + PIECE], 1))


async def body(conn: Connection, file_id: int) -> AsyncIterator[bytes]:
    """A file's bytes, piece by piece."""
    n = 0
    while (piece := await conn.fetchval(CHUNK, file_id, n)) is not None:
        yield zlib.decompress(piece)
        n += 1


async def whole(conn: Connection, file_id: int) -> bytes:
    """A file's bytes."""
    return b"".join([piece async for piece in body(conn, file_id)])


async def get(conn: Connection, org: int, file_id: int) -> Record | None:
    """One file."""
    found: Record | None = await conn.fetchrow(GET, file_id, org)
    return found


def as_dict(row: Record) -> dict[str, Any]:
    """A row's columns."""
    return dict(row)
