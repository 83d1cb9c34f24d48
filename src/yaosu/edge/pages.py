"""Rendering of pages: Jinja with autoescape, Chinese first, English by switch (D12).

Templates live in `web/templates`; they are found by folder so that rooms do not import the face.
Every template has `subject`, `lang`, `csrf`, `path`, `_()` and the asset helper `asset()`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS

WEB = Path(__file__).parent.parent / "web"
CHINA = ZoneInfo("Asia/Shanghai")
NEXT_MAX = 500
"""Characters of the page that signing in leads on to; a longer question is left out, then the page too."""


@cache
def _environment(lang: str) -> Environment:
    env = Environment(
        loader=FileSystemLoader(WEB / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    found: Any = Translations.load(WEB / "locale", [lang], "yaosu") if lang != "zh" else NullTranslations()
    env.install_gettext_translations(found, newstyle=True)  # type: ignore[attr-defined]
    env.globals["asset"] = asset
    env.filters["china"] = china
    env.filters["last_moment"] = last_moment
    return env


def china(moment: datetime, seconds: bool = False) -> str:
    """A moment as people here read it: China time, to the minute or the second."""
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def last_moment(until: datetime) -> str:
    """The end of a period as people here say it: the last day alone where it ends with that day."""
    here = until.astimezone(CHINA)
    if here.hour or here.minute:
        return china(until)
    return (here - timedelta(minutes=1)).strftime("%Y-%m-%d")


@cache
def _manifest(stamp: float) -> Mapping[str, str]:
    path = WEB / "static" / "dist" / "manifest.json"
    loaded: dict[str, str] = json.loads(path.read_text("utf-8"))
    return loaded


def asset(name: str) -> str:
    """The address of a built asset ("app.css"), with its content hash in the name."""
    path = WEB / "static" / "dist" / "manifest.json"
    if not path.exists():
        return f"/static/dist/{name}"
    return "/static/dist/" + _manifest(path.stat().st_mtime).get(name, name)


def language(request: Request) -> str:
    """See `problem.language`; imported late because problems render pages too."""
    from yaosu.edge.problem import language as chosen

    return chosen(request)


def _unread(request: Request) -> int | None:
    """Unread messages of the reader's organisation as far as memory knows; -1 where nobody counts."""
    app = request.scope.get("app")
    subject = getattr(request.state, "subject", ANONYMOUS)
    if app is None or subject.org_id is None or not subject.can("bill.read"):
        return -1
    counts = app.state.yaosu.parts.get("unread") if hasattr(app.state, "yaosu") else None
    if counts is None:
        return -1
    found: int | None = counts.of(subject.org_id)
    return found


def _demo(request: Request) -> bool:
    """Whether this server is the demo, which offers a guided tour."""
    app = request.scope.get("app")
    return app is not None and hasattr(app.state, "yaosu") and app.state.yaosu.settings.demo


def _sub_type(request: Request) -> str:
    """The reader's organisation sub-type (list `org_sub_type`) for the navigation; blank where it is not known."""
    app = request.scope.get("app")
    subject = getattr(request.state, "subject", ANONYMOUS)
    if app is None or subject.org_id is None or not hasattr(app.state, "yaosu"):
        return ""
    registry = app.state.yaosu.parts.get("registry")
    card = registry.org(subject.org_id) if registry is not None else None
    return str(card.sub_type or "") if card is not None else ""


def render(
    request: Request,
    template: str,
    context: Mapping[str, Any] | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page from `template` with `context`; partials for htmx are templates too."""
    lang = language(request)
    subject = getattr(request.state, "subject", ANONYMOUS)
    text = (
        _environment(lang)
        .get_template(template)
        .render(
            {
                "request": request,
                "subject": subject,
                "lang": lang,
                "csrf": getattr(request.state, "csrf", ""),
                "path": request.url.path,
                "unread": _unread(request),
                "demo": _demo(request),
                "nav_sub_type": _sub_type(request),
                **(context or {}),
            }
        )
    )
    return HTMLResponse(text, status_code=status, headers=dict(headers or {}))


def see_other(path: str) -> Response:
    """After a successful form: go and look at the result."""
    return RedirectResponse(path, status_code=303)


def error_page(request: Request, error: YaosuError, headers: Mapping[str, str] | None = None) -> Response:
    """A page that says what is wrong and what to do; sign-in when that is what is missing."""
    if error.http == 401 and request.method == "GET":
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        onward = next((x for x in (asked, request.url.path) if len(x) <= NEXT_MAX), "/")
        return RedirectResponse(f"/login?next={quote(onward, safe='/')}", status_code=303)
    lang = language(request)
    return render(request, "error.html", {"error": error, "body": error.as_json(lang)}, error.http, headers)
