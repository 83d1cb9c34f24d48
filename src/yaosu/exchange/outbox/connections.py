"""Connections: how an organisation reaches a counterpart, with its credentials sealed (R-X9).

Secrets are kept under AES-256-GCM with a key derived from the master secret, which is outside the database, and bound
to their connection's number; they are opened for sending only and shown to nobody.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from asyncpg import Record
from cryptography.exceptions import InvalidTag

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import store
from yaosu.exchange.outbox.model import Link
from yaosu.notify import http
from yaosu.notify.routed import raise_version
from yaosu.people.keeper import Keeper
from yaosu.subject import Subject

MANAGE = "exchange.manage"
READ = "exchange.read"
PURPOSE = "exchange secret 1"
PER_ORG = 50
TITLE_MAX = 100
_NONCE = 12
_MISSING = {"zh": "对接", "en": "Connection"}


@dataclass(frozen=True, slots=True)
class Known:
    """A connection without its secret, as pages and API show it."""

    id: int
    org: int
    everyone: bool
    state: str
    channel: str
    profile: str
    title: str
    url: str
    account: Mapping[str, Any]
    has_secret: bool
    region: str
    since: datetime
    created_at: datetime
    ended_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form of API answers; never the secret."""
        return {
            "id": self.id,
            "channel": self.channel,
            "profile": self.profile,
            "title": self.title,
            "url": self.url,
            "account": dict(self.account),
            "has_secret": self.has_secret,
            "region": self.region,
            "everyone": self.everyone,
            "state": self.state,
            "since": self.since.isoformat(),
            "created_at": self.created_at.isoformat(),
            "deliveries": dict(self.counts),
        }


PLATFORM = 0
"""The operator's connections belong to no organisation."""


def owner_of(subject: Subject) -> int:
    """Whose connections somebody sees and manages: the own organisation's, the platform's for its operator."""
    if subject.org_id is None and subject.kind != "anonymous" and subject.can("registry.admin"):
        return PLATFORM
    return subject.org


def known(row: Record) -> Known:
    """A row without its secret."""
    return Known(
        row["id"], row["org"], row["everyone"], row["state"], row["channel"], row["profile"], row["title"], row["url"],
        row["account"], row["secret"] is not None, row["region"], row["since"], row["created_at"], row["ended_at"],
    )  # fmt: skip


def missing(subject: Subject) -> YaosuError:
    """Not there, or not theirs."""
    return YaosuError("not_found", {"what": _MISSING.get(subject.lang, _MISSING["zh"])})


def seal(keeper: Keeper, connection_id: int, secret: Mapping[str, str]) -> bytes:
    """The secret as the database keeps it."""
    nonce = os.urandom(_NONCE)
    text = orjson.dumps(dict(secret))
    return nonce + keeper.cipher(PURPOSE).encrypt(nonce, text, str(connection_id).encode())


def unseal(keeper: Keeper, connection_id: int, sealed: bytes | None) -> dict[str, str]:
    """What `seal` closed; refused (`connection_secret_unreadable`) under another master secret or number."""
    if sealed is None:
        return {}
    try:
        text = keeper.cipher(PURPOSE).decrypt(sealed[:_NONCE], sealed[_NONCE:], str(connection_id).encode())
    except InvalidTag:
        raise YaosuError("connection_secret_unreadable", {"connection": connection_id}) from None
    found: dict[str, str] = orjson.loads(text)
    return found


async def add(
    conn: Connection,
    subject: Subject,
    keeper: Keeper,
    channel: str,
    title: str,
    url: str,
    account: Mapping[str, Any],
    secret: Mapping[str, str],
    profile: str = "",
    region: str = "",
    everyone: bool = False,
    *,
    since: datetime | None = None,
    allowed: Collection[str] | None = None,
) -> int:
    """A new connection of the subject's organisation; its bills recorded from `since` (now) on are owed through it.

    `everyone`: bills of every organisation; the operator's only (`registry.admin`). With `allowed` (the settings'
    hosts) the address is looked at: `connection_url_refused`. Also refused: `connection_too_many`.
    """
    subject.require(MANAGE)
    if everyone:
        subject.require("registry.admin")
    if allowed is not None and url:
        await check_url(subject, url, allowed)
    title = title.strip()[:TITLE_MAX] or channel
    mine = await conn.fetch(store.OF_ORG, owner_of(subject))
    if sum(1 for r in mine if r["state"] != "ended") >= PER_ORG:
        raise YaosuError("connection_too_many", {"limit": PER_ORG})
    made: int = await conn.fetchval(
        store.ADD, owner_of(subject), everyone, channel, profile, title, url, dict(account), region, since,
        subject.account_id,
    )  # fmt: skip
    if secret:
        await conn.execute(store.SET_SECRET, made, seal(keeper, made, secret))
    await raise_version(conn)
    await audit.record(conn, subject, "connection.add", ("connection", made), {"channel": channel})
    return made


async def check_org(conn: Connection, org: int) -> None:
    """Refuse (`not_found`) the number of no organisation."""
    if not await conn.fetchval(store.KNOWN_ORG, org):
        raise YaosuError("not_found", {"what": f"#{org}"})


