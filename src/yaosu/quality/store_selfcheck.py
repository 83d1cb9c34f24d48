"""SQL of self-check tables. A regulator sees what was filed in its region, never a draft."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight
from yaosu.db.engine import Connection

_COLUMNS = """s.id, s.org, s.kind, s.state, s.checked_on, s.firm, s.address, s.filler, s.contact, s.created_at,
    s.signed_by, s.signed_name, s.signed_at, s.content_hash, s.filed_at, s.regulator"""
ADD = """
INSERT INTO quality_selfcheck (org, kind, checked_on, firm, address, contact, filler, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""
ADD_ITEM = "INSERT INTO quality_selfcheck_item (selfcheck_id, code, n) VALUES ($1, $2, $3)"
ORG = "SELECT name, address, contact_name, contact_phone FROM org WHERE id = $1"
LOCK = "SELECT id, state, kind FROM quality_selfcheck WHERE id = $1 AND org = $2 FOR UPDATE"
ONE = f"""
SELECT {_COLUMNS} FROM quality_selfcheck s
WHERE /*visible:org s.org*/ AND s.id = $1 AND ($2 OR s.state = 'filed')"""  # noqa: S608 -- constants only
MANY = f"""
SELECT {_COLUMNS}, o.name AS org_name FROM quality_selfcheck s JOIN org o ON o.id = s.org
WHERE /*visible:org s.org*/ AND s.id < $1 AND ($2 OR s.state = 'filed') AND ($3::int IS NULL OR s.org = $3)
ORDER BY s.id DESC LIMIT $4"""  # noqa: S608 -- constants only
ITEMS = """
SELECT code, n, answer, done_on, remark, evidence FROM quality_selfcheck_item WHERE selfcheck_id = $1 ORDER BY n"""
SET_ITEM = """
UPDATE quality_selfcheck_item SET answer = $3, done_on = $4, remark = $5 WHERE selfcheck_id = $1 AND code = $2
RETURNING code"""
SET_HEAD = "UPDATE quality_selfcheck SET checked_on = $2, filler = $3, contact = $4 WHERE id = $1"
KEEP_EVIDENCE = "UPDATE quality_selfcheck_item SET evidence = $3 WHERE selfcheck_id = $1 AND code = $2"
SIGN = """
UPDATE quality_selfcheck SET state = 'signed', signed_by = $2, signed_name = $3, signed_at = $4, content_hash = $5
WHERE id = $1"""
FILE = """
UPDATE quality_selfcheck SET state = 'filed', filed_at = now(), filed_by = $2, regulator = $3 WHERE id = $1"""
# Drug regulators (list org_sub_type, 1101), and authorities that say no more of themselves; health and insurance
# authorities of the same place answer neither tables nor clues.
REGULATORS = """
SELECT id, region::text AS region FROM org WHERE type = 110 AND status = 1 AND coalesce(sub_type, 1101) = 1101
ORDER BY id"""


async def one(conn: Connection, sight: Sight, number: int) -> Record | None:
    """One table."""
    sql, args = sight.apply(ONE, number, sight.kind != "regulator")
    return await conn.fetchrow(sql, *args)


async def many(conn: Connection, sight: Sight, before: int, org: int | None, limit: int) -> list[Record]:
    """Tables, newest first."""
    sql, args = sight.apply(MANY, before, sight.kind != "regulator", org, limit)
    return await conn.fetch(sql, *args)


async def regulators(conn: Connection) -> list[Record]:
    """Regulators on the platform, with their regions."""
    return await conn.fetch(REGULATORS)
