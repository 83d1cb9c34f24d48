"""Help for each role's scanning and for each duty, one screen each (R-I3).

Public: new staff read it before they have a login.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu import yamls
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject

router = APIRouter()

OFFICE = "110"
BUREAU = "1103"
"""Type and sub-type of 医疗保障部门, as `help.yaml` names it: by the type alone all offices are alike."""
_BUREAU_POSTS = frozenset({"insurer", "insurer_admin"})


@cache
def _table(name: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = yamls.read(
        (resources.files("yaosu.console") / name).read_text("utf-8")
    )
    return loaded


def roles() -> dict[str, dict[str, Any]]:
    """Help by role, as `help.yaml` has it."""
    return _table("help.yaml")


def duties() -> dict[str, dict[str, Any]]:
    """Help by duty, as `help_duties.yaml` has it."""
    return _table("help_duties.yaml")


def _fits(org_type: str, types: list[str]) -> bool:
    """Whether an organisation of that type is meant; a single digit means all firms whose type begins so."""
    firm = not org_type.startswith(OFFICE)
    return any(org_type == t or (firm and len(t) == 1 and org_type[:1] == t) for t in types)


def _type_of(subject: Subject) -> str:
    """The organisation's type as help knows it."""
    return BUREAU if subject.role in _BUREAU_POSTS else subject.org_type


def role_of(subject: Subject) -> str:
    """The reader's own role; the consumer's for who is nobody, the maker's for the platform's operator."""
    if subject.kind == "anonymous":
        return "consumer"
    for name, entry in roles().items():
        if _fits(_type_of(subject), entry["types"]):
            return name
    return next(iter(roles()))


def duties_of(role: str) -> list[str]:
    """The duties of a role, in the order of the list; the regulator's are the offices'."""
    types = set(roles()[role]["types"])
    return [name for name, entry in duties().items() if types & set(entry["types"])]


def _may_open(subject: Subject, types: list[str], step: dict[str, Any], at: str) -> bool:
    """Whether the page of a step is the reader's: an office reads where firms act."""
    if subject.kind == "anonymous" or not _fits(_type_of(subject), types):
        return False
    if "needs" in step and not subject.can(step["needs"]):
        return False
    return not subject.org_type.startswith(OFFICE) or step.get("office", step["at"] == at)


def _told(entry: dict[str, Any], subject: Subject, lang: str) -> dict[str, Any]:
    """One entry in the reader's language, with links where the pages are the reader's."""
    steps = []
    for step in entry.get("steps", ()):
        at = step.get("at", "")
        link = at and _may_open(subject, entry["types"], step, entry.get("at", at))
        steps.append({"at": at if link else "", "title": step[lang], "text": step[f"text_{lang}"]})
    verdicts = [
        {"tone": v["tone"], "name": v[lang], "text": v[f"text_{lang}"]} for v in entry.get("verdicts", ())
    ]
    return {"name": entry[lang], "lead": entry[f"lead_{lang}"], "steps": steps, "verdicts": verdicts}


@router.get("/help")
async def own_help(request: Request) -> Response:
    """The reader's own role's screen."""
    return _screen(request, role_of(getattr(request.state, "subject", ANONYMOUS)))


@router.get("/help/{name}")
async def help_of(request: Request, name: str) -> Response:
    """One role's or one duty's screen; `not_found` for others."""
    if name not in roles() and name not in duties():
        raise YaosuError("not_found", {"what": "该帮助页" if language(request) == "zh" else "This help page"})
    return _screen(request, name)


def _screen(request: Request, name: str) -> Response:
    lang = language(request)
    subject = getattr(request.state, "subject", ANONYMOUS)
    duty = name in duties()
    entry = duties()[name] if duty else roles()[name]
    role = name
    if duty:
        own = role_of(subject)
        meant = [r for r in roles() if name in duties_of(r)]
        role = own if own in meant else meant[0]
    context = {
        "role": role,
        "duty": name if duty else "",
        "roles": [(key, one[lang], f"/help/{key}", None) for key, one in roles().items()],
        "duties": [(key, duties()[key][lang], duties()[key][f"lead_{lang}"]) for key in duties_of(role)],
        "help": _told(entry, subject, lang),
        "frame": "plain.html" if subject.kind == "anonymous" else "base.html",
        "signed_in": subject.kind != "anonymous",
    }
    return render(request, "console/help.html", context)
