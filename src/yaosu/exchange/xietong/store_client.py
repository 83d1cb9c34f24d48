"""SQL of a trace system as a client of the coordination platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection

# The connection that an app_id belongs to. What comes through it is booked for every firm, so it is the operator's.
LINK_BY_APP = """
SELECT id FROM connection WHERE channel = 'xietong' AND everyone AND state = 'active' AND account->>'app_id' = $1
ORDER BY id LIMIT 1"""

LINKS = (
    "SELECT id, state FROM connection WHERE channel = 'xietong' AND everyone AND state <> 'ended' ORDER BY id"
)

# -- what is filed -----------------------------------------------------------------------------------

FILED = "SELECT kind, key, digest, state, event_id FROM xietong_filed WHERE connection = $1"
# The same content keeps its event; other content is another event.
PUT_FILED = """
INSERT INTO xietong_filed (connection, kind, key, ours, state, digest, event_id, body)
VALUES ($1, $2, $3, $4, 'due', $5, $6, $7)
ON CONFLICT (connection, kind, key) DO UPDATE SET ours = excluded.ours, state = 'due', digest = excluded.digest,
    event_id = excluded.event_id, body = excluded.body, tries = 0, next_at = now(), changed_at = now()"""
# In the order in which they can be filed.
DUE_FILED = """
SELECT kind, key, ours, event_id, body, tries FROM xietong_filed
WHERE connection = $1 AND state = 'due' AND next_at <= now()
ORDER BY CASE kind WHEN 'firm' THEN 1 WHEN 'rule' THEN 2 ELSE 3 END, changed_at, key LIMIT $2"""
SET_FILED = """
UPDATE xietong_filed SET state = $4, said = $5, filing_no = CASE WHEN $6 = '' THEN filing_no ELSE $6 END,
    tries = tries + 1, next_at = now() + make_interval(secs => $7), changed_at = now()
WHERE connection = $1 AND kind = $2 AND key = $3 AND event_id = $8"""
# Refused for want of something that was filed since: tried again.
AGAIN = """
UPDATE xietong_filed SET state = 'due', next_at = now()
WHERE connection = $1 AND state = 'refused' AND ($2 = '' OR (kind = $2 AND key = $3))"""
# The number the platform gave stands on the filing itself, where its owner looks.
SET_FILING_NO = "UPDATE filing SET filing_no = $2 WHERE id = $1 AND filing_no <> $2"
LIST_FILED = """
SELECT kind, key, ours, state, said, filing_no, tries, changed_at FROM xietong_filed
WHERE connection = $1 AND ($2 = '' OR state = $2) ORDER BY state = 'filed', kind, key
LIMIT $3 OFFSET $4"""
COUNT_FILED = "SELECT kind, state, count(*) AS n FROM xietong_filed WHERE connection = $1 GROUP BY 1, 2"

# -- what came ---------------------------------------------------------------------------------------

PLACE = "SELECT pulled, asked_at, said, era, doubted FROM xietong_place WHERE connection = $1"
ASKED = """
INSERT INTO xietong_place (connection, pulled, asked_at, said) VALUES ($1, 0, now(), $2)
ON CONFLICT (connection) DO UPDATE SET asked_at = now(), said = excluded.said"""
# In the mailbox's present era. What came in an era before, from the same system with the same content, is done.
TAKE = """
INSERT INTO xietong_inbox (connection, n, event_id, event_type, sub_type, usc_id, origin, data, era, state, done_at,
    said)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, p.era, CASE WHEN o.id IS NULL THEN 'waiting' ELSE 'done' END,
    CASE WHEN o.id IS NOT NULL THEN now() END,
    CASE WHEN o.id IS NULL THEN '{}' ELSE jsonb_build_object('repeats', o.id) END
FROM xietong_place p LEFT JOIN LATERAL (
    SELECT id FROM xietong_inbox i WHERE i.connection = $1 AND i.event_id = $3 AND i.era < p.era AND i.origin = $7
        AND i.sub_type = $5 AND i.data = $8 ORDER BY id LIMIT 1) o ON true
