"""Files over the API: send, preview, answer, confirm, result, exports, folder."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.responses import StreamingResponse

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.circulation.api_common import answered, as_json, zoned
from yaosu.edge import strict_json
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import field_findings, language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.files import exports, folders, reading, results, service
from yaosu.exchange.files.model import FILE_MB_MAX
from yaosu.exchange.files.rooms import room_of
from yaosu.exchange.files.schemas import ChoicesIn, FolderIn
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/files", tags=["files"])

FileId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Lang = Literal["zh", "en"]
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/xml": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            results.XLSX: {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "choices": {"type": "string"},
                    },
                }
            },
        },
    }
}
_FILE: dict[str, Any] = {
    "id": 17,
    "name": "出库单0930.xml",
    "kind": "movements",
    "format": "scan_xml",
    "state": "preview",
    "way": "api",
    "size": 48211,
    "sha256": "9f2c…",
    "received_at": "2026-09-30T10:12:32+08:00",
    "finished_at": None,
    "job": None,
    "repeats": None,
    "choices": {},
    "version": "44136fa355b3",
    "summary": {},
}
_PREVIEW: dict[str, Any] = {
    **_FILE,
    "encoding": "gb18030",
    "lines": 202,
    "totals": {"readable": 200, "unreadable": 1, "ignored": 1},
    "bill_count": 1,
    "bills": [{"n": 1, "bill_no": "XS-1", "type": 201, "codes": 200, "ready": True, "verdicts": {"ok": 200}}],
    "questions": [{"kind": "partner", "text": "济南某某大药房", "bills": 1, "code": "file_ask_partner"}],
    "problems": [{"where": "line 9", "code": "file_code_rounded", "text": "8.3857940000879E+19", "bill": 1}],
    "problem_count": 1,
    "doubtful": [],
    "ignored": [{"line": 1, "reason": "heading", "text": "单据编号 | …"}],
    "notes": [],
    "held": 1,
    "ready": False,
    "large": False,
}
_SENT: dict[str, Any] = {
    **_FILE,
    "state": "done",
    "summary": {"bills": 1, "lines": 202, "accepted": 200, "refused": 1, "ignored": 1, "bills_refused": 1},
    "bills": [
        {"n": 1, "bill_no": "XS-1", "bill_id": 4711, "status": "partial", "lines": 201, "accepted": 200}
    ],
}


async def received(request: Request) -> tuple[bytes, str, dict[str, Any]]:
    """Bytes, name and choices of a request: as body, or as multipart field `file` with `choices` as JSON."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form(max_files=1, max_fields=20)
        sent, said = form.get("file"), form.get("choices")
        if not isinstance(sent, UploadFile):
            raise YaosuError("file_empty")
        data = await sent.read((FILE_MB_MAX << 20) + 1)
        given = checked_choices(said) if isinstance(said, str) and said.strip() else {}
        return data, sent.filename or "", given
    return await request.body(), "", {}


def checked_choices(text: str) -> dict[str, Any]:
    """Choices given as JSON text, as strictly as a body."""
    try:
        return ChoicesIn.model_validate(strict_json.parse(text.encode())).values()
    except strict_json.MalformedBodyError as error:
        raise YaosuError("malformed_body", {"reason": f"{error.zh} / {error.en}"}) from error
    except ValidationError as error:
        findings = field_findings(error.errors(include_input=False, include_url=False), "zh")
        raise YaosuError("invalid_request", {"count": len(findings)}, findings) from error


@router.post(
    "",
    status_code=201,
    summary="Send a file",
    description="The file as body (with `name`) or as multipart field `file`, with `choices` (JSON) beside it: "
    "扫码单据 XML 3.0, client TXT, list of codes, CSV, XLSX, XLS, relation file; told by content. Answers with a "
    "preview; with `send` it is confirmed at once when nothing has to be asked (`state` then is `done`, or `sending` "
    "with a job).",
    responses={
        201: {"content": {"application/json": {"example": _PREVIEW}}},
        **problems(
            "unauthenticated",
            "forbidden",
            "file_empty",
            "file_encoding",
            "file_cut",
            "file_doctype",
            "file_no_heading",
            "file_too_large",
            "file_too_many",
            "file_busy",
            "invalid_request",
        ),
    },
    openapi_extra=BODY,
)
async def post(
    request: Request,
    subject: CurrentSubject,
    name: Annotated[CleanText, Query(max_length=200, description="File name, for the record.")] = "",
    send: Annotated[bool, Query(description="Confirm at once when nothing is to be asked.")] = False,
    again: Annotated[bool, Query(description="Send although the same bytes went through before.")] = False,
    way: Annotated[Literal["api", "folder"], Query(description="How it came, for the record.")] = "api",
    type: Annotated[
        int | None, Query(ge=1, le=999, description="Bill type where the file tells none.")
    ] = None,
    skip_bad: Annotated[
        bool, Query(description="Send bills although lines of theirs are unreadable.")
    ] = False,
) -> Response:
    """Receive, and perhaps send (R-I1, R-X10)."""
    subject.require("bill.write")
    data, sent_name, choices = await received(request)
    if type is not None:
        choices["type"] = type
    if skip_bad:
        choices["skip_bad"] = True
    room, lang = room_of(request), language(request)
    file_id, known = await service.receive(room, subject, data, name or sent_name, way, choices)
    if send:
        answer = await service.send_if_clear(room, subject, file_id, lang, again, known=known)
    else:
        answer = await service.view(room, subject, file_id, lang)
    return as_json(answer, 201)


