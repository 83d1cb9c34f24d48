"""SQL of accounts and API keys. Queries are bound to one organisation ($1); NULL is the platform."""

from __future__ import annotations

from typing import Any

from yaosu.access.model import Account, ApiKey

# All of one organisation; NULL matches the operator's own accounts.
ACCOUNTS = """
SELECT id, login, name, org_id, role, lang, active, must_change,
       CASE WHEN locked_until > now() THEN locked_until END AS locked_until, created_at
FROM account WHERE org_id IS NOT DISTINCT FROM $1 AND id > $2 ORDER BY id LIMIT $3"""

# One of one organisation or of the places inside it, or any for the operator ($3); somebody else's is not found.
ACCOUNT = """
SELECT id, login, name, org_id, role, lang, active, must_change,
       CASE WHEN locked_until > now() THEN locked_until END AS locked_until, created_at
FROM account WHERE id = $2 AND ($3 OR org_id IS NOT DISTINCT FROM $1
    OR org_id IN (SELECT o.id FROM org o WHERE o.parent_id = $1 AND o.place))"""

ACCOUNT_BY_LOGIN = """
SELECT id, login, name, org_id, role, lang, active, must_change,
       CASE WHEN locked_until > now() THEN locked_until END AS locked_until, created_at
FROM account WHERE lower(login) = lower($1)"""

ADD_ACCOUNT = """
INSERT INTO account (login, name, password_hash, org_id, role, lang, must_change)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"""

CHANGE_ACCOUNT = "UPDATE account SET name = $2, role = $3, active = $4, lang = $5 WHERE id = $1"

# A reset also unlocks: the administrator has spoken with the person.
SET_HASH = """
UPDATE account SET password_hash = $2, must_change = $3, failed_count = 0, locked_until = NULL
WHERE id = $1"""

HASH_OF = "SELECT password_hash FROM account WHERE id = $1"

END_SESSIONS_OF = "DELETE FROM session WHERE account_id = $1"

SET_LANG = "UPDATE account SET lang = $2 WHERE id = $1"

KEYS = """
SELECT id, prefix, name, org_id, scopes, created_by, created_at, expires_at, revoked_at, last_used_at
FROM api_key WHERE org_id IS NOT DISTINCT FROM $1 AND id > $2 ORDER BY id LIMIT $3"""

KEY = """
SELECT id, prefix, name, org_id, scopes, created_by, created_at, expires_at, revoked_at, last_used_at
FROM api_key WHERE id = $2 AND ($3 OR org_id IS NOT DISTINCT FROM $1
    OR org_id IN (SELECT o.id FROM org o WHERE o.parent_id = $1 AND o.place))"""

ADD_KEY = """
INSERT INTO api_key (prefix, secret_sha256, org_id, name, scopes, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, prefix, name, org_id, scopes, created_by, created_at, expires_at, revoked_at, last_used_at"""

# Revoked once: the first time stands.
REVOKE_KEY = "UPDATE api_key SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL"

ORG_FACTS = """
SELECT type::text AS org_type, sub_type, region, name, status = 1 AS active FROM org WHERE id = $1"""


# Whether $1 is a place inside the organisation $2.
IS_PLACE_OF = "SELECT EXISTS (SELECT 1 FROM org o WHERE o.id = $1 AND o.parent_id = $2 AND o.place)"


def account(row: Any) -> Account:
    """A row as value."""
    return Account(**dict(row))


def key(row: Any) -> ApiKey:
    """A row as value."""
    return ApiKey(**{**dict(row), "scopes": tuple(row["scopes"])})
