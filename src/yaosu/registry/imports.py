"""Bulk import of organisations and products: preview with an error per cell, then all rows or none (issue 2 §3).

A preview reads the file, checks every row against the rules, the other rows and the registry, and keeps the
rows for an hour. Confirming checks everything again under the registry's lock, since an hour is long.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import columns, import_orgs, import_products, sheets
from yaosu.registry.columns import Column
from yaosu.registry.import_rows import CellError, Parsed, References
from yaosu.registry.lists import CodeLists
from yaosu.registry.roles import require_operator
from yaosu.registry.service_lists import current
from yaosu.registry.store_org import lock
from yaosu.subject import Subject

ERRORS_SHOWN_MAX = 1_000
ROWS_AT_ONCE = 200

# a preview is its maker's own; old ones go when a new one comes
PUT = """
INSERT INTO import_preview (id, kind, account_id, org_id, file_name, rows, findings)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""

PRUNE = "DELETE FROM import_preview WHERE created_at < now() - interval '1 hour'"

TAKE = """
DELETE FROM import_preview WHERE id = $1 AND account_id IS NOT DISTINCT FROM $2 AND org_id IS NOT DISTINCT FROM $3
    AND created_at >= now() - interval '1 hour' RETURNING kind, file_name, rows"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would do. `id` confirms it; None when there are errors."""

    id: str | None
    kind: str
    file_name: str
    rows: int
    error_count: int
    errors: tuple[CellError, ...]
    """The first `ERRORS_SHOWN_MAX` errors in the order of the rows."""
    sample: tuple[tuple[str, ...], ...]
    """Headings, then the first rows as read."""


def table_of(kind: str) -> tuple[Column, ...]:
    """The columns of an import kind, else `import_kind_unknown` (404)."""
    if kind not in columns.KINDS:
        raise YaosuError("import_kind_unknown", {"kind": kind[:40]})
    return columns.KINDS[kind]


def template(kind: str) -> bytes:
    """An empty XLSX with the headings and a row of notes."""
    table = table_of(kind)
    notes = [c.note or ("可填：" + "见代码表 " + c.list if c.list else "") for c in table]
    notes[0] = columns.NOTE_MARK + (notes[0] or "本行可保留或删除；带 * 的列必填")
    return sheets.write_xlsx("企业" if kind == "orgs" else "药品", [c.heading for c in table], [], notes)


def _require(subject: Subject, kind: str) -> None:
    if kind == "orgs":
        require_operator(subject)
    else:
        subject.require("product.write")


async def preview(conn: Connection, subject: Subject, kind: str, data: bytes, file_name: str) -> Preview:
    """Check a file. Nothing is registered; the rows are kept for an hour under the preview's id.

    Refused: `import_kind_unknown`, `import_file_unreadable`, `import_too_large`, and wrong headings.
    """
    table = table_of(kind)
    _require(subject, kind)
    # reading takes seconds for a large file: scans of others must not wait for it
    rows = await asyncio.to_thread(sheets.read, data, file_name)
    parsed, errors = await _check(conn, subject, kind, table, rows)
    made = None
    if not errors:
        made = uuid.uuid4()
        await conn.execute(PRUNE)
        kept = [[number, *cells] for number, cells in rows]
        await conn.execute(PUT, made, kind, subject.account_id, subject.org_id, file_name[:200], kept, 0)
    head = tuple(rows[0][1]) if rows else ()
    sample = (head, *(tuple(cells) for _, cells in _body(rows)[:10]))
    return Preview(
        str(made) if made else None,
        kind,
        file_name[:200],
        len(parsed),
        len(errors),
        tuple(errors[:ERRORS_SHOWN_MAX]),
        sample,
    )


async def confirm(conn: Connection, subject: Subject, preview_id: str) -> tuple[str, int]:
    """Register every row of a preview, or none; the kind and the number of rows.

    Refused: `import_preview_gone`, and `import_has_errors` when something came in between.
    """
    try:
        key = uuid.UUID(preview_id)
    except ValueError:
        raise YaosuError("import_preview_gone") from None
    row = await conn.fetchrow(TAKE, key, subject.account_id, subject.org_id)
    if row is None:
        raise YaosuError("import_preview_gone")
    rows = [(cells[0], cells[1:]) for cells in row["rows"]]
    count = await _register(conn, subject, row["kind"], rows, row["file_name"], None)
    return row["kind"], count


