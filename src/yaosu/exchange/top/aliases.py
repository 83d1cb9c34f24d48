"""The two names that the incumbent's interfaces have for an organisation: `ent_id` and `ref_ent_id`.

Both stand for our one id. They look different (18 digits; 32 hexadecimal characters), are made once from the master
secret and kept in `top_alias`, never change, and both are understood wherever an organisation is named: mixing them
up cannot post to the wrong subject. A 统一社会信用代码 is understood as well.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from yaosu.codes.identifiers.uscc import uscc_check_character
from yaosu.db.engine import Pool
from yaosu.exchange.top import store
from yaosu.registry.resolver import Registry

KEPT_MAX = 50_000
"""Organisations kept in memory; beyond, the cache starts over."""


@dataclass(frozen=True, slots=True)
class Alias:
    """How one organisation is named."""

    org: int
    ent_id: str
    ref_ent_id: str


def _looks_like_uscc(digits: str) -> bool:
    return uscc_check_character(digits[:17]) == digits[17]


def make(master: bytes, org: int, turn: int = 0) -> Alias:
    """The aliases of an organisation; `turn` rises when one of them is taken by chance."""
    digest = hmac.digest(master, f"yaosu top alias {org} {turn}".encode(), hashlib.sha256)
    number = (
        int.from_bytes(digest[:8], "big") % 9 * 10**17 + 10**17 + int.from_bytes(digest[8:16], "big") % 10**17
    )
    text = str(number)
    if _looks_like_uscc(text):
        return make(master, org, turn + 1000)
    return Alias(org, text, digest[16:].hex())


class Aliases:
    """Aliases by organisation and back, remembered; one per server."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._by_org: dict[int, Alias] = {}
        self._by_name: dict[str, int] = {}

    async def of(self, pool: Pool, orgs: Iterable[int | None]) -> Mapping[int | None, Alias]:
        """Aliases of organisations; made at the first time. None and unknown ids are not in the answer."""
        wanted = {org for org in orgs if org}
        missing = sorted(wanted - self._by_org.keys())
        if missing:
            await self._load(pool, missing)
        return {org: self._by_org[org] for org in wanted if org in self._by_org}

    async def org_of(self, pool: Pool, registry: Registry, value: str) -> int | None:
        """The organisation that goes by `value`; None when nobody does."""
        text = value.strip().lower()
        found = self._by_name.get(text)
        if found is not None:
            return found
        if len(text) not in (18, 32) or not text.isascii():
            return None
        row = await pool.fetchrow(store.ALIAS_BY_NAME, text)
        if row is not None:
            self._keep(Alias(row["org"], row["ent_id"], row["ref_ent_id"]))
            return int(row["org"])
        card = registry.org_by_uscc(text.upper()) if len(text) == 18 else None
        return card.id if card is not None else None

    async def _load(self, pool: Pool, orgs: list[int]) -> None:
        rows = await pool.fetch(store.ALIASES, orgs)
        have = {row["org"] for row in rows}
        for turn in range(5):
            new = [make(self._master, org, turn) for org in orgs if org not in have]
            if not new:
                break
            columns = ([a.org for a in new], [a.ent_id for a in new], [a.ref_ent_id for a in new])
            await pool.execute(store.ADD_ALIASES, *columns)
            rows = await pool.fetch(store.ALIASES, orgs)
            have = {row["org"] for row in rows}
        for row in rows:
            self._keep(Alias(row["org"], row["ent_id"], row["ref_ent_id"]))

    def _keep(self, one: Alias) -> None:
        if len(self._by_org) >= KEPT_MAX:
            self._by_org.clear()
            self._by_name.clear()
        self._by_org[one.org] = one
        self._by_name[one.ent_id] = self._by_name[one.ref_ent_id] = one.org
