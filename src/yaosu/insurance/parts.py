"""What the bureau's address keeps for the life of a server: the desk that takes calls in, and who called lately."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yaosu.edge.state import AppState
from yaosu.insurance.callers import Callers
from yaosu.insurance.desk import Desk


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Run until the server stops; what waits is written before."""
    desk = Desk(app.pool)
    app.parts["insurance.desk"] = desk
    app.parts["insurance.callers"] = Callers(app.pool, app.parts["keeper"])
    desk.start()
    try:
        yield
    finally:
        await desk.stop()
