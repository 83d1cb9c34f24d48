"""Acting for others over the API: delegations, the principal's view, headquarters' stores, direct shipments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import BeginMoment, CleanText, EndMoment
from yaosu.circulation import delegations, direct, principal
from yaosu.circulation.api_common import Cursor, Limit, OrgQuery, answered, as_json
from yaosu.circulation.schemas import INT_MAX
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["acting"])

DelegationId = Annotated[int, Path(ge=1, le=INT_MAX)]
Id = Annotated[int, Field(ge=1, le=INT_MAX)]
_ORG = {"id": 3, "name": "某医药有限公司", "uscc": "91370102000000011K", "type": 2, "region": "370102"}
_DELEGATION: dict[str, Any] = {
    "id": 4,
    "principal": _ORG,
    "agent": {**_ORG, "id": 12, "name": "某物流有限公司", "type": 5},
    "valid_from": "2026-09-30T10:12:31+08:00",
    "valid_until": None,
    "revoked_at": None,
    "accepted_at": None,
    "state": "offered",
    "waits_for": 12,
    "waits_for_us": False,
    "kinds": ["in", "out"],
    "bill_types": None,
    "products": None,
    "places": None,
    "may_read": False,
    "note": "",
}


class DelegationIn(BaseModel):
    """Who may submit bills for whom, and which; everything of a sort when it is left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"agent": 12, "kinds": ["in", "out"], "valid_until": "2027-12-31"}]},
    )
    agent: Annotated[int | None, Field(ge=1, le=INT_MAX)] = Field(
        None, description="受托方; the caller itself when left out."
    )
    principal: Annotated[int | None, Field(ge=1, le=INT_MAX)] = Field(
        None, description="委托方; the caller itself when left out."
    )
    valid_from: BeginMoment | None = Field(
        None, description="Beginning, a moment with its zone or a day (0:00 in China); now when left out."
    )
    valid_until: EndMoment | None = Field(
        None,
        description="End, a moment with its zone or the last day (to its end in China); until ended by either side "
        "when left out.",
    )
    kinds: Annotated[list[Annotated[CleanText, Field(max_length=20)]], Field(max_length=20)] | None = Field(
        None, description="Code list `delegation_kind`: in, out, return, use, stock."
    )
    bill_types: Annotated[list[Annotated[int, Field(ge=1, le=999)]], Field(max_length=100)] | None = Field(
        None, description="Single bill types besides the kinds."
    )
    drug_ids: Annotated[list[Id], Field(max_length=delegations.DRUGS_MAX)] | None = None
    places: Annotated[list[Id], Field(max_length=200)] | None = Field(
        None, description="Warehouses of the principal; all, and its own stock, when left out."
    )
    may_read: bool = Field(False, description="Whether the agent may read the principal's bills and stock.")
    note: Annotated[CleanText, Field(max_length=500)] = ""

    def scope(self) -> delegations.Scope:
        """The service's value."""

        def values(given: list[Any] | None) -> tuple[Any, ...] | None:
            return tuple(given) if given is not None else None

        return delegations.Scope(
            values(self.kinds), values(self.bill_types), values(self.drug_ids), values(self.places), self.may_read,
            self.valid_from, self.valid_until, self.note,
        )  # fmt: skip


@router.get(
    "/delegations",
    summary="Who may submit for whom",
    responses=answered({"items": [_DELEGATION], "next": None}),
)
async def list_delegations(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before")] = None,
    limit: Limit = 100,
) -> Response:
    """Delegations given and held, newest first, with scope and state (R-B8): offered, declined, not_begun (agreed; its
    first day is to come), in_force, ended, withdrawn."""
    subject.require("bill.read")
    items = await delegations.listed(conn, registry_of(request), subject, before, limit)
    return as_json({"items": items, "next": items[-1]["id"] if len(items) == limit else None})


