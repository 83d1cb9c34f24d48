"""SQL of the stops room. Stops carry no trace data of firms: they say which goods may not move."""

from __future__ import annotations

PLACE = """
INSERT INTO stop (kind, ref, number, title, level, org, placed_by, reason, return_to)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id"""

PLACE_BATCHES = """
INSERT INTO stop_batch (drug_id, batch_id, stop_id)
SELECT DISTINCT d, b, $3::int FROM unnest($1::int[], $2::int[]) AS v(d, b) ON CONFLICT DO NOTHING"""

# Each code and everything inside it now: what is taken out later is stopped all the same.
# ungated: writes which codes are stopped and returns only a count
PLACE_CODES = """
WITH RECURSIVE inside AS (
    SELECT d AS drug_id, c COLLATE "C" AS code FROM unnest($1::int[], $2::text[]) AS v(d, c)
    UNION
    SELECT u.drug_id, u.code FROM inside i JOIN unit u ON u.drug_id = i.drug_id AND u.parent = i.code
)
INSERT INTO stop_code (drug_id, code, stop_id) SELECT drug_id, code, $3::int FROM inside LIMIT $4
ON CONFLICT DO NOTHING"""

LIFT = """
UPDATE stop SET lifted_at = clock_timestamp(), lift_reason = $2 WHERE id = $1 AND lifted_at IS NULL RETURNING id"""

RAISE_VERSION = "UPDATE stop_version SET version = version + 1"

VERSION = "SELECT version FROM stop_version"

# No bill is between its look at the version and its commit while a stop is placed: whatever commits afterwards has
# seen the stop. Bills take the shared side of the lock (circulation.store_write.LATEST_REVISIONS).
LOCK_OUT_BILLS = "SELECT pg_advisory_xact_lock(7295461002)"

ACTIVE = """
SELECT id, kind, ref, number, title, level, org, placed_by, reason, placed_at, return_to
FROM stop WHERE lifted_at IS NULL ORDER BY id"""

ACTIVE_BATCHES = """
SELECT b.drug_id, b.batch_id, b.stop_id FROM stop_batch b JOIN stop s ON s.id = b.stop_id WHERE s.lifted_at IS NULL"""

ACTIVE_CODES = """
SELECT c.drug_id, c.code, c.stop_id FROM stop_code c JOIN stop s ON s.id = c.stop_id WHERE s.lifted_at IS NULL"""

# How many stopped codes are inside packages now, among those asked for; an empty package stops nothing it is in.
# ungated: says which packages are stopped, for the judge
AROUND = """
WITH RECURSIVE up AS (
    SELECT u.drug_id, u.parent AS code, c.stop_id, c.code AS stopped
    FROM stop_code c JOIN stop s ON s.id = c.stop_id AND s.lifted_at IS NULL
    JOIN unit u ON u.drug_id = c.drug_id AND u.code = c.code
    WHERE c.drug_id = ANY($1::int[]) AND u.parent IS NOT NULL AND coalesce(u.qty, 1) > 0
    UNION
    SELECT u.drug_id, u.parent, up.stop_id, up.stopped
    FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.code
    WHERE u.parent IS NOT NULL
)
SELECT drug_id, code, stop_id, count(*) AS count FROM up WHERE code = ANY($2::text[]) GROUP BY 1, 2, 3"""

# ungated: which batches the units are of, for the judge
BATCHES_OF = """
WITH RECURSIVE up AS (
    SELECT d AS drug_id, c COLLATE "C" AS asked, c COLLATE "C" AS code FROM unnest($1::int[], $2::text[]) AS v(d, c)
    UNION ALL
    SELECT u.drug_id, up.asked, u.parent FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.code
    WHERE u.parent IS NOT NULL
)
SELECT up.drug_id, up.asked, up.code, u.batch_id FROM up JOIN unit u ON u.drug_id = up.drug_id AND u.code = up.code
UNION ALL
SELECT k.drug_id, k.code, k.code, k.batch_id FROM container_batch k
JOIN unnest($1::int[], $2::text[]) AS v(d, c) ON k.drug_id = v.d AND k.code = v.c AND k.qty > 0"""

HIT = """
INSERT INTO stop_hit AS h (stop_id, org, first_at, last_at, count, first_code)
SELECT s, o, clock_timestamp(), clock_timestamp(), n, c
FROM unnest($1::int[], $2::int[], $3::bigint[], $4::text[]) AS v(s, o, n, c)
ON CONFLICT (stop_id, org) DO UPDATE SET last_at = excluded.last_at, count = h.count + excluded.count"""

HITS = "SELECT org, first_at, last_at, count, first_code FROM stop_hit WHERE stop_id = $1 ORDER BY first_at"