WHERE p.connection = $1 AND $2 > p.pulled ON CONFLICT DO NOTHING RETURNING id"""
# What stands under a number now: of the latest era that has it.
HELD = """
SELECT event_id, origin FROM xietong_inbox WHERE connection = $1 AND n = $2 ORDER BY era DESC LIMIT 1"""
DOUBT = "UPDATE xietong_place SET doubted = true WHERE connection = $1"
NEW_ERA = """
UPDATE xietong_place SET era = era + CASE WHEN $2 < pulled THEN 1 ELSE 0 END, pulled = least(pulled, $2),
    doubted = false
WHERE connection = $1"""
# The place moves over what is there without a gap: what is missing is pulled.
ENSURE_PLACE = "INSERT INTO xietong_place (connection) VALUES ($1) ON CONFLICT DO NOTHING"
ADVANCE = """
UPDATE xietong_place p SET pulled = coalesce((
    SELECT max(n) FROM (SELECT n, row_number() OVER (ORDER BY n) AS k FROM xietong_inbox
        WHERE connection = $1 AND era = p.era AND n > p.pulled) x WHERE n = p.pulled + k), p.pulled)
WHERE connection = $1 RETURNING pulled"""
WAITING = """
SELECT id, connection, n, event_id, event_type, sub_type, usc_id, origin, tries, data FROM xietong_inbox
WHERE connection = $1 AND state = 'waiting' AND next_at <= now() ORDER BY era, n LIMIT $2"""
SETTLE = """
UPDATE xietong_inbox SET state = $2, said = $3, bill_id = $4, tries = tries + 1, done_at = now() WHERE id = $1"""
WAIT = """
UPDATE xietong_inbox SET tries = tries + 1, said = $2, next_at = now() + make_interval(secs => $3) WHERE id = $1"""
# Something was booked: what waited for it need not wait longer.
WAKE = "UPDATE xietong_inbox SET next_at = now() WHERE connection = $1 AND state = 'waiting' AND tries > 0"
RETRY = """
UPDATE xietong_inbox SET state = 'waiting', next_at = now(), tries = 0 WHERE id = $1 AND state <> 'done' RETURNING id"""
INBOX = """
SELECT id, connection, n, event_id, event_type, sub_type, usc_id, origin, received_at, state, tries, next_at, done_at,
    bill_id, said FROM xietong_inbox
