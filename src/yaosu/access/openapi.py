"""Documented refusals for any room's operations, taken from the registry of messages."""

from __future__ import annotations

from typing import Any

from yaosu.errors import YaosuError, message

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: str) -> Responses:
    """The `responses` of an operation that may refuse with these codes, each with its example."""
    found: Responses = {}
    for code in codes:
        entry = message(code)
        content = found.setdefault(
            entry.http, {"description": "", "content": {"application/problem+json": {"examples": {}}}}
        )
        content["description"] = "; ".join(filter(None, (content["description"], entry.en)))
        examples = content["content"]["application/problem+json"]["examples"]
        examples[code] = {"summary": code, "value": YaosuError(code).as_json("zh")}
    return found
