"""What time does in the dispensing room: each part's own clock."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from yaosu.db.engine import Connection
from yaosu.settings import Settings

PARTS = ("realname_clock", "narcotics_clock", "split_clock")
"""Modules of this room with an `async def tick(conn)`."""


async def tick(conn: Connection, settings: Settings) -> None:
    """Let every part do what is due; safe to call twice."""
    for name in PARTS:
        if find_spec(f"yaosu.dispensing.{name}") is not None:
            await import_module(f"yaosu.dispensing.{name}").tick(conn)
