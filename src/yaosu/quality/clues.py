"""线索报告 (R-E6): a firm reports what looks illegal, with trace evidence frozen then; the regulator answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell
from yaosu.people import free_text
from yaosu.quality import regulators, store_balance
from yaosu.quality import store_documents as store
from yaosu.quality.refusals import missing
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace import service as trace

ATTACHED_MAX = 100
"""Codes, and bills, that one clue takes along."""
TEXT_MAX = 4_000
STATES = ("sent", "noted", "answered")


async def send(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    kind: str,
    title: str,
    text: str,
    codes: Sequence[str] = (),
    bills: Sequence[int] = (),
) -> int:
    """Report a clue to the regulator of the own region, with what the reporter may see of codes and bills; its number.

    Refused: `quality_clue_kind`, `quality_clue_empty`, `quality_clue_too_many`, `quality_clue_bill`.
    """
    subject.require("quality.manage")
    if registry.lists.item("quality_clue_kind", kind) is None:
        raise YaosuError("quality_clue_kind", {"kind": kind[:40]})
    if not title.strip() or not text.strip():
        raise YaosuError("quality_clue_empty")
    free_text.refuse(title=title, text=text, codes=" | ".join(codes))
    wanted = list(dict.fromkeys(c.strip() for c in codes if c.strip()))
    numbers = list(dict.fromkeys(bills))
    if len(wanted) > ATTACHED_MAX or len(numbers) > ATTACHED_MAX:
        raise YaosuError("quality_clue_too_many", {"limit": ATTACHED_MAX})
    evidence = await freeze(conn, registry, subject, wanted, numbers)
    card = registry.org(subject.org)
    regulator = await regulators.of_region(conn, card.region if card is not None else "")
    number: int = await conn.fetchval(
        store.ADD_CLUE,
        subject.org,
        kind,
        title.strip()[:200],
        text.strip()[:TEXT_MAX],
        wanted,
        numbers,
        evidence,
        digest(evidence),
        regulator,
        subject.account_id,
    )
    await audit.record(conn, subject, "quality.clue", ("quality_clue", number), {"kind": kind})
    if regulator is not None and card is not None:
        params = {"org": card.name, "title": title.strip()[:200]}
        await tell(conn, regulator, "notice_quality_clue", params, f"/quality/clues/{number}", str(number))
    return number


def digest(evidence: dict[str, Any]) -> str:
    """SHA-256 of the evidence as canonical JSON."""
    return hashlib.sha256(orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def freeze(
    conn: Connection, registry: Registry, subject: Subject, codes: Sequence[str], bills: Sequence[int]
) -> dict[str, Any]:
    """What the trace room says to the reporter now: verdict and history of each code, head of each bill."""
    told: list[Any] = []
    for code in codes:
        try:
            told.append(await trace.history(conn, registry, subject, code))
        except YaosuError as refused:
            # a code nobody knows is evidence too: kept with the reason why there is no history
            told.append({"code": code, "refused": refused.as_json("zh")})
    seen = await store_balance.bills(conn, visible(subject), list(bills))
    for number in bills:
        if number not in seen:
            raise YaosuError("quality_clue_bill", {"bill": number})
    heads = [
        {
            "id": number,
            "bill_no": seen[number]["bill_no"],
            "type": seen[number]["type"],
            "happened_at": seen[number]["happened_at"],
        }
        for number in bills
    ]
    content = {"frozen_at": datetime.now(UTC), "codes": told, "bills": heads}
    # through JSON once, so that what is hashed is what the database gives back
    frozen: dict[str, Any] = orjson.loads(orjson.dumps(content, default=str))
    return frozen


async def listed(
    conn: Connection, subject: Subject, state: str | None = None, before: int | None = None, limit: int = 50
) -> list[Record]:
    """Clues, newest first: own ones; for a regulator those of its region. Refused: `quality_state_unknown`."""
    subject.require("quality.read")
    if state is not None and state not in STATES:
        raise YaosuError("quality_state_unknown", {"state": state[:20]})
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "clues", None)
    return await store.seen(conn, sight, store.CLUES, before or 2**62, state, limit)


async def get(conn: Connection, subject: Subject, number: int) -> Record:
    """One clue with its evidence. Refused: `not_found`."""
    subject.require("quality.read")
    found = await store.seen_one(conn, visible(subject), store.CLUE, number)
    if found is None:
        raise missing(subject, "线索", "Clue")
    await record_read(conn, subject, f"clue {number}", found["org"])
    return found


async def note(conn: Connection, subject: Subject, number: int) -> None:
    """The regulator takes note. Refused: `not_found` outside its region."""
    subject.require("clue.handle")
    found = await get(conn, subject, number)
    await conn.execute(store.NOTE, number, subject.account_id)
    await _tell(conn, found, "notice_quality_clue_noted")
    await audit.record(conn, subject, "quality.clue_noted", ("quality_clue", number))


async def answer(conn: Connection, subject: Subject, number: int, text: str) -> None:
    """The regulator answers. Refused: `quality_answer_empty`, `quality_clue_state`, `not_found`."""
    subject.require("clue.handle")
    found = await get(conn, subject, number)
    if not text.strip():
        raise YaosuError("quality_answer_empty")
    free_text.refuse(text=text)
    if await conn.fetchval(store.ANSWER, number, text.strip()[:TEXT_MAX], subject.account_id) is None:
        raise YaosuError("quality_clue_state")
    await _tell(conn, found, "notice_quality_clue_answered")
    await audit.record(conn, subject, "quality.clue_answered", ("quality_clue", number))


async def _tell(conn: Connection, clue: Record, kind: str) -> None:
    params = {"title": clue["title"]}
    await tell(conn, clue["org"], kind, params, f"/quality/clues/{clue['id']}", str(clue["id"]))
