"""SQL of accounts and API keys. Queries are bound to one organisation ($1); NULL is the platform."""

from __future__ import annotations

from typing import Any

from yaosu.access import store
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

# A key with its organisation and the account that answers for it: what it may do today follows from these.
_KEY = """k.id, k.prefix, k.name, k.org_id, k.scopes, k.created_by, k.created_at, k.expires_at, k.revoked_at,
    k.last_used_at, o.type::text AS org_type, o.sub_type, k.created_by AS maker, m.login, m.org_id AS maker_org,
    m.role AS maker_role, m.active AS maker_active, w.type::text AS maker_type, w.sub_type AS maker_sub_type"""
_WHOSE = """LEFT JOIN org o ON o.id = k.org_id LEFT JOIN account m ON m.id = k.created_by
LEFT JOIN org w ON w.id = m.org_id"""

KEYS = f"""
SELECT {_KEY} FROM api_key k {_WHOSE}
WHERE k.org_id IS NOT DISTINCT FROM $1 AND k.id > $2 ORDER BY k.id LIMIT $3"""  # noqa: S608 - constants

KEY = f"""
SELECT {_KEY} FROM api_key k {_WHOSE}
WHERE k.id = $2 AND ($3 OR k.org_id IS NOT DISTINCT FROM $1
    OR k.org_id IN (SELECT p.id FROM org p WHERE p.parent_id = $1 AND p.place))"""  # noqa: S608 - constants

ADD_KEY = f"""
WITH k AS (INSERT INTO api_key (prefix, secret_sha256, org_id, name, scopes, created_by, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *)
SELECT {_KEY} FROM k {_WHOSE}"""  # noqa: S608 - constants

# Who answers for the key that makes another one.
MAKER_OF_KEY = "SELECT created_by FROM api_key WHERE prefix = $1"

TAKE_OVER = "UPDATE api_key SET created_by = $2 WHERE id = $1 AND revoked_at IS NULL"

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
    behind = store.answered_for(row)
    return ApiKey(
        id=row["id"],
        prefix=row["prefix"],
        name=row["name"],
        org_id=row["org_id"],
        scopes=tuple(row["scopes"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
        in_force=tuple(sorted(store.key_scopes(row))) if row["revoked_at"] is None else (),
        maker=row["login"] if behind else "",
        maker_active=row["maker_active"] if behind else None,
    )
