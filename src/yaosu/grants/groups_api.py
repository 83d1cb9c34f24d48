"""医联体/医共体 over the API (R-C5)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.grants import groups as telling
from yaosu.grants.views import org_json, product_json
from yaosu.registry import groups
from yaosu.registry.groups import CHINA, Group
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry

router = APIRouter(tags=["groups"])

INT_MAX = 2**31 - 1
GroupId = Annotated[int, Path(ge=1, le=INT_MAX)]
OrgNumber = Annotated[int, Field(ge=1, le=INT_MAX)]

_ORG = {"id": 9, "name": "某县人民医院", "uscc": "", "type": 3, "region": "370126"}
_GROUP: dict[str, Any] = {
    "id": 2,
    "name": "某县医共体",
    "kind": "county",
    "lead": _ORG,
    "state": "active",
    "members": [{"org": _ORG, "state": "member", "since": "2026-09-01T09:00:00+08:00"}],
    "drugs": [
        {
            "id": 5,
            "product": {"id": 7, "name": "阿莫西林胶囊 0.25g 24粒/盒"},
            "reason": "short",
            "reason_name": "短缺药品",
            "valid_from": "2026-09-01",
            "valid_to": None,
            "in_force": True,
        }
    ],
}


def answered(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def group_json(registry: Registry, group: Group, lang: str) -> dict[str, Any]:
    """A group as callers see it."""
    today = datetime.now(CHINA).date()
    return {
        "id": group.id,
        "name": group.name,
        "kind": group.kind,
        "kind_name": registry.lists.text("care_group_kind", group.kind, lang),
        "lead": org_json(registry, group.lead),
        "state": "ended" if group.ended_at else "active",
        "members": [
            {
                "org": org_json(registry, m.org),
                "state": m.state,
                "since": (m.left_at or m.accepted_at or m.invited_at).isoformat(),
            }
            for m in group.members
        ],
        "drugs": [
            {
                "id": d.id,
                "product": product_json(registry, d.drug_id),
                "reason": d.reason,
                "reason_name": registry.lists.text("transfer_reason", d.reason, lang),
                "valid_from": d.valid_from.isoformat(),
                "valid_to": d.valid_to.isoformat() if d.valid_to else None,
                "in_force": d.holds(today),
            }
            for d in group.drugs
        ],
    }


class GroupIn(BaseModel):
    """A new group; the caller's hospital leads it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "某县医共体", "kind": "county"}]}
    )
    name: Annotated[CleanText, Field(min_length=1, max_length=groups.NAME_MAX)]
    kind: Annotated[CleanText, Field(max_length=20, description="Code list `care_group_kind`.")]


class InviteIn(BaseModel):
    """A hospital to ask."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"org": 9}]})
    org: OrgNumber


class DrugIn(BaseModel):
    """A drug that members may transfer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"drug_id": 7, "reason": "short", "valid_from": "2026-09-01", "valid_to": "2026-12-31"}
            ]
        },
    )
    drug_id: OrgNumber
    reason: Annotated[
        CleanText, Field(max_length=20, description="Code list `transfer_reason`: urgent, short.")
    ]
    valid_from: date
    valid_to: date | None = None


