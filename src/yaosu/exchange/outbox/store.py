"""SQL of connections and of what they call our things. Bound to an organisation, or used by senders and the router."""

from __future__ import annotations

_COLUMNS = (
    "id, org, everyone, state, channel, profile, title, url, account, secret, region, since, cursor, created_at, "
    "ended_at"
)

ADD = """
INSERT INTO connection (org, everyone, channel, profile, title, url, account, region, since, made_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9::timestamptz, now()), $10) RETURNING id"""

KNOWN_ORG = "SELECT EXISTS (SELECT 1 FROM org WHERE id = $1)"

# The secret is sealed together with the connection's number, which is known only then.
SET_SECRET = "UPDATE connection SET secret = $2 WHERE id = $1"  # noqa: S105 - a statement, not a password

CHANGE = """
UPDATE connection SET title = $3, url = $4, account = $5, region = $6, profile = $7
WHERE id = $1 AND org = $2 AND state <> 'ended' RETURNING id"""

SET_STATE = """
UPDATE connection SET state = $3, ended_at = CASE WHEN $3 = 'ended' THEN now() END
WHERE id = $1 AND org = $2 AND state <> 'ended' RETURNING channel"""

# Held: nothing leaves until it is released. One gate for every sender.
SHUT = """
INSERT INTO delivery_gate (target, target_id, shut_till)
VALUES ($1, $2, CASE WHEN $3 THEN timestamptz 'infinity' ELSE '-infinity' END)
ON CONFLICT (target, target_id) DO UPDATE SET shut_till = excluded.shut_till"""

# Whoever changes many deliveries of a connection holds it first, see `store_bills.LOCK_OF`.
LOCK = "SELECT id FROM connection WHERE id = $1 FOR NO KEY UPDATE"

# What an ended connection still owed goes nowhere.
DROP_OWED = """
UPDATE delivery SET state = 'given_up', settled_at = now(), next_at = 'infinity', waits = false,
    note = $3, done_by = $4
WHERE target = $1 AND target_id = $2 AND settled_at IS NULL"""
DROP_DUE = "DELETE FROM route_due WHERE connection_id = $1"

# New credentials or a new address: what waited for them is due now. The first of each lane; the others wait behind it.
DUE_AGAIN = """
UPDATE delivery SET state = CASE WHEN state IN ('unknown', 'sent', 'accepted') THEN 'unknown' ELSE 'pending' END,
    next_at = now(), tries = 0, done_by = $3
WHERE target = $1 AND target_id = $2 AND settled_at IS NULL AND next_at = 'infinity' AND state <> 'held'
    AND NOT claimed"""
ROUTED_AGAIN = "UPDATE route_due SET next_at = now() WHERE connection_id = $1 AND error LIKE 'connection_%'"

ONE = f"SELECT {_COLUMNS} FROM connection WHERE id = $1"  # noqa: S608 - constant columns

OF_ORG = f"SELECT {_COLUMNS} FROM connection WHERE org = $1 ORDER BY state = 'ended', id"  # noqa: S608

OF_CHANNEL = f"""
SELECT {_COLUMNS} FROM connection
WHERE channel = $1 AND state = 'active' AND ($2::int IS NULL OR org = $2) ORDER BY id"""  # noqa: S608

# Connections whose turn it is; and the cursor, asked again by whoever got the lock.
PULLED = """
SELECT id FROM connection WHERE channel = $1 AND state = 'active'
    AND (pulled_at IS NULL OR pulled_at <= now() - make_interval(secs => $2))"""
CURSOR_DUE = """
SELECT cursor FROM connection WHERE id = $1 AND state = 'active'
    AND (pulled_at IS NULL OR pulled_at <= now() - make_interval(secs => $2))"""
SAVE_CURSOR = """
UPDATE connection SET cursor = coalesce($2::jsonb, cursor), pulled_at = now(), pull_error = $3 WHERE id = $1"""

THEIRS = "SELECT theirs FROM counterpart WHERE connection_id = $1 AND kind = $2 AND ours = $3"

OURS = "SELECT ours FROM counterpart WHERE connection_id = $1 AND kind = $2 AND theirs = $3 ORDER BY ours LIMIT 1"

REMEMBER = """
INSERT INTO counterpart (connection_id, kind, ours, theirs, more) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (connection_id, kind, ours) DO UPDATE SET theirs = excluded.theirs, more = excluded.more,
    checked_at = now()"""
