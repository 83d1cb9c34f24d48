"""A bureau with two institutions under agreement, and goods with an insurance code in motion."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from circulation.helpers import Goods, Market, activate, make_market
from registry.helpers import make_org
from yaosu.access.scopes import scopes_of
from yaosu.db.engine import Connection
from yaosu.insurance import check, institutions, store
from yaosu.insurance.institutions import Draft, Issued
from yaosu.insurance.model import Act, Institution, Line, Outcome
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgType
from yaosu.stops.service import Memory as StopMemory
from yaosu.subject import Subject
from yaosu.trace.verify import BatchMemory

YIBAO = "XA02BCT040A001010100001"
OTHER_YIBAO = "XC09CAS009A001010100002"
KEEPER = Keeper(b"k" * 32)
_numbers = itertools.count(1)


@dataclass
class Scene:
    """Everybody and everything of a test."""

    market: Market
    bureau: int
    hospital: Issued
    pharmacy: Issued
    acts: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def conn(self) -> Connection:
        """The test's connection."""
        return self.market.conn

    def officer(self, role: str = "insurer_admin", org: int | None = None) -> Subject:
        """Somebody of the bureau."""
        org = org or self.bureau
        card = self.market.registry.org(org)
        assert card is not None
        return Subject("account", 7, org, "110", role, scopes_of(role, "110"), region=card.region)

    def staff(self, org: int) -> Subject:
        """Somebody of an institution."""
        return self.market.subject(org)

    async def settle(
        self,
        institution: Institution,
        codes: Sequence[str],
        *,
        record: bool = True,
        number: str = "",
        billed: str = YIBAO,
        qty: int | None = -1,
        **more: Any,
    ) -> Outcome:
        """One line settled: whole boxes of the billed product unless said otherwise."""
        count = None if qty is None else Decimal(len(codes) if qty == -1 else qty)
        line = Line(
            more.pop("row", 1),
            list(codes),
            more.pop("line_keys", {}),
            billed,
            count,
            more.pop("split", False),
            more.pop("unit", None),
        )
        return await self.act(institution, [line], record=record, number=number, **more)

    async def act(
        self,
        institution: Institution,
        lines: Sequence[Line],
        *,
        record: bool = True,
        number: str = "",
        channel: str = "settle",
        sold_at: datetime | None = None,
        keys: dict[str, str] | None = None,
        person: bytes | None = None,
        now: datetime | None = None,
    ) -> Outcome:
        """Any act."""
        number = number or f"ACT{next(_numbers)}"
        act = Act(
            number,
            channel,  # type: ignore[arg-type]
            sold_at or datetime.now(UTC),
            lines,
            {"doc": number} if keys is None else keys,
            person,
        )
        memory = BatchMemory(StopMemory())
        return await check.check(
            self.conn, self.market.registry, memory, institution, act, record=record, now=now
        )

    async def rows(self, code: str) -> list[Any]:
        """Rows of the settlement ledger of a code."""
        return list(
            await self.conn.fetch("SELECT * FROM insurance_settlement WHERE code = $1 ORDER BY id", code)
        )

    async def cases(self) -> list[Any]:
        """All cases."""
        return list(await self.conn.fetch("SELECT * FROM insurance_case ORDER BY id"))


async def make_scene(conn: Connection, profile: str = "national") -> Scene:
    """A bureau in 37, a hospital and a pharmacy there, and a product with its insurance code."""
    market = await make_market(conn)
    bureau = await make_org(conn, OrgType.GOVERNMENT, region="370000", sub_type=1103)
    await conn.execute(
        "INSERT INTO product_link (kind, value, drug_id) VALUES ('yibao', $1, $2)", YIBAO, market.drug_id
    )
    await market.registry.refresh(conn, full=True)
    scene = Scene(market, bureau, None, None)  # type: ignore[arg-type]
    scene.hospital = await register(scene, market.hospital, "H37010200001", profile=profile)
    scene.pharmacy = await register(scene, market.pharmacy, "P37010200002", profile=profile)
    return scene


async def register(
    scene: Scene, org: int | None, code: str, region: str = "370102", profile: str = "national"
) -> Issued:
    """An institution under agreement."""
    draft = Draft(code, f"定点机构{code}", region, profile, org)
    return await institutions.register(scene.conn, scene.market.registry, KEEPER, scene.officer(), draft)


async def stocked(scene: Scene, org: int, cases: int = 1) -> Goods:
    """Goods received by an institution."""
    goods = await activate(scene.market, cases=cases)
    await scene.market.pass_on(scene.market.maker, scene.market.wholesaler, goods.cases)
    await scene.market.pass_on(scene.market.wholesaler, org, goods.cases)
    return goods


def rules_of(outcome: Outcome) -> list[str]:
    """The weightiest rule of each code."""
    return [v.rule for v in outcome.codes]


def ago(**span: float) -> datetime:
    """A moment in the past."""
    return datetime.now(UTC) - timedelta(**span)


__all__ = [
    "KEEPER",
    "OTHER_YIBAO",
    "YIBAO",
    "Scene",
    "ago",
    "make_scene",
    "register",
    "rules_of",
    "stocked",
    "store",
]
