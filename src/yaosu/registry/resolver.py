"""The registry in memory: which product and package level a code belongs to, and whose system it is in.

Every scan asks it, so an answer is one dictionary look-up by the code's prefix (< 1 µs); answers are made
when data change, not when they are asked for. One `Registry` per server, kept fresh by `parts`; jobs, CLI and
tests load their own with `load_registry`. All is synchronous; only `refresh` talks to the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from yaosu.codes.custom import CustomPattern
from yaosu.codes.model import TraceCode
from yaosu.db.engine import Connection
from yaosu.registry import lists, rows
from yaosu.registry import store_cache as store
from yaosu.registry.model import (
    UNKNOWN,
    Level,
    OrgCard,
    Prefix,
    Product,
    Resolution,
    TraceSystem,
)

CHANGES_MAX = 2_000
"""More changes than this in one refresh are cheaper to take in as a full reload."""


class Registry:
    """A consistent copy of the registry. Look-ups never block and never fail for strange input."""

    def __init__(self) -> None:
        self._orgs: dict[int, OrgCard] = {}
        self._by_uscc: dict[str, int] = {}
        self._places: dict[int, set[int]] = {}
        self._products: dict[int, Product] = {}
        self._prefixes: dict[str, tuple[Prefix, str]] = {}
        self._resolved: dict[str, Resolution] = {}
        self._links: dict[str, tuple[int, ...]] = {}
        self._systems: dict[int, TraceSystem] = {}
        self._customs: tuple[CustomPattern, ...] = ()
        self._lists = lists.delivered()
        self._snapshot = ""
        self._refreshing = asyncio.Lock()
        self.generation = 0
        """Rises with every refresh that found something; callers may key caches of their own by it."""

    # -- look-ups -----------------------------------------------------------------------------------

    def resolve(self, code: TraceCode) -> Resolution:
        """Product, level and home system of `code`, by its prefix (R-A4). An SSCC is `unknown`."""
        return self._resolved.get(code.prefix, UNKNOWN)

    def resolve_prefix(self, prefix: str) -> Resolution:
        """The same for a 7-digit 药品标识码, a GTIN-14 or an issuer key."""
        return self._resolved.get(prefix, UNKNOWN)

    def product(self, drug_id: int) -> Product | None:
        """The product, or None."""
        return self._products.get(drug_id)

    def products(self) -> Mapping[int, Product]:
        """All products by id, read only."""
        return MappingProxyType(self._products)

    def levels(self, drug_id: int) -> tuple[Level, ...]:
        """The ladder of a product from level 1 upward; empty for an unknown product."""
        found = self._products.get(drug_id)
        return found.levels if found is not None else ()

    def linked(self, value: str) -> tuple[int, ...]:
        """Products that carry `value` as 药品标识码, GTIN, 本位码, 医保编码, YPID … (R-A2)."""
        resolved = self._resolved.get(value)
        if resolved is not None and resolved.drug_id is not None:
            return (resolved.drug_id,)
        return self._links.get(value, ())

    def org(self, org_id: int) -> OrgCard | None:
        """The directory entry of an organisation, or None."""
        return self._orgs.get(org_id)

    def orgs(self) -> Iterable[OrgCard]:
        """All organisations, in no order."""
        return self._orgs.values()

    def org_by_uscc(self, uscc: str) -> OrgCard | None:
        """The organisation with that 统一社会信用代码, or None."""
        found = self._by_uscc.get(uscc)
        return self._orgs[found] if found is not None else None

    def stores(self, org_id: int) -> tuple[int, ...]:
        """Ids of the stores of a chain headquarters (a scan of all organisations: not for the hot path)."""
        return tuple(o.id for o in self._orgs.values() if o.parent_id == org_id)

    def places_of(self, org_id: int) -> tuple[OrgCard, ...]:
        """The places inside an organisation that are in use (药库, 病区, 仓库), by number."""
        found = (self._orgs[i] for i in sorted(self._places.get(org_id, ())))
        return tuple(card for card in found if card.active)

    def family_of(self, org_id: int) -> tuple[OrgCard, ...]:
        """The organisation around `org_id`, itself or the one it is a place of, and then its places in use."""
        card = self._orgs.get(org_id)
        around = (
            self._orgs.get(card.parent_id) if card is not None and card.place and card.parent_id else card
        )
        return (around, *self.places_of(around.id)) if around is not None else ()

    def system(self, system_id: int) -> TraceSystem | None:
        """A trace system, or None."""
        return self._systems.get(system_id)

    @property
    def systems(self) -> tuple[TraceSystem, ...]:
        """All trace systems, ours first."""
        return tuple(sorted(self._systems.values(), key=lambda s: (not s.own, s.id)))

    @property
    def customs(self) -> tuple[CustomPattern, ...]:
        """The registered patterns of enterprise-defined codes, for `codes.parse`."""
        return self._customs

    @property
    def lists(self) -> lists.CodeLists:
        """The code lists with the operator's own versions over the delivered ones."""
        return self._lists

    # -- loading ------------------------------------------------------------------------------------

    async def refresh(self, conn: Connection, *, full: bool = False) -> bool:
        """Take in what changed since the last time; True when there was anything.

        Reads at least everything committed before the call, and the caller's own uncommitted work.
        """
        # one after the other: rows that were read earlier must not be put in place later
        async with self._refreshing:
            return await self._refresh(conn, full=full)

    async def _refresh(self, conn: Connection, *, full: bool) -> bool:
        now = await store.snapshot(conn)
        if full or not self._snapshot:
            await self._load(conn, None, None, None)
        else:
            found = await store.changes(conn, self._snapshot, CHANGES_MAX + 1)
            keys: dict[str, set[int]] = {}
            for change in found:
                keys.setdefault(change["kind"], set()).add(change["key"])
            if not keys:
                self._snapshot = now
                return False
            if len(found) > CHANGES_MAX:
                await self._load(conn, None, None, None)
            else:
                await self._load(
                    conn,
                    sorted(keys.get("org", ())),
                    sorted(keys.get("product", ())),
                    sorted(keys.get("prefix", ())),
                    others=bool({"system", "list"} & keys.keys()),
                )
        self._snapshot = now
        self.generation += 1
        return True

    async def _load(
        self,
        conn: Connection,
        orgs: list[int] | None,
        products: list[int] | None,
        filings: list[int] | None,
        others: bool = True,
    ) -> None:
        """Read first, then put in place without awaiting, so that no look-up sees half a change."""
        org_rows = await store.load(conn, store.ORGS, orgs) if orgs != [] else []
        product_rows: Sequence[rows.Record] = []
        level_rows: Sequence[rows.Record] = []
        link_rows: Sequence[rows.Record] = []
        if products != []:
            product_rows = await store.load(conn, store.PRODUCTS, products)
            level_rows = await store.load(conn, store.LEVELS, products)
            link_rows = await store.load(conn, store.LINKS, products)
        touched = filings is None or bool(filings)
        prefix_rows = await store.load(conn, store.PREFIXES, filings) if touched else []
        custom_rows = await store.load_all(conn, store.CUSTOM_FILINGS) if touched else None
        system_rows = await store.load_all(conn, store.SYSTEMS) if others or orgs is None else None
        item_rows = await store.load_all(conn, store.LIST_ITEMS) if others or orgs is None else None

        self._put_orgs(orgs, org_rows)
        self._put_products(products, product_rows, level_rows, link_rows)
        if system_rows is not None:
            self._systems = {r["id"]: rows.system(r) for r in system_rows}
        if item_rows is not None:
            self._lists = lists.delivered().over((r["list"], rows.item(r)) for r in item_rows)
        if custom_rows is not None:
            self._customs = tuple(
                CustomPattern(r["issuer"], r["name"], r["pattern"], "upper" if r["pattern_upper"] else "none")
                for r in custom_rows
            )
        self._put_prefixes(filings, prefix_rows)
        if touched or system_rows is not None:
            self._resolved = {p: self._answer(*entry) for p, entry in self._prefixes.items()}

    def _put_orgs(self, ids: list[int] | None, found: Sequence[rows.Record]) -> None:
        if ids is None:
            self._orgs, self._by_uscc, self._places = {}, {}, {}
        for org_id in ids or ():
            old = self._orgs.pop(org_id, None)
            if old is not None and old.uscc:
                self._by_uscc.pop(old.uscc, None)
            if old is not None and old.place and old.parent_id is not None:
                self._places.get(old.parent_id, set()).discard(old.id)
        for row in found:
            one = rows.card(row)
            self._orgs[one.id] = one
            if one.uscc:
                self._by_uscc[one.uscc] = one.id
            if one.place and one.parent_id is not None:
                self._places.setdefault(one.parent_id, set()).add(one.id)

    def _put_products(
        self,
        ids: list[int] | None,
        found: Sequence[rows.Record],
        level_rows: Sequence[rows.Record],
        link_rows: Sequence[rows.Record],
    ) -> None:
        if ids == []:
            return
        levels: dict[int, list[Level]] = {}
        for row in level_rows:
            levels.setdefault(row["drug_id"], []).append(rows.level(row))
        links: dict[int, list[tuple[str, str, int | None]]] = {}
        for row in link_rows:
            links.setdefault(row["drug_id"], []).append((row["kind"], row["value"], row["level"]))
        fresh = {
            r["id"]: rows.product(r, levels.get(r["id"], ()), links.get(r["id"], ()))
            for r in found
            # a ladder is written in the same transaction; a product without one is not yet a product
            if r["id"] in levels
        }
        if ids is None:
            self._products = fresh
        else:
            for drug_id in ids:
                self._products.pop(drug_id, None)
            self._products.update(fresh)
        index: dict[str, list[int]] = {}
        for one in self._products.values():
            for value in {v for _, v, _ in one.links} | {lv.identifier for lv in one.levels}:
                index.setdefault(value, []).append(one.id)
        self._links = {value: tuple(ids_) for value, ids_ in index.items()}

    def _put_prefixes(self, filings: list[int] | None, found: Sequence[rows.Record]) -> None:
        if filings is None:
            self._prefixes = {}
        else:
            gone = set(filings)
            self._prefixes = {p: e for p, e in self._prefixes.items() if e[0].filing_id not in gone}
        for row in found:
            self._prefixes[row["prefix"]] = (rows.prefix(row), row["query_url"])

    def _answer(self, prefix: Prefix, query_url: str) -> Resolution:
        system = self._systems.get(prefix.system_id)
        url = query_url or (system.query_url if system is not None else "")
        if system is not None and not system.own:
            return Resolution("elsewhere", prefix.drug_id, prefix.level, system, url)
        if prefix.drug_id is None:
            return Resolution("unknown", None, None, system, url)
        return Resolution("known", prefix.drug_id, prefix.level, system, url)


async def load_registry(conn: Connection) -> Registry:
    """A registry as `conn` sees it now, uncommitted work of its own transaction included."""
    made = Registry()
    await made.refresh(conn)
    return made
