"""Pages rendered without a server: the real templates through the real renderer, for a made-up reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from yaosu.edge.pages import render
from yaosu.subject import ADMIN, Subject

WHOLESALER = Subject(
    kind="account",
    account_id=1,
    org_id=2,
    org_type="2",
    role="warehouse",
    scopes=frozenset({ADMIN}),
    name="示例医药批发有限公司",
)


def request_of(path: str = "/", lang: str = "zh", subject: Subject = WHOLESALER) -> Request:
    """A request as the middleware leaves it: with a subject and the session's token."""
    request = Request(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"cookie", f"yaosu_lang={lang}".encode())],
        }
    )
    request.state.subject = subject
    request.state.csrf = "token-of-the-session"
    return request


def page(
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    path: str = "/",
    lang: str = "zh",
    subject: Subject = WHOLESALER,
) -> str:
    """The HTML of `template`."""
    return bytes(render(request_of(path, lang, subject), template, context).body).decode()
