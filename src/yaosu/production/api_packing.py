"""Packing over the API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.production import packing
from yaosu.production.parts import master_of
from yaosu.production.schemas import PackBody, PackedOut, ReplaceBody, UnpackBody, VoidBody
from yaosu.registry.parts import registry_of

router = APIRouter(prefix="/packing", tags=["packing"])

_REFUSALS = problems("unauthenticated", "forbidden", "pack_refused", "bill_number_taken", "pack_too_many")


@router.post(
    "/pack",
    summary="Pack or repack",
    description="Into a package of the next level up to its ladder, or into a logistics container (SSCC) of any "
    "products and other containers, up to four inside one another. What is inside another package is taken out of it "
    "first, but a container only by unpacking. All or nothing.",
    response_model=PackedOut,
    responses=_REFUSALS,
)
async def pack(request: Request, conn: Conn, subject: CurrentSubject, body: PackBody) -> Any:
    """Pack."""
    return await packing.pack(conn, subject, registry_of(request), body.container, body.codes, body.bill_no)


@router.post(
    "/unpack",
    summary="Unpack",
    description="Take packages out of what they are in; with `whole`, everything out of the packages named.",
    response_model=PackedOut,
    responses=_REFUSALS,
)
async def unpack(request: Request, conn: Conn, subject: CurrentSubject, body: UnpackBody) -> Any:
    """Unpack."""
    return await packing.unpack(conn, subject, registry_of(request), body.codes, body.whole, body.bill_no)


@router.post(
    "/replace",
    summary="Replace a code",
    description="A new code takes the place of a damaged one (单码替换); both histories stay, linked.",
    response_model=PackedOut,
    responses=_REFUSALS,
)
async def replace(request: Request, conn: Conn, subject: CurrentSubject, body: ReplaceBody) -> Any:
    """Replace."""
    return await packing.replace(
        conn,
        subject,
        registry_of(request),
        master_of(request),
        body.old,
        body.new,
        body.reason,
        body.bill_no,
    )


@router.post(
    "/void",
    summary="Cancel codes",
    description="Codes that never left the organisation that activated them (注销); the goods leave the books.",
    response_model=PackedOut,
    responses=_REFUSALS,
)
async def void(request: Request, conn: Conn, subject: CurrentSubject, body: VoidBody) -> Any:
    """Void."""
    return await packing.void(
        conn, subject, registry_of(request), body.codes, body.reason, body.with_content, body.bill_no
    )