WHERE connection = $1 AND ($2 = '' OR state = $2) AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"""
COUNT_INBOX = "SELECT state, count(*) AS n FROM xietong_inbox WHERE connection = $1 GROUP BY 1"

# -- which of ours they hold ------------------------------------------------------------------------

SENT = "SELECT coalesce(max(n), 0) FROM xietong_told WHERE connection = $1"
TOLD = """
INSERT INTO xietong_told (connection, n, event_id, delivery_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (connection, n) DO UPDATE SET n = excluded.n RETURNING event_id"""
UNTOLD = "DELETE FROM xietong_told WHERE connection = $1 AND n > $2 RETURNING n, event_id, delivery_id"
# Sent once more under the same ids, each lane in its order; what is still owed of a lane waits behind it.
AGAIN_SENT = """
WITH again AS (
    SELECT id, row_number() OVER (PARTITION BY lane ORDER BY id) AS n FROM delivery
    WHERE id = ANY ($1::bigint[]) AND settled_at IS NOT NULL AND NOT pruned
), lanes AS (
    SELECT d.target, d.target_id, d.lane, min(d.id) AS first FROM again a JOIN delivery d ON d.id = a.id
    WHERE d.lane <> '' GROUP BY 1, 2, 3
), back AS (
    UPDATE delivery d SET waits = true FROM lanes l
    WHERE d.target = l.target AND d.target_id = l.target_id AND d.lane = l.lane AND d.id > l.first
        AND d.settled_at IS NULL AND NOT d.claimed
)
UPDATE delivery d SET state = 'pending', settled_at = NULL, next_at = now(), tries = 0, remote = '',
    waits = d.lane <> '' AND (a.n > 1 OR EXISTS (SELECT 1 FROM delivery e WHERE e.target = d.target
        AND e.target_id = d.target_id AND e.lane = d.lane AND e.settled_at IS NULL AND e.id < d.id))
FROM again a WHERE d.id = a.id RETURNING d.id"""
AGAIN_FILED = """
UPDATE xietong_filed SET state = 'due', tries = 0, next_at = now()
WHERE connection = $1 AND event_id = ANY ($2::uuid[]) RETURNING key"""
BEHIND = """
INSERT INTO xietong_behind (connection, what, agreed, ours, again, lost) VALUES ($1, $2, $3, $4, $5, $6)"""
FOUND_BEHIND = """
SELECT at, what, agreed, ours, again, lost FROM xietong_behind WHERE connection = $1 ORDER BY id DESC LIMIT $2"""

ORIGIN = "SELECT ours FROM xietong_origin WHERE kind = $1 AND origin = $2 AND theirs = $3"
SET_ORIGIN = """
INSERT INTO xietong_origin (kind, ours, origin, theirs) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, ours) DO UPDATE SET origin = excluded.origin, theirs = excluded.theirs"""
# The other systems that a firm works in, as each of them told.
IS_CUSTOMER = "SELECT 1 FROM xietong_customer WHERE org = $1 AND origin = $2"
SET_CUSTOMER = "INSERT INTO xietong_customer (org, origin) VALUES ($1, $2) ON CONFLICT DO NOTHING"
NO_CUSTOMER = "DELETE FROM xietong_customer WHERE org = $1 AND origin = $2"
ORIGIN_OF = "SELECT origin FROM xietong_origin WHERE kind = $1 AND ours = $2"
SYSTEM_OF = "SELECT origin FROM xietong_origin WHERE kind = 'system' AND ours = $1"

ORG_BY_OTHER = "SELECT id FROM org WHERE uscc IS NULL AND other_id_kind = $1 AND other_id = $2"
FILING_VERSION = "SELECT version FROM filing WHERE id = $1"
FREE_NAME = "SELECT own FROM trace_system WHERE name = $1"

BOOKED = "SELECT revision, void, bill_id FROM xietong_bill WHERE owner = $1 AND bill_no = $2"
SET_BOOKED = """
INSERT INTO xietong_bill (owner, bill_no, revision, void, bill_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner, bill_no) DO UPDATE SET revision = excluded.revision, void = excluded.void,
    bill_id = coalesce(excluded.bill_id, xietong_bill.bill_id)"""
# ungated: the software books what another system tells of its own firm's bill; nothing of it is shown
LATEST = """
SELECT id, type, revision, status, happened_at, from_org, to_org, principal, carrier, direct_org FROM bill
WHERE owner = $1 AND bill_no = $2 AND revision > 0 ORDER BY revision DESC LIMIT 1"""

# -- what goes out -----------------------------------------------------------------------------------

# The packages of a shipment with everything inside them, for the system of the firm that gets them (R-B1).
# ungated: the operator's duty to hand over what its customer shipped, to the receiver's system only (R-B9)
TREE = """
WITH RECURSIVE tree AS (
    SELECT u.drug_id, u.code, NULL::text COLLATE "C" AS parent, u.level, u.batch_id, 0 AS depth
    FROM unnest($1::int[], $2::text[]) AS a(drug_id, code) JOIN unit u ON u.drug_id = a.drug_id AND u.code = a.code
    UNION ALL
    SELECT u.drug_id, u.code, u.parent, u.level, u.batch_id, t.depth + 1
    FROM tree t JOIN unit u ON u.drug_id = t.drug_id AND u.parent = t.code
)
SELECT t.drug_id, t.code, t.parent, t.level, t.depth, b.batch_no, b.produced_on, b.expires_on
FROM tree t LEFT JOIN batch b ON b.drug_id = t.drug_id AND b.id = t.batch_id ORDER BY t.depth, t.code"""

# Activations that were not told yet: they are no movements, so no bill leaves word of them by itself.
# ungated: puts activations into the router's queue for the operator's connection; returns none
MADE_DUE = """
INSERT INTO route_due (connection_id, bill_id, owner)
SELECT $1, b.id, b.owner FROM relation_file f JOIN bill b ON b.id = f.bill_id AND b.owner = f.org
WHERE f.bill_id > $3 AND b.type = $4 AND b.recorded_at >= $2
    AND NOT EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = b.owner)
    AND NOT EXISTS (SELECT 1 FROM route_decision d WHERE d.bill_id = b.id AND d.connection_id = $1)
