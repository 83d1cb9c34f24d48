"""Rows of organisations: checked together, written together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.registry import checks
from yaosu.registry import store_org as store
from yaosu.registry.drafts import OrgDraft
from yaosu.registry.import_rows import CellError, Parsed, RowReference
from yaosu.registry.lists import CodeLists
from yaosu.registry.names import normalise
from yaosu.registry.service_orgs import tidy
from yaosu.subject import Subject

CHUNK = 2_000
ROWS_AT_ONCE = 200
_REFERENCES = ("parent_id", "domestic_agent_id")
_NUMBERS = ("type", "sub_type", "other_id_kind")

# who has one of the codes, other numbers or names already: one query for the whole file
TAKEN = """
SELECT id, uscc, other_id_kind, other_id, name, name_norm FROM org
WHERE uscc = ANY ($1) OR other_id = ANY ($2) OR (status = 1 AND name_norm = ANY ($3))"""


def draft(parsed: Parsed, ids: dict[int, int]) -> OrgDraft:
    """The draft of a row; references to rows of the file by `ids`, 0 while those are not written."""
    known = {f.name for f in fields(OrgDraft)}
    values: dict[str, Any] = {k: v for k, v in parsed.values.items() if k in known}
    for key in _NUMBERS:
        if key in values:
            values[key] = int(values[key])
    for key in _REFERENCES:
        if isinstance(values.get(key), RowReference):
            values[key] = ids.get(values[key].row, 0)
    values.setdefault("name", "")
    values.setdefault("type", 0)
    values.setdefault("region", "")
    return tidy(OrgDraft(**values))


async def check(
    conn: Connection, subject: Subject, rows: Sequence[Parsed], code_lists: CodeLists
) -> list[CellError]:
    """Everything wrong with the rows beyond unreadable cells: rules, repetitions, existing records."""
    errors: list[CellError] = []
    drafts: list[tuple[Parsed, OrgDraft]] = []
    first: dict[tuple[str, object], int] = {}
    for done, one in enumerate(rows):
        if done % ROWS_AT_ONCE == 0:
            # let other requests in between
            await asyncio.sleep(0)
        made = draft(one, {})
        drafts.append((one, made))
        for finding in checks.org(made, code_lists):
            if finding.where not in one.broken:
                errors.append(CellError(one.row, finding.where, finding))
        for key, value in _identities(made):
            before = first.setdefault((key, value), one.row)
            if before != one.row:
                errors.append(CellError(one.row, key, Finding("import_row_twice", {"first": before})))
    taken = await conn.fetch(
        TAKEN,
        [d.uscc for _, d in drafts if d.uscc],
        [d.other_id for _, d in drafts if d.other_id],
        [normalise(d.name) for _, d in drafts if d.name],
    )
    by_uscc = {r["uscc"]: r for r in taken if r["uscc"]}
    by_other = {(r["other_id_kind"], r["other_id"]): r for r in taken if r["other_id"]}
    by_name = {r["name_norm"]: r for r in taken}
    for one, made in drafts:
        row = by_uscc.get(made.uscc) if made.uscc else by_other.get((made.other_id_kind, made.other_id))
        code, key = "org_taken", "uscc" if made.uscc else "other_id"
        if row is None:
            row, code, key = by_name.get(normalise(made.name)), "org_name_taken", "name"
        if row is not None:
            params = {"id": row["id"], "name": row["name"], "uscc": row["uscc"] or "—"}
            errors.append(CellError(one.row, key, Finding(code, params)))
    return errors


def _identities(made: OrgDraft) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    if made.uscc:
        found.append(("uscc", made.uscc))
    elif made.other_id:
        found.append(("other_id", (made.other_id_kind, made.other_id)))
    if made.name:
        found.append(("name", normalise(made.name)))
    return found


async def write(
    conn: Connection, rows: Sequence[Parsed], progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Register checked rows; the first and last number given."""
    ids: dict[int, int] = {}
    for done, one in enumerate(rows, 1):
        made = draft(one, ids)
        org_id: int = await conn.fetchval(store.INSERT, *store.values(made, normalise(made.name)))
        ids[one.row] = org_id
        if done % CHUNK == 0 or done == len(rows):
            progress(done, len(rows))
    return min(ids.values()), max(ids.values())
