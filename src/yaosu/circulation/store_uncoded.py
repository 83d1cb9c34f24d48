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

# Bills that took goods from the lot of a receipt.
# ungated: write path; the owner's own lots and bills
NAMED_DRAWS = """
SELECT d.bill_no FROM uncoded_lot l JOIN uncoded_draw d ON d.lot_id = l.id AND d.org = l.org
WHERE l.org = $1 AND l.bill_no = $2 AND l.drug_id = $3 AND l.batch_id = $4"""

# ungated: write path; what is printed on every box
DATES = "SELECT produced_on, expires_on FROM batch WHERE drug_id = $1 AND id = $2 FOR UPDATE"

# Whether only one receipt of one owner knows a batch: no coded box of it, no other holder, no other receipt.
# ungated: write path; answers nobody
OWN_BATCH = """
SELECT NOT EXISTS (SELECT 1 FROM balance x WHERE x.drug_id = $1 AND x.batch_id = $2
        AND (x.status NOT IN ('U', 'W', 'T') OR x.org <> $3))
    AND NOT EXISTS (SELECT 1 FROM entry e JOIN bill b ON b.id = e.bill_id AND b.owner = $3 AND b.type = 21
        WHERE e.to_org = $3 AND e.to_status = 'U' AND e.drug_id = $1 AND e.batch_id = $2 AND b.bill_no <> $4)"""

# The receipt that alone knows a batch says its dates anew.
REDATE = "UPDATE batch SET produced_on = $3, expires_on = $4 WHERE drug_id = $1 AND id = $2"
