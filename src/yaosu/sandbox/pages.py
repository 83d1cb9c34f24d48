"""The sandbox page (R-I1)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from yaosu.circulation.parts import committer_of
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.sandbox import service
from yaosu.sandbox.api import shown

router = APIRouter()


@router.get("/sandbox")
async def sandbox_page(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """What is in the sandbox, keys to it, and the button that begins anew."""
    subject.require(service.SCOPE)
    box = await shown(conn, registry_of(request), subject)
    return render(request, "sandbox/sandbox.html", {"box": box, "made": None})


@router.post("/sandbox/reset")
async def reset(request: Request, subject: CurrentSubject) -> Response:
    """Make or reset."""
    app = state(request)
    await service.build(
        app.pool, committer_of(request), registry_of(request), app.parts["master_secret"], subject
    )
    return RedirectResponse("/sandbox", status_code=303)


@router.post("/sandbox/keys")
async def make_key(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    role: Annotated[str, Form(max_length=20)],
    name: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """A key, shown once."""
    number, secret = await service.new_key(conn, subject, role, name.strip())
    box = await shown(conn, registry_of(request), subject)
    return render(request, "sandbox/sandbox.html", {"box": box, "made": {"id": number, "secret": secret}})


@router.post("/sandbox/keys/end")
async def end_key(
    conn: Conn, subject: CurrentSubject, key_id: Annotated[str, Form(max_length=12)]
) -> Response:
    """End a key."""
    if not key_id.isascii() or not key_id.isdigit() or int(key_id) >= 2**31:
        raise YaosuError("not_found", {"what": "key"})
    await service.end_key(conn, subject, int(key_id))
    return RedirectResponse("/sandbox", status_code=303)
