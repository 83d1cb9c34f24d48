"""SQL of uploads and of the job table as callers see it. The organisation is in every condition."""

from __future__ import annotations

# what an organisation has open counts against its quota
OPEN_TOTAL = """
SELECT count(*) AS n, coalesce(sum(size), 0)::bigint AS bytes FROM upload WHERE org = $1 AND expires_at > now()"""

# two uploads begun at once by one organisation must not both slip under the quota
LOCK_ORG = "SELECT pg_advisory_xact_lock(4004, $1)"

INSERT = """
INSERT INTO upload (org, account_id, name, purpose, size, sha256, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, org, name, purpose, size, received, state, sha256, created_at, expires_at"""

GET = """
SELECT id, org, name, purpose, size, received, state, sha256, created_at, expires_at
FROM upload WHERE id = $1 AND org = $2 AND expires_at > now()"""

ADVANCE = """
UPDATE upload SET received = $3, state = $4, expires_at = $5 WHERE id = $1 AND received = $2 RETURNING received"""

DELETE = "DELETE FROM upload WHERE id = $1 AND org = $2 RETURNING id"

EXPIRED = "DELETE FROM upload WHERE expires_at <= now() RETURNING id"

JOB = """
SELECT id, kind, state, done, total, result, input, created_at, started_at, finished_at
FROM job WHERE id = $1 AND org = $2"""

JOBS = """
SELECT id, kind, state, done, total, result, input, created_at, started_at, finished_at
FROM job WHERE org = $1 AND kind = ANY ($2::text[]) ORDER BY created_at DESC LIMIT $3"""
