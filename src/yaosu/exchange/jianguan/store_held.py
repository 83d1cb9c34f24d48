"""SQL of the receiving side: sources, what they sent, what reconciliation found."""

from __future__ import annotations

_SOURCE = "id, source_id, name, region, key, state, told, contiguous, refused, said, seen_at, made_at"

ADD = f"""
INSERT INTO jianguan_source (source_id, name, region, key, made_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO NOTHING RETURNING {_SOURCE}"""  # noqa: S608 - constant columns
BY_NAME = f"SELECT {_SOURCE} FROM jianguan_source WHERE source_id = $1"  # noqa: S608 - constant columns
BY_ID = f"SELECT {_SOURCE} FROM jianguan_source WHERE id = $1"  # noqa: S608 - constant columns
ALL = f"SELECT {_SOURCE} FROM jianguan_source ORDER BY id"  # noqa: S608 - constant columns
SET_KEY = "UPDATE jianguan_source SET key = $2 WHERE id = $1"
END = "UPDATE jianguan_source SET state = 'ended' WHERE id = $1 RETURNING id"
LOCK = "SELECT contiguous FROM jianguan_source WHERE id = $1 FOR NO KEY UPDATE"
REFUSED = "UPDATE jianguan_source SET refused = refused + 1, said = $2, seen_at = now() WHERE id = $1"

HELD = """
SELECT seq, event_id, digest FROM jianguan_received WHERE source = $1 AND seq = ANY($2::bigint[])"""
HELD_BODIES = "SELECT seq, body FROM jianguan_received WHERE source = $1 AND seq = ANY($2::bigint[])"
PUT = """
INSERT INTO jianguan_received (source, seq, event_id, kind, org, day, qty, codes, digest, body)
SELECT $1, * FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::date[], $7::bigint[], $8::int[],
    $9::bytea[], $10::bytea[])"""
KEEP_OLD = """
INSERT INTO jianguan_replaced (source, seq, event_id, digest, body, received_at)
SELECT source, seq, event_id, digest, body, received_at FROM jianguan_received
WHERE source = $1 AND seq = ANY($2::bigint[])"""
DROP_OLD = "DELETE FROM jianguan_received WHERE source = $1 AND seq = ANY($2::bigint[])"
# Everything up to the first number that is missing.
CONTIGUOUS = """
SELECT coalesce(max(seq), $2) FROM (
    SELECT seq, row_number() OVER (ORDER BY seq) AS k FROM jianguan_received WHERE source = $1 AND seq > $2
) x WHERE seq = $2 + k"""
SET = """
UPDATE jianguan_source SET contiguous = $2, told = greatest(told, $3), seen_at = now(), said = '' WHERE id = $1"""

SUMS = """
SELECT count(*) AS count, coalesce(sum(qty), 0)::bigint AS qty FROM jianguan_received
WHERE source = $1 AND seq BETWEEN $2 AND $3"""
RUN = """
SELECT seq, event_id, body FROM jianguan_received WHERE source = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4"""
DAYS = """
SELECT day, org, count(*) AS count, sum(qty)::bigint AS qty FROM jianguan_received
WHERE source = $1 AND seq BETWEEN $2 AND $3 GROUP BY day, org ORDER BY day, org"""
ADD_RESULT = """
INSERT INTO jianguan_check (source, feed, first, last, equal, ours, theirs, days, differing, resent, said)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"""
CHECKS = """
SELECT id, at, first, last, equal, ours, theirs, days, differing, resent, said FROM jianguan_check
WHERE source = $1 ORDER BY id DESC LIMIT $2"""

# Completeness by business day.
BY_DAY = """
SELECT day, count(*) AS events, count(DISTINCT org) AS orgs, sum(qty)::bigint AS qty, max(received_at) AS last_at
FROM jianguan_received WHERE source = $1 AND kind = 'bill' GROUP BY day ORDER BY day DESC LIMIT $2"""
MISSING = """
SELECT a.seq + 1 AS first, a.next - 1 AS last FROM (
    SELECT seq, lead(seq) OVER (ORDER BY seq) AS next FROM jianguan_received WHERE source = $1 AND seq >= $2
) a WHERE a.next > a.seq + 1 ORDER BY 1 LIMIT 50"""
EVENTS = """
SELECT seq, event_id, kind, org, day, qty, codes, received_at, encode(digest, 'hex') AS digest FROM jianguan_received
WHERE source = $1 AND ($2::bigint IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3"""
EVENT = "SELECT seq, event_id, digest, body, received_at FROM jianguan_received WHERE source = $1 AND event_id = $2"
