"""SQL of sign-in: keys, sessions, accounts at the moment of authentication."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from yaosu.access.model import Identity
from yaosu.access.scopes import grantable, scopes_of
from yaosu.db.engine import Connection
from yaosu.subject import Subject

# The key with what its organisation is, and who answers for it with the role of today; LEFT JOIN because the
# operator's keys have no organisation, and keys made on the server nobody who answers for them.
KEY_BY_DIGEST = """
SELECT k.id, k.prefix, k.name, k.org_id, k.scopes, k.expires_at, k.revoked_at,
       k.expires_at IS NOT NULL AND k.expires_at <= now() AS expired,
       o.type::text AS org_type, o.sub_type,
       o.region, o.status, o.name AS org_name,
       k.created_by AS maker, m.org_id AS maker_org, m.role AS maker_role, m.active AS maker_active,
       w.type::text AS maker_type, w.sub_type AS maker_sub_type
FROM api_key k LEFT JOIN org o ON o.id = k.org_id LEFT JOIN account m ON m.id = k.created_by
LEFT JOIN org w ON w.id = m.org_id
WHERE k.secret_sha256 = $1"""

# A session is good while neither its absolute nor its idle end has passed and its account is active.
SESSION_BY_DIGEST = """
SELECT s.id AS session_id, s.csrf, least(s.expires_at, s.last_seen_at + $2::interval) AS valid_until,
       a.id, a.name, a.org_id, a.role, a.lang, a.must_change, o.type::text AS org_type, o.sub_type,
       o.region, o.status, o.name AS org_name
FROM session s JOIN account a ON a.id = s.account_id LEFT JOIN org o ON o.id = a.org_id
WHERE s.token_sha256 = $1 AND a.active AND s.expires_at > now() AND s.last_seen_at + $2::interval > now()"""

# What a sign-in attempt is judged on, before the slow hash.
ACCOUNT_FOR_SIGN_IN = """
SELECT a.id, a.name, a.password_hash, a.org_id, a.role, a.lang, a.active, a.must_change,
       o.type::text AS org_type, o.sub_type,
       o.region, o.status, o.name AS org_name
FROM account a LEFT JOIN org o ON o.id = a.org_id WHERE lower(a.login) = lower($1)"""

# Locked again after the hash, so that attempts running side by side cannot outrun the count.
LOCK_ACCOUNT = """
SELECT failed_count, locked_until, password_hash, active,
       ceil(extract(epoch FROM locked_until - now()))::int AS seconds
FROM account WHERE id = $1 FOR UPDATE"""

COUNT_FAILURE = """
UPDATE account SET failed_count = $2,
       locked_until = CASE WHEN $3::int > 0 THEN now() + make_interval(secs => $3::int) ELSE locked_until END
