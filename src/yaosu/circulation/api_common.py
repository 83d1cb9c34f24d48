"""What the circulation room's API modules share: path and query types, answers, times."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request, Response

from yaosu.access.openapi import problems
from yaosu.circulation.cache import CHINA
from yaosu.edge.problem import language
from yaosu.errors import YaosuError

BillId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
OrgQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


def answered(example: dict[str, Any], *codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses with an example, and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object, status: int = 200) -> Response:
    """An answer written by orjson: verdict lists are long, and their shape is ours already."""
    return Response(orjson.dumps(value, default=str), status_code=status, media_type="application/json")


def zoned(value: datetime | None) -> datetime | None:
    """A time without a zone is China time."""
    if value is None or value.tzinfo is not None:
        return value
    return value.replace(tzinfo=CHINA)


def not_found(request: Request, zh: str, en: str) -> YaosuError:
    """404 in the caller's language."""
    return YaosuError("not_found", {"what": zh if language(request) == "zh" else en})
