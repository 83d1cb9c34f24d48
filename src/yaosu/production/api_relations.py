"""Relation files over the API: check, activate, look at."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParam
from pydantic import AwareDatetime
from starlette.datastructures import UploadFile
from starlette.responses import StreamingResponse

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText, is_clean
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.production import activation, files, jobs, keeping
from yaosu.production.answers import activation_answer, check_answer
from yaosu.production.parts import master_of
from yaosu.production.schemas import (
    ActivationOut,
    CheckOut,
    JobOut,
    RelationJobBody,
    RelationOut,
    RelationsOut,
)
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/relations", tags=["relation files"])

BillId = Annotated[int, PathParam(ge=1, le=2**63 - 1)]
FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/xml": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@asynccontextmanager
async def received(request: Request, folder: Path) -> AsyncIterator[tuple[Path, str]]:
    """The body of a request as a file, and the name it came with; gone afterwards."""
    await asyncio.to_thread(folder.mkdir, 0o700, True, True)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path, name = Path(inside) / "relation", ""
        with path.open("wb") as out:
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                form = await request.form(max_files=1, max_fields=20)
                sent = form.get("file")
                if not isinstance(sent, UploadFile):
                    raise YaosuError("relation_empty")
                name = sent.filename or ""
                while piece := await sent.read(1 << 20):
                    await asyncio.to_thread(out.write, piece)
            else:
                async for piece in request.stream():
                    await asyncio.to_thread(out.write, piece)
        yield path, name if is_clean(name) else ""


@router.post(
    "",
    summary="Check or activate a relation file",
    description="The file as body or as multipart field `file`: 关联关系 XML 3.0, CSV or JSON, plain, ZIP or gzip. "
    "With `dry_run` it is only checked and everything wrong is listed. Otherwise it is activated as a whole or not at "
    "all. The same file again gets the same answer. Files larger than the body limit come by `/uploads`.",
    response_model=ActivationOut | CheckOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "relation_refused",
        "relation_xml_syntax",
        "relation_encoding",
        "bill_number_taken",
        "activation_in_future",
        "body_too_large",
    ),
    openapi_extra=FILE_BODY,
)
async def post(
    request: Request,
    subject: CurrentSubject,
    dry_run: bool = False,
    stock_in: Annotated[bool, Query(description="also post the 生产入库 (101)")] = False,
    bill_no: Annotated[CleanText, Query(description="单据号; empty: made from batch and file digest")] = "",
    name: Annotated[CleanText, Query(description="file name, for the record")] = "",
    happened_at: Annotated[
        AwareDatetime | None,
        Query(description="when it was activated on the line, with zone; now if left out (D14)"),
    ] = None,
) -> Any:
    """Check or activate."""
    subject.require("production.read" if dry_run else "production.write")
    folder = state(request).settings.data / "incoming"
    async with received(request, folder) as (path, sent_name):
        shown = name or sent_name or "relation.xml"
        registry, master = registry_of(request), master_of(request)
        # only now: a sender that never finishes its body must not hold a connection
        async with state(request).pool.acquire() as conn, conn.transaction():
            if dry_run:
                found = await activation.check(conn, subject, path, registry, master, shown)
                return CheckOut(**check_answer(found, language(request)))
            options = activation.Options(shown, bill_no.strip(), stock_in, happened_at)
            done = await activation.activate(conn, subject, path, registry, master, options)
            return ActivationOut(**activation_answer(done))


@router.post(
    "/jobs",
    status_code=202,
    summary="Check or activate an uploaded file",
    description="For large files: the worker does it; watch `/jobs/{id}`.",
    response_model=JobOut,
    responses=problems("unauthenticated", "forbidden", "not_found", "upload_incomplete"),
)
async def queue(request: Request, conn: Conn, subject: CurrentSubject, body: RelationJobBody) -> Any:
    """Queue the work."""
    job_id = await jobs.queue_relation(
        conn,
        subject,
        body.upload,
        dry_run=body.dry_run,
        stock_in=body.stock_in,
        bill_no=body.bill_no,
        lang=language(request),
    )
    return await jobs.get(conn, subject, job_id)


@router.get(
    "",
    summary="Own activated files",
    description="Newest first.",
    response_model=RelationsOut,
    responses=problems("unauthenticated", "forbidden"),
)
async def list_own(
    conn: Conn,
    subject: CurrentSubject,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Any:
    """A page of files."""
    found = await files.list_own(conn, subject, before, limit)
    return {"items": found, "next": str(found[-1]["bill_id"]) if len(found) == limit else None}


@router.get(
    "/{bill_id}",
    summary="One activated file",
    description="Of the own organisation.",
    response_model=RelationOut,
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def get(conn: Conn, subject: CurrentSubject, bill_id: BillId) -> Any:
    """One file."""
    return await files.get(conn, subject, bill_id)


@router.get(
    "/{bill_id}/file",
    summary="The file as received",
    description="Byte for byte (D8).",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}},
        **problems("unauthenticated", "forbidden", "not_found"),
    },
)
async def as_received(
    request: Request, conn: Conn, subject: CurrentSubject, bill_id: BillId
) -> StreamingResponse:
    """The bytes."""
    found = await files.get(conn, subject, bill_id)
    pool = state(request).pool

    async def pieces() -> AsyncIterator[bytes]:
        # the request's own connection is given back before the stream begins
        async with pool.acquire() as held:
            async for piece in keeping.kept(held, found["submission_id"]):
                yield piece

    headers = {
        "content-disposition": f'attachment; filename="relation-{bill_id}"',
        "content-length": str(found["size"]),
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(pieces(), media_type="application/octet-stream", headers=headers)
