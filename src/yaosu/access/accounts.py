"""Accounts of people: made, changed, reset, disabled by an administrator of their organisation.

The operator of the platform manages its own accounts and, naming the organisation, everybody's first one.
Nobody can give a role that holds more than their own permissions.
"""

from __future__ import annotations

import re
import secrets as random
from functools import cache
from importlib import resources
from itertools import pairwise

import asyncpg

from yaosu.access import audit, scopes, secrets, store, store_accounts
from yaosu.access.cache import identities
from yaosu.access.model import Account, OrgFacts
from yaosu.access.service import PASSWORD_CHARS_MAX
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.subject import SYSTEM, Subject

LOGIN_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{2,63}")
PASSWORD_CHARS_MIN = 10
_INITIAL_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


@cache
def _common() -> frozenset[str]:
    text = (resources.files("yaosu.access") / "common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.split("\n") if line and not line.startswith("#"))


def check_password(login: str, password: str) -> None:
    """Refuse a weak password: `password_short`, `password_long`, `password_is_login`, `password_common`."""
    if len(password) < PASSWORD_CHARS_MIN:
        raise YaosuError("password_short", {"chars": PASSWORD_CHARS_MIN})
    if len(password) > PASSWORD_CHARS_MAX:
        raise YaosuError("password_long", {"chars": PASSWORD_CHARS_MAX})
    folded = password.casefold()
    if login.casefold() in folded:
        raise YaosuError("password_is_login")
    # digits and signs put around a common word do not make it another word
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", folded)
    if folded in _common() or core in _common() or len(set(folded)) < 4 or _is_run(folded):
        raise YaosuError("password_common")


def _is_run(text: str) -> bool:
    steps = {ord(b) - ord(a) for a, b in pairwise(text)}
    return steps in ({1}, {-1})


def initial_password() -> str:
    """A password to hand over, to be changed at first sign-in: 16 letters, about 79 bits."""
    groups = ["".join(random.choice(_INITIAL_LETTERS) for _ in range(4)) for _ in range(4)]
    return "-".join(groups)


async def org_facts(conn: Connection, org_id: int | None) -> OrgFacts | None:
    """What access needs of an organisation; None for the platform itself. Refused: `not_found`."""
    if org_id is None:
        return None
    row = await conn.fetchrow(store_accounts.ORG_FACTS, org_id)
    if row is None:
        raise YaosuError("not_found", {"what": f"org {org_id}"})
    return OrgFacts(**dict(row))


async def managed_org(conn: Connection, subject: Subject, org_id: int | None) -> int | None:
    """Whose accounts and keys the subject manages now: its own, a place inside it, or for the operator any it names.

    Somebody else's organisation does not exist for an administrator (`not_found`).
    """
    if subject.org_id is None:
        return org_id
    if org_id is None or org_id == subject.org_id:
        return subject.org_id
    if not await conn.fetchval(store_accounts.IS_PLACE_OF, org_id, subject.org_id):
        raise YaosuError("not_found", {"what": f"org {org_id}"})
    return org_id


async def accounts(
    conn: Connection, subject: Subject, org_id: int | None = None, after: int = 0, limit: int = 100
) -> list[Account]:
    """Accounts of the managed organisation by number (`user.manage`)."""
    subject.require("user.manage")
    rows = await conn.fetch(store_accounts.ACCOUNTS, await managed_org(conn, subject, org_id), after, limit)
    return [store_accounts.account(row) for row in rows]


async def account_of(conn: Connection, subject: Subject, number: int) -> Account:
    """One account that the subject manages; `not_found` for anybody else's."""
    subject.require("user.manage")
    everywhere = subject.org_id is None
    row = await conn.fetchrow(store_accounts.ACCOUNT, subject.org_id, number, everywhere)
    if row is None:
        raise YaosuError("not_found", {"what": f"account {number}"})
    return store_accounts.account(row)


async def create_account(
    conn: Connection,
    subject: Subject,
    login: str,
    name: str,
    role: str,
    password: str = "",
    org_id: int | None = None,
    lang: str = "zh",
) -> tuple[Account, str]:
    """A new account and its first password, which its holder must change; made up unless given.

    Refused: `login_form`, `login_taken`, `role_unknown`, `role_not_for_org`, `role_beyond`, weak passwords.
    """
    subject.require("user.manage")
    if not LOGIN_FORM.fullmatch(login):
        raise YaosuError("login_form")
    org = await managed_org(conn, subject, org_id)
    await _check_role(conn, subject, role, org)
    first = password or initial_password()
    check_password(login, first)
    hashed = await secrets.hash_password(first)
    must_change = not password or subject.kind != "system"
    try:
        async with conn.transaction():
            number = await conn.fetchval(
                store_accounts.ADD_ACCOUNT, login, name, hashed, org, role, lang, must_change
            )
    except asyncpg.UniqueViolationError:
        raise YaosuError("login_taken", {"login": login}) from None
    await audit.record(conn, subject, "account.create", ("account", number), {"role": role}, org)
    row = await conn.fetchrow(store_accounts.ACCOUNT, org, number, True)
    return store_accounts.account(row), first


async def _check_role(conn: Connection, subject: Subject, role: str, org: int | None) -> None:
    facts = await org_facts(conn, org)
    scopes.role_for(role, *(facts.kind if facts else (None, None)))
    _check_beyond(subject, role)


def _check_beyond(subject: Subject, role: str) -> None:
    """Nobody manages an account that may do more than they may themselves.

    The operator appoints administrators of organisations without holding their permissions itself.
    """
    if subject.org_id is not None and not all(
        subject.can(s) for s in scopes.scopes_of(role, subject.org_type)
    ):
        raise YaosuError("role_beyond", {"role": role})


async def change_account(
    conn: Connection,
    subject: Subject,
    number: int,
    name: str | None = None,
    role: str | None = None,
    active: bool | None = None,
    lang: str | None = None,
) -> Account:
    """Change what is given. Disabling and a new role end the account's sessions at once."""
    before = await account_of(conn, subject, number)
    if subject.account_id == number and (active is False or (role is not None and role != before.role)):
        raise YaosuError("self_disable")
    _check_beyond(subject, before.role)
    if role is not None and role != before.role:
        await _check_role(conn, subject, role, before.org_id)
    after = (
        before.name if name is None else name,
        before.role if role is None else role,
        before.active if active is None else active,
        before.lang if lang is None else lang,
    )
    await conn.execute(store_accounts.CHANGE_ACCOUNT, number, *after)
    if after[1:3] != (before.role, before.active):
        await conn.execute(store_accounts.END_SESSIONS_OF, number)
    identities.forget("account", number)
    details = {"role": after[1], "active": after[2], "name_changed": after[0] != before.name}
    await audit.record(conn, subject, "account.change", ("account", number), details, before.org_id)
    return await account_of(conn, subject, number)


async def reset_password(conn: Connection, subject: Subject, number: int, password: str = "") -> str:
    """A new first password, unlocked, all sessions ended; the password is returned once and kept nowhere."""
    found = await account_of(conn, subject, number)
    _check_beyond(subject, found.role)
    first = password or initial_password()
    check_password(found.login, first)
    await conn.execute(store_accounts.SET_HASH, number, await secrets.hash_password(first), True)
    await conn.execute(store_accounts.END_SESSIONS_OF, number)
    identities.forget("account", number)
    await audit.record(conn, subject, "account.reset", ("account", number), None, found.org_id)
    return first


async def change_password(conn: Connection, subject: Subject, current: str, new: str) -> None:
    """The subject's own password; its other sessions end.

    Refused: `password_wrong`, `password_same`, and what `check_password` refuses. A wrong current password is
    not counted as a failed sign-in: whoever asks is signed in, and a mistake must not lock them out.
    """
    if subject.kind != "account" or subject.account_id is None:
        raise YaosuError("no_session")
    number = subject.account_id
    row = await conn.fetchrow(store_accounts.ACCOUNT, subject.org_id, number, True)
    assert row is not None, "accounts are never deleted"
    stored = await conn.fetchval(store_accounts.HASH_OF, number)
    if len(current) > PASSWORD_CHARS_MAX or not await secrets.password_fits(stored, current):
        raise YaosuError("password_wrong")
    if current == new:
        raise YaosuError("password_same")
    check_password(row["login"], new)
    await conn.execute(store_accounts.SET_HASH, number, await secrets.hash_password(new), False)
    await conn.execute(store.END_OTHER_SESSIONS, number, int(subject.session_id))
    identities.forget("account", number)
    await audit.record(conn, subject, "account.password", ("account", number))


async def set_language(conn: Connection, subject: Subject, lang: str) -> None:
    """The language the subject's pages and messages come in: "zh" or "en"."""
    if subject.kind == "account" and subject.account_id is not None:
        await conn.execute(store_accounts.SET_LANG, subject.account_id, lang)
        identities.forget("account", subject.account_id)


async def ensure_operator(conn: Connection, login: str, password: str) -> bool:
    """The platform's first account; whether it was made now. An existing login is left as it is."""
    if await conn.fetchrow(store_accounts.ACCOUNT_BY_LOGIN, login) is not None:
        return False
    await create_account(conn, SYSTEM, login, login, scopes.OPERATOR, password)
    return True


async def account_by_login(conn: Connection, login: str) -> Account:
    """The account of a login, for the command line on the server itself. Refused: `not_found`."""
    row = await conn.fetchrow(store_accounts.ACCOUNT_BY_LOGIN, login)
    if row is None:
        raise YaosuError("not_found", {"what": login})
    return store_accounts.account(row)
