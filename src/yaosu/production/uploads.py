"""Resumable uploads: begin, append at the offset the server names, until complete.

The bytes are a file under data/uploads, synced before an offset is acknowledged; the row says how far it has come.
Each belongs to an organisation, counts against its quota while it lives, and ends by itself.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from asyncpg import Record

from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.production import store_uploads as store
from yaosu.subject import Subject

SIZE_MAX = 2 << 30
OPEN_MAX = 20
OPEN_BYTES_MAX = 8 << 30
LIFE = timedelta(hours=24)
"""After the last piece."""
PURPOSES = frozenset({"relation"})


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way or complete."""

    id: UUID
    org: int
    name: str
    purpose: str
    size: int
    received: int
    """Bytes safely on disk: where to continue."""
    state: str
    """open or complete."""
    sha256: bytes | None
    created_at: datetime
    expires_at: datetime


def _upload(row: Record) -> Upload:
    return Upload(**dict(row))


def path_of(data: Path, upload_id: UUID) -> Path:
    """Where the bytes are. The name is the id, never what the sender called it."""
    return data / "uploads" / upload_id.hex


async def begin(
    conn: Connection, subject: Subject, data: Path, name: str, size: int, purpose: str, sha256: bytes | None
) -> Upload:
    """Announce a file (`production.write`). Refused: `upload_size`, `upload_purpose`, `upload_quota`."""
    subject.require("production.write")
    if purpose not in PURPOSES:
        raise YaosuError("upload_purpose", {"purpose": purpose[:40]})
    if not 1 <= size <= SIZE_MAX:
        raise YaosuError("upload_size", {"size": size, "limit_mb": SIZE_MAX >> 20})
    await conn.execute(store.LOCK_ORG, subject.org)
    held = await conn.fetchrow(store.OPEN_TOTAL, subject.org)
    assert held is not None
    if held["n"] >= OPEN_MAX or held["bytes"] + size > OPEN_BYTES_MAX:
        raise YaosuError("upload_quota", {"limit": f"{OPEN_MAX} / {OPEN_BYTES_MAX >> 30} GB"})
    until = datetime.now(UTC) + LIFE
    row = await conn.fetchrow(
        store.INSERT, subject.org, subject.account_id, name, purpose, size, sha256, until
    )
    assert row is not None
    made = _upload(row)
    path = path_of(data, made.id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    return made


async def get(conn: Connection, subject: Subject, upload_id: UUID) -> Upload:
    """An upload of the own organisation (`production.write`), or `not_found`."""
    subject.require("production.write")
    row = await conn.fetchrow(store.GET, upload_id, subject.org)
    if row is None:
        raise YaosuError("not_found", {"what": "上传 / upload"})
    return _upload(row)


async def append(
    pool: Pool, subject: Subject, data: Path, upload_id: UUID, offset: int, body: AsyncIterator[bytes]
) -> Upload:
    """Take in a piece at `offset`. What arrived before a connection broke stays and need not be sent again.

    No database connection is held while the piece comes in. Refused: `upload_offset` (409, names the right one,
    also while another piece of the same upload is coming in), `upload_too_much`, `upload_digest`.
    """
    async with pool.acquire() as conn:
        upload = await get(conn, subject, upload_id)
    if offset != upload.received or upload.state != "open":
        raise YaosuError("upload_offset", {"offset": upload.received})
    path = path_of(data, upload_id)
    try:
        file = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        raise YaosuError("not_found", {"what": "上传 / upload"}) from None
    at = offset
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise YaosuError("upload_offset", {"offset": upload.received}) from None
        try:
            async for piece in body:
                if at + len(piece) > upload.size:
                    raise YaosuError("upload_too_much", {"size": upload.size})
                if piece:
                    await asyncio.to_thread(os.pwrite, file, piece, at)
                    at += len(piece)
        finally:
            # also when the sender went away: the offset we tell next time includes what is here
            await asyncio.shield(_acknowledge(pool, upload, path, file, at))
    finally:
        os.close(file)
    async with pool.acquire() as conn:
        return await get(conn, subject, upload_id)


async def _acknowledge(pool: Pool, upload: Upload, path: Path, file: int, at: int) -> None:
    await asyncio.to_thread(os.fsync, file)
    state = "complete" if at == upload.size else "open"
    if state == "complete" and upload.sha256 is not None:
        found = await asyncio.to_thread(_digest, path)
        if found != upload.sha256:
            async with pool.acquire() as conn, conn.transaction():
                until = datetime.now(UTC) + LIFE
                await conn.fetchval(store.ADVANCE, upload.id, upload.received, 0, "open", until)
            raise YaosuError("upload_digest")
    async with pool.acquire() as conn, conn.transaction():
        moved = await conn.fetchval(
            store.ADVANCE, upload.id, upload.received, at, state, datetime.now(UTC) + LIFE
        )
    if moved is None:
        raise YaosuError("upload_offset", {"offset": upload.received})


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


async def remove(conn: Connection, subject: Subject, data: Path, upload_id: UUID) -> None:
    """Give up an upload (`production.write`), or `not_found`."""
    subject.require("production.write")
    if await conn.fetchval(store.DELETE, upload_id, subject.org) is None:
        raise YaosuError("not_found", {"what": "上传 / upload"})
    with suppress(FileNotFoundError):
        path_of(data, upload_id).unlink()


async def sweep(conn: Connection, data: Path) -> int:
    """Remove what has expired, rows and files; how many."""
    rows = await conn.fetch(store.EXPIRED)
    for row in rows:
        with suppress(FileNotFoundError):
            path_of(data, row["id"]).unlink()
    return len(rows)