ON CONFLICT DO NOTHING"""
# Nothing below this number can still commit: no activation lasts a day.
MADE_LOW = "SELECT coalesce(max(bill_id), 0) FROM relation_file WHERE received_at < now() - interval '1 day'"
SINCE = "SELECT since FROM connection WHERE id = $1"

# Recalls and locks of our own in force or ended, with what was told of each so far ($1: the connection).
# ungated: the operator's duty to tell the other systems what is recalled (R-E4, R-B9); drills and sandboxes stay here
STOPS_TO_TELL = """
WITH stops AS (
    SELECT 'recall' AS kind, o.number, o.drug_id, o.owner, o.return_to, o.title, o.reason, o.hazard, o.level::int,
        o.measure, o.kind = 'ordered' AS ordered, o.is_public AS public, o.regions, o.published_at AS at,
        CASE o.state WHEN 'cancelled' THEN 'lift' WHEN 'finished' THEN 'end' ELSE '' END AS ending,
        o.ended_at, o.end_reason,
        ARRAY(SELECT b.batch_no FROM recall_batch r JOIN batch b ON b.drug_id = r.drug_id AND b.id = r.batch_id
            WHERE r.order_id = o.id ORDER BY 1) AS batches,
        ARRAY(SELECT r.code FROM recall_code r WHERE r.order_id = o.id ORDER BY 1) AS codes
    FROM recall_order o WHERE o.published_at IS NOT NULL AND NOT o.simulated
        AND NOT EXISTS (SELECT 1 FROM foreign_stop f WHERE f.kind = 'recall' AND f.ours = o.id)
    UNION ALL
    SELECT 'lock', l.number, l.drug_id, p.mah_id, p.mah_id,
        CASE WHEN l.reason_text = '' THEN p.generic_name ELSE l.reason_text END, l.reason, '', NULL, '',
        false, false, '{}', l.placed_at, CASE WHEN l.released_at IS NULL THEN '' ELSE 'lift' END, l.released_at,
        l.release_reason,
        ARRAY(SELECT b.batch_no FROM goods_lock_batch r JOIN batch b ON b.drug_id = r.drug_id AND b.id = r.batch_id
            WHERE r.lock_id = l.id ORDER BY 1),
        ARRAY(SELECT r.code FROM goods_lock_code r WHERE r.lock_id = l.id ORDER BY 1)
    FROM goods_lock l JOIN product p ON p.id = l.drug_id WHERE l.kind = 'lock' AND l.org IS NULL
        AND NOT EXISTS (SELECT 1 FROM foreign_stop f WHERE f.kind = 'lock' AND f.ours = l.id)
), told AS (
    SELECT s.*,
        EXISTS (SELECT 1 FROM delivery d WHERE d.target = 'xietong' AND d.target_id = $1
            AND d.key = s.kind || '|' || s.number || '|stop') AS told,
        s.ending <> '' AND EXISTS (SELECT 1 FROM delivery d WHERE d.target = 'xietong' AND d.target_id = $1
            AND d.key = s.kind || '|' || s.number || '|' || s.ending) AS told_end
    FROM stops s WHERE NOT EXISTS (SELECT 1 FROM sandbox_org x WHERE x.org = s.owner)
)
SELECT * FROM told WHERE (NOT told AND ending <> 'lift') OR (told AND ending <> '' AND NOT told_end)
ORDER BY at, kind, number LIMIT 200"""

# Against which notice a receipt was checked, and the result (R-B2).
# ungated: the operator's duty to bring the check result back, to the home system of the goods ($2) and of no others
CHECKS = """
SELECT s.bill_no, c.outcome, c.counts FROM receipt_check c LEFT JOIN bill s ON s.id = c.notice_bill
WHERE c.receipt_bill = $1 AND (s.id IS NULL OR 0 = ANY($2::int[]) OR s.drug_ids && $2::int[]) ORDER BY c.id LIMIT 20"""
# ungated: the operator's duty to name the notice of these goods ($2) to their home system
NOTICE_NO = """
SELECT n.bill_no FROM bill b JOIN bill n ON n.id = b.notice_bill
WHERE b.id = $1 AND (0 = ANY($2::int[]) OR n.drug_ids && $2::int[])"""

LOCK = "SELECT pg_try_advisory_lock(726244, $1)"
UNLOCK = "SELECT pg_advisory_unlock(726244, $1)"


async def rows(conn: Connection, statement: str, *args: Any) -> Sequence[Record]:
    """The rows a statement of this file finds."""
    return await conn.fetch(statement, *args)
