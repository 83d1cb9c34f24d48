"""Before trade begins: accounts and the first key from the machine, everything else through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from yaosu.access import accounts, keys, scopes
from yaosu.db.engine import connect
from yaosu.errors import YaosuError
from yaosu.registry import service as registry
from yaosu.simulate.cast import Cast, DemoOrg, DemoProduct
from yaosu.simulate.client import Api, DemoError
from yaosu.simulate.supply import SPARE, needs
from yaosu.subject import SYSTEM

OPERATOR_LOGIN = "operator"
PASSWORD = "songhe-26841"  # noqa: S105 - printed at start: demo data only
"""The password of all demo accounts. `yaosu serve` never makes such accounts."""
KEY_NAME = "演示省份装载"
FILED_DAYS_BEFORE = 400
"""Code rules were filed and licences issued so long ago."""
LAPSES_SOON = 40
"""Days that one licence has left."""
LICENCES = {1: 5, 2: 1, 3: 3, 4: 1}
"""Licence kind by type of organisation: list `licence_kind`."""


async def is_empty(address: str) -> bool:
    """Whether the database holds neither a platform account nor an organisation."""
    conn = await connect(address)
    try:
        if await accounts.accounts(conn, SYSTEM, limit=1):
            return False
        return not await registry.list_orgs(conn, SYSTEM, limit=1)
    finally:
        await conn.close()


async def holds_others(address: str, cast: Cast) -> bool:
    """Whether the organisations in the database are others than those of the demo province."""
    conn = await connect(address)
    try:
        first = await registry.list_orgs(conn, SYSTEM, limit=1)
        return bool(first) and first[0].uscc not in {o.uscc for o in cast.orgs.values()}
    finally:
        await conn.close()


async def first_key(address: str) -> str:
    """The operator's account and a key of it: the only ones that no API can make."""
    conn = await connect(address)
    try:
        async with conn.transaction():
            await accounts.ensure_operator(conn, OPERATOR_LOGIN, PASSWORD)
            _, secret = await keys.create_key(conn, SYSTEM, KEY_NAME, scopes.grantable(None))
        return secret
    finally:
        await conn.close()


async def make_logins(address: str, cast: Cast, ids: Mapping[str, int]) -> None:
    """Demo accounts of every organisation whose fixed password need not be changed; existing ones stay."""
    conn = await connect(address)
    try:
        wanted = [(o.login, f"{o.short}演示用户", o.role, o.key) for o in cast.orgs.values()]
        wanted += [(s.login, s.name, s.role, s.org) for s in cast.staff]
        for login, name, role, org in wanted:
            try:
                async with conn.transaction():
                    await accounts.create_account(conn, SYSTEM, login, name, role, PASSWORD, ids[org])
            except YaosuError as error:
                if error.code != "login_taken":
                    raise
    finally:
        await conn.close()


