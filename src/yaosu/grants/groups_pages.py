"""医联体/医共体: members and the drugs they may transfer to each other (R-C5)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import Finding, YaosuError
from yaosu.grants import groups as telling
from yaosu.grants.groups_api import group_json
from yaosu.registry import groups
from yaosu.registry.model import OrgType
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
GroupId = Annotated[int, Path(ge=1, le=2**31 - 1)]
Number = Annotated[str, Form(pattern=r"^\d{0,9}$")]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


async def _list_page(
    request: Request, conn: Connection, subject: Subject, error: YaosuError | None = None
) -> Response:
    registry, lang = registry_of(request), language(request)
    listed_ = await groups.listed(conn, subject)
    context = {
        "found": [
            (
                group_json(registry, g, lang),
                next((m.state for m in g.members if m.org == subject.org), ""),
                sum(m.state == "member" for m in g.members),
            )
            for g in listed_
        ],
        "may": subject.can(groups.SCOPE) and subject.org_type == str(int(OrgType.MEDICAL)),
        "kinds": [(i.code, i.zh if lang == "zh" else i.en) for i in registry.lists.get("care_group_kind")],
        "problem": error.as_json(lang) if error else None,
    }
    return render(request, "grants/groups.html", context, error.http if error else 200)


@router.get("/groups")
async def listed(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Groups of the own hospital."""
    return await _list_page(request, conn, subject)


@router.post("/groups")
async def create(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Annotated[str, Form(max_length=groups.NAME_MAX)] = "",
    kind: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Found a group."""
    try:
        made = await groups.create(conn, registry_of(request), subject, name, kind)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _list_page(request, conn, subject, error)
    return see_other(f"/groups/{made}")


async def _page(
    request: Request, conn: Connection, subject: Subject, group_id: int, error: YaosuError | None = None
) -> Response:
    registry, lang = registry_of(request), language(request)
    found = await groups.get(conn, subject, group_id)
    live = found.ended_at is None and subject.can(groups.SCOPE)
    ours = next((m.state for m in found.members if m.org == subject.org), "")
    today = datetime.now(groups.CHINA).date()
    context = {
        "group": group_json(registry, found, lang),
        "leads": live and found.lead == subject.org,
        "asked": live and ours == "invited",
        "member": live and ours == "member" and found.lead != subject.org,
        "reasons": [(i.code, i.zh if lang == "zh" else i.en) for i in registry.lists.get("transfer_reason")],
        "products": [
            (p.id, " ".join(filter(None, (p.generic_name, p.strength, p.package_size))))
            for p in sorted(registry.products().values(), key=lambda p: p.generic_name)
            if p.active
        ][:1000],
        "today": today.isoformat(),
        "problem": error.as_json(lang) if error else None,
    }
    return render(request, "grants/group.html", context, error.http if error else 200)


@router.get("/groups/{group_id}")
async def one(request: Request, conn: Conn, subject: CurrentSubject, group_id: GroupId) -> Response:
    """One group: members, drugs."""
    return await _page(request, conn, subject, group_id)


def _day(text: str, field: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        finding = Finding("field_invalid", {"field": field, "reason": "2026-09-30"}, field)
        raise YaosuError("invalid_request", {"count": 1}, [finding]) from error


@router.post("/groups/{group_id}/{act}")
async def act(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    group_id: GroupId,
    act: Annotated[str, Path(pattern="^(invite|accept|leave|end|add-drug|end-drug)$")],
    org: Number = "",
    drug: Number = "",
    entry: Number = "",
    reason: Annotated[str, Form(max_length=20)] = "",
    valid_from: Day = "",
    valid_to: Day = "",
) -> Response:
    """Everything that can be done with a group; the page again with what was wrong."""
    registry = registry_of(request)
    try:
        if act == "invite":
            await telling.invite(conn, registry, subject, group_id, int(org or 0))
        elif act == "accept":
            await telling.accept(conn, registry, subject, group_id)
        elif act == "leave":
            await telling.leave(conn, registry, subject, group_id, int(org) if org else None)
            if not org or int(org) == subject.org:
                return see_other("/groups")
        elif act == "end":
            await telling.end(conn, registry, subject, group_id)
        elif act == "add-drug":
            start = _day(valid_from, "valid_from") or datetime.now(groups.CHINA).date()
            await groups.add_drug(
                conn, registry, subject, group_id, int(drug or 0), reason, start, _day(valid_to, "valid_to")
            )
        else:
            await groups.end_drug(conn, subject, group_id, int(entry or 0))
    except YaosuError as error:
        if error.http in (403, 404) and error.code != "group_not_leader":
            raise
        return await _page(request, conn, subject, group_id, error)
    return see_other(f"/groups/{group_id}")
