"""SQL of the public's query page. Anonymous: a fixed, minimal set of columns; no quantity, no intermediate firm,
no person (standards §7, R-G1). The query count is the only thing this room writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from yaosu.db.engine import Connection
from yaosu.trace.model import DEPTH_MAX

# One code: its batch's dates, the state of the outermost package around it, and who sold it, if it was sold. The
# holder leaves the query only for status S, where the standard shows the pharmacy or hospital that sold it.
PUBLIC_UNIT = f"""
WITH RECURSIVE up AS (
    SELECT 0 AS depth, u.drug_id, u.level, u.batch_id, u.parent, u.status, u.holder, u.since
    FROM unit u WHERE u.drug_id = $1 AND u.code = $2
    UNION ALL
    SELECT up.depth + 1, up.drug_id, up.level, up.batch_id, u.parent, u.status, u.holder, u.since
    FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
    WHERE up.depth < {DEPTH_MAX}
)
SELECT up.level, up.status, CASE WHEN up.status = 'S' THEN up.holder END AS sold_by,
    CASE WHEN up.status = 'S' THEN up.since END AS sold_at, b.batch_no, b.produced_on, b.expires_on,
    coalesce(q.count, 0) AS queries, q.first_at
FROM up
LEFT JOIN batch b ON b.drug_id = up.drug_id AND b.id = up.batch_id
LEFT JOIN public_query_count q ON q.drug_id = $1 AND q.code = $2
ORDER BY up.depth DESC LIMIT 1"""  # noqa: S608 -- only constants are put in

# 是否向消费者公开: asked only of a code that is under recall.
RECALL_PUBLIC = "SELECT is_public FROM recall_order WHERE id = $1"

# Many queries at once, in key order so that two servers do not wait for each other crosswise.
COUNT_QUERIES = """
INSERT INTO public_query_count AS q (drug_id, code, first_at, last_at, count)
SELECT drug_id, code, first_at, last_at, count
FROM unnest($1::int[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::int[])
    AS v(drug_id, code, first_at, last_at, count)
ON CONFLICT (drug_id, code) DO UPDATE SET count = q.count + excluded.count,
    first_at = least(q.first_at, excluded.first_at), last_at = greatest(q.last_at, excluded.last_at)"""


@dataclass(frozen=True, slots=True)
class PublicUnit:
    """What the public may know of one code. `sold_by` is an organisation, only for what was sold."""

    level: int
    status: str
    sold_by: int | None
    sold_at: datetime | None
    batch_no: str | None
    produced_on: date | None
    expires_on: date | None
    queries: int
    first_at: datetime | None


@dataclass(slots=True)
class Tally:
    """Queries of one code that are not written yet."""

    first_at: datetime
    last_at: datetime
    count: int = 1


async def public_unit(conn: Connection, drug_id: int, code: str) -> PublicUnit | None:
    """The unit as the public may know it; None when there is none."""
    row = await conn.fetchrow(PUBLIC_UNIT, drug_id, code)
    return PublicUnit(*row.values()) if row is not None else None


async def recall_is_public(conn: Connection, order_id: int) -> bool:
    """Whether consumers may know of a recall."""
    return bool(await conn.fetchval(RECALL_PUBLIC, order_id))


async def count_queries(conn: Connection, rows: Sequence[tuple[tuple[int, str], Tally]]) -> None:
    """Add queries to the counts; rows sorted by key."""
    await conn.execute(
        COUNT_QUERIES,
        [key[0] for key, _ in rows],
        [key[1] for key, _ in rows],
        [t.first_at for _, t in rows],
        [t.last_at for _, t in rows],
        [t.count for _, t in rows],
    )
