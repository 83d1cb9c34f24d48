"""Who calls: institutions that called lately, with their keys opened.

What is remembered may be old: another server may have renewed the keys or ended the institution. So each call's own
transaction compares the version (`desk.StaleError`), and whatever refuses a call is said only after a look at the
database (`changed`).
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.insurance import institutions, store
from yaosu.insurance.envelope import Keys
from yaosu.insurance.model import Institution
from yaosu.people.keeper import Keeper

PAASID = "x-tif-paasid"
KEPT_MAX = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """An institution, its keys and the secret of the gateway's signature. Never logged."""

    institution: Institution
    keys: Keys
    token: str
    version: datetime

    def __repr__(self) -> str:
        return f"Caller({self.institution.code})"


class Callers:
    """One per server process."""

    def __init__(self, pool: Pool, keeper: Keeper) -> None:
        self._pool = pool
        self._keeper = keeper
        self._kept: OrderedDict[str, Caller] = OrderedDict()

    async def of(self, headers: Mapping[str, str], asked: Mapping[str, Any]) -> Caller:
        """By institution, and by application where the gateway names one; both must be of one another.

        Refused: `insurance_in_unknown_institution`.
        """
        code, paasid = asked.get("fixmedins_code"), headers.get(PAASID, "")
        if not isinstance(code, str) or len(code) > 30 or len(paasid) > 100:
            raise YaosuError("insurance_in_unknown_institution")
        found = self._kept.get(code)
        if found is not None:
            self._kept.move_to_end(code)
        else:
            found = await self._read(code)
        if found is None or (
            paasid and not hmac.compare_digest(paasid.encode(), found.institution.app.encode())
        ):
            raise YaosuError("insurance_in_unknown_institution")
        return found

    async def changed(self, code: object) -> bool:
        """Whether what is remembered of an institution is no longer so; it is read again then."""
        before = self._kept.get(code) if isinstance(code, str) else None
        if before is None:
            return False
        found = await self._read(before.institution.code)
        return (
            found is None or found.version != before.version or found.institution.id != before.institution.id
        )

    async def _read(self, code: str) -> Caller | None:
        row = await self._pool.fetchrow(store.WITH_SECRETS, code)
        if row is None:
            self._kept.pop(code, None)
            return None
        one = store.institution(row)
        keys, token = institutions.opened(self._keeper, one.app, row["secrets"])
        found = self._kept[code] = Caller(one, keys, token, row["changed_at"])
        self._kept.move_to_end(code)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return found
