"""受控文件 (R-E1): written, approved by a second person, in force from a day, acknowledged, never changed after.

States follow from dates: draft (not approved), approved (takes effect later), in_force, superseded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell
from yaosu.papers.model import Block, Heading, Paper, Signatures, Text
from yaosu.people import free_text
from yaosu.quality import store_documents as store
from yaosu.quality.checks import CHINA
from yaosu.quality.refusals import missing
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

CONTENT_MAX = 100_000
TEMPLATES = {
    "maker": "持有人、生产企业",
    "trade": "批发企业、零售连锁总部",
    "pharmacy": "零售药店",
    "hospital": "医疗机构",
}
TEMPLATES_EN = {
    "maker": "Holders and manufacturers",
    "trade": "Wholesalers and chain headquarters",
    "pharmacy": "Retail pharmacies",
    "hospital": "Hospitals and clinics",
}
_FOR_TYPE = {1: "maker", 7: "maker", 3: "hospital", 4: "pharmacy"}


def today() -> date:
    """The day in China."""
    return datetime.now(UTC).astimezone(CHINA).date()


@cache
def template(name: str) -> str:
    """A text to start from. Refused: `quality_template_unknown`."""
    if name not in TEMPLATES:
        raise YaosuError("quality_template_unknown", {"template": name[:40]})
    return (resources.files("yaosu.quality") / "templates" / f"{name}.md").read_text("utf-8")


def template_for(org_type: int, sub_type: int | None) -> str:
    """Name of the template that fits a type of organisation; 41 is a chain's headquarters."""
    return "trade" if sub_type == 41 else _FOR_TYPE.get(org_type, "trade")


def blocks(content: str) -> list[Heading | Text]:
    """A text in headings and paragraphs: a line that begins with one to three # is a heading, an empty line ends a
    paragraph. Nothing else in it is markup."""
    found: list[Heading | Text] = []
    lines: list[str] = []

    def close() -> None:
        if lines:
            found.append(Text("\n".join(lines)))
            lines.clear()

    for raw in content.replace("\r\n", "\n").split("\n"):
        line = raw.strip()
        marks = len(line) - len(line.lstrip("#"))
        if 1 <= marks <= 3 and line[marks:].strip():
            close()
            found.append(Heading(line[marks:].strip(), marks))
        elif not line:
            close()
        else:
            lines.append(line)
    close()
    return found


@dataclass(frozen=True, slots=True)
class Head:
    """What a document is called and who keeps it."""

    kind: str
    number: str
    title: str
    department: str = ""
    responsible: str = ""


def states(versions: list[Record], day: date) -> dict[int, str]:
    """State of each version by its number."""
    approved = [v for v in versions if v["approved_at"] is not None]
    current = max((v["version"] for v in approved if v["effective_on"] <= day), default=0)
    found = {}
    for v in versions:
        if v["approved_at"] is None:
            found[v["version"]] = "draft"
        elif v["version"] == current:
            found[v["version"]] = "in_force"
        else:
            found[v["version"]] = "superseded" if v["version"] < current else "approved"
    return found


def _account(subject: Subject) -> int:
    """The person who acts; documents are written and approved by people, not by keys."""
    if subject.account_id is None:
        raise YaosuError("forbidden", {"scope": "account"})
    return subject.account_id


def _checked(content: str, **texts: str) -> str:
    free_text.refuse(content=content, **texts)
    title = texts["title"]
    if not content.strip() or not title.strip():
        raise YaosuError("quality_document_empty")
    if len(content) > CONTENT_MAX:
        raise YaosuError("field_invalid", {"field": "content", "reason": f"≤ {CONTENT_MAX}"})
    return content.replace("\r\n", "\n").replace("\x00", "").strip() + "\n"


async def create(
    conn: Connection, registry: Registry, subject: Subject, head: Head, content: str, in_qms: bool = True
) -> int:
    """A new document with version 1 as a draft; its id.

    Refused: `quality_document_kind`, `quality_document_number`, `quality_document_empty`.
    """
    subject.require("quality.manage")
    writer = _account(subject)
    if registry.lists.item("quality_document_kind", head.kind) is None:
        raise YaosuError("quality_document_kind", {"kind": head.kind[:40]})
    text = _checked(
        content,
        title=head.title,
        number=head.number,
        department=head.department,
        responsible=head.responsible,
    )
    if not head.number.strip():
        raise YaosuError("quality_document_empty")
    values = (
        head.kind,
        head.number.strip(),
        head.title.strip(),
        head.department.strip(),
        head.responsible.strip(),
    )
    number: int | None = await conn.fetchval(store.ADD, subject.org, *values)
    if number is None:
        raise YaosuError("quality_document_number", {"number": head.number})
    await conn.fetchval(store.ADD_VERSION, number, 1, text, "", in_qms, writer)
    await audit.record(conn, subject, "quality.document", ("quality_document", number), {"version": 1})
    return number


async def _own(conn: Connection, subject: Subject, number: int) -> tuple[Record, list[Record], Record | None]:
    """The own document under lock, its versions, its draft."""
    head = await conn.fetchrow(store.LOCK, number, subject.org)
    if head is None:
        raise missing(subject, "受控文件", "Document")
    versions = await conn.fetch(store.VERSIONS, number)
    return head, versions, next((v for v in versions if v["approved_at"] is None), None)


