"""Pages of self-check tables, controlled documents and clues."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.papers.model import Heading
from yaosu.quality import clues, documents, selfcheck, views
from yaosu.quality.answers import Before, FileFormat, RecordId, download
from yaosu.quality.documents import CONTENT_MAX, Head
from yaosu.quality.pages_common import PAGE, Asked, Day, Short, Text, Word, day_of, own, show
from yaosu.registry.forms import Form as Fields
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
Content = Annotated[str, Form(max_length=CONTENT_MAX, pattern=r"^[^\x00]*$")]
Lines = Annotated[str, Form(max_length=20_000, pattern=r"^[^\x00]*$")]

# ---- self-check tables


@router.get("/quality/self-checks")
async def list_tables(
    request: Request, conn: Conn, subject: CurrentSubject, before: Before = None
) -> Response:
    """Tables; a regulator sees those filed in its region."""
    rows = await selfcheck.listed(conn, subject, before, limit=PAGE)
    context = {"tables": [dict(row) for row in rows], "next": rows[-1]["id"] if len(rows) == PAGE else None}
    return show(request, subject, "selfchecks.html", context)


@router.post("/quality/self-checks")
async def begin_table(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Begin a table."""
    return see_other(f"/quality/self-checks/{await selfcheck.begin(conn, registry_of(request), subject)}")


async def _table(
    request: Request, conn: Connection, subject: Subject, number: int, error: YaosuError | None = None
) -> Response:
    head, rows = await selfcheck.get(conn, subject, number)
    table = views.table(head, rows, language(request))
    mine = head["org"] == subject.org_id
    return show(request, subject, "selfcheck.html", {"table": table, "mine": mine}, error)


