"""The coordination platform: trace systems register, file base data, are told what concerns them (R-A1, R-A4, R-F2).

Distribution: base data go to every other system; application data of a code go to the code's home, and what is on its
way to a firm also to the systems that firm works in. The sender never gets its own back.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.xietong import envelope, hub_base, keys, stopping
from yaosu.exchange.xietong import store_hub as store
from yaosu.exchange.xietong.envelope import BASE, Content, Envelope
from yaosu.exchange.xietong.resolve import Resolver
from yaosu.gm.keys import KeyFormatError, public_key
from yaosu.people.keeper import Keeper
from yaosu.registry.lists import CodeLists
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

SYSTEM_EVENT = "1000"
CODES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class System:
    """A trace system that takes part."""

    id: int
    app_id: str
    name: str
    operator: str
    usc_id: str
    resolver_url: str
    query_url: str
    receive_url: str
    public_key: str
    state: str
    box: int
    pushed: int
    pulled: int
    push_fails: int
    push_said: str
    refused: int
    refused_said: str
    seen_at: datetime | None
    made_at: datetime
    held: int = 0
    ahead: int = 0
    ahead_at: datetime | None = None

    @property
    def taken(self) -> int:
        """Up to which number it has what was put into its mailbox."""
        return max(self.pushed, self.pulled)

    def as_json(self) -> dict[str, Any]:
        """The form of API answers; never the key."""
        return {
            "id": self.id,
            "app_id": self.app_id,
            "name": self.name,
            "operator": self.operator,
            "usc_id": self.usc_id,
            "resolver_url": self.resolver_url,
            "query_url": self.query_url,
            "receive_url": self.receive_url,
            "signs_with": "SM2" if self.public_key else "HMAC-SM3",
            "state": self.state,
            "mailbox": {"last": self.box, "taken": self.taken, "waiting": self.box - self.taken},
            "push": {"failures": self.push_fails, "said": self.push_said},
            "refused": {"count": self.refused, "last": self.refused_said},
            "held": self.held,
            "ahead": {"events": self.ahead, "at": self.ahead_at.isoformat() if self.ahead_at else None},
            "seen_at": self.seen_at.isoformat() if self.seen_at else None,
            "made_at": self.made_at.isoformat(),
        }


_FIELDS = tuple(System.__dataclass_fields__)


def system_of(row: Any) -> System:
    """A row without its key."""
    return System(*(row[name] for name in _FIELDS))


@dataclass(frozen=True, slots=True)
class SystemDraft:
    """A trace system to be registered or changed."""

    name: str
    operator: str = ""
    usc_id: str = ""
    resolver_url: str = ""
    query_url: str = ""
    receive_url: str = ""
    public_key: str = ""
    state: str = "active"


def _checked(draft: SystemDraft) -> SystemDraft:
    for name in ("resolver_url", "query_url", "receive_url"):
        value = getattr(draft, name)
        if not value:
            continue
        try:
            parts = urlsplit(value)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            fine = False
        if not fine or len(value) > 500 or not value.isprintable() or " " in value:
            raise YaosuError("xietong_url", {"field": name})
    if draft.public_key:
        try:
            public_key(draft.public_key)
        except KeyFormatError:
            raise envelope.wrong("public_key", "不是 SM2 公钥", "not an SM2 public key") from None
    if not draft.name.strip():
        raise envelope.wrong("name", "必填", "required")
    return draft


async def register(
    conn: Connection, subject: Subject, keeper: Keeper, draft: SystemDraft
) -> tuple[System, str]:
    """A trace system takes part from now on: its app_id and key, which is shown this once. Operator only.

    Its mailbox begins with all base data in force. Refused: `xietong_name_taken`, `xietong_url`, `xietong_field`.
    """
    require_operator(subject)
    draft = _checked(draft)
    app_id, key = keys.new_app_id(), keys.new_key()
    row = await conn.fetchrow(
        store.ADD_SYSTEM,
        app_id,
        draft.name.strip(),
        draft.operator.strip(),
        draft.usc_id.strip().upper(),
        draft.resolver_url,
        draft.query_url,
        draft.receive_url,
        keys.seal(keeper, app_id, key),
        draft.public_key,
        subject.account_id,
    )
    if row is None:
        raise YaosuError("xietong_name_taken", {"name": draft.name.strip()})
    system = system_of(row)
    await conn.execute(store.LOCK_BASE)
    events = [r["event"] for r in await conn.fetch(store.BACKLOG, system.id, SYSTEM_EVENT)]
    if events:
        await conn.execute(store.POST_MANY, system.id, events)
    await _announce(conn, system)
    await audit.record(
        conn, subject, "xietong.register", ("xietong_system", system.id), {"name": system.name}
    )
    return system, key


async def change(conn: Connection, subject: Subject, system_id: int, draft: SystemDraft) -> System:
    """Change addresses, SM2 key and state (`held`: nothing is taken or pushed; `ended`: for good). Operator only."""
    require_operator(subject)
    draft = _checked(draft)
    # the others are told in the same transaction
    await store.lock_boxes(conn, [r["id"] for r in await conn.fetch(store.SYSTEMS)])
    args = (draft.operator.strip(), draft.usc_id.strip().upper(), draft.resolver_url, draft.query_url)
    row = await conn.fetchrow(
        store.CHANGE_SYSTEM, system_id, *args, draft.receive_url, draft.public_key, draft.state
    )
    if row is None:
        raise YaosuError("not_found", {"what": "追溯系统" if subject.lang == "zh" else "Trace system"})
    system = system_of(row)
    await _announce(conn, system)
    await audit.record(
        conn, subject, "xietong.change", ("xietong_system", system.id), {"state": system.state}
    )
    return system


async def renew_key(conn: Connection, subject: Subject, keeper: Keeper, system_id: int) -> str:
    """A new key, shown this once; the old one ends at once."""
    require_operator(subject)
    row = await conn.fetchrow(store.BY_ID, system_id)
    if row is None:
        raise YaosuError("not_found", {"what": "追溯系统" if subject.lang == "zh" else "Trace system"})
    key = keys.new_key()
    await conn.execute(store.SET_KEY, system_id, keys.seal(keeper, row["app_id"], key))
    await audit.record(conn, subject, "xietong.key", ("xietong_system", system_id), {})
    return key


async def systems(conn: Connection, subject: Subject) -> list[System]:
    """All trace systems that take part. Operator only."""
    require_operator(subject)
    return [system_of(r) for r in await conn.fetch(store.SYSTEMS)]


async def _announce(conn: Connection, system: System) -> None:
    """Tell every other system who takes part and where it is asked (sub type 1000, made by the platform)."""
    body = {
        "app_id": system.app_id,
        "name": system.name,
        "operator": system.operator,
        "usc_id": system.usc_id,
        "resolver_url": system.resolver_url,
        "query_url": system.query_url,
        "state": system.state,
    }
    event_id = uuid.uuid4()
    packed = envelope.pack(body)
    digest = envelope.content_digest(BASE, SYSTEM_EVENT, system.usc_id, body)
    now = datetime.now(UTC)
    event: int = await conn.fetchval(
        store.ADD_EVENT, system.id, event_id, "", BASE, SYSTEM_EVENT, system.usc_id, now, digest, packed, None
    )
    others = [
        r["id"] for r in await conn.fetch(store.SYSTEMS) if r["id"] != system.id and r["state"] != "ended"
    ]
    await store.post(conn, others, event)


async def authenticate(
    conn: Connection, keeper: Keeper, params: Mapping[str, str], sent_at: datetime
) -> asyncpg.Record:
    """The system whose signature this is; refused `xietong_app_unknown`, `xietong_sign`, `xietong_time`."""
    row = await conn.fetchrow(store.BY_APP, params.get("app_id", ""))
    if row is None or row["state"] != "active":
        raise YaosuError("xietong_app_unknown")
    if not envelope.genuine(params, keys.unseal(keeper, row["app_id"], row["key"]), row["public_key"]):
        raise YaosuError("xietong_sign")
    if not envelope.in_time(sent_at, datetime.now(UTC)):
        raise YaosuError("xietong_time", {"minutes": int(envelope.SKEW.total_seconds() // 60)})
    return row


async def receive(
    conn: Connection, system: System, lists: CodeLists, resolver: Resolver, envelope_: Envelope
) -> dict[str, Any]:
    """Take one event of an authenticated system, in the caller's transaction; what is answered beyond success.

    The same event_id with the same content is answered as the first time, with `repeated`. Refused:
    `xietong_event_differs`, `xietong_data`, `xietong_content`, `xietong_taken`, `xietong_firm_not_filed` …
    """
    packed = envelope.decode(envelope_.data)
    content = envelope.unpack(packed)
    item = lists.item("xietong_sub_type", envelope_.sub_type)
    if item is None or str(item.attrs.get("type")) != str(envelope_.event_type):
        raise envelope.wrong("sub_type", "不是该事件大类的子类型", "not a sub type of this event type")
    meaning = str(item.attrs["meaning"])
    if meaning in ("system", "restored"):
        raise envelope.wrong("sub_type", "只由平台发出", "only the platform makes it")
    digest = envelope.content_digest(envelope_.event_type, envelope_.sub_type, envelope_.usc_id, content)
    if envelope_.event_type == BASE:
        # before the system's own lock, and always in this order, so that nobody waits for each other
        await conn.execute(store.LOCK_BASE)
    await conn.execute(store.LOCK_SYSTEM, system.id)
    before = await conn.fetchrow(store.EVENT, system.id, envelope_.event_id)
    if before is not None:
        if before["digest"] != digest:
            raise YaosuError("xietong_event_differs")
        return {**before["said"], "seq": before["n"], "repeated": True}
    number: int = await conn.fetchval(store.NEXT_N, system.id)
    event: int = await conn.fetchval(
        store.ADD_EVENT,
        system.id,
        envelope_.event_id,
        envelope_.process_id,
        envelope_.event_type,
        envelope_.sub_type,
        envelope_.usc_id,
        envelope_.sent_at,
        digest,
        packed,
        number,
    )
    if envelope_.event_type == BASE:
        said = await hub_base.file(conn, system.id, meaning, Content(content), event)
        others = {r["id"] for r in await conn.fetch(store.SYSTEMS) if r["state"] != "ended"} - {system.id}
    else:
        if meaning == "recall":
            others = await _stopped(conn, system.id, Content(content))
        else:
            others = await _concerned(conn, system.id, resolver, Content(content))
            if meaning == "produce":
                others |= await _holders(conn, system.id, Content(content))
        said = {"distributed": len(others)}
    if said:
        await conn.execute(store.SET_SAID, event, said)
    await store.lock_boxes(conn, [system.id, *others])
    await store.post(conn, sorted(others), event)
    await conn.execute(store.HELD, system.id, number)
    return {**said, "seq": number}


async def _home_of_product(conn: Connection, sender: int, content: Content) -> str:
    """The product that a recall or an activation is about: filed, and by the sender, who alone speaks for it."""
    value = content.text("product", True, 60)
    row = await conn.fetchrow(store.PRODUCT_HOME, value)
    if row is None:
        raise YaosuError("xietong_rule_missing", {"value": value, "field": "product"})
    if row["system_id"] != sender:
        params = {"value": value, "system": row["system"], "firm": row["name"] or "—", "field": "product"}
        raise YaosuError("xietong_taken", params, [Finding("xietong_taken", params, "product")])
    return str(row["product"])


async def _stopped(conn: Connection, sender: int, content: Content) -> set[int]:
    """A recall concerns every system: nobody knows better where the goods have gone."""
    await _home_of_product(conn, sender, content)
    stopping.read(content)
    return {r["id"] for r in await conn.fetch(store.SYSTEMS) if r["state"] != "ended"} - {sender}


async def _holders(conn: Connection, sender: int, content: Content) -> set[int]:
    """What was made concerns the systems that the product's holder and maker work in, too."""
    if not content.text("product", False, 60):
        return set()
    product = await _home_of_product(conn, sender, content)
    rows = await conn.fetch(store.HOMES_OF_HOLDERS, product)
    return {r["system_id"] for r in rows} - {sender}


