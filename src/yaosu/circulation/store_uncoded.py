"""SQL of goods without codes on the write path."""

from __future__ import annotations

# What entered and left one uncoded account by bill, net of all revisions, with the day of purchase that each names.
# ungated: the owner's own account, read while the owner's bill is judged; answers nobody
PURCHASES = """
SELECT b.bill_no, max(b.type) AS type, sum(x.qty)::bigint AS qty,
    max(b.header ->> 'invoice_date') FILTER (WHERE b.status = 'A') AS invoice_date,
    max(b.happened_at) FILTER (WHERE b.status = 'A') AS at
FROM (
    SELECT e.bill_id, e.qty FROM entry e
    WHERE e.to_org = $1 AND e.to_status = 'U' AND e.drug_id = $2 AND e.batch_id = $3
    UNION ALL
    SELECT e.bill_id, -e.qty FROM entry e
    WHERE e.from_org = $1 AND e.from_status = 'U' AND e.drug_id = $2 AND e.batch_id = $3
) x JOIN bill b ON b.id = x.bill_id AND b.owner = $1
GROUP BY b.bill_no HAVING sum(x.qty) <> 0"""

# Batch numbers of goods that are taken back.
# ungated: what is printed on every box; of the owner's own account
NUMBERS = "SELECT id, batch_no FROM batch WHERE drug_id = ANY($1::int[]) AND id = ANY($2::int[])"
