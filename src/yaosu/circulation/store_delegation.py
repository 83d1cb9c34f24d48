"""SQL of delegations. An organisation sees those it gave and those it holds."""

from __future__ import annotations

# Given and held, newest first.
LIST = """
SELECT id, principal, agent, valid_from, valid_until, revoked_at FROM delegation
WHERE principal = $1 OR agent = $1 ORDER BY id DESC LIMIT 500"""

GIVE = "INSERT INTO delegation (principal, agent, valid_until, made_by) VALUES ($1, $2, $3, $4) RETURNING id"

REVOKE = """
UPDATE delegation SET revoked_at = now() WHERE id = $1 AND principal = $2 AND revoked_at IS NULL RETURNING id"""
