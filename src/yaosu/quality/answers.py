"""What all doors of the room share: JSON answers, files, and the documented shape of both."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import quote

import orjson
from fastapi import Path, Query
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.papers import docx, pdf, xlsx
from yaosu.papers.model import Paper

RecordId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
OrgId = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="for offices: one organisation's only")]
FileFormat = Literal["pdf", "docx", "xlsx"]

_RENDER = {"pdf": pdf.render, "docx": docx.render, "xlsx": xlsx.render}
MEDIA = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def answered(example: object, *codes: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The documented success, with an example, and what may be refused."""
    return {
        status: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def filed() -> dict[int | str, dict[str, Any]]:
    """A file as the documented success."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA.values()}
    return {
        200: {"description": "The file", "content": content},
        **problems(
            "unauthenticated",
            "forbidden",
            "invalid_request",
            "not_found",
            "paper_font_missing",
            "paper_character",
        ),
    }


def answer(value: object, status: int = 200) -> Response:
    """JSON with times and dates as ISO 8601."""
    return Response(orjson.dumps(value, default=str), status_code=status, media_type="application/json")


def page(items: list[dict[str, Any]], limit: int) -> Response:
    """A list with the cursor of the next page."""
    return answer({"items": items, "next": items[-1]["id"] if len(items) == limit else None})


async def download(paper: Paper, kind: FileFormat, name: str) -> Response:
    """The paper as a file; rendered beside the event loop."""
    content = await asyncio.to_thread(_RENDER[kind], paper)
    disposition = f"attachment; filename=\"document.{kind}\"; filename*=UTF-8''{quote(name)}.{kind}"
    return Response(content, media_type=MEDIA[kind], headers={"content-disposition": disposition})
