"""What the recall room's pages share: rendering with a form's problem, choices of products, lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Form, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.edge.pages import china, render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.recall import store_lock
from yaosu.recall.remit import is_office, over_product
from yaosu.registry.model import Product
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

OrderId = Annotated[int, Path(ge=1, le=2**31 - 1)]
OrgQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Before = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Line = Annotated[str, Form(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
Lines = Annotated[str, Form(max_length=4000, pattern=r"^[^\x00]*$")]
Long = Annotated[str, Form(max_length=400_000, pattern=r"^[^\x00]*$")]
CHOICES_MAX = 300


def shown_at(text: str | None) -> str:
    """A time of a view as people here read it; blank for none."""
    return china(datetime.fromisoformat(text)) if text else ""


def seconds(value: float | None, lang: str) -> str:
    """A measured time in the unit people grasp; a dash where it has not happened."""
    if value is None:
        return "—"
    zh = lang == "zh"
    if value < 1:
        return f"{value * 1000:,.0f} " + ("毫秒" if zh else "ms")
    for size, one, other in ((86400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")):
        if value >= size * 2:
            return f"{value / size:,.1f} {one if zh else other}"
    return f"{value:,.1f} " + ("秒" if zh else "s")


def show(
    request: Request, template: str, context: Mapping[str, Any], error: YaosuError | None = None
) -> Response:
    """A page of the room, with the error of the form it shows again."""
    lang = language(request)
    full = {
        "at": shown_at,
        "seconds": lambda value: seconds(value, lang),
        "problem": error.as_json(lang) if error is not None else None,
        **context,
    }
    return render(request, f"recall/{template}", full, error.http if error is not None else 200)


def split_lines(text: str) -> list[str]:
    """Entries of a text area: one a line, or set apart by commas of either width."""
    for mark in ("，", "、", ",", ";", "；", "\t"):
        text = text.replace(mark, "\n")
    return [part.strip() for part in text.splitlines() if part.strip()]


def code_lines(text: str) -> list[str]:
    """Scanned texts of a text area, one a line: they may hold any mark."""
    return [part.strip() for part in text.splitlines() if part.strip()]


def label_of(product: Product) -> str:
    """A product as a choice."""
    return f"{product.generic_name} {product.strength} {product.package_size}（{product.id}）"


async def products_for(
    request: Request, conn: Connection, subject: Subject, *, recall: bool
) -> list[tuple[int, str]]:
    """Products the subject may recall; for locks those in its own stock too. Empty when there are too many to list."""
    registry = registry_of(request)
    ids = {p.id for p in registry.products().values() if over_product(subject, registry, p)}
    if not recall and not is_office(subject):
        ids |= set(await store_lock.stocked(conn, visible(subject), subject.org))
    if len(ids) > CHOICES_MAX:
        return []
    found = [p for p in (registry.product(i) for i in ids) if p is not None]
    return [(p.id, label_of(p)) for p in sorted(found, key=lambda p: (p.generic_name, p.id))]


def provinces(request: Request) -> list[tuple[str, str]]:
    """Provinces of list `region`."""
    zh = language(request) == "zh"
    items = registry_of(request).lists.get("region")
    return [(i.code, i.zh if zh else i.en) for i in items if i.code.endswith("0000")]
