"""App keys of an organisation's programs: 8 digits and a secret, sealed in the database (R-X10).

A key stands for its organisation with the permissions of one role, and an account answers for it: who made it, or who
took it over. At every call the key may do what its role allows as far as that account's role does today, the same rule
as for API keys (`access.store.key_scopes`); with the account it ends. Keys made on the server itself are bounded by
their role alone. Making, rotating, taking over and revoking are on record; a rotated key's old secret may stay good for
some hours, so that programs can be changed one after the other.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asyncpg import Record
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from yaosu.access import audit, store_accounts
from yaosu.access.cache import identities
from yaosu.access.scopes import role_for, scopes_of
from yaosu.access.store import answered_for
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.exchange.top import store
from yaosu.exchange.top.protocol import load_methods
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "key.manage"
PER_ORG = 50
KEEP_OLD_HOURS_MAX = 24 * 30
TTL_S = 10.0
"""How long another server process may go on with a key that was revoked here."""
CACHED_MAX = 20_000
_NONCE = 12


@dataclass(frozen=True, slots=True)
class TopKey:
    """A key as its owner sees it; the secret is shown once, when it is made."""

    app_key: str
    org: int
    title: str
    role: str
    made_at: datetime
    rotated_at: datetime | None
    old_until: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    maker: str
    """Login of the account that answers for it; empty where none does."""
    maker_active: bool | None
    """None where no account answers for it."""
    narrowed: bool
    """Whether its role may more than the account that answers for it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A key as the gateway needs it."""

    subject: Subject
    maker: int | None
    alive: bool
    """False while the account that answers for it is disabled."""
    secret: str
    old_secret: str
    old_until: datetime | None

    def secrets(self) -> list[str]:
        """The secrets that are good now."""
        still = self.old_until is not None and self.old_until > datetime.now(UTC)
        return [self.secret, self.old_secret] if still and self.old_secret else [self.secret]


class Sealing:
    """Seals secrets under the master secret, each bound to its key's number."""

    def __init__(self, master: bytes) -> None:
        self._aes = AESGCM(hmac.digest(master, b"yaosu top key 1", hashlib.sha256))

    def close(self, app_key: str, secret: str) -> bytes:
        """The sealed secret."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, secret.encode(), app_key.encode())

    def open(self, app_key: str, sealed: bytes) -> str:
        """The secret. Refused (`top_key_unreadable`) under another master secret."""
        try:
            return self._aes.decrypt(sealed[:_NONCE], sealed[_NONCE:], app_key.encode()).decode()
        except InvalidTag:
            raise YaosuError("top_key_unreadable", {"key": app_key}) from None


class Keys:
    """Keys in use, remembered for seconds so that a call costs no query; one per server."""

    def __init__(self, sealing: Sealing) -> None:
        self._sealing = sealing
        self._known: dict[str, tuple[float, Known | None]] = {}

    async def find(self, pool: Pool, app_key: str) -> Known | None:
        """The key of that number; None when there is none in force."""
        found = self._known.get(app_key)
        now = time.monotonic()
        if found is not None and found[0] > now and not _outdated(found[1]):
            return found[1]
        row = await pool.fetchrow(store.KEY, app_key)
        known = self._read(row) if row is not None else None
        if known is not None:
            await pool.execute(store.USED, [app_key])
        if len(self._known) >= CACHED_MAX:
            self._known.clear()
        self._known[app_key] = (now + TTL_S, known)
        return known

    def forget(self, app_key: str) -> None:
        """Ask anew at the next call."""
        self._known.pop(app_key, None)

    def _read(self, row: Record) -> Known | None:
        if row["revoked_at"] is not None or not row["in_use"]:
            return None
        key, org_type = row["app_key"], row["org_type"]
        subject = Subject(
            kind="key",
            org_id=row["org_id"],
            org_type=org_type,
            role=row["role"],
            scopes=scopes_now(row),
            region=row["region"],
            name=f"TOP {key}",
            session_id=f"top:{key}",
        )
        old = row["old_secret"]
        return Known(
            subject,
            row["maker"],
            not answered_for(row) or row["maker_active"],
            self._sealing.open(key, row["secret"]),
            self._sealing.open(key, old) if old is not None else "",
            row["old_until"],
        )


def _outdated(known: Known | None) -> bool:
    """Whether the account that answers for it, or its organisation, changed on this server a moment ago."""
    if known is None:
        return False
    marks = (("account", known.maker), ("org", known.subject.org_id))
    return any(number is not None and identities.forgotten(kind, number) for kind, number in marks)


def _held(row: Record) -> frozenset[str]:
    return scopes_of(row["role"], row["org_type"], row["sub_type"])


def scopes_now(row: Record) -> frozenset[str]:
    """What a key may do today: what its role may as far as the account that answers for it may too."""
    if not answered_for(row):
        return _held(row)
    if not row["maker_active"]:
        return frozenset()
    return _held(row) & scopes_of(row["maker_role"], row["maker_type"], row["maker_sub_type"])


def _asked(found: frozenset[str]) -> frozenset[str]:
    """Of permissions those the gateway ever asks for: the others cannot be used through it."""
    return found & {one.scope for one in load_methods().values()}


def _view(row: Record) -> TopKey:
    behind = answered_for(row)
    return TopKey(
        row["app_key"], row["org_id"], row["title"], row["role"], row["made_at"], row["rotated_at"], row["old_until"],
        row["revoked_at"], row["used_at"], row["login"] if behind else "", row["maker_active"] if behind else None,
        bool(_asked(_held(row)) - scopes_now(row)),
    )  # fmt: skip


async def listed(conn: Connection, subject: Subject) -> list[TopKey]:
    """Keys of the subject's organisation, ended ones last (`key.manage`)."""
    subject.require(SCOPE)
    return [_view(row) for row in await conn.fetch(store.KEYS, subject.org)]


