"""Files too large for one request, sent by the worker process with the same result."""

from __future__ import annotations

import asyncio
from uuid import UUID

import procrastinate

from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.engine import connect, open_pool
from yaosu.db.jobs import Watch, WhenBack, failure_of
from yaosu.errors import YaosuError
from yaosu.exchange.files import sending, store_jobs
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings, master_secret
from yaosu.subject import Subject


def make_blueprint(settings: Settings, address: str) -> procrastinate.Blueprint:
    """The tasks, bound to a database."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name="files_send", retry=WhenBack())
    async def files_send(job_id: str) -> None:
        await run_job(settings, address, UUID(job_id))

    return blueprint


async def run_job(settings: Settings, address: str, job_id: UUID) -> None:
    """Send the file of a job; the summary goes into its row. Never raises for bad input."""
    pool, side = await open_pool(address, size_max=6), await connect(address)
    try:
        async with pool.acquire() as conn:
            row = await conn.fetchrow(store_jobs.JOB, job_id)
            registry = await load_registry(conn)
        if row is None:
            return
        watch, details = Watch(side, job_id), row["input"]
        await watch.start()
        # what the caller may do was known when the job was queued; the job acts within just that
        subject = Subject(
            kind=details["kind"],
            account_id=row["account_id"],
            org_id=row["org"],
            org_type=details["org_type"],
            role=details["role"],
            scopes=frozenset(details["scopes"]),
            lang=details["lang"],
            region=details["region"],
        )
        committer = Committer(pool, BatchCache(Issued(master_secret(settings.data))))
        committer.start()
        try:
            doors = sending.Doors(pool, committer, registry)
            answer = await sending.send(doors, subject, details["file"], watch)
            state = "done"
        except YaosuError as error:
            state, answer = "refused", error.as_json(details["lang"])
        except asyncio.CancelledError:
            await watch.finish("queued", {"phase": "interrupted"})
            raise
        except Exception as error:
            state, answer = "failed", failure_of(error, job_id).as_json(details["lang"])
        finally:
            await committer.stop()
        await watch.finish(state, {"file": details["file"], **answer})
    finally:
        await side.close()
        await pool.close()
