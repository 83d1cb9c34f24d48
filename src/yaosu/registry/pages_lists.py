"""Pages of code lists."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.errors import YaosuError
from yaosu.registry import service
from yaosu.registry.api_common import Fresh, Region
from yaosu.registry.forms import Form
from yaosu.registry.pages_common import show
from yaosu.registry.roles import is_operator
from yaosu.registry.service_lists import known
from yaosu.subject import Subject

router = APIRouter()

Listed = Annotated[str, Path(max_length=60)]


@router.get("/code-lists")
async def index(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The index of code lists."""
    subject.require("org.read")
    lists = await service.current_lists(conn)
    return show(request, "code_lists.html", {"lists": [lists.whole(n) for n in lists.names()]})


@router.get("/code-lists/{name}")
async def one(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Listed,
    at: Annotated[date | None, Query()] = None,
    region: Region = "",
) -> Response:
    """One code list on a day, in a region."""
    return await _page(request, conn, subject, name, at, region, {}, None)


async def _page(
    request: Request,
    conn: Any,
    subject: Subject,
    name: str,
    at: date | None,
    region: str,
    form: dict[str, Any],
    error: YaosuError | None,
) -> Response:
    subject.require("org.read")
    lists = await service.current_lists(conn)
    whole = lists.whole(known(name))
    context = {
        "list": whole,
        "items": lists.get(name, at, region),
        "columns": sorted({k for i in whole.items for k in i.attrs}),
        "at": at,
        "region": region,
        "form": form,
        "operator": is_operator(subject),
    }
    return show(request, "code_list.html", context, error)


@router.post("/code-lists/{name}")
async def override(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, name: Listed
) -> Response:
    """Put the operator's version of an entry in force."""
    form = await Form.of(request)
    try:
        begin, end = form.day("valid_from"), form.day("valid_to")
        form.refuse("code_list_item_invalid")
        await service.override_item(
            conn,
            subject,
            name,
            form.text("code"),
            form.text("zh"),
            form.text("en"),
            form.text("source"),
            form.text("region"),
            begin,
            end,
        )
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _page(request, conn, subject, name, None, "", dict(form.back()), error)
    return see_other(f"/code-lists/{name}")