async def save(
    conn: Connection, subject: Subject, number: int, content: str, change_note: str = "", in_qms: bool = True
) -> None:
    """Change the draft; whoever does has written part of it, and does not approve it.

    Refused: `quality_document_draft` when there is none, `quality_document_empty`, `not_found`.
    """
    subject.require("quality.manage")
    editor = _account(subject)
    head, _, draft = await _own(conn, subject, number)
    if draft is None:
        raise YaosuError("quality_document_draft")
    text = _checked(content, title=head["title"], change_note=change_note)
    await conn.execute(store.SAVE, draft["id"], text, change_note.strip()[:500], in_qms, editor)
    details = {"version": draft["version"]}
    await audit.record(conn, subject, "quality.document", ("quality_document", number), details)


async def revise(conn: Connection, subject: Subject, number: int, change_note: str = "") -> int:
    """A new draft that begins with the latest text; its version. Refused: `quality_document_draft`, `not_found`."""
    subject.require("quality.manage")
    _, versions, draft = await _own(conn, subject, number)
    if draft is not None:
        raise YaosuError("quality_document_draft")
    free_text.refuse(change_note=change_note)
    last = versions[0]
    version: int = last["version"] + 1
    values = (number, version, last["content"], change_note.strip()[:500], last["in_qms"], _account(subject))
    await conn.fetchval(store.ADD_VERSION, *values)
    return version


async def approve(conn: Connection, subject: Subject, number: int, effective_on: date) -> int:
    """Approve the draft as a second person; the version. The organisation is told, and everybody may acknowledge it.

    Refused: `quality_document_self`, `quality_document_date`, `quality_document_draft`, `not_found`.
    """
    subject.require("quality.approve")
    approver = _account(subject)
    head, versions, draft = await _own(conn, subject, number)
    if draft is None:
        raise YaosuError("quality_document_draft")
    if approver in {draft["created_by"], *draft["editors"]}:
        raise YaosuError("quality_document_self")
    last = max((v["effective_on"] for v in versions if v["effective_on"] is not None), default=date.min)
    if effective_on < max(today(), last):
        raise YaosuError("quality_document_date")
    made = hashlib.sha256(draft["content"].encode()).hexdigest()
    await conn.execute(store.APPROVE, draft["id"], approver, effective_on, made)
    details = {"version": draft["version"], "hash": made}
    await audit.record(conn, subject, "quality.approve", ("quality_document", number), details)
    params = {"title": head["title"], "version": draft["version"], "date": effective_on.isoformat()}
    link = f"/quality/documents/{number}"
    await tell(conn, subject.org, "notice_quality_document", params, link, f"{number}.{draft['version']}")
    version: int = draft["version"]
    return version


async def acknowledge(conn: Connection, subject: Subject, number: int) -> None:
    """The reader has studied the latest approved version (training record). Refused: `quality_not_in_force`."""
    subject.require("quality.read")
    who = _account(subject)
    _, versions, _ = await _own(conn, subject, number)
    approved = [v for v in versions if v["approved_at"] is not None]
    if not approved:
        raise YaosuError("quality_not_in_force")
    await conn.execute(store.TRAIN, approved[0]["id"], who, subject.name)


async def listed(conn: Connection, subject: Subject, org: int | None = None) -> list[Record]:
    """Documents; an office sees those in force."""
    subject.require("quality.read")
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "controlled documents", org)
    return await store.seen(conn, sight, store.MANY, today(), org, sight.kind == "regulator")


async def get(conn: Connection, subject: Subject, number: int) -> tuple[Record, list[Record], dict[int, str]]:
    """A document, its versions (newest first) and their states; an office sees no drafts. Refused: `not_found`."""
    subject.require("quality.read")
    sight = visible(subject)
    head = await store.seen_one(conn, sight, store.ONE, number)
    if head is None:
        raise missing(subject, "受控文件", "Document")
    versions = await conn.fetch(store.VERSIONS, number)
    if sight.kind == "regulator":
        versions = [v for v in versions if v["approved_at"] is not None]
        if not versions:
            raise missing(subject, "受控文件", "Document")
    await record_read(conn, subject, f"document {number}", head["org"])
    return head, versions, states(versions, today())


async def trained(conn: Connection, subject: Subject, org: int, version_id: int) -> list[Record]:
    """Active accounts of the organisation, and when each acknowledged the version."""
    subject.require("quality.read")
    return await conn.fetch(store.TRAINED, org, version_id)


_STATE = {"draft": "草稿", "approved": "已批准待施行", "in_force": "现行", "superseded": "已废止"}


def paper(head: Record, version: Record, state: str) -> Paper:
    """A version on paper."""
    effective: date | None = version["effective_on"]
    facts = [
        ("文件编号", head["number"]),
        ("版本", f"第 {version['version']} 版（{_STATE[state]}）"),
        ("责任部门", head["department"]),
        ("责任人", head["responsible"]),
        ("编制", f"{version['writer'] or ''} {version['created_at'].astimezone(CHINA):%Y-%m-%d}"),
        (
            "批准",
            f"{version['approver'] or ''} {version['approved_at'].astimezone(CHINA):%Y-%m-%d}"
            if version["approved_at"]
            else "未批准",
        ),
        ("施行日期", effective.isoformat() if effective else "—"),
        ("修订说明", version["change_note"] or "—"),
    ]
    body: list[Block] = list(blocks(version["content"]))
    return Paper(
        title=head["title"],
        subtitle=head["org_name"],
        number=head["number"],
        facts=facts,
        blocks=[*body, Signatures(["编制人", "批准人"])],
        footer=f"{head['number']} 第 {version['version']} 版"
        + (f"　SHA-256 {version['content_hash'][:16]}" if version["content_hash"] else ""),
    )
