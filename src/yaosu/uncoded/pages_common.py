"""What the pages of the uncoded room share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from yaosu.edge.pages import china, render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.parts import registry_of
from yaosu.rules.bill_types import bill_types
from yaosu.uncoded import service
from yaosu.uncoded.model import Lot
from yaosu.uncoded.schemas import lot_view


def show(
    request: Request, template: str, context: Mapping[str, Any], error: YaosuError | None = None
) -> Response:
    """A page of the room, with the error of the form it shows again, also by field."""
    lang = language(request)
    body: Any = error.as_json(lang) if error is not None else None
    by_field: dict[str, str] = {}
    if body is not None:
        for finding in body["findings"]:
            by_field.setdefault(finding["where"], finding["message"])
    full = {
        "problem": body,
        "errors": by_field,
        "today": service.today(),
        "at": lambda moment: china(moment) if moment else "",
        "type_name": lambda code: bill_types()[code].label(lang) if code in bill_types() else str(code),
        **context,
    }
    return render(request, f"uncoded/{template}", full, error.http if error is not None else 200)


def shown(request: Request, lot: Lot, draws: bool = False) -> dict[str, Any]:
    """A lot for a template."""
    return lot_view(registry_of(request), lot, service.today(), draws)
