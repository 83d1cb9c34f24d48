"""Many codes in one capture over the API (R-I2)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.capture import service
from yaosu.capture.service import BYTES_MAX
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/captures", tags=["capture"])

_EXAMPLE: dict[str, Any] = {
    "width": 4032,
    "height": 3024,
    "codes": ["83857930000123456789"],
    "copies": [],
    "symbols": [
        {
            "n": 1,
            "kind": "trace",
            "raw": "83857930000123456789",
            "symbology": "Code128",
            "corners": [[80, 42], [369, 42], [369, 139], [80, 139]],
            "code": "83857930000123456789",
            "scheme": "cn20",
            "repeat": False,
            "products": [{"drug_id": 7, "name": "复方测试胶囊"}],
            "message": None,
            "verdict": None,
        },
        {
            "n": 2,
            "kind": "retail",
            "raw": "6924561884074",
            "symbology": "EAN-13",
            "corners": [[93, 1400], [377, 1400], [377, 1548], [93, 1548]],
            "code": None,
            "scheme": None,
            "repeat": False,
            "products": [],
            "message": "这是商品条码，不是追溯码",
            "verdict": None,
        },
    ],
}
_REFUSED = (
    "unauthenticated",
    "forbidden",
    "photo_unreadable",
    "photo_too_large",
    "photo_heic",
    "capture_nothing",
    "capture_busy",
)
_PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


async def _content(request: Request) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BYTES_MAX:
            raise YaosuError("photo_too_large", {"mb": BYTES_MAX // 1024 // 1024})
    return bytes(content)


@router.post(
    "",
    summary="All codes in a picture",
    description="A JPEG or PNG of a case, a pallet or a shelf (at most 20 MB and 40 megapixels) as the body. Every "
    "symbol of every family in reading order, with its place; `codes` are the trace and logistics codes, each once, "
    "ready for a movement; `copies` are trace codes seen on several labels of one symbology, with the numbers of those "
    "symbols. With `verify` each code comes with what verifying says of it.",
    openapi_extra=_PICTURE,
    responses={
        200: {"description": "OK", "content": {"application/json": {"example": _EXAMPLE}}},
        **problems(*_REFUSED),
    },
)
async def capture(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    verify: Annotated[bool, Query(description="verify every code found")] = False,
) -> Response:
    """Read a picture."""
    registry, lang = registry_of(request), language(request)
    found = await service.capture(registry, subject, await _content(request))
    if verify:
        await service.explain(conn, registry, subject, found, lang)
    body = service.as_json(registry, found, lang)
    return Response(orjson.dumps(body), media_type="application/json")


@router.post(
    "/picture",
    summary="The picture with its codes marked",
    description="The same picture as JPEG, every symbol framed and numbered as in the answer of `/captures`: green "
    "trace codes, amber other barcodes, grey repeats, red codes that stand at several places.",
    openapi_extra=_PICTURE,
    responses={
        200: {
            "description": "OK",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(*_REFUSED),
    },
)
async def picture(request: Request, subject: CurrentSubject) -> Response:
    """The marked picture."""
    found = await service.capture(registry_of(request), subject, await _content(request))
    return Response(await asyncio.to_thread(service.marked, found), media_type="image/jpeg")
