"""Whether a code that is not activated was ever issued (D6): a code of ours that nobody issued is a made-up one.

Only for prefixes we issue for; codes printed elsewhere cannot be told apart before they are activated.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.codes.issue import derive, locate, split_own
from yaosu.db.engine import Connection
from yaosu.production import store_requests as store
from yaosu.rules.judge import Verdict

LOOKED_AT_MAX = 300
"""Codes of one bill that are looked up; each costs some twenty microseconds and a query."""


class Issued:
    """Asks by computation; `master` is the secret that issue keys derive from."""

    def __init__(self, master: bytes) -> None:
        self._master = master

    async def explain(self, conn: Connection, verdicts: Sequence[Verdict]) -> None:
        """Say `never_issued` instead of `not_activated` where that is known."""
        asked = [v for v in verdicts if v.code == "not_activated"][:LOOKED_AT_MAX]
        keys: dict[str, list[int]] = {}
        for verdict in asked:
            own = split_own(verdict.scan.code)
            if own is None:
                continue
            prefix = own[0]
            if prefix not in keys:
                keys[prefix] = [row["key_id"] for row in await conn.fetch(store.KEYS_OF, prefix)]
            if keys[prefix] and not await self._issued(conn, prefix, verdict.scan.code, keys[prefix]):
                verdict.code = "never_issued"

    async def _issued(self, conn: Connection, prefix: str, code: str, keys: Sequence[int]) -> bool:
        for key_id in keys:
            number = locate(code, derive(self._master, key_id))
            if number is None:
                continue
            found = await conn.fetchrow(store.RANGE_OF, prefix, number)
            if found is not None and number < found["start_no"] + found["count"]:
                return True
        return False
