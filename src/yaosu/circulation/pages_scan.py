"""Scan stations of shipping, sale and use, returns and all other movements.

The stations talk to the API (`/api/v1/movements`, `/api/v1/movements/check`); these pages only prepare their forms.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from yaosu.access.visibility import visible
from yaosu.circulation import store_read as store
from yaosu.circulation import views
from yaosu.circulation.pages_common import (
    MAIN_TYPES,
    RETURN_TYPES,
    SALE_TYPES,
    OrgId,
    choices,
    missing,
    next_number,
    now_field,
    owners_of,
    partners_of,
    show,
    station_key,
    type_of,
    types_for,
    worker,
)
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import BillType, submittable
from yaosu.subject import Subject

router = APIRouter()

TypeQuery = Annotated[int | None, Query(ge=1, le=999)]

OTHER_KINDS = ("make", "find", "hold", "withdraw", "end", "rework")
"""Kinds of movements without a page of their own."""

LAST_SALES = 12

PREFIXES = {"ship": "CK", "use": "LS", "give_back": "XT", "make": "RK", "find": "PY"}
"""First letters of proposed bill numbers by kind of movement; QT for all others."""


def prefix_of(kind: BillType) -> str:
    """The first letters of a proposed bill number."""
    if kind.code in RETURN_TYPES:
        return "TH"
    return PREFIXES.get(kind.kind, "QT")


def chosen(subject: Subject, types: list[BillType], code: int | None) -> BillType:
    """The type asked for, else the first; refused (`bill_type_not_yours`) when it is not among them."""
    if not types:
        raise YaosuError("forbidden", {"scope": "bill.write"})
    if code is None:
        return types[0]
    for one in types:
        if one.code == code:
            return one
    named = submittable().get(code)
    if named is None:
        raise YaosuError("bill_type_unknown", {"type": code})
    raise YaosuError("bill_type_not_yours", {"type": code, "name": named.label(subject.lang)})


@router.get("/bills/next-number")
async def proposed_number(
    conn: Conn, subject: CurrentSubject, prefix: Annotated[str, Query(pattern="^[A-Z]{2}$")] = "CK"
) -> Response:
    """The next bill number of today, for a station's form after each bill."""
    return JSONResponse({"bill_no": await next_number(conn, worker(subject), prefix)})


@router.get("/ship")
async def ship(
    request: Request, conn: Conn, subject: CurrentSubject, type: TypeQuery = None, to: OrgId = None
) -> Response:
    """发货: goods leave for somebody else (R-B1, R-B6)."""
    own = worker(subject)
    lang, registry = language(request), registry_of(request)
    types = types_for(subject, kinds=("ship",))
    types.sort(key=lambda t: (MAIN_TYPES.index(t.code) if t.code in MAIN_TYPES else 99, t.code))
    kind = chosen(subject, types, type)
    prefix = prefix_of(kind)
    context = {
        "kind": kind,
        "types": choices([t for t in types if (t.code in RETURN_TYPES) == (kind.code in RETURN_TYPES)], lang),
        "partners": await partners_of(request, conn, subject),
        "receiver": registry.org(to) if to else None,
        "owners": await owners_of(request, conn, subject),
        "own": own,
        "bill_no": await next_number(conn, own, prefix),
        "prefix": prefix,
        "now": now_field(),
        "reasons": _items(request, "return_reason") if kind.code in RETURN_TYPES else [],
        "is_return": kind.code in RETURN_TYPES,
        "key": station_key(subject, "ship", "return" if kind.code in RETURN_TYPES else "out"),
    }
    return show(request, "ship.html", context)


def _items(request: Request, name: str) -> list[tuple[str, str]]:
    lang = language(request)
    return [(i.code, i.zh if lang == "zh" else i.en) for i in registry_of(request).lists.get(name)]


