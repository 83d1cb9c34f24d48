"""Organisations and their licences over the API."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.registry import service
from yaosu.registry.api_common import After, Fresh, Limit, Number, Region, SmallQuery, Words, cursor
from yaosu.registry.model import Licence
from yaosu.registry.schemas import (
    LicenceBody,
    LicenceOut,
    LicencesOut,
    OrgBody,
    OrgCardOut,
    OrgChange,
    OrgOut,
    OrgsOut,
)
from yaosu.registry.service_orgs import licence_warning

router = APIRouter(tags=["registry"])


def _licence(one: Licence, lang: str, today: date) -> LicenceOut:
    warning = licence_warning(one, today)
    return LicenceOut.of(one, warning.as_json(lang) if warning is not None else None)


def _today() -> date:
    return date.today()  # noqa: DTZ011 — licences end by the calendar where the server runs


@router.get(
    "/orgs",
    summary="Directory of organisations",
    description="With `q`: by 统一社会信用代码 or name, those beginning with the words first. Without: by number.",
    response_model=OrgsOut,
    responses=problems("unauthenticated", "forbidden", "invalid_request"),
)
async def list_orgs(
    conn: Conn,
    subject: CurrentSubject,
    q: Words = "",
    type: SmallQuery = None,
    region: Region = "",
    parent_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    after: After = 0,
    limit: Limit = 50,
) -> Any:
    """Search or page through the directory."""
    if q:
        found = await service.search_orgs(conn, subject, q, type, region, limit)
        return OrgsOut(items=[OrgCardOut.of(o) for o in found], next=None)
    found = await service.list_orgs(conn, subject, after, region, type, parent_id, limit)
    return OrgsOut(items=[OrgCardOut.of(o) for o in found], next=cursor([o.id for o in found], limit))


@router.post(
    "/orgs",
    status_code=201,
    summary="Register an organisation",
    description="For the platform's operator. One record per 统一社会信用代码.",
    response_model=OrgOut,
    responses=problems("unauthenticated", "forbidden", "org_invalid", "org_taken", "org_name_taken"),
)
async def create_org(fresh: Fresh, conn: Conn, subject: CurrentSubject, body: OrgBody) -> Any:
    """Register an organisation."""
    return OrgOut.full(await service.create_org(conn, subject, body.draft(), body.same_name_ok))


@router.get(
    "/orgs/licence-warnings",
    summary="Licences that have lapsed or lapse soon",
    description="The own organisation's; all for the operator.",
    response_model=LicencesOut,
    responses=problems("unauthenticated", "forbidden", "invalid_request"),
)
async def licence_warnings(
    request: Request, conn: Conn, subject: CurrentSubject, days: Annotated[int, Query(ge=0, le=3650)] = 90
) -> Any:
    """Licences by their end."""
    lang = language(request)
    found = await service.licence_warnings(conn, subject, _today(), days)
    return LicencesOut(items=[LicenceOut.of(one, f.as_json(lang)) for one, f in found])


@router.get(
    "/orgs/{org_id}",
    summary="One organisation",
    description="Contacts, address and other numbers are blank unless it is yours, your store, or in your remit.",
    response_model=OrgOut,
    responses=problems("unauthenticated", "forbidden", "org_not_found"),
)
async def get_org(conn: Conn, subject: CurrentSubject, org_id: Number) -> Any:
    """One organisation."""
    return OrgOut.full(await service.get_org(conn, subject, org_id))


@router.put(
    "/orgs/{org_id}",
    summary="Change an organisation",
    description="The operator changes everything, an organisation its own short name, address and contacts.",
    response_model=OrgOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "org_not_found",
        "org_invalid",
        "org_field_not_yours",
        "org_taken",
        "org_name_taken",
        "stale_version",
    ),
)
async def update_org(
    fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number, body: OrgChange
) -> Any:
    """Change an organisation."""
    made = await service.update_org(conn, subject, org_id, body.draft(), body.version, body.same_name_ok)
    return OrgOut.full(made)


@router.get(
    "/orgs/{org_id}/licences",
    summary="Licences of an organisation",
    description="Empty unless the organisation is yours, your store, or in your remit.",
    response_model=LicencesOut,
    responses=problems("unauthenticated", "forbidden", "org_not_found"),
)
async def licences(request: Request, conn: Conn, subject: CurrentSubject, org_id: Number) -> Any:
    """Licences with what there is to say about their end."""
    found = await service.licences(conn, subject, org_id)
    return LicencesOut(items=[_licence(one, language(request), _today()) for one in found])


@router.put(
    "/orgs/{org_id}/licences",
    summary="Write a licence",
    description="The same kind and number replaces the earlier entry.",
    response_model=LicenceOut,
    responses=problems("unauthenticated", "forbidden", "org_not_found", "org_invalid"),
)
async def put_licence(
    request: Request, conn: Conn, subject: CurrentSubject, org_id: Number, body: LicenceBody
) -> Any:
    """Write a licence."""
    made = await service.put_licence(conn, subject, org_id, body.draft())
    return _licence(made, language(request), _today())
