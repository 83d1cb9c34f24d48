"""Help for each role's scanning, one screen per role (R-I3). Public: new staff read it before they have a login."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml
from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.console import stories
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject

router = APIRouter()
router.include_router(stories.router)


@cache
def roles() -> dict[str, dict[str, Any]]:
    """Help by role, as `help.yaml` has it."""
    text = (resources.files("yaosu.console") / "help.yaml").read_text("utf-8")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return loaded


def role_of(subject: Subject) -> str:
    """The reader's own role; the consumer's for who is nobody, the maker's for the platform's operator."""
    if subject.kind == "anonymous":
        return "consumer"
    for name, entry in roles().items():
        if any(subject.org_type == t or (len(t) == 1 and subject.org_type[:1] == t) for t in entry["types"]):
            return name
    return next(iter(roles()))


def _told(entry: dict[str, Any], lang: str) -> dict[str, Any]:
    """One entry in the reader's language."""
    steps = [
        {"at": s.get("at", ""), "title": s[lang], "text": s[f"text_{lang}"]} for s in entry.get("steps", ())
    ]
    return {"name": entry[lang], "lead": entry[f"lead_{lang}"], "steps": steps}


@router.get("/help")
async def own_help(request: Request) -> Response:
    """The reader's own role's screen."""
    return _screen(request, role_of(getattr(request.state, "subject", ANONYMOUS)))


@router.get("/help/{role}")
async def role_help(request: Request, role: str) -> Response:
    """One role's screen; `not_found` for a role that does not exist."""
    if role not in roles():
        raise YaosuError("not_found", {"what": "该帮助页" if language(request) == "zh" else "This help page"})
    return _screen(request, role)


def _screen(request: Request, role: str) -> Response:
    lang = language(request)
    subject = getattr(request.state, "subject", ANONYMOUS)
    context = {
        "role": role,
        "roles": [(name, entry[lang], f"/help/{name}", None) for name, entry in roles().items()],
        "help": _told(roles()[role], lang),
        "frame": "plain.html" if subject.kind == "anonymous" else "base.html",
        "signed_in": subject.kind != "anonymous",
    }
    return render(request, "console/help.html", context)
