"""API keys of an organisation's programs. The secret is shown once, at making; only its digest is kept.

An account answers for each key: who made it, or who took it over. At every use the key may do what is written on it as
far as that account's role and the organisation allow today (`store.key_scopes`); with the account it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from yaosu.access import audit, scopes, secrets, store_accounts
from yaosu.access.accounts import managed_org, org_facts
from yaosu.access.cache import identities
from yaosu.access.model import ApiKey
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.subject import ADMIN, Subject


async def keys(
    conn: Connection, subject: Subject, org_id: int | None = None, after: int = 0, limit: int = 100
) -> list[ApiKey]:
    """Keys of the managed organisation by number, ended ones too (`key.manage`)."""
    subject.require("key.manage")
    rows = await conn.fetch(store_accounts.KEYS, await managed_org(conn, subject, org_id), after, limit)
    return [store_accounts.key(row) for row in rows]


async def create_key(
    conn: Connection,
    subject: Subject,
    name: str,
    wanted: Iterable[str],
    expires_at: datetime | None = None,
    org_id: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can be shown again.

    Refused: `key_without_scope`, `scope_unknown`, `scope_beyond`, `key_expiry_past`, `not_found`.
    """
    subject.require("key.manage")
    org = await managed_org(conn, subject, org_id)
    facts = await org_facts(conn, org)
    # the operator makes first keys for organisations without holding their permissions itself
    holder = frozenset({ADMIN}) if subject.org_id is None else subject.scopes
    chosen = scopes.check_scopes(wanted, holder, *(facts.kind if facts else (None, None)))
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise YaosuError("key_expiry_past")
    prefix, secret = secrets.new_key()
    row = await conn.fetchrow(
        store_accounts.ADD_KEY,
        prefix,
        secrets.digest(secret),
        org,
        name,
        sorted(chosen),
        await _maker(conn, subject),
        expires_at,
    )
    made = store_accounts.key(row)
    await audit.record(
        conn, subject, "key.create", ("key", made.id), {"prefix": prefix, "scopes": sorted(chosen)}, org
    )
    return made, secret


async def _maker(conn: Connection, subject: Subject) -> int | None:
    """The account that answers for a new key; for a key made by a key, the one that answers for that."""
    if subject.kind != "key":
        return subject.account_id
    found: int | None = await conn.fetchval(store_accounts.MAKER_OF_KEY, subject.session_id)
    return found


async def take_over(conn: Connection, subject: Subject, number: int) -> ApiKey:
    """Answer for a key from now on, so that it works when the account that made it is disabled or narrowed.

    The secret stays the same. The subject holds every permission written on the key. Refused: `not_found` for anybody
    else's, `key_revoked`, `scope_beyond`, `key_needs_account` for callers that are no account.
    """
    subject.require("key.manage")
    if subject.kind != "account" or subject.account_id is None:
        raise YaosuError("key_needs_account")
    row = await conn.fetchrow(store_accounts.KEY, subject.org_id, number, subject.org_id is None)
    if row is None:
        raise YaosuError("not_found", {"what": f"key {number}"})
    if row["revoked_at"] is not None:
        raise YaosuError("key_revoked")
    possible = scopes.grantable(row["org_type"], row["sub_type"])
    if subject.org_id is not None:
        # what the organisation itself no longer has is dead on the key, whoever answers for it
        scopes.check_scopes(set(row["scopes"]) & possible, subject.scopes, row["org_type"], row["sub_type"])
    await conn.execute(store_accounts.TAKE_OVER, number, subject.account_id)
    identities.forget("key", number)
    details = {"prefix": row["prefix"], "before": row["created_by"]}
    await audit.record(conn, subject, "key.take_over", ("key", number), details, row["org_id"])
    return store_accounts.key(
        await conn.fetchrow(store_accounts.KEY, subject.org_id, number, subject.org_id is None)
    )


async def revoke_key(conn: Connection, subject: Subject, number: int) -> None:
    """End a key now; again is no error. Refused: `not_found` for anybody else's."""
    subject.require("key.manage")
    row = await conn.fetchrow(store_accounts.KEY, subject.org_id, number, subject.org_id is None)
    if row is None:
        raise YaosuError("not_found", {"what": f"key {number}"})
    done = await conn.execute(store_accounts.REVOKE_KEY, number)
    identities.forget("key", number)
    if done == "UPDATE 1":
        await audit.record(
            conn, subject, "key.revoke", ("key", number), {"prefix": row["prefix"]}, row["org_id"]
        )
