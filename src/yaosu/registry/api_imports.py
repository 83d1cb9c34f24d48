"""Bulk import and export over the API."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, File, Path, Query, Request, Response, UploadFile

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry import exports, imports, sheets
from yaosu.registry.api_common import Fresh
from yaosu.registry.schemas_lists import CellErrorOut, ImportedOut, PreviewOut

router = APIRouter(tags=["registry"])

Kind = Annotated[str, Path(max_length=40, pattern=r"^[a-z]+$", examples=["products"])]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"


def attachment(data: bytes, name: str, media_type: str) -> Response:
    """A file to be saved under `name`."""
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(data, media_type=media_type, headers=headers)


async def read_upload(file: UploadFile) -> bytes:
    """The uploaded bytes, one more than allowed at most, so that the reader can refuse what is too large."""
    return await file.read((sheets.FILE_MB_MAX << 20) + 1)


@router.get(
    "/imports/{kind}/template",
    summary="Template of an import file",
    description="XLSX with Chinese headings and a row of notes; `orgs` or `products`.",
    response_class=Response,
    responses={200: {"content": {XLSX: {}}}, **problems("unauthenticated", "import_kind_unknown")},
)
async def template(subject: CurrentSubject, kind: Kind) -> Response:
    """The template."""
    return attachment(imports.template(kind), f"{kind}.xlsx", XLSX)


@router.post(
    "/imports/{kind}",
    status_code=201,
    summary="Preview an import",
    description="XLSX, or CSV in UTF-8 or GB18030; at most 100,000 rows, 60 columns, 32 MB. Nothing is registered: "
    "the answer lists an error per cell, or the id that confirms the import within an hour.",
    response_model=PreviewOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "import_kind_unknown",
        "import_file_unreadable",
        "import_too_large",
        "import_has_errors",
        "import_empty",
    ),
)
async def preview(
    request: Request, conn: Conn, subject: CurrentSubject, kind: Kind, file: Annotated[UploadFile, File()]
) -> Any:
    """Check a file."""
    found = await imports.preview(conn, subject, kind, await read_upload(file), file.filename or "")
    lang = language(request)
    return PreviewOut(
        id=found.id,
        kind=found.kind,
        file_name=found.file_name,
        rows=found.rows,
        error_count=found.error_count,
        errors=[CellErrorOut.model_validate(e.as_json(lang)) for e in found.errors],
    )


@router.post(
    "/imports/{preview_id}/confirm",
    summary="Confirm an import",
    description="Registers every row of the preview, or none.",
    response_model=ImportedOut,
    responses=problems("unauthenticated", "forbidden", "import_preview_gone", "import_has_errors"),
)
async def confirm(
    fresh: Fresh,
    conn: Conn,
    subject: CurrentSubject,
    preview_id: Annotated[str, Path(max_length=40, examples=["0d6e4cbe-7c0f-4bd0-8a56-5b3f1c2d9e11"])],
) -> Any:
    """Register the rows."""
    kind, rows = await imports.confirm(conn, subject, preview_id)
    return ImportedOut(kind=kind, rows=rows)


@router.get(
    "/exports/{kind}",
    summary="Export as CSV or XLSX",
    description="`orgs` (directory fields, all for the operator), `products`, `code-lists`. No cell is a formula.",
    response_class=Response,
    responses={200: {"content": {CSV: {}, XLSX: {}}}, **problems("unauthenticated", "forbidden")},
)
async def export(
    conn: Conn,
    subject: CurrentSubject,
    kind: Annotated[str, Path(pattern=r"^(orgs|products|code-lists)$", examples=["products"])],
    format: Annotated[str, Query(pattern=r"^(csv|xlsx)$")] = "csv",
) -> Response:
    """The file."""
    headings, rows = await exports.table(conn, subject, kind)
    if format == "xlsx":
        return attachment(
            await asyncio.to_thread(sheets.write_xlsx, kind, headings, rows), f"{kind}.xlsx", XLSX
        )
    return attachment(await asyncio.to_thread(sheets.write_csv, headings, rows), f"{kind}.csv", CSV)
