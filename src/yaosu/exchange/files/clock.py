"""What time does here: previews nobody confirmed are removed."""

from __future__ import annotations

from yaosu.db.engine import Connection
from yaosu.exchange.files import service
from yaosu.settings import Settings


async def tick(conn: Connection, settings: Settings) -> None:
    """Sweep."""
    await service.sweep(conn)