@router.get("/sell")
async def sell(
    request: Request, conn: Conn, subject: CurrentSubject, type: TypeQuery = None, owner: OrgId = None
) -> Response:
    """销售/使用: the fastest page; scan, verdict, F9 (R-C1, R-C3)."""
    own = worker(subject)
    if type_of(subject) not in (3, 4):
        raise YaosuError("forbidden", {"scope": "bill.write"})
    types = types_for(subject, codes=SALE_TYPES)
    kind = chosen(subject, types, type)
    context = {
        "kind": kind,
        "types": [(t.code, t.label(language(request))) for t in types],
        "owners": await owners_of(request, conn, subject),
        "own": own,
        "owner": owner or own,
        "key": station_key(subject, "sell"),
        "kinds": _items(request, "id_kind_person"),
        **await _last(request, conn, subject),
    }
    return show(request, "sell.html", context)


@router.get("/sell/last")
async def last_sales(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The list of the latest sales by itself, for the page to renew after each one."""
    worker(subject)
    return show(request, "_last_sales.html", await _last(request, conn, subject))


async def _last(request: Request, conn: Connection, subject: Subject) -> dict[str, object]:
    rows = await store.bills(
        conn, visible(subject), types=list(SALE_TYPES), owner=subject.org, limit=LAST_SALES
    )
    registry, lang = registry_of(request), language(request)
    return {"last": [views.bill_view(registry, r, lang) for r in rows]}


@router.get("/consumer-returns")
async def consumer_returns(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """消费者退货 (116): goods come back from a person and go to quarantine."""
    own = worker(subject)
    kind = chosen(subject, types_for(subject, codes=(116,)), 116)
    rows = await store.bills(conn, visible(subject), types=[116], owner=own, limit=LAST_SALES)
    registry, lang = registry_of(request), language(request)
    context = {
        "kind": kind,
        "own": own,
        "bill_no": await next_number(conn, own, prefix_of(kind)),
        "prefix": prefix_of(kind),
        "now": now_field(),
        "reasons": _items(request, "return_reason"),
        "key": station_key(subject, "consumer-return"),
        "last": [views.bill_view(registry, r, lang) for r in rows],
    }
    return show(request, "consumer_returns.html", context)


@router.get("/returns")
async def returns(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """退货: what comes back to us, and what we sent back (R-B6)."""
    own = worker(subject)
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    coming = [
        views.notice_view(registry, r, lang)
        for r in await store.notices(conn, sight, to_org=own, states=["open", "part"], limit=200)
        if is_return(r["type"])
    ]
    sent = await store.bills(conn, sight, types=list(RETURN_TYPES), owner=own, limit=20)
    received = await store.bills(conn, sight, types=[103, 115], owner=own, limit=20)
    context = {
        "coming": coming,
        "sent": [views.bill_view(registry, r, lang) for r in sent],
        "received": [views.bill_view(registry, r, lang) for r in received],
        "types": choices(types_for(subject, codes=RETURN_TYPES), lang),
    }
    return show(request, "returns.html", context)


def is_return(type_code: int) -> bool:
    """Whether goods under this notice come back: sent back by a return, or refused at a receipt."""
    return type_code in RETURN_TYPES or type_code < 200


@router.get("/other")
async def other(request: Request, subject: CurrentSubject) -> Response:
    """其他出入库: every further bill type open to the organisation."""
    worker(subject)
    sorts = []
    for kinds in (("make", "find"), ("withdraw",), ("end", "hold", "rework")):
        sorts.append(types_for(subject, kinds=kinds))
    return show(request, "other.html", {"sorts": sorts})


@router.get("/other/{code}")
async def other_station(
    request: Request, conn: Conn, subject: CurrentSubject, code: Annotated[int, Path(ge=1, le=999)]
) -> Response:
    """The scan station of one of them, with the fields it needs."""
    own = worker(subject)
    types = types_for(subject, kinds=OTHER_KINDS)
    kind = next((t for t in types if t.code == code), None)
    if kind is None:
        raise missing(request, "单据类型", "Bill type")
    context = {
        "kind": kind,
        "own": own,
        "owners": await owners_of(request, conn, subject),
        "bill_no": await next_number(conn, own, prefix_of(kind)),
        "prefix": prefix_of(kind),
        "now": now_field(),
        "reasons": _items(request, kind.reasons) if kind.reasons else [],
        "key": station_key(subject, "other", code),
    }
    return show(request, "other_station.html", context)
