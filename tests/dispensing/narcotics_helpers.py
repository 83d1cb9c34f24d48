"""A hospital with a storehouse, a pharmacy and a ward, morphine in its safe, and people who check each other."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from access.helpers import PASSWORD, make_account
from circulation.helpers import Goods, Market, activate, make_market
from people.helpers import KEEPER, given
from yaosu.access.scopes import scopes_of
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Connection, Pool
from yaosu.dispensing import narcotics_desk as desk
from yaosu.dispensing import narcotics_service as service
from yaosu.dispensing.narcotics_model import Act, Prescription
from yaosu.dispensing.narcotics_rules import Dose
from yaosu.people.model import Given
from yaosu.registry import service as registry_service
from yaosu.registry.model import OrgCard
from yaosu.subject import Subject

_numbers = itertools.count(1)
__all__ = ["PASSWORD", "Ward", "make_ward", "ward_on"]


@dataclass
class Ward:
    """Who and what there is."""

    market: Market
    desk: desk.Desk
    goods: Goods
    hospital: int
    store: int
    pharmacy: int
    ward: int
    people: dict[str, Subject] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)

    def place(self, org: int) -> OrgCard:
        card = self.desk.registry.org(org)
        assert card is not None
        return card

    def of(self, who: str) -> Subject:
        return self.people[who]

    async def confirmed(self, act: Act, *names: str) -> Act:
        """The act after these people confirmed it, each from their own session."""
        for name in names:
            act = await desk.confirm_act(self.desk, self.of(name), act.id)
        return act

    async def done(self, act: Act, *names: str) -> Act:
        act = await self.confirmed(act, *names)
        assert act.state == "done", (act.state, act.outcome)
        return act

    async def move(
        self, giver: int, receiver: int, codes: Sequence[str], hours_ago: float = 3
    ) -> tuple[Act, Act]:
        """Issued and received, both scanned and both confirmed."""
        when = datetime.now(UTC) - timedelta(hours=hours_ago)
        pharmacist = self.of("药师甲")
        out, _ = await desk.issue(self.desk, pharmacist, self.place(giver), receiver, codes, when)
        out = await self.done(out, "药师乙")
        into, _ = await desk.receive(
            self.desk,
            pharmacist,
            self.place(receiver),
            giver,
            codes,
            out.bill_no,
            when + timedelta(minutes=5),
        )
        return out, await self.done(into, "药师乙")

    async def prescribe(self, **more: Any) -> Prescription:
        """An ordinary prescription of one dose, for an outpatient of the pharmacy."""
        place = self.place(more.pop("place", self.pharmacy))
        values: dict[str, Any] = {
            "number": f"RX{next(_numbers):05d}",
            "drug_id": self.goods.drug_id,
            "case_kind": "ordinary",
            "patient": given("患者甲"),
            "department": "急诊科",
            "doctor": "医师甲",
            "diagnosis": "急性疼痛",
            "dose": Dose(Decimal(1), 1, 1),
            "prescribed_on": datetime.now(UTC).date(),
            **more,
        }
        made = await service.register_prescription(
            self.desk, self.of("药师甲"), place, service.RxDraft(**values)
        )
        return made.prescription

    async def dispense(self, rx: Prescription, codes: Sequence[str], units: int | None = None) -> Act:
        """Prepared and confirmed."""
        when = datetime.now(UTC) - timedelta(minutes=20)
        act, _ = await desk.dispense(self.desk, self.of("药师甲"), rx.id, codes, units, when)
        return await self.done(act, "药师乙")


async def make_ward(conn: Connection, pool: Pool, committer: Committer, batches: BatchCache) -> Ward:
    """Two cases of ten boxes of ten ampoules in the hospital's own account."""
    market = await make_market(conn)
    await conn.execute(
        "UPDATE product SET flags = '{narcotic}', dosage_form = '注射液', prep_unit = '支', prep_units_per = 10, "
        "generic_name = '盐酸吗啡注射液', strength = '1ml:10mg', package_size = '10支/盒' WHERE id = $1",
        market.drug_id,
    )
    head = market.subject(market.hospital)
    places = [
        (await registry_service.create_place(conn, head, name, kind)).id
        for name, kind in (("药库", 3901), ("门诊药房", 3903), ("外科病区", 3904))
    ]
    await market.registry.refresh(conn, full=True)
    goods = await activate(market, cases=2, per_case=10)
    market.batches = batches
    bought = datetime.now(UTC) - timedelta(days=1)
    await market.ship(market.maker, market.hospital, goods.cases, happened_at=bought)
    came = await market.move(102, market.hospital, goods.cases, from_org=market.maker, happened_at=bought)
    assert came.status == "accepted"
    made = Ward(
        market,
        desk.Desk(pool, committer, market.registry, batches, KEEPER),
        goods,
        market.hospital,
        *places,
    )
    for name, org, role in (
        ("药师甲", market.hospital, "admin"),
        ("药师乙", market.hospital, "warehouse"),
        ("药师丙", market.hospital, "warehouse"),
        ("护士甲", made.ward, "warehouse"),
        ("质控", market.hospital, "quality"),
        ("外人", market.wholesaler, "admin"),
    ):
        number, login = await make_account(conn, org, role)
        await conn.execute("UPDATE account SET name = $2 WHERE id = $1", number, name)
        org_type = "3" if name != "外人" else "2"
        made.logins[name] = login
        made.people[name] = Subject(
            "account", number, org, org_type, role, scopes_of(role, org_type), region="370102", name=name
        )
    return made


@asynccontextmanager
async def ward_on(pool: Pool) -> AsyncIterator[Ward]:
    """The same on committed data, with a committer of its own."""
    batches = BatchCache()
    committer = Committer(pool, batches)
    committer.start()
    try:
        async with pool.acquire() as conn:
            yield await make_ward(conn, pool, committer, batches)
    finally:
        await committer.stop()


def agent() -> Given:
    """Somebody who comes for the patient."""
    return given("代办人甲")
