"""Starts the server's committer and batch cache, once per process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.edge.state import AppState, state
from yaosu.settings import master_secret


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Put `committer` and `batches` into `app.parts` for the life of the server."""
    batches = BatchCache(Issued(master_secret(app.settings.data)), app.parts["stops"])
    committer = Committer(app.pool, batches)
    app.parts["batches"] = batches
    app.parts["committer"] = committer
    committer.start()
    try:
        yield
    finally:
        await committer.stop()


def committer_of(request: Request) -> Committer:
    """The server's committer."""
    found: Committer = state(request).parts["committer"]
    return found


def batches_of(request: Request) -> BatchCache:
    """The server's batch cache."""
    found: BatchCache = state(request).parts["batches"]
    return found
