"""Stock and statements over the API."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.ledger import service, tables
from yaosu.ledger.model import ON_HAND, Axis, StatementLine, StockLine
from yaosu.ledger.sheets import download
from yaosu.ledger.store import START, Cursor
from yaosu.registry.parts import registry_of

router = APIRouter(tags=["ledger"])

Id = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
AnswerAs = Annotated[Literal["json", "csv", "xlsx"], Query(description="json, or a file for spreadsheets")]
AxisOf = Annotated[
    Axis, Query(description="recorded: when it was reported; happened: when it was done (bills may be late)")
]


class StockItem(BaseModel):
    """One account; counts are smallest packages."""

    org_id: int
    org: str
    drug_id: int
    product: str
    batch_no: str
    expires_on: str
    status: str
    qty: int


class StockOut(BaseModel):
    """Accounts in key order."""

    items: list[StockItem]
    next: str | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "items": [
                    {
                        "org_id": 7,
                        "org": "某大药房",
                        "drug_id": 12,
                        "product": "阿莫西林胶囊 0.25g 24粒/盒",
                        "batch_no": "20260901",
                        "expires_on": "2028-08-31",
                        "status": "I",
                        "qty": 1200,
                    }
                ],
                "next": None,
            }
        }
    }


class LevelItem(BaseModel):
    """Outermost packages of one level."""

    level: int
    name: str
    packages: int
    qty: int


class LevelsOut(BaseModel):
    """A shelf by package level; `mixed_qty` stands in containers of several batches."""

    items: list[LevelItem]
    mixed_qty: int
    next: str | None = None

    model_config = {
        "json_schema_extra": {
            "example": {
                "items": [
                    {"level": 2, "name": "箱", "packages": 6, "qty": 1194},
                    {"level": 1, "name": "盒", "packages": 6, "qty": 6},
                ],
                "mixed_qty": 0,
                "next": None,
            }
        }
    }


class StatementItem(BaseModel):
    """进销存 of one batch. `in` and `out` by bill type; `difference` other than 0 needs an explanation."""

    drug_id: int
    product: str
    batch_no: str
    opening: int
    came: dict[int, int]
    went: dict[int, int]
    closing: int
    balance: int
    difference: int
    ties: bool
    late: int


class StatementOut(BaseModel):
    """A statement; `ties` when every line does."""

    items: list[StatementItem]
    ties: bool
    next: str | None = None

    model_config = {
        "json_schema_extra": {
            "example": {
                "items": [
                    {
                        "drug_id": 12,
                        "product": "阿莫西林胶囊 0.25g 24粒/盒",
                        "batch_no": "20260901",
                        "opening": 100,
                        "came": {"102": 1200},
                        "went": {"321": 40},
                        "closing": 1260,
                        "balance": 1260,
                        "difference": 0,
                        "ties": True,
                        "late": 0,
                    }
                ],
                "ties": True,
                "next": None,
            }
        }
    }


def cursor_text(cursor: Cursor | None) -> str | None:
    """A cursor as callers hand it back."""
    return base64.urlsafe_b64encode(orjson.dumps(cursor)).decode() if cursor is not None else None


def cursor_of(text: str) -> Cursor:
    """The cursor in `text`; refused (`invalid_request`) when it is none of ours."""
    if not text:
        return START
    try:
        org, drug, batch, status = orjson.loads(base64.urlsafe_b64decode(text))
        if all(type(n) is int and 0 <= n < 2**31 for n in (org, drug, batch)) and isinstance(status, str):
            return org, drug, batch, status
    except (ValueError, TypeError):
        pass
    raise YaosuError("invalid_request", {"count": 1})


def statuses_of(text: str) -> Sequence[str]:
    """Letters of the parameter `status`, goods on hand when it is empty."""
    return tuple(dict.fromkeys(text.upper().replace(",", ""))) or ON_HAND


@router.get(
    "/stock",
    summary="Stock",
    description="Smallest packages by organisation, product, batch and status, now or at a past moment (`at`); from "
    "balances, never from units (R-X5).",
    response_model=StockOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "not_found",
        "ledger_status_unknown",
        "ledger_org_needed",
        "ledger_export_too_large",
        "invalid_request",
    ),
)
async def stock(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    org: Id = None,
    drug_id: Id = None,
    batch_no: Annotated[str, Query(max_length=200)] = "",
    status: Annotated[
        str, Query(max_length=20, description="letters, e.g. IQ; goods on hand (AIQ) when empty")
    ] = "",
    at: AwareDatetime | None = None,
    axis: AxisOf = "recorded",
    cursor: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    format: AnswerAs = "json",
) -> StockOut | Response:
    """Stock by account."""
    registry = registry_of(request)
    wanted = (org, drug_id, batch_no or None, statuses_of(status), at, axis)
    if format != "json":
        whole = await service.whole_stock(conn, subject, *wanted)
        return download(format, "stock", "stock", *tables.stock_table(registry, whole, language(request)))
    lines, after = await service.stock(conn, subject, *wanted, cursor_of(cursor), limit)

    def item(line: StockLine) -> StockItem:
        return StockItem(
            org_id=line.org,
            org=tables.org_name(registry, line.org),
            drug_id=line.drug_id,
            product=tables.product_name(registry, line.drug_id),
            batch_no=line.batch_no,
            expires_on=line.expires_on,
            status=line.status,
            qty=line.qty,
        )

    return StockOut(items=[item(line) for line in lines], next=cursor_text(after))


@router.get(
    "/stock/levels",
    summary="Stock by package level",
    description="Outermost packages of one account by package level: how the goods stand on the shelf.",
    response_model=LevelsOut,
    responses=problems("unauthenticated", "forbidden", "not_found", "ledger_status_unknown"),
)
async def stock_levels(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug_id: Annotated[int, Query(ge=1, le=2**31 - 1)],
    batch_no: Annotated[str, Query(min_length=1, max_length=200)],
    org: Id = None,
    status: Annotated[Literal["I", "Q"], Query()] = "I",
) -> LevelsOut:
    """A shelf by package level."""
    whose = org if org is not None else subject.org
    found, mixed = await service.levels_by_number(conn, subject, whose, drug_id, batch_no, status)
    registry = registry_of(request)
    items = [
        LevelItem(
            level=one.level,
            name=tables.level_name(registry, drug_id, one.level),
            packages=one.packages,
            qty=one.qty,
        )
        for one in found
    ]
    return LevelsOut(items=items, mixed_qty=mixed)


@router.get(
    "/statements",
    summary="Statement (进销存)",
    description="Opening, in and out by bill type, closing, per product and batch, after `from` up to `to`. Opening "
    "+ in − out = closing, and the live balances reckoned back say the same; `ties` tells whether they do.",
    response_model=StatementOut,
    responses=problems("unauthenticated", "forbidden", "not_found", "ledger_time_range", "invalid_request"),
)
async def statement(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    start: Annotated[AwareDatetime, Query(alias="from", examples=["2026-09-01T00:00:00+08:00"])],
    end: Annotated[AwareDatetime, Query(alias="to", examples=["2026-10-01T00:00:00+08:00"])],
    org: Id = None,
    drug_id: Id = None,
    axis: AxisOf = "happened",
    format: AnswerAs = "json",
) -> StatementOut | Response:
    """进销存 between two moments."""
    lines = await service.statement(conn, subject, start, end, org, drug_id, axis)
    registry = registry_of(request)
    if format != "json":
        table = tables.statement_table(registry, lines, language(request))
        return download(format, "statement", "statement", *table)

    def item(line: StatementLine) -> StatementItem:
        return StatementItem(
            drug_id=line.drug_id,
            product=tables.product_name(registry, line.drug_id),
            batch_no=line.batch_no,
            opening=line.opening,
            came=line.came,
            went=line.went,
            closing=line.closing,
            balance=line.balance,
            difference=line.difference,
            ties=line.ties,
            late=line.late,
        )

    return StatementOut(items=[item(line) for line in lines], ties=all(line.ties for line in lines))
