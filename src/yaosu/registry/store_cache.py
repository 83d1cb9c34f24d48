"""SQL of the resolver's cache: what to load at start and what to load after a change."""

from __future__ import annotations

from collections.abc import Sequence

from asyncpg import Record

from yaosu.db.engine import Connection

# everything when $1 is null, else the named ones: one statement serves start and refresh
ORGS = """
SELECT id, uscc, name, short_name, type, sub_type, region, parent_id, domestic_agent_id, status, place
FROM org WHERE $1::int[] IS NULL OR id = ANY ($1)"""

PRODUCTS = "SELECT * FROM product WHERE $1::int[] IS NULL OR id = ANY ($1)"

LEVELS = """
SELECT drug_id, level, name, contains, units_per, identifier, scheme
FROM package_level WHERE $1::int[] IS NULL OR drug_id = ANY ($1) ORDER BY drug_id, level"""

LINKS = "SELECT kind, value, drug_id, level FROM product_link WHERE $1::int[] IS NULL OR drug_id = ANY ($1)"

# withdrawn filings still resolve, since their boxes are still out there; only new requests are refused.
# The filing's own query address wins over the system's
PREFIXES = """
SELECT p.prefix, p.scheme, p.filing_id, p.system_id, p.drug_id, p.level, f.query_url
FROM code_prefix p JOIN filing f ON f.id = p.filing_id
WHERE $1::int[] IS NULL OR p.filing_id = ANY ($1)"""

SYSTEMS = "SELECT id, name, operator, query_url, own FROM trace_system"

CUSTOM_FILINGS = """
SELECT f.issuer, f.pattern, f.pattern_upper, o.name
FROM filing f JOIN org o ON o.id = f.org_id WHERE f.scheme = 'custom' ORDER BY f.id"""

LIST_ITEMS = """
SELECT DISTINCT ON (list, code, region, valid_from)
    list, code, region, valid_from, version, zh, en, source, valid_to, attrs
FROM code_list_item ORDER BY list, code, region, valid_from, version DESC"""

SNAPSHOT = "SELECT pg_current_snapshot()::text"

# exactly what the earlier snapshot did not show: a late commit is never missed, however late it comes;
# the comparison with xmin only lets the index skip what is long past. A snapshot does not list the transaction that
# took it, so one's own later work would look as if it had been seen: it is always read again.
CHANGES = """
SELECT DISTINCT kind, key FROM (
    SELECT kind, key FROM registry_change
    WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)
      AND (NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot) OR xid = pg_current_xact_id_if_assigned())
    LIMIT $2
) AS fresh"""

# readers reload in full after a longer break, so older changes tell nobody anything
PRUNE = "DELETE FROM registry_change WHERE at < now() - interval '1 day'"


async def snapshot(conn: Connection) -> str:
    """What is visible now, to ask later for what was not."""
    return str(await conn.fetchval(SNAPSHOT))


async def changes(conn: Connection, since: str, limit: int) -> Sequence[Record]:
    """What changed since the snapshot `since`, from at most `limit` change rows."""
    return await conn.fetch(CHANGES, since, limit)


async def prune(conn: Connection) -> None:
    """Forget changes older than a day."""
    await conn.execute(PRUNE)


async def load(conn: Connection, statement: str, ids: list[int] | None) -> Sequence[Record]:
    """Rows of one of the statements above, all of them or those of `ids`."""
    return await conn.fetch(statement, ids)


async def load_all(conn: Connection, statement: str) -> Sequence[Record]:
    """Rows of a statement that is always loaded whole."""
    return await conn.fetch(statement)
