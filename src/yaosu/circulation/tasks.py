"""Bills too large for one synchronous call, run by the worker process with the same result (issue 2 §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import procrastinate

from yaosu.circulation import store_job as store
from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.schemas import LargeMovementIn
from yaosu.circulation.store_write import INSERT_SUBMISSION, ConflictError
from yaosu.circulation.write import pack_bodies, unpack_body
from yaosu.db.engine import Connection, connect
from yaosu.db.jobs import Watch, WhenBack, failure_of, queue
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import Subject

TASK = "room1:large_bill"
JOB_CODES_MAX = 1_000_000
"""Codes in one bill that runs as a job."""
RESULTS_MAX = 10_000
"""Per-code results kept in the job; of a larger bill the refused and remarkable ones, the rest are the bill's lines."""
TRIES = 3


def make_blueprint(address: str) -> procrastinate.Blueprint:
    """The tasks, bound to a database."""
    blueprint = procrastinate.Blueprint()

    @blueprint.task(name="large_bill", retry=WhenBack())
    async def large_bill(job_id: str) -> None:
        await run_job(address, UUID(job_id))

    return blueprint


async def queue_bill(conn: Connection, subject: Subject, body: bytes, lang: str, codes: int) -> UUID:
    """Keep the submission and queue its bill, in the caller's transaction; the job's id."""
    submission = await conn.fetchval(INSERT_SUBMISSION, 1, pack_bodies([body]))
    details = {
        "submission": submission,
        "lang": lang,
        "org_type": subject.org_type,
        "role": subject.role,
        "kind": subject.kind,
        "scopes": sorted(subject.scopes),
        "region": subject.region,
    }
    return await queue(conn, TASK, "movement", subject.org, subject.account_id, details, codes)


async def run_job(address: str, job_id: UUID) -> None:
    """Judge and record the bill of a job; the result goes into its row. Never raises for bad input."""
    conn, side = await connect(address), await connect(address)
    try:
        row = await conn.fetchrow(store.JOB, job_id)
        if row is None:
            return
        watch = Watch(side, job_id)
        await watch.start()
        lang = str(row["input"].get("lang", "zh"))
        try:
            result = await _run(conn, row)
            state = "refused" if result.status == "refused" else "done"
            answer: Mapping[str, Any] = shortened(result, lang)
        except YaosuError as error:
            state, answer = "refused", error.as_json(lang)
        except asyncio.CancelledError:
            await watch.finish("queued", {"phase": "interrupted"})
            raise
        except Exception as error:
            state, answer = "failed", failure_of(error, job_id).as_json(lang)
        await watch.finish(state, answer)
    finally:
        await conn.close()
        await side.close()


async def _run(conn: Connection, row: asyncpg.Record) -> MovementResult:
    details = row["input"]
    packed = await conn.fetchval(store.BODY, details["submission"])
    body = unpack_body(packed, 0)
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
    registry: Registry = await load_registry(conn)
    movement = LargeMovementIn.model_validate_json(body).movement(registry, subject.org_id, body)
    if movement.revision > 1:
        subject.require("bill.correct")
    if movement.type == 6:
        subject.require("quarantine.dispose")
    prepared = await prepare(conn, registry, subject, movement, JOB_CODES_MAX)
    for attempt in range(TRIES):
        try:
            async with conn.transaction():
                (outcome,) = await apply_group(
                    conn, [prepared], BatchCache(), lock=attempt > 0, late_gate=attempt < TRIES - 1
                )
            break
        except (ConflictError, asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            if attempt == TRIES - 1:
                raise
    if isinstance(outcome, YaosuError):
        raise outcome
    return outcome


def shortened(result: MovementResult, lang: str) -> dict[str, Any]:
    """The answer, with all results up to a limit and beyond it those that need a look."""
    if len(result.results) <= RESULTS_MAX:
        return result.as_json(lang)
    everything = result.results
    accepted = sum(1 for r in everything if r.accepted)
    result.results = [r for r in everything if r.severity != "ok"][:RESULTS_MAX]
    answer = result.as_json(lang)
    answer.update(accepted=accepted, refused=len(everything) - accepted, results_shown=len(result.results))
    return answer