class Setup:
    """Registers the province step by step; each step leaves alone what is there already."""

    def __init__(self, api: Api, cast: Cast, today: date) -> None:
        self.api = api
        self.cast = cast
        self.today = today
        self.filed_on = today - timedelta(days=FILED_DAYS_BEFORE)
        self.ids: dict[str, int] = {}
        self.drugs: dict[str, int] = {}

    async def organisations(self) -> None:
        """Everybody, headquarters before stores, with a key each."""
        for key, org in self.cast.orgs.items():
            found = await self.api.get("operator", "/orgs", q=org.uscc)
            if found["items"]:
                self.ids[key] = found["items"][0]["id"]
                continue
            body = {
                "name": org.name,
                "short_name": org.short,
                "type": org.type,
                "sub_type": org.sub_type,
                "region": org.region,
                "uscc": org.uscc,
                "address": org.address,
                "parent_id": self.ids.get(org.parent),
                "contact_name": "追溯负责人",
            }
            self.ids[key] = (await self.api.post("operator", "/orgs", body))["id"]
            await self._licence(org, self.ids[key])

    async def _licence(self, org: DemoOrg, org_id: int) -> None:
        """The licence of the organisation's type; one lapses soon, so that there is something to warn about."""
        kind = LICENCES.get(org.type)
        if kind is None:
            return
        days = LAPSES_SOON if org.key == self.cast.calendar["lapses_soon"] else FILED_DAYS_BEFORE * 3
        body = {
            "kind": kind,
            "number": f"{'新' if org.region.startswith('65') else '鲁'}演示{kind:02d}-{org_id:04d}",
            "issued_on": self.filed_on.isoformat(),
            "expires_on": (self.filed_on + timedelta(days=FILED_DAYS_BEFORE + days)).isoformat(),
            "scope": "演示",
        }
        await self.api.put("operator", f"/orgs/{org_id}/licences", body)

    async def org_keys(self) -> None:
        """A key for each organisation, with everything its type may do."""
        for key, org_id in self.ids.items():
            roles = await self.api.get("operator", "/roles", org_id=org_id)
            wanted = [s["id"] for s in roles["scopes"]]
            body = {"name": KEY_NAME, "scopes": wanted, "org_id": org_id}
            self.api.add_key(key, (await self.api.post("operator", "/keys", body))["secret"])

    async def filings(self) -> None:
        """Code rules before products and codes (R-A1), and one of another trace system (R-A4)."""
        other = self.cast.calendar["other_system"]
        system = await self.api.put(
            "operator", "/trace-systems", {k: other[k] for k in ("name", "operator", "query_url")}
        )
        for maker in sorted({p.maker for p in self.cast.products.values()}):
            filed = {p for f in (await self.api.get(maker, "/filings"))["items"] for p in f["prefixes"]}
            products = [p for p in self.cast.products.values() if p.maker == maker]
            for scheme, rule in (
                ("cn20", "20位数字：7位药品标识码，9位序列号，4位校验位"),
                ("gs1", "GS1：(01)商品编码 (21)序列号，可含 (17)有效期 (10)批号"),
            ):
                prefixes = [v.identifier for p in products if p.scheme == scheme for v in p.levels]
                if prefixes and not filed.issuperset(prefixes):
                    await self._file(maker, scheme, rule, prefixes)
            if maker == other["maker"] and other["prefix"] not in filed:
                rule = "由另一追溯平台发码"
                await self._file(maker, "cn20", rule, [other["prefix"]], system_id=system["id"])

    async def file_own(self, product: DemoProduct, **more: Any) -> None:
        """A code rule for one product's identifiers, unless it is filed; `more` may name another trace system."""
        filed = {p for f in (await self.api.get(product.maker, "/filings"))["items"] for p in f["prefixes"]}
        prefixes = [v.identifier for v in product.levels]
        if not filed.issuperset(prefixes):
            rule = "20位数字：7位药品标识码，9位序列号，4位校验位"
            await self._file(product.maker, product.scheme, rule, prefixes, **more)

    async def _file(self, maker: str, scheme: str, rule: str, prefixes: list[str], **more: Any) -> None:
        body = {
            "org_id": self.ids[maker],
            "scheme": scheme,
            "rule_text": rule,
            "filed_on": self.filed_on.isoformat(),
            "prefixes": prefixes,
            **more,
        }
        await self.api.post(maker, "/filings", body)

    async def products(self) -> None:
        """Products with ladder and linked codes (R-A2)."""
        await asyncio.gather(*(self._product(p) for p in self.cast.products.values()))

    async def _product(self, product: DemoProduct) -> None:
        found = await self.api.get(product.maker, "/products", code=product.levels[0].identifier)
        if found["items"]:
            self.drugs[product.key] = found["items"][0]["id"]
            return
        org_id = self.ids[product.maker]
        body = {
            **product.fields,
            "approval_expires": self.filed_on.replace(year=self.filed_on.year + 4, day=1).isoformat(),
            "mah_id": org_id,
            "manufacturer_id": org_id,
            "levels": [
                {
                    "level": n,
                    "contains": v.contains,
                    "identifier": v.identifier,
                    "scheme": product.scheme,
                    "name": v.name,
                }
                for n, v in enumerate(product.levels, 1)
            ],
            "links": [
                {"kind": kind, "value": value, "level": 1 if kind == "retail_barcode" else None}
                for kind, value in product.links.items()
            ],
        }
        self.drugs[product.key] = (await self.api.post(product.maker, "/products", body))["id"]

    async def codes(self) -> dict[tuple[str, int], list[str]]:
        """Codes that are issued here: one request per product, downloaded level by level."""
        wanted = needs(self.cast)
        found: dict[tuple[str, int], list[str]] = {}
        for product in self.cast.products.values():
            if product.codes != "own":
                continue
            counts = {n: wanted[product.key, n] + SPARE for n in range(1, len(product.levels) + 1)}
            body = {
                "drug_id": self.drugs[product.key],
                "levels": [{"level": n, "count": c} for n, c in counts.items()],
                "purpose": "演示生产计划",
                "client_ref": f"DEMO-{product.key}",
            }
            made = await self.api.post(product.maker, "/code-requests", body)
            for level, count in counts.items():
                path = f"/code-requests/{made['id']}/codes"
                text = (await self.api.raw(product.maker, "GET", path, params={"level": level})).text
                codes = text.split()
                if len(codes) != count:
                    raise DemoError(f"{path}: {len(codes)} codes instead of {count}")
                found[product.key, level] = codes
        return found

    async def delegation(self) -> None:
        """The wholesaler lets the logistics firm scan in its name (R-B8)."""
        given = self.cast.calendar["delegation"]
        held = await self.api.get(given["principal"], "/delegations")
        if not held["items"]:
            made = await self.api.post(
                given["principal"], "/delegations", {"agent": self.ids[given["agent"]], "may_read": True}
            )
            await self.api.post(given["agent"], f"/delegations/{made['id']}/accept", {})
