"""Tasks that run beside the requests, for the life of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def running(tasks: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run each coroutine as a task of that name; at the end all are cancelled first and then waited for."""
    begun = [asyncio.create_task(work, name=name) for name, work in tasks.items()]
    try:
        yield
    finally:
        for task in begun:
            task.cancel()
        for task in begun:
            with suppress(asyncio.CancelledError):
                await task
