"""Cross-site request forgery: a page of another site must not act with the visitor's cookie.

Three layers: the cookie is SameSite=Lax; the browser's own word on where the request comes from
(`Sec-Fetch-Site`, else `Origin`); and for signed-in callers the session's secret in the header `X-CSRF-Token`
or the form field `_csrf`. Calls by API key carry no cookie and need none of it.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qs, urlsplit

from starlette.types import Scope

from yaosu.access.body import GuardedBody
from yaosu.errors import YaosuError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_BYTES_MAX = 1024 * 1024
"""A urlencoded form beyond this size has to send the header."""
MULTIPART_BYTES_AHEAD = 64 * 1024
"""In a form with files the field `_csrf` stands before the files, within this many bytes."""

_FIELD = re.compile(rb'name="_csrf"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n')


def check_origin(scope: Scope, public_url: str) -> None:
    """Refuse (`csrf_refused`) what the browser says comes from elsewhere; no browser, no word, no refusal."""
    fetch_site = origin = host = b""
    for name, value in scope["headers"]:
        if name == b"sec-fetch-site":
            fetch_site = value
        elif name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    if fetch_site:
        if fetch_site not in (b"same-origin", b"none"):
            raise YaosuError("csrf_refused")
        return
    if origin:
        place = urlsplit(origin.decode("latin-1"))
        if place.netloc not in (host.decode("latin-1"), urlsplit(public_url).netloc):
            raise YaosuError("csrf_refused")


async def check_token(scope: Scope, body: GuardedBody, expected: str) -> None:
    """Refuse (`csrf_refused`) unless the request carries the session's secret."""
    given = b""
    for name, value in scope["headers"]:
        if name == b"x-csrf-token":
            given = value
    if not given:
        given = await _from_form(body)
    if not expected or not hmac.compare_digest(given, expected.encode()):
        raise YaosuError("csrf_refused")


async def _from_form(body: GuardedBody) -> bytes:
    if body.content_type.startswith("application/x-www-form-urlencoded"):
        text, whole = await body.look_ahead(FORM_BYTES_MAX)
        if not whole or b"_csrf" not in text:
            return b""
        found = parse_qs(text.decode("latin-1"), max_num_fields=2000).get("_csrf", [""])
        return found[0].encode("latin-1", "replace")
    if body.content_type.startswith("multipart/form-data"):
        text, _ = await body.look_ahead(MULTIPART_BYTES_AHEAD)
        match = _FIELD.search(text)
        return match.group(1) if match else b""
    return b""
