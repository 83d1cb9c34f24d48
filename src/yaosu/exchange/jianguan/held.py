"""The regulator's side: takes events, keeps them as they came, says in a signed receipt what it holds (R-F1)."""

from __future__ import annotations

import os
import re
import secrets
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from yaosu.access import audit
from yaosu.access.types import is_clean
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.jianguan import form
from yaosu.exchange.jianguan import store_held as store
from yaosu.people.keeper import Keeper
from yaosu.subject import Subject

EVENTS_MAX = 1_000
NUMBER_MAX = 2**62
_PURPOSE = "jianguan key 1"
_NONCE = 12
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KINDS = ("bill", "firm", "rule", "product")


def require_regulator(subject: Subject) -> None:
    """Authorities, and the operator who runs the system for them."""
    if subject.org_id is None:
        subject.require("registry.admin")
    else:
        subject.require("supervise.read")


@dataclass(frozen=True, slots=True)
class Source:
    """A system that feeds us."""

    id: int
    source_id: str
    name: str
    region: str
    state: str
    told: int
    contiguous: int
    refused: int
    said: str
    seen_at: datetime | None
    made_at: datetime

    @property
    def missing(self) -> int:
        """Numbers given by the source that we do not hold in one run from the first."""
        return max(0, self.told - self.contiguous)

    def as_json(self) -> dict[str, Any]:
        """The form of API answers; never the key."""
        return {
            "id": self.id,
            "source_id": self.source_id,
            "name": self.name,
            "region": self.region,
            "state": self.state,
            "told": self.told,
            "contiguous": self.contiguous,
            "missing": self.missing,
            "refused": self.refused,
            "said": self.said,
            "seen_at": self.seen_at.isoformat() if self.seen_at else None,
            "made_at": self.made_at.isoformat(),
        }


def source_of(row: Any) -> Source:
    """A row without its key."""
    return Source(*(row[name] for name in Source.__dataclass_fields__))


def seal(keeper: Keeper, source_id: str, key: str) -> bytes:
    """The key as the database keeps it."""
    nonce = os.urandom(_NONCE)
    return nonce + keeper.cipher(_PURPOSE).encrypt(nonce, key.encode(), source_id.encode())


def unseal(keeper: Keeper, source_id: str, sealed: bytes) -> str:
    """The key in clear, for one use."""
    return keeper.cipher(_PURPOSE).decrypt(sealed[:_NONCE], sealed[_NONCE:], source_id.encode()).decode()


async def register(
    conn: Connection, subject: Subject, keeper: Keeper, name: str, region: str
) -> tuple[Source, str]:
    """A system that will feed us: its sourceID and key, shown this once. Operator only."""
    subject.require("registry.admin")
    if not name.strip() or len(name) > 100 or not is_clean(name):
        raise form.wrong("name", "应为 1 至 100 个字符", "1 to 100 characters")
    if not re.fullmatch(r"\d{0,6}", region):
        raise form.wrong("region", "应为行政区划代码", "digits of GB/T 2260")
    source_id, key = "src" + secrets.token_hex(6), form.new_key()
    sealed = seal(keeper, source_id, key)
    row = await conn.fetchrow(store.ADD, source_id, name.strip(), region, sealed, subject.account_id)
    if row is None:
        raise YaosuError("jianguan_name_taken", {"name": name.strip()})
    found = source_of(row)
    await audit.record(
        conn, subject, "jianguan.register", ("jianguan_source", found.id), {"name": found.name}
    )
    return found, key


async def renew_key(conn: Connection, subject: Subject, keeper: Keeper, number: int) -> str:
    """A new key for a source, shown this once; the old one ends at once. Operator only."""
    subject.require("registry.admin")
    found = await source(conn, subject, number)
    key = form.new_key()
    await conn.execute(store.SET_KEY, found.id, seal(keeper, found.source_id, key))
    await audit.record(conn, subject, "jianguan.key", ("jianguan_source", found.id), {})
    return key


async def end(conn: Connection, subject: Subject, number: int) -> Source:
    """Nothing more is taken of a source; what it sent stays. Operator only."""
    subject.require("registry.admin")
    found = await source(conn, subject, number)
    await conn.execute(store.END, found.id)
    await audit.record(conn, subject, "jianguan.end", ("jianguan_source", found.id), {"name": found.name})
    return await source(conn, subject, number)


