"""SQL of filings, prefixes and trace systems."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.registry import rows
from yaosu.registry.drafts import FilingDraft
from yaosu.registry.model import Filing, TraceSystem

_FULL = """
SELECT f.*, coalesce((SELECT array_agg(p.prefix ORDER BY p.prefix) FROM code_prefix p WHERE p.filing_id = f.id),
    '{}') AS prefixes
FROM filing f """

BY_ID = _FULL + "WHERE f.id = $1"

VERSION = "SELECT version, org_id FROM filing WHERE id = $1 FOR UPDATE"

# an organisation's own filings when $2 is given
PAGE = _FULL + "WHERE f.id > $1 AND ($2::int IS NULL OR f.org_id = $2) ORDER BY f.id LIMIT $3"

INSERT = """
INSERT INTO filing (org_id, scheme, rule_text, pattern, pattern_upper, issuer, samples, system_id, query_url,
    filed_on, filing_no, status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id"""

UPDATE = """
UPDATE filing SET org_id = $2, scheme = $3, rule_text = $4, pattern = $5, pattern_upper = $6, issuer = $7,
    samples = $8, system_id = $9, query_url = $10, filed_on = $11, filing_no = $12, status = $13,
    version = version + 1, updated_at = now()
WHERE id = $1 RETURNING version"""

# with what a wanted prefix collides, and whose filing that is
TAKEN = """
SELECT p.prefix, p.filing_id, o.id AS org_id, o.name AS org_name, s.name AS system_name
FROM code_prefix p JOIN filing f ON f.id = p.filing_id JOIN org o ON o.id = f.org_id
JOIN trace_system s ON s.id = p.system_id WHERE p.prefix = ANY ($1) AND p.filing_id <> $2 ORDER BY p.prefix"""

# other enterprises' patterns, to try their samples on the new one and the other way round
PATTERNS = """
SELECT f.id, f.issuer, f.pattern, f.pattern_upper, f.samples, o.name AS org_name
FROM filing f JOIN org o ON o.id = f.org_id WHERE f.scheme = 'custom' AND f.id <> $1 ORDER BY f.id"""

DROP_PREFIXES = "DELETE FROM code_prefix WHERE filing_id = $1 AND NOT (prefix = ANY ($2))"

# a kept prefix moves with its filing to another system; a new one finds its product by the level's identifier
PUT_PREFIXES = """
INSERT INTO code_prefix (prefix, scheme, filing_id, system_id, drug_id, level)
SELECT w.prefix, $2, $3, $4, l.drug_id, l.level
FROM unnest($1::text[]) AS w (prefix) LEFT JOIN package_level l ON l.identifier = w.prefix
ON CONFLICT (prefix) DO UPDATE SET system_id = excluded.system_id, scheme = excluded.scheme"""

# products on prefixes that are about to be dropped
IN_USE = """
SELECT p.prefix, p.drug_id, d.generic_name FROM code_prefix p JOIN product d ON d.id = p.drug_id
WHERE p.filing_id = $1 AND NOT (p.prefix = ANY ($2)) ORDER BY p.prefix"""

# in force, filed for our own system, and whose
FILED = """
SELECT p.prefix, f.id AS filing_id, f.org_id, f.status, s.own, s.name AS system_name, s.query_url
FROM code_prefix p JOIN filing f ON f.id = p.filing_id JOIN trace_system s ON s.id = p.system_id
WHERE p.prefix = $1"""

SYSTEMS = "SELECT id, name, operator, query_url, own FROM trace_system ORDER BY own DESC, id"

SYSTEM = "SELECT id, name, operator, query_url, own FROM trace_system WHERE id = $1"

PUT_SYSTEM = """
INSERT INTO trace_system (name, operator, query_url) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET operator = excluded.operator, query_url = excluded.query_url
RETURNING id, name, operator, query_url, own"""


def values(draft: FilingDraft) -> tuple[object, ...]:
    """Parameters of `INSERT`, and of `UPDATE` after the id."""
    return (
        draft.org_id,
        draft.scheme,
        draft.rule_text,
        draft.pattern,
        draft.pattern_upper,
        draft.issuer,
        list(draft.samples),
        draft.system_id,
        draft.query_url,
        draft.filed_on,
        draft.filing_no,
        draft.status,
    )


async def one(conn: Connection, filing_id: int) -> Filing | None:
    """The filing with its prefixes, or None."""
    row = await conn.fetchrow(BY_ID, filing_id)
    return rows.filing(row) if row is not None else None


async def page(conn: Connection, after: int, org_id: int | None, limit: int) -> list[Filing]:
    """Filings after the number `after`."""
    return [rows.filing(r) for r in await conn.fetch(PAGE, after, org_id, limit)]


async def taken(conn: Connection, prefixes: Sequence[str], apart_from: int) -> Sequence[Record]:
    """Filed prefixes among `prefixes`, apart from those of one filing."""
    return await conn.fetch(TAKEN, list(prefixes), apart_from)


async def put_prefixes(conn: Connection, filing_id: int, draft: FilingDraft, prefixes: Sequence[str]) -> None:
    """Make the filing have exactly `prefixes`."""
    await conn.execute(DROP_PREFIXES, filing_id, list(prefixes))
    await conn.execute(PUT_PREFIXES, list(prefixes), draft.scheme, filing_id, draft.system_id)


async def systems(conn: Connection) -> list[TraceSystem]:
    """All trace systems, ours first."""
    return [rows.system(r) for r in await conn.fetch(SYSTEMS)]
