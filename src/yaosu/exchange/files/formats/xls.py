"""Rows of an old workbook (XLS, BIFF) with calamine, in a process of its own with bounded memory and time.

The format's reader allocates what a file claims; a file made to hurt then ends that process and not the server.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import orjson

from yaosu.exchange.files.formats.cells import number_text, plain
from yaosu.exchange.files.formats.rows import Row, checked
from yaosu.exchange.files.model import FileRefusedError

MEMORY_MB = 1_024
SECONDS = 20
_CHILD = "yaosu.exchange.files.formats.xls_child"


def sheets(data: bytes) -> Iterator[tuple[str, list[Row]]]:
    """(title, rows) of each visible sheet. Raises FileRefusedError where it cannot be read within the bounds."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program, the file goes through a pipe
            [sys.executable, "-m", _CHILD, str(MEMORY_MB), str(SECONDS)],
            input=data,
            capture_output=True,
            timeout=SECONDS * 2,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FileRefusedError("file_xls_unreadable", reason="time") from None
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        reason = "memory" if "Memory" in last or done.returncode < 0 else last.partition(":")[0][:60]
        raise FileRefusedError("file_xls_unreadable", reason=reason or str(done.returncode))
    title = ""
    rows: list[Row] = []
    for line in done.stdout.splitlines():
        said = orjson.loads(line)
        if isinstance(said, dict):
            if rows:
                yield title, rows
            title, rows = said["sheet"], []
            continue
        number, values = said
        cells, marks = [], {}
        for at, value in enumerate(values):
            if isinstance(value, list):
                text, lost = number_text(value[0])
                if lost:
                    marks[at] = "number"
            else:
                text = plain(value)
            cells.append(text)
        row = checked(number, cells, marks)
        if row is not None:
            rows.append(row)
    if rows:
        yield title, rows
