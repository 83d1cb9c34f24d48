"""Self-check tables, controlled documents and clues over the API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.quality import clues, documents, selfcheck, views
from yaosu.quality.answers import (
    Before,
    FileFormat,
    Limit,
    OrgId,
    RecordId,
    answer,
    answered,
    download,
    filed,
    page,
)
from yaosu.quality.documents import Head
from yaosu.quality.schemas import ApproveIn, ClueIn, DocumentIn, DraftIn, ReviseIn, SaidIn, SignIn, TableIn
from yaosu.registry.parts import registry_of

router = APIRouter()

_HEAD: dict[str, Any] = {
    "id": 3,
    "org_id": 3,
    "kind": "trade",
    "state": "draft",
    "checked_on": "2026-10-08",
    "firm": "示例医药批发有限公司",
    "address": "示例路1号",
    "filler": "王小明",
    "contact": "0991-5550100",
    "signed_name": "",
    "signed_at": None,
    "content_hash": "",
    "filed_at": None,
}
_TABLE = {
    **_HEAD,
    "title": "药品追溯体系建设评价自查自纠对照表（经营企业）",
    "intact": None,
    "incomplete": ["t2"],
    "items": [
        {
            "code": "t1",
            "n": 1,
            "text": "在采购药品时，是否向上游企业索取相关追溯信息",
            "added": False,
            "answer": "yes",
            "done_on": "2026-10-01",
            "remark": "",
            "evidence": [
                {"text": "近一年收货单 12 张，有上游出库信息的 12 张。", "href": "/bills", "known": True}
            ],
        }
    ],
}
_DOCUMENT = {
    "id": 2,
    "org_id": 3,
    "kind": "trace_system",
    "number": "QM-ZS-001",
    "title": "药品信息化追溯管理制度",
    "department": "质量管理部",
    "responsible": "质量负责人",
    "versions": [
        {
            "version": 1,
            "state": "in_force",
            "in_qms": True,
            "change_note": "",
            "writer": "王小明",
            "approver": "李建国",
            "approved_at": "2026-10-08T10:00:00+08:00",
            "effective_on": "2026-10-10",
            "content_hash": "9f…",
            "content": "# 第一章 总则\n…",
        }
    ],
}
_CLUE_HEAD = {
    "id": 6,
    "org": {"id": 3, "name": "示例大药房"},
    "kind": "resale",
    "kind_name": "疑似回流药品",
    "title": "顾客出售整箱医保药",
    "state": "sent",
    "sent_at": "2026-10-08T10:00:00+08:00",
    "noted_at": None,
    "answered_at": None,
}
_CLUE = {
    **_CLUE_HEAD,
    "text": "…",
    "codes": ["83857930000000011234"],
    "bills": [],
    "regulator": "示例市药品监督管理局",
    "evidence": {"frozen_at": "2026-10-08T02:00:00+00:00", "codes": [], "bills": []},
    "evidence_hash": "9f…",
    "answer": "",
}


async def _table(
    request: Request, conn: Conn, subject: CurrentSubject, number: int, status: int = 200
) -> Response:
    head, rows = await selfcheck.get(conn, subject, number)
    return answer(views.table(head, rows, language(request)), status)


@router.post(
    "/self-checks",
    status_code=201,
    summary="Begin a self-check table",
    description="The table of the own type of organisation (R-E5), each line with evidence computed now.",
    responses=answered(_TABLE, "quality_table_unknown", status=201),
)
async def begin_table(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """A new table."""
    number = await selfcheck.begin(conn, registry_of(request), subject)
    return await _table(request, conn, subject, number, 201)


@router.get(
    "/self-checks",
    summary="List self-check tables",
    description="Own ones; a regulator sees those filed in its region.",
    responses=answered({"items": [_HEAD], "next": None}),
)
async def list_tables(
    conn: Conn, subject: CurrentSubject, org_id: OrgId = None, before: Before = None, limit: Limit = 50
) -> Response:
    """Tables."""
    rows = await selfcheck.listed(conn, subject, before, org_id, limit)
    return page([views.table_head(row) for row in rows], limit)


@router.get(
    "/self-checks/{table_id}",
    summary="Show a self-check table",
    description="Lines, answers and evidence; once signed, the evidence of that moment, "
    "and whether all is as it was signed.",
    responses=answered(_TABLE, "not_found"),
)
async def show_table(request: Request, table_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One table."""
    return await _table(request, conn, subject, table_id)


@router.get(
    "/self-checks/{table_id}/file",
    summary="Download a self-check table",
    description="In the layout of the notice, with the evidence as an annex.",
    responses=filed(),
)
async def table_file(
    table_id: RecordId, conn: Conn, subject: CurrentSubject, format: FileFormat = "pdf"
) -> Response:
    """The table as a file."""
    head, rows = await selfcheck.get(conn, subject, table_id)
    return await download(selfcheck.paper(head, rows), format, f"自查自纠对照表-{table_id}")


