"""What gateway clients asked the operator for: firms to be entered in the directory (`saveent`, domain facts §2.4)."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.state import state
from yaosu.exchange.top import partners
from yaosu.exchange.top.client.gateways import set_gateway

router = APIRouter(prefix="/top", tags=["top"])

RequestId = Annotated[int, Path(ge=1, le=2**31 - 1)]
_REFUSED = ("unauthenticated", "forbidden")
_EXAMPLE: dict[str, Any] = {
    "items": [
        {"id": 3, "org": 12, "name": "示例大药房", "org_code": "91370102000000011K", "state": "waiting"}
    ],
    "next": None,
}


class RefusalIn(BaseModel):
    """Why a firm is not entered."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "统一社会信用代码与名称不符"}}
    )
    reason: Annotated[CleanText, Field(min_length=2, max_length=500)]


class GatewayIn(BaseModel):
    """Where a trace system answers its customers' calls."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"url": "https://gateway.example/router/rest"}}
    )
    url: Annotated[CleanText, Field(min_length=10, max_length=500)]


def _json(body: object) -> Response:
    return Response(orjson.dumps(body, default=str), media_type="application/json")


@router.get(
    "/partners",
    summary="List partner requests of gateway clients",
    description="Firms that clients of the 码上放心 gateway asked to be entered in the directory. For the operator.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": _EXAMPLE}}},
        **problems(*_REFUSED),
    },
)
async def listed(conn: Conn, subject: CurrentSubject) -> Response:
    """What waits for audit."""
    rows = await partners.waiting(conn, subject)
    items = [{k: v for k, v in row.items() if not isinstance(v, bytes)} for row in rows]
    return _json({"items": items, "next": None})


@router.post(
    "/partners/{request_id}/accept",
    summary="Enter a requested partner in the directory",
    description="Under the `ref_ent_id` that the client was promised; the client is told by message.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": {"org_id": 41}}}},
        **problems(*_REFUSED, "not_found"),
    },
)
async def accept(request: Request, conn: Conn, subject: CurrentSubject, request_id: RequestId) -> Response:
    """Yes."""
    made = await partners.accept(conn, subject, request_id, state(request).parts["master_secret"])
    return _json({"org_id": made.id})


@router.post(
    "/partners/{request_id}/refuse",
    summary="Refuse a requested partner",
    description="The client is told why by message.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": {"state": "refused"}}}},
        **problems(*_REFUSED, "not_found", "invalid_request"),
    },
)
async def refuse(conn: Conn, subject: CurrentSubject, request_id: RequestId, body: RefusalIn) -> Response:
    """No, with the reason."""
    await partners.refuse(conn, subject, request_id, body.reason)
    return _json({"state": "refused"})


@router.put(
    "/gateways/{system_id}",
    summary="Enter a trace system's gateway address",
    description="What connections of the channel `top` fetch is believed from this address only: it enters the books "
    "as that system's word. For the operator.",
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": {"system_id": 2}}}},
        **problems(*_REFUSED, "not_found", "field_invalid", "invalid_request"),
    },
)
async def gateway(conn: Conn, subject: CurrentSubject, system_id: RequestId, body: GatewayIn) -> Response:
    """The operator's data."""
    await set_gateway(conn, subject, system_id, body.url)
    return _json({"system_id": system_id})