async def check_url(subject: Subject, url: str, allowed: Collection[str]) -> None:
    """Refuse (`connection_url_refused`) an address that must not be called."""
    try:
        await http.resolve(http.split(url, allowed), allowed)
    except http.AddressRefusedError as error:
        reason = error.zh if subject.lang == "zh" else error.en
        raise YaosuError("connection_url_refused", {"reason": reason}) from error


async def get(conn: Connection, subject: Subject, connection_id: int) -> Known:
    """One of the own organisation; `not_found` for others'."""
    subject.require(READ)
    row = await conn.fetchrow(store.ONE, connection_id)
    if row is None or row["org"] != owner_of(subject):
        raise missing(subject)
    return known(row)


async def listed(conn: Connection, subject: Subject) -> list[Known]:
    """The own organisation's connections; ended ones last."""
    subject.require(READ)
    return [known(row) for row in await conn.fetch(store.OF_ORG, owner_of(subject))]


async def rotate(
    conn: Connection, subject: Subject, keeper: Keeper, connection_id: int, secret: Mapping[str, str]
) -> None:
    """New credentials from now on; those not given stay as they are. What came to rest for want of them goes again."""
    subject.require(MANAGE)
    row = await conn.fetchrow(store.ONE, connection_id)
    if row is None or row["org"] != owner_of(subject) or row["state"] == "ended":
        raise missing(subject)
    given = {name: value for name, value in secret.items() if value}
    try:
        kept = unseal(keeper, connection_id, row["secret"])
    except YaosuError:
        kept = {}
    await conn.execute(store.SET_SECRET, connection_id, seal(keeper, connection_id, {**kept, **given}))
    await conn.execute(store.DUE_AGAIN, row["channel"], connection_id, subject.account_id)
    await conn.execute(store.ROUTED_AGAIN, connection_id)
    await audit.record(conn, subject, "connection.rotate", ("connection", connection_id), {})


async def change(
    conn: Connection,
    subject: Subject,
    connection_id: int,
    *,
    title: str,
    url: str,
    account: Mapping[str, Any],
    region: str = "",
    profile: str = "",
    allowed: Collection[str] = (),
) -> None:
    """Change what is not secret. What was already made for it goes to the new address, what came to rest too."""
    subject.require(MANAGE)
    before = await conn.fetchrow(store.ONE, connection_id)
    if url:
        await check_url(subject, url, allowed)
    args = (connection_id, owner_of(subject), title.strip()[:TITLE_MAX], url, dict(account), region, profile)
    if await conn.fetchval(store.CHANGE, *args) is None:
        raise missing(subject)
    if before is not None and before["url"] != url:
        await conn.execute(store.DUE_AGAIN, before["channel"], connection_id, subject.account_id)
    await raise_version(conn)
    await audit.record(conn, subject, "connection.change", ("connection", connection_id), {"url": url})


async def set_state(
    conn: Connection, subject: Subject, connection_id: int, state: str, reason: str = ""
) -> None:
    """`held`: bills are routed and wait, nothing leaves; `active` again; `ended` for good: what is owed is given up."""
    subject.require(MANAGE)
    channel = await conn.fetchval(store.SET_STATE, connection_id, owner_of(subject), state)
    if channel is None:
        raise missing(subject)
    if state == "ended":
        await conn.execute(store.DROP_OWED, channel, connection_id, reason[:200], subject.account_id)
        await conn.execute(store.DROP_DUE, connection_id)
    # the gate last: a sender that settles a delivery may be about to close it
    await conn.execute(store.SHUT, channel, connection_id, state != "active")
    await raise_version(conn)
    details = {"state": state, "reason": reason[:200]}
    await audit.record(conn, subject, "connection.state", ("connection", connection_id), details)


def _link(keeper: Keeper, row: Record) -> Link:
    return Link(
        row["id"], row["org"], row["channel"], row["profile"], row["title"], row["url"], row["account"],
        unseal(keeper, row["id"], row["secret"]), row["everyone"], row["region"],
    )  # fmt: skip


async def open_link(conn: Connection, keeper: Keeper, connection_id: int) -> Link:
    """A connection with its secret, for an adapter. Refused: `not_found`, `connection_secret_unreadable`."""
    row = await conn.fetchrow(store.ONE, connection_id)
    if row is None or row["state"] == "ended":
        raise YaosuError("not_found", {"what": _MISSING["zh"]})
    return _link(keeper, row)


async def links(conn: Connection, keeper: Keeper, channel: str, org: int | None = None) -> list[Link]:
    """The active connections of a channel, of one organisation or of all."""
    return [_link(keeper, row) for row in await conn.fetch(store.OF_CHANNEL, channel, org)]


async def counterpart(conn: Connection, link_id: int, kind: str, ours: int) -> str | None:
    """What they call one of ours (`kind`: org, product, …), or None while nobody asked."""
    found: str | None = await conn.fetchval(store.THEIRS, link_id, kind, ours)
    return found


async def ours_of(conn: Connection, link_id: int, kind: str, theirs: str) -> int | None:
    """Which of ours they mean, or None."""
    found: int | None = await conn.fetchval(store.OURS, link_id, kind, theirs)
    return found


async def remember(
    conn: Connection,
    link_id: int,
    kind: str,
    ours: int,
    theirs: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Keep what they call one of ours; the newest answer replaces."""
    await conn.execute(store.REMEMBER, link_id, kind, ours, theirs, dict(more or {}))
