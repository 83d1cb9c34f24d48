"""SQL of delegations. An organisation sees those it gave and those it holds."""

from __future__ import annotations

_COLUMNS = """id, principal, agent, valid_from, valid_until, revoked_at, accepted_at, declined_at, offered_by, kinds,
    bill_types, drug_ids, places, may_read, note"""

# Given and held, newest first; the cursor is the last id seen. With $4 only those in force now.
LIST = f"""
SELECT {_COLUMNS} FROM delegation WHERE (principal = ANY ($1::int[]) OR agent = ANY ($1::int[]))
    AND ($2::int IS NULL OR id < $2) AND (NOT $4::bool OR (accepted_at IS NOT NULL AND revoked_at IS NULL
        AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now())))
ORDER BY id DESC LIMIT $3"""  # noqa: S608 - constant columns

# Offers of others that one of ours has to answer.
TO_ANSWER = """
SELECT count(*) FROM delegation WHERE (principal = ANY ($1::int[]) OR agent = ANY ($1::int[]))
    AND offered_by <> ALL ($1::int[]) AND accepted_at IS NULL AND revoked_at IS NULL AND declined_at IS NULL
    AND (valid_until IS NULL OR valid_until > now())"""

ONE = f"""
SELECT {_COLUMNS} FROM delegation
WHERE id = $1 AND (principal = ANY ($2::int[]) OR agent = ANY ($2::int[])) FOR UPDATE"""  # noqa: S608

OFFER = """
INSERT INTO delegation (principal, agent, valid_from, valid_until, kinds, bill_types, drug_ids, places, may_read, note,
    offered_by, made_by, accepted_at)
VALUES ($1, $2, coalesce($3::timestamptz, now()), $4, $5, $6, $7, $8, $9, $10, $11, $12, NULL) RETURNING id"""

ACCEPT = "UPDATE delegation SET accepted_at = now(), accepted_by = $2 WHERE id = $1"

DECLINE = "UPDATE delegation SET declined_at = now() WHERE id = $1"

REVOKE = "UPDATE delegation SET revoked_at = now() WHERE id = $1"

# What one may do for the other at this moment. Every submission by an agent asks it, so a revocation is immediate.
IN_FORCE = """
SELECT kinds, bill_types, drug_ids, places FROM delegation
WHERE principal = $1 AND agent = $2 AND accepted_at IS NOT NULL AND revoked_at IS NULL AND valid_from <= now()
    AND (valid_until IS NULL OR valid_until > now())"""

# Products of what a bill without codes of its own (a void) takes back.
# ungated: write path, bound to the owner of the bill ($1)
DRUGS_OF_BILL = "SELECT drug_ids FROM bill WHERE owner = $1 AND bill_no = $2 ORDER BY revision DESC LIMIT 1"

# Products inside scanned logistics containers.
DRUGS_OF_CONTAINERS = "SELECT drug_ids FROM logistics_container WHERE code = ANY ($1::text[])"
