"""Data grants over the API (R-B10)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText, EndMoment
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.grants import service
from yaosu.grants.model import Terms
from yaosu.grants.views import grant_json, read_json
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["grants"])

INT_MAX = 2**31 - 1
OrgId = Annotated[int, Field(ge=1, le=INT_MAX)]
GrantId = Annotated[int, Path(ge=1, le=INT_MAX)]
FieldName = Literal["flow", "parties", "bills", "codes"]

_GRANT: dict[str, Any] = {
    "id": 12,
    "grantor": {
        "id": 3,
        "name": "某医药有限公司",
        "uscc": "91370102000000011K",
        "type": 2,
        "region": "370102",
    },
    "grantee": {
        "id": 1,
        "name": "某制药有限公司",
        "uscc": "91370102000000021E",
        "type": 1,
        "region": "370102",
    },
    "products": [{"id": 7, "name": "阿莫西林胶囊 0.25g 24粒/盒"}],
    "fields": ["flow", "parties"],
    "until": "2027-12-31T16:00:00+00:00",
    "state": "offered",
    "waits_for": 3,
    "offered_by": 1,
    "offered_at": "2026-09-30T10:12:31+08:00",
    "accepted_at": None,
    "withdrawn_at": None,
    "declined_at": None,
    "note": "",
    "replaces": None,
}
_READ: dict[str, Any] = {
    "id": 88,
    "at": "2026-09-30T10:12:31+08:00",
    "reader": _GRANT["grantee"],
    "by": "account",
    "what": "流向 阿莫西林胶囊 0.25g 24粒/盒",
    "raw": "flow 7",
    "owner": _GRANT["grantor"],
}


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


class TermsIn(BaseModel):
    """What a grant opens."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"drug_ids": [7], "fields": ["flow"], "until": "2027-12-31"}]},
    )
    drug_ids: Annotated[list[OrgId], Field(max_length=service.DRUGS_MAX)] | None = Field(
        None, description="Products of the grantee; all of them when left out, future ones included."
    )
    fields: Annotated[list[FieldName], Field(min_length=1, max_length=4)] = Field(
        default_factory=lambda: ["flow"],  # type: ignore[arg-type]
        description="flow: quantities by date and batch (always included); parties: customers' names; bills: numbers "
        "and headers; codes: trace codes.",
    )
    until: EndMoment | None = Field(
        None,
        description="End, a moment with its zone or the last day (to its end in China); until withdrawn when left out.",
    )
    note: Annotated[CleanText, Field(max_length=service.NOTE_MAX)] = ""

    def terms(self) -> Terms:
        """The service's value."""
        drugs = tuple(self.drug_ids) if self.drug_ids is not None else None
        return Terms(drugs, frozenset(self.fields), self.until, self.note)


class GrantIn(TermsIn):
    """A proposal to the other side."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"grantor": 3, "grantee": 1, "drug_ids": [7], "fields": ["flow", "parties"], "until": None}
            ]
        },
    )
    grantor: Annotated[OrgId, Field(description="Whose records: the distributor.")]
    grantee: Annotated[OrgId, Field(description="Who may see them: the MAH or manufacturer.")]


@router.get(
    "/grants", summary="Data grants given and held", responses=answered({"items": [_GRANT], "next": None})
)
async def list_grants(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    cursor: Annotated[int | None, Query(ge=1, le=INT_MAX, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> dict[str, Any]:
    """Newest first, proposals and ended ones included (R-B10)."""
    registry = registry_of(request)
    found = await service.listed(conn, registry, subject, cursor, limit)
    return {
        "items": [grant_json(registry, one) for one in found],
        "next": str(found[-1].id) if len(found) == limit else None,
    }


@router.post(
    "/grants",
    summary="Propose a data grant",
    responses=answered(_GRANT, "grant_not_yours", "grant_waits"),
)
async def offer(request: Request, body: GrantIn, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """The MAH invites, or the distributor offers; it holds from the other side's acceptance (R-B10)."""
    registry = registry_of(request)
    made = await service.offer(conn, registry, subject, body.grantor, body.grantee, body.terms())
    return grant_json(registry, await service.get(conn, registry, subject, made))


@router.get("/grants/{grant_id}", summary="One data grant", responses=answered(_GRANT, "not_found"))
async def get(request: Request, grant_id: GrantId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """One grant; for its two sides only."""
    registry = registry_of(request)
    return grant_json(registry, await service.get(conn, registry, subject, grant_id))


@router.post(
    "/grants/{grant_id}/accept",
    summary="Accept a proposed grant",
    responses=answered({**_GRANT, "state": "in_force"}, "not_found", "grant_not_waiting"),
)
async def accept(request: Request, grant_id: GrantId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """In force at once; what it replaces ends."""
    registry = registry_of(request)
    return grant_json(registry, await service.accept(conn, registry, subject, grant_id))


@router.post(
    "/grants/{grant_id}/decline",
    summary="Decline a proposed grant",
    responses=answered({**_GRANT, "state": "declined"}, "not_found", "grant_not_waiting"),
)
async def decline(request: Request, grant_id: GrantId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """The other side is told; an earlier grant stays as it was."""
    registry = registry_of(request)
    await service.decline(conn, registry, subject, grant_id)
    return grant_json(registry, await service.get(conn, registry, subject, grant_id))


@router.post(
    "/grants/{grant_id}/terms",
    summary="Change a grant",
    description="The grantor narrows at once. Anything wider is a proposal to the other side, and the old terms hold "
    "until it is accepted.",
    responses=answered(_GRANT, "not_found", "grant_not_in_force"),
)
async def change(
    request: Request, grant_id: GrantId, body: TermsIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """The new grant, in force or proposed."""
    registry = registry_of(request)
    made, _ = await service.change(conn, registry, subject, grant_id, body.terms())
    return grant_json(registry, await service.get(conn, registry, subject, made))


@router.delete(
    "/grants/{grant_id}",
    summary="Withdraw a grant",
    responses=answered({**_GRANT, "state": "withdrawn"}, "not_found", "grant_not_in_force"),
)
async def withdraw(
    request: Request, grant_id: GrantId, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """Nothing is seen through it from the very next read on."""
    registry = registry_of(request)
    await service.withdraw(conn, registry, subject, grant_id)
    return grant_json(registry, await service.get(conn, registry, subject, grant_id))


@router.get(
    "/grant-reads",
    summary="Who read your records",
    responses=answered({"items": [_READ], "next": None}),
)
async def reads(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    reader: Annotated[int | None, Query(ge=1, le=INT_MAX)] = None,
    since: AwareDatetime | None = None,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Every read of the own organisation's records by grant, delegation or office, newest first (R-B10, D10)."""
    registry, lang = registry_of(request), language(request)
    found = await service.reads(
        conn, registry, subject, before=cursor, reader=reader, since=since, limit=limit
    )
    return {
        "items": [read_json(registry, one, lang) for one in found],
        "next": str(found[-1].id) if len(found) == limit else None,
    }
