"""Page of the places inside the own organisation."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.errors import YaosuError
from yaosu.registry import places as service
from yaosu.registry.api_common import Fresh, Number
from yaosu.registry.forms import Form
from yaosu.registry.pages_common import Words, show
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()


@router.get("/places")
async def places(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """内部场所: what there is, what stands there, and how to set one up."""
    return await _page(request, conn, subject)


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    form: Form | None = None,
) -> Response:
    found = await service.places(conn, subject)
    own = registry_of(request).org(subject.org)
    words = Words(request)
    types = service.place_types(words.lists, own.type) if own is not None else []
    context = {
        "places": found,
        "types": [(t.code, t.zh if words.lang == "zh" else t.en) for t in types],
        "may_edit": subject.can("org.write") and own is not None and not own.place and bool(types),
        "form": form.back() if form is not None else {},
    }
    return show(request, "places.html", context, error)


@router.post("/places")
async def create(request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject) -> Response:
    """Set up a place."""
    form = await Form.of(request)
    try:
        async with conn.transaction():
            name, address, sub_type = form.text("name"), form.text("address"), form.small("sub_type")
            form.refuse("org_invalid")
            await service.create_place(conn, subject, name, sub_type or 0, address)
    except YaosuError as error:
        return await _again(request, conn, subject, error, form)
    return see_other("/places")


@router.post("/places/{org_id}")
async def change(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, org_id: Number
) -> Response:
    """Rename, close or reopen one."""
    form = await Form.of(request)
    action = form.text("action")
    try:
        async with conn.transaction():
            if action == "close":
                await service.close_place(conn, subject, org_id)
            elif action == "reopen":
                await service.reopen_place(conn, subject, org_id)
            else:
                await service.rename_place(conn, subject, org_id, form.text("name"))
    except YaosuError as error:
        return await _again(request, conn, subject, error, None)
    return see_other("/places")


async def _again(
    request: Request, conn: Connection, subject: Subject, error: YaosuError, form: Form | None
) -> Response:
    if error.http in (401, 403, 404):
        raise error
    return await _page(request, conn, subject, error, form)
