"""SQL of the cold chain: equipment, what it measured, and the bills it goes with. Whose bills they are passes D10."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# A piece of equipment by its owner's code for it; a new name replaces the old one.
EQUIPMENT = """
INSERT INTO top_equipment AS e (owner, code, name) VALUES ($1, $2, $3)
ON CONFLICT (owner, code) DO UPDATE SET last_at = now(), name = CASE WHEN $3 <> '' THEN $3 ELSE e.name END
RETURNING id"""

# Readings; the same moment again is the same reading, and the last word counts.
ADD = """
INSERT INTO top_temperature (equipment_id, bill_no, at, low, high, carrier, carrier_name, uploader)
SELECT $1, $2, r.at, r.low, r.high, $6, $7, $8
FROM unnest($3::timestamptz[], $4::numeric[], $5::numeric[]) AS r(at, low, high)
ON CONFLICT (equipment_id, bill_no, at) DO UPDATE SET low = excluded.low, high = excluded.high,
    carrier = excluded.carrier, carrier_name = excluded.carrier_name, uploader = excluded.uploader,
    uploaded_at = now()"""

# Bills go with equipment; again is no error.
BIND = """
INSERT INTO top_equipment_bill (owner, bill_no, equipment_id)
SELECT $1, n, $3 FROM unnest($2::text[]) AS n ON CONFLICT DO NOTHING"""

# Whether the equipment is the organisation's.
# ungated: the organisation's own
OWN_EQUIPMENT = "SELECT id FROM top_equipment WHERE owner = $1 AND id = $2"

# An organisation's equipment by page.
# ungated: the organisation's own, or that of one the caller acts for, as the handler made sure
LIST = """
SELECT e.*, count(*) OVER () AS total, EXISTS (SELECT 1 FROM top_equipment_bill b WHERE b.equipment_id = e.id) AS bound
FROM top_equipment e
WHERE e.owner = $1 AND ($2::text = '' OR strpos(e.code, $2) > 0 OR strpos(e.name, $2) > 0)
ORDER BY e.id LIMIT $3 OFFSET $4"""

# Which of these numbers are bills in force of the owner, with who carried the goods.
# ungated: only whether the owner's own numbers exist leaves the handler
NUMBERS = """
SELECT b.bill_no, b.carrier FROM bill b
WHERE b.owner = $1 AND b.bill_no = ANY ($2::text[]) AND b.status = 'A' AND b.revision > 0"""

_READ = """
SELECT e.code, e.name, x.bill_no, t.at, t.low, t.high, t.uploader, t.bill_no = '' AS stored
FROM {bills}
JOIN LATERAL (
    SELECT t.* FROM top_equipment e JOIN top_temperature t ON t.equipment_id = e.id AND t.bill_no = x.bill_no
    WHERE e.owner = x.owner
    UNION ALL
    SELECT t.* FROM top_equipment_bill g JOIN top_temperature t ON t.equipment_id = g.equipment_id AND t.bill_no = ''
    WHERE g.owner = x.owner AND g.bill_no = x.bill_no AND t.at <= x.happened_at
) t ON true JOIN top_equipment e ON e.id = t.equipment_id
ORDER BY t.at DESC, e.code LIMIT $2"""

# What was measured on the way of these shipments, and in store before they left.
OF_SHIPMENTS = _READ.format(
    bills="(SELECT b.owner, b.bill_no, b.happened_at FROM bill b "
    "WHERE b.id = ANY ($1::bigint[]) AND /*visible:bill b*/) x"
)

# A firm's shipments of a batch under a number, for who had goods of that batch itself or is the product's firm.
# ungated: readings of what the caller has had in its hands, found by the shipper's number that it was told
OF_BATCH = _READ.format(
    bills="""(SELECT DISTINCT b.owner, b.bill_no, b.happened_at FROM bill b
    JOIN bill_line l ON l.bill_id = b.id AND l.drug_id = $3
    JOIN batch t ON t.drug_id = l.drug_id AND t.id = l.batch_id AND lower(t.batch_no) = lower($4)
    WHERE b.bill_no = $1 AND b.owner = ANY ($5::int[]) AND b.status = 'A' AND b.revision > 0
        AND (b.owner = $6 OR b.to_org = $6 OR EXISTS (
            SELECT 1 FROM bill_line m JOIN bill c ON c.id = m.bill_id
            WHERE m.drug_id = $3 AND m.batch_id = l.batch_id AND c.owner = $6 AND c.status = 'A'
                AND c.revision > 0))) x"""
)


@traced_read("top temperatures of shipments")
async def of_shipments(conn: Connection, sight: Sight, ids: list[int], limit: int) -> list[Record]:
    """Readings of those of these bills that may be seen, newest first."""
    sql, args = sight.apply(OF_SHIPMENTS, ids, limit)
    return await conn.fetch(sql, *args)
