"""Background work on the same PostgreSQL (D13): Procrastinate carries it, the table `job` is what callers see.

A job is queued in the caller's own transaction, so it exists exactly when the record that asks for it does. A
separate worker process runs it; work that a stopped worker left half done is taken up again, which is safe because
every task is one transaction.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import procrastinate
import structlog

from yaosu.db.engine import Connection, connect
from yaosu.db.trouble import away, traits, trouble
from yaosu.errors import YaosuError

log = structlog.get_logger("yaosu.jobs")

QUEUE = "yaosu"
POLL_S = 2.0
ADOPT_EVERY_S = 30.0
_LOCK_KEY = 7_295_461_004

AGAIN_S = 2
"""Pause before a job is begun again whose database went away."""

HAS_SCHEMA = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"

# the queue's own entry, inside the caller's transaction; its trigger wakes the worker at commit
DEFER = """
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW($1::text, $2::text, 0, NULL::text, NULL::text, $3::text::jsonb, NULL::timestamptz)
    ]::procrastinate_job_to_defer_v1[])"""

INSERT_JOB = """
INSERT INTO job (kind, org, account_id, total, input) VALUES ($1, $2, $3, $4, $5) RETURNING id"""

# jobs whose worker is gone: its heartbeat stopped, or it deregistered without finishing
ORPHANS = """
SELECT j.id FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
WHERE j.status = 'doing' AND j.queue_name = $1 AND (w.id IS NULL OR w.last_heartbeat < now() - interval '60 s')"""

START = "UPDATE job SET state = 'running', started_at = coalesce(started_at, now()) WHERE id = $1"
PROGRESS = "UPDATE job SET done = $2, total = $3, result = $4 WHERE id = $1 AND state = 'running'"
FINISH = """
UPDATE job SET state = $2, result = $3, finished_at = CASE WHEN $2 <> 'queued' THEN now() END,
    done = CASE WHEN $2 = 'done' THEN total ELSE done END
WHERE id = $1"""


class WhenBack(procrastinate.BaseRetryStrategy):
    """A job in the middle of which the database went away is begun again, as often as that happens: its one transaction
    was taken back, or stands, and then the repeat finds it."""

    def get_retry_decision(
        self, *, exception: BaseException, job: procrastinate.jobs.Job
    ) -> procrastinate.RetryDecision | None:
        """Again for a database that is away, never for anything else."""
        return procrastinate.RetryDecision(retry_in={"seconds": AGAIN_S}) if away(exception) else None


async def ensure_schema(address: str) -> bool:
    """Create the queue's tables if absent; True when they were created now. Servers that start at once take turns."""
    conn = await connect(address)
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        if await conn.fetchval(HAS_SCHEMA):
            return False
        app = make_app(address)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
        return True
    finally:
        await conn.close()


def failure_of(error: Exception, job_id: UUID) -> YaosuError:
    """What the caller of a job is told that ended by no verdict. Raises the error again when the database is away: then
    the job has not ended."""
    if away(error):
        raise error
    known = trouble(error)
    if known is None:
        log.error("job_failed", job=str(job_id), exc_info=error)
        return YaosuError("internal_error", {"incident": str(job_id)[:8]})
    log.warning(known.code, job=str(job_id), **traits(error))
    return known


def make_app(address: str, *blueprints: procrastinate.Blueprint) -> procrastinate.App:
    """The queue at `address` with the tasks of the given rooms."""
    connector = procrastinate.PsycopgConnector(conninfo=address, min_size=1, max_size=4)
    app = procrastinate.App(connector=connector)
    for n, blueprint in enumerate(blueprints):
        app.add_tasks_from(blueprint, namespace=f"room{n}")
    return app


async def queue(
    conn: Connection,
    task: str,
    kind: str,
    org: int,
    account_id: int | None,
    details: Mapping[str, Any],
    total: int = 0,
) -> UUID:
    """Record a job and queue its task, both with the caller's transaction; the job's id."""
    job_id: UUID = await conn.fetchval(INSERT_JOB, kind, org, account_id, total, dict(details))
    await conn.execute(DEFER, QUEUE, task, json.dumps({"job_id": str(job_id)}))
    return job_id


async def run_worker(app: procrastinate.App, address: str, *, until_empty: bool = False) -> None:
    """Work until stopped (or, for tests and scripts, until nothing is left). One job at a time."""
    async with app.open_async():
        await _adopt(app, address)
        broom = asyncio.create_task(_adopt_again(app, address))
        try:
            await app.run_worker_async(
                queues=[QUEUE],
                concurrency=1,
                wait=not until_empty,
                fetch_job_polling_interval=POLL_S,
                install_signal_handlers=not until_empty,
                delete_jobs="successful",
            )
        finally:
            broom.cancel()
            await asyncio.gather(broom, return_exceptions=True)


async def _adopt(app: procrastinate.App, address: str) -> int:
    """Queue again what a killed worker left half done; how many."""
    conn = await connect(address)
    try:
        rows = await conn.fetch(ORPHANS, QUEUE)
    finally:
        await conn.close()
    for row in rows:
        log.warning("job_taken_up_again", job=row["id"])
        await app.job_manager.retry_job_by_id_async(row["id"], retry_at=procrastinate.utils.utcnow())
    return len(rows)


async def _adopt_again(app: procrastinate.App, address: str) -> None:
    """A worker killed a moment ago counts as gone only when its heartbeat has been missing for a while."""
    while True:
        await asyncio.sleep(ADOPT_EVERY_S)
        try:
            await _adopt(app, address)
        except Exception as error:
            # the database may be away for a moment; the next round looks again
            log.warning("orphans_not_looked_for", error=type(error).__name__)


class Watch:
    """Writes a job's progress on a connection of its own, since the job's own transaction shows nothing yet."""

    EVERY_S = 0.5

    def __init__(self, conn: Connection, job_id: UUID) -> None:
        self._conn, self._id = conn, job_id
        self._latest: tuple[int, int, str] = (0, 0, "")
        self._task: asyncio.Task[None] | None = None

    def __call__(self, done: int, total: int, phase: str) -> None:
        """Remember; written twice a second."""
        self._latest = (done, total, phase)

    async def _run(self) -> None:
        shown: tuple[int, int, str] | None = None
        while True:
            await asyncio.sleep(self.EVERY_S)
            if self._latest != shown:
                shown = self._latest
                try:
                    await self._conn.execute(PROGRESS, self._id, shown[0], shown[1], {"phase": shown[2]})
                except Exception as error:
                    # only shown; what became of the job is told at its end
                    log.warning("job_progress_not_written", error=type(error).__name__)
                    return

    async def start(self) -> None:
        """The job runs from now on."""
        await self._conn.execute(START, self._id)
        self._task = asyncio.create_task(self._run())

    async def finish(self, state: str, result: Mapping[str, Any]) -> None:
        """The job has ended: done, refused or failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._conn.execute(FINISH, self._id, state, dict(result))
