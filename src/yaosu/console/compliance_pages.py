"""The page of duties and where they are answered; signed-in readers only, links lead where the reader may go."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.console.compliance import GROUPS, STATES, Duty, register
from yaosu.edge.deps import CurrentSubject
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.subject import Subject

router = APIRouter()

Word = Annotated[str, Query(max_length=20)]


def role_of(subject: Subject) -> str:
    """The duties of the reader's own organisation; the operator's for who belongs to none."""
    for name, types in register().role_types.items():
        if any(subject.org_type == t or (len(t) == 1 and subject.org_type[:1] == t) for t in types):
            return name
    return "operator"


def anchor(operation: str) -> str:
    """Where `GET /codes/{code}` stands in the API reference."""
    return "/api/docs#" + re.sub(r"[^a-z0-9]+", "-", operation.lower()).strip("-")


@router.get("/compliance")
async def compliance(
    request: Request, subject: CurrentSubject, role: Word = "", state: Word = ""
) -> Response:
    """Duties, filtered by `role` and `state`; `field_invalid` for a role or state that does not exist."""
    known = register()
    for field, value, values in (("role", role, known.roles), ("state", state, STATES)):
        if value and value not in values:
            raise YaosuError("field_invalid", {"field": field, "reason": ", ".join(values)})
    lang = language(request)
    found = known.of(role, state)
    groups: dict[str, list[Duty]] = {}
    for duty in found:
        groups.setdefault(duty.group, []).append(duty)
    context = {
        "sections": [(GROUPS[letter][0 if lang == "zh" else 1], rows) for letter, rows in groups.items()],
        "counts": {s: len(known.of(role, s)) for s in STATES},
        "roles": [(name, text.of(lang)) for name, text in known.roles.items()],
        "sources": [(name, text.of(lang)) for name, text in known.sources.items() if name != "own"],
        "doors": known.doors,
        "role": role,
        "state": state,
        "mine": role_of(subject),
        "anchor": anchor,
    }
    return render(request, "console/compliance.html", context)
