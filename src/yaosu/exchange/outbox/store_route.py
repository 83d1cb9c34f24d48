"""SQL of the router: bills that wait, all of them for many at once, what was decided. No caller sees rows of it."""

from __future__ import annotations

# One router for each part of the owners at a time, so that an owner's bills are routed in their order.
PART_LOCK = "SELECT pg_try_advisory_xact_lock(7295461017000000 + $1::bigint)"

PARTS_DUE = """
SELECT DISTINCT owner % $1 FROM (SELECT owner FROM bill_due ORDER BY bill_id LIMIT 2000) b
UNION SELECT DISTINCT owner % $1 FROM (SELECT owner FROM route_due WHERE next_at <= now() LIMIT 2000) r"""

DUE = """
SELECT bill_id, owner FROM bill_due WHERE owner % $1 = $2 ORDER BY bill_id LIMIT $3 FOR UPDATE SKIP LOCKED"""

DUE_ONE = """
SELECT bill_id, owner, connection_id, tries FROM route_due
WHERE next_at <= now() AND owner % $1 = $2 ORDER BY bill_id, connection_id LIMIT $3 FOR UPDATE SKIP LOCKED"""

DONE = "DELETE FROM bill_due WHERE bill_id = ANY ($1::bigint[])"

DONE_ONE = """
DELETE FROM route_due r USING unnest($1::int[], $2::bigint[]) AS a(connection_id, bill_id)
WHERE r.connection_id = a.connection_id AND r.bill_id = a.bill_id"""

# Later at growing intervals, at most every hour.
LATER = """
INSERT INTO route_due (connection_id, bill_id, owner, next_at, tries, error)
SELECT c, b, o, now() + make_interval(secs => least(3600, 2 ^ least(t, 11))), t, e
FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[], $5::text[]) AS v(c, b, o, t, e)
ON CONFLICT (connection_id, bill_id) DO UPDATE SET next_at = excluded.next_at, tries = excluded.tries,
    error = excluded.error"""

# Earlier revisions of the same bill that a connection could not build yet: the later one waits for them.
# ungated: the router's own work, answers nobody
BEHIND = """
SELECT DISTINCT r.connection_id, b.owner, b.bill_no, r.bill_id
FROM (SELECT DISTINCT o, n FROM unnest($1::int[], $2::text[]) AS v(o, n)) a
JOIN bill b ON b.owner = a.o AND b.bill_no = a.n JOIN route_due r ON r.owner = b.owner AND r.bill_id = b.id"""

# Connections whose owner's or partner's bills these are, and those for everybody.
CONNECTIONS = """
SELECT id, org, everyone, channel, profile, title, url, account, secret, region, since FROM connection
WHERE state <> 'ended' AND (everyone OR org = ANY ($1::int[]) OR id = ANY ($2::int[])) ORDER BY id"""

# ungated: the router loads what it routes to the bill's own organisation, or one step away (routing.decide)
BILLS = """
SELECT b.id, b.owner, b.submitter, b.bill_no, b.type, b.revision, b.flags, b.from_org, b.to_org, b.principal, b.carrier,
    b.direct_org, b.happened_at, b.recorded_at, b.header, b.replaces, b.drug_ids,
    (SELECT o.drug_ids FROM bill o WHERE o.owner = b.owner AND o.id = b.replaces) AS old_drug_ids
FROM bill b WHERE b.id = ANY ($1::bigint[]) ORDER BY b.id"""

