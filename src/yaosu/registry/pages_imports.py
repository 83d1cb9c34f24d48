"""Pages of bulk import: choose a file, look at the errors per cell, confirm."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, File, Path, Request, UploadFile
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry import exports, imports, sheets
from yaosu.registry.api_common import Fresh
from yaosu.registry.api_imports import CSV, XLSX, attachment, read_upload
from yaosu.registry.forms import Form
from yaosu.registry.pages_common import show
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

router = APIRouter()

Kind = Annotated[str, Path(pattern=r"^(orgs|products)$")]


def _require(subject: Subject, kind: str) -> None:
    if kind == "orgs":
        require_operator(subject)
    else:
        subject.require("product.write")


def _page(request: Request, kind: str, preview: object, error: YaosuError | None = None) -> Response:
    context = {
        "kind": kind,
        "preview": preview,
        "columns": imports.table_of(kind),
        "lang_": language(request),
    }
    return show(request, "import.html", context, error)


@router.get("/{kind}/import")
async def form(request: Request, subject: CurrentSubject, kind: Kind) -> Response:
    """Choose a file."""
    _require(subject, kind)
    return _page(request, kind, None)


@router.get("/{kind}/import/template.xlsx")
async def template(subject: CurrentSubject, kind: Kind) -> Response:
    """The template."""
    _require(subject, kind)
    return attachment(imports.template(kind), f"{kind}.xlsx", XLSX)


@router.post("/{kind}/import")
async def preview(
    request: Request, conn: Conn, subject: CurrentSubject, kind: Kind, file: Annotated[UploadFile, File()]
) -> Response:
    """Look at what the file would do."""
    try:
        data = await read_upload(file)
        found = await imports.preview(conn, subject, kind, data, file.filename or "")
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return _page(request, kind, None, error)
    return _page(request, kind, found)


@router.post("/{kind}/import/confirm")
async def confirm(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, kind: Kind
) -> Response:
    """Register the rows."""
    form = await Form.of(request)
    await imports.confirm(conn, subject, form.text("id"))
    return see_other(f"/{kind}")


@router.get("/{kind}/export.csv")
async def export_csv(conn: Conn, subject: CurrentSubject, kind: Kind) -> Response:
    """The table as CSV."""
    headings, rows = await exports.table(conn, subject, kind)
    return attachment(await asyncio.to_thread(sheets.write_csv, headings, rows), f"{kind}.csv", CSV)


@router.get("/{kind}/export.xlsx")
async def export_xlsx(conn: Conn, subject: CurrentSubject, kind: Kind) -> Response:
    """The table as XLSX."""
    headings, rows = await exports.table(conn, subject, kind)
    return attachment(await asyncio.to_thread(sheets.write_xlsx, kind, headings, rows), f"{kind}.xlsx", XLSX)
