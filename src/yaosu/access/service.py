"""Sign-in by session and by API key. Accounts and keys themselves: `accounts`, `keys`.

A session lasts 8 hours without use and 7 days at most. Five failures in a row lock an account for 15 minutes,
each further five for twice as long, up to a day. An unknown login costs the same time as a wrong password and
gets the same answer, so logins cannot be found out.
"""

from __future__ import annotations

from datetime import timedelta

from yaosu.access import audit, secrets, store
from yaosu.access.cache import identities
from yaosu.access.model import Identity, SignIn
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject

IDLE = timedelta(hours=8)
ABSOLUTE = timedelta(days=7)
FAILURES_MAX = 5
LOCK_S = 15 * 60
LOCK_S_MAX = 24 * 3600
PASSWORD_CHARS_MAX = 200


def lock_seconds(failures: int) -> int:
    """How long the account is locked after this failure in a row; 0 for not at all."""
    if failures == 0 or failures % FAILURES_MAX:
        return 0
    rounds = min(failures // FAILURES_MAX, 20)
    return int(min(LOCK_S * 2 ** (rounds - 1), LOCK_S_MAX))


async def authenticate_key(conn: Connection, secret: str) -> Identity:
    """Whom the key stands for. Refused: `key_invalid`, `key_revoked`, `key_expired`, `org_not_in_use`,
    `key_maker_disabled`."""
    if not secrets.is_key(secret):
        raise YaosuError("key_invalid")
    found, refusal = await store.identity_of_key(conn, secrets.digest(secret))
    if found is None:
        raise YaosuError(refusal)
    return found


async def authenticate_session(conn: Connection, token: str) -> Identity | None:
    """Whose session the cookie's token is; None when it ended or never was."""
    if not secrets.is_token(token):
        return None
    return await store.identity_of_session(conn, secrets.digest(token), IDLE)


async def sign_in(
    conn: Connection, login: str, password: str, address: str = "", agent: str = "", replaced: str = ""
) -> SignIn:
    """Try to sign in; on success a new session whose token nobody has seen before.

    The refusal (`sign_in_failed`, `sign_in_locked`) is returned, not raised, so that the count commits.
    `replaced` is the session the browser had, ended here so that a planted token is worth nothing.
    """
    row = await conn.fetchrow(store.ACCOUNT_FOR_SIGN_IN, login.strip())
    sane = len(password) <= PASSWORD_CHARS_MAX
    fits = await secrets.password_fits(row["password_hash"] if row and sane else None, password[:200])
    if row is None:
        await audit.record(conn, ANONYMOUS, "sign_in.refused", ("account", ""), {"reason": "unknown"})
        return SignIn(refusal=YaosuError("sign_in_failed"))
    who = Subject(kind="account", account_id=row["id"], org_id=row["org_id"])
    usable = row["active"] and (row["org_id"] is None or row["status"] == store.IN_USE)
    async with conn.transaction():
        locked = await conn.fetchrow(store.LOCK_ACCOUNT, row["id"])
        assert locked is not None, "accounts are never deleted"
        if locked["seconds"] is not None and locked["seconds"] > 0:
            await _refused(conn, who, "locked")
            return SignIn(refusal=YaosuError("sign_in_locked", {"minutes": -(-locked["seconds"] // 60)}))
        changed = locked["password_hash"] != row["password_hash"] or not locked["active"]
        if not fits or not usable or changed:
            failures = locked["failed_count"] + (0 if fits else 1)
            await conn.execute(
                store.COUNT_FAILURE, row["id"], failures, 0 if fits else lock_seconds(failures)
            )
            await _refused(conn, who, "password" if not fits else "not usable")
            return SignIn(refusal=YaosuError("sign_in_failed"))
        await conn.execute(store.CLEAR_FAILURES, row["id"])
        if secrets.outdated(row["password_hash"]):
            await conn.execute(store.REHASH, row["id"], await secrets.hash_password(password))
        await conn.execute(store.PURGE_SESSIONS, row["id"])
        if replaced:
            await _end_replaced(conn, replaced)
        token, csrf = secrets.new_token(), secrets.new_token()
        number = await conn.fetchval(
            store.NEW_SESSION, secrets.digest(token), row["id"], csrf, ABSOLUTE, address[:64], agent[:200]
        )
        subject = store.account_subject(row, number)
        await audit.record(conn, subject, "sign_in", ("session", number))
    return SignIn(token, csrf, subject, bool(row["must_change"]))


async def _refused(conn: Connection, who: Subject, reason: str) -> None:
    await audit.record(conn, who, "sign_in.refused", ("account", who.account_id), {"reason": reason})


async def _end_replaced(conn: Connection, token: str) -> None:
    found = await authenticate_session(conn, token)
    if found is not None and found.session_id is not None:
        await conn.execute(store.END_SESSION, found.session_id)
        identities.forget("session", found.session_id)


async def sign_out(conn: Connection, subject: Subject) -> None:
    """End the subject's session now, on every page it is open in."""
    if subject.kind != "account" or not subject.session_id:
        raise YaosuError("no_session")
    number = int(subject.session_id)
    await conn.execute(store.END_SESSION, number)
    identities.forget("session", number)
    await audit.record(conn, subject, "sign_out", ("session", number))