async def sources(conn: Connection, subject: Subject) -> list[Source]:
    """Everybody who feeds us. Authorities and the operator."""
    require_regulator(subject)
    return [source_of(r) for r in await conn.fetch(store.ALL)]


async def source(conn: Connection, subject: Subject, number: int) -> Source:
    """One of them; `not_found`."""
    require_regulator(subject)
    row = await conn.fetchrow(store.BY_ID, number)
    if row is None:
        raise YaosuError("not_found", {"what": "数据来源" if subject.lang == "zh" else "Source"})
    return source_of(row)


async def authenticate(
    conn: Connection, keeper: Keeper, message: Mapping[str, Any]
) -> tuple[Source, str, form.Head]:
    """Whose message this is, with the key for the answer. Protocol fields first, then the signature, then the time."""
    head = form.read_head(message)
    row = await conn.fetchrow(store.BY_NAME, head.source_id)
    if row is None or row["state"] != "active":
        raise YaosuError("jianguan_source")
    key = unseal(keeper, row["source_id"], row["key"])
    if not form.genuine(message, key):
        raise YaosuError("jianguan_sign")
    check_time(head)
    return source_of(row), key, head


def check_time(head: form.Head) -> None:
    """Refuse (`jianguan_time`) a message that is not of now: a replay, or a clock that is wrong."""
    if abs(datetime.now(UTC) - head.sent_at) > form.SKEW:
        raise YaosuError("jianguan_time", {"minutes": int(form.SKEW.total_seconds() // 60)})


@dataclass(frozen=True, slots=True)
class _Read:
    """One event as it came, well-formed."""

    seq: int
    event_id: uuid.UUID
    kind: str
    org: str
    day: date
    qty: int
    codes: int
    digest: bytes
    body: bytes


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def read_event(number: int, given: Any, source_id: str) -> _Read:
    """One event of a batch; refused `jianguan_event` with event and field, `jianguan_digest`."""
    name = f"events.{number}"

    def wrong(field: str, zh: str, en: str) -> YaosuError:
        params = {"event": name, "field": field, "reason": zh, "reason_en": en}
        return YaosuError("jianguan_event", params, [Finding("jianguan_event", params, f"{name}.{field}")])

    if not isinstance(given, Mapping) or not isinstance(given.get("event"), Mapping):
        raise wrong("event", "应为对象", "an object")
    event: Mapping[str, Any] = given["event"]
    seq = given.get("seq")
    if not _whole(seq, 1, NUMBER_MAX):
        raise wrong("seq", "应为正整数", "a positive whole number")
    text = event.get("eventID")
    if not isinstance(text, str) or _GUID.fullmatch(text) is None:
        raise wrong("event.eventID", "应为 GUID", "a GUID")
    name = text
    if event.get("sourceID") != source_id:
        raise wrong("event.sourceID", "不是本数据来源", "another source")
    kind = event.get("eventType")
    if kind not in _KINDS:
        raise wrong("event.eventType", "应为 bill、firm、rule 或 product", "bill, firm, rule or product")
    owner = event.get("owner")
    org = owner.get("id") if isinstance(owner, Mapping) else None
    if not isinstance(org, str) or not 0 < len(org) <= 60 or not is_clean(org):
        raise wrong("event.owner.id", "必填", "required")
    qty, codes = 0, 0
    if kind == "bill":
        for field in ("billNo", "billType", "revision", "happenedAt"):
            if event.get(field) in (None, ""):
                raise wrong(f"event.{field}", "必填", "required")
        given_qty = event.get("qty", 0)
        if not _whole(given_qty, 0, NUMBER_MAX):
            raise wrong("event.qty", "应为非负整数", "a whole number from 0")
        qty = given_qty
        listed = event.get("codes", [])
        if not isinstance(listed, list) or any(
            not isinstance(c, Mapping) or not isinstance(c.get("code"), str) for c in listed
        ):
            raise wrong("event.codes", "应为列表，每项含 code", "a list of objects with code")
        codes = len(listed)
        try:
            day = datetime.fromisoformat(str(event["happenedAt"])).astimezone(form.CHINA).date()
        except (ValueError, OverflowError):
            raise wrong("event.happenedAt", "应为带时区的时间", "a time with zone") from None
    else:
        try:
            day = date.fromisoformat(str(event.get("day", "")))
        except ValueError:
            raise wrong("event.day", "应为日期", "a date") from None
    body = form.canonical(dict(event))
    digest = form.gm.sm3(body)
    if given.get("digest") != digest.hex():
        raise YaosuError(
            "jianguan_digest", {"event": name}, [Finding("jianguan_digest", {"event": name}, name)]
        )
    assert isinstance(seq, int)
    return _Read(seq, uuid.UUID(text), str(kind), org, day, qty, codes, digest, body)


def _sound(body: bytes, digest: bytes) -> bool:
    """Whether what is stored is still what its digest says."""
    try:
        return form.gm.sm3(zlib.decompress(body)) == digest
    except zlib.error:
        return False


async def take(conn: Connection, found: Source, body: Mapping[str, Any]) -> dict[str, Any]:
    """Take a batch, whole or not at all, in the caller's transaction; the receipt.

    What is held already is not taken twice. `resend` (after a reconciliation) replaces what differs; what stood there
    is kept. Refused: `jianguan_event`, `jianguan_digest`, `jianguan_differs`.
    """
    given = body.get("events")
    if not isinstance(given, list) or len(given) > EVENTS_MAX:
        raise form.wrong("body.events", f"应为至多 {EVENTS_MAX} 项的列表", f"a list of at most {EVENTS_MAX}")
    told = body.get("last", 0)
    if not _whole(told, 0, NUMBER_MAX):
        raise form.wrong("body.last", "应为非负整数", "a whole number from 0")
    resend = body.get("resend") is True
    events: dict[int, _Read] = {}
    for number, one in enumerate(given):
        read = read_event(number, one, found.source_id)
        if read.seq in events:
            raise form.wrong(f"body.events.{number}.seq", "序号重复", "a number stands twice")
        events[read.seq] = read
    contiguous: int = await conn.fetchval(store.LOCK, found.id)
    held = {r["seq"]: r for r in await conn.fetch(store.HELD, found.id, sorted(events))}
    same = {
        n for n, r in held.items() if (r["event_id"], r["digest"]) == (events[n].event_id, events[n].digest)
    }
    if resend:
        # a reconciliation looked at the events themselves, so a remembered digest proves nothing
        rows = await conn.fetch(store.HELD_BODIES, found.id, sorted(same))
        same = {r["seq"] for r in rows if _sound(r["body"], events[r["seq"]].digest)}
    differing = sorted(set(held) - same)
    if differing and not resend:
        raise YaosuError("jianguan_differs", {"seq": differing[0]})
    if differing:
        await conn.execute(store.KEEP_OLD, found.id, differing)
        await conn.execute(store.DROP_OLD, found.id, differing)
    new = [events[n] for n in sorted(events) if n not in same]
    if new:
        fresh = [
            (e.seq, e.event_id, e.kind, e.org, e.day, e.qty, e.codes, e.digest, zlib.compress(e.body, 3))
            for e in new
        ]
        await conn.execute(store.PUT, found.id, *(list(c) for c in zip(*fresh, strict=True)))
        contiguous = await conn.fetchval(store.CONTIGUOUS, found.id, contiguous)
    await conn.execute(store.SET, found.id, contiguous, max([told, *events]) if events else told)
    return {
        "received": len(new),
        "repeated": len(same),
        "replaced": len(differing),
        "contiguous": contiguous,
        "receivedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": form.range_digest((e.event_id, e.digest) for _, e in sorted(events.items())).hex(),
    }


async def completeness(conn: Connection, subject: Subject, number: int) -> dict[str, Any]:
    """What a source sent by day, which numbers are missing, and what reconciliation said."""
    one = await source(conn, subject, number)
    days = [dict(r) for r in await conn.fetch(store.BY_DAY, one.id, 60)]
    gaps = [[r["first"], r["last"]] for r in await conn.fetch(store.MISSING, one.id, one.contiguous)]
    checks = [dict(r) for r in await conn.fetch(store.CHECKS, one.id, 20)]
    return {"source": one, "days": days, "gaps": gaps, "checks": checks}


def plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON."""
    found = []
    for row in rows:
        found.append({k: v.isoformat() if isinstance(v, (date, datetime)) else v for k, v in row.items()})
    return found
