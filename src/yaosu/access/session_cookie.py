"""The browser's session cookie: out of reach of scripts, not sent along from other sites."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from yaosu.access.service import ABSOLUTE
from yaosu.edge.state import state

SESSION_COOKIE = "yaosu_session"
LANG_COOKIE = "yaosu_lang"


def set_session(request: Request, response: Response, token: str) -> None:
    """Give the browser the session's secret."""
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(ABSOLUTE.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=state(request).settings.secure_cookies,
    )


def clear_session(request: Request, response: Response) -> None:
    """Take it back."""
    response.delete_cookie(
        SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=state(request).settings.secure_cookies
    )


def set_language(request: Request, response: Response, lang: str) -> None:
    """Remember the chosen language for a year; scripts of the pages may read it."""
    response.set_cookie(
        LANG_COOKIE,
        lang,
        max_age=365 * 24 * 3600,
        path="/",
        samesite="lax",
        secure=state(request).settings.secure_cookies,
    )
