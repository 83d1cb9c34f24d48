"""The incumbent client's TXT: `$供应商,单号`, then `追溯码,药品名称,批号,生产日期` a line, then `#…`.

Source: domain/interfaces.md §2.11 (c), domain/standards.md §5.5. Several such blocks may follow one another. It tells
a receiver what its supplier ships, so its bills are purchase receipts (102) unless somebody says otherwise; it names
no time. What follows `#` is not described anywhere; where it is a number that can be a count of codes and is not
theirs, the bill is held back until somebody looks.
"""

from __future__ import annotations

import re

from yaosu.errors import Finding
from yaosu.exchange.files.formats.cells import lost_digits, plain
from yaosu.exchange.files.formats.source import lines
from yaosu.exchange.files.model import (
    BILLS_MAX,
    CELL_MAX,
    LINES_MAX,
    FileBill,
    FileContent,
    FileRefusedError,
    Ignored,
    Problem,
)

PURCHASE_RECEIPT = 102
_DIVIDE = re.compile(r"[,，\t]")
_WIDE_MARKS = {"＄": "$", "￥": "$", "＃": "#"}
_COUNT = re.compile(r"#\s*([0-9]{1,9})\s*\Z", re.ASCII)


def opening(raw: str) -> str:
    """A line without blanks around it, the end mark of old systems (^Z) and the width of its first character."""
    line = raw.strip().rstrip("\x1a")
    if line[:1] in _WIDE_MARKS:
        line = _WIDE_MARKS[line[0]] + line[1:]
    elif line.startswith(('"$', '"#')):
        # written by software that puts every cell of a table into quotation marks
        line = line.replace('"', "")
    return line


def check_line(line: int, raw: str) -> None:
    """Refused: too many lines, or one that is too long, by its number."""
    if line > LINES_MAX:
        raise FileRefusedError("file_too_many", line=line, what="line", limit=LINES_MAX)
    if len(raw) > CELL_MAX:
        raise FileRefusedError("file_line_too_long", line=line, limit=CELL_MAX)


def read(text: str, encoding: str) -> FileContent:
    """The bills of a client TXT. Raises FileRefusedError; a block without its closing `#` counts as cut off."""
    content = FileContent("client_txt", encoding)
    bill: FileBill | None = None
    number = 0
    for number, raw in enumerate(lines(text), 1):
        line = opening(raw)
        if not line:
            continue
        check_line(number, line)
        if line.startswith("$"):
            if bill is not None:
                raise FileRefusedError("file_cut", incomplete=False, line=number)
            bill = _open(content, line[1:], number)
        elif line.startswith("#"):
            if bill is None:
                content.ignored.append(Ignored(number, "note", line[:200]))
                continue
            content.ignored.append(Ignored(number, "end", line[:200]))
            said = _COUNT.match(line)
            found = bill.items + bill.bad
            if said is not None and found != int(said.group(1)) <= LINES_MAX and said.group(1)[0] != "0":
                params = {"line": number, "said": said.group(1), "found": found}
                content.ignored.pop()
                bill.bad += 1
                content.problem(
                    Problem(number, "", bill.n, Finding("file_count_differs", params, ""), line[:200])
                )
            bill = None
        elif bill is None:
            raise FileRefusedError("file_txt_start", line=number)
        else:
            _row(content, bill, line, number)
    if bill is not None:
        raise FileRefusedError("file_cut", incomplete=True, line=number)
    if not any(b.items or b.bad for b in content.bills):
        raise FileRefusedError("file_no_lines")
    return content


def _open(content: FileContent, head: str, number: int) -> FileBill:
    # the supplier's name may hold a comma of its own; the number is what stands after the last one
    cells = _DIVIDE.split(head)
    partner, bill_no = ("，".join(cells[:-1]), cells[-1]) if len(cells) > 1 else (head, "")
    if len(content.bills) >= BILLS_MAX:
        raise FileRefusedError("file_too_many", line=number, what="$", limit=BILLS_MAX)
    bill = FileBill(
        len(content.bills) + 1,
        plain(bill_no),
        str(PURCHASE_RECEIPT),
        PURCHASE_RECEIPT,
        number,
        partner=plain(partner),
    )
    content.bills.append(bill)
    content.ignored.append(Ignored(number, "heading", ("$" + head)[:200]))
    return bill


def _row(content: FileContent, bill: FileBill, line: str, number: int) -> None:
    code = plain(_DIVIDE.split(line, maxsplit=1)[0].strip('"'))
    if not code or lost_digits(code):
        finding = Finding("file_code_rounded" if code else "file_code_missing", {"value": code[:40]}, "")
        bill.bad += 1
        content.problem(Problem(number, "", bill.n, finding, line[:200]))
        return
    bill.codes.append(code)
    bill.lines.append(number)
