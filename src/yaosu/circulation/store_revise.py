"""SQL of corrections and voids: the lives of the units that a bill may give back (D8, R-X3)."""

from __future__ import annotations

# The bills along a unit's life, back from its latest; of a bill that takes others back, which one it took back here.
# ungated: write path; judges corrections, and names a bill only to its parties
CHAINS = """
WITH RECURSIVE back AS (
    SELECT l.drug_id, l.code, l.bill_id, l.prev_bill
    FROM unnest($1::int[], $2::text[], $3::bigint[]) AS a(drug_id, code, bill_id)
    JOIN bill_line l ON l.drug_id = a.drug_id AND l.code = a.code AND l.bill_id = a.bill_id
    UNION
    SELECT l.drug_id, l.code, l.bill_id, l.prev_bill
    FROM back JOIN bill_line l ON l.drug_id = back.drug_id AND l.code = back.code AND l.bill_id = back.prev_bill
)
SELECT back.drug_id, back.code, back.bill_id, back.prev_bill, b.happened_at, b.bill_no,
    CASE WHEN b.flags & 8 <> 0 THEN coalesce(k.from_bill, b.replaces, 0) ELSE 0 END AS undoes,
    array_remove(ARRAY[b.owner, b.submitter, b.from_org, b.to_org], NULL) AS parties
FROM back LEFT JOIN bill b ON b.id = back.bill_id
LEFT JOIN bill_kept k ON b.flags & 8 <> 0 AND k.drug_id = back.drug_id AND k.bill_id = b.replaces
    AND k.code = back.code"""

# Everything that went into or out of opened boxes.
# ungated: write path; boxes of the bill that is taken back
ENTRIES = """
SELECT e.drug_id, e.code, e.bill_id, e.kind, e.qty FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN split_entry e ON e.drug_id = a.drug_id AND e.code = a.code"""

# Who takes parts of a box back under a prescription waits until what they rest on stands or is gone: the same lock as
# that of the returns (dispensing/split_store.py).
LOCK_BOX = "SELECT pg_advisory_xact_lock(hashtextextended('split_return ' || $2::text, $1::int))"

# What prescriptions got out of opened boxes and gave back, by bills in force and returns in the making (bill 0). A
# corrected bill says by itself how much it gives, where it names the box for one person (dispensing/split_store.py).
# ungated: write path; boxes of the bill that is taken back
SHARES = """
SELECT s.drug_id, s.code, s.prescription_no, o.kind, coalesce(b.id, 0) AS bill_id,
    CASE WHEN b.id IS NULL OR s.whole OR b.revision = 1 OR EXISTS (SELECT 1 FROM split_share x
        WHERE x.order_id = s.order_id AND x.drug_id = s.drug_id AND x.code = s.code AND x.n <> s.n)
    THEN s.units ELSE coalesce((SELECT sum(e.qty)::int FROM split_entry e WHERE e.drug_id = s.drug_id
        AND e.code = s.code AND e.bill_id = b.id AND e.kind = o.kind), 0) END AS units
FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
JOIN split_share s ON s.drug_id = a.drug_id AND s.code = a.code AND s.prescription_no <> ''
JOIN split_order o ON o.id = s.order_id
LEFT JOIN bill b ON b.owner = o.org AND b.bill_no = o.number AND b.status = 'A' AND b.revision > 0
WHERE b.id IS NOT NULL OR (o.kind = 'return' AND o.state = 'planned')"""

# The last bill that took something out of packages, or out of packages inside them.
# ungated: write path; judges corrections, and names a bill only to its parties
TAKEN_OUT = """
WITH RECURSIVE down AS (
    SELECT a.drug_id, a.code AS outer_code, a.code COLLATE "C" AS code
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code)
    UNION ALL
    SELECT d.drug_id, d.outer_code, u.code FROM down d
    JOIN unit u ON u.drug_id = d.drug_id AND u.parent = d.code AND u.level > 1
)
SELECT DISTINCT ON (d.drug_id, d.outer_code) d.drug_id, d.outer_code AS code, l.bill_id, b.happened_at, b.bill_no,
    array_remove(ARRAY[b.owner, b.submitter, b.from_org, b.to_org], NULL) AS parties
FROM down d JOIN bill_line l ON l.drug_id = d.drug_id AND l.left_parent = d.code AND l.left_parent <> ''
JOIN bill b ON b.id = l.bill_id AND b.flags & 8 = 0
ORDER BY d.drug_id, d.outer_code, l.bill_id DESC"""

# What taking a bill back did to packages, and what came back into opened boxes or went out of them.
# ungated: lines of the reader's own bill, which the trial that calls this has just taken back
EFFECTS = """
SELECT l.code, l.qty, l.pre AS before, l.post AS after, p.unit_left AS "left",
    coalesce((SELECT sum(CASE WHEN e.kind = 'return' THEN e.qty ELSE -e.qty END)::int FROM split_entry e
        WHERE e.drug_id = l.drug_id AND e.code = l.code AND e.bill_id = l.bill_id AND e.kind <> 'open'), 0) AS units
FROM bill b JOIN bill_line l ON l.bill_id = b.id AND l.drug_id = ANY(b.drug_ids)
LEFT JOIN split_pack p ON p.drug_id = l.drug_id AND p.code = l.code
WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision = $3 AND b.flags & 8 <> 0 AND l.code = ANY($4::text[])
ORDER BY l.code"""

# What a correction does to goods without codes, net of what it takes back, and what is then on the account.
# ungated: accounts of the reader's own bill, which the trial that calls this has just corrected
EFFECTS_ACCOUNTS = """
SELECT x.drug_id, t.batch_no, abs(x.net)::int AS qty, CASE WHEN x.net > 0 THEN x.other ELSE 'U' END AS before,
    CASE WHEN x.net > 0 THEN 'U' ELSE x.other END AS after, coalesce(a.qty, 0)::int AS "left"
FROM (
    SELECT e.drug_id, e.batch_id, sum(CASE WHEN e.to_status = 'U' THEN e.qty ELSE -e.qty END) AS net,
        min(CASE WHEN e.to_status = 'U' THEN e.from_status ELSE e.to_status END) AS other
    FROM bill b JOIN entry e ON e.bill_id = b.id AND e.drug_id = ANY(b.drug_ids)
    WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision = ANY($3::int[]) AND 'U' IN (e.from_status, e.to_status)
    GROUP BY e.drug_id, e.batch_id
) x JOIN batch t ON t.drug_id = x.drug_id AND t.id = x.batch_id
LEFT JOIN balance a ON a.drug_id = x.drug_id AND a.batch_id = x.batch_id AND a.org = $1 AND a.status = 'U'
WHERE x.net <> 0 ORDER BY x.drug_id, t.batch_no LIMIT $4"""

# The same of goods without codes.
# ungated: accounts of the reader's own bill, which the trial that calls this has just taken back
EFFECTS_UNCODED = """
SELECT e.drug_id, t.batch_no, e.qty, e.from_status AS before, e.to_status AS after
FROM bill b JOIN entry e ON e.bill_id = b.id AND e.drug_id = ANY(b.drug_ids)
JOIN batch t ON t.drug_id = e.drug_id AND t.id = e.batch_id
WHERE b.owner = $1 AND b.bill_no = $2 AND b.revision = $3 AND b.flags & 8 <> 0
    AND (e.from_status IN ('U', 'W', 'T') OR e.to_status IN ('U', 'W', 'T'))
ORDER BY e.drug_id, t.batch_no LIMIT $4"""
