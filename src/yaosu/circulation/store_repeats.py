"""SQL of repeats: one act told twice under two numbers (R-C6)."""

from __future__ import annotations

# The bills that moved the goods last, as far as the owner made them.
# ungated: write path; the owner's own bills ($1), which a bill of the same owner may repeat
FIRST = """
SELECT b.id, b.owner, b.bill_no, b.revision, b.type, b.happened_at, b.recorded_at, b.flags, b.qty, b.leaf, b.header,
    b.account_id,
    (SELECT array_agg(l.code) FROM bill_line l WHERE l.drug_id = ANY(b.drug_ids) AND l.bill_id = b.id) AS codes,
    (SELECT min(p.person) FROM people.purchase p WHERE p.bill_id = b.id AND p.corrects IS NULL) AS person,
    (SELECT jsonb_object_agg(s.code, s.qty) FROM split_entry s WHERE s.drug_id = ANY(b.drug_ids) AND s.bill_id = b.id
        AND s.kind IN ('dispense', 'return')) AS parts
FROM bill b WHERE b.owner = $1 AND b.id = ANY($2) AND b.status = 'A'"""

# Bills by which the owner dispensed from the same opened boxes lately.
# ungated: write path; the owner's own bills ($1)
DISPENSED = """
SELECT DISTINCT b.id FROM unnest($2::int[], $3::text[]) AS k(drug_id, code)
JOIN split_entry s ON s.drug_id = k.drug_id AND s.code = k.code AND s.kind IN ('dispense', 'return')
JOIN bill b ON b.owner = $1 AND b.id = s.bill_id AND b.status = 'A' AND b.happened_at BETWEEN $4 AND $5"""
