"""What happens by itself as time passes: deadlines, reminders, retention, periodic checks.

A room may have a module `clock` with `async def tick(conn, settings)`. It is called about once a minute by the
worker, in a transaction of its own, must be quick when nothing is due, and must be safe to call twice. A room that
fails is logged and never holds up another.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import procrastinate
import structlog

from yaosu.api.app import ROOMS
from yaosu.db.engine import connect
from yaosu.db.jobs import QUEUE
from yaosu.db.trouble import away
from yaosu.settings import Settings

log = structlog.get_logger("yaosu.cli.clock")


def make_blueprint(settings: Settings, address: str) -> procrastinate.Blueprint:
    """The minute task, bound to a database."""
    blueprint = procrastinate.Blueprint()

    @blueprint.periodic(cron="* * * * *")
    @blueprint.task(name="minute", queue=QUEUE, queueing_lock="minute")
    async def minute(timestamp: int) -> None:
        await tick(settings, address)

    return blueprint


def rooms() -> list[Any]:
    """The clocks of all rooms that have one."""
    names = [f"yaosu.{room}.clock" for room in ROOMS]
    return [import_module(name) for name in names if find_spec(name) is not None]


async def tick(settings: Settings, address: str) -> None:
    """Let every room do what is due."""
    conn = await connect(address)
    try:
        for room in rooms():
            try:
                async with conn.transaction():
                    await room.tick(conn, settings)
            except Exception as error:
                if away(error):
                    # the others would find the same: a minute later all are asked again
                    raise
                log.exception("clock_failed", room=room.__name__)
    finally:
        await conn.close()
