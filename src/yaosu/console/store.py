"""SQL of the overview page."""

from __future__ import annotations

from typing import Any

from asyncpg import Record

from yaosu.access.reach import NEAR, ORGS, first_pages, newest
from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

EXPIRING_DAYS = 180
"""Stock that expires within this many days is near expiry (usual practice of GSP firms: six months)."""

# Stock in hand that expires soon, by product and batch, the soonest first.
EXPIRING = """
SELECT x.drug_id, x.batch_id, x.qty, t.batch_no, t.expires_on FROM balance x
JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
WHERE x.org = $1 AND x.status = 'I' AND x.qty > 0
    AND t.expires_on < (now() AT TIME ZONE 'Asia/Shanghai')::date + $2::int
    AND /*visible:holder x.org x.drug_id*/ ORDER BY t.expires_on, x.qty DESC LIMIT 8"""

# Boxes in the books by status, for one organisation.
STOCK = """
SELECT x.status, sum(x.qty)::bigint AS qty FROM balance x
WHERE x.org = $1 AND x.qty > 0 AND /*visible:holder x.org x.drug_id*/ GROUP BY x.status"""

# Bills with refused codes, newest first: over all of them, among the newest, and of the organisations of a region.
_REFUSALS = """
SELECT b.id, b.owner, b.bill_no, b.type, b.refused, b.lines, b.recorded_at FROM {source}
WHERE b.refused > 0 AND /*visible:bill b*/ ORDER BY b.id DESC LIMIT $1"""
REFUSALS = _REFUSALS.format(source="bill b")
# ungated: put into _REFUSALS, which carries the mark
REFUSALS_NEAR = _REFUSALS.format(source=f"(SELECT * FROM bill n ORDER BY n.id DESC LIMIT {NEAR}) b")  # noqa: S608
_PLACES = (
    "b.owner = u.org",
    "b.to_org = u.org AND b.to_org <> b.owner",
    "b.from_org = u.org AND b.from_org <> b.owner",
)
# ungated: put into _REFUSALS, which carries the mark
REFUSALS_REACHED = _REFUSALS.format(
    source="("
    + newest("bill b", "b.id", [(ORGS, way) for way in _PLACES], "b.refused > 0", "$1")
    + ") k JOIN bill b ON b.id = k.id"
)

# Bills recorded today.
BILLS_TODAY = """
SELECT count(*) AS bills, coalesce(sum(b.refused), 0)::bigint AS refused, coalesce(sum(b.qty), 0)::bigint AS qty
FROM bill b
WHERE b.id > (SELECT coalesce(max(m.id), 0) - 20000 FROM bill m)
    AND b.recorded_at >= date_trunc('day', now() AT TIME ZONE 'Asia/Shanghai') AT TIME ZONE 'Asia/Shanghai'
    AND /*visible:bill b*/"""

# Organisations in use by type, in the region of an authority.
ORGS_BY_TYPE = """
SELECT type, count(*) AS n FROM org WHERE status = 1 AND region LIKE $1 || '%' GROUP BY type ORDER BY type"""

# Organisations in use by city (or by province for the whole country).
ORGS_BY_REGION = """
SELECT rpad(left(region, $2), 6, '0') AS region, count(*) AS n FROM org
WHERE status = 1 AND region LIKE $1 || '%' GROUP BY 1 ORDER BY n DESC, 1 LIMIT 12"""


@traced_read("expiring stock")
async def expiring(conn: Connection, sight: Sight, org: int) -> list[Record]:
    """Stock of `org` near its expiry."""
    sql, args = sight.apply(EXPIRING, org, EXPIRING_DAYS)
    return await conn.fetch(sql, *args)


@traced_read("stock totals")
async def stock(conn: Connection, sight: Sight, org: int) -> dict[str, int]:
    """Boxes of `org` by status."""
    sql, args = sight.apply(STOCK, org)
    return {row["status"]: row["qty"] for row in await conn.fetch(sql, *args)}


@traced_read("recent refusals")
async def refusals(conn: Connection, sight: Sight, limit: int) -> list[Record]:
    """The latest bills on which codes were refused."""

    async def found(text: str) -> list[Record]:
        sql, args = sight.apply(text, limit)
        return await conn.fetch(sql, *args)

    return await first_pages(
        sight,
        limit,
        near=lambda: found(REFUSALS_NEAR),
        reached=lambda: found(REFUSALS_REACHED),
        whole=lambda: found(REFUSALS),
    )


@traced_read("bills today")
async def bills_today(conn: Connection, sight: Sight) -> dict[str, Any]:
    """How many bills were recorded today, with their boxes and refused codes."""
    sql, args = sight.apply(BILLS_TODAY)
    row = await conn.fetchrow(sql, *args)
    return dict(row) if row else {"bills": 0, "refused": 0, "qty": 0}


async def orgs_by_type(conn: Connection, region: str) -> list[Record]:
    """Organisations in use by type; `region` by leading digits. The directory is open to everyone signed in."""
    return await conn.fetch(ORGS_BY_TYPE, region)


async def orgs_by_region(conn: Connection, region: str) -> list[Record]:
    """Organisations in use by the next level of regions below `region`."""
    return await conn.fetch(ORGS_BY_REGION, region, min(len(region) + 2, 6))