WHERE id = $1"""

CLEAR_FAILURES = "UPDATE account SET failed_count = 0, locked_until = NULL WHERE id = $1"

REHASH = "UPDATE account SET password_hash = $2 WHERE id = $1"

NEW_SESSION = """
INSERT INTO session (token_sha256, account_id, csrf, expires_at, address, agent)
VALUES ($1, $2, $3, now() + $4::interval, $5, $6) RETURNING id"""

END_SESSION = "DELETE FROM session WHERE id = $1 RETURNING account_id"

# All others of the account: a changed password signs out whoever held the old one.
END_OTHER_SESSIONS = "DELETE FROM session WHERE account_id = $1 AND id <> $2 RETURNING id"

# Ended sessions are of no use; what happened in them is in the audit record.
PURGE_SESSIONS = "DELETE FROM session WHERE account_id = $1 AND expires_at < now()"

# Many touches at once, at most one per key and flush; never moves backwards. Rows that somebody is changing are passed
# over: a sign-out holds many of them, and the next use is written down again.
TOUCH_KEYS = """
WITH free AS (SELECT id FROM api_key WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
UPDATE api_key k SET last_used_at = greatest(k.last_used_at, t.at)
FROM unnest($1::int[], $2::timestamptz[]) AS t (id, at) JOIN free ON free.id = t.id WHERE k.id = t.id"""

TOUCH_SESSIONS = """
WITH free AS (SELECT id FROM session WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
UPDATE session s SET last_seen_at = greatest(s.last_seen_at, t.at)
FROM unnest($1::bigint[], $2::timestamptz[]) AS t (id, at) JOIN free ON free.id = t.id WHERE s.id = t.id"""

IN_USE = 1
"""org.status of an organisation in use (standards §5.8)."""


def account_subject(row: Any, session_id: int) -> Subject:
    """The subject of an account row; before the first own password is set it may do nothing else."""
    return Subject(
        kind="account",
        account_id=row["id"],
        org_id=row["org_id"],
        org_type=row["org_type"] or "",
        role=row["role"],
        scopes=frozenset()
        if row["must_change"]
        else scopes_of(row["role"], row["org_type"], row["sub_type"]),
        lang=row["lang"],
        region=row["region"] or "",
        name=row["name"],
        session_id=str(session_id),
    )


def key_scopes(row: Any) -> frozenset[str]:
    """What a key may do now: of the permissions written on it, those its organisation has and the role of the account
    that answers for it still gives; none while that account is disabled.

    The operator makes first keys for organisations whose permissions it does not hold: these, and keys made on the
    server itself, are bounded by the organisation alone.
    """
    allowed = frozenset(row["scopes"]) & grantable(row["org_type"], row["sub_type"])
    if not answered_for(row):
        return allowed
    if not row["maker_active"]:
        return frozenset()
    return allowed & scopes_of(row["maker_role"], row["maker_type"], row["maker_sub_type"])


def answered_for(row: Any) -> bool:
    """Whether an account answers for the key: one of its organisation or the one around it, or the operator's own."""
    return row["maker"] is not None and (row["maker_org"] is not None or row["org_id"] is None)


async def identity_of_key(conn: Connection, digest: bytes) -> tuple[Identity | None, str]:
    """Whom a key's digest stands for, or the code of the refusal."""
    row = await conn.fetchrow(KEY_BY_DIGEST, digest)
    if row is None:
        return None, "key_invalid"
    if row["revoked_at"] is not None:
        return None, "key_revoked"
    if row["expired"]:
        return None, "key_expired"
    if row["org_id"] is not None and row["status"] != IN_USE:
        return None, "org_not_in_use"
    if answered_for(row) and not row["maker_active"]:
        return None, "key_maker_disabled"
    subject = Subject(
        kind="key",
        org_id=row["org_id"],
        org_type=row["org_type"] or "",
        role="" if row["org_id"] is not None else "operator",
        scopes=key_scopes(row),
        lang="",
        region=row["region"] or "",
        name=row["name"],
        session_id=row["prefix"],
    )
    name = row["org_name"] or ""
    return Identity(
        subject, key_id=row["id"], org_name=name, valid_until=row["expires_at"], maker_id=row["maker"]
    ), ""


async def identity_of_session(conn: Connection, digest: bytes, idle: object) -> Identity | None:
    """Whose session the digest is, if it has not ended."""
    row = await conn.fetchrow(SESSION_BY_DIGEST, digest, idle)
    if row is None or (row["org_id"] is not None and row["status"] != IN_USE):
        return None
    subject = account_subject(row, row["session_id"])
    return Identity(
        subject,
        row["csrf"],
        session_id=row["session_id"],
        org_name=row["org_name"] or "",
        must_change=row["must_change"],
        valid_until=row["valid_until"],
    )


async def touch(
    conn: Connection, keys: Sequence[tuple[int, datetime]], sessions: Sequence[tuple[int, datetime]]
) -> None:
    """Write down when keys and sessions were last used."""
    if keys:
        await conn.execute(TOUCH_KEYS, [k for k, _ in keys], [at for _, at in keys])
    if sessions:
        await conn.execute(TOUCH_SESSIONS, [s for s, _ in sessions], [at for _, at in sessions])
