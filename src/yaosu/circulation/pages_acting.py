"""Pages of acting for others: 委托方视图, 门店 (R-B7), 直调."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.circulation import delegations, direct, principal
from yaosu.circulation.pages_common import PAGE, Cursor, show
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
OrgText = Annotated[str, Query(pattern=r"^\d{0,9}$")]


async def _moves(
    request: Request, conn: Connection, subject: Subject, agent: str, place: str, before: int | None
) -> dict[str, object]:
    items = await principal.movements(
        conn,
        registry_of(request),
        subject,
        language(request),
        agent=int(agent) if agent else None,
        place=int(place) if place else None,
        before=before,
        limit=PAGE,
    )
    more = f"/principal?agent={agent}&place={place}&before={items[-1]['id']}" if len(items) == PAGE else ""
    return {"items": items, "next": more}


@router.get("/principal")
async def principals_view(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    agent: OrgText = "",
    place: OrgText = "",
    before: Cursor = None,
) -> Response:
    """委托方视图: stock per warehouse, and what others did with it, as it happens."""
    registry = registry_of(request)
    places = await principal.warehouses(conn, registry, subject)
    given = await delegations.listed(conn, registry, subject)
    agents = {d["agent"]["id"]: d["agent"]["name"] for d in given if d["principal"]["id"] == subject.org}
    context = {
        **await _moves(request, conn, subject, agent, place, before),
        "warehouses": places,
        "agents": list(agents.items()),
        "agent": agent,
        "place": place,
        "live": before is None,
    }
    return show(request, "principal.html", context)


@router.get("/principal/movements")
async def principals_movements(
    request: Request, conn: Conn, subject: CurrentSubject, agent: OrgText = "", place: OrgText = ""
) -> Response:
    """The table of movements alone, asked for again every few seconds."""
    return show(request, "_principal_moves.html", await _moves(request, conn, subject, agent, place, None))


@router.get("/stores")
async def stores(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """A chain's stores as headquarters see them, with the way to upload for each (R-B7)."""
    found = await principal.stores(conn, registry_of(request), subject)
    return show(request, "stores.html", {"items": found})


@router.get("/direct")
async def direct_shipments(
    request: Request, conn: Conn, subject: CurrentSubject, before: Cursor = None
) -> Response:
    """直调: what we direct, send or receive, and how the receiver's check came out."""
    items = await direct.listed(conn, registry_of(request), subject, language(request), before, PAGE)
    more = f"/direct?before={items[-1]['id']}" if len(items) == PAGE else ""
    return show(request, "direct.html", {"items": items, "next": more})