# Lines of many bills, with those that a correction left where they were (bill_kept).
# ungated: lines of the bills that are being routed, see BILLS
LINES = """
WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::int[]) AS a(bill_id, drug_id)), found AS (
    SELECT a.bill_id AS of_bill, l.bill_id, l.drug_id, l.code, l.batch_id, l.qty FROM asked a
    JOIN bill_line l ON l.drug_id = a.drug_id AND l.bill_id = a.bill_id
    UNION ALL
    SELECT k.bill_id, l.bill_id, l.drug_id, l.code, l.batch_id, l.qty FROM asked a
    JOIN bill_kept k ON k.bill_id = a.bill_id AND k.drug_id = a.drug_id
    JOIN bill_line l ON l.drug_id = k.drug_id AND l.bill_id = k.from_bill AND l.code = k.code
)
SELECT f.of_bill, f.bill_id, f.drug_id, f.code, f.batch_id, f.qty, b.batch_no, b.produced_on, b.expires_on, u.level,
    (SELECT abs(sum(s.qty))::int FROM split_entry s WHERE s.drug_id = f.drug_id AND s.code = f.code
        AND s.bill_id = f.bill_id AND s.kind <> 'open') AS parts
FROM found f LEFT JOIN batch b ON b.drug_id = f.drug_id AND b.id = f.batch_id
LEFT JOIN unit u ON u.drug_id = f.drug_id AND u.code = f.code
ORDER BY f.of_bill, f.drug_id, f.code"""

# ungated: goods without codes of the bills that are being routed, see BILLS
QUANTITIES = """
SELECT e.bill_id, e.drug_id, b.batch_no, sum(e.qty)::int AS qty
FROM unnest($1::bigint[], $2::int[]) AS a(bill_id, drug_id)
JOIN entry e ON e.drug_id = a.drug_id AND e.bill_id = a.bill_id
JOIN batch b ON b.drug_id = e.drug_id AND b.id = e.batch_id
WHERE e.from_status IN ('U', 'W') OR e.to_status IN ('U', 'W')
GROUP BY e.bill_id, e.drug_id, b.batch_no ORDER BY e.bill_id, e.drug_id, b.batch_no"""

# What was decided for the revisions that these bills replace.
TOLD = "SELECT bill_id, connection_id, owed, left_out FROM route_decision WHERE bill_id = ANY ($1::bigint[])"

DECIDED = """
INSERT INTO route_decision (bill_id, connection_id, owed, parcels, rule, reason, left_out)
SELECT * FROM unnest($1::bigint[], $2::int[], $3::bool[], $4::int[], $5::text[], $6::text[], $7::jsonb[])
ON CONFLICT (bill_id, connection_id) DO UPDATE SET owed = excluded.owed, parcels = excluded.parcels,
    rule = excluded.rule, reason = excluded.reason, left_out = excluded.left_out, at = now()"""

# Sent once more under the same keys, each lane in its order (own systems only: they know what they had); what is still
# owed of a lane waits behind it.
REPLAY = """
WITH again AS (
    SELECT id, row_number() OVER (PARTITION BY lane ORDER BY id) AS n FROM delivery
    WHERE target = $1 AND target_id = $2 AND id >= $3 AND created_at >= $4 AND settled_at IS NOT NULL AND NOT pruned
    ORDER BY id LIMIT $5
), lanes AS (
    SELECT d.lane, min(d.id) AS first FROM again a JOIN delivery d ON d.id = a.id WHERE d.lane <> '' GROUP BY d.lane
), back AS (
    UPDATE delivery d SET waits = true FROM lanes l
    WHERE d.target = $1 AND d.target_id = $2 AND d.lane = l.lane AND d.id > l.first AND d.settled_at IS NULL
        AND NOT d.claimed
)
UPDATE delivery d SET state = 'pending', settled_at = NULL, next_at = now(), tries = 0, remote = '',
    waits = d.lane <> '' AND (a.n > 1 OR EXISTS (SELECT 1 FROM delivery e WHERE e.target = d.target
        AND e.target_id = d.target_id AND e.lane = d.lane AND e.settled_at IS NULL AND e.id < d.id))
FROM again a WHERE d.id = a.id RETURNING d.id"""

# One process pulls from a connection at a time; the lock ends with the session that holds it.
PULL_LOCK = "SELECT pg_try_advisory_lock(7295461018000000000 + $1::bigint)"
PULL_FREE = "SELECT pg_advisory_unlock(7295461018000000000 + $1::bigint)"
