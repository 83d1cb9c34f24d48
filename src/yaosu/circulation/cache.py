"""Facts of batches, kept in memory: a batch never changes once it exists."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from yaosu.circulation import store_write as store
from yaosu.circulation.issued import Issued
from yaosu.db.engine import Connection
from yaosu.notify.routed import Routed
from yaosu.rules.world import BatchFacts
from yaosu.stops.service import Memory

CHINA = ZoneInfo("Asia/Shanghai")
BATCHES_MAX = 200_000
"""Batches kept; about 60 MB."""


class BatchCache:
    """One per process. Uncommitted batches of other transactions are never seen, so nothing stale gets in."""

    def __init__(self, issued: Issued | None = None, stops: Memory | None = None) -> None:
        self._facts: dict[int, BatchFacts] = {}
        self.stops = stops if stops is not None else Memory()
        """Recalls, locks and suspensions in force."""
        self.routed = Routed()
        """Whose bills are to be routed to other systems."""
        self.issued = issued
        """Tells made-up codes from unactivated ones, where the server knows the issue keys."""

    async def get(self, conn: Connection, needed: Mapping[int, int]) -> dict[int, BatchFacts]:
        """Facts of the batches in `needed` (batch id → product)."""
        facts = self._facts
        missing = [b for b in needed if b not in facts]
        if missing:
            if len(facts) > BATCHES_MAX:
                facts.clear()
                missing = list(needed)
            for row in await conn.fetch(store.BATCHES, missing, list({needed[b] for b in missing})):
                # 有效期至 is the last day of use; the first moment past it is midnight in China
                last_day = row["expires_on"] + timedelta(days=1)
                facts[row["id"]] = BatchFacts(
                    batch_id=row["id"],
                    drug_id=row["drug_id"],
                    batch_no=row["batch_no"],
                    expires_at=datetime.combine(last_day, time(), CHINA),
                )
        return {b: facts[b] for b in needed}
