"""SQL of goods that a case keeps in quarantine: while it is open, and after it was settled without them (R-B4)."""

from __future__ import annotations

# A settled case keeps its goods from being released, or lets go of what an earlier one kept.
DECIDE = """
UPDATE quarantine SET decided_by = held_by, decided_case = held_case
WHERE held_by = $1 AND closed_at IS NULL AND moved"""
UNDECIDE = "UPDATE quarantine SET decided_by = NULL, decided_case = '' WHERE held_by = $1"

# Scans whose goods, or a package around them, a settled case keeps in quarantine; or kept there until the bill by which
# they were lost, so that finding them is no way round.
# ungated: write path; goods in the quarantine of the bill's owner ($1), whose case it is
DECIDED = """
WITH RECURSIVE up AS (
    SELECT a.n, u.drug_id, u.code, u.parent, u.last_bill
    FROM unnest($2::int[], $3::int[], $4::text[]) AS a(n, drug_id, code)
    JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT up.n, u.drug_id, u.code, u.parent, u.last_bill FROM up
    JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
)
SELECT DISTINCT up.n, q.decided_case FROM up
JOIN quarantine q ON q.code = up.code AND q.moved AND q.org = $1 AND q.decided_case <> ''
    AND (q.closed_at IS NULL OR q.closed_bill = up.last_bill)"""

# Goods in quarantine that a case keeps there, open or settled.
# ungated: write path; goods that the bill itself put into its owner's quarantine
KEPT = """
SELECT drug_id, code, held_case, decided_case FROM quarantine
WHERE code = ANY($1::text[]) AND closed_at IS NULL AND moved AND (held_by IS NOT NULL OR decided_case <> '')"""
