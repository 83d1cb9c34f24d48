"""Public recalls as pages for everybody (是否向消费者公开); no sign-in, minimal (R-E4, R-G1)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn
from yaosu.edge.problem import language
from yaosu.recall import reading, service
from yaosu.recall.pages_common import Before, show
from yaosu.registry.parts import registry_of
from yaosu.trace.parts import take_public_query

router = APIRouter()
PAGE = 20


@router.get("/recalls/public")
async def listed(request: Request, conn: Conn, before: Before = None) -> Response:
    """Public recalls, newest first."""
    take_public_query(request)
    items, after = await reading.public_list(
        conn, registry_of(request), language(request), before or service.NEWEST, PAGE
    )
    context = {"items": items, "next": f"/recalls/public?before={after}" if after else ""}
    return show(request, "public_list.html", context)


@router.get("/recalls/public/{number}")
async def one(request: Request, conn: Conn, number: Annotated[str, Path(max_length=64)]) -> Response:
    """One of them."""
    take_public_query(request)
    item = await reading.public_one(conn, registry_of(request), number, language(request))
    return show(request, "public_one.html", {"r": item})
