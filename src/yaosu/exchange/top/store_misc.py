"""SQL of the directory's methods: partners, requests for new ones, licences, delegations."""

from __future__ import annotations

from asyncpg import Record

from yaosu.access.visibility import Sight, traced_read
from yaosu.db.engine import Connection

# Whom an organisation traded with, each once, with the first and the last time.
_PARTNERS = """
SELECT p.org, min(p.recorded_at) AS since, max(p.recorded_at) AS last FROM (
    SELECT unnest(ARRAY[b.from_org, b.to_org, b.owner]) AS org, b.recorded_at FROM bill b
    WHERE (b.owner = $1 OR b.to_org = $1) AND b.type > 100 AND /*visible:bill b*/) p
WHERE p.org IS NOT NULL AND p.org <> $1 GROUP BY p.org"""
PARTNERS = f"""
SELECT x.org, x.since, x.last, count(*) OVER () AS total FROM ({_PARTNERS}) x JOIN org o ON o.id = x.org
WHERE NOT o.place AND ($2::text = '' OR position($2 IN o.name_norm) > 0)
    AND ($3::timestamptz IS NULL OR o.updated_at >= $3) AND ($4::timestamptz IS NULL OR o.updated_at < $4)
    AND ($5::int IS NULL OR x.org = $5)
ORDER BY x.org LIMIT $6 OFFSET $7"""  # noqa: S608 - constants

# Agents that an organisation lets act for it, and principals that let it act for them, in force now.
# ungated: the organisation's own agreements, and the directory entries of the other side
AGENTS = """
SELECT d.agent AS org, min(d.valid_from) AS since FROM delegation d JOIN org o ON o.id = d.agent
WHERE d.principal = $1 AND d.accepted_at IS NOT NULL AND d.revoked_at IS NULL
    AND (d.valid_until IS NULL OR d.valid_until > now()) AND ($2::text = '' OR position($2 IN o.name_norm) > 0)
GROUP BY d.agent ORDER BY d.agent"""
PRINCIPALS = AGENTS.replace("d.agent", "d.X").replace("d.principal", "d.agent").replace("d.X", "d.principal")

# Directory entries whose name contains the words; the exact name first.
# ungated: the directory, which every signed-in organisation may read
ORGS_BY_NAME = """
SELECT id FROM org WHERE status = 1 AND NOT place AND position($1 IN name_norm) > 0
ORDER BY name_norm <> $1, length(name_norm), id LIMIT $2"""

# Directory entries by another registered number (诊所备案号, 登记号).
# ungated: the directory, found by somebody who already has the number
ORGS_BY_NUMBER = """
SELECT id FROM org WHERE status = 1 AND NOT place AND other_id = $1
UNION SELECT org_id FROM org_licence WHERE number = $1 ORDER BY 1 LIMIT 20"""

# Licences of an organisation.
# ungated: the organisation's own
LICENCES = """
SELECT id, kind, number, issued_on, expires_on, scope, updated_at FROM org_licence WHERE org_id = $1 ORDER BY id"""

# A request for a directory entry; the same number from the same organisation stays the request it was.
ADD_PARTNER = """
INSERT INTO top_partner (org, name, org_code, org_type, sub_type, region, address, licence_kind, contact, picture,
    ref_ent_id, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (org, org_code) DO UPDATE SET name = excluded.name, org_type = excluded.org_type,
    sub_type = excluded.sub_type, region = excluded.region, address = excluded.address,
    licence_kind = excluded.licence_kind, contact = excluded.contact, picture = excluded.picture,
    state = CASE WHEN top_partner.state = 'refused' THEN 'waiting' ELSE top_partner.state END, asked_at = now()
RETURNING id, ref_ent_id, state"""

_PARTNER = """p.id, p.org, p.name, p.org_code, p.org_type, p.sub_type, p.region, p.address, p.licence_kind, p.contact,
    p.ref_ent_id, p.state, p.reason, p.asked_at, p.decided_at, p.made_org"""

# One's own requests that wait or were refused.
# ungated: the organisation's own
OWN_REQUESTS = f"""
SELECT {_PARTNER} FROM top_partner p WHERE p.org = $1 AND p.state <> 'accepted'
    AND ($2::text = '' OR position($2 IN p.name) > 0) ORDER BY p.id"""  # noqa: S608 - constant

# Requests that wait, for the operator.
# ungated: the operator's work
WAITING = f"SELECT {_PARTNER} FROM top_partner p WHERE p.state = 'waiting' ORDER BY p.id LIMIT 500"  # noqa: S608

# One request under lock, for the operator's decision.
# ungated: the operator's work
ONE_REQUEST = f"SELECT {_PARTNER}, p.picture FROM top_partner p WHERE p.id = $1 FOR UPDATE"  # noqa: S608

DECIDE = """
UPDATE top_partner SET state = $2, reason = $3, made_org = $4, decided_at = now(), decided_by = $5 WHERE id = $1"""

# Requests whose organisation has entered the directory some other way meanwhile.
SETTLE = """
UPDATE top_partner p SET state = 'accepted', made_org = o.id, decided_at = now()
FROM org o WHERE o.uscc = p.org_code AND o.status = 1 AND p.state = 'waiting' AND p.org = $1"""


@traced_read("top partners")
async def partners(
    conn: Connection,
    sight: Sight,
    org: int,
    name: str,
    since: object,
    until: object,
    only: int | None,
    offset: int,
    limit: int,
) -> list[Record]:
    """Whom an organisation traded with; `total` in each row."""
    sql, args = sight.apply(PARTNERS, org, name, since, until, only, limit, offset)
    return await conn.fetch(sql, *args)
