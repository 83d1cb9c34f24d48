"""Jobs of this room: queue work on an upload, and look how far it is."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from yaosu.db import jobs
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import store_uploads as store
from yaosu.production import uploads
from yaosu.production.tasks import KINDS, TASK
from yaosu.subject import Subject


async def queue_relation(
    conn: Connection,
    subject: Subject,
    upload_id: UUID,
    *,
    dry_run: bool,
    stock_in: bool = False,
    bill_no: str = "",
    lang: str = "zh",
) -> UUID:
    """Check or activate a completed upload in the worker (`production.write`); the job's id.

    Refused: `upload_incomplete`, `not_found`.
    """
    subject.require("production.write")
    upload = await uploads.get(conn, subject, upload_id)
    if upload.state != "complete":
        raise YaosuError("upload_incomplete", {"received": upload.received, "size": upload.size})
    details = {
        "upload": str(upload.id),
        "name": upload.name,
        "stock_in": stock_in,
        "bill_no": bill_no,
        "lang": lang,
    }
    kind = KINDS[0] if dry_run else KINDS[1]
    return await jobs.queue(conn, TASK, kind, subject.org, subject.account_id, details)


async def get(conn: Connection, subject: Subject, job_id: UUID) -> dict[str, Any]:
    """A job of the own organisation, or `not_found`."""
    row = await conn.fetchrow(store.JOB, job_id, subject.org)
    if row is None:
        raise YaosuError("not_found", {"what": "任务 / job"})
    return dict(row)


async def recent(conn: Connection, subject: Subject, limit: int = 20) -> list[dict[str, Any]]:
    """Jobs on relation files of the own organisation, newest first (`production.read`)."""
    subject.require("production.read")
    return [dict(r) for r in await conn.fetch(store.JOBS, subject.org, list(KINDS), limit)]
