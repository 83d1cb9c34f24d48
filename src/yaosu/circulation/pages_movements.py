"""各类出入库: every kind of single movement with its own page, and stock counts (R-B6).

Shipping, receiving and sale have their own modules; here are returns, loss, damage, destruction, sampling, scrap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import counts, store_count, store_pages, views, views_count
from yaosu.circulation import store_read as store
from yaosu.circulation.api_counts import whole
from yaosu.circulation.cache import CHINA
from yaosu.circulation.header_words import reason_list
from yaosu.circulation.pages_common import (
    PAGE,
    Cursor,
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
from yaosu.circulation.pages_scan import OTHER_KINDS, is_return
from yaosu.circulation.parts import batches_of, committer_of
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import Finding, YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

router = APIRouter()

PREFILL_MAX = 500
"""Goods brought in from the quarantine at once."""
LAST = 8


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of movement with a page of its own; the page is `circulation/move_<slug>.html`."""

    slug: str
    type: int
    prefix: str
    partner: bool = False
    from_quarantine: bool = True
    """Whether goods in quarantine may leave by it."""


MOVES: Mapping[str, Move] = {
    one.slug: one
    for one in (
        Move("purchase-return", 202, "TH", partner=True),
        Move("loss", 220, "BS"),
        Move("damage", 215, "SH"),
        Move("destroy", 205, "XH"),
        Move("sample", 206, "CJ", from_quarantine=False),
        Move("scrap", 216, "BF"),
    )
}


@router.get("/movements")
async def movements(request: Request, subject: CurrentSubject) -> Response:
    """Every movement a person may have to register, with a sentence each."""
    worker(subject)
    own = type_of(subject)
    open_to = {slug for slug, one in MOVES.items() if own in submittable()[one.type].actors}
    context = {
        "open_to": open_to,
        "seller": own in (3, 4),
        "shop": own in submittable()[116].actors,
        "more": [
            t for t in types_for(subject, kinds=OTHER_KINDS) if t.code not in {m.type for m in MOVES.values()}
        ],
    }
    return show(request, "movements.html", context)


@router.get("/movements/sales-return")
async def sales_return(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """销售退回 (103): what customers sent back, to be checked at receipt."""
    own = worker(subject)
    sight, registry, lang = visible(subject), registry_of(request), language(request)
    rows = await store.notices(conn, sight, to_org=own, states=["open", "part"], limit=200)
    received = await store.bills(conn, sight, types=[103, 115], owner=own, limit=LAST)
    context = {
        "coming": [views.notice_view(registry, r, lang) for r in rows if is_return(r["type"])],
        "received": [views.bill_view(registry, r, lang) for r in received],
    }
    return show(request, "sales_return.html", context)


@router.get("/movements/{slug}")
async def movement(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    slug: Annotated[str, Path(max_length=32)],
    quarantine: Annotated[bool, Query()] = False,
    ids: Annotated[str, Query(max_length=8000, pattern=r"^[0-9,]*$")] = "",
) -> Response:
    """The page of one movement. `quarantine` or `ids` begin it with goods that lie in quarantine."""
    own = worker(subject)
    move = MOVES.get(slug)
    kind = submittable()[move.type] if move is not None else None
    if move is None or kind is None or type_of(subject) not in kind.actors:
        raise missing(request, "页面", "Page")
    lang, registry = language(request), registry_of(request)
    waiting = await _waiting(conn, subject, ids) if move.from_quarantine else []
    last = await store.bills(conn, visible(subject), types=[move.type], owner=own, limit=LAST)
    reasons = registry.lists.get(reason_list(move.type)) if reason_list(move.type) else []
    context = {
        "move": move,
        "kind": kind,
        "own": own,
        "owners": await owners_of(request, conn, subject),
        "partners": await partners_of(request, conn, subject) if move.partner else [],
        "bill_no": await next_number(conn, own, move.prefix),
        "now": now_field(),
        "reasons": [(i.code, i.zh if lang == "zh" else i.en) for i in reasons],
        "waiting": len(waiting),
        "prefill": waiting if quarantine or ids else [],
        "key": station_key(subject, "move", slug, "q" if quarantine or ids else ""),
        "last": [views.bill_view(registry, r, lang) for r in last],
    }
    return show(request, f"move_{slug.replace('-', '_')}.html", context)


async def _waiting(conn: Connection, subject: Subject, ids: str) -> list[str]:
    """Codes in the own quarantine that are on the books and not in dispute; only those of `ids` when given."""
    wanted = {int(part) for part in ids.split(",") if part and len(part) < 19}
    rows = await store.quarantine(conn, visible(subject), subject.org, True, None, PREFILL_MAX)
    held = await store_pages.held_for(conn, visible(subject), [r["id"] for r in rows])
    return [
        r["code"] for r in rows if r["moved"] and r["id"] not in held and (not wanted or r["id"] in wanted)
    ]


@router.get("/count")
async def counting(request: Request, conn: Conn, subject: CurrentSubject, before: Cursor = None) -> Response:
    """盘点: choose what is counted, then scan everything on the shelf."""
    own = worker(subject)
    registry = registry_of(request)
    rows = await store_count.counts(conn, visible(subject), before, PAGE)
    stock = await conn.fetch(store_pages.PRODUCTS_IN_STOCK, own)
    names = [(r["drug_id"], views.product_name(registry, r["drug_id"])) for r in stock]
    context = {
        "own": own,
        "products": sorted(names, key=lambda n: n[1]),
        "bill_no": await next_count(conn, own),
        "key": station_key(subject, "count"),
        "items": [views_count.head(registry, r) for r in rows],
        "next": f"/count?before={rows[-1]['id']}" if len(rows) == PAGE else "",
    }
    return show(request, "count.html", context)


async def next_count(conn: Connection, own: int) -> str:
    """The next number of today's counts; counts and their bills share the series."""
    stem = f"PD-{datetime.now(UTC).astimezone(CHINA):%Y%m%d}-"
    taken = await conn.fetchval(store_count.TAKEN, own, stem + "%")
    return f"{stem}{taken + 1:04d}"


@router.get("/count/{count_id}")
async def count(
    request: Request, conn: Conn, subject: CurrentSubject, count_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """Books against shelf, and the one confirmation."""
    return await _count_page(request, conn, subject, count_id)


async def _count_page(
    request: Request, conn: Connection, subject: Subject, count_id: int, error: YaosuError | None = None
) -> Response:
    view = await whole(request, conn, subject, count_id)
    compared = view.get("comparison")
    context = {
        "counted": view,
        "compared": compared,
        "may_confirm": compared is not None and subject.can("bill.write"),
        "shown": views_count.SHOWN_MAX,
    }
    return show(request, "count_result.html", context, error)


@router.post("/count/{count_id}")
async def confirm(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    count_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    act: Annotated[str, Form(pattern="^(confirm|drop)$")],
    digest: Annotated[str, Form(max_length=64, pattern=r"^[0-9a-f]*$")] = "",
    reason: Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """登记差异 / 放弃."""
    try:
        if act == "drop":
            await counts.drop(conn, subject, count_id)
            return see_other("/count")
        if len(reason.strip()) < 2:
            told = "请填写差异原因" if language(request) == "zh" else "say why"
            finding = Finding("field_invalid", {"field": "reason", "reason": told}, "reason")
            raise YaosuError("invalid_request", {"count": 1}, [finding])
        await counts.confirm(
            state(request).pool,
            committer_of(request),
            registry_of(request),
            batches_of(request),
            subject,
            count_id,
            digest,
            reason.strip(),
        )
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _count_page(request, conn, subject, count_id, error)
    return see_other(f"/count/{count_id}")
