"""SQL of the flow view: who shipped what to whom, of one product, as far as each shipper lets it be seen (R-B10).

Columns of the parties and numbers of bills are dropped in the statement itself for shippers whose fields do not include
them, and rows that differ only there become one: what was not granted does not leave the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

REVERSAL = 8
BILLS_SHOWN = 20

# Goods sent (to O), taken back by a correction (O to stock by a reversal), used up (to S) and taken back from use.
# A warehouse or ward counts as the organisation it belongs to; what moves inside one organisation is no flow.
_MOVED = f"""
SELECT m.shipper, m.batch_id, m.type, m.id, m.bill_no, m.happened_at, m.used, m.qty,
    CASE WHEN NOT m.used AND m.shipper = ANY ($4::int[]) THEN m.customer END AS receiver
FROM (SELECT CASE WHEN s.place THEN s.parent_id ELSE s.id END AS shipper,
        CASE WHEN c.place THEN c.parent_id ELSE c.id END AS customer, e.batch_id, b.type, b.id, b.bill_no,
        b.happened_at, ('S' IN (e.from_status, e.to_status)) AS used,
        CASE WHEN e.to_status IN ('O', 'S') THEN e.qty ELSE -e.qty END AS qty
    FROM entry e JOIN bill b ON b.id = e.bill_id JOIN org s ON s.id = e.from_org LEFT JOIN org c ON c.id = b.to_org
    WHERE e.drug_id = $1 AND e.from_org = ANY ($2::int[]) AND /*visible:holder e.from_org e.drug_id*/
        AND ($3::int[] IS NULL OR e.batch_id = ANY ($3))
        AND ((b.flags & {REVERSAL} = 0 AND (e.to_status = 'S' OR (e.to_status = 'O' AND e.from_status <> 'O')
                OR (e.from_status = 'S' AND e.to_status <> 'S')))
            OR (b.flags & {REVERSAL} <> 0 AND ('S' IN (e.from_status, e.to_status)
                OR (e.from_status = 'O' AND e.to_org = e.from_org))))) m
WHERE (m.used OR m.customer IS DISTINCT FROM m.shipper)"""  # noqa: S608 - constants

# One line per shipper, customer (where it may be known), batch, kind of bill and day.
FLOW = f"""
WITH moved AS ({_MOVED} AND m.happened_at >= $6 AND m.happened_at < $7)
SELECT m.shipper, m.receiver, m.used, m.batch_id, t.batch_no, m.type,
    (m.happened_at AT TIME ZONE 'Asia/Shanghai')::date AS day, sum(m.qty)::bigint AS qty,
    CASE WHEN m.shipper = ANY ($5::int[])
        THEN (array_agg(m.id ORDER BY m.id) FILTER (WHERE m.qty > 0))[1:{BILLS_SHOWN}] END AS bill_ids,
    CASE WHEN m.shipper = ANY ($5::int[])
        THEN (array_agg(m.bill_no ORDER BY m.id) FILTER (WHERE m.qty > 0))[1:{BILLS_SHOWN}] END AS bill_nos
FROM moved m JOIN batch t ON t.drug_id = $1 AND t.id = m.batch_id LEFT JOIN org r ON r.id = m.receiver
WHERE $8::text = '' OR starts_with(r.region::text, $8)
GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(m.qty) <> 0
ORDER BY day DESC, m.shipper, m.receiver NULLS LAST, m.batch_id, m.type LIMIT $9"""  # noqa: S608 - constants

# To whom goods went at all until then: where the next look goes. Names only where they may be known.
CUSTOMERS = f"""
SELECT m.receiver, sum(m.qty)::bigint AS qty FROM ({_MOVED} AND m.happened_at < $5) m
WHERE m.receiver IS NOT NULL AND NOT m.used GROUP BY m.receiver HAVING sum(m.qty) > 0
ORDER BY qty DESC LIMIT $6"""  # noqa: S608 - constants

# Batches of one number.
# ungated: a batch number is printed on every box
BATCH_IDS = "SELECT id FROM batch WHERE drug_id = $1 AND batch_no = $2"

# Invitations that wait for an answer, so that nobody is asked twice.
INVITED = """
SELECT DISTINCT g.grantor_org FROM data_grant g
WHERE g.grantee_org = ANY ($1::int[]) AND g.grantor_org = ANY ($2::int[]) AND g.accepted_at IS NULL
    AND g.withdrawn_at IS NULL AND g.declined_at IS NULL AND (g.until IS NULL OR g.until > now())"""


@dataclass(frozen=True, slots=True)
class FlowRow:
    """Goods of one batch that one organisation sent or used on one day; `qty` in smallest packages."""

    shipper: int
    receiver: int | None
    """None: used up, or not to be known."""
    used: bool
    batch_id: int
    batch_no: str
    type: int
    day: date
    qty: int
    bill_ids: list[int] | None
    """None: not to be known."""
    bill_nos: list[str] | None


@traced_read("trace.flow")
async def flow(
    conn: Connection,
    sight: Sight,
    drug_id: int,
    accounts: Sequence[int],
    batches: Sequence[int] | None,
    with_parties: Sequence[int],
    with_bills: Sequence[int],
    period: tuple[datetime, datetime],
    region: str,
    limit: int,
) -> list[FlowRow]:
    """Lines of these accounts (organisations and their places), newest day first.

    `region`: leading digits of the customer's; lines without a known customer fall out.
    """
    sql, args = sight.apply(
        FLOW, drug_id, list(accounts), list(batches) if batches is not None else None, list(with_parties),
        list(with_bills), *period, region, limit,
    )  # fmt: skip
    return [FlowRow(*row.values()) for row in await conn.fetch(sql, *args)]


@traced_read("trace.flow_customers")
async def customers(
    conn: Connection,
    sight: Sight,
    drug_id: int,
    accounts: Sequence[int],
    batches: Sequence[int] | None,
    shippers: Sequence[int],
    until: datetime,
    limit: int,
) -> dict[int, int]:
    """Smallest packages by customer that these shippers, whose customers may be known, sent until then."""
    sql, args = sight.apply(
        CUSTOMERS,
        drug_id,
        list(accounts),
        list(batches) if batches is not None else None,
        list(shippers),
        until,
        limit,
    )
    return {row["receiver"]: row["qty"] for row in await conn.fetch(sql, *args)}


async def batch_ids(conn: Connection, drug_id: int, batch_no: str) -> list[int]:
    """Batches of the product with that number."""
    return [row["id"] for row in await conn.fetch(BATCH_IDS, drug_id, batch_no)]


async def invited(conn: Connection, us: Sequence[int], orgs: Sequence[int]) -> set[int]:
    """Those of `orgs` that were asked for a grant and have not answered."""
    return {row["grantor_org"] for row in await conn.fetch(INVITED, list(us), list(orgs))}