async def _concerned(conn: Connection, sender: int, resolver: Resolver, content: Content) -> set[int]:
    """Whom application data concern: the homes of their codes, and the systems of the firm they go to."""
    await resolver.refresh(conn)
    owner = content.text("owner", True, 40)
    firms = {r["system_id"]: r["customer"] for r in await conn.fetch(store.FIRM, owner)}
    if not firms.get(sender):
        raise YaosuError("xietong_not_your_firm", {"firm": owner})
    codes = content.many("codes", CODES_MAX)
    found: set[int] = set()
    prefixes: set[str] = set()
    for number, code in enumerate(codes):
        if not isinstance(code, str) or not code or len(code) > 200:
            raise content.wrong(f"codes.{number}", "应为追溯码", "a trace code")
        prefix = resolver.prefix_of(code)
        if prefix is None:
            raise YaosuError("xietong_not_home", {"value": code[:60], "field": f"codes.{number}"})
        prefixes.add(prefix)
    homes = {r["prefix"]: r["system_id"] for r in await conn.fetch(store.HOMES_OF_PREFIXES, sorted(prefixes))}
    found |= set(homes.values())
    to = content.text("to", False, 40)
    if to:
        found |= {r["system_id"] for r in await conn.fetch(store.HOMES_OF_FIRM, to)}
    return found - {sender}


@dataclass(frozen=True, slots=True)
class Mail:
    """One event in a mailbox."""

    n: int
    event_id: str
    event_type: int
    sub_type: str
    usc_id: str
    origin: str
    data: bytes

    def params(self, app_id: str, now: datetime, process_id: str) -> dict[str, str]:
        """The envelope that takes it to the system `app_id`, unsigned."""
        full = {
            "app_id": app_id,
            "process_id": process_id,
            "event_id": self.event_id,
            "event_type": str(self.event_type),
            "sub_type": self.sub_type,
            "usc_id": self.usc_id,
            "data": envelope.encode(self.data),
            "timestamp": envelope.stamp(now),
            "from_app_id": self.origin,
            "n": str(self.n),
        }
        return {k: v for k, v in full.items() if v}


async def mailbox(conn: Connection, system_id: int, after: int, limit: int) -> list[Mail]:
    """Events after the number `after`."""
    return [
        Mail(r["n"], str(r["event_id"]), r["event_type"], r["sub_type"], r["usc_id"], r["origin"], r["data"])
        for r in await conn.fetch(store.MAIL, system_id, after, limit)
    ]
