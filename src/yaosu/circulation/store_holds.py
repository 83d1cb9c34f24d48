"""SQL of goods that a case keeps in quarantine: while it is open, and after it was settled without them (R-B4)."""

from __future__ import annotations

# Entries are locked in one order for all, also by bills (WAITING_LOCKED), so that nobody waits in a circle.
# ungated: locks what a case of the caller is about, and shows nothing
LOCK = "SELECT 1 FROM quarantine WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"
# ungated: the same, of a case that closes
LOCK_HELD = "SELECT 1 FROM quarantine WHERE held_by = $1 ORDER BY id FOR NO KEY UPDATE"

# A settled case keeps its goods from being released, or lets go of what an earlier one kept.
DECIDE = """
UPDATE quarantine SET decided_by = held_by, decided_case = held_case
WHERE held_by = $1 AND closed_at IS NULL AND moved"""
UNDECIDE = "UPDATE quarantine SET decided_by = NULL, decided_case = '' WHERE held_by = $1"

# What is known of goods in quarantine. Locked, so that a case that holds them, or lets go of them, comes before the
# bill or after it: all of them, since one that nobody holds yet may be held the moment after.
# ungated: write path; goods that a bill names
WAITING = """
SELECT drug_id, code, verdict, params, held_by, held_case, decided_case FROM quarantine
WHERE code = ANY($1::text[]) AND closed_at IS NULL AND moved ORDER BY id"""
WAITING_LOCKED = WAITING + " FOR NO KEY UPDATE"

# What units were before the bills by which they are not there any more (lost, damaged, written off), whether such a
# bill only took another one back, and what is known of their place in quarantine, with the case that kept them there.
# ungated: write path; goods that a bill names
LOST = """
SELECT l.drug_id, l.code, l.pre, l.post, b.flags & 8 <> 0 AS reversal, q.verdict, q.params, q.decided_case
FROM unnest($1::int[], $2::bigint[], $3::text[]) AS a(drug_id, bill_id, code)
JOIN bill_line l ON l.drug_id = a.drug_id AND l.bill_id = a.bill_id AND l.code = a.code
LEFT JOIN bill b ON b.id = l.bill_id
LEFT JOIN LATERAL (
    SELECT verdict, params, decided_case FROM quarantine
    WHERE closed_bill = l.bill_id AND org = l.pre_holder AND code = l.code AND moved ORDER BY id DESC LIMIT 1
) q ON true"""

# Of shipments that had goods from quarantine, or goods that were turned away, every line.
# ungated: write path; shipments on their way to a bill's owner
SENT = """
WITH asked AS (SELECT * FROM unnest($1::int[], $2::bigint[]) AS a(drug_id, bill_id)),
odd AS (
    SELECT DISTINCT a.drug_id, a.bill_id FROM asked a
    JOIN bill_line l ON l.drug_id = a.drug_id AND l.bill_id = a.bill_id
        AND (l.pre = 'Q' OR l.pre = 'O' AND l.post = 'O')
)
SELECT l.drug_id, l.bill_id, l.code, l.pre, l.post, l.notice FROM odd o
JOIN bill_line l ON l.drug_id = o.drug_id AND l.bill_id = o.bill_id"""

# Goods in quarantine that a case keeps there, open or settled.
# ungated: write path; goods that the bill itself put into its owner's quarantine
KEPT = """
SELECT drug_id, code, held_case, decided_case FROM quarantine
WHERE code = ANY($1::text[]) AND closed_at IS NULL AND moved AND (held_by IS NOT NULL OR decided_case <> '')"""
