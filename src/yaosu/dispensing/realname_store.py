"""SQL of the real-name part: the special register, and who buys often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# One row per product and batch of a bill, newest first; the bill's number and who pressed the button come along. A line
# that takes another back says which revision's, and why; the one it takes back says so.
REGISTER = """
SELECT u.bill_id, u.drug_id, u.batch_id, u.org, u.person, u.agent, u.qty, u.bill_type, u.codes, u.happened_at,
       u.corrects, o.revision AS corrects_revision, u.corrects IS NULL AND EXISTS (SELECT 1 FROM people.purchase x
           WHERE x.drug_id = u.drug_id AND x.corrects = u.bill_id AND x.batch_id = u.batch_id) AS taken_back,
       b.recorded_at, b.revision, coalesce(b.header ->> 'void_reason', b.header ->> 'correct_reason', '') AS reason,
       u.prescription_no, u.doctor, u.second_person, t.batch_no, t.produced_on, t.expires_on,
       b.bill_no, coalesce(a.name, '') AS seller
FROM people.purchase u
JOIN bill b ON b.owner = u.org AND b.id = u.bill_id
LEFT JOIN bill o ON o.owner = u.org AND o.id = u.corrects
LEFT JOIN batch t ON t.drug_id = u.drug_id AND t.id = u.batch_id
LEFT JOIN account a ON a.id = b.account_id
WHERE /*visible:org u.org*/
  AND ($1::timestamptz IS NULL OR u.happened_at >= $1) AND ($2::timestamptz IS NULL OR u.happened_at < $2)
  AND ($3::int[] IS NULL OR u.drug_id = ANY($3)) AND ($4::text = '' OR t.batch_no = $4)
  AND ($5::text = '' OR b.bill_no = $5) AND ($6::int IS NULL OR u.org = $6)
  AND ($7::bigint IS NULL OR u.person = $7 OR u.agent = $7)
  AND ($8::bigint IS NULL OR (u.bill_id, u.drug_id, u.batch_id) < ($8, $9, $10))
ORDER BY u.bill_id DESC, u.drug_id DESC, u.batch_id DESC LIMIT $11"""

# Every person's busiest stretch of `days` within what is looked at; a bill is one purchase, what was taken back none.
REPEATED = """
WITH bought AS (
    SELECT u.person, u.org, u.bill_id, u.happened_at, sum(u.qty) AS qty FROM people.purchase u
    WHERE /*visible:org u.org*/ AND u.person IS NOT NULL AND u.corrects IS NULL
      AND NOT EXISTS (SELECT 1 FROM people.purchase x
          WHERE x.drug_id = u.drug_id AND x.corrects = u.bill_id AND x.batch_id = u.batch_id)
      AND u.drug_id = ANY($1) AND u.happened_at >= $2
    GROUP BY 1, 2, 3, 4
), stretch AS (
    SELECT person, org, happened_at, qty, count(*) OVER w AS purchases, sum(qty) OVER w AS packages FROM bought
    WINDOW w AS (PARTITION BY person ORDER BY happened_at
                 RANGE BETWEEN make_interval(days => $3) PRECEDING AND CURRENT ROW)
)
SELECT person, max(purchases)::int AS purchases, max(packages)::int AS packages, count(DISTINCT org)::int AS shops,
       count(*)::int AS bills, sum(qty)::int AS total, min(happened_at) AS first_at, max(happened_at) AS last_at
FROM stretch GROUP BY person HAVING max(purchases) >= $4 OR max(packages) >= $5
ORDER BY max(happened_at) DESC LIMIT $6"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the register is asked for; None and '' mean everything. `person` is a people.person id."""

    since: datetime | None = None
    until: datetime | None = None
    drug_ids: Sequence[int] | None = None
    batch_no: str = ""
    bill_no: str = ""
    org: int | None = None
    person: int | None = None
    before: tuple[int, int, int] | None = None
    """(bill, product, batch) of the last row of the page before."""


@traced_read("real_name_register")
async def register(conn: Connection, sight: Sight, wanted: Wanted, limit: int) -> list[asyncpg.Record]:
    """Rows of the special register in sight, newest first."""
    before: tuple[Any, Any, Any] = wanted.before or (None, None, None)
    sql, args = sight.apply(
        REGISTER,
        wanted.since,
        wanted.until,
        list(wanted.drug_ids) if wanted.drug_ids is not None else None,
        wanted.batch_no,
        wanted.bill_no,
        wanted.org,
        wanted.person,
        *before,
        limit,
    )
    return await conn.fetch(sql, *args)


@traced_read("repeated_buying")
async def repeated(
    conn: Connection,
    sight: Sight,
    drug_ids: Sequence[int],
    since: datetime,
    days: int,
    purchases: int,
    packages: int,
    limit: int,
) -> list[asyncpg.Record]:
    """Persons who bought at least so often, or so much, within some stretch of `days` since `since`."""
    sql, args = sight.apply(REPEATED, list(drug_ids), since, days, purchases, packages, limit)
    return await conn.fetch(sql, *args)
