"""Relation files in JSON that are too large to be held whole: the same shape, a block of entries at a time.

The fields of a batch have to stand before its `codes`: what is read is handed on at once, and a code without its
batch says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from yaosu.production.relation.columns import RefusedError

BLOCK = 1 << 20
"""Bytes of entries taken apart at a time."""
VALUE_MAX = 64 << 10
"""Bytes of one value outside the blocks."""
_SPACE = re.compile(rb"[ \t\r\n]*")
_ARRAY_ENDS = re.compile(rb"\}[ \t\r\n]*\]")
_DECODER = json.JSONDecoder()
_SLOW = 512
"""Entries read one by one where a block cannot be cut between two of them."""


class JsonStream:
    """The parts of one document in their order. Raises RefusedError with the line where it stops being one."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""
        self._at = 0
        self._lines = 1
        self._ended = False

    @property
    def line(self) -> int:
        """The line reached."""
        return self._lines + self._held.count(b"\n", 0, self._at)

    def wrong(self, reason: str) -> RefusedError:
        """The refusal at the place reached."""
        return RefusedError("relation_json_syntax", self.line, reason=reason)

    def _more(self) -> bool:
        if self._ended:
            return False
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            return False
        self._lines += self._held.count(b"\n", 0, self._at)
        self._held = self._held[self._at :] + chunk
        self._at = 0
        return True

    def peek(self) -> bytes:
        """The next byte that is not blank; empty at the end."""
        while True:
            blank = _SPACE.match(self._held, self._at)
            assert blank is not None
            self._at = blank.end()
            if self._at < len(self._held):
                return self._held[self._at : self._at + 1]
            if not self._more():
                return b""

    def take(self, wanted: bytes) -> None:
        """Go over one sign."""
        if self.peek() != wanted:
            raise self.wrong(f"expected {wanted.decode()}")
        self._at += 1

    def after(self, closing: bytes) -> bool:
        """Behind one member: whether another follows; goes over the comma or the `closing` sign."""
        sign = self.peek()
        if sign not in (b",", closing):
            raise self.wrong(f"expected , or {closing.decode()}")
        self._at += 1
        return sign == b","

    def value(self) -> Any:
        """One small value."""
        self.peek()
        while True:
            window = self._held[self._at : self._at + VALUE_MAX]
            text = window.decode(errors="ignore")
            try:
                found, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError):
                found, end = None, 0
            # a number that ends where the window ends may go on
            if (end and end < len(text)) or (end and self._ended):
                self._at += len(text[:end].encode())
                return found
            if len(window) >= VALUE_MAX or not self._more():
                raise self.wrong("value")

    def entries(self) -> Iterator[list[Any]]:
        """The entries of a list of flat objects, in blocks. Stands before its `[`, ends behind its `]`."""
        self.take(b"[")
        if self.peek() == b"]":
            self._at += 1
            return
        slow = 0
        while True:
            block = None if slow else self._block()
            if block is None:
                slow = (slow or _SLOW) - 1
                block = [self.value()]
            yield block
            if not self.after(b"]"):
                return

    def _block(self) -> list[Any] | None:
        while len(self._held) - self._at < BLOCK and self._more():
            pass
        limit = self._at + BLOCK
        ends = _ARRAY_ENDS.search(self._held, self._at, limit)
        cut = ends.start() if ends is not None else self._held.rfind(b"}", self._at, limit)
        if cut < 0:
            return None
        try:
            found = orjson.loads(b"[" + self._held[self._at : cut + 1] + b"]")
        except orjson.JSONDecodeError:
            # a bracket inside a text, or a fault: one by one, so that the place can be named
            return None
        self._at = cut + 1
        return list(found)
