"""自查自纠对照表 (R-E5): filled by hand beside computed evidence, signed, exported, filed with the regulator.

Until it is signed, evidence is computed each time it is shown. Signing keeps it as it was, with a hash of everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson
from asyncpg import Record

from yaosu import yamls
from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell
from yaosu.papers.model import Heading, PageBreak, Paper, Table, Text
from yaosu.people import free_text
from yaosu.quality import evidence, regulators
from yaosu.quality import store_selfcheck as store
from yaosu.quality.checks import CHINA
from yaosu.quality.refusals import missing
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

ANSWERS = ("yes", "no", "na")
ADDED = "（平台补充）"
REMARK_MAX = 500


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a table."""

    code: str
    text: str
    evidence: list[str]
    added: bool
    """Not in the notice: added by the platform."""

    @property
    def printed(self) -> str:
        """The text as it stands on paper."""
        return self.text + (ADDED if self.added else "")


@dataclass(frozen=True, slots=True)
class Form:
    """One table: its title and lines."""

    kind: str
    title: str
    title_en: str
    source: str
    types: frozenset[int]
    items: tuple[Item, ...]


@dataclass(slots=True)
class Row:
    """One line as filled in, with its evidence as JSON."""

    item: Item
    n: int
    answer: str
    done_on: date | None
    remark: str
    evidence: list[dict[str, Any]]


@cache
def forms() -> dict[str, Form]:
    """The tables of the package by kind."""
    text = (resources.files("yaosu.quality") / "selfcheck.yaml").read_text("utf-8")
    found = {}
    for kind, one in yamls.read(text).items():
        items = tuple(
            Item(i["code"], i["zh"], list(i["evidence"]), bool(i.get("added"))) for i in one["items"]
        )
        found[kind] = Form(kind, one["zh"], one["en"], one["source"], frozenset(one["types"]), items)
    return found


def form_for(org_type: int) -> Form:
    """The table of a type of organisation. Refused: `quality_table_unknown`."""
    for form in forms().values():
        if org_type in form.types:
            return form
    raise YaosuError("quality_table_unknown")


async def begin(conn: Connection, registry: Registry, subject: Subject) -> int:
    """A new empty table of the own organisation, dated today; its number."""
    subject.require("quality.manage")
    card = registry.org(subject.org)
    form = form_for(card.type if card is not None else 0)
    org = await conn.fetchrow(store.ORG, subject.org)
    assert org is not None
    today = datetime.now(UTC).astimezone(CHINA).date()
    number: int = await conn.fetchval(
        store.ADD, subject.org, form.kind, today, org["name"], org["address"], org["contact_phone"],
        org["contact_name"], subject.account_id,
    )  # fmt: skip
    await conn.executemany(store.ADD_ITEM, [(number, item.code, n) for n, item in enumerate(form.items, 1)])
    return number


async def _draft(conn: Connection, subject: Subject, number: int, state: str = "draft") -> Record:
    found = await conn.fetchrow(store.LOCK, number, subject.org)
    if found is None:
        raise missing(subject, "自查表", "Self-check table")
    if found["state"] != state:
        raise YaosuError("quality_table_signed" if state == "draft" else "quality_table_not_signed")
    return found


async def fill(
    conn: Connection,
    subject: Subject,
    number: int,
    answers: Mapping[str, tuple[str, date | None, str]],
    checked_on: date | None = None,
    filler: str = "",
    contact: str = "",
) -> None:
    """Keep answers by item: (yes, no, na or empty; completion date; remark), and the head.

    Refused: `quality_table_signed`, `quality_item_unknown`, `not_found`.
    """
    subject.require("quality.manage")
    await _draft(conn, subject, number)
    free_text.refuse(filler=filler, contact=contact, **{c: r for c, (_, _, r) in answers.items()})
    for code, (answer, done_on, remark) in answers.items():
        known = answer in ("", *ANSWERS)
        if not known or not await conn.fetchval(
            store.SET_ITEM, number, code, answer, done_on, remark.strip()[:REMARK_MAX]
        ):
            raise YaosuError("quality_item_unknown", {"item": code[:20]})
    head = await store.one(conn, visible(subject), number)
    assert head is not None
    await conn.execute(
        store.SET_HEAD,
        number,
        checked_on or head["checked_on"],
        filler.strip() or head["filler"],
        contact.strip() or head["contact"],
    )


async def get(conn: Connection, subject: Subject, number: int) -> tuple[Record, list[Row]]:
    """A table with its lines; evidence as signed, else as of now. Refused: `not_found`."""
    subject.require("quality.read")
    sight = visible(subject)
    head = await store.one(conn, sight, number)
    if head is None:
        raise missing(subject, "自查表", "Self-check table")
    await record_read(conn, subject, f"self-check {number}", head["org"])
    return head, await _rows(conn, head)


async def _rows(conn: Connection, head: Record) -> list[Row]:
    items = {item.code: item for item in forms()[head["kind"]].items}
    now = datetime.now(UTC)
    found = []
    for r in await conn.fetch(store.ITEMS, head["id"]):
        item = items[r["code"]]
        kept = r["evidence"]
        if kept is None:
            made = await evidence.gather(conn, head["org"], item.evidence, now)
            kept = [one.as_json() for one in made]
        found.append(Row(item, r["n"], r["answer"], r["done_on"], r["remark"], kept))
    return found


