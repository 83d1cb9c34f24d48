"""Places inside the own organisation over the API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.registry import places as service
from yaosu.registry.api_common import Fresh, Number
from yaosu.registry.schemas import Body, Small, like

router = APIRouter(tags=["registry"])

EXAMPLE: dict[str, Any] = {
    "id": 31,
    "number": "12370102000000019K-002",
    "name": "住院药房",
    "full_name": "示例市人民医院·住院药房",
    "sub_type": 3902,
    "address": "外科楼 B1",
    "active": True,
    "stock": {"I": 120},
    "coming": 0,
    "products": 6,
}


class PlaceBody(Body):
    """A place to set up."""

    name: CleanText = Field(examples=["住院药房"])
    sub_type: Small = Field(description="list org_sub_type, entries with `place`", examples=[3902])
    address: CleanText = ""


class PlaceName(Body):
    """Another name."""

    name: CleanText = Field(examples=["住院药房（外科楼）"])


class PlaceOut(BaseModel):
    """A place and what stands in it, in smallest packages by status."""

    model_config = like(EXAMPLE)

    id: int
    number: str
    name: str
    full_name: str
    sub_type: int | None
    address: str
    active: bool
    stock: dict[str, int]
    coming: int
    products: int

    @classmethod
    def of(cls, one: service.Place) -> PlaceOut:
        """From the value."""
        return cls(
            id=one.id,
            number=one.number,
            name=one.name,
            full_name=one.card.name,
            sub_type=one.card.sub_type,
            address=one.address,
            active=one.card.active,
            stock=one.holding.by_status,
            coming=one.holding.coming,
            products=one.holding.products,
        )


class PlacesOut(BaseModel):
    """All places of the organisation."""

    model_config = like({"items": [EXAMPLE], "next": None})

    items: list[PlaceOut]
    next: str | None


@router.get(
    "/places",
    summary="Places inside the own organisation",
    description="Storehouses, pharmacies, wards, warehouses with their stock; people of a place see the names of all "
    "and the stock of their own.",
    response_model=PlacesOut,
    responses=problems("unauthenticated", "forbidden"),
)
async def list_places(conn: Conn, subject: CurrentSubject) -> Any:
    """All places, those in use first."""
    found = await service.places(conn, subject)
    return PlacesOut(items=[PlaceOut.of(one) for one in found], next=None)


@router.post(
    "/places",
    status_code=201,
    summary="Set up a place",
    description="A place inside the caller's own organisation. It is numbered by the platform and holds stock at once.",
    response_model=PlaceOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "place_inside_place",
        "org_invalid",
        "place_name_taken",
        "place_too_many",
    ),
)
async def create_place(fresh: Fresh, conn: Conn, subject: CurrentSubject, body: PlaceBody) -> Any:
    """Set up a place."""
    return PlaceOut.of(await service.create_place(conn, subject, body.name, body.sub_type, body.address))


@router.put(
    "/places/{org_id}",
    summary="Rename a place",
    description="Its number, stock and history stay.",
    response_model=PlaceOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "place_inside_place",
        "org_not_found",
        "org_invalid",
        "place_name_taken",
    ),
)
async def rename_place(
    fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number, body: PlaceName
) -> Any:
    """Rename a place."""
    return PlaceOut.of(await service.rename_place(conn, subject, org_id, body.name))


@router.post(
    "/places/{org_id}/close",
    summary="Close a place",
    description="Only when nothing stands in it and nothing is on its way from or to it.",
    response_model=PlaceOut,
    responses=problems(
        "unauthenticated", "forbidden", "place_inside_place", "org_not_found", "place_not_empty"
    ),
)
async def close_place(fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number) -> Any:
    """Close a place."""
    return PlaceOut.of(await service.close_place(conn, subject, org_id))


@router.post(
    "/places/{org_id}/reopen",
    summary="Reopen a place",
    description="A closed place is in use again.",
    response_model=PlaceOut,
    responses=problems(
        "unauthenticated", "forbidden", "place_inside_place", "org_not_found", "place_name_taken"
    ),
)
async def reopen_place(fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number) -> Any:
    """Reopen a place."""
    return PlaceOut.of(await service.reopen_place(conn, subject, org_id))
