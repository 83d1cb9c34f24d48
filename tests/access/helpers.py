"""Callers for tests of any room: organisations, accounts and keys on a real database.

`from access.helpers import make_org, make_account, make_key, subject_of`
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from yaosu.access import secrets
from yaosu.access.scopes import grantable, scopes_of
from yaosu.db.engine import Connection
from yaosu.subject import Subject

PASSWORD = "correct-horse-battery"
_numbers = itertools.count(1)
_hash: list[str] = []


async def make_org(conn: Connection, org_type: int = 2, region: str = "650100", name: str = "") -> int:
    """A bare organisation row; its number. 1 maker, 2 wholesaler, 3 medical, 4 retail, 110 regulator."""
    number = next(_numbers)
    name = name or f"测试单位{number}"
    org_id: int = await conn.fetchval(
        "INSERT INTO org (name, name_norm, type, region, other_id_kind, other_id) "
        "VALUES ($1, $1, $2, $3, 9, $4) RETURNING id",
        name,
        org_type,
        region,
        f"T{secrets.new_token()[:16]}",
    )
    return org_id


async def make_account(
    conn: Connection, org_id: int | None, role: str, login: str = "", must_change: bool = False
) -> tuple[int, str]:
    """An account that signs in with `PASSWORD`; its number and login."""
    if not _hash:
        _hash.append(await secrets.hash_password(PASSWORD))
    login = login or f"user{next(_numbers)}.{secrets.new_token()[:6].replace('_', 'x')}"
    number: int = await conn.fetchval(
        "INSERT INTO account (login, name, password_hash, org_id, role, must_change) "
        "VALUES ($1, $1, $2, $3, $4, $5) RETURNING id",
        login,
        _hash[0],
        org_id,
        role,
        must_change,
    )
    return number, login


async def make_key(conn: Connection, org_id: int | None, scopes: Iterable[str] | None = None) -> str:
    """A key's secret for `Authorization: Bearer …`; all permissions of the type unless named."""
    if scopes is None:
        row = await conn.fetchrow("SELECT type::text, sub_type FROM org WHERE id = $1", org_id)
        scopes = grantable(*(tuple(row) if row is not None else (None, None)))
    prefix, secret = secrets.new_key()
    await conn.execute(
        "INSERT INTO api_key (prefix, secret_sha256, org_id, name, scopes) VALUES ($1, $2, $3, $1, $4)",
        prefix,
        secrets.digest(secret),
        org_id,
        sorted(scopes),
    )
    return secret


async def key_headers(
    conn: Connection, org_id: int | None, scopes: Iterable[str] | None = None
) -> dict[str, str]:
    """The header of a new key."""
    return {"authorization": f"Bearer {await make_key(conn, org_id, scopes)}"}


async def subject_of(conn: Connection, org_id: int, role: str = "admin") -> Subject:
    """A subject for calls of services: an account's, with the role's permissions."""
    account_id, login = await make_account(conn, org_id, role)
    row = await conn.fetchrow("SELECT type::text AS org_type, region FROM org WHERE id = $1", org_id)
    assert row is not None
    return Subject(
        kind="account",
        account_id=account_id,
        org_id=org_id,
        org_type=row["org_type"],
        role=role,
        scopes=scopes_of(role, row["org_type"]),
        region=row["region"],
        name=login,
        session_id="0",
    )
