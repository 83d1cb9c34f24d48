"""SQL of what people see of deliveries: always of one organisation, theirs (D10: own data only)."""

from __future__ import annotations

# ungated: counts of the bill that is being routed to its own owner, without codes
VERDICTS = """
SELECT verdict, count(*)::int AS count FROM bill_note WHERE bill_id = $1 AND severity = 'R' GROUP BY verdict"""

_SHOWN = """
    d.id, d.event, d.target, d.target_id, d.bill_id, d.kind, d.key, d.lane, d.state, d.attempts, d.next_at,
    d.created_at,    d.settled_at, d.answer_status, d.answer, d.remote, d.details, d.note, d.waits, d.claimed, c.title,
    c.state AS link_state, b.bill_no, b.revision, b.type"""
# ungated: bound to deliveries and connections of the organisation that asks (d.org = c.org = $1)
_FROM = """
FROM delivery d JOIN connection c ON c.id = d.target_id AND c.channel = d.target AND c.org = d.org
LEFT JOIN bill b ON b.id = d.bill_id"""

# Waits for a person: at rest, or refused and nobody has said anything to it.
_TODO = """((d.settled_at IS NULL AND d.next_at = 'infinity') OR (d.state IN ('failed', 'partly') AND d.note = ''))"""

# Newest first; the filters are those of the page. {more} says by a literal what an index of its own answers.
_LISTED = f"""
SELECT {_SHOWN} {_FROM}
WHERE d.org = $1 AND ($2::int IS NULL OR d.target_id = $2) AND ($3::text[] IS NULL OR d.state = ANY ($3))
    AND ($4::bigint IS NULL OR d.bill_id = $4) AND d.id < coalesce($5::bigint, 9223372036854775807)
    AND (NOT $6::bool OR {_TODO})
    AND ($7::text IS NULL OR b.bill_no = $7) AND {{more}}
ORDER BY d.id DESC LIMIT $8"""
LISTED = _LISTED.format(more="TRUE")
UNSETTLED = ("failed", "partly", "unknown", "given_up", "held")
"""States in which a delivery is not through, or wants a person (index delivery_open)."""
LISTED_OPEN = _LISTED.format(more=f"(d.settled_at IS NULL OR d.state IN ({', '.join(map(repr, UNSETTLED))}))")
LISTED_BILL = _LISTED.format(more="d.bill_id = $4")
# By the number of a bill, whoever numbered it.
# ungated: bound to deliveries of the organisation that asks, as _LISTED is
LISTED_NUMBERED = _LISTED.format(
    more="d.bill_id = ANY(ARRAY(SELECT n.id FROM org o CROSS JOIN LATERAL "
    "(SELECT v.id FROM bill v WHERE v.owner = o.id AND v.bill_no = $7 OFFSET 0) n))"
)

TODO = f"SELECT count(*)::int {_FROM} WHERE d.org = $1 AND {_TODO}"

ONE = f"SELECT {_SHOWN} {_FROM} WHERE d.org = $1 AND d.id = $2"

ATTEMPTS = """
SELECT n, at, what, state, status, took_ms, answer FROM delivery_attempt WHERE delivery_id = $1
ORDER BY n DESC LIMIT 200"""

# Deliveries of each connection by state, and what waits to be prepared.
COUNTS = """
SELECT d.target_id, CASE WHEN d.settled_at IS NULL AND d.next_at = 'infinity' AND d.state <> 'held' THEN 'at_rest'
    WHEN d.state = 'failed' AND d.settled_at IS NOT NULL THEN 'refused'
    ELSE d.state END AS state, count(*)::int AS count
FROM delivery d JOIN connection c ON c.id = d.target_id AND c.channel = d.target WHERE c.org = $1 AND d.org = $1
GROUP BY 1, 2
UNION ALL
SELECT r.connection_id, 'unrouted', count(*)::int FROM route_due r JOIN connection c ON c.id = r.connection_id
WHERE c.org = $1 GROUP BY 1"""

# Whoever changes deliveries of a connection holds it first: one after the other, whatever order the rows lie in.
LOCK_OF = """
SELECT c.id FROM delivery d JOIN connection c ON c.id = d.target_id AND c.channel = d.target AND c.org = d.org
WHERE d.org = $1 AND d.id = $2 FOR NO KEY UPDATE OF c"""
FOR_UPDATE = """
SELECT d.id, d.state, d.target, d.target_id, d.lane, d.settled_at, d.attempts, d.claimed, d.pruned, d.next_at
FROM delivery d JOIN connection c ON c.id = d.target_id AND c.channel = d.target AND c.org = d.org
WHERE d.org = $1 AND d.id = $2 FOR UPDATE OF d"""

# A later one of the lane has reached them: going back to this one would undo what it said.
OVERTAKEN = """
SELECT EXISTS (SELECT 1 FROM delivery WHERE target = $1 AND target_id = $2 AND lane = $3 AND id > $4
    AND state IN ('sent', 'accepted', 'processed', 'partly', 'unknown'))"""

RETRY = """
UPDATE delivery SET state = $2, settled_at = NULL, next_at = CASE WHEN claimed AND settled_at IS NULL THEN next_at
    ELSE now() END, tries = 0, note = '', done_by = $3,
    waits = lane <> '' AND EXISTS (SELECT 1 FROM delivery e WHERE e.target = delivery.target
        AND e.target_id = delivery.target_id AND e.lane = delivery.lane AND e.settled_at IS NULL AND e.id < delivery.id)
WHERE id = $1"""
# What comes after it in its lane waits again, unless somebody is at it just now.
BACK_IN_LINE = """
UPDATE delivery SET waits = true WHERE target = $1 AND target_id = $2 AND lane = $3 AND id > $4
    AND settled_at IS NULL AND NOT claimed"""

