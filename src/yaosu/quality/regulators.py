"""Which regulator on the platform is responsible for a region: the one closest to it."""

from __future__ import annotations

from yaosu.access.visibility import region_prefix
from yaosu.db.engine import Connection
from yaosu.quality import store_selfcheck as store


async def of_region(conn: Connection, region: str) -> int | None:
    """The regulator with the smallest territory that holds `region`; None when none has joined.

    What is sent without one is seen by whoever joins later: who sees it is decided by region (D10), not by this number.
    """
    best: tuple[int, int] | None = None
    for row in await store.regulators(conn):
        prefix = region_prefix(row["region"])
        if region.startswith(prefix) and (best is None or len(prefix) > best[0]):
            best = (len(prefix), row["id"])
    return best[1] if best is not None else None
