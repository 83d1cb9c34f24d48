"""Resumable uploads and jobs over the API."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.state import state
from yaosu.production import jobs, uploads
from yaosu.production.schemas import JobOut, UploadBody, UploadOut
from yaosu.production.uploads import Upload

router = APIRouter(tags=["uploads and jobs"])

CHUNK = {
    "requestBody": {
        "required": True,
        "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _answer(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "purpose": upload.purpose,
        "size": upload.size,
        "offset": upload.received,
        "state": upload.state,
        "expires_at": upload.expires_at,
    }


@router.post(
    "/uploads",
    status_code=201,
    summary="Begin an upload",
    description="Announce name and size, then send the bytes with PATCH. At most 2 GB; ends 24 h after the last piece.",
    response_model=UploadOut,
    responses=problems("unauthenticated", "forbidden", "upload_size", "upload_quota", "upload_purpose"),
)
async def begin(request: Request, conn: Conn, subject: CurrentSubject, body: UploadBody) -> Any:
    """Begin."""
    sha = bytes.fromhex(body.sha256) if body.sha256 else None
    data = state(request).settings.data
    return _answer(await uploads.begin(conn, subject, data, body.name, body.size, body.purpose, sha))


@router.patch(
    "/uploads/{upload_id}",
    summary="Send a piece",
    description="Raw bytes at `Upload-Offset`, which must be where the server stands (409 tells where that is). What "
    "arrived before a connection broke stays.",
    response_model=UploadOut,
    responses=problems(
        "unauthenticated", "forbidden", "not_found", "upload_offset", "upload_too_much", "upload_digest"
    ),
    openapi_extra=CHUNK,
)
async def piece(
    request: Request,
    subject: CurrentSubject,
    upload_id: UUID,
    upload_offset: Annotated[int, Header(ge=0, le=2**53)],
) -> Any:
    """Append."""
    here = state(request)
    return _answer(
        await uploads.append(
            here.pool, subject, here.settings.data, upload_id, upload_offset, request.stream()
        )
    )


@router.get(
    "/uploads/{upload_id}",
    summary="How far an upload is",
    description="`offset` is where to continue.",
    response_model=UploadOut,
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def get(conn: Conn, subject: CurrentSubject, upload_id: UUID) -> Any:
    """Look."""
    return _answer(await uploads.get(conn, subject, upload_id))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    summary="Give up an upload",
    description="Frees its space.",
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def remove(request: Request, conn: Conn, subject: CurrentSubject, upload_id: UUID) -> Response:
    """Remove."""
    await uploads.remove(conn, subject, state(request).settings.data, upload_id)
    return Response(status_code=204)


@router.get(
    "/jobs/{job_id}",
    summary="How far a job is",
    description="Of the own organisation.",
    response_model=JobOut,
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def job(conn: Conn, subject: CurrentSubject, job_id: UUID) -> Any:
    """Look."""
    return await jobs.get(conn, subject, job_id)
