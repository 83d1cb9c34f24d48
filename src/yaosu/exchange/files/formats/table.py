"""Tables of bills: our template, the client's own export, and what ERPs and people make of either.

Sources: domain/interfaces.md §2.11 (d) the client's export with its title lines, (f) one bill on many rows, many
codes in one cell. A heading row is looked for in the first rows; above it stand `name: value` pairs of the bill.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from yaosu.errors import Finding
from yaosu.exchange.files import columns
from yaosu.exchange.files.columns import BY_KEY, key_of
from yaosu.exchange.files.formats.cells import (
    TIME_OF_DAY,
    codes_in,
    day,
    lost_digits,
    moment,
    was_float,
    whole,
)
from yaosu.exchange.files.formats.rows import Row, column_name
from yaosu.exchange.files.model import (
    BILLS_MAX,
    LINES_MAX,
    SHEET_LINES,
    FileBill,
    FileContent,
    FileQuantity,
    FileRefusedError,
    Ignored,
    Problem,
    SheetTaken,
    place,
)
from yaosu.exchange.files.names import type_of

HEADING_WITHIN = 30
QTY_MAX = 100_000_000
PARTS_MAX = 1_000_000
_SIDES = ("partner", "sender", "receiver", "principal", "carrier", "direct", "owner", "notice")
_BILL_KEYS = tuple(c.key for c in columns.COLUMNS if c.bill)
_FOOTER = re.compile(
    r"(?:制表|制单|填表|审核|复核|核对|经办|经手|打印|导出|报表|备注|签字|签名|盖章|负责|验收)[^:：]{0,8}[:：]"
    r"|第\s*\d{1,5}\s*[页頁]|共\s*\d{1,5}\s*[页頁]|page\s*\d|printed|[-=_*—]{3,}",
    re.IGNORECASE,
)
"""Lines below a list that say who made and printed it; only where no code and no product stands in the row."""
_TOTALS = ("合计", "总计", "小计", "共计")
_TOTAL_WITHIN = 8
_ENOUGH = ("code", "drug")


class TableReader:
    """One pass over the rows of a sheet, or of several one after the other. Raises FileRefusedError when none is a
    table of bills."""

    def __init__(self, format_: str, encoding: str, letters: bool) -> None:
        self.content = FileContent(format_, encoding, line_word="row" if letters else "line")
        self._letters = letters
        self._places: dict[str, int] = {}
        self._titles: dict[str, str] = {}
        self._above: dict[str, str] = {}
        self._bills: dict[str, FileBill] = {}
        self._given: dict[int, dict[str, str]] = {}
        self._current: FileBill | None = None
        self._count = 0
        self._base = 0
        self._sheet = ""
        self._sheets: Sequence[str] = ()
        self._touched: set[int] = set()

    def read(self, rows: Iterable[Row]) -> FileContent:
        """All rows."""
        self._table(rows)
        return self._done()

    def read_sheets(self, sheets: Sequence[tuple[str, Sequence[Row]]]) -> FileContent:
        """All rows of several sheets: a bill may go on from one to the next, and each names its bills by number.

        Refused: `file_two_tables`, a sheet whose bills have no number beside another with bills.
        """
        self._sheets = [title for title, _ in sheets]
        for at, (title, rows) in enumerate(sheets):
            self._base, self._sheet = at * SHEET_LINES, title
            self._places, self._titles, self._above, self._current = {}, {}, {}, None
            self._touched = set()
            lines, bad = sum(b.items for b in self.content.bills), self.content.problem_count
            try:
                self._table(rows)
            except FileRefusedError as refused:
                if "line" in refused.params:
                    refused.params["line"] = f"{title}!{refused.params['line']}"
                raise
            if "" in self._bills:
                other = next(t for t in self._sheets if t != title or len(sheets) == 1)
                raise FileRefusedError("file_two_tables", one=other[:40], other=title[:40])
            self.content.sheets.append(
                SheetTaken(
                    title,
                    len(rows),
                    len(self._touched),
                    sum(b.items for b in self.content.bills) - lines,
                    self.content.problem_count - bad,
                )
            )
        return self._done()

    def _table(self, rows: Iterable[Row]) -> None:
        found = iter(rows)
        if not self._head(found):
            raise FileRefusedError("file_no_heading")
        for row in found:
            self._row(row)

    def _done(self) -> FileContent:
        if not self.content.bills and not self.content.problem_count:
            raise FileRefusedError("file_no_lines")
        self._rounded()
        return self.content

    def _column(self, title: str) -> str:
        """A column's name, behind its sheet's where there are several, as spreadsheets write it."""
        return f"{self._sheet}!{title}" if self._sheet else title

    # -- heading --------------------------------------------------------------------------------------------------

    def _head(self, rows: Iterator[Row]) -> bool:
        for n, row in enumerate(rows):
            keys = _keys(row)
            if keys:
                self._columns(row, keys)
                self.content.ignored.append(Ignored(row.number, "heading", _shown(row), self._sheet))
                return True
            self._title(row)
            if n >= HEADING_WITHIN:
                return False
        return False

    def _columns(self, row: Row, keys: list[str]) -> None:
        for at, (key, cell) in enumerate(zip(keys, row.cells, strict=True)):
            if key and key not in self._places:
                self._places[key] = at
                self._titles[key] = f"{column_name(at)} {cell}" if self._letters else cell
            elif key and key != "at":
                raise FileRefusedError("file_column_twice", line=row.number, name=cell[:40])
            elif cell and columns.PERSONAL.search(cell):
                raise FileRefusedError("file_column_personal", line=row.number, name=cell[:40])
            elif cell:
                where = f"line {row.number}, {self._column(column_name(at))}"
                self.content.notes.append(Finding("file_note_column", {"name": cell[:40]}, where))

    def _title(self, row: Row) -> None:
        """A line above the headings: `单据号：X` in one cell, or name and value side by side."""
        self.content.ignored.append(Ignored(row.number, "title", _shown(row), self._sheet))
        waiting = ""
        for cell in row.cells:
            name, colon, value = cell.replace("：", ":", 1).partition(":")
            key = key_of(name)
            if key and colon and value.strip():
                self._above.setdefault(key, value.strip())
                waiting = ""
            elif key:
                waiting = key
            elif waiting and cell:
                self._above.setdefault(waiting, cell)
                waiting = ""

    # -- rows -----------------------------------------------------------------------------------------------------

    def _row(self, row: Row) -> None:
        self._count += 1
        if self._count > LINES_MAX:
            raise FileRefusedError("file_too_many", line=row.number, what="row", limit=LINES_MAX)
        cells, first = row.cells, row.cells[0]
        values = {k: cells[at] for k, at in self._places.items() if at < len(cells) and cells[at]}
        reason = ""
        if first.startswith(columns.NOTE_MARK):
            reason = "note"
        elif first.startswith(columns.EXAMPLE_MARK) or values.get("bill_no", "").startswith(
            columns.EXAMPLE_MARK
        ):
            reason = "example"
        elif _is_total(cells, values.get("code", "")):
            reason = "total"
        elif "code" in values and key_of(values["code"]) == "code" and _keys(row):
            # printed lists repeat their headings on each page
            reason = "heading"
        elif not values.keys() & {"code", "drug"} and _FOOTER.match(next(filter(None, cells), "")):
            reason = "footer"
        elif not values:
            reason = "unused"
        if reason:
            self.content.ignored.append(Ignored(row.number, reason, _shown(row), self._sheet))
            return
        marked = {k: row.marks[at] for k, at in self._places.items() if at in row.marks}
        # a doubtful cell says nothing of the bill; the line still belongs to it, so that the bill is held back
        bill = (
            None
            if "bill_no" in marked
            else self._bill(row, {k: v for k, v in values.items() if k not in marked})
        )
        if marked:
            if bill is not None or "bill_no" in marked:
                key, mark = next(iter(marked.items()))
                self._wrong(row, key, _of_mark(mark, key, values.get(key, "")), bill)
            return
        if bill is not None:
            self._line(row, bill, values)

    def _wrong(self, row: Row, key: str, finding: Finding, bill: FileBill | None) -> None:
        if bill is not None:
            bill.bad += 1
        text = values[at] if (at := self._places.get(key, -1)) >= 0 and at < len(values := row.cells) else ""
        title = self._titles.get(key, BY_KEY[key].zh if key in BY_KEY else "")
        self.content.problem(
            Problem(row.number, self._column(title), bill.n if bill is not None else 0, finding, text[:200])
        )

    def _bill(self, row: Row, values: dict[str, str]) -> FileBill | None:
        given = {k: values[k] for k in _BILL_KEYS if k in values}
        number = given.get("bill_no", "") or ("" if self._current else self._above.get("bill_no", ""))
        if not number:
            # merged cells, and bills whose head stands on the first row only: the rest goes on with the bill above
            above = self._current
            known = self._given.get(above.n, {}) if above is not None else {}
            if above is None or any(v != known.get(k, v) for k, v in given.items() if k != "at"):
                if "bill_no" in self._places or "bill_no" in self._above:
                    self._wrong(row, "bill_no", Finding("file_bill_no_missing"), None)
                    return None
                # a table that names no bill at all is one bill, whose number is asked for
                above = self._bills.get("") or self._open("", row, {**self._above, **given})
            return self._dated(row, above, values)
        bill = self._bills.get(number)
        if bill is None:
            bill = self._open(number, row, {**self._above, **given})
        else:
            known = self._given[bill.n]
            for key, value in given.items():
                if key not in {"at", "oper_name"} and not _same(key, known.setdefault(key, value), value):
                    params = {
                        "bill_no": number[:64],
                        "field": BY_KEY[key].zh,
                        "one": known[key][:60],
                        "other": value[:60],
                    }
                    self._wrong(row, key, Finding("file_bill_differs", params), bill)
                    return None
            self._fill(bill, known)
        self._current = bill
        return self._dated(row, bill, values)

    def _open(self, number: str, row: Row, given: dict[str, str]) -> FileBill:
        if len(self.content.bills) >= BILLS_MAX:
            raise FileRefusedError("file_too_many", line=row.number, what="单据编号", limit=BILLS_MAX)
        text = given.get("type", "")
        line = self._base + row.number
        bill = FileBill(len(self.content.bills) + 1, number, text, type_of(text), line, sheets=self._sheets)
        self.content.bills.append(bill)
        self._bills[number] = self._current = bill
        self._given[bill.n] = dict(given)
        self._fill(bill, given)
        above = moment(given.get("at", "")) or moment(self._above.get("at", ""))
        if above is not None:
            bill.at = above
        return bill

    def _fill(self, bill: FileBill, given: dict[str, str]) -> None:
        for key in _SIDES:
            if given.get(key):
                setattr(bill, key, given[key][:200])
        if given.get("type") and not bill.type:
            bill.type_text, bill.type = given["type"], type_of(given["type"])
        for key, value in given.items():
            header = BY_KEY[key].header if key in BY_KEY else ""
            if header and key == "invoice_date" and (found := day(value)) is not None:
                bill.header[header] = found.isoformat()
            elif header:
                bill.header[header] = value[:2000]

    def _dated(self, row: Row, bill: FileBill, values: dict[str, str]) -> FileBill | None:
        self._touched.add(bill.n)
        text = values.get("at", "")
        if not text:
            return bill
        at: datetime | None = moment(text)
        if at is None and TIME_OF_DAY.match(text):
            # the day stands above the table or on an earlier line, or is asked for
            at = moment(f"{bill.at:%Y-%m-%d} {text}") if bill.at is not None else None
            if at is None and moment(f"2026-01-01 {text}") is not None:
                return bill
        if at is None:
            self._wrong(row, "at", Finding("file_time_unreadable", {"value": text[:40]}), bill)
            return None
        if bill.at is None or at > bill.at:
            bill.at = at
        return bill

    def _line(self, row: Row, bill: FileBill, values: dict[str, str]) -> None:
        cell = values.get("code", "")
        if not cell:
            self._quantity(row, bill, values)
            return
        codes = codes_in(cell)
        if any(lost_digits(c) for c in codes):
            self._wrong(row, "code", Finding("file_code_rounded", {"value": cell[:40]}), bill)
            return
        parts = None
        if "parts" in values:
            parts = whole(values["parts"], PARTS_MAX)
            if parts is None or len(codes) != 1 or codes[0] in bill.parts:
                self._wrong(
                    row, "parts", Finding("file_count_unreadable", {"value": values["parts"][:40]}), bill
                )
                return
            bill.parts[codes[0]] = parts
        for code in codes:
            bill.codes.append(code)
            bill.lines.append(self._base + row.number)

    def _quantity(self, row: Row, bill: FileBill, values: dict[str, str]) -> None:
        # the client writes batch and quantity beside each code; without a product it is a line whose code is missing
        if "drug" not in values:
            self._wrong(row, "code", Finding("file_code_missing"), bill)
            return
        qty = whole(values.get("qty", ""), QTY_MAX)
        if qty is None:
            self._wrong(
                row, "qty", Finding("file_count_unreadable", {"value": values.get("qty", "")[:40]}), bill
            )
            return
        days = {}
        for key in ("produced_on", "expires_on"):
            days[key] = day(values.get(key, ""))
            if values.get(key) and days[key] is None:
                self._wrong(row, key, Finding("file_time_unreadable", {"value": values[key][:40]}), bill)
                return
        if not values.get("batch_no"):
            self._wrong(row, "batch_no", Finding("value_missing", {"field": BY_KEY["batch_no"].zh}), bill)
            return
        product, batch = values["drug"], values["batch_no"][:64]
        bill.quantities.append(
            FileQuantity(
                self._base + row.number, product, batch, qty, days["produced_on"], days["expires_on"]
            )
        )

    def _rounded(self) -> None:
        """A whole column of 20-digit codes that floating numbers hold exactly was a column of numbers before: they
        end in zeros, or are what is left of a code when such a number is written out.
        """
        seen = [c for b in self.content.bills for c in b.codes if len(c) == 20 and c.isdigit()]
        if len(seen) >= 2 and all(c.endswith("00000") or was_float(c) for c in seen):
            for bill in self.content.bills:
                keep = [i for i, c in enumerate(bill.codes) if not (len(c) == 20 and c.isdigit())]
                for i, code in enumerate(bill.codes):
                    if len(code) == 20 and code.isdigit():
                        bill.bad += 1
                        finding = Finding("file_code_rounded", {"value": code})
                        number, sheet = place(bill.lines[i], bill.sheets)
                        title = f"{sheet}!" if sheet else self._titles.get("code", "")
                        self.content.problem(Problem(number, title, bill.n, finding, code))
                codes, lines = [bill.codes[i] for i in keep], [bill.lines[i] for i in keep]
                bill.codes[:] = codes
                del bill.lines[:]
                bill.lines.extend(lines)


def _keys(row: Row) -> list[str]:
    """What each cell of a heading row means; nothing for a row that is no heading."""
    keys = [key_of(cell) for cell in row.cells]
    enough = any(k in _ENOUGH for k in keys)
    return keys if enough and sum(1 for k in keys if k) >= min(2, sum(map(bool, row.cells))) else []


def has_bills(rows: Sequence[Row]) -> bool:
    """Whether a sheet has a heading of ours with something below it that is more than notes and examples."""
    head = next((n for n, row in enumerate(rows[: HEADING_WITHIN + 1]) if _keys(row)), -1)
    marks = (columns.NOTE_MARK, columns.EXAMPLE_MARK)
    return head >= 0 and any(not row.cells[0].startswith(marks) for row in rows[head + 1 :])


def _is_total(cells: list[str], code: str) -> bool:
    """Whether a row counts what stands above it: 合计 in a cell, and at most a short number where the code would be."""
    said = any(c.strip(" :：").startswith(_TOTALS) for c in cells[:_TOTAL_WITHIN])
    return said and (not code or (len(code) < 12 and code.replace(".", "").replace(",", "").isdigit()))


def _same(key: str, one: str, other: str) -> bool:
    """Whether two values of a bill say the same: 201 and 销售出库 are one kind."""
    return one == other or (key == "type" and type_of(one) == type_of(other) > 0)


def _of_mark(mark: str, key: str, text: str) -> Finding:
    if mark == "formula":
        return Finding("file_formula", {"value": text[:40]})
    if mark == "error":
        return Finding("file_cell_error", {"value": text[:40]})
    if mark == "long":
        return Finding("file_cell_cut", {})
    if key == "code":
        return Finding("file_code_rounded", {"value": text[:40]})
    return Finding("file_number_rounded", {"value": text[:40]})


def _shown(row: Row) -> str:
    return " | ".join(c for c in row.cells if c)[:200]
