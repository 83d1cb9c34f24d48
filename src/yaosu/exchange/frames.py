"""What the doors of the exchange have in common: answers in the API's document, lists, and the operator's pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from yaosu.access.openapi import problems
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError


def answers(example: Any, *codes: str) -> dict[int | str, dict[str, Any]]:
    """The documented answers of an operation: its example, and the refusals that it may give."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", *codes),
    }


def listed(items: Sequence[Any], onward: Any = None) -> dict[str, Any]:
    """A list as every list is answered; `onward` is the cursor of the next page, None on the last."""
    return {"items": list(items), "next": onward}


def paged(items: Sequence[Mapping[str, Any]], limit: int) -> dict[str, Any]:
    """One page of a list whose cursor is the number of its last item."""
    return listed(items, items[-1]["id"] if len(items) == limit else None)


def operator_page(
    request: Request,
    template: str,
    error: YaosuError | None = None,
    once: Mapping[str, str] | None = None,
    form: Mapping[str, Any] | None = None,
    **context: Any,
) -> Response:
    """A page with a form on it: with what was refused and what had been typed, or with what is shown this once."""
    more = {
        "problem": error.as_json(language(request)) if error else None,
        "once": once,
        "form": form or {},
    }
    return render(request, template, {**context, **more}, error.http if error else 200)
