"""What the operations of the recall room share: parameters, answers, files."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import Path, Query, Response

from yaosu.access.openapi import problems
from yaosu.papers import pdf, xlsx
from yaosu.papers.model import Paper

OrderId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Org = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="a store of the own chain, or a place inside")
]
Before = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
PaperAs = Annotated[Literal["pdf", "xlsx"], Query()]

MEDIA = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def answered(example: object, *codes: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with an example, and the documented refusals."""
    return {
        status: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_file(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses of a document."""
    content = {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA.values()}
    return {
        200: {"description": "The document.", "content": content},
        **problems("unauthenticated", "forbidden", "not_found", "invalid_request", *codes),
    }


def as_json(value: object, status: int = 200) -> Response:
    """An answer written by orjson."""
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


async def printed(paper: Paper, name: str, kind: str) -> Response:
    """The document as a download; setting it is work for a thread."""
    data = await asyncio.to_thread(pdf.render if kind == "pdf" else xlsx.render, paper)
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(f'{name}.{kind}', safe='')}",
        "cache-control": "private, no-store",
    }
    return Response(data, media_type=MEDIA[kind], headers=headers)
