"""Pages of stock and statements."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.ledger import service, tables
from yaosu.ledger.api import cursor_of, cursor_text, statuses_of
from yaosu.ledger.model import LevelLine, StockLine
from yaosu.registry.parts import registry_of
from yaosu.rules.states import label

router = APIRouter()

CHINA = ZoneInfo("Asia/Shanghai")
SHOWN = 200
Text = Annotated[str, Query(max_length=200)]


def number(text: str) -> int | None:
    """A number from a form field; None when it is empty. Refused (`field_invalid`) when it is none."""
    if not text.strip():
        return None
    if not text.strip().isascii() or not text.strip().isdigit() or not 1 <= int(text) < 2**31:
        raise YaosuError("field_invalid", {"field": text[:40], "reason": "1, 2, 3 …"})
    return int(text)


def day(text: str, otherwise: date) -> date:
    """A day from a form field; refused (`field_invalid`) when it is none."""
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError as error:
        raise YaosuError("field_invalid", {"field": text[:40], "reason": "2026-09-30"}) from error


@router.get("/stock")
async def stock_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    org: Text = "",
    drug: Text = "",
    batch: Text = "",
    status: Text = "",
    at: Text = "",
    cursor: Text = "",
) -> Response:
    """Stock with filters; a past day shows the stock at its end."""
    registry = registry_of(request)
    today = datetime.now(CHINA).date()
    moment = _end_of(day(at, today)) if at else None
    drug_id, org_id = number(drug), number(org)
    lines, after = await service.stock(
        conn,
        subject,
        org_id,
        drug_id,
        batch.strip() or None,
        statuses_of(status),
        moment,
        "happened",
        cursor_of(cursor),
        SHOWN,
    )
    levels: tuple[list[LevelLine], int] | None = None
    whose = org_id if org_id is not None else subject.org_id
    if drug_id and batch.strip() and whose and moment is None:
        try:
            levels = await service.levels_by_number(conn, subject, whose, drug_id, batch.strip())
        except YaosuError:
            # who sees lines of these books but not the books as a whole reads the lines and no shelf
            if not lines:
                raise
    query = {"org": org, "drug": drug, "batch": batch, "status": status, "at": at}
    return render(
        request,
        "ledger/stock.html",
        {
            "lines": lines,
            "next": cursor_text(after),
            "query": query,
            "levels": levels,
            "today": today,
            "many": visible(subject).kind != "own",
            "totals": _totals(lines),
            "name_of_org": lambda n: tables.org_name(registry, n),
            "name_of_product": lambda n: tables.product_name(registry, n),
            "name_of_level": lambda n: tables.level_name(registry, drug_id or 0, n),
            "statuses": [(s, label(s, language(request))) for s in service.STATUSES],
        },
    )


def _totals(lines: list[StockLine]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        found[line.status] = found.get(line.status, 0) + line.qty
    return found


def _end_of(when: date) -> datetime:
    return datetime.combine(when + timedelta(days=1), time(), CHINA) - timedelta(microseconds=1)


@router.get("/statements")
async def statement_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    start: Annotated[str, Query(alias="from", max_length=40)] = "",
    end: Annotated[str, Query(alias="to", max_length=40)] = "",
    org: Text = "",
    drug: Text = "",
) -> Response:
    """进销存 of whole days, the last month unless asked otherwise."""
    registry = registry_of(request)
    today = datetime.now(CHINA).date()
    first, last = day(start, today - timedelta(days=30)), day(end, today)
    org_id = number(org)
    lines = None
    since, until = _end_of(first - timedelta(days=1)), _end_of(last)
    if org_id is not None or subject.org_id is not None:
        lines = await service.statement(conn, subject, since, until, org_id, number(drug))
    lang = language(request)
    return render(
        request,
        "ledger/statement.html",
        {
            "lines": lines,
            "first": first,
            "last": last,
            "since": since.isoformat(),
            "until": until.isoformat(),
            "org": org,
            "drug": drug,
            "many": visible(subject).kind != "own",
            "name_of_product": lambda n: tables.product_name(registry, n),
            "movements": lambda counts: tables.movements(counts, lang),
        },
    )
