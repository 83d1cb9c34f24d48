"""The guided tour of the demo: stories that were played, each step with the account that sees it and the page it is on.

Exists only while `yaosu demo` runs: elsewhere the address is as unknown as any other. Signing in goes through the
ordinary sign-in with the printed password; there is no other door.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS

FILE = "stories.json"
"""Written by the demo into its data folder."""
PICTURE = "shelf.jpg"
"""Drawn by the demo into its data folder."""

router = APIRouter()


@lru_cache(maxsize=2)
def _read(path: Path, changed: float) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _tour(request: Request) -> dict[str, Any] | None:
    """What the demo wrote; None where no demo runs or it has not been played to its end."""
    chosen = state(request).settings
    if not chosen.demo:
        return None
    path = chosen.data / FILE
    try:
        return _read(path, path.stat().st_mtime)
    except FileNotFoundError:
        return None


@router.get("/stories/shelf.jpg")
async def shelf(request: Request) -> Response:
    """The drawn picture of a shelf that the story of the capture page offers; `not_found` outside the demo."""
    path = state(request).settings.data / PICTURE
    if not state(request).settings.demo or not path.is_file():
        raise YaosuError("not_found", {"what": "该页面" if language(request) == "zh" else "This page"})
    return FileResponse(path, media_type="image/jpeg", filename=PICTURE, content_disposition_type="inline")


@router.get("/stories")
async def stories(request: Request) -> Response:
    """All stories in the reader's language; `not_found` outside the demo."""
    lang = language(request)
    tour = _tour(request)
    if tour is None:
        raise YaosuError("not_found", {"what": "该页面" if lang == "zh" else "This page"})
    people = {p["login"]: p[lang] for p in tour["people"]}
    chapters = [
        (name, [_story(s, lang, people) for s in found])
        for name, found in groupby(tour["stories"], key=lambda s: s[f"group_{lang}"])
    ]
    subject = getattr(request.state, "subject", ANONYMOUS)
    context = {
        "chapters": chapters,
        "people": tour["people"],
        "password": tour["password"],
        "frame": "plain.html" if subject.kind == "anonymous" else "base.html",
    }
    return render(request, "console/stories.html", context)


def _sign_in_there(link: str, login: str) -> str:
    """The other system's sign-in page for `login`, which leads on to `link`: a form of ours may not be sent there."""
    parts = urlsplit(link)
    onward = quote(urlunsplit(("", "", *parts[2:])), safe="/")
    return f"{parts.scheme}://{parts.netloc}/login?login={quote(login)}&next={onward}"


def _story(story: dict[str, Any], lang: str, people: dict[str, str]) -> dict[str, Any]:
    steps = [
        {
            "text": s[lang],
            "login": s["login"],
            "who": people.get(s["login"], ""),
            "link": s["link"],
            "mine": s["link"].startswith("/"),
            "there": _sign_in_there(s["link"], s["login"]) if s.get("there") else "",
        }
        for s in story["steps"]
    ]
    return {"key": story["key"], "title": story[lang], "text": story[f"text_{lang}"], "steps": steps}
