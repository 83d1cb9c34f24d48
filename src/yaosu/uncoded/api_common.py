"""What the operations of the uncoded room share: answers, doors, files."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import Path, Query, Request, Response
from starlette.datastructures import UploadFile

from yaosu.access.openapi import problems
from yaosu.circulation.model import MovementResult
from yaosu.circulation.parts import committer_of
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.registry.parts import registry_of
from yaosu.uncoded.intake import Doors
from yaosu.uncoded.model import PROOF_MB_MAX

LotId = Annotated[int, Path(ge=1, le=2**31 - 1)]
OrgQuery = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="another organisation that the caller may see")
]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MEDIA = {"pdf": "application/pdf", "xlsx": XLSX, "docx": DOCX}


def answered(example: object, *codes: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with an example, and the documented refusals."""
    return {
        status: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object, status: int = 200) -> Response:
    """An answer written by orjson."""
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def doors_of(request: Request) -> Doors:
    """What movements need."""
    return Doors(state(request).pool, committer_of(request), registry_of(request))


def moved(request: Request, result: MovementResult) -> Response:
    """The answer of the write path."""
    return as_json(result.as_json(language(request)))


def filed(data: bytes, name: str, media: str, inline: bool = False) -> Response:
    """A file that no browser runs: its type is what its bytes are, and it may not be sniffed."""
    shown = "inline" if inline else "attachment"
    headers = {
        "content-disposition": f"{shown}; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
    }
    return Response(data, media_type=media, headers=headers)


async def read_file(file: UploadFile, mb_max: int = PROOF_MB_MAX) -> bytes:
    """The uploaded bytes, one more than allowed at most."""
    return await file.read((mb_max << 20) + 1)
