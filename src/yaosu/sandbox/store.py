"""SQL of sandboxes."""

from __future__ import annotations

OF = "SELECT * FROM sandbox WHERE org = $1"
LOCK = "SELECT * FROM sandbox WHERE org = $1 FOR UPDATE NOWAIT"
MAKE = "INSERT INTO sandbox (org) VALUES ($1) ON CONFLICT (org) DO NOTHING RETURNING id"
NEXT_PREFIX = "SELECT nextval('sandbox_prefix')"
ADD_ORG = "INSERT INTO sandbox_org (org, sandbox_id, generation, role) VALUES ($1, $2, $3, $4)"
# A build takes seconds: whoever began so long ago and did not end has gone.
BEGIN = """
UPDATE sandbox SET building = true, begun_at = now()
WHERE id = $1 AND (begun_at IS NULL OR begun_at < now() - interval '10 minutes')"""
READY = """
UPDATE sandbox SET generation = $2, building = false, begun_at = NULL, roles = $3, drugs = $4, reset_at = now()
WHERE id = $1"""
FAILED = "UPDATE sandbox SET building = false, begun_at = NULL WHERE id = $1"

# keys and accounts of the old generation's organisations belong to the new one's
MOVE_KEYS = "UPDATE api_key SET org_id = $2 WHERE org_id = $1 RETURNING id"
MOVE_ACCOUNTS = "UPDATE account SET org_id = $2 WHERE org_id = $1 RETURNING id"

KEYS = """
SELECT k.id, k.prefix, k.org_id, k.name, k.created_at, k.revoked_at, k.last_used_at FROM api_key k
WHERE k.org_id = ANY($1::int[]) AND k.revoked_at IS NULL ORDER BY k.id"""
IS_KEY = "SELECT 1 FROM api_key WHERE id = $1 AND org_id = ANY($2::int[]) AND revoked_at IS NULL"