async def import_file(
    conn: Connection,
    subject: Subject,
    kind: str,
    data: bytes,
    file_name: str,
    progress: Progress | None = None,
) -> int:
    """Preview and confirm in one, for the CLI; the number of rows. Refused with every cell error as a finding."""
    table_of(kind)
    _require(subject, kind)
    rows = await asyncio.to_thread(sheets.read, data, file_name)
    return await _register(conn, subject, kind, rows, file_name, progress)


async def _register(
    conn: Connection,
    subject: Subject,
    kind: str,
    rows: list[sheets.Row],
    file_name: str,
    progress: Progress | None,
) -> int:
    _require(subject, kind)
    await lock(conn)
    parsed, errors = await _check(conn, subject, kind, table_of(kind), rows)
    if errors:
        found = [e.finding for e in errors[:ERRORS_SHOWN_MAX]]
        raise YaosuError("import_has_errors", {"count": len(errors)}, found)
    write = import_orgs.write if kind == "orgs" else import_products.write
    first, last = await write(conn, parsed, progress or (lambda done, of: None))
    details = {"file": file_name[:200], "rows": len(parsed), "first": first, "last": last}
    await audit.record(conn, subject, f"import.{kind}", ("import", kind), details)
    return len(parsed)


def _body(rows: Sequence[sheets.Row]) -> list[sheets.Row]:
    return [r for r in rows[1:] if not r[1][0].startswith(columns.NOTE_MARK)]


def _headings(table: tuple[Column, ...], head: list[str]) -> list[Column | None]:
    found: list[Finding] = []
    chosen: list[Column | None] = []
    for number, heading in enumerate(head, 1):
        column = next((c for c in table if c.accepts(heading)), None)
        if column is None and heading.strip():
            found.append(Finding("import_heading_unknown", {"column": number, "heading": heading[:40]}, "1"))
        elif column is not None and column in chosen:
            found.append(Finding("import_heading_twice", {"heading": heading[:40]}, "1"))
        chosen.append(column)
    for column in table:
        if column.needed and column not in chosen:
            found.append(Finding("import_heading_missing", {"heading": column.zh}, "1"))
    if found:
        raise YaosuError("import_has_errors", {"count": len(found)}, found)
    return chosen


async def _check(
    conn: Connection, subject: Subject, kind: str, table: tuple[Column, ...], rows: list[sheets.Row]
) -> tuple[list[Parsed], list[CellError]]:
    if not rows:
        raise YaosuError("import_empty")
    chosen = _headings(table, rows[0][1])
    body = _body(rows)
    if not body:
        raise YaosuError("import_empty")
    code_lists = await current(conn)
    wanted = {
        cells[i]
        for _, cells in body
        for i, column in enumerate(chosen)
        if column is not None and column.kind == "org" and i < len(cells) and cells[i]
    }
    references = await References.load(conn, wanted)
    errors: list[CellError] = []
    parsed = []
    for done, (number, cells) in enumerate(body):
        if done % ROWS_AT_ONCE == 0:
            # let other requests in between
            await asyncio.sleep(0)
        parsed.append(_row(number, cells, chosen, code_lists, references, errors, kind == "orgs"))
    check: Any = import_orgs.check if kind == "orgs" else import_products.check
    errors += await check(conn, subject, parsed, code_lists)
    headings = {c.key: c.zh for c in table}
    shown = [e.titled(headings) for e in errors]
    return parsed, sorted(shown, key=lambda e: e.row)


def _row(
    number: int,
    cells: list[str],
    chosen: list[Column | None],
    code_lists: CodeLists,
    references: References,
    errors: list[CellError],
    names_rows: bool,
) -> Parsed:
    values: dict[str, Any] = {}
    broken: set[str] = set()

    def wrong(column: Column, finding: Finding) -> None:
        broken.add(column.key)
        errors.append(CellError(number, column.key, finding))

    for position, column in enumerate(chosen):
        if column is None:
            continue
        text = cells[position].strip() if position < len(cells) else ""
        if not text:
            if column.needed:
                wrong(column, Finding("value_missing", {"field": column.zh}))
            continue
        if column.kind == "org":
            found = references.find(text)
            if isinstance(found, Finding):
                wrong(column, found)
            else:
                values[column.key] = found
            continue
        choices = references.choices(code_lists, column.list) if column.list else {}
        value = columns.value(column, text, choices)
        if isinstance(value, Finding):
            wrong(column, value)
        else:
            values[column.key] = value
    if names_rows:
        references.add_row(number, values)
    return Parsed(number, values, frozenset(broken))
