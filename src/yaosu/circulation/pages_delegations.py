"""委托授权: who may submit bills in our name, and for whom we may (R-B8)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from yaosu.circulation import delegations
from yaosu.circulation.cache import CHINA
from yaosu.circulation.pages_common import partners_of, show
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()


async def _page(
    request: Request, conn: Connection, subject: Subject, error: YaosuError | None = None
) -> Response:
    subject.require("bill.read")
    items = await delegations.listed(conn, registry_of(request), subject)
    now = datetime.now(UTC)
    for one in items:
        until = one["valid_until"]
        one["state"] = "withdrawn" if one["revoked_at"] else "ended" if until and until <= now else "in_force"
    context = {
        "given": [one for one in items if one["principal"]["id"] == subject.org],
        "held": [one for one in items if one["agent"]["id"] == subject.org],
        "may_give": subject.can("grant.manage"),
        "partners": await partners_of(request, conn, subject),
    }
    return show(request, "delegations.html", context, error)


@router.get("/delegations")
async def listed(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Delegations given and held."""
    return await _page(request, conn, subject)


@router.post("/delegations")
async def give(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    agent: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    valid_until: Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
) -> Response:
    """Let another organisation submit for us, until the end of a day or until withdrawn."""
    subject.require("grant.manage")
    try:
        until = _end_of(valid_until, language(request))
        await delegations.give(conn, registry_of(request), subject, int(agent or 0), until)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _page(request, conn, subject, error)
    return see_other("/delegations")


def _end_of(text: str, lang: str) -> datetime | None:
    if not text:
        return None
    try:
        until = datetime.combine(date.fromisoformat(text), time(), CHINA) + timedelta(days=1)
    except (ValueError, OverflowError):
        until = None
    if until is None or until <= datetime.now(UTC):
        reason = "应为今天或以后的日期" if lang == "zh" else "must be today or later"
        raise YaosuError("field_invalid", {"field": "valid_until", "reason": reason})
    return until


@router.post("/delegations/{delegation_id}/withdraw")
async def withdraw(
    conn: Conn, subject: CurrentSubject, delegation_id: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> Response:
    """End a delegation at once."""
    await delegations.withdraw(conn, subject, delegation_id)
    return see_other("/delegations")
