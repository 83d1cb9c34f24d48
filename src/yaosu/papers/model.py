"""What a printed document is, before it is a file: the same description becomes PDF, DOCX or XLSX.

Texts are plain; nothing in them is markup. Widths are shares of the page's width, not lengths.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

_BLANKS = re.compile("[\x00-\x09\x0b-\x1f\x7f\u2028\u2029\ufeff\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is a chapter, 2 and 3 are below it."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; a line break in it starts a new line."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header that is repeated on every page. Each row has as many cells as there are columns.

    `widths` are shares, one per column; without them columns are as wide as their longest texts ask for.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float] | None = None
    title: str = ""

    def __post_init__(self) -> None:
        """A row of another length or a missing width is a mistake of the caller, never cut silently."""
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells for {len(self.columns)} columns")
        if self.widths is not None and (
            len(self.widths) != len(self.columns) or any(width <= 0 for width in self.widths)
        ):
            raise ValueError("one positive width per column")

    def shares(self) -> list[float]:
        """Width of each column as a part of 1."""
        if self.widths is not None:
            wanted = [float(width) for width in self.widths]
        else:
            # a column of long texts does not starve the others, and a short one keeps its header on a line
            wanted = [float(max(4, breadth(name) + 2)) for name in self.columns]
            for row in self.rows[:500]:
                for index, cell in enumerate(row):
                    longest = max((breadth(line) for line in str(cell).split("\n")), default=0) + 2
                    wanted[index] = max(wanted[index], min(longest, 44))
        total = sum(wanted) or 1.0
        return [width / total for width in wanted]


@dataclass(frozen=True, slots=True)
class Signatures:
    """Lines to sign on, one per label."""

    labels: Sequence[str]


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows starts a new page."""


Block = Heading | Text | Table | Signatures | PageBreak


@dataclass(frozen=True, slots=True)
class Paper:
    """A document. `number` stands above the title, `facts` in a grid below it, `footer` on every page."""

    title: str
    subtitle: str = ""
    number: str = ""
    facts: Sequence[tuple[str, str]] = ()
    blocks: Sequence[Block] = field(default_factory=tuple)
    footer: str = ""
    lang: str = "zh"
    landscape: bool = False


def clean(value: object) -> str:
    """`value` as text that a page can hold: composed (NFC), `\\n` between lines, other controls a blank.

    Invisible direction marks count as controls: they could make a printed name read differently.
    """
    text = unicodedata.normalize("NFC", str(value)).replace("\r\n", "\n").replace("\r", "\n")
    return _BLANKS.sub(" ", text)


def breadth(text: str) -> int:
    """Columns of a fixed-width grid that `text` takes: two for a Chinese character, one for a Latin one."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
