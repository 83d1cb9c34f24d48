"""SQL of the gateway itself: keys, aliases, refused uploads, repeats."""

from __future__ import annotations

# With what its organisation is, and who answers for it with the role of today (names as in access.store.KEY_BY_DIGEST).
_KEY = """
SELECT k.app_key, k.org AS org_id, k.title, k.role, k.secret, k.old_secret, k.old_until, k.made_at, k.rotated_at,
    k.revoked_at, k.used_at, o.type::text AS org_type, o.sub_type, o.region, o.status = 1 AS in_use,
    k.made_by AS maker, m.login, m.org_id AS maker_org, m.role AS maker_role, m.active AS maker_active,
    w.type::text AS maker_type, w.sub_type AS maker_sub_type
FROM top_key k JOIN org o ON o.id = k.org LEFT JOIN account m ON m.id = k.made_by LEFT JOIN org w ON w.id = m.org_id"""

# A key by what the caller calls it.
# ungated: authentication, before there is a subject
KEY = f"{_KEY} WHERE k.app_key = $1"

# Keys of one organisation, revoked ones last.
# ungated: the caller's own organisation, checked by the service
KEYS = f"{_KEY} WHERE k.org = $1 ORDER BY k.revoked_at IS NOT NULL, k.made_at, k.app_key"

# One of them, under lock.
# ungated: bound to the organisation that manages it
ONE_KEY = f"{_KEY} WHERE k.org = $1 AND k.app_key = $2 FOR UPDATE OF k"

# A new key, unless its number is taken.
ADD_KEY = """
INSERT INTO top_key (app_key, org, title, role, secret, made_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING app_key"""

# A new secret; the old one may go on for a while.
ROTATE_KEY = """
UPDATE top_key SET secret = $2, old_secret = CASE WHEN $3::timestamptz IS NOT NULL THEN secret END, old_until = $3,
    rotated_at = now()
WHERE app_key = $1"""

# Who answers for a key from now on.
TAKE_OVER = "UPDATE top_key SET made_by = $2 WHERE app_key = $1 AND revoked_at IS NULL"

# The end of a key.
REVOKE_KEY = "UPDATE top_key SET revoked_at = now() WHERE app_key = $1 AND revoked_at IS NULL"

# When keys were last used, to the minute.
USED = """
UPDATE top_key SET used_at = now()
WHERE app_key = ANY ($1::text[]) AND (used_at IS NULL OR used_at < now() - interval '1 minute')"""

# Aliases of organisations.
# ungated: names of organisations, the directory every signed-in organisation may read
ALIASES = "SELECT org, ent_id, ref_ent_id FROM top_alias WHERE org = ANY ($1::int[])"

# Aliases made for organisations that exist; one that is taken by chance is left out and made anew.
ADD_ALIASES = """
INSERT INTO top_alias (org, ent_id, ref_ent_id)
SELECT n.org, n.ent_id, n.ref_ent_id FROM unnest($1::int[], $2::text[], $3::text[]) AS n(org, ent_id, ref_ent_id)
JOIN org o ON o.id = n.org ON CONFLICT DO NOTHING"""

# Who goes by a name, either of the two.
# ungated: names of organisations, the directory every signed-in organisation may read
ALIAS_BY_NAME = "SELECT org, ent_id, ref_ent_id FROM top_alias WHERE ent_id = $1 OR ref_ent_id = $1"

# Whether an organisation holds a delegation of another, or of the one it is a place of, in force now.
# ungated: who acts for whom, asked of the two themselves
DELEGATED = """
SELECT EXISTS (
    SELECT 1 FROM delegation d JOIN org o ON o.id = $2
    WHERE d.agent = $1 AND d.principal = CASE WHEN o.place THEN o.parent_id ELSE o.id END
        AND (d.places IS NULL OR o.id = ANY (d.places))
        AND d.accepted_at IS NOT NULL AND d.revoked_at IS NULL AND d.valid_from <= now()
        AND (d.valid_until IS NULL OR d.valid_until > now()))"""

# The first to claim a signed request carries it out.
CLAIM = "INSERT INTO top_repeat (digest) VALUES ($1) ON CONFLICT DO NOTHING RETURNING digest"
# What the first got; NULL while it is still under way.
FIRST_ANSWER = "SELECT answer FROM top_repeat WHERE digest = $1"
ANSWERED = "UPDATE top_repeat SET answer = $2 WHERE digest = $1"
# A call that failed may be made again.
UNCLAIM = "DELETE FROM top_repeat WHERE digest = $1 AND answer IS NULL"
# Requests that are too old to be signed for now: a timestamp may be China time or UTC, so it can be good twice, eight
# hours apart.
FORGET_REPEATS = "DELETE FROM top_repeat WHERE at < now() - interval '10 hours'"

# An upload of which nothing moved; the latest try under a number counts. Nothing where the number is a bill's by now.
# ungated: writes; only whether the owner has a bill of its own number is looked at
KEEP_REFUSAL = """
INSERT INTO top_refusal (owner, bill_no, submitter, type, from_org, to_org, happened_at, reason, codes)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE NOT EXISTS (SELECT 1 FROM bill b WHERE b.owner = $1 AND b.bill_no = $2)
ON CONFLICT (owner, bill_no) DO UPDATE SET submitter = $3, type = $4, from_org = $5, to_org = $6, happened_at = $7,
    at = now(), reason = $8, codes = $9"""
