"""待处理区: goods that must not enter stock, why, for how long, and the ways out (R-B4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from asyncpg import Record
from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.circulation import service, store_pages, views
from yaosu.circulation import store_read as store
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.pages_common import PAGE, Cursor, next_number, partners_of, show
from yaosu.circulation.parts import committer_of
from yaosu.circulation.schemas import org_id
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import Finding, YaosuError
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()

LONG_DAYS = 1
"""Goods longer in quarantine than this many days are shown in red."""
CHOSEN_MAX = 500

TYPE_OF_WAY = {"release": 6, "return": 202, "destroy": 205}
"""The bill type by which goods leave quarantine."""

Text = Annotated[str, Form(max_length=500, pattern=r"^[^\x00]*$")]


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    tab: str,
    before: int | None,
    error: YaosuError | None = None,
    result: MovementResult | None = None,
) -> Response:
    subject.require("bill.read")
    registry, lang = registry_of(request), language(request)
    rows = await store.quarantine(conn, visible(subject), subject.org, tab == "open", before, PAGE)
    may = subject.can("quarantine.dispose")
    held = (
        await store_pages.held_for(conn, visible(subject), [r["id"] for r in rows]) if tab == "open" else {}
    )
    lists = registry.lists
    context: dict[str, Any] = {
        "tab": tab,
        "items": [views.quarantine_view(registry, r, lang) for r in rows],
        "next": f"/quarantine?tab={tab}&before={rows[-1]['id']}" if len(rows) == PAGE else "",
        "long": timedelta(days=LONG_DAYS),
        "now": datetime.now(UTC),
        "may_dispose": may and tab == "open",
        "may_move": may and tab == "open" and subject.can("bill.write"),
        "may_case": tab == "open" and subject.can("exception.handle"),
        "held": {n: case for n, case in held.items() if not case["decided"]},
        "decided": {n: case for n, case in held.items() if case["decided"]},
        "kinds": [(i.code, i.zh if lang == "zh" else i.en) for i in lists.get("exception_kind")],
        "partners": await partners_of(request, conn, subject)
        if may or subject.can("exception.handle")
        else [],
        "reasons": [(i.code, i.zh if lang == "zh" else i.en) for i in lists.get("destroy_reason")],
        "bill_no": await next_number(conn, subject.org, "DC"),
        "verdicts": result.as_json(lang)["results"] if result is not None else [],
    }
    return show(request, "quarantine.html", context, error)


@router.get("/quarantine")
async def quarantine(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    tab: Annotated[Literal["open", "closed"], Query()] = "open",
    before: Cursor = None,
) -> Response:
    """Open entries with reason and age, or what became of the closed ones."""
    return await _page(request, conn, subject, tab, before)


@router.post("/quarantine/dispose")
async def dispose(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    way: Annotated[Literal["release", "return", "destroy"], Form()],
    bill_no: Annotated[str, Form(max_length=64, pattern=r"^[^\x00-\x1f]+$")],
    ids: Annotated[list[int] | None, Form(max_length=CHOSEN_MAX)] = None,
    reason_text: Text = "",
    reason: Annotated[str, Form(max_length=16, pattern=r"^[^\x00]*$")] = "",
    executer_name: Text = "",
    superviser_name: Text = "",
    to_org: Annotated[str, Form(max_length=20, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    """放行 / 退回供货方 / 销毁 of the chosen goods, as one bill."""
    subject.require("quarantine.dispose")
    numbers = [i for i in ids or () if 0 < i < 2**63]
    rows = await store_pages.quarantine_chosen(conn, visible(subject), subject.org, numbers)
    header = {
        "reason_text": reason_text.strip(),
        "reason": reason,
        "executer_name": executer_name.strip(),
        "superviser_name": superviser_name.strip(),
    }
    header = {key: value for key, value in header.items() if value}
    result: MovementResult | None = None
    try:
        codes = _codes(rows)
        movement = Movement(
            type=TYPE_OF_WAY[way],
            bill_no=bill_no.strip(),
            owner=subject.org,
            happened_at=datetime.now(UTC),
            codes=codes,
            to_org=org_id(registry_of(request), "to_org", to_org) if way == "return" else None,
            header=header,
            body=orjson.dumps(
                {"way": way, "bill_no": bill_no, "to_org": to_org, "header": header, "codes": codes}
            ),
        )
        pool, committer = state(request).pool, committer_of(request)
        result = await service.submit(pool, committer, registry_of(request), subject, movement)
    except YaosuError as error:
        if error.http == 403:
            raise
        return await _page(request, conn, subject, "open", None, error)
    if not result.bill_id:
        return await _page(request, conn, subject, "open", None, result=result)
    return see_other(f"/bills/{result.bill_id}")


def _codes(rows: list[Record]) -> list[str]:
    """The codes of chosen goods that are in our books and still in quarantine; refused (`no_codes`) without any."""
    codes = list(dict.fromkeys(r["code"] for r in rows if r["moved"] and r["closed_at"] is None))
    if not codes:
        raise YaosuError("invalid_request", {"count": 1}, [Finding("no_codes", {}, "ids")])
    return codes


@router.post("/quarantine/{entry_id}/dismiss")
async def dismiss(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    entry_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    disposition: Text = "",
) -> Response:
    """Close an entry of goods that never entered the books, with what became of them."""
    subject.require("quarantine.dispose")
    zh = language(request) == "zh"
    if len(disposition.strip()) < 2:
        params = {"field": "disposition", "reason": "请填写处置结果" if zh else "say what became of them"}
        return await _page(request, conn, subject, "open", None, YaosuError("field_invalid", params))
    row = await conn.fetchrow(store.DISMISS, entry_id, subject.org, disposition.strip())
    if row is None:
        raise YaosuError("not_found", {"what": "待处理记录" if zh else "Quarantine entry"})
    return see_other("/quarantine")
