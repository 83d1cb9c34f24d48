"""SQL for notices, receipt checks and quarantine on the write path."""

from __future__ import annotations

# Notices for whoever the goods are on their way to, and what each announces.
INSERT_NOTICES = """
WITH heads AS (
    INSERT INTO notice (to_org, bill_id, from_org, shipped_at, expected)
    SELECT to_org, bill_id, from_org, shipped_at, expected
    FROM unnest($1::int[], $2::bigint[], $3::int[], $4::timestamptz[], $5::bigint[])
        AS v(to_org, bill_id, from_org, shipped_at, expected)
)
INSERT INTO notice_line (drug_id, bill_id, batch_id, expected)
SELECT drug_id, bill_id, batch_id, expected
FROM unnest($6::int[], $7::bigint[], $8::int[], $9::bigint[]) AS v(drug_id, bill_id, batch_id, expected)"""

# A shipment that was taken back no longer announces anything.
CANCEL_NOTICES = """
UPDATE notice SET state = 'cancelled', closed_at = now() WHERE bill_id = ANY($1::bigint[])"""

# What receipts did to each announced product and batch; negative when a receipt is taken back.
UPDATE_NOTICE_LINES = """
UPDATE notice_line n SET received = n.received + v.received, quarantined = n.quarantined + v.quarantined,
    refused = n.refused + v.refused
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS v(bill_id, drug_id, batch_id, received, quarantined, refused)
WHERE n.drug_id = v.drug_id AND n.bill_id = v.bill_id AND n.batch_id = v.batch_id"""

# The notice's totals and state follow its lines.
UPDATE_NOTICES = """
UPDATE notice n SET received = s.received, quarantined = s.quarantined, refused = s.refused,
    state = CASE WHEN s.refused >= s.expected THEN 'refused'
        WHEN s.received + s.quarantined + s.refused >= s.expected THEN 'received'
        WHEN s.received + s.quarantined + s.refused > 0 THEN 'part' ELSE 'open' END,
    closed_at = CASE WHEN s.received + s.quarantined + s.refused >= s.expected THEN now() END
FROM (SELECT bill_id, sum(received) AS received, sum(quarantined) AS quarantined, sum(refused) AS refused,
        sum(expected) AS expected
    FROM notice_line WHERE bill_id = ANY($1::bigint[]) GROUP BY bill_id) s
WHERE n.bill_id = s.bill_id AND n.bill_id = ANY($1::bigint[])"""

# Where the notices stand after this receipt, for the check's counts.
NOTICE_STATE = """
SELECT n.bill_id, n.from_org, l.drug_id, l.batch_id, l.expected, l.received, l.quarantined, l.refused
FROM notice n JOIN notice_line l ON l.bill_id = n.bill_id WHERE n.bill_id = ANY($1::bigint[])"""

INSERT_CHECK = """
INSERT INTO receipt_check (receipt_bill, notice_bill, buyer, seller, outcome, counts, details, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $5 = 'matched' THEN 'closed' ELSE 'open' END) RETURNING id"""

INSERT_QUARANTINE = """
INSERT INTO quarantine (org, drug_id, code, raw, qty, moved, verdict, params, bill_id)
SELECT org, drug_id, code, raw, qty, moved, verdict, params, bill_id
FROM unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::int[], $6::bool[], $7::text[], $8::jsonb[],
    $9::bigint[]) AS v(org, drug_id, code, raw, qty, moved, verdict, params, bill_id)"""

# ungated: the write path asks it and shows none of it
# Most have nothing open, and then the codes of a large bill need not be sent.
HAVE_OPEN = "SELECT DISTINCT org FROM quarantine WHERE org = ANY($1::int[]) AND closed_at IS NULL"

# Goods that were disposed of, by the bill that did it.
CLOSE_QUARANTINE = """
UPDATE quarantine SET closed_at = now(), closed_bill = $3, disposition = 'moved'
WHERE org = $1 AND code = ANY($2::text[]) AND closed_at IS NULL AND bill_id <> $3"""

# A bill that was taken back takes its quarantine with it.
CLOSE_OF_BILL = """
UPDATE quarantine SET closed_at = now(), closed_bill = $2, disposition = 'taken_back'
WHERE bill_id = $1 AND closed_at IS NULL"""

# Taking back the bill by which goods left quarantine puts them there again.
REOPEN_QUARANTINE = """
UPDATE quarantine SET closed_at = NULL, closed_bill = NULL, disposition = '' WHERE closed_bill = $1"""

# ungated: the write path changes its own notices and shows none of them
# A correction withdrew part of what was announced.
REDUCE_NOTICE_LINES = """
UPDATE notice_line n SET expected = n.expected - v.qty
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[]) AS v(bill_id, drug_id, batch_id, qty)
WHERE n.drug_id = v.drug_id AND n.bill_id = v.bill_id AND n.batch_id = v.batch_id"""
# ungated: the same, for the notices' totals
REDUCE_NOTICES = """
UPDATE notice n SET expected = s.expected
FROM (SELECT bill_id, sum(expected) AS expected FROM notice_line WHERE bill_id = ANY($1::bigint[]) GROUP BY bill_id) s
WHERE n.bill_id = s.bill_id AND n.bill_id = ANY($1::bigint[])"""

# Goods in dispute stay where they are (R-B4); one case at a time.
HOLD = """
UPDATE quarantine SET held_by = $3, held_case = $4
WHERE org = $1 AND id = ANY($2::bigint[]) AND closed_at IS NULL AND (held_by IS NULL OR held_by = $3) RETURNING id"""
LET_GO = "UPDATE quarantine SET held_by = NULL, held_case = '' WHERE held_by = $1 RETURNING id"
