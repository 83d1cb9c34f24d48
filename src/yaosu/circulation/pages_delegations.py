"""委托授权: who may submit bills in our name, and for whom we may (R-B8)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.types import CleanText
from yaosu.circulation import delegations
from yaosu.circulation.cache import CHINA
from yaosu.circulation.pages_common import PAGE, partners_of, show
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.acting import acted_for
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
Numbers = Annotated[list[int] | None, Form(max_length=delegations.DRUGS_MAX)]
Before = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    before: int | None = None,
) -> Response:
    subject.require("bill.read")
    registry, lang = registry_of(request), language(request)
    items = await delegations.listed(conn, registry, subject, before, PAGE)
    more = f"/delegations?before={items[-1]['id']}" if len(items) == PAGE else ""
    order = {"in_force": 1, "offered": 2}
    items.sort(key=lambda one: (not one["waits_for_us"], order.get(one["state"], 3), -one["id"]))
    mine = set(delegations.us(registry, subject))
    kinds = [(i.code, i.zh if lang == "zh" else i.en) for i in registry.lists.get(delegations.LIST)]
    context = {
        "shown": len(items),
        "next": more,
        "given": [one for one in items if one["principal"]["id"] in mine],
        "held": [one for one in items if one["agent"]["id"] in mine],
        "may_give": subject.can(delegations.SCOPE),
        "partners": await partners_of(request, conn, subject),
        "kinds": kinds,
        "kind_names": dict(kinds),
        "places": [(card.id, card.name) for card in registry.places_of(subject.org)],
        "products": [
            (p.id, " ".join(filter(None, (p.generic_name, p.strength, p.package_size))))
            for p in sorted(registry.products().values(), key=lambda p: p.generic_name)
            if p.active
        ][:500],
        "acted_for": acted_for(registry, subject.org),
    }
    return show(request, "delegations.html", context, error)


@router.get("/delegations")
async def listed(request: Request, conn: Conn, subject: CurrentSubject, before: Before = None) -> Response:
    """Delegations given and held."""
    return await _page(request, conn, subject, before=before)


@router.post("/delegations")
async def offer(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    agent: Annotated[str, Form(pattern=r"^\d{0,9}$")] = "",
    side: Annotated[str, Form(pattern="^(principal|agent)$")] = "principal",
    valid_from: Day = "",
    valid_until: Day = "",
    note: Annotated[CleanText, Form(max_length=500)] = "",
    kind: Annotated[list[str] | None, Form(max_length=20)] = None,
    drug: Numbers = None,
    place: Numbers = None,
    may_read: Annotated[bool, Form()] = False,
) -> Response:
    """Propose that another organisation submits for us, or that we submit for it; nothing chosen means everything."""
    subject.require(delegations.SCOPE)
    other = int(agent or 0)
    parties = (subject.org, other) if side == "principal" else (other, subject.org)
    try:
        scope = delegations.Scope(
            kinds=tuple(kind) if kind else None,
            drug_ids=tuple(drug) if drug else None,
            places=tuple(place) if place else None,
            may_read=may_read,
            valid_from=_start_of(valid_from, language(request)),
            valid_until=_end_of(valid_until, language(request)),
            note=note.strip(),
        )
        await delegations.offer(conn, registry_of(request), subject, *parties, scope)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _page(request, conn, subject, error)
    return see_other("/delegations")


def _start_of(text: str, lang: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), CHINA)
    except (ValueError, OverflowError) as error:
        reason = "应为日期" if lang == "zh" else "must be a date"
        raise YaosuError("field_invalid", {"field": "valid_from", "reason": reason}) from error


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


@router.post("/delegations/{delegation_id}/{act}")
async def act(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    delegation_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    act: Annotated[str, Path(pattern="^(accept|decline|withdraw)$")],
) -> Response:
    """Accept, decline, or end at once."""
    registry = registry_of(request)
    try:
        if act == "withdraw":
            await delegations.withdraw(conn, registry, subject, delegation_id)
        else:
            await delegations.answer(conn, registry, subject, delegation_id, accept=act == "accept")
    except YaosuError as error:
        if error.http != 409:
            raise
        return await _page(request, conn, subject, error)
    return see_other("/delegations")
