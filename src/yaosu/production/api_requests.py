"""Code requests over the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import StreamingResponse

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.production import download, requests
from yaosu.production.answers import origin_answer, request_answer
from yaosu.production.parts import master_of
from yaosu.production.schemas import OriginOut, RequestBody, RequestOut, RequestsOut
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/code-requests", tags=["code requests"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.post(
    "",
    status_code=201,
    summary="Request trace codes",
    description="Any number per package level, 10 million in one request cost no more than ten. The identifiers must "
    "be filed first (R-A1). With `client_ref` a repeated request gets the same answer.",
    response_model=RequestOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "product_not_found",
        "code_request_not_yours",
        "prefix_not_filed",
        "code_request_repeated",
        "code_range_used_up",
    ),
)
async def create(request: Request, conn: Conn, subject: CurrentSubject, body: RequestBody) -> Any:
    """Ask for codes."""
    counts: dict[int, int] = {}
    for one in body.levels:
        counts[one.level] = counts.get(one.level, 0) + one.count
    made = await requests.create(
        conn, subject, registry_of(request), body.drug_id, counts, body.purpose, body.client_ref
    )
    return request_answer(made)


@router.get(
    "",
    summary="Own code requests",
    response_model=RequestsOut,
    description="Newest first.",
    responses=problems("unauthenticated", "forbidden"),
)
async def list_own(
    conn: Conn,
    subject: CurrentSubject,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Any:
    """A page of requests."""
    found = await requests.list_own(conn, subject, before, limit)
    following = str(found[-1].id) if len(found) == limit else None
    return {"items": [request_answer(r) for r in found], "next": following}


@router.get(
    "/origin",
    summary="Was this code issued here",
    response_model=OriginOut,
    description="Answered by computation: which request, which number. The request is shown to its owner only.",
    responses=problems("unauthenticated", "forbidden", "code_unknown"),
)
async def whose(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Annotated[str, Query(min_length=1, max_length=4096)],
) -> Any:
    """Where a code comes from."""
    registry = registry_of(request)
    return origin_answer(
        await requests.whose(conn, subject, master_of(request), code, tuple(registry.customs))
    )


@router.get(
    "/{request_id}",
    summary="One code request",
    response_model=RequestOut,
    description="Of the own organisation.",
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def get(conn: Conn, subject: CurrentSubject, request_id: Number) -> Any:
    """One request."""
    return request_answer(await requests.get(conn, subject, request_id))


@router.get(
    "/{request_id}/codes",
    summary="Download codes",
    description="TXT, CSV or XML, each also as `.zip`; all levels or one, and of one level any range. Streamed.",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/plain": {}, "text/csv": {}, "application/xml": {}, "application/zip": {}}},
        **problems(
            "unauthenticated", "forbidden", "not_found", "code_download_range", "code_download_format"
        ),
    },
)
async def codes(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    request_id: Number,
    form: Annotated[str, Query(alias="format", max_length=20, examples=["txt.zip"])] = "txt",
    level: Annotated[int | None, Query(ge=1, le=9)] = None,
    start: Annotated[int, Query(ge=0, le=10**9)] = 0,
    count: Annotated[int | None, Query(ge=1, le=10**9)] = None,
) -> StreamingResponse:
    """The codes."""
    found = await requests.get(conn, subject, request_id)
    body = download.stream(found, master_of(request), form, level, start, count)
    what = f"{form} {level or '*'} {start}+{count if count is not None else '*'}"
    await requests.mark_downloaded(conn, subject, found, what)
    name = download.file_name(found, form, level)
    return StreamingResponse(
        body,
        media_type=download.media_type(form),
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
