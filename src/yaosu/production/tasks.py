"""Long work of this room, run by the worker process (`yaosu worker`)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import procrastinate

from yaosu.db.engine import Connection, connect
from yaosu.db.jobs import Watch, WhenBack, failure_of, make_app, run_worker
from yaosu.errors import YaosuError
from yaosu.production import activation, uploads
from yaosu.production.answers import activation_answer, check_answer
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings, master_secret
from yaosu.subject import Subject

TASK = "room0:relation_file"
KINDS = ("relation_check", "relation_activate")

JOB = "SELECT id, kind, org, account_id, input FROM job WHERE id = $1"


def make_blueprint(settings: Settings, address: str) -> procrastinate.Blueprint:
    """The tasks, bound to a data folder and a database."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name="relation_file", retry=WhenBack())
    async def relation_file(job_id: str) -> None:
        await run_job(settings, address, UUID(job_id))

    return blueprint


async def work(settings: Settings, address: str, *, until_empty: bool = False) -> None:
    """The worker: run queued jobs until stopped."""
    app = make_app(address, make_blueprint(settings, address))
    await run_worker(app, address, until_empty=until_empty)


async def run_job(settings: Settings, address: str, job_id: UUID) -> None:
    """Check or activate the uploaded file of a job; the result goes into its row. Never raises for bad input."""
    conn, side = await connect(address), await connect(address)
    try:
        row = await conn.fetchrow(JOB, job_id)
        if row is None:
            return
        watch = Watch(side, job_id)
        await watch.start()
        details = row["input"]
        lang = details.get("lang", "zh")
        try:
            state, result = await _file_job(conn, settings, row, watch)
        except YaosuError as error:
            state, result = "refused", error.as_json(lang)
        except asyncio.CancelledError:
            await watch.finish("queued", {"phase": "interrupted"})
            raise
        except Exception as error:
            state, result = "failed", failure_of(error, job_id).as_json(lang)
        await watch.finish(state, result)
    finally:
        await conn.close()
        await side.close()


async def _file_job(
    conn: Connection, settings: Settings, row: Any, watch: Watch
) -> tuple[str, dict[str, Any]]:
    details = row["input"]
    upload_id = UUID(details["upload"])
    # what the caller may do was checked when the job was queued; the job acts within just that
    subject = Subject(
        "system",
        account_id=row["account_id"],
        org_id=row["org"],
        scopes=frozenset({"production.read", "production.write"}),
        name="worker",
    )
    path = uploads.path_of(settings.data, upload_id)
    if not path.exists():
        raise YaosuError("not_found", {"what": "上传 / upload"})
    registry = await load_registry(conn)
    master = master_secret(settings.data)
    lang = details.get("lang", "zh")
    if row["kind"] == "relation_check":
        found = await activation.check(conn, subject, path, registry, master, details["name"], progress=watch)
        return "done", check_answer(found, lang)
    options = activation.Options(details["name"], details.get("bill_no", ""), bool(details.get("stock_in")))
    async with conn.transaction():
        done = await activation.activate(conn, subject, path, registry, master, options, progress=watch)
    return "done", activation_answer(done)
