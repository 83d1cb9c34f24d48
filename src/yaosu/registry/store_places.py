"""SQL of places: their rows in the directory, and what stands in them by the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection
from yaosu.registry import rows
from yaosu.registry.model import Org

# statuses of goods somebody must still answer for: on hand, opened, in quarantine, uncoded, on the way out
OCCUPIED = ("A", "I", "D", "Q", "U", "O")

INSERT = """
INSERT INTO org (other_id_kind, other_id, name, name_norm, short_name, type, sub_type, region, address, parent_id,
    place) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, true) RETURNING *"""

# processes keep in memory whose bills are routed to other systems, places included (yaosu.notify.routed)
RAISE_ROUTES = "UPDATE route_version SET version = version + 1"

# under lock: the emptiness that was looked at must still hold when the place closes
FOR_UPDATE = "SELECT * FROM org WHERE id = $1 AND parent_id = $2 AND place FOR UPDATE"

# places are never deleted, so their count is the last number given
COUNT = "SELECT count(*)::int FROM org WHERE parent_id = $1 AND place"

SAME_NAME = """
SELECT count(*)::int FROM org WHERE parent_id = $1 AND place AND status = 1 AND name_norm = $2 AND id <> $3"""

SET_STATUS = """
UPDATE org SET status = $2, version = version + 1, updated_at = now() WHERE id = $1 RETURNING *"""

# Smallest packages by place and status.
STOCK = """
SELECT x.org, x.status, sum(x.qty)::bigint AS qty, count(DISTINCT x.drug_id)::int AS products FROM balance x
WHERE /*visible:holder x.org x.drug_id*/ AND x.org = ANY($1::int[]) AND x.qty > 0 AND x.status = ANY($2::text[])
GROUP BY 1, 2"""

# What is on its way to a place.
COMING = """
SELECT n.to_org, sum(n.expected - n.received - n.quarantined - n.refused)::bigint AS qty FROM notice n
WHERE /*visible:parties n.to_org*/ AND n.to_org = ANY($1::int[]) AND n.state IN ('open', 'part') GROUP BY 1"""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the ledger says of one place, in smallest packages."""

    by_status: dict[str, int]
    coming: int
    products: int
    """Different products on hand."""

    @property
    def empty(self) -> bool:
        """Whether nobody must answer for goods there, and none are on their way to it."""
        return not self.by_status and not self.coming


NOTHING = Holding({}, 0, 0)


async def one(conn: Connection, statement: str, *values: object) -> Org | None:
    """The organisation a statement of this file finds, or None."""
    row = await conn.fetchrow(statement, *values)
    return rows.org(row) if row is not None else None


@traced_read("stock of places")
async def holdings(conn: Connection, sight: Sight, orgs: list[int]) -> dict[int, Holding]:
    """What stands in the places, and what is on its way to them; only those the reader sees."""
    found: dict[int, Holding] = {}
    sql, args = sight.apply(STOCK, orgs, list(OCCUPIED))
    for row in await conn.fetch(sql, *args):
        old = found.get(row["org"], NOTHING)
        products = row["products"] if row["status"] == "I" else old.products
        found[row["org"]] = Holding({**old.by_status, row["status"]: row["qty"]}, 0, products)
    sql, args = sight.apply(COMING, orgs)
    for row in await conn.fetch(sql, *args):
        old = found.get(row["to_org"], NOTHING)
        found[row["to_org"]] = Holding(old.by_status, row["qty"], old.products)
    return found
