"""SQL of the 专用账册: what each bill did to a product in some places, in preparation units and packages.

Whole packages count by the ledger's entries (accounts A, I, Q), opened ones by their split entries: opening moves a
package out of the whole ones and its content in, dispensing takes preparation units out. An opened box that goes to
quarantine and on moves with what is left in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Preparation units and packages by bill, place and batch. $3: preparation units in one package. A line that takes
# another back names the same patient and prescription, the revision it takes back, and why.
CHANGES = """
WITH posted AS (
    SELECT e.to_org AS org, e.bill_id, e.batch_id, e.to_status AS status, e.qty FROM entry e
    WHERE e.to_org = ANY($1::int[]) AND e.drug_id = $2
    UNION ALL
    SELECT e.from_org, e.bill_id, e.batch_id, e.from_status, -e.qty FROM entry e
    WHERE e.from_org = ANY($1::int[]) AND e.drug_id = $2
), whole AS (
    SELECT p.org, p.bill_id, p.batch_id,
        $3::int * coalesce(sum(p.qty) FILTER (WHERE p.status IN ('A', 'I', 'Q')), 0) AS units,
        coalesce(sum(p.qty) FILTER (WHERE p.status IN ('A', 'I', 'Q', 'D')), 0) AS packages
    FROM posted p GROUP BY 1, 2, 3
), split AS (
    SELECT b.owner AS org, s.bill_id, u.batch_id,
        sum(CASE WHEN s.kind IN ('open', 'return') THEN s.qty ELSE -s.qty END) AS units, 0 AS packages
    FROM split_entry s JOIN bill b ON b.id = s.bill_id AND b.owner = ANY($1::int[])
    JOIN unit u ON u.drug_id = s.drug_id AND u.code = s.code
    WHERE s.drug_id = $2 GROUP BY 1, 2, 3
), moved AS (
    SELECT k.org, l.bill_id, l.batch_id, l.pre, l.post,
        k.unit_left - coalesce((SELECT sum(CASE WHEN s.kind = 'return' THEN s.qty ELSE -s.qty END) FROM split_entry s
            WHERE s.drug_id = l.drug_id AND s.code = l.code AND s.kind <> 'open' AND s.bill_id > l.bill_id), 0) AS held
    FROM split_pack k JOIN bill_line l ON l.drug_id = k.drug_id AND l.code = k.code AND l.bill_id > k.opened_bill
    WHERE k.drug_id = $2 AND k.org = ANY($1::int[]) AND NOT EXISTS (SELECT 1 FROM split_entry s
        WHERE s.drug_id = l.drug_id AND s.code = l.code AND s.bill_id = l.bill_id)
), opened AS (
    SELECT m.org, m.bill_id, m.batch_id,
        (CASE WHEN m.post IN ('A', 'I', 'Q') THEN m.held - $3::int WHEN m.post = 'D' THEN m.held ELSE 0 END
        - CASE WHEN m.pre IN ('A', 'I', 'Q') THEN m.held - $3::int WHEN m.pre = 'D' THEN m.held ELSE 0 END) AS units,
        0 AS packages
    FROM moved m
), change AS (
    SELECT c.org, c.bill_id, c.batch_id, sum(c.units)::bigint AS units, sum(c.packages)::bigint AS packages
    FROM (SELECT * FROM whole UNION ALL SELECT * FROM split UNION ALL SELECT * FROM opened) c
    GROUP BY 1, 2, 3 HAVING sum(c.units) <> 0 OR sum(c.packages) <> 0
)
SELECT c.org, c.bill_id, c.batch_id, t.batch_no, c.units, c.packages, b.happened_at, b.bill_no, b.type,
    b.flags & 8 <> 0 AS reversal, b.revision, o.revision AS corrects, b.recorded_at,
    CASE WHEN b.revision = 1 THEN ''
        ELSE coalesce(b.header->>'void_reason', b.header->>'correct_reason', '') END AS reason,
    b.from_org, b.to_org, b.owner, b.header->>'second_person' AS checker,
    b.header->>'department' AS department, coalesce(h.name, '') AS handler, x.patient, x.number AS prescription,
    x.doctor, (SELECT string_agg(n.name, '、' ORDER BY f.confirmed_at) FROM narcotic_act a
        JOIN narcotic_confirmation f ON f.act_id = a.id JOIN account n ON n.id = f.account_id
        WHERE a.bill_id = c.bill_id) AS confirmed
