"""Public recalls without sign-in (是否向消费者公开): minimal, no holders, no codes (R-E4, R-G1)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn
from yaosu.edge.problem import language
from yaosu.recall import examples, reading, service
from yaosu.recall.api_common import Before, as_json
from yaosu.registry.parts import registry_of
from yaosu.trace.parts import take_public_query

router = APIRouter()


def _answered(example: object, *codes: str) -> dict[int | str, dict[str, object]]:
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("invalid_request", "too_many_requests", *codes),
    }


@router.get(
    "/public/recalls",
    summary="Public recalls",
    description="Recalls that are open to consumers, newest first; no sign-in, limited per address.",
    responses=_answered({"items": [examples.PUBLIC], "next": None}),
)
async def listed(
    request: Request, conn: Conn, before: Before = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Response:
    """Public recalls."""
    take_public_query(request)
    items, after = await reading.public_list(
        conn, registry_of(request), language(request), before or service.NEWEST, limit
    )
    return as_json({"items": items, "next": after})


@router.get(
    "/public/recalls/{number}",
    summary="One public recall",
    description="One recall that is open to consumers, by its number; no sign-in, limited per address.",
    responses=_answered(examples.PUBLIC, "not_found"),
)
async def one(request: Request, conn: Conn, number: Annotated[str, Path(max_length=64)]) -> Response:
    """One public recall."""
    take_public_query(request)
    return as_json(await reading.public_one(conn, registry_of(request), number, language(request)))