@router.get("/groups", summary="Medical groups", responses=answered({"items": [_GROUP], "next": None}))
async def list_groups(request: Request, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """Groups the own hospital leads, belongs to or is asked to join (R-C5)."""
    registry, lang = registry_of(request), language(request)
    return {
        "items": [group_json(registry, g, lang) for g in await groups.listed(conn, subject)],
        "next": None,
    }


@router.post("/groups", summary="Found a medical group", responses=answered(_GROUP, "field_invalid"))
async def create(request: Request, body: GroupIn, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """The own hospital leads it."""
    registry = registry_of(request)
    made = await groups.create(conn, registry, subject, body.name, body.kind)
    return group_json(registry, await groups.get(conn, subject, made), language(request))


@router.get("/groups/{group_id}", summary="One medical group", responses=answered(_GROUP, "not_found"))
async def get(request: Request, group_id: GroupId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """For its members and those asked."""
    return group_json(registry_of(request), await groups.get(conn, subject, group_id), language(request))


@router.get(
    "/groups-transfer",
    summary="Whether a drug may be transferred between two hospitals",
    responses=answered({"allowed": False, "finding": {"code": "transfer_drug_not_listed"}}),
)
async def may_transfer(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    to_org: Annotated[int, Query(ge=1, le=INT_MAX)],
    drug_id: Annotated[int, Query(ge=1, le=INT_MAX)],
    on: AwareDatetime | None = None,
) -> dict[str, Any]:
    """From the own hospital to another, now or at a moment; the same rule as the bill's (203)."""
    subject.require(groups.READ_SCOPE)
    registry = registry_of(request)
    moment = on or datetime.now(CHINA)
    found = await groups.may_transfer(conn, registry, subject.org, to_org, drug_id, moment)
    return {"allowed": found is None, "finding": found.as_json(language(request)) if found else None}


@router.post(
    "/groups/{group_id}/members",
    summary="Ask a hospital to join",
    responses=answered(
        _GROUP, "not_found", "group_not_leader", "group_ended", "group_already_asked", "group_full"
    ),
)
async def invite(
    request: Request, group_id: GroupId, body: InviteIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """By the lead; the hospital is told and accepts."""
    registry = registry_of(request)
    await telling.invite(conn, registry, subject, group_id, body.org)
    return group_json(registry, await groups.get(conn, subject, group_id), language(request))


@router.post(
    "/groups/{group_id}/accept",
    summary="Join a medical group",
    responses=answered(_GROUP, "not_found", "group_not_invited"),
)
async def accept(request: Request, group_id: GroupId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """A member from now on."""
    registry = registry_of(request)
    await telling.accept(conn, registry, subject, group_id)
    return group_json(registry, await groups.get(conn, subject, group_id), language(request))


@router.delete(
    "/groups/{group_id}/members/{org_id}",
    summary="Leave a group, or take a member out",
    responses=answered({"id": 2}, "not_found", "group_not_leader", "group_lead_stays", "group_not_invited"),
)
async def leave(
    request: Request,
    group_id: GroupId,
    org_id: Annotated[int, Path(ge=1, le=INT_MAX)],
    subject: CurrentSubject,
    conn: Conn,
) -> dict[str, Any]:
    """From now on nothing may be transferred to or from it."""
    await telling.leave(conn, registry_of(request), subject, group_id, org_id)
    return {"id": group_id}


@router.delete(
    "/groups/{group_id}",
    summary="Dissolve a group",
    responses=answered({"id": 2}, "not_found", "group_not_leader", "group_ended"),
)
async def end(request: Request, group_id: GroupId, subject: CurrentSubject, conn: Conn) -> dict[str, Any]:
    """By its lead; members are told."""
    await telling.end(conn, registry_of(request), subject, group_id)
    return {"id": group_id}


@router.post(
    "/groups/{group_id}/drugs",
    summary="List a drug for transfer",
    responses=answered(_GROUP, "not_found", "group_not_leader", "group_ended"),
)
async def add_drug(
    request: Request, group_id: GroupId, body: DrugIn, subject: CurrentSubject, conn: Conn
) -> dict[str, Any]:
    """By the lead: which drug, why, for how long."""
    registry = registry_of(request)
    await groups.add_drug(
        conn, registry, subject, group_id, body.drug_id, body.reason, body.valid_from, body.valid_to
    )
    return group_json(registry, await groups.get(conn, subject, group_id), language(request))


@router.delete(
    "/groups/{group_id}/drugs/{group_drug_id}",
    summary="Take a drug off the list",
    responses=answered(_GROUP, "not_found", "group_not_leader", "group_ended"),
)
async def end_drug(
    request: Request,
    group_id: GroupId,
    group_drug_id: Annotated[int, Path(ge=1, le=INT_MAX)],
    subject: CurrentSubject,
    conn: Conn,
) -> dict[str, Any]:
    """At once."""
    await groups.end_drug(conn, subject, group_id, group_drug_id)
    return group_json(registry_of(request), await groups.get(conn, subject, group_id), language(request))