async def add(
    conn: Connection, registry: Registry, sealing: Sealing, subject: Subject, title: str, role: str
) -> tuple[TopKey, str]:
    """A new key and, this once, its secret. Refused: `top_key_title`, `top_key_too_many`, `role_unknown`,
    `role_not_for_org`, `scope_beyond` where the role may more than the caller."""
    subject.require(SCOPE)
    title = " ".join(title.split())
    if not 1 <= len(title) <= 80 or not title.isprintable():
        raise YaosuError("top_key_title")
    card = registry.org(subject.org)
    org_type = str(card.type) if card is not None else subject.org_type
    role_for(role, org_type, card.sub_type if card is not None else None)
    _within(subject, scopes_of(role, org_type))
    have = await conn.fetch(store.KEYS, subject.org)
    if sum(1 for row in have if row["revoked_at"] is None) >= PER_ORG:
        raise YaosuError("top_key_too_many", {"limit": PER_ORG})
    maker = subject.account_id
    if subject.kind == "key":
        # whoever answers for the caller's own key answers for this one too
        maker = await conn.fetchval(store_accounts.MAKER_OF_KEY, subject.session_id)
    secret = secrets.token_hex(16)
    made = None
    while made is None:
        number = str(secrets.randbelow(90_000_000) + 10_000_000)
        made = await conn.fetchval(
            store.ADD_KEY, number, subject.org, title, role, sealing.close(number, secret), maker
        )
    await audit.record(conn, subject, "top_key.add", ("top_key", made), {"role": role})
    row = await conn.fetchrow(store.ONE_KEY, subject.org, made)
    assert row is not None
    return _view(row), secret


def _within(subject: Subject, wanted: frozenset[str]) -> None:
    """Refused (`scope_beyond`) where a key may more than who is to answer for it."""
    beyond = [s for s in sorted(_asked(wanted)) if not subject.can(s)]
    if beyond:
        raise YaosuError("scope_beyond", {"scope": ", ".join(beyond)})


async def take_over(conn: Connection, subject: Subject, app_key: str) -> None:
    """Answer for a key from now on, so that it works when the account that made it is disabled or narrowed.

    The secret stays the same. Refused: `not_found`, `scope_beyond`, `key_needs_account` for
    callers that are no account.
    """
    row = await _one(conn, subject, app_key)
    if subject.kind != "account" or subject.account_id is None:
        raise YaosuError("key_needs_account")
    _within(subject, _held(row))
    await conn.execute(store.TAKE_OVER, app_key, subject.account_id)
    await audit.record(conn, subject, "top_key.take_over", ("top_key", app_key), {"before": row["maker"]})


async def _one(conn: Connection, subject: Subject, app_key: str) -> Record:
    subject.require(SCOPE)
    row = await conn.fetchrow(store.ONE_KEY, subject.org, app_key)
    if row is None or row["revoked_at"] is not None:
        raise YaosuError("not_found", {"what": f"AppKey {app_key[:20]}"})
    return row


async def rotate(
    conn: Connection, sealing: Sealing, subject: Subject, app_key: str, keep_hours: int = 0
) -> str:
    """A new secret, shown this once; the old one stays good for `keep_hours`. Refused: `not_found`,
    `top_key_keep_hours`."""
    await _one(conn, subject, app_key)
    if not 0 <= keep_hours <= KEEP_OLD_HOURS_MAX:
        raise YaosuError("top_key_keep_hours", {"limit": KEEP_OLD_HOURS_MAX})
    secret = secrets.token_hex(16)
    until = datetime.now(UTC) + timedelta(hours=keep_hours) if keep_hours else None
    await conn.execute(store.ROTATE_KEY, app_key, sealing.close(app_key, secret), until)
    await audit.record(conn, subject, "top_key.rotate", ("top_key", app_key), {"keep_hours": keep_hours})
    return secret


async def revoke(conn: Connection, subject: Subject, app_key: str) -> None:
    """The end of a key, at once. Refused: `not_found`."""
    await _one(conn, subject, app_key)
    await conn.execute(store.REVOKE_KEY, app_key)
    await audit.record(conn, subject, "top_key.revoke", ("top_key", app_key), {})
