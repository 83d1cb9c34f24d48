"""Pages of files: drop, preview, answer, confirm, result, export."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.files import exports, folders, reading, results, service, writers
from yaosu.exchange.files.api import attachment, result
from yaosu.exchange.files.formats.cells import CHINA, moment
from yaosu.exchange.files.model import FILE_MB_MAX, LINES_MAX
from yaosu.exchange.files.rooms import room_of
from yaosu.registry.forms import Form
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

router = APIRouter()
SIZE = 30
REFUSED_SHOWN = 200

FileId = Annotated[int, Path(ge=1, le=2**63 - 1)]


async def _home(
    request: Request, conn: Any, subject: Subject, before: int | None, error: YaosuError | None = None
) -> Response:
    items = await reading.listed(conn, subject, before, SIZE)
    today = datetime.now(CHINA).date()
    context = {
        "items": items,
        "next": f"/files?before={items[-1]['id']}" if len(items) == SIZE else "",
        "error": error.as_json(language(request)) if error is not None else None,
        "folder": await folders.get(conn, subject, state(request).settings.data),
        "since": (today - timedelta(days=7)).isoformat(),
        "until": today.isoformat(),
        "forms": list(writers.FORMS),
        "limits": {"mb": FILE_MB_MAX, "lines": LINES_MAX},
        "types": _types(request),
    }
    return render(request, "exchange/files.html", context, error.http if error is not None else 200)


def _types(request: Request) -> list[tuple[str, str]]:
    lang = language(request)
    return [(str(k.code), f"{k.code} {k.label(lang)}") for k in submittable().values()]


@router.get("/files")
async def home(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """Drop a file; files so far; exports; the folder."""
    subject.require("bill.read")
    return await _home(request, conn, subject, before)


@router.post("/files")
async def drop_file(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Take a file in and show what it holds."""
    sent = (await request.form(max_files=1)).get("file")
    try:
        if not isinstance(sent, UploadFile):
            raise YaosuError("file_empty")
        data = await sent.read((FILE_MB_MAX << 20) + 1)
        file_id, _ = await service.receive(room_of(request), subject, data, sent.filename or "", "page", {})
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _home(request, conn, subject, None, error)
    return see_other(f"/files/{file_id}")


@router.get("/files/template.{form}")
async def template(request: Request, subject: CurrentSubject, form: str) -> Response:
    """The template."""
    subject.require("bill.read")
    lang = language(request)
    if form == "csv":
        return attachment(results.template_csv(lang), "yaosu-bills.csv", results.CSV)
    return attachment(results.template_xlsx(lang), "yaosu-bills.xlsx", results.XLSX)


@router.get("/files/export")
async def export(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    since: Annotated[str, Query(max_length=30)] = "",
    until: Annotated[str, Query(max_length=30)] = "",
    format: Annotated[str, Query(max_length=20)] = "xml",
    type: Annotated[str, Query(max_length=3, pattern="^[0-9]*$")] = "",
) -> Response:
    """Bills of a period; the last day is included."""
    try:
        begin, end = moment(since), moment(until)
        if begin is None or end is None:
            raise YaosuError("file_export_period", {"days": exports.DAYS_MAX})
        wanted = exports.Wanted(begin, end + timedelta(days=1), format, (int(type),) if type else ())
        made = await exports.bills(conn, registry_of(request), subject, wanted)
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _home(request, conn, subject, None, error)
    return attachment(made.data, made.name, made.media)


@router.post("/files/folder")
async def folder(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Watch, or stop."""
    form = await Form.of(request)
    async with conn.transaction():
        await folders.switch(conn, subject, state(request).settings.data, form.text("active") == "1")
    return see_other("/files")


async def _page(
    request: Request, subject: Subject, file_id: int, error: YaosuError | None = None, part: bool = False
) -> Response:
    room, lang = room_of(request), language(request)
    shown = await service.view(room, subject, file_id, lang)
    refused = []
    if shown["state"] == "done" and shown["summary"].get("refused"):
        refused = await reading.page_of_lines(room, subject, file_id, "refused", 0, REFUSED_SHOWN, lang)
    registry = registry_of(request)
    context = {
        "f": shown,
        "refused": refused,
        "shown_max": REFUSED_SHOWN,
        "types": _types(request),
        "places": [(str(c.id), c.name) for c in registry.family_of(subject.org)],
        "error": error.as_json(lang) if error is not None else None,
    }
    name = "exchange/files_state.html" if part else "exchange/files_one.html"
    return render(request, name, context, error.http if error is not None else 200)


@router.get("/files/{file_id}")
async def one(request: Request, subject: CurrentSubject, file_id: FileId) -> Response:
    """A preview or a result."""
    return await _page(request, subject, file_id)


@router.get("/files/{file_id}/state")
async def one_state(request: Request, subject: CurrentSubject, file_id: FileId) -> Response:
    """The part of the page that changes while a large file is sent."""
    return await _page(request, subject, file_id, part=True)


@router.post("/files/{file_id}")
async def act(request: Request, conn: Conn, subject: CurrentSubject, file_id: FileId) -> Response:
    """Answer, confirm or drop."""
    form = await Form.of(request)
    room, lang, action = room_of(request), language(request), form.text("action")
    try:
        if action == "drop":
            async with conn.transaction():
                await service.drop(conn, subject, file_id)
            return see_other("/files")
        seen = form.text("version")
        if action in ("send", "again"):
            await service.unchanged(room, subject, file_id, seen)
        choices = _choices(request, form)
        if choices:
            await service.choose(room, subject, file_id, choices, form.ticked("remember"))
        if action in ("send", "again"):
            await service.send(room, subject, file_id, lang, again=action == "again")
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _page(request, subject, file_id, error)
    return see_other(f"/files/{file_id}")


def _choices(request: Request, form: Form) -> dict[str, Any]:
    """What the form answers: kind, text and answer of each question. Organisations by number or 统一社会信用代码."""
    registry = registry_of(request)
    made: dict[str, Any] = {}
    for n in range(200):
        kind = form.text(f"kind_{n}")
        if not kind:
            break
        text, value = form.text(f"text_{n}"), form.text(f"answer_{n}").strip()
        if not value:
            continue
        if kind in ("partner", "owner"):
            card = registry.org_by_uscc(value.upper())
            number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0
            org = card.id if card is not None else number
            if not org:
                raise YaosuError("file_choice_invalid", {"field": text or value[:40]})
            if kind == "owner":
                made["owner"] = org
            elif text:
                made.setdefault("partners", {})[text] = org
            else:
                made["partner"] = org
        elif kind == "type":
            if not value.isdigit():
                raise YaosuError("file_choice_invalid", {"field": "type"})
            if text:
                made.setdefault("types", {})[text] = int(value)
            else:
                made["type"] = int(value)
        elif kind == "bill_no":
            made["bill_no"] = value[:64]
    if form.text("skip_bad_shown"):
        made["skip_bad"] = form.ticked("skip_bad")
    return made


@router.get("/files/{file_id}/result.{form}")
async def table(request: Request, subject: CurrentSubject, file_id: FileId, form: str) -> Response:
    """The result as a table."""
    return await result(request, subject, file_id, "xlsx" if form == "xlsx" else "csv")
