"""Who is who: their ids of our organisations and ours of theirs, asked once and kept (domain facts §2.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yaosu.codes.identifiers import check_uscc
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.exchange.adopt.service import set_foreign, works_here
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top.client.families import Family
from yaosu.exchange.top.client.talk import Said, many
from yaosu.registry import service as registry_service
from yaosu.registry.drafts import OrgDraft
from yaosu.registry.names import normalise
from yaosu.registry.resolver import Registry
from yaosu.subject import SYSTEM

Call = Callable[[str, Mapping[str, object]], Awaitable[Said]]
ORG, REF = "org", "org_ref"
"""Kinds of counterparts: `ent_id` of an organisation, and its `ref_ent_id`."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Both ids of one organisation: `ent` where it is a party, `ref` where it owns or uploads (§2.4)."""

    ent: str
    ref: str


class NotKnownError(Exception):
    """They do not know the organisation, or not which one: a person has to act. The text says what to do."""


class AwayError(Exception):
    """The question was not answered; later perhaps."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.text)
        self.said = said


class Identities:
    """Mapping of organisations for one connection."""

    def __init__(self, pool: Pool, registry: Registry, link: Link, family: Family, call: Call) -> None:
        self._pool, self._registry, self._link, self._family, self._call = pool, registry, link, family, call

    async def theirs(self, org: int) -> Ids:
        """Their ids of our organisation. Raises NotKnownError, AwayError."""
        async with self._pool.acquire() as conn:
            ent = await connections.counterpart(conn, self._link.id, ORG, org)
            ref = await connections.counterpart(conn, self._link.id, REF, org)
        if ent and ref:
            return Ids(ent, ref)
        card = self._registry.org(org)
        if card is None:
            raise NotKnownError("企业已不在目录中")
        found = await self._search(card.uscc or "", card.name)
        await self._keep(org, found)
        return found

    async def own(self) -> Ids:
        """Our own ids; `ref_ent_id` from the settings where it was given."""
        given = str(self._link.account.get("ref_ent_id") or "")
        if given:
            ent = str(self._link.account.get("ent_id") or "")
            return Ids(ent or (await self.theirs(self._link.org)).ent, given)
        return await self.theirs(self._link.org)

    async def _search(self, uscc: str, name: str) -> Ids:
        ref = str(self._link.account.get("ref_ent_id") or "")
        questions = ([{"org_code": uscc}] if uscc else []) + [{"ent_name": name}]
        for question in questions:
            said = await self._call(self._family.find, {"ref_ent_id": ref, "query_param": question})
            if said.level != 2:
                raise AwayError(said)
            rows = [r for r in many(said.model) if isinstance(r, dict) and r.get("ent_id")]
            fitting = [
                r
                for r in rows
                if (uscc and str(r.get("unique_code") or "") == uscc)
                or (not r.get("unique_code") and normalise(str(r.get("ent_name") or "")) == normalise(name))
            ]
            if len(fitting) == 1:
                return Ids(str(fitting[0]["ent_id"]), str(fitting[0].get("ref_ent_id") or ""))
            if len(fitting) > 1:
                raise NotKnownError(f"码上放心有 {len(fitting)} 家企业与“{name}”同名，请在连接中指定其编号")
        raise NotKnownError(f"“{name}”未在码上放心登记：请在码上放心新增往来单位，审核通过后重试")

    async def _keep(self, org: int, ids: Ids) -> None:
        async with self._pool.acquire() as conn, conn.transaction():
            await connections.remember(conn, self._link.id, ORG, org, ids.ent)
            await connections.remember(conn, self._link.id, REF, org, ids.ref)

    async def ours(self, ref: str, name: str, system_id: int) -> int:
        """Our id of an organisation that they name by `ref_ent_id`; entered in the directory when it is new, as one
        that works in their system. Raises NotKnownError, AwayError."""
        async with self._pool.acquire() as conn:
            known = await connections.ours_of(conn, self._link.id, REF, ref)
        if known is not None:
            return known
        own = await self.own()
        said = await self._call(self._family.by_ref, {"ref_ent_id": own.ref, "dest_ref_ent_id": ref})
        if said.level != 2:
            raise AwayError(said)
        row = said.model if isinstance(said.model, dict) else {}
        uscc = str(row.get("org_code") or "").strip()
        card = self._registry.org_by_uscc(uscc) if uscc else None
        if card is None:
            org = await self._enter(row, uscc, name, system_id)
        else:
            org = card.id
            async with self._pool.acquire() as conn, conn.transaction():
                # in the directory without anybody working here: its goods move as their system tells
                if not await works_here(conn, org):
                    await set_foreign(conn, [org], system_id)
        await self._keep(org, Ids(str(row.get("ent_id") or ""), ref))
        return org

    async def _enter(self, row: Mapping[str, Any], uscc: str, name: str, system_id: int) -> int:
        """A firm of their system that our directory lacks."""
        kind = str(row.get("user_role_type") or "2")
        region = str(row.get("reg_region_code") or "")[:6]
        if check_uscc(uscc).problem is not None:
            raise NotKnownError(
                f"“{name}”不在本平台目录中，且码上放心未给出其统一社会信用代码，请运营单位登记"
            )
        firm = self._registry.org(self._link.org)
        draft = OrgDraft(
            name=str(row.get("ent_name") or name),
            type=int(kind) if kind.isdigit() and kind in ("1", "2", "3", "4", "5", "7") else 2,
            region=region if len(region) == 6 and region.isdigit() else (firm.region if firm else "110000"),
            uscc=uscc,
            address=str(row.get("reg_region_detail") or "")[:200],
        )
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                made = (await registry_service.create_org(conn, SYSTEM, draft, same_name_ok=True)).id
                await set_foreign(conn, [made], system_id)
        except YaosuError as error:
            raise NotKnownError(f"“{name}”无法登记到本平台目录：{error}") from error
        async with self._pool.acquire() as conn:
            await self._registry.refresh(conn)
        return made
