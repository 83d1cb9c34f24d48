"""「这个码为什么没有上传？」 The checks in their order, until one explains it (R-X9, R-X1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from asyncpg import Record

from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection
from yaosu.errors import Finding, message
from yaosu.exchange.outbox import backfill, deliveries, store_bills
from yaosu.exchange.outbox.connections import PLATFORM, READ, Known, listed, owner_of
from yaosu.exchange.outbox.model import Channel, Standing
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

CHINA = ZoneInfo("Asia/Shanghai")
ORDER = (
    "why_not_a_code", "why_not_scanned", "why_refused", "why_void", "why_exempt", "why_no_connection", "why_due",
    "why_unbuilt", "why_backfill", "why_not_asked", "why_not_owed", "why_link_held", "why_no_credentials", "why_held",
    "why_waits", "why_pending", "why_rejected", "why_at_rest", "why_failed", "why_unknown", "why_sent", "why_partly",
    "why_given_up", "why_doubted", "why_done",
)  # fmt: skip
"""The answers in the order of the checks that give them."""
UPLOADED = frozenset({"why_doubted", "why_done"})
"""The answers by which the other side has it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reason with its evidence: `bill`, `delivery`, `connection` are numbers, 0 for none."""

    finding: Finding
    bill: int = 0
    delivery: int = 0
    connection: int = 0
    title: str = ""

    def as_json(self, lang: str) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "code": self.finding.code,
            "text": self.finding.text(lang),
            "next": self.finding.next_step(lang),
            "bill": self.bill or None,
            "delivery": self.delivery or None,
            "connection": self.connection or None,
            "title": self.title,
        }


@dataclass(frozen=True, slots=True)
class Why:
    """`answer` explains it in one sentence; `each` says it for every connection."""

    code: str
    product: str
    home: str
    answer: Answer
    each: list[Answer] = field(default_factory=list)

    def as_json(self, lang: str) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "code": self.code,
            "product": self.product,
            "home": self.home,
            "answer": self.answer.as_json(lang),
            "connections": [one.as_json(lang) for one in self.each],
        }


async def why(
    conn: Connection, subject: Subject, registry: Registry, channels: Mapping[str, Channel], raw: str
) -> Why:
    """Why a code was not, or not yet, uploaded by the own organisation; or that it was, when, and their reference."""
    subject.require(READ)
    read = parse(raw, registry.customs)
    if isinstance(read, NotACode):
        return Why(raw[:100], "", "", _a("why_not_a_code", {"code": raw[:60]}))
    found = registry.resolve(read)
    product = registry.product(found.drug_id) if found.drug_id is not None else None
    name = product.generic_name if product is not None else ""
    home = found.system.name if found.system is not None else ""

    def said(answer: Answer, each: list[Answer] | None = None) -> Why:
        return Why(read.text, name, home, answer, each or [])

    whose = _with_places(registry, subject)
    around = [read.text]
    bills: list[Record] = []
    if found.drug_id is not None:
        around = [r["code"] for r in await conn.fetch(store_bills.AROUND, found.drug_id, read.text)] or around
        bills = await conn.fetch(store_bills.MOVED_BY, found.drug_id, around, whose)
    if not bills:
        refused = await conn.fetchrow(store_bills.REFUSED_BY, read.text, whose)
        if refused is None:
            return said(_a("why_not_scanned", {"code": read.text}))
        verdict = message(refused["verdict"]).text(subject.lang, refused["params"])
        params = {"bill_no": refused["bill_no"], "verdict": verdict}
        return said(_a("why_refused", params, bill=refused["id"]))
    # activation and packing say nothing of a bill that was made void after them
    moved = [b for b in bills if bill_types()[b["type"]].kind != "internal"]
    bills = moved or bills
    in_force = next((b for b in bills if b["status"] == "A"), None)
    last = in_force or bills[0]
    links = await listed(conn, subject)
    mine = [c for c in links if c.state != "ended"]
    # the code, and the packages by which it moved
    codes = {*around, *(b["code"] for b in bills)}
    each = [await _through(conn, subject, link, last, codes, channels) for link in mine]
    if not any(a.finding.code in UPLOADED for a in each):
        # what went out while a connection was in force is uploaded, whatever became of the connection
        past = [await _through(conn, subject, c, last, codes, channels) for c in links if c.state == "ended"]
        each += [a for a in past if a.finding.code in UPLOADED]
    if in_force is None and not any(a.delivery for a in each):
        return said(_a("why_void", {"bill_no": last["bill_no"]}, bill=last["id"]))
    if not each:
        return said(_a("why_no_connection", {"bill_no": last["bill_no"]}, bill=last["id"]))
    # what stands first in the order of checks explains; where something was owed, that counts before what was not
    asked = [a for a in each if a.finding.code not in ("why_not_owed", "why_not_asked", "why_exempt")] or each
    return said(min(asked, key=lambda a: ORDER.index(a.finding.code)), each)


def _with_places(registry: Registry, subject: Subject) -> list[int] | None:
    """Whose bills count as its own: the organisation's and its places'; None: the operator sees all."""
    own = owner_of(subject)
    if own == PLATFORM:
        return None
    return [own, *(c.id for c in registry.orgs() if c.place and c.parent_id == own)]


def _china(at: datetime) -> str:
    """A moment as people here read it."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"


