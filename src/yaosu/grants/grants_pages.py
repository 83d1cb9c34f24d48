"""数据授权: who may see whose downstream data, and who did (R-B10)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import FIELDS
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.grants import service
from yaosu.grants.model import STATES, Grant, Terms
from yaosu.grants.views import field_name, grant_json, product_json, read_json
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

router = APIRouter()

CHINA = ZoneInfo("Asia/Shanghai")
PAGE = 50
PARTNERS_MAX = 40
GrantId = Annotated[int, Path(ge=1, le=2**31 - 1)]
OrgText = Annotated[str, Form(pattern=r"^\d{0,9}$")]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


def partner_options(registry: Registry, lang: str, ids: list[int]) -> list[dict[str, Any]]:
    """Organisations as the picker takes them."""
    found = []
    for org_id in dict.fromkeys(ids):
        one = registry.org(org_id)
        if one is not None and one.active:
            kind = registry.lists.text("org_type", one.type, lang)
            found.append({"id": one.id, "name": one.name, "uscc": one.uscc, "note": kind})
    return found[:PARTNERS_MAX]


def _products(registry: Registry, owner: int) -> list[dict[str, Any]]:
    """What an organisation answers for as MAH or manufacturer."""
    return [
        product_json(registry, p.id) for p in registry.products().values() if p.active and p.owned_by(owner)
    ]


def until_of(text: str, lang: str) -> datetime | None:
    """The end of a day; refused (`field_invalid`) for a day that is over."""
    if not text:
        return None
    try:
        end = datetime.combine(date.fromisoformat(text), time(), CHINA) + timedelta(days=1)
    except (ValueError, OverflowError):
        end = None
    if end is None or end <= datetime.now(UTC):
        reason = "应为今天或以后的日期" if lang == "zh" else "must be today or later"
        raise YaosuError("field_invalid", {"field": "until", "reason": reason})
    return end


def _terms(
    drugs: list[int] | None, every: bool, fields: list[str] | None, until: str, note: str, lang: str
) -> Terms:
    chosen = None if every else tuple(drugs or ())
    return Terms(chosen, frozenset(fields or ()), until_of(until, lang), note.strip())


def _form(
    registry: Registry,
    subject: Subject,
    lang: str,
    side: str,
    other: int | None,
    drug: int | None,
    grants: list[Grant],
) -> dict[str, Any]:
    """What the form of a proposal needs. `side`: what the subject is, grantee (MAH) or grantor (distributor)."""
    mine = subject.org
    partners = [o for g in grants for o in (g.grantor, g.grantee) if o != mine]
    grantee = mine if side == "grantee" else other
    card = registry.org(other) if other else None
    return {
        "side": side,
        "partners": partner_options(registry, lang, partners),
        "chosen": card,
        "products": _products(registry, grantee) if grantee else [],
        "drug": drug,
        "fields": [(f, field_name(f, lang)) for f in FIELDS],
    }


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    side: str = "",
    other: int | None = None,
    drug: int | None = None,
    error: YaosuError | None = None,
    cursor: int | None = None,
) -> Response:
    registry, lang = registry_of(request), language(request)
    grants = await service.listed(conn, registry, subject, cursor, PAGE)
    more = f"/grants?cursor={grants[-1].id}" if len(grants) == PAGE else ""
    mine = set(service.us(registry, subject))
    kind = side or ("grantee" if subject.org_type in ("1", "7") else "grantor")
    rank = {state: n for n, state in enumerate(STATES)}
    # what waits for us first, then what holds, then the past
    grants.sort(key=lambda g: (g.waits_for not in mine, rank[g.state], -g.id))
    views = [{**grant_json(registry, g), "ours": g.waits_for in mine} for g in grants]
    context = {
        "shown": len(grants),
        "next": more,
        "given": [v for v in views if v["grantor"]["id"] in mine],
        "held": [v for v in views if v["grantee"]["id"] in mine and v["grantor"]["id"] not in mine],
        "may": subject.can(service.SCOPE),
        "names": {f: field_name(f, lang) for f in FIELDS},
        "problem": error.as_json(lang) if error else None,
        "form": _form(registry, subject, lang, kind, other, drug, grants),
    }
    return render(request, "grants/grants.html", context, error.http if error else 200)


@router.get("/grants")
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    side: Annotated[str, Query(pattern="^(grantor|grantee)?$")] = "",
    other: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    drug: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """Grants given and held, what waits for an answer first; the form of a proposal beside them."""
    return await _page(request, conn, subject, side, other, drug, cursor=cursor)


@router.post("/grants")
async def offer(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    side: Annotated[str, Form(pattern="^(grantor|grantee)$")],
    other: OrgText = "",
    drug: Annotated[list[int] | None, Form(max_length=service.DRUGS_MAX)] = None,
    every: Annotated[bool, Form()] = False,
    field: Annotated[list[str] | None, Form(max_length=8)] = None,
    until: Day = "",
    note: Annotated[str, Form(max_length=service.NOTE_MAX)] = "",
) -> Response:
    """Invite or offer."""
    partner = int(other or 0)
    grantor, grantee = (partner, subject.org) if side == "grantee" else (subject.org, partner)
    try:
        terms = _terms(drug, every, field, until, note, language(request))
        made = await service.offer(conn, registry_of(request), subject, grantor, grantee, terms)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _page(request, conn, subject, side, partner or None, None, error)
    return see_other(f"/grants/{made}")


@router.get("/grants/reads")
async def reads(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    reader: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    since: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """Who read our records, when and what."""
    registry, lang = registry_of(request), language(request)
    start = None
    if since:
        try:
            start = datetime.combine(date.fromisoformat(since), time(), CHINA)
        except ValueError as error:
            raise YaosuError("field_invalid", {"field": "since", "reason": "2026-09-30"}) from error
    who = int(reader) if reader else None
    found = await service.reads(conn, registry, subject, before=cursor, reader=who, since=start, limit=PAGE)
    more = f"/grants/reads?reader={reader}&since={since}&cursor={found[-1].id}" if len(found) == PAGE else ""
    readers = {one.org: registry.org(one.org) for one in found if one.org is not None}
    if who is not None:
        readers.setdefault(who, registry.org(who))
    return render(
        request,
        "grants/reads.html",
        {
            "items": [(one, read_json(registry, one, lang)) for one in found],
            "readers": [(card.id, card.name) for card in readers.values() if card is not None],
            "reader": reader,
            "since": since,
            "next": more,
        },
    )


async def _one_page(
    request: Request, conn: Connection, subject: Subject, grant_id: int, error: YaosuError | None = None
) -> Response:
    registry, lang = registry_of(request), language(request)
    grant = await service.get(conn, registry, subject, grant_id)
    mine = set(service.us(registry, subject))
    return render(
        request,
        "grants/grant.html",
        {
            "grant": grant_json(registry, grant),
            "value": grant,
            "granting": grant.grantor in mine,
            "answer": grant.waits_for in mine and subject.can(service.SCOPE),
            "may": subject.can(service.SCOPE),
            "fields": [(f, field_name(f, lang)) for f in FIELDS],
            "names": {f: field_name(f, lang) for f in FIELDS},
            "products": _products(registry, grant.grantee),
            "problem": error.as_json(lang) if error else None,
        },
        error.http if error else 200,
    )


@router.get("/grants/{grant_id}")
async def one(request: Request, conn: Conn, subject: CurrentSubject, grant_id: GrantId) -> Response:
    """One grant with its terms and what can be done."""
    return await _one_page(request, conn, subject, grant_id)


@router.post("/grants/{grant_id}/{act}")
async def act(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    grant_id: GrantId,
    act: Annotated[str, Path(pattern="^(accept|decline|withdraw|change)$")],
    drug: Annotated[list[int] | None, Form(max_length=service.DRUGS_MAX)] = None,
    every: Annotated[bool, Form()] = False,
    field: Annotated[list[str] | None, Form(max_length=8)] = None,
    until: Day = "",
    note: Annotated[str, Form(max_length=service.NOTE_MAX)] = "",
) -> Response:
    """Accept, decline, withdraw, or change the terms."""
    registry = registry_of(request)
    target = grant_id
    try:
        if act == "accept":
            await service.accept(conn, registry, subject, grant_id)
        elif act == "decline":
            await service.decline(conn, registry, subject, grant_id)
        elif act == "withdraw":
            await service.withdraw(conn, registry, subject, grant_id)
        else:
            terms = _terms(drug, every, field, until, note, language(request))
            target, _ = await service.change(conn, registry, subject, grant_id, terms)
    except YaosuError as error:
        if error.http in (403, 404):
            raise
        return await _one_page(request, conn, subject, grant_id, error)
    return see_other(f"/grants/{target}")