@router.get("/quality/self-checks/{table_id}")
async def show_table(request: Request, table_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One table with its evidence."""
    return await _table(request, conn, subject, table_id)


@router.post("/quality/self-checks/{table_id}")
async def work_table(request: Request, table_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """Save, sign or file."""
    form = await Fields.of(request)
    act = form.text("act")
    try:
        if act == "file":
            await selfcheck.file(conn, registry_of(request), subject, table_id)
        else:
            if subject.can("quality.manage") and form.text("items"):
                answers = _answers(form)
                checked_on = day_of(form.text("checked_on"), "checked_on")
                who = form.text("filler")[:50], form.text("contact")[:100]
                await selfcheck.fill(conn, subject, table_id, answers, checked_on, *who)
            if act == "sign":
                await selfcheck.sign(conn, subject, table_id, form.text("name"))
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _table(request, conn, subject, table_id, error)
    return see_other(f"/quality/self-checks/{table_id}")


def _answers(form: Fields) -> dict[str, tuple[str, date | None, str]]:
    codes = [code for code in form.text("items").split(",") if code]
    return {
        code: (form.text(f"a-{code}"), day_of(form.text(f"d-{code}"), f"d-{code}"), form.text(f"r-{code}"))
        for code in codes[:50]
    }


@router.get("/quality/self-checks/{table_id}/file")
async def table_file(
    table_id: RecordId, conn: Conn, subject: CurrentSubject, format: FileFormat = "pdf"
) -> Response:
    """The table as a file."""
    head, rows = await selfcheck.get(conn, subject, table_id)
    return await download(selfcheck.paper(head, rows), format, f"自查自纠对照表-{table_id}")


# ---- controlled documents


async def _documents(
    request: Request, conn: Connection, subject: Subject, error: YaosuError | None = None
) -> Response:
    registry, lang = registry_of(request), language(request)
    card = registry.org(subject.org_id or 0)
    rows = await documents.listed(conn, subject)
    kinds = registry.lists.get("quality_document_kind")
    context = {
        "documents": [views.document_head(row) for row in rows],
        "kinds": [(item.code, item.zh if lang == "zh" else item.en) for item in kinds],
        "kind_name": lambda code: registry.lists.text("quality_document_kind", code, lang),
        "templates": list((documents.TEMPLATES if lang == "zh" else documents.TEMPLATES_EN).items()),
        "template": documents.template_for(card.type, card.sub_type) if card is not None else "trade",
    }
    return show(request, subject, "documents.html", context, error)


@router.get("/quality/documents")
async def list_documents(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Controlled documents."""
    return await _documents(request, conn, subject)


@router.post("/quality/documents")
async def create_document(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    kind: Word = "",
    number: Short = "",
    title: Short = "",
    department: Short = "",
    responsible: Short = "",
    template: Word = "",
) -> Response:
    """A new document from a template."""
    try:
        content = documents.template(template) if template else f"# 一、目的\n{title.strip()}"
        head = Head(kind, number[:64], title[:100], department[:100], responsible[:100])
        made = await documents.create(conn, registry_of(request), subject, head, content)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _documents(request, conn, subject, error)
    return see_other(f"/quality/documents/{made}")


async def _document(
    request: Request,
    conn: Connection,
    subject: Subject,
    number: int,
    error: YaosuError | None = None,
    version: int | None = None,
) -> Response:
    head, versions, states = await documents.get(conn, subject, number)
    wanted = next((v for v in versions if v["version"] == version), None) or versions[0]
    mine = head["org"] == subject.org_id
    approved = next((v for v in versions if v["approved_at"] is not None), None)
    people = await documents.trained(conn, subject, head["org"], approved["id"]) if approved and mine else []
    read = any(p["id"] == subject.account_id and p["at"] is not None for p in people)
    context = {
        "document": dict(head),
        "versions": [dict(v) for v in versions],
        "shown": dict(wanted),
        "states": states,
        "blocks": [
            (b.level if isinstance(b, Heading) else 0, b.text) for b in documents.blocks(wanted["content"])
        ],
        "people": people,
        "approved": approved["version"] if approved else None,
        "may_read": mine and approved is not None and not read and subject.account_id is not None,
        "mine": mine,
        "today": documents.today(),
        "me": subject.account_id,
    }
    return show(request, subject, "document.html", context, error)


@router.get("/quality/documents/{document_id}")
async def show_document(
    request: Request,
    document_id: RecordId,
    conn: Conn,
    subject: CurrentSubject,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """One document, its versions and who has read it."""
    return await _document(request, conn, subject, document_id, version=version)


@router.post("/quality/documents/{document_id}")
async def work_document(
    request: Request,
    document_id: RecordId,
    conn: Conn,
    subject: CurrentSubject,
    act: Word = "",
    content: Content = "",
    change_note: Short = "",
    in_qms: Word = "",
    effective_on: Day = "",
) -> Response:
    """Save, revise, approve or acknowledge."""
    try:
        if act == "save":
            await documents.save(conn, subject, document_id, content, change_note, in_qms == "1")
        elif act == "revise":
            await documents.revise(conn, subject, document_id, change_note)
        elif act == "approve":
            day = day_of(effective_on, "effective_on") or documents.today()
            await documents.approve(conn, subject, document_id, day)
        elif act == "read":
            await documents.acknowledge(conn, subject, document_id)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _document(request, conn, subject, document_id, error)
    return see_other(f"/quality/documents/{document_id}")


@router.get("/quality/documents/{document_id}/file")
async def document_file(
    document_id: RecordId,
    conn: Conn,
    subject: CurrentSubject,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    format: Literal["pdf", "docx"] = "pdf",
) -> Response:
    """A version as a file."""
    head, versions, states = await documents.get(conn, subject, document_id)
    wanted = next((v for v in versions if version is None or v["version"] == version), None)
    if wanted is None:
        raise YaosuError("not_found", {"what": str(version)})
    paper = documents.paper(head, wanted, states[wanted["version"]])
    return await download(paper, format, f"{head['number']}-V{wanted['version']}")


# ---- clues


async def _clues(
    request: Request,
    conn: Connection,
    subject: Subject,
    state: str = "",
    before: int | None = None,
    error: YaosuError | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    rows = await clues.listed(conn, subject, state or None, before, PAGE)
    context = {
        "clues": [views.clue_head(registry, row, lang) for row in rows],
        "next": rows[-1]["id"] if len(rows) == PAGE else None,
        "state": state,
        "kinds": [
            (item.code, item.zh if lang == "zh" else item.en)
            for item in registry.lists.get("quality_clue_kind")
        ],
        "given": given or {"kind": "", "title": "", "text": "", "codes": "", "bills": ""},
        "may_send": own(subject) and subject.can("quality.manage"),
    }
    return show(request, subject, "clues.html", context, error)


@router.get("/quality/clues")
async def list_clues(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Asked = "",
    before: Before = None,
    code: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """Clues, and a form for a new one; `code` is put into it."""
    given = {"kind": "", "title": "", "text": "", "codes": code, "bills": ""}
    return await _clues(request, conn, subject, state, before, given=given)


@router.post("/quality/clues")
async def send_clue(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    kind: Word = "",
    title: Short = "",
    text: Text = "",
    codes: Lines = "",
    bills: Annotated[str, Form(max_length=4_000, pattern=r"^[\d\s]*$")] = "",
) -> Response:
    """Report a clue."""
    try:
        numbers = [int(n) for n in bills.split() if len(n) <= 18]
        made = await clues.send(
            conn, registry_of(request), subject, kind, title, text, codes.split("\n"), numbers
        )
    except YaosuError as error:
        if error.http == 403:
            raise
        given = {"kind": kind, "title": title, "text": text, "codes": codes, "bills": bills}
        return await _clues(request, conn, subject, error=error, given=given)
    return see_other(f"/quality/clues/{made}")


async def _clue(
    request: Request, conn: Connection, subject: Subject, number: int, error: YaosuError | None = None
) -> Response:
    row = await clues.get(conn, subject, number)
    context = {
        "clue": views.clue(registry_of(request), row, language(request)),
        "sound": clues.digest(row["evidence"]) == row["evidence_hash"],
        "may_handle": subject.can("clue.handle") and visible(subject).kind == "regulator",
    }
    return show(request, subject, "clue.html", context, error)


@router.get("/quality/clues/{clue_id}")
async def show_clue(request: Request, clue_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One clue with its evidence."""
    return await _clue(request, conn, subject, clue_id)


@router.post("/quality/clues/{clue_id}")
async def work_clue(
    request: Request, clue_id: RecordId, conn: Conn, subject: CurrentSubject, act: Word = "", text: Text = ""
) -> Response:
    """Take note, or answer."""
    try:
        if act == "note":
            await clues.note(conn, subject, clue_id)
        else:
            await clues.answer(conn, subject, clue_id, text)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _clue(request, conn, subject, clue_id, error)
    return see_other(f"/quality/clues/{clue_id}")