FROM change c JOIN bill b ON b.id = c.bill_id JOIN batch t ON t.drug_id = $2 AND t.id = c.batch_id
LEFT JOIN account h ON h.id = b.account_id
LEFT JOIN bill o ON b.flags & 8 <> 0 AND o.owner = b.owner AND o.id = b.replaces
LEFT JOIN narcotic_dispensing d ON d.drug_id = $2 AND d.batch_id = c.batch_id
    AND d.bill_id = CASE WHEN b.flags & 8 <> 0 THEN b.replaces ELSE c.bill_id END
LEFT JOIN narcotic_prescription x ON x.id = d.prescription_id
WHERE /*visible:org c.org*/ AND b.happened_at < $4
ORDER BY b.happened_at, c.bill_id, c.units DESC, t.batch_no"""

# Codes of the lines, at most so many each.
CODES = """
SELECT l.bill_id, l.batch_id, array_agg(l.code ORDER BY l.code) AS codes FROM bill_line l
JOIN bill b ON b.id = l.bill_id WHERE l.drug_id = $1 AND l.bill_id = ANY($2::bigint[]) AND /*visible:bill b*/
GROUP BY 1, 2"""

# What the books say now: the accounts, and the content of opened boxes instead of whole ones.
BOOKED = """
SELECT s.org, s.drug_id, s.batch_id, t.batch_no, t.expires_on, sum(s.packages)::int AS packages,
    sum(s.opened)::int AS opened, sum(s.whole)::int AS whole, sum(s.units)::int AS units
FROM (
    SELECT x.org, x.drug_id, x.batch_id, x.qty AS packages, 0 AS opened,
        CASE WHEN x.status = 'D' THEN 0 ELSE x.qty END AS whole, 0 AS units
    FROM balance x WHERE x.org = ANY($1::int[]) AND x.drug_id = ANY($2::int[]) AND x.status IN ('A', 'I', 'Q', 'D')
        AND x.qty > 0 AND /*visible:org x.org*/
    UNION ALL
    SELECT k.org, k.drug_id, k.batch_id, 0, 1, CASE WHEN u.status = 'D' THEN 0 ELSE -1 END, k.unit_left
    FROM split_pack k JOIN unit u ON u.drug_id = k.drug_id AND u.code = k.code
    WHERE k.org = ANY($1::int[]) AND k.drug_id = ANY($2::int[]) AND u.holder = k.org AND /*visible:org k.org*/
        AND u.status IN ('A', 'I', 'Q', 'D')) s
JOIN batch t ON t.drug_id = s.drug_id AND t.id = s.batch_id
GROUP BY 1, 2, 3, 4, 5 HAVING sum(s.packages) <> 0 ORDER BY 1, 2, 5, 4"""

# Whether the reader may see an organisation's books as a whole: its own, its places', its region's.
MAY_SEE = "SELECT coalesce((SELECT /*visible:org o.id*/ FROM org o WHERE o.id = $1), false)"


@traced_read("narcotic register")
async def changes(
    conn: Connection, sight: Sight, orgs: Sequence[int], drug_id: int, per: int, before: datetime
) -> list[Record]:
    """What each bill before the moment did to the product in these places, in the order it happened."""
    sql, args = sight.apply(CHANGES, list(orgs), drug_id, per, before)
    return await conn.fetch(sql, *args)


@traced_read("narcotic register codes")
async def codes(
    conn: Connection, sight: Sight, drug_id: int, bills: Sequence[int]
) -> dict[tuple[int, int], list[str]]:
    """Scanned codes by bill and batch."""
    sql, args = sight.apply(CODES, drug_id, list(bills))
    return {(r["bill_id"], r["batch_id"]): r["codes"] for r in await conn.fetch(sql, *args)}


@traced_read("narcotics booked")
async def booked(
    conn: Connection, sight: Sight, orgs: Sequence[int], drug_ids: Sequence[int]
) -> list[Record]:
    """What the books of the places say now, by product and batch."""
    sql, args = sight.apply(BOOKED, list(orgs), list(drug_ids))
    return await conn.fetch(sql, *args)


async def may_see(conn: Connection, sight: Sight, org: int) -> bool:
    """Whether the reader may see the organisation's books."""
    sql, args = sight.apply(MAY_SEE, org)
    return bool(await conn.fetchval(sql, *args))
