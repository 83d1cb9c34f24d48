"""Routes of the receiving side, at the addresses clients already have (interfaces.md §3.1).

`YAOSU_INSURANCE_PATHS` names others, separated by blanks, `{infno}` where the transaction stands.
"""

from __future__ import annotations

import os

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.edge import problem
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.insurance import fields, receive, transactions

PATHS = (
    "/fsi/api/rsfComIfsService/callService/{infno}",
    "/fsi/api/rsfComIfsService/callService",
    "/mbs/fmi/fsi/api/callFsiService/callService",
)
READ_MAX = 9 << 20
"""Bytes read of a body that is too large anyway; it is refused in the protocol's own form."""

router = APIRouter()


async def call(request: Request, infno: str = "") -> Response:
    """One 医保 transaction."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > READ_MAX:
            break
    made = await receive.receive(state(request), infno[:10], request.headers, bytes(raw))
    return Response(made, media_type="application/json;charset=UTF-8")


def _refused(request: Request, error: YaosuError) -> Response:
    """What was refused before the room saw it (a NUL in the text, a size), in the protocol's form."""
    return Response(receive.refused(error), media_type="application/json;charset=UTF-8")


for path in (*PATHS, *os.environ.get("YAOSU_INSURANCE_PATHS", "").split()):
    router.add_api_route(path, call, methods=["POST"], name=f"insurance {path}")
    for one in (*fields.tables().transactions, *transactions.OUTSIDE_TABLES):
        problem.OWN_FORMS[path.replace("{infno}", one)] = _refused
