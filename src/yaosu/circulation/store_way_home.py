"""SQL of where stopped goods may go: who delivered them, and whose goods a logistics firm stores (R-B5, R-E4)."""

from __future__ import annotations

# Who delivered goods of these batches to an organisation: notices that it received, of shipments that pass goods on.
# What came back from its own customers, or was turned away by them, is none.
# ungated: write path; deliveries to the owner of the bill that is judged
SELLERS = """
SELECT DISTINCT l.drug_id, l.batch_id, s.org
FROM notice n
JOIN notice_line l ON l.bill_id = n.bill_id AND l.drug_id = ANY($2::int[]) AND l.batch_id = ANY($3::int[])
    AND l.received + l.quarantined > 0
JOIN bill b ON b.id = n.bill_id AND b.type = ANY($4::int[])
CROSS JOIN LATERAL unnest(ARRAY[n.from_org, b.direct_org]) AS s(org)
WHERE n.to_org = $1 AND s.org IS NOT NULL"""

# Whom logistics firms store goods for: they take them in or work in the warehouse, in the principal's name.
STORED_FOR = """
SELECT DISTINCT d.agent, d.principal FROM delegation d JOIN org o ON o.id = d.agent AND o.type = $2
WHERE d.agent = ANY($1::int[]) AND d.accepted_at IS NOT NULL AND d.revoked_at IS NULL AND d.valid_from <= now()
    AND (d.valid_until IS NULL OR d.valid_until > now()) AND (d.kinds IS NULL OR d.kinds && ARRAY['in', 'stock'])"""

NAMES = "SELECT id, name FROM org WHERE id = ANY($1::int[])"
