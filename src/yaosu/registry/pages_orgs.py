"""Pages of organisations."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.errors import YaosuError
from yaosu.registry import service
from yaosu.registry.api_common import After, Fresh, Number, Region
from yaosu.registry.drafts import LicenceDraft, OrgDraft
from yaosu.registry.forms import Form
from yaosu.registry.pages_common import show
from yaosu.registry.roles import is_operator, require_operator
from yaosu.registry.service_orgs import OWN_FIELDS, draft_of, licence_warning, sees_all_of

router = APIRouter()
SIZE = 50


@router.get("/orgs")
async def orgs(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    q: Annotated[CleanText, Query()] = "",
    type: Annotated[str, Query(pattern=r"^\d{0,4}$")] = "",
    region: Region = "",
    after: After = 0,
) -> Response:
    """The directory."""
    kind = int(type) if type else None
    if q:
        items = await service.search_orgs(conn, subject, q, kind, region, SIZE)
    else:
        items = await service.list_orgs(conn, subject, after, region, kind, None, SIZE)
    more = f"/orgs?after={items[-1].id}&type={type}&region={region}" if not q and len(items) == SIZE else ""
    context = {"items": items, "q": q, "type": type, "region": region, "next": more}
    return show(request, "orgs.html", context | {"operator": is_operator(subject)})


@router.get("/orgs/new")
async def new_org(request: Request, subject: CurrentSubject) -> Response:
    """The form of a new organisation."""
    require_operator(subject)
    return show(request, "org_form.html", {"org": None, "form": {}, "own_only": False})


@router.post("/orgs/new")
async def create(request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject) -> Response:
    """Register an organisation."""
    form = await Form.of(request)
    try:
        made = await service.create_org(conn, subject, _draft(form, None), form.ticked("same_name_ok"))
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return show(request, "org_form.html", {"org": None, "form": form.back(), "own_only": False}, error)
    return see_other(f"/orgs/{made.id}")


@router.get("/orgs/{org_id}")
async def one(request: Request, conn: Conn, subject: CurrentSubject, org_id: Number) -> Response:
    """One organisation."""
    return await _page(request, conn, subject, org_id)


async def _page(
    request: Request, conn: Any, subject: Any, org_id: int, error: YaosuError | None = None
) -> Response:
    org = await service.get_org(conn, subject, org_id)
    licences = await service.licences(conn, subject, org_id)
    today = date.today()  # noqa: DTZ011 — licences end by the calendar where the server runs
    own = subject.org_id == org_id
    context = {
        "org": org,
        "full": sees_all_of(subject, org.card),
        "may_edit": is_operator(subject) or (own and subject.can("org.write")),
        "licences": [(one, licence_warning(one, today)) for one in licences],
        "stores": await service.list_orgs(conn, subject, 0, "", None, org_id, SIZE),
    }
    return show(request, "org.html", context, error)


@router.get("/orgs/{org_id}/edit")
async def edit(request: Request, conn: Conn, subject: CurrentSubject, org_id: Number) -> Response:
    """The form of an organisation."""
    own = subject.org_id == org_id
    if not own:
        require_operator(subject)
    subject.require("org.write")
    org = await service.get_org(conn, subject, org_id)
    draft = draft_of(org)
    values = {f: getattr(draft, f) for f in OrgDraft.__dataclass_fields__}
    form = {**values, "version": org.version}
    return show(request, "org_form.html", {"org": org, "form": form, "own_only": own})


@router.post("/orgs/{org_id}/edit")
async def change(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number
) -> Response:
    """Change an organisation."""
    form = await Form.of(request)
    own = subject.org_id == org_id
    org = await service.get_org(conn, subject, org_id)
    try:
        draft = _draft(form, draft_of(org) if own else None)
        version = form.number("version") or 0
        await service.update_org(conn, subject, org_id, draft, version, form.ticked("same_name_ok"))
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return show(request, "org_form.html", {"org": org, "form": form.back(), "own_only": own}, error)
    return see_other(f"/orgs/{org_id}")


@router.post("/orgs/{org_id}/licences")
async def licence(request: Request, conn: Conn, subject: CurrentSubject, org_id: Number) -> Response:
    """Write a licence."""
    form = await Form.of(request)
    try:
        draft = LicenceDraft(
            kind=form.small("kind") or 0,
            number=form.text("number"),
            issued_on=form.day("issued_on"),
            expires_on=form.day("expires_on"),
            scope=form.text("scope"),
        )
        form.refuse("org_invalid")
        await service.put_licence(conn, subject, org_id, draft)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _page(request, conn, subject, org_id, error)
    return see_other(f"/orgs/{org_id}")


def _draft(form: Form, mine: OrgDraft | None) -> OrgDraft:
    """The draft in the form; `mine` keeps what an organisation may not change about itself."""
    values: dict[str, Any] = {name: form.text(name) for name in OWN_FIELDS}
    if mine is not None:
        kept = {f: getattr(mine, f) for f in OrgDraft.__dataclass_fields__ if f not in OWN_FIELDS}
        form.refuse("org_invalid")
        return OrgDraft(**kept, **values)
    values |= {name: form.text(name) for name in ("name", "region", "uscc", "other_id")}
    values |= {name: form.small(name) for name in ("sub_type", "other_id_kind")}
    values |= {name: form.number(name) for name in ("parent_id", "domestic_agent_id")}
    values["type"] = form.small("type") or 0
    status = form.small("status")
    values["status"] = 1 if status is None else status
    form.refuse("org_invalid")
    return OrgDraft(**values)
