"""Lines of a given width: Chinese breaks between any two characters, Latin words and numbers stay whole.

No line starts with closing punctuation or ends with opening punctuation (GB/T 15834 layout rules), a word or code
longer than the line is broken where it must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_NOT_FIRST = frozenset("，。、；：？！）》」』】〕”’％…—·,.;:?!)]}%")
_NOT_LAST = frozenset("（《「『【〔“‘([{￥")
_WORD = re.compile(r"[A-Za-z0-9_./:@#&+\-]+|\s|.", re.DOTALL)
Width = Callable[[str], float]


def _tokens(text: str) -> Iterator[str]:
    """Pieces that stay together: a word with the punctuation that clings to it."""
    pending = ""
    for found in _WORD.finditer(text):
        piece = found.group()
        if pending and (piece in _NOT_FIRST or pending[-1] in _NOT_LAST):
            pending += piece
            continue
        if pending:
            yield pending
        pending = piece
    if pending:
        yield pending


def lines(text: str, room: float, width: Width) -> list[str]:
    """`text` in lines no wider than `room` by `width`; at least one line, which may be empty."""
    found: list[str] = []
    for paragraph in text.split("\n"):
        line, used = "", 0.0
        for token in _tokens(paragraph):
            size = width(token)
            if used + size <= room:
                line, used = line + token, used + size
                continue
            if token.isspace():
                continue
            if line:
                found.append(line.rstrip())
                line, used = "", 0.0
            if size <= room:
                line, used = token, size
                continue
            for character in token:
                step = width(character)
                if line and used + step > room:
                    found.append(line)
                    line, used = "", 0.0
                line, used = line + character, used + step
        found.append(line.rstrip())
    return found