def incomplete(head: Record, rows: list[Row]) -> list[str]:
    """Codes of lines (or names of head fields) that are still to be filled in."""
    off = [
        row.item.code
        for row in rows
        if not row.answer
        or (row.answer == "yes" and row.done_on is None)
        or (row.answer != "yes" and not row.remark)
    ]
    return off + [name for name in ("filler", "contact") if not head[name]]


async def sign(conn: Connection, subject: Subject, number: int, name: str) -> str:
    """Sign as the responsible person by typing the name; the hash of what was signed.

    Refused: `quality_table_incomplete`, `quality_sign_name`, `quality_table_signed`, `not_found`, and `forbidden`
    for programs: a key is nobody who answers for a table.
    """
    subject.require("quality.approve")
    if subject.kind == "key":
        raise YaosuError("forbidden", {"scope": "account"})
    await _draft(conn, subject, number)
    if not name.strip():
        raise YaosuError("quality_sign_name")
    free_text.refuse(name=name)
    head, rows = await get(conn, subject, number)
    off = incomplete(head, rows)
    if off:
        raise YaosuError("quality_table_incomplete", {"count": len(off)})
    for row in rows:
        await conn.execute(store.KEEP_EVIDENCE, number, row.item.code, row.evidence)
    at = datetime.now(UTC).replace(microsecond=0)
    made = content_hash(head, rows, name.strip()[:50], at, subject.account_id)
    await conn.execute(store.SIGN, number, subject.account_id, name.strip()[:50], at, made)
    await audit.record(conn, subject, "quality.sign", ("quality_selfcheck", number), {"hash": made})
    return made


def content_hash(head: Record, rows: list[Row], name: str, at: datetime, account: int | None) -> str:
    """SHA-256 over head, answers, evidence and signature as canonical JSON: any change shows."""
    content = {
        "kind": head["kind"],
        "org": head["org"],
        "firm": head["firm"],
        "address": head["address"],
        "checked_on": head["checked_on"],
        "filler": head["filler"],
        "contact": head["contact"],
        "items": [
            [
                r.item.code,
                r.item.printed,
                r.answer,
                r.done_on.isoformat() if r.done_on else None,
                r.remark,
                r.evidence,
            ]
            for r in rows
        ],
        "signed_by": account,
        "signed_name": name,
        "signed_at": at.astimezone(UTC),
    }
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)).hexdigest()


def intact(head: Record, rows: list[Row]) -> bool:
    """Whether a signed table is still what was signed."""
    made = content_hash(head, rows, head["signed_name"], head["signed_at"], head["signed_by"])
    return bool(made == head["content_hash"])


async def file(conn: Connection, registry: Registry, subject: Subject, number: int) -> int | None:
    """Send a signed table to the regulator of the region; its organisation, or None when none has joined yet.

    Refused: `quality_table_not_signed`, `not_found`.
    """
    subject.require("quality.manage")
    await _draft(conn, subject, number, "signed")
    card = registry.org(subject.org)
    regulator = await regulators.of_region(conn, card.region if card is not None else "")
    await conn.execute(store.FILE, number, subject.account_id, regulator)
    await audit.record(conn, subject, "quality.file", ("quality_selfcheck", number))
    if regulator is not None and card is not None:
        today = datetime.now(UTC).astimezone(CHINA).date().isoformat()
        params = {"org": card.name, "date": today}
        await tell(
            conn, regulator, "notice_quality_filed", params, f"/quality/self-checks/{number}", str(number)
        )
    return regulator


async def listed(
    conn: Connection, subject: Subject, before: int | None = None, org: int | None = None, limit: int = 50
) -> list[Record]:
    """Tables, newest first: own ones; for an office those filed in its region."""
    subject.require("quality.read")
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "self-checks", org)
    return await store.many(conn, sight, before or 2**62, org, limit)


_SAID = {"yes": "是", "no": "否", "na": "不适用", "": ""}


def paper(head: Record, rows: list[Row]) -> Paper:
    """The table in the notice's layout; the evidence follows as an annex."""
    form = forms()[head["kind"]]
    lines = [
        [str(r.n), r.item.printed, _SAID[r.answer], r.done_on.isoformat() if r.done_on else "", r.remark]
        for r in rows
    ]
    signed = ""
    if head["signed_at"] is not None:
        signed = (
            f"电子签署：{head['signed_name']}，{head['signed_at'].astimezone(CHINA):%Y-%m-%d %H:%M}，"
            f"内容摘要 SHA-256 {head['content_hash']}"
        )
    annex = [
        [str(r.n), "\n".join(evidence.text_of(one, "zh") for one in r.evidence)] for r in rows if r.evidence
    ]
    leader = head["signed_name"] or "　　　　　　"
    day: date = head["checked_on"]
    facts = [
        ("企业名称（盖章）", head["firm"]),
        ("自查日期", f"{day.year}年{day.month}月{day.day}日"),
        ("企业地址", head["address"]),
    ]
    columns = ["序号", "自查内容", "是否已完成", "整改完毕日期", "备注"]
    foot = f"填报人：{head['filler']}　　　联系方式：{head['contact']}　　　企业负责人签字：{leader}"
    return Paper(
        title=form.title,
        facts=facts,
        blocks=[
            Table(columns, lines, widths=[6, 46, 12, 15, 21]),
            Text(foot),
            *([Text(signed)] if signed else []),
            PageBreak(),
            Heading("附：平台证据（由系统计算，非企业填写）", 2),
            Table(["序号", "证据"], annex, widths=[8, 92]),
        ],
        footer=f"自查表 {head['id']}",
    )
