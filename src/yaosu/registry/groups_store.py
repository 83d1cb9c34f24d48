"""SQL of medical groups. Reference tables, small."""

from __future__ import annotations

# Groups that had both hospitals as members at that moment, with which of the products were listed that day.
MAY_TRANSFER = """
SELECT g.name, d.drug_id FROM care_group g
JOIN care_group_member a ON a.group_id = g.id AND a.org = $1 AND a.accepted_at <= $4
    AND (a.left_at IS NULL OR a.left_at > $4)
JOIN care_group_member b ON b.group_id = g.id AND b.org = $2 AND b.accepted_at <= $4
    AND (b.left_at IS NULL OR b.left_at > $4)
LEFT JOIN care_group_drug d ON d.group_id = g.id AND d.drug_id = ANY ($3::int[])
    AND d.valid_from <= $5::date AND (d.valid_to IS NULL OR d.valid_to >= $5::date)
    AND (d.ended_at IS NULL OR d.ended_at > $4)
WHERE g.ended_at IS NULL OR g.ended_at > $4
ORDER BY d.drug_id NULLS LAST, g.id"""

GROUPS = "SELECT id, name, kind, lead_org, created_at, ended_at FROM care_group WHERE id = ANY ($1::int[])"

OF_ORG = """
SELECT g.id FROM care_group g JOIN care_group_member m ON m.group_id = g.id
WHERE m.org = $1 AND m.left_at IS NULL ORDER BY g.ended_at IS NOT NULL, g.id DESC LIMIT 200"""

INVITED = """
SELECT count(*) FROM care_group_member m JOIN care_group g ON g.id = m.group_id AND g.ended_at IS NULL
WHERE m.org = $1 AND m.accepted_at IS NULL AND m.left_at IS NULL"""

# Members, those asked and the lead know a group; who left does not any more.
KNOWS = "SELECT EXISTS (SELECT 1 FROM care_group_member WHERE group_id = $1 AND org = $2 AND left_at IS NULL)"

MEMBERS = """
SELECT group_id, org, invited_at, accepted_at, left_at FROM care_group_member
WHERE group_id = ANY ($1::int[]) ORDER BY group_id, invited_at, org"""

DRUGS = """
SELECT group_id, id, drug_id, reason, valid_from, valid_to, ended_at FROM care_group_drug
WHERE group_id = ANY ($1::int[]) ORDER BY group_id, ended_at IS NOT NULL, id DESC"""

LOCK = "SELECT id FROM care_group WHERE id = $1 FOR UPDATE"

CREATE = "INSERT INTO care_group (name, kind, lead_org) VALUES ($1, $2, $3) RETURNING id"

JOIN_LEAD = "INSERT INTO care_group_member (group_id, org, accepted_at) VALUES ($1, $2, now())"

INVITE = """
INSERT INTO care_group_member (group_id, org) VALUES ($1, $2)
ON CONFLICT (group_id, org) DO UPDATE SET invited_at = now(), accepted_at = NULL, left_at = NULL"""

ACCEPT = """
UPDATE care_group_member SET accepted_at = now()
WHERE group_id = $1 AND org = $2 AND accepted_at IS NULL AND left_at IS NULL
    AND EXISTS (SELECT 1 FROM care_group g WHERE g.id = $1 AND g.ended_at IS NULL) RETURNING org"""

LEAVE = """
UPDATE care_group_member SET left_at = now() WHERE group_id = $1 AND org = $2 AND left_at IS NULL RETURNING org"""

END = "UPDATE care_group SET ended_at = now() WHERE id = $1"

ADD_DRUG = """
INSERT INTO care_group_drug (group_id, drug_id, reason, valid_from, valid_to, added_by)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"""

END_DRUG = """
UPDATE care_group_drug SET ended_at = now() WHERE group_id = $1 AND id = $2 AND ended_at IS NULL RETURNING id"""
