"""Rows of tables from CSV, XLSX and XLS in one form, streamed, with what is suspicious about single cells."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from yaosu.exchange.files.formats.cells import plain
from yaosu.exchange.files.formats.source import lines
from yaosu.exchange.files.model import CELL_MAX, COLUMNS_MAX, LINES_MAX, FileRefusedError

DELIMITERS = ",\t;|"
WIDE_DELIMITERS = "，；"
"""Taken where the heading has none of the others: a table typed with a Chinese keyboard."""


class Row(NamedTuple):
    """A row with content: its number as the reader of the file counts, its cells, and marks by column.

    Marks: `number` digits may be lost, `formula` a formula, `error` an error value, `long` cut off by the software.
    """

    number: int
    cells: list[str]
    marks: dict[int, str]


def column_name(index: int) -> str:
    """A, B … AA: how spreadsheets call the column."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def checked(number: int, cells: list[str], marks: dict[int, str]) -> Row | None:
    """The row within limits, or None for an empty one. Refused: too many rows or columns, by number."""
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        return None
    if len(cells) > COLUMNS_MAX:
        raise FileRefusedError("file_too_many", line=number, what="column", limit=COLUMNS_MAX)
    if number > LINES_MAX:
        raise FileRefusedError("file_too_many", line=number, what="row", limit=LINES_MAX)
    for at, cell in enumerate(cells):
        if len(cell) >= CELL_MAX:
            marks[at] = "long"
            cells[at] = cell[:CELL_MAX]
    return Row(number, cells, marks)


def delimiter_of(text: str) -> str:
    """The separator: the one that the first line with content has most of, outside quotation marks."""
    for line in lines(text[:200_000]):
        if line.strip():
            outside = "".join(line.split('"')[::2])
            found = max(DELIMITERS, key=outside.count)
            wide = max(WIDE_DELIMITERS, key=outside.count)
            return wide if wide in outside and found not in outside else found
    return ","


def of_csv(text: str) -> Iterator[Row]:
    """Rows of a CSV with comma, semicolon, tab or bar; numbers are the lines of the file."""
    csv.field_size_limit(CELL_MAX * 4)
    numbered = _Counted(text)
    reader = csv.reader(numbered, delimiter=delimiter_of(text), strict=True)
    while True:
        number = numbered.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cut = "unexpected end" in str(error)
            code = "file_cut" if cut else "file_csv_syntax"
            raise FileRefusedError(code, incomplete=cut, line=number, reason=str(error)) from None
        if len(cells) > COLUMNS_MAX and any(cells[COLUMNS_MAX:]):
            raise FileRefusedError("file_too_many", line=number, what="column", limit=COLUMNS_MAX)
        row = checked(number, [plain(cell) for cell in cells[:COLUMNS_MAX]], {})
        if row is not None:
            yield row


class _Counted:
    """The lines of a text, counting: a quoted cell may go over several."""

    def __init__(self, text: str) -> None:
        self._lines = lines(text)
        self.number = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line
