"""What the registry's pages share: choices of selects, labels, errors by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.registry.lists import CodeLists, region_path
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry


class Words:
    """Labels for templates, in the reader's language."""

    def __init__(self, request: Request) -> None:
        self.lang = language(request)
        self.registry: Registry = registry_of(request)
        self.lists: CodeLists = self.registry.lists

    def label(self, name: str, code: object) -> str:
        """The label of a code-list entry."""
        return self.lists.text(name, str(code) if code is not None else None, self.lang)

    def choices(self, name: str) -> list[tuple[str, str]]:
        """Entries of a list for a select."""
        return [(i.code, i.zh if self.lang == "zh" else i.en) for i in self.lists.get(name)]

    def place(self, region: str) -> str:
        """Province, city and county."""
        return region_path(region, self.lang)

    def org(self, org_id: int | None) -> str:
        """Name of an organisation."""
        card = self.registry.org(org_id) if org_id is not None else None
        return card.name if card is not None else ""


def show(
    request: Request,
    template: str,
    context: Mapping[str, Any],
    error: YaosuError | None = None,
) -> Response:
    """A page of the registry with `words`, and the error of the form it shows again."""
    body = error.as_json(language(request)) if error is not None else None
    by_field: dict[str, str] = {}
    if body is not None:
        for finding in body["findings"]:  # type: ignore[attr-defined]
            by_field.setdefault(finding["where"], finding["message"])
    full = {"words": Words(request), "error": body, "errors": by_field, **context}
    return render(request, f"registry/{template}", full, error.http if error is not None else 200)
