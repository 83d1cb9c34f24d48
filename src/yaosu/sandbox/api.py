"""The sandbox over the API (R-I1)."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.circulation.parts import committer_of
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.state import state
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.sandbox import service
from yaosu.subject import Subject

router = APIRouter(prefix="/sandbox", tags=["sandbox"])

_EXAMPLE: dict[str, Any] = {
    "generation": 2,
    "building": False,
    "reset_at": "2026-11-22T10:00:00+08:00",
    "organisations": [{"role": "wholesaler", "org_id": 41, "name": "沙箱1号示例批发"}],
    "products": [{"drug_id": 9, "name": "沙箱示例胶囊", "identifiers": ["7000003", "7000004"]}],
    "keys": [{"id": 5, "role": "wholesaler", "name": "ERP", "prefix": "yk_Ab3d"}],
}
_REFUSED = ("unauthenticated", "forbidden")


class KeyIn(BaseModel):
    """Which organisation of the sandbox the key is for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"role": "wholesaler", "name": "ERP"}}
    )
    role: Annotated[str, Field(pattern="^(maker|wholesaler|pharmacy|hospital)$")]
    name: Annotated[CleanText, Field(max_length=100)] = ""


def _json(body: object, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


async def shown(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
    """The sandbox with its organisations, products and keys; generation 0 while there is none."""
    found = await service.get(conn, subject)
    if found is None:
        return {
            "generation": 0,
            "building": False,
            "reset_at": None,
            "organisations": [],
            "products": [],
            "keys": [],
        }
    cards = {role: registry.org(org) for role, org in found.roles.items()}
    products = [registry.product(drug) for drug in found.drugs]
    return {
        "generation": found.generation,
        "building": found.building,
        "reset_at": found.reset_at.isoformat() if found.reset_at else None,
        "organisations": [
            {"role": role, "org_id": card.id, "name": card.name}
            for role, card in cards.items()
            if card is not None
        ],
        "products": [
            {"drug_id": p.id, "name": p.generic_name, "identifiers": [level.identifier for level in p.levels]}
            for p in products
            if p is not None
        ],
        "keys": [
            {"id": k["id"], "role": k["role"], "name": k["name"], "prefix": k["prefix"]}
            for k in await service.keys_of(conn, subject)
        ],
    }


def _answered(*codes: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": "OK", "content": {"application/json": {"example": _EXAMPLE}}},
        **problems(*_REFUSED, *codes),
    }


@router.get(
    "",
    summary="Look at the sandbox",
    description="Organisations, products and keys of the own firm's sandbox; generation 0 means there is none yet.",
    responses=_answered(),
)
async def read(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The sandbox."""
    return _json(await shown(conn, registry_of(request), subject))


@router.post(
    "/reset",
    summary="Make or reset the sandbox",
    description="A maker, a wholesaler, a pharmacy and a hospital, two products (20-digit and GS1 codes), stock and "
    "deliveries under way. A reset brings them back to the beginning under new numbers of organisations; keys keep "
    "working. Takes a second or two.",
    responses=_answered("sandbox_building", "sandbox_inside"),
)
async def reset(request: Request, subject: CurrentSubject) -> Response:
    """A new generation."""
    app, registry = state(request), registry_of(request)
    await service.build(app.pool, committer_of(request), registry, app.parts["master_secret"], subject)
    async with app.pool.acquire() as conn:
        return _json(await shown(conn, registry, subject))


@router.post(
    "/keys",
    status_code=201,
    summary="Make a key of a sandbox organisation",
    description="The secret is in this answer and nowhere else.",
    responses={
        201: {
            "description": "Created",
            "content": {
                "application/json": {"example": {"id": 5, "role": "wholesaler", "secret": "yk_Ab3d…"}}
            },
        },
        **problems(*_REFUSED, "sandbox_none", "invalid_request"),
    },
)
async def make_key(conn: Conn, subject: CurrentSubject, body: KeyIn) -> Response:
    """A new key."""
    number, secret = await service.new_key(conn, subject, body.role, body.name)
    return _json({"id": number, "role": body.role, "secret": secret}, 201)


@router.delete(
    "/keys/{key_id}",
    status_code=204,
    summary="End a key of the sandbox",
    responses=problems(*_REFUSED, "sandbox_none", "not_found"),
)
async def end_key(
    conn: Conn, subject: CurrentSubject, key_id: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> Response:
    """End it now."""
    await service.end_key(conn, subject, key_id)
    return Response(status_code=204)