def _a(code: str, params: Mapping[str, Any], **more: Any) -> Answer:
    return Answer(Finding(code, dict(params)), **more)


async def _through(
    conn: Connection,
    subject: Subject,
    link: Known,
    bill: Record,
    codes: set[str],
    channels: Mapping[str, Channel],
) -> Answer:
    """What holds for one connection and the latest bill in force."""
    base = {"bill_no": bill["bill_no"], "title": link.title}
    at = {"bill": bill["id"], "connection": link.id, "title": link.title}
    rows = await conn.fetch(
        store_bills.LISTED, owner_of(subject), link.id, None, bill["id"], None, False, None, 50
    )
    if not rows:
        channel = channels.get(link.channel)
        if channel is not None and channel.stands is not None:
            stood = await channel.stands(conn, link.id, bill["id"])
            if link.state == "held" and stood.state in ("pending", "failed"):
                return _a("why_link_held", base, **at)
            if stood.state != "none":
                return _stood(stood, base, at)
        return await _unsent(conn, subject, link, bill, codes, base, at)
    decided = next(
        (
            d
            for d in await conn.fetch(store_bills.DECISIONS, bill["id"], owner_of(subject))
            if d["connection_id"] == link.id
        ),
        None,
    )
    left = _left_out(decided, codes)
    if left:
        return _not_owed(left, base, at, subject.lang)
    row = min(rows, key=lambda r: ORDER.index(_state_answer(r, codes)))
    params = {
        **base, "answer": row["answer"][:300] or "—", "remote": row["remote"] or "—", "note": row["note"] or "—",
        "at": _china(row["settled_at"]) if row["settled_at"] else "—", "attempts": row["attempts"],
    }  # fmt: skip
    return _a(_state_answer(row, codes), params, **at, delivery=row["id"])


def _left_out(decided: Record | None, codes: set[str]) -> str:
    for reason, out in ((decided["left_out"] or {}) if decided is not None else {}).items():
        if codes & set(out):
            return str(reason)
    return ""


def _not_owed(reason: str, base: Mapping[str, Any], at: Mapping[str, Any], lang: str) -> Answer:
    if reason == "route_exempt":
        return _a("why_exempt", base, **at)
    return _a("why_not_owed", {**base, "reason": message(reason).text(lang, base)}, **at)


def _stood(found: Standing, base: Mapping[str, Any], at: Mapping[str, Any]) -> Answer:
    """What holds in a channel's own stream."""
    params = {
        **base, "answer": found.answer or "—", "remote": found.remote or "—", "attempts": "—",
        "at": _china(found.at) if found.at else "—",
    }  # fmt: skip
    code = {"pending": "why_pending", "failed": "why_failed", "done": "why_done"}[found.state]
    return _a(code, params, **at)


async def _unsent(
    conn: Connection,
    subject: Subject,
    link: Known,
    bill: Record,
    codes: set[str],
    base: Mapping[str, Any],
    at: Mapping[str, Any],
) -> Answer:
    if await conn.fetchval(store_bills.DUE, bill["id"]) is not None:
        return _a("why_due", base, **at)
    for row in await conn.fetch(store_bills.UNROUTED, bill["id"], owner_of(subject)):
        if row["connection_id"] == link.id:
            if row["error"] == "connection_secret_unreadable":
                return _a("why_no_credentials", base, **at)
            return _a("why_unbuilt", {**base, "error": row["error"] or "—"}, **at)
    for row in await conn.fetch(store_bills.DECISIONS, bill["id"], owner_of(subject)):
        if row["connection_id"] == link.id:
            reason = _left_out(row, codes) or row["reason"] or "route_nothing_built"
            return _not_owed(reason, base, at, subject.lang)
    if bill_types()[bill["type"]].kind == "internal":
        return _not_owed("route_no_movement", base, at, subject.lang)
    filled = await backfill.of(conn, link.id)
    if filled is not None and filled.awaits(bill["id"], bill["recorded_at"]):
        return _a("why_backfill", base, **at)
    return _a("why_not_asked", {**base, "since": _china(link.since)}, **at)


def _state_answer(row: Record, codes: set[str]) -> str:
    advice = deliveries.advice(row)
    if advice == "delivery_partly":
        skipped = (row["details"] or {}).get("codes") or {}
        return "why_partly" if not skipped or codes & set(skipped) else "why_done"
    if advice == "delivery_doubted":
        return "why_doubted" if codes & set(deliveries.doubted(row["details"])) else "why_done"
    return {
        "delivery_processed": "why_done", "delivery_given_up": "why_given_up", "delivery_held": "why_held",
        "delivery_refused": "why_rejected", "delivery_link_held": "why_link_held", "delivery_waits": "why_waits",
        "delivery_at_rest": "why_at_rest", "delivery_pending": "why_pending", "delivery_failed": "why_failed",
        "delivery_unknown": "why_unknown", "delivery_sent": "why_sent", "delivery_accepted": "why_sent",
    }[advice]  # fmt: skip
