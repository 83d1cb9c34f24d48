"""What the circulation room's pages share: time, choices of bill types and organisations, bill numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import store_pages
from yaosu.circulation.cache import CHINA
from yaosu.db.engine import Connection
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import BillType, submittable
from yaosu.subject import Subject

BillId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
OrgId = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
PAGE = 50

RECEIPT_OF: Mapping[int, int] = {
    201: 102, 202: 103, 203: 104, 207: 102, 209: 107, 210: 102, 211: 108, 212: 110, 218: 115, 222: 104, 223: 102,
    237: 103,
}  # fmt: skip
"""The receipt that answers a shipment, as the form proposes it (standards §5.5); goods refused come back as 103."""

RETURN_TYPES = (202, 218, 237)
"""Shipments that send goods back."""

MAIN_TYPES = (201, 203, 207, 209, 212)
"""Shipments of every day, offered first."""

SALE_TYPES = (321, 323, 322, 326, 327, 320)
"""Sale and use, the usual one of each kind of organisation first."""


def at(value: datetime | None, seconds: bool = False) -> str:
    """A time as people in China read it."""
    if value is None:
        return ""
    return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def age(value: datetime, lang: str, now: datetime | None = None) -> str:
    """How long ago, in the largest unit that fits."""
    minutes = int(((now or datetime.now(UTC)) - value).total_seconds() // 60)
    for size, zh, en in ((1440, "天", "d"), (60, "小时", "h")):
        if minutes >= size:
            return f"{minutes // size} {zh if lang == 'zh' else en}"
    return f"{max(minutes, 0)} {'分钟' if lang == 'zh' else 'min'}"


def days_since(value: datetime) -> int:
    """Whole days since `value`."""
    return (datetime.now(UTC) - value).days


def show(
    request: Request,
    template: str,
    context: Mapping[str, Any],
    error: YaosuError | None = None,
) -> Response:
    """A page of the room, with the error of the form it shows again."""
    lang = language(request)
    body = error.as_json(lang) if error is not None else None
    full = {
        "at": at,
        "age": lambda value: age(value, lang),
        "days_since": days_since,
        "problem": body,
        **context,
    }
    return render(request, f"circulation/{template}", full, error.http if error is not None else 200)


def missing(request: Request, zh: str, en: str) -> YaosuError:
    """Not there, or not theirs to see: the same answer."""
    return YaosuError("not_found", {"what": zh if language(request) == "zh" else en})


def type_of(subject: Subject) -> int:
    """Number of the subject's type of organisation; 0 for the platform's operator."""
    return int(subject.org_type) if subject.org_type.isdigit() else 0


def worker(subject: Subject) -> int:
    """The organisation whose bills the subject may make; refused (`forbidden`) without one or without the right."""
    subject.require("bill.write")
    return subject.org


def types_for(
    subject: Subject, kinds: Collection[str] = (), codes: Collection[int] = (), org_type: int | None = None
) -> list[BillType]:
    """The bill types open to an organisation's type, of these kinds or among these codes, in their order."""
    own = type_of(subject) if org_type is None else org_type
    found = [
        one
        for code, one in submittable().items()
        if own in one.actors and (not kinds or one.kind in kinds) and (not codes or code in codes)
    ]
    if codes:
        order = list(codes)
        found.sort(key=lambda one: order.index(one.code))
    return found


def choices(types: Collection[BillType], lang: str) -> list[tuple[int, str]]:
    """Options of a select, with the number people know them by."""
    return [(one.code, f"{one.code} {one.label(lang)}") for one in types]


async def partners_of(request: Request, conn: Connection, subject: Subject) -> list[dict[str, Any]]:
    """Suggestions of the organisation picker: own partners, the latest first; then stores, headquarters, places."""
    registry = registry_of(request)
    own = subject.org
    ids = await store_pages.partners(conn, visible(subject), own)
    card = registry.org(own)
    if card is not None and card.parent_id:
        ids.append(card.parent_id)
    if card is not None and card.sub_type == HEADQUARTERS:
        ids += registry.stores(own)
    ids += [one.id for one in registry.family_of(own) if one.id != own]
    found = []
    for org_id in dict.fromkeys(ids):
        one = registry.org(org_id)
        if one is not None and one.active:
            kind = registry.lists.text("org_type", one.type, language(request))
            found.append({"id": one.id, "name": one.name, "uscc": one.uscc, "note": kind})
    return found


HEADQUARTERS = 41
"""Sub-type 零售连锁总部 (standards §5.8)."""


async def owners_of(request: Request, conn: Connection, subject: Subject) -> list[tuple[int, str]]:
    """Whom the subject may submit for: itself, its stores (R-B7), its places, its principals (R-B8). For a select."""
    registry = registry_of(request)
    own = subject.org
    card = registry.org(own)
    ids = [own]
    if card is not None and card.sub_type == HEADQUARTERS:
        ids += registry.stores(own)
    ids += [one.id for one in registry.places_of(own)]
    ids += [row["principal"] for row in await conn.fetch(store_pages.PRINCIPALS, own)]
    cards = [registry.org(org_id) for org_id in dict.fromkeys(ids)]
    return [(one.id, one.name) for one in cards if one is not None and one.active]


async def next_number(conn: Connection, owner: int, prefix: str, day: datetime | None = None) -> str:
    """The next free number of today's series, e.g. CK-20260930-0001. A proposal: the bill's number decides."""
    stem = f"{prefix}-{(day or datetime.now(UTC)).astimezone(CHINA):%Y%m%d}-"
    last = await conn.fetchval(store_pages.LAST_NUMBER, owner, stem, stem + "~", len(stem) + 4)
    tail = last[len(stem) :] if last else "0"
    return f"{stem}{int(tail) + 1 if tail.isdigit() else 1:04d}"


def now_field() -> str:
    """Now, as a `datetime-local` field holds it."""
    return datetime.now(CHINA).strftime("%Y-%m-%dT%H:%M")


def station_key(subject: Subject, *parts: object) -> str:
    """Where the browser keeps this station's scans: one place per duty, organisation and person."""
    return ":".join(str(p) for p in (*parts, subject.org_id, subject.account_id))
