"""The process that reads an old workbook: bytes in on standard input, rows out as JSON lines on standard output.

Arguments: megabytes of memory, seconds of processor time. Numbers come as a list of one text, so that the caller can
tell them from texts.
"""

from __future__ import annotations

import datetime
import io
import json
import resource
import sys
from typing import Any

from yaosu.exchange.files.model import COLUMNS_MAX, LINES_MAX


def cell(value: Any) -> Any:
    """A value as JSON."""
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, int | float):
        return [repr(value)]
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    return "" if isinstance(value, datetime.timedelta) else str(value)


def main() -> None:
    """Read and write."""
    memory, seconds = int(sys.argv[1]) << 20, int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
    for meta in book.sheets_metadata:
        if not str(meta.visible).endswith("Visible") or not str(meta.typ).endswith("WorkSheet"):
            continue
        sys.stdout.write(json.dumps({"sheet": meta.name}) + "\n")
        sheet = book.get_sheet_by_name(meta.name)
        first = sheet.start[0] if sheet.start is not None else 0
        for n, row in enumerate(sheet.to_python(skip_empty_area=True), first + 1):
            if n > LINES_MAX + 1:
                break
            cells = [cell(value) for value in row[: COLUMNS_MAX + 1]]
            if any(c != "" for c in cells):
                sys.stdout.write(json.dumps([n, cells]) + "\n")


if __name__ == "__main__":
    main()