@router.put(
    "/self-checks/{table_id}",
    summary="Fill in a self-check table",
    description="Answers by line; what is left out stays. A signed table does not change.",
    responses=answered(_TABLE, "not_found", "quality_table_signed", "quality_item_unknown"),
)
async def fill_table(
    request: Request, table_id: RecordId, body: TableIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Answers."""
    answers = {one.item: (one.answer, one.done_on, one.remark) for one in body.items}
    await selfcheck.fill(conn, subject, table_id, answers, body.checked_on, body.filler, body.contact)
    return await _table(request, conn, subject, table_id)


@router.post(
    "/self-checks/{table_id}/sign",
    summary="Sign a self-check table",
    description="By the responsible person, typing the name. Keeps the evidence and a SHA-256 of everything.",
    responses=answered(
        _TABLE, "not_found", "quality_table_signed", "quality_table_incomplete", "quality_sign_name"
    ),
)
async def sign_table(
    request: Request, table_id: RecordId, body: SignIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Sign."""
    await selfcheck.sign(conn, subject, table_id, body.name)
    return await _table(request, conn, subject, table_id)


@router.post(
    "/self-checks/{table_id}/file",
    summary="File a self-check table with the regulator",
    description="A signed table becomes visible to the regulators of the region, and the closest one is told.",
    responses=answered(_TABLE, "not_found", "quality_table_not_signed"),
)
async def file_table(request: Request, table_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """File."""
    await selfcheck.file(conn, registry_of(request), subject, table_id)
    return await _table(request, conn, subject, table_id)


@router.get(
    "/document-templates",
    summary="List templates of the trace management system",
    description="Chinese texts for makers, distributors and chains, pharmacies, hospitals (R-E1).",
    responses=answered(
        {
            "items": [{"name": "trade", "for": "批发企业、零售连锁总部", "content": "# 第一章 总则\n…"}],
            "next": None,
        }
    ),
)
async def list_templates(subject: CurrentSubject) -> Response:
    """Templates."""
    subject.require("quality.read")
    return answer({"items": views.templates(), "next": None})


@router.post(
    "/documents",
    status_code=201,
    summary="Write a controlled document",
    description="Version 1 as a draft, from `content` or from a template.",
    responses=answered(
        _DOCUMENT,
        "quality_document_kind",
        "quality_document_number",
        "quality_document_empty",
        "quality_template_unknown",
        status=201,
    ),
)
async def create_document(
    request: Request, body: DocumentIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """A new document."""
    content = body.content or (documents.template(body.template) if body.template else "")
    head = Head(body.kind, body.number, body.title, body.department, body.responsible)
    number = await documents.create(conn, registry_of(request), subject, head, content, body.in_qms)
    return answer(views.document(*await documents.get(conn, subject, number)), 201)


@router.get(
    "/documents",
    summary="List controlled documents",
    description="With the version in force, a draft if there is one, and how many people acknowledged it.",
    responses=answered(
        {
            "items": [
                {
                    "id": 2,
                    "org_id": 3,
                    "kind": "trace_system",
                    "number": "QM-ZS-001",
                    "title": "药品信息化追溯管理制度",
                    "department": "质量管理部",
                    "responsible": "质量负责人",
                    "version": 1,
                    "effective_on": "2026-10-10",
                    "draft": None,
                    "trained": 3,
                    "people": 5,
                }
            ],
            "next": None,
        }
    ),
)
async def list_documents(conn: Conn, subject: CurrentSubject, org_id: OrgId = None) -> Response:
    """Documents."""
    rows = await documents.listed(conn, subject, org_id)
    return answer({"items": [views.document_head(row) for row in rows], "next": None})


@router.get(
    "/documents/{document_id}",
    summary="Show a controlled document",
    description="All versions with their state: draft, approved, in_force, superseded.",
    responses=answered(_DOCUMENT, "not_found"),
)
async def show_document(document_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One document."""
    return answer(views.document(*await documents.get(conn, subject, document_id)))


@router.get(
    "/documents/{document_id}/file",
    summary="Download a controlled document",
    description="One version, the newest unless named.",
    responses=filed(),
)
async def document_file(
    document_id: RecordId,
    conn: Conn,
    subject: CurrentSubject,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    format: Literal["pdf", "docx"] = "pdf",
) -> Response:
    """The document as a file."""
    head, versions, states = await documents.get(conn, subject, document_id)
    wanted = [v for v in versions if version is None or v["version"] == version]
    if not wanted:
        raise YaosuError("not_found", {"what": str(version)})
    paper = documents.paper(head, wanted[0], states[wanted[0]["version"]])
    return await download(paper, format, f"{head['number']}-V{wanted[0]['version']}")


@router.put(
    "/documents/{document_id}/draft",
    summary="Change the draft of a controlled document",
    description="An approved version does not change: revise it first.",
    responses=answered(_DOCUMENT, "not_found", "quality_document_draft", "quality_document_empty"),
)
async def save_draft(document_id: RecordId, body: DraftIn, conn: Conn, subject: CurrentSubject) -> Response:
    """Save the draft."""
    await documents.save(conn, subject, document_id, body.content, body.change_note, body.in_qms)
    return answer(views.document(*await documents.get(conn, subject, document_id)))


@router.post(
    "/documents/{document_id}/revise",
    summary="Begin a new version of a controlled document",
    description="A draft that begins with the latest text.",
    responses=answered(_DOCUMENT, "not_found", "quality_document_draft"),
)
async def revise_document(
    document_id: RecordId, body: ReviseIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Revise."""
    await documents.revise(conn, subject, document_id, body.change_note)
    return answer(views.document(*await documents.get(conn, subject, document_id)))


@router.post(
    "/documents/{document_id}/approve",
    summary="Approve the draft of a controlled document",
    description="By a second person, with the day from which it holds.",
    responses=answered(
        _DOCUMENT, "not_found", "quality_document_draft", "quality_document_self", "quality_document_date"
    ),
)
async def approve_document(
    document_id: RecordId, body: ApproveIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Approve."""
    await documents.approve(conn, subject, document_id, body.effective_on)
    return answer(views.document(*await documents.get(conn, subject, document_id)))


@router.post(
    "/documents/{document_id}/acknowledge",
    status_code=204,
    response_class=Response,
    summary="Acknowledge a controlled document",
    description="The account has studied the latest approved version: the training record.",
    responses=problems(
        "unauthenticated", "forbidden", "invalid_request", "not_found", "quality_not_in_force"
    ),
)
async def acknowledge_document(document_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """Acknowledge."""
    await documents.acknowledge(conn, subject, document_id)
    return Response(status_code=204)


@router.post(
    "/clues",
    status_code=201,
    summary="Report a clue to the regulator",
    description="With codes and bills; what you may see of them now goes along and stays as it was (R-E6).",
    responses=answered(
        _CLUE,
        "quality_clue_kind",
        "quality_clue_empty",
        "quality_clue_too_many",
        "quality_clue_bill",
        status=201,
    ),
)
async def send_clue(request: Request, body: ClueIn, conn: Conn, subject: CurrentSubject) -> Response:
    """Report."""
    registry = registry_of(request)
    number = await clues.send(
        conn, registry, subject, body.kind, body.title, body.text, body.codes, body.bills
    )
    return answer(views.clue(registry, await clues.get(conn, subject, number), language(request)), 201)


@router.get(
    "/clues",
    summary="List clues",
    description="Own ones; a regulator sees those of its region.",
    responses=answered({"items": [_CLUE_HEAD], "next": None}),
)
async def list_clues(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Annotated[Literal["sent", "noted", "answered"] | None, Query()] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Clues."""
    rows = await clues.listed(conn, subject, state, before, limit)
    return page([views.clue_head(registry_of(request), row, language(request)) for row in rows], limit)


@router.get(
    "/clues/{clue_id}",
    summary="Show a clue with its evidence",
    description="The evidence is as it was when the clue was sent; its SHA-256 stands beside it.",
    responses=answered(_CLUE, "not_found"),
)
async def show_clue(request: Request, clue_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """One clue."""
    return answer(
        views.clue(registry_of(request), await clues.get(conn, subject, clue_id), language(request))
    )


@router.post(
    "/clues/{clue_id}/note",
    summary="Take note of a clue",
    description="By a regulator of the region; the reporter is told.",
    responses=answered(_CLUE, "not_found"),
)
async def note_clue(request: Request, clue_id: RecordId, conn: Conn, subject: CurrentSubject) -> Response:
    """Take note."""
    await clues.note(conn, subject, clue_id)
    return answer(
        views.clue(registry_of(request), await clues.get(conn, subject, clue_id), language(request))
    )


@router.post(
    "/clues/{clue_id}/answer",
    summary="Answer a clue",
    description="By a regulator of the region, once; the reporter is told.",
    responses=answered(_CLUE, "not_found", "quality_answer_empty", "quality_clue_state"),
)
async def answer_clue(
    request: Request, clue_id: RecordId, body: SaidIn, conn: Conn, subject: CurrentSubject
) -> Response:
    """Answer."""
    await clues.answer(conn, subject, clue_id, body.text)
    return answer(
        views.clue(registry_of(request), await clues.get(conn, subject, clue_id), language(request))
    )
