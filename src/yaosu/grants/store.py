"""SQL of data grants and of the reads that owners see. Bound to the subject's own organisation."""

from __future__ import annotations

_GRANT = """id, grantor_org, grantee_org, drug_ids, fields, offered_by, granted_at, accepted_at, until, withdrawn_at,
    declined_at, note, replaces"""

OFFER = """
INSERT INTO data_grant (grantor_org, grantee_org, drug_ids, fields, until, note, offered_by, replaces, accepted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $9::bool THEN now() END) RETURNING id"""

# Given and held, newest first.
LIST = f"""
SELECT {_GRANT} FROM data_grant
WHERE (grantor_org = ANY ($1::int[]) OR grantee_org = ANY ($1::int[])) AND ($2::int IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3"""  # noqa: S608 - constant columns

ONE = f"""
SELECT {_GRANT} FROM data_grant
WHERE id = $1 AND (grantor_org = ANY ($2::int[]) OR grantee_org = ANY ($2::int[]))"""  # noqa: S608 - constant columns

# Under lock, so that accepting and withdrawing at the same moment leave one answer.
LOCK = "SELECT id FROM data_grant WHERE id = $1 FOR UPDATE"

ACCEPT = "UPDATE data_grant SET accepted_at = now() WHERE id = $1"

DECLINE = "UPDATE data_grant SET declined_at = now() WHERE id = $1"

WITHDRAW = "UPDATE data_grant SET withdrawn_at = now() WHERE id = $1 AND withdrawn_at IS NULL"

# Proposals of other terms for a grant end with it, and the own earlier one with the next: nobody is bound by what was
# proposed for an agreement that is over. One side's only ($2), or all but the one that took its place ($3).
LAPSE = """
UPDATE data_grant SET withdrawn_at = now() WHERE replaces = $1 AND ($2::int IS NULL OR offered_by = $2)
    AND id IS DISTINCT FROM $3 AND accepted_at IS NULL AND withdrawn_at IS NULL AND declined_at IS NULL"""

# What a proposal would take the place of, under lock before the proposal itself.
REPLACED = "SELECT withdrawn_at FROM data_grant WHERE id = (SELECT replaces FROM data_grant WHERE id = $1) FOR UPDATE"

# An invitation that already waits for an answer between the same two.
WAITING = """
SELECT id FROM data_grant WHERE grantor_org = $1 AND grantee_org = $2 AND offered_by = $3 AND accepted_at IS NULL
    AND withdrawn_at IS NULL AND declined_at IS NULL AND (until IS NULL OR until > now()) LIMIT 1"""

# Offers of others that one of ours has to answer.
TO_ANSWER = """
SELECT count(*) FROM data_grant WHERE (grantor_org = ANY ($1::int[]) OR grantee_org = ANY ($1::int[]))
    AND offered_by <> ALL ($1::int[]) AND accepted_at IS NULL AND withdrawn_at IS NULL AND declined_at IS NULL
    AND (until IS NULL OR until > now())"""

# Who read our records: the reader's organisation, not the person, whose name is the reader's own affair.
READS = """
SELECT id, at, org_id, subject_kind, what, owner_org FROM read_record
WHERE owner_org = ANY ($1::int[]) AND ($2::bigint IS NULL OR id < $2) AND ($3::int IS NULL OR org_id = $3)
    AND ($4::timestamptz IS NULL OR at >= $4)
ORDER BY id DESC LIMIT $5"""
