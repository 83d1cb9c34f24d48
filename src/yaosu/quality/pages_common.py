"""What the room's pages share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import Form, Query, Request
from starlette.responses import Response

from yaosu.access.visibility import visible
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.quality import views
from yaosu.quality.balance import YEARS
from yaosu.quality.checks import AREAS, CHINA
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

Text = Annotated[str, Form(max_length=4_000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
Word = Annotated[str, Form(max_length=40, pattern=r"^[a-z0-9_-]*$")]
Whole = Annotated[str, Form(pattern=r"^\d{0,9}$")]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Asked = Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")]
PAGE = 50


def day_of(text: str, field: str) -> date | None:
    """A day from a form field; refused (`field_invalid`) when there is no such day."""
    try:
        day = date.fromisoformat(text) if text else None
        if day is not None and day.year not in YEARS:
            raise ValueError(text)
        return day
    except ValueError as error:
        raise YaosuError("field_invalid", {"field": field, "reason": "2026-09-30"}) from error


def at(value: datetime | None) -> str:
    """A time as people in China read it."""
    return value.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if value is not None else ""


def written(text: str) -> str:
    """A time as it stands in kept evidence, as people in China read it."""
    try:
        return at(datetime.fromisoformat(text))
    except ValueError:
        return text


def own(subject: Subject) -> bool:
    """Whether the reader looks at the own organisation's records, not by office."""
    return visible(subject).kind == "own"


def show(
    request: Request,
    subject: Subject,
    template: str,
    context: Mapping[str, Any],
    error: YaosuError | None = None,
) -> Response:
    """A page of the room, with the error of the form it shows again."""
    registry, lang = registry_of(request), language(request)
    full = {
        "at": at,
        "written": written,
        "areas": AREAS,
        "own": own(subject),
        "may_manage": subject.can("quality.manage"),
        "may_approve": subject.can("quality.approve"),
        "problem": error.as_json(lang) if error is not None else None,
        "name_of": lambda number: views.org_name(registry, number),
        "product_name": lambda number: views.product_name(registry, number),
        **context,
    }
    return render(request, f"quality/{template}", full, error.http if error is not None else 200)
