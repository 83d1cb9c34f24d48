"""A plain list of codes without a heading, as handheld terminals save it: one code a line, or with a running number, a
count or the time of the scan beside it. Nothing on a line is passed over that could be a code of its own.
"""

from __future__ import annotations

import io
import re

from yaosu.codes import NotACode, is_cn20, parse
from yaosu.errors import Finding
from yaosu.exchange.files.columns import key_of
from yaosu.exchange.files.formats.cells import CHINA, lost_digits, moment, plain
from yaosu.exchange.files.formats.client_txt import check_line, opening
from yaosu.exchange.files.formats.source import lines
from yaosu.exchange.files.model import FileBill, FileContent, FileRefusedError, Ignored, Problem

LOOKED_AT = 5
HEADING_WITHIN = 30
_DIVIDE = re.compile(r"[,，;；|\t]")
_BESIDE = re.compile(r"[0-9]{0,6}(?:\.0+)?\Z", re.ASCII)


def looks_like_codes(text: str) -> bool:
    """Whether most of the first lines are codes, alone or before anything else, or beside counts and times."""
    head = io.StringIO(text[:20_000], newline="")
    first = [found for raw in head if (found := raw.strip(" \t\r\n\x1a"))][:HEADING_WITHIN]
    if any(len(_cells(line)) > 1 and any(map(key_of, _cells(line))) for line in first):
        return False
    if len(first) > 1 and _is_heading(first[0]):
        first = first[1:]
    read = [_codes_of(line) for line in first[:LOOKED_AT]]
    return bool(read) and sum(map(bool, read)) * 2 > len(read)


def _is_heading(line: str) -> bool:
    """A first line that names what follows."""
    return not any(c.isdigit() for c in line)


def _codes_of(line: str, anything: bool = False) -> list[str]:
    """The codes of a line; none when something on it is neither a code nor what stands beside codes, unless that may
    be `anything`.
    """
    cells = _cells(line)
    # a GS1 code may hold a comma of its own; beside a 20-digit code there is none
    if not any(map(is_cn20, cells)) and _is_code(whole := plain(line.strip('"'))):
        return [whole]
    codes = [c for c in cells if _is_code(c)]
    beside = cells[0] in codes or all(
        _BESIDE.match(c) is not None or moment(c) is not None for c in cells if c not in codes
    )
    return codes if beside or anything else []


def _cells(line: str) -> list[str]:
    return [plain(piece.strip().strip('"')) for piece in _DIVIDE.split(line)]


def _is_code(cell: str) -> bool:
    if is_cn20(cell):
        return True
    return (
        len(cell) >= 7
        and moment(cell) is None
        and (not isinstance(parse(cell, ()), NotACode) or lost_digits(cell))
    )


def read_list(text: str, encoding: str) -> FileContent:
    """The list as one bill whose number, kind and partner are asked for; its time is the latest on its lines."""
    content = FileContent("code_list", encoding)
    bill = FileBill(1, "", "", 0, 1)
    content.bills.append(bill)
    for number, raw in enumerate(lines(text), 1):
        line = opening(raw)
        if not line:
            continue
        check_line(number, line)
        if number == 1 and _is_heading(line):
            content.ignored.append(Ignored(number, "heading", line[:200]))
            continue
        # a code of a pattern registered by its maker is known only later: the first cell is taken at its word
        codes = _codes_of(line, anything=True) or _cells(line)[:1]
        if not codes[0] or any(map(lost_digits, codes)):
            finding = Finding(
                "file_code_rounded" if codes[0] else "file_code_missing", {"value": line[:40]}, ""
            )
            bill.bad += 1
            content.problem(Problem(number, "", bill.n, finding, line[:200]))
            continue
        bill.codes += codes
        bill.lines.extend([number] * len(codes))
        if len(codes) == 1 and len(line) > len(codes[0]):
            for cell in _cells(line):
                # a running number of five digits could be the day number of a spreadsheet: only written times count
                at = moment(cell) if len(cell) >= 8 and cell != codes[0] else None
                if at is not None and (bill.at is None or at.astimezone(CHINA) > bill.at):
                    bill.at = at
    if not bill.items and not bill.bad:
        raise FileRefusedError("file_no_lines")
    return content