# What they refused, each lane in its order, where nothing later of the lane has reached them.
RETRY_REFUSED = """
WITH again AS (
    SELECT d.id, d.lane, row_number() OVER (PARTITION BY d.lane ORDER BY d.id) AS n FROM delivery d
    WHERE d.target = $1 AND d.target_id = $2 AND d.state = 'failed' AND d.settled_at IS NOT NULL AND NOT d.pruned
        AND NOT EXISTS (SELECT 1 FROM delivery e WHERE d.lane <> '' AND e.target = d.target
            AND e.target_id = d.target_id AND e.lane = d.lane AND e.id > d.id
            AND e.state IN ('sent', 'accepted', 'processed', 'partly', 'unknown'))
    ORDER BY d.id LIMIT $4
), back AS (
    UPDATE delivery d SET waits = true FROM (SELECT lane, min(id) AS first FROM again WHERE lane <> '' GROUP BY lane) l
    WHERE d.target = $1 AND d.target_id = $2 AND d.lane = l.lane AND d.id > l.first AND d.settled_at IS NULL
        AND NOT d.claimed
)
UPDATE delivery d SET state = 'pending', settled_at = NULL, next_at = now(), tries = 0, note = '', done_by = $3,
    waits = d.lane <> '' AND (a.n > 1 OR EXISTS (SELECT 1 FROM delivery e WHERE e.target = d.target
        AND e.target_id = d.target_id AND e.lane = d.lane AND e.settled_at IS NULL AND e.id < d.id))
FROM again a WHERE d.id = a.id"""

HOLD = """
UPDATE delivery SET state = 'held', next_at = CASE WHEN claimed THEN next_at ELSE timestamptz 'infinity' END,
    note = $2, done_by = $3 WHERE id = $1"""

GIVE_UP = """
UPDATE delivery SET state = 'given_up', settled_at = now(), next_at = 'infinity', waits = false, note = $2,
    done_by = $3 WHERE id = $1"""

# What was decided for a bill, for the organisation's own connections.
DECISIONS = """
SELECT r.bill_id, r.connection_id, r.owed, r.parcels, r.rule, r.reason, r.left_out, r.at, c.channel, c.title,
    c.state AS link_state
FROM route_decision r JOIN connection c ON c.id = r.connection_id WHERE r.bill_id = $1 AND c.org = $2
ORDER BY r.connection_id"""
UNROUTED = """
SELECT r.connection_id, r.tries, r.error, r.next_at, c.channel, c.title, c.state AS link_state FROM route_due r
JOIN connection c ON c.id = r.connection_id WHERE r.bill_id = $1 AND c.org = $2 ORDER BY r.connection_id"""
DUE = "SELECT 1 FROM bill_due WHERE bill_id = $1"

# ungated: a bill that is the organisation's own, names it or went out over its connection ($2; 0: the operator); head
BILL = """
SELECT id, owner, bill_no, type, revision, flags, status, happened_at, recorded_at, from_org, to_org, lines, refused
FROM bill b WHERE id = $1 AND ($2 IN (0, owner, submitter, from_org, to_org)
    OR EXISTS (SELECT FROM delivery d WHERE d.bill_id = b.id AND d.org = $2))"""

# The own bills along the life of a code, of the packages around it, and of those it was taken out of as long as it was
# inside; the latest first. $3: the organisation and its places; NULL: the operator, who sees all.
# ungated: only bills of the organisation that asks leave it (owner or submitter in $3)
MOVED_BY = """
WITH RECURSIVE chain AS (
    SELECT u.drug_id, u.code, u.last_bill AS bill_id, 9223372036854775807 AS until
    FROM unit u WHERE u.drug_id = $1 AND u.code = ANY ($2::text[])
    UNION
    SELECT n.* FROM chain c
    JOIN bill_line l ON l.drug_id = c.drug_id AND l.code = c.code AND l.bill_id = c.bill_id, LATERAL (
        SELECT c.drug_id, c.code, l.prev_bill, c.until WHERE l.prev_bill > 0
        UNION ALL
        SELECT u.drug_id, u.code, u.last_bill, least(c.until, l.bill_id) FROM unit u
        WHERE l.left_parent <> '' AND u.drug_id = c.drug_id AND u.code = l.left_parent) n
)
SELECT b.id, b.bill_no, b.type, b.revision, b.flags, b.status, b.happened_at, b.recorded_at, b.owner, c.code
FROM chain c JOIN bill b ON b.id = c.bill_id
WHERE c.bill_id < c.until AND ($3::int[] IS NULL OR b.owner = ANY ($3) OR b.submitter = ANY ($3)) AND b.flags & 8 = 0
ORDER BY b.id DESC LIMIT 20"""
# ungated: bound to the organisation's own bills ($2, NULL: the operator), the latest that refused something
REFUSED_BY = """
SELECT b.id, b.bill_no, b.happened_at, n.verdict, n.params
FROM (SELECT id, bill_no, happened_at FROM bill WHERE ($2::int[] IS NULL OR owner = ANY ($2)) AND refused > 0
    ORDER BY id DESC LIMIT 5000) b
JOIN bill_note n ON n.bill_id = b.id AND n.code = $1 AND n.severity = 'R' ORDER BY b.id DESC LIMIT 1"""

# ungated: codes of packages around one in hand, to look for own bills; they leave through MOVED_BY only
AROUND = """
WITH RECURSIVE up AS (
    SELECT drug_id, code, parent, 1 AS step FROM unit WHERE drug_id = $1 AND code = $2
    UNION ALL
    SELECT u.drug_id, u.code, u.parent, up.step + 1 FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.parent
    WHERE up.step < 12
) SELECT code FROM up ORDER BY step"""
