"""The request's address line and body, guarded while they stream: size, and bytes that no text can hold.

PostgreSQL stores no NUL in text, so a NUL is refused here, once, for every room: `%00` in address and form,
`\\u0000` in JSON. Nothing is buffered for that.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.types import Message, Receive, Scope

from yaosu.errors import YaosuError

_JSON_NUL = b"\\u0000"
_FORM_NUL = b"%00"


class BodyRefusedError(Exception):
    """Ends the reading of a refused body; `error` is what the caller is told."""

    def __init__(self, error: YaosuError) -> None:
        self.error = error
        super().__init__(error.code)


def clean_address_line(scope: Scope) -> None:
    """Refuse (`malformed_body`) a path or query with a NUL or with escapes that are not UTF-8."""
    query: bytes = scope.get("query_string", b"")
    path: bytes = scope.get("raw_path") or b""
    if b"%" in query:
        _clean(query, "query")
    elif b"\x00" in query or not query.isascii():
        raise YaosuError("malformed_body", {"reason": "query"})
    if "\x00" in scope["path"]:
        raise YaosuError("malformed_body", {"reason": "path"})
    if b"%" in path:
        _clean(path, "path")


def _clean(text: bytes, what: str) -> None:
    plain = unquote_to_bytes(text)
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError:
        raise YaosuError("malformed_body", {"reason": f"{what}: UTF-8"}) from None
    if b"\x00" in plain:
        raise YaosuError("malformed_body", {"reason": f"{what}: NUL"})


class GuardedBody:
    """A `receive` that counts, looks, and can look ahead.

    Once a body is refused, `refusal` is set and reading raises; whatever the room then answers is replaced.
    `limit` is bytes, or None for routes that count themselves.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int | None) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        self._tail = b""
        self._ahead: list[Message] = []
        self.refusal: YaosuError | None = None
        self.content_type = ""
        self._announced: bytes = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                self.content_type = value.decode("latin-1").lower()
            elif name == b"content-length":
                self._announced = value
        self._mark = b""
        if "json" in self.content_type:
            self._mark = _JSON_NUL
        elif self.content_type.startswith("application/x-www-form-urlencoded"):
            self._mark = _FORM_NUL

    def check_announced(self) -> None:
        """Refuse by the announced length before anything is read."""
        if self._limit is not None and self._announced.isdigit() and int(self._announced) > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """ASGI receive: first what was looked at ahead, then the wire."""
        if self._ahead:
            return self._ahead.pop(0)
        return await self._next()

    async def look_ahead(self, bytes_max: int) -> tuple[bytes, bool]:
        """The first bytes of the body and whether they are all of it; the room still gets everything."""
        parts: list[bytes] = []
        size, more = 0, True
        while more and size < bytes_max:
            message = await self._next()
            self._ahead.append(message)
            if message["type"] != "http.request":
                more = False
                break
            chunk = message.get("body", b"")
            parts.append(chunk)
            size += len(chunk)
            more = message.get("more_body", False)
        return b"".join(parts), not more

    async def _next(self) -> Message:
        if self.refusal is not None:
            raise BodyRefusedError(self.refusal)
        message = await self._receive()
        if message["type"] == "http.request":
            self._inspect(message.get("body", b""))
        return message

    def _inspect(self, chunk: bytes) -> None:
        self._seen += len(chunk)
        if self._limit is not None and self._seen > self._limit:
            self.refusal = self._too_large()
            raise BodyRefusedError(self.refusal)
        if self._mark and chunk:
            # the end of the last chunk too: the mark may be cut in two
            joined = self._tail + chunk if self._tail else chunk
            if self._mark in joined:
                self.refusal = YaosuError("malformed_body", {"reason": "NUL (U+0000)"})
                raise BodyRefusedError(self.refusal)
            self._tail = joined[-(len(self._mark) - 1) :]

    def _too_large(self) -> YaosuError:
        return YaosuError("body_too_large", {"limit_mb": (self._limit or 0) // (1024 * 1024)})
