"""Folders that the server itself watches, one per organisation, under its data folder or where its keeper says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.files import store
from yaosu.subject import Subject


def place(data: Path, org: int, path: str) -> Path:
    """Where an organisation's folder is."""
    return Path(path) if path else data / "folders" / str(org)


def _json(row: Record, data: Path, shown: bool) -> dict[str, Any]:
    answer = dict(row)
    # where the server keeps its data is the keeper's business: callers are told the part that is theirs
    answer["path"] = (
        str(place(data, row["org"], row["path"])) if shown else (row["path"] or f"folders/{row['org']}")
    )
    return answer


async def get(
    conn: Connection, subject: Subject, data: Path, *, shown: bool = False
) -> dict[str, Any] | None:
    """The organisation's folder, or None."""
    subject.require("bill.read")
    row = await conn.fetchrow(store.FOLDER, subject.org)
    return _json(row, data, shown) if row is not None else None


async def switch(
    conn: Connection,
    subject: Subject,
    data: Path,
    active: bool,
    path: str | None = None,
    *,
    shown: bool = False,
) -> dict[str, Any]:
    """Watch or stop (`key.manage`: what the folder takes in is trusted like a key). Refused: `file_folder_path`.

    `path` is only given by the server's own command line; callers of the API get a folder under the data folder.
    """
    subject.require("key.manage")
    before = await conn.fetchrow(store.FOLDER, subject.org)
    kept = path if path is not None else (before["path"] if before is not None else "")
    where = place(data, subject.org, kept)
    if active:
        try:
            where.mkdir(parents=True, exist_ok=True, mode=0o770)
        except OSError:
            raise YaosuError("file_folder_path", {"path": where.name}) from None
        if not where.is_dir():
            raise YaosuError("file_folder_path", {"path": where.name})
    row = await conn.fetchrow(store.SET_FOLDER, subject.org, kept, active, subject.account_id)
    assert row is not None
    await audit.record(conn, subject, "files.folder", ("folder", str(subject.org)), {"active": active})
    return _json(row, data, shown)