@router.post(
    "/delegations",
    summary="Propose a delegation",
    description="By its principal (name the `agent`) or by its agent (name the `principal`); it holds from the other "
    "side's acceptance.",
    responses=answered({"id": 1}, "delegation_not_yours"),
)
async def delegate(request: Request, body: DelegationIn, subject: CurrentSubject, conn: Conn) -> Response:
    """Propose a delegation, e.g. to a logistics firm (R-B8)."""
    registry = registry_of(request)
    principal_, agent = body.principal or subject.org, body.agent or subject.org
    made = await delegations.offer(conn, registry, subject, principal_, agent, body.scope())
    return as_json({"id": made})


@router.post(
    "/delegations/{delegation_id}/accept",
    summary="Accept a delegation",
    responses=answered({"id": 1}, "not_found", "delegation_not_waiting"),
)
async def accept(
    request: Request, delegation_id: DelegationId, subject: CurrentSubject, conn: Conn
) -> Response:
    """In force at once."""
    await delegations.answer(conn, registry_of(request), subject, delegation_id, accept=True)
    return as_json({"id": delegation_id})


@router.post(
    "/delegations/{delegation_id}/decline",
    summary="Decline a delegation",
    responses=answered({"id": 1}, "not_found", "delegation_not_waiting"),
)
async def decline(
    request: Request, delegation_id: DelegationId, subject: CurrentSubject, conn: Conn
) -> Response:
    """The other side is told."""
    await delegations.answer(conn, registry_of(request), subject, delegation_id, accept=False)
    return as_json({"id": delegation_id})


@router.delete(
    "/delegations/{delegation_id}",
    summary="End a delegation",
    responses=answered({"id": 1}, "not_found"),
)
async def withdraw(
    request: Request, delegation_id: DelegationId, subject: CurrentSubject, conn: Conn
) -> Response:
    """By either side, with immediate effect: the very next submission is refused."""
    await delegations.withdraw(conn, registry_of(request), subject, delegation_id)
    return as_json({"id": delegation_id})


@router.get(
    "/principal",
    summary="Own goods in others' hands",
    description="Stock by warehouse with the firms entrusted with it, and the movements they submitted, newest first.",
    responses=answered(
        {
            "warehouses": [
                {
                    "org": _ORG,
                    "own": True,
                    "agents": [],
                    "stock": {"I": 1200},
                    "last_moved": "2026-09-30T10:12:31+08:00",
                }
            ],
            "items": [{"id": 4711, "bill_no": "WT-1", "type": 201, "qty": 40}],
            "next": None,
        }
    ),
)
async def principals_view(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    agent: OrgQuery = None,
    place: OrgQuery = None,
    before: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """委托方视图 (R-B8)."""
    registry = registry_of(request)
    moved = await principal.movements(
        conn, registry, subject, language(request), agent=agent, place=place, before=before, limit=limit
    )
    return as_json(
        {
            "warehouses": await principal.warehouses(conn, registry, subject),
            "items": moved,
            "next": moved[-1]["id"] if len(moved) == limit else None,
        }
    )


@router.get(
    "/stores",
    summary="A chain's stores",
    responses=answered({"items": [{"org": _ORG, "stock": {"I": 120}, "notices_open": 2}], "next": None}),
)
async def list_stores(request: Request, subject: CurrentSubject, conn: Conn) -> Response:
    """Headquarters' stores with stock and what waits to be received (R-B7); bills for them take `owner`."""
    return as_json({"items": await principal.stores(conn, registry_of(request), subject), "next": None})


@router.get(
    "/direct-shipments",
    summary="Direct shipments",
    responses=answered(
        {
            "items": [
                {
                    "id": 4711,
                    "bill_no": "ZD-1",
                    "type": 207,
                    "type_name": "直调出库",
                    "role": "directs",
                    "seller": _ORG,
                    "qty": 40,
                    "notice_state": "received",
                    "received": 40,
                    "outcome": "matched",
                }
            ],
            "next": None,
        }
    ),
)
async def direct_shipments(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Limit = 50,
) -> Response:
    """What the caller directs, sends or receives, with the receiver's check."""
    items = await direct.listed(conn, registry_of(request), subject, language(request), before, limit)
    return as_json({"items": items, "next": items[-1]["id"] if len(items) == limit else None})
