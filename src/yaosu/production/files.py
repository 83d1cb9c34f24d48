"""Activated relation files, and their bytes as received."""

from __future__ import annotations

from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import store_activation as store
from yaosu.subject import Subject

NEWEST = 2**63 - 1


async def list_own(
    conn: Connection, subject: Subject, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Files the own organisation activated, newest first (`production.read`)."""
    subject.require("production.read")
    rows = await conn.fetch(store.OWN_FILES, subject.org, before or NEWEST, min(max(limit, 1), 200))
    return [{**dict(r), "sha256": r["sha256"].hex()} for r in rows]


async def get(conn: Connection, subject: Subject, bill_id: int) -> dict[str, Any]:
    """One of them with notes and submission (`production.read`), or `not_found`."""
    subject.require("production.read")
    row = await conn.fetchrow(store.OWN_FILE, subject.org, bill_id)
    if row is None:
        raise YaosuError("not_found", {"what": "关联关系文件 / relation file"})
    return {**dict(row), "sha256": row["sha256"].hex()}
