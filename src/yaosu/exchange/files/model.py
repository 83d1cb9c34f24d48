"""Values of the files room: what a file says, before anybody is asked whether it is true."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from yaosu.errors import Finding

FILE_MB_MAX = 48
"""Size of a file as received."""
TEXT_MB_MAX = 256
"""Size after decompression."""
RATIO_MAX = 200
"""Decompressed over compressed bytes."""
LINES_MAX = 200_000
"""Lines with content in one file."""
COLUMNS_MAX = 60
CELL_MAX = 32_767
"""Characters in one cell: what spreadsheet software keeps; a cell of that length was cut off by it."""
LINE_CHARS_MAX = 1 << 20
BILLS_MAX = 20_000
QUANTITIES_MAX = 1_000
"""Lines of goods without codes on one bill, as in the API."""
PROBLEMS_KEPT = 2_000
"""Problems kept with their texts; further ones are counted and their lines are refused all the same."""


SHEET_LINES = 1 << 21
"""Rows of one sheet in the numbers of a bill's lines: more than spreadsheet software has."""


def place(line: int, sheets: Sequence[str]) -> tuple[int, str]:
    """Row and sheet of a line's number; no sheet where only one holds bills."""
    return line % SHEET_LINES, sheets[line // SHEET_LINES] if sheets else ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line or cell. `bill` is its bill's number in the file, 0 when it belongs to none."""

    line: int
    column: str
    bill: int
    finding: Finding
    text: str = ""

    @property
    def where(self) -> str:
        """The place as findings name it: `line 12` or `line 12, 追溯码`."""
        return f"line {self.line}" + (f", {self.column}" if self.column else "")


@dataclass(frozen=True, slots=True)
class Ignored:
    """A line that says nothing about goods, and why: heading, title, note, example, total."""

    line: int
    reason: str
    text: str
    sheet: str = ""


@dataclass(frozen=True, slots=True)
class FileQuantity:
    """Goods without codes as a file names them."""

    line: int
    product: str
    batch_no: str
    qty: int
    produced_on: date | None
    expires_on: date | None


@dataclass(slots=True)
class FileBill:
    """One bill of a file. Codes are columns (`codes[i]` stands in line `lines[i]`), not an object each."""

    n: int
    number: str
    type_text: str
    type: int
    line: int
    """Where it begins. Numbers of lines count on from sheet to sheet in steps of `SHEET_LINES`, see `place`."""
    at: datetime | None = None
    """The latest time its lines name; None when the format has none."""
    partner: str = ""
    """The other side where the file does not say which side it is."""
    sender: str = ""
    receiver: str = ""
    principal: str = ""
    carrier: str = ""
    direct: str = ""
    owner: str = ""
    """库房: a place of the organisation, or the organisation itself."""
    notice: str = ""
    header: dict[str, str] = field(default_factory=dict)
    codes: list[str] = field(default_factory=list)
    lines: array[int] = field(default_factory=lambda: array("L"))
    parts: dict[str, int] = field(default_factory=dict)
    quantities: list[FileQuantity] = field(default_factory=list)
    bad: int = 0
    """Lines of it that could not be read."""
    sheets: Sequence[str] = ()
    """Titles of the file's sheets where several hold bills."""

    def where(self, line: int) -> str:
        """A line of it as findings name it: `line 12`, or `line 12, 二月` on one of several sheets."""
        row, sheet = place(line, self.sheets)
        return f"line {row}" + (f", {sheet}" if sheet else "")

    @property
    def items(self) -> int:
        """Lines that could be read."""
        return len(self.codes) + len(self.quantities)


@dataclass(frozen=True, slots=True)
class SheetTaken:
    """A sheet of a workbook: bills that begin on it or go on there, lines that could be read, lines that could not.

    `bills` 0: nothing was taken, and its `rows` with content are said to be left out.
    """

    title: str
    rows: int
    bills: int = 0
    lines: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class FileContent:
    """A file as read: its bills, and every line that is not in one of them."""

    format: str
    encoding: str
    bills: list[FileBill] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    ignored: list[Ignored] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    """What was not used, e.g. columns of other names."""
    line_word: str = "line"
    sheets: list[SheetTaken] = field(default_factory=list)
    """What was taken from which sheet of a workbook."""

    def problem(self, one: Problem) -> None:
        """Count a problem and keep it. Every one is kept: a line must not vanish; texts are bounded by LINES_MAX."""
        self.problem_count += 1
        self.problems.append(one)

    @property
    def items(self) -> int:
        """All lines that say something: readable, unreadable and ignored."""
        return sum(b.items for b in self.bills) + self.problem_count + len(self.ignored)


class FileRefusedError(ValueError):
    """A file that cannot be read as a whole: a message code with its parameters.

    `incomplete` means that it looks cut off: more of it may still be coming (the watched folder waits a while).
    """

    def __init__(self, code: str, /, *, incomplete: bool = False, **params: object) -> None:
        super().__init__(code)
        self.code, self.params, self.incomplete = code, params, incomplete
