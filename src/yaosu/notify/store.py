"""SQL of messages and webhooks. Everything is bound to the subject's own organisation."""

from __future__ import annotations

# One statement: the message once per (organisation, kind, ref), and a delivery to each subscription that wants it.
# What is told of one thing (`ref`) goes in its order: the next waits until the one before is settled.
TELL = """
WITH told AS (
    INSERT INTO message (org, kind, ref, params, link)
    SELECT o, $2, $3, $4, $5 FROM unnest($1::int[]) AS o ORDER BY o
    ON CONFLICT (org, kind, ref) DO NOTHING RETURNING id, org, event, at
), sent AS (
    INSERT INTO delivery (org, target, target_id, event, kind, body, lane, waits)
    SELECT w.org, 'webhook', w.id, t.event, $2,
        $6::jsonb || jsonb_build_object('id', t.event, 'message', t.id, 'org', t.org, 'at', t.at),
        $3, $3 <> '' AND EXISTS (SELECT 1 FROM delivery e WHERE e.target = 'webhook' AND e.target_id = w.id
            AND e.lane = $3 AND e.settled_at IS NULL)
    FROM told t JOIN webhook w ON w.org = t.org
    WHERE w.active AND w.removed_at IS NULL AND $7::bool AND (w.kinds = '{}' OR $2 = ANY (w.kinds))
) SELECT count(*)::int FROM told"""

_MESSAGE = "id, org, kind, ref, params, link, event, at, read_at"

# Newest first.
MESSAGES = f"""
SELECT {_MESSAGE} FROM message
WHERE org = $1 AND ($2::bigint IS NULL OR id < $2) AND (NOT $3::bool OR read_at IS NULL)
    AND ($4::text IS NULL OR kind = $4)
ORDER BY id DESC LIMIT $5"""  # noqa: S608 - constant columns

# Only what is unread, so that the first reader stays on record.
MARK_READ = """
UPDATE message SET read_at = now(), read_by = $3 WHERE org = $1 AND id = ANY ($2::bigint[]) AND read_at IS NULL
RETURNING id"""

MARK_ALL = "UPDATE message SET read_at = now(), read_by = $2 WHERE org = $1 AND read_at IS NULL AND id <= $3"

LINK = "SELECT link FROM message WHERE org = $1 AND id = $2"

# The kinds an organisation ever got, for the filter.
KINDS = "SELECT DISTINCT kind FROM message WHERE org = $1 ORDER BY kind LIMIT 100"

# Unread messages of the organisations whose people are looking at pages now; counted no further than shown.
UNREAD = """
SELECT o AS org, (SELECT count(*) FROM (SELECT 1 FROM message m WHERE m.org = o AND m.read_at IS NULL LIMIT 100) x)::int
    AS unread
FROM unnest($1::int[]) AS o"""

_WEBHOOK = "id, org, url, kinds, salt, active, created_at"

WEBHOOKS = f"SELECT {_WEBHOOK} FROM webhook WHERE org = $1 AND removed_at IS NULL ORDER BY id"  # noqa: S608

WEBHOOK = f"SELECT {_WEBHOOK} FROM webhook WHERE org = $1 AND id = $2 AND removed_at IS NULL"  # noqa: S608

# For the sender, which acts for every organisation.
WEBHOOK_ANY = f"SELECT {_WEBHOOK} FROM webhook WHERE id = $1 AND removed_at IS NULL"  # noqa: S608

ADD_WEBHOOK = "INSERT INTO webhook (org, url, kinds, salt, made_by) VALUES ($1, $2, $3, $4, $5) RETURNING id"

SET_ACTIVE = "UPDATE webhook SET active = $3 WHERE org = $1 AND id = $2 AND removed_at IS NULL RETURNING id"

NEW_SALT = "UPDATE webhook SET salt = $3 WHERE org = $1 AND id = $2 AND removed_at IS NULL RETURNING id"

REMOVE = (
    "UPDATE webhook SET removed_at = now() WHERE org = $1 AND id = $2 AND removed_at IS NULL RETURNING id"
)

# What is not sent yet has nobody to go to.
DROP_PENDING = """
UPDATE delivery SET state = 'given_up', settled_at = now(), answer = 'removed', next_at = 'infinity'
WHERE target = 'webhook' AND target_id = $1 AND settled_at IS NULL"""

# Sent once more from a message on, in their order; the event is the same, so the receiver knows what it had.
REPLAY = """
WITH wanted AS (
    SELECT m.* FROM message m JOIN webhook w ON w.org = m.org
    WHERE w.id = $2 AND m.org = $1 AND w.removed_at IS NULL AND m.id >= coalesce($3::bigint, 0)
        AND ($4::timestamptz IS NULL OR m.at >= $4) AND (w.kinds = '{}' OR m.kind = ANY (w.kinds))
    ORDER BY m.id LIMIT $5
), made AS (
    INSERT INTO delivery (org, target, target_id, event, kind, body, lane, waits)
    SELECT org, 'webhook', $2, event, kind, jsonb_build_object('kind', kind, 'ref', ref, 'link', link, 'params', params,
        'id', event, 'message', id, 'org', org, 'at', at), ref,
        ref <> '' AND (lag(true) OVER (PARTITION BY ref ORDER BY id) IS TRUE OR EXISTS (
            SELECT 1 FROM delivery e WHERE e.target = 'webhook' AND e.target_id = $2 AND e.lane = ref
                AND e.settled_at IS NULL))
    FROM wanted ORDER BY id
) SELECT count(*)::int AS count, max(id) AS last FROM wanted"""

DELIVERIES = """
SELECT id, event, kind, state, attempts, next_at, created_at, settled_at, answer_status, answer, body FROM delivery
WHERE org = $1 AND target = 'webhook' AND target_id = $2 AND ($3::text IS NULL OR state = $3)
    AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5"""
