"""A second person confirms with their own password at somebody else's screen (双人复核, R-C4).

Failures count as failed sign-ins do and lock the account; they are written in a transaction of their own, since the
request that brought the wrong password is refused and rolled back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from yaosu.access import audit, secrets, store
from yaosu.access.service import PASSWORD_CHARS_MAX, lock_seconds
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.subject import Subject


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Who confirmed: an account in use, with the organisation it belongs to."""

    account_id: int
    org_id: int
    name: str
    scopes: frozenset[str]


async def by_password(pool: Pool, login: str, password: str, orgs: Collection[int]) -> Confirmed:
    """The account of `login`, if the password is its own and it belongs to one of `orgs`.

    Refused: `confirmation_failed` for a wrong login, password or organisation alike, so that logins cannot be found
    out; `sign_in_locked` after too many failures; `password_change_due` before the first own password is set.
    """
    async with pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(store.ACCOUNT_FOR_SIGN_IN, login.strip())
    fits = await secrets.password_fits(row["password_hash"] if row else None, password[:PASSWORD_CHARS_MAX])
    if row is None:
        raise YaosuError("confirmation_failed")
    who = Subject(kind="account", account_id=row["id"], org_id=row["org_id"])
    refusal: YaosuError | None = None
    async with pool.acquire() as conn, conn.transaction():
        locked = await conn.fetchrow(store.LOCK_ACCOUNT, row["id"])
        assert locked is not None, "accounts are never deleted"
        usable = locked["active"] and row["status"] == store.IN_USE and row["org_id"] in orgs
        if locked["seconds"] is not None and locked["seconds"] > 0:
            refusal = YaosuError("sign_in_locked", {"minutes": -(-locked["seconds"] // 60)})
        elif not fits or not usable or locked["password_hash"] != row["password_hash"]:
            failures = locked["failed_count"] + (0 if fits else 1)
            seconds = 0 if fits else lock_seconds(failures)
            await conn.execute(store.COUNT_FAILURE, row["id"], failures, seconds)
            await audit.record(conn, who, "confirm.refused", ("account", row["id"]))
            refusal = YaosuError("confirmation_failed")
        elif row["must_change"]:
            refusal = YaosuError("password_change_due")
        else:
            await conn.execute(store.CLEAR_FAILURES, row["id"])
    if refusal is not None:
        raise refusal
    scopes = store.account_subject(row, 0).scopes
    return Confirmed(row["id"], row["org_id"], row["name"], scopes)