@router.get(
    "",
    summary="Own files",
    description="Newest first.",
    responses=answered({"items": [_FILE], "next": None}),
)
async def list_own(
    conn: Conn,
    subject: CurrentSubject,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """A page of files."""
    found = await reading.listed(conn, subject, before, limit)
    return as_json({"items": found, "next": found[-1]["id"] if len(found) == limit else None})


@router.get(
    "/template.{form}",
    summary="Template of bills",
    description="XLSX with an example row and a sheet of explanations, or CSV.",
    response_class=Response,
    responses={200: {"content": {results.XLSX: {}, results.CSV: {}}}, **problems("unauthenticated")},
)
async def template(request: Request, subject: CurrentSubject, form: Literal["xlsx", "csv"]) -> Response:
    """The template."""
    subject.require("bill.read")
    lang = language(request)
    if form == "csv":
        return attachment(results.template_csv(lang), "yaosu-bills.csv", results.CSV)
    return attachment(results.template_xlsx(lang), "yaosu-bills.xlsx", results.XLSX)


def attachment(data: bytes, name: str, media: str) -> Response:
    """A file to be saved."""
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(data, media_type=media, headers=headers)


@router.get(
    "/export",
    summary="Export bills",
    description="Bills of a period as `xml` (扫码单据 XML 3.0, names on Event), `xml-events` (names on Events), "
    "`txt`, `csv` or `xlsx`. Only codes that moved. At most 92 days and 200,000 lines.",
    response_class=Response,
    responses={
        200: {"content": {"application/xml": {}, "text/plain": {}, results.CSV: {}, results.XLSX: {}}},
        **problems(
            "unauthenticated",
            "forbidden",
            "file_export_format",
            "file_export_period",
            "file_export_large",
            "file_no_lines",
        ),
    },
)
async def export(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    since: datetime,
    until: datetime,
    format: Annotated[str, Query(max_length=20)] = "xml",
    type: Annotated[list[int] | None, Query(max_length=60)] = None,
    bill_no: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
) -> Response:
    """The file (R-I1)."""
    begin, end = zoned(since), zoned(until)
    assert begin is not None and end is not None
    wanted = exports.Wanted(begin, end, format, tuple(type or ()), bill_no or "")
    made = await exports.bills(conn, registry_of(request), subject, wanted)
    return attachment(made.data, made.name, made.media)


@router.get(
    "/relations/{bill_id}.xml",
    summary="Relation XML of a bill",
    description="关联关系 XML 3.0 of the packages on a bill and everything inside them, as far as the caller may "
    "see it. UTF-8 without mark, LF, one trailing newline.",
    response_class=Response,
    responses={
        200: {"content": {"application/xml": {}}},
        **problems("unauthenticated", "forbidden", "not_found", "file_export_product", "file_export_large"),
    },
)
async def relation(request: Request, conn: Conn, subject: CurrentSubject, bill_id: FileId) -> Response:
    """The relation file of a shipment (R-B1)."""
    made = await exports.relation(conn, registry_of(request), subject, bill_id)
    return attachment(made.data, made.name, made.media)


@router.get(
    "/partners",
    summary="Remembered partners",
    description="What the organisation's files call its partners.",
    responses=answered(
        {"items": [{"name_norm": "济南某某大药房", "shown": "济南某某大药房", "partner": 12}], "next": None}
    ),
)
async def partners(
    conn: Conn,
    subject: CurrentSubject,
    after: Annotated[CleanText, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """A page of them."""
    found = await reading.partners(conn, subject, after, limit)
    return as_json({"items": found, "next": found[-1]["name_norm"] if len(found) == limit else None})


@router.delete(
    "/partners",
    status_code=204,
    summary="Forget a partner's name",
    description="The next file that writes it asks again.",
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def forget(
    conn: Conn, subject: CurrentSubject, text: Annotated[CleanText, Query(min_length=1, max_length=200)]
) -> Response:
    """Forget."""
    await reading.forget_partner(conn, subject, text)
    return Response(status_code=204)


_FOLDER = {
    "active": True,
    "path": "folders/12",
    "looked_at": None,
    "note": "",
    "set_at": "2026-09-30T10:00:00+08:00",
}


@router.get(
    "/folder",
    summary="The watched folder",
    description="Where the server itself picks up files for the organisation; null when it does not.",
    responses=answered({"folder": _FOLDER}),
)
async def folder(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Look."""
    return as_json({"folder": await folders.get(conn, subject, state(request).settings.data)})


@router.put(
    "/folder",
    summary="Watch a folder, or stop",
    description="The server makes a folder of the organisation's own under its data folder and picks up complete "
    "files.",
    responses=answered({"folder": _FOLDER}, "file_folder_path"),
)
async def set_folder(request: Request, conn: Conn, subject: CurrentSubject, body: FolderIn) -> Response:
    """Switch."""
    data = state(request).settings.data
    return as_json({"folder": await folders.switch(conn, subject, data, body.active)})


@router.get(
    "/{file_id}",
    summary="One file",
    description="A preview while it waits: bills, questions, problems, doubtful codes, ignored lines. Then its result.",
    responses=answered(_SENT, "not_found"),
)
async def get(request: Request, subject: CurrentSubject, file_id: FileId) -> Response:
    """Look."""
    return as_json(await service.view(room_of(request), subject, file_id, language(request)))


@router.delete(
    "/{file_id}",
    status_code=204,
    summary="Drop a preview",
    description="A file that was sent stays on record.",
    responses=problems("unauthenticated", "forbidden", "not_found", "file_state"),
)
async def drop(conn: Conn, subject: CurrentSubject, file_id: FileId) -> Response:
    """Drop."""
    await service.drop(conn, subject, file_id)
    return Response(status_code=204)


@router.post(
    "/{file_id}/choices",
    summary="Answer a preview's questions",
    description="Partners by the text in the file, kinds, number, warehouse. Partners are remembered.",
    responses=answered(_PREVIEW, "not_found", "file_choice_invalid", "file_state"),
)
async def choices(request: Request, subject: CurrentSubject, file_id: FileId, body: ChoicesIn) -> Response:
    """Choose."""
    room = room_of(request)
    await service.choose(room, subject, file_id, body.values(), body.remember)
    return as_json(await service.view(room, subject, file_id, language(request)))


@router.post(
    "/{file_id}/send",
    summary="Confirm a file",
    description="Sends every bill through the same door as the API. Up to 10,000 lines are answered at once, "
    "larger files run as a job (`state` is `sending`, `job` is watched at /jobs/{id}). Repeating it is safe: what was "
    "confirmed before is answered with its result.",
    responses=answered(
        _SENT, "not_found", "file_questions", "file_changed", "file_state", "file_busy", "relation_refused"
    ),
)
async def send_file(
    request: Request,
    subject: CurrentSubject,
    file_id: FileId,
    again: Annotated[bool, Query(description="Send although the same bytes went through before.")] = False,
    version: Annotated[
        str,
        Query(
            max_length=20,
            description="`version` of the preview that was looked at: refused (`file_changed`) when a colleague "
            "answered otherwise since.",
            examples=["44136fa355b3"],
        ),
    ] = "",
) -> Response:
    """Confirm."""
    lang = language(request)
    return as_json(await service.send(room_of(request), subject, file_id, lang, again, seen=version))


@router.get(
    "/{file_id}/lines",
    summary="What became of every line",
    description="In the order of the bills: accepted, refused or ignored, with verdict, reason and next step.",
    responses=answered(
        {
            "items": [
                {
                    "line": 3,
                    "column": "",
                    "bill_no": "XS-1",
                    "text": "83857940000879766660",
                    "outcome": "accepted",
                    "code": "accepted",
                    "message": "已受理",
                    "next": "",
                }
            ],
            "next": None,
        },
        "not_found",
    ),
)
async def lines(
    request: Request,
    subject: CurrentSubject,
    file_id: FileId,
    outcome: Literal["", "accepted", "refused", "ignored"] = "",
    skip: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
) -> Response:
    """A page of lines."""
    lang = language(request)
    page = await reading.page_of_lines(room_of(request), subject, file_id, outcome, skip, limit, lang)
    return as_json({"items": page, "next": skip + limit if len(page) == limit else None})


@router.get(
    "/{file_id}/result.{form}",
    summary="The result as a table",
    description="Every line with its verdict, reason and next step, as CSV or XLSX. No cell is a formula.",
    response_class=Response,
    responses={
        200: {"content": {results.CSV: {}, results.XLSX: {}}},
        **problems("unauthenticated", "not_found"),
    },
)
async def result(
    request: Request,
    subject: CurrentSubject,
    file_id: FileId,
    form: Literal["csv", "xlsx"],
    outcome: Literal["", "accepted", "refused", "ignored"] = "",
) -> Response:
    """The table."""
    room, lang = room_of(request), language(request)
    await reading.known(room, subject, file_id)
    found = reading.lines(room, subject, file_id, outcome)
    if form == "xlsx":
        return attachment(await reading.result_book(found, lang), f"result-{file_id}.xlsx", results.XLSX)
    headers = {"content-disposition": f'attachment; filename="result-{file_id}.csv"'}
    return StreamingResponse(results.as_csv(found, lang), media_type=results.CSV, headers=headers)


@router.get(
    "/{file_id}/content",
    summary="The bytes of a dropped file",
    description="Byte for byte as received (D8).",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        **problems("unauthenticated", "forbidden", "not_found"),
    },
)
async def content(conn: Conn, subject: CurrentSubject, file_id: FileId) -> Response:
    """The bytes."""
    _, data = await reading.as_received(conn, subject, file_id)
    return attachment(data, f"file-{file_id}", "application/octet-stream")
