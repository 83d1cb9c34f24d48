"""The gate of listed sales: what each demands, limits per sale and per person over all shops (R-C2, R-C4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given as for_all
from hypothesis import strategies as st

from people.helpers import KEEPER, NOW, card, given, purchase
from registry.helpers import make_org, make_product, subject_of
from yaosu.db.engine import Connection, Pool
from yaosu.people import gate, service
from yaosu.people.rules import SaleRule, sale_rules
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry, load_registry

DAY = NOW.date()
_bills = count(1000)
_prefixes = count(8_100_000)


@dataclass
class World:
    """Shops, a hospital and listed products."""

    conn: Connection
    registry: Registry
    shops: list[int]
    hospital: int
    drugs: dict[str, int]

    def rule(self, drug: str, org_type: int = 4, region: str = "650102", day: date = DAY) -> SaleRule:
        """The rule of a product."""
        return sale_rules(self.registry, [self.drugs[drug]], region, org_type, day)[self.drugs[drug]]

    async def person(self, *orgs: int) -> int:
        """Somebody who shows the same card everywhere."""
        number = card()
        for org in orgs or (*self.shops, self.hospital):
            who = subject_of(org, 4, "bill.write")
            person = await service.identify(self.conn, KEEPER, who, given(number=number))
        return person

    async def sell(
        self, drug: str, person: int | None, qty: int = 1, shop: int = 0, **more: Any
    ) -> str | None:
        """One sale through the gate as the write path does it; the code of the refusal."""
        one = purchase(self.shops[shop], self.drugs[drug], person, qty, **more)
        refusal = await gate.examine(self.conn, self.rule(drug), one)
        if refusal is None:
            await gate.record(self.conn, next(_bills), [one])
        return refusal[0] if refusal else None


async def _world(conn: Connection) -> World:
    maker = await make_org(conn, OrgType.MAKER)
    shops = [await make_org(conn, OrgType.RETAIL, region="650102", sub_type=44) for _ in range(2)]
    hospital = await make_org(conn, OrgType.MEDICAL, region="650102")
    drugs = {}
    for name, flag, prescription in (
        ("cold", "ephedrine", "otc_a"),
        ("cough", "ephedrine", "otc_b"),
        ("asthma", "ephedrine", "rx"),
        ("morphine", "narcotic", "rx"),
        ("sleep", "psych2", "rx"),
        ("poison", "toxic", "rx"),
        ("plain", "vbp", "otc_a"),
    ):
        drugs[name] = await make_product(
            conn,
            maker,
            levels=(("盒", 1, str(next(_prefixes))),),
            flags=(flag,),
            prescription=prescription,
            generic_name=name,
        )
    return World(conn, await load_registry(conn), shops, hospital, drugs)


@pytest_asyncio.fixture(loop_scope="module")
async def world(db: Connection) -> AsyncIterator[World]:
    """A fresh world, rolled back afterwards."""
    yield await _world(db)


async def test_most_products_demand_nothing(world: World) -> None:
    assert sale_rules(world.registry, [world.drugs["plain"], 999_999], "650102", 4, DAY) == {}
    # a wholesaler sells to firms, not to people
    assert sale_rules(world.registry, world.drugs.values(), "650102", OrgType.WHOLESALER, DAY) == {}


async def test_ephedrine_needs_a_document_and_stops_at_two_boxes_a_sale(world: World) -> None:
    person = await world.person()
    assert await world.sell("cold", None) == "real_name_needed"
    assert await world.sell("cold", person, 3) == "limit_per_sale"
    assert await world.sell("cold", person, 2) is None


async def test_the_limit_of_a_person_holds_over_all_shops_and_all_products_of_the_rule(world: World) -> None:
    person = await world.person()
    assert await world.sell("cold", person, 1, shop=0) is None
    assert await world.sell("cough", person, 1, shop=1) is None
    assert await world.sell("cold", person, 1, shop=1) == "limit_per_person"
    assert await world.sell("cold", await world.person(), 1, shop=1) is None


async def test_the_period_moves_with_time_and_late_bills_count_too(world: World) -> None:
    person = await world.person()
    assert await world.sell("cold", person, 2, happened_at=NOW) is None
    assert await world.sell("cold", person, 1, happened_at=NOW + timedelta(days=6, hours=23)) == (
        "limit_per_person"
    )
    assert await world.sell("cold", person, 1, happened_at=NOW - timedelta(days=3)) == "limit_per_person"
    assert await world.sell("cold", person, 2, happened_at=NOW + timedelta(days=7)) is None
    assert await world.sell("cold", person, 2, happened_at=NOW - timedelta(days=7)) is None


async def test_a_voided_sale_no_longer_counts_and_stays_on_record(world: World) -> None:
    person = await world.person()
    assert await world.sell("cold", person, 2) is None
    bill = await world.conn.fetchval("SELECT max(bill_id) FROM people.purchase")
    back = next(_bills)
    await gate.take_back(world.conn, bill, back)
    await gate.take_back(world.conn, bill, next(_bills))  # a line is taken back once
    assert await world.sell("cold", person, 2) is None
    rows = await world.conn.fetch("SELECT bill_id, qty, corrects FROM people.purchase ORDER BY bill_id")
    assert [(r["qty"], r["corrects"]) for r in rows] == [(2, None), (-2, bill), (2, None)]
    assert rows[1]["bill_id"] == back


async def test_no_line_of_the_register_is_ever_altered_or_deleted(world: World) -> None:
    assert await world.sell("cold", await world.person(), 2) is None
    for statement in ("UPDATE people.purchase SET qty = 1", "DELETE FROM people.purchase"):
        with pytest.raises(asyncpg.RaiseError):
            async with world.conn.transaction():
                await world.conn.execute(statement)


async def test_the_lines_of_one_bill_count_together(world: World) -> None:
    person = await world.person()
    rules = {d: world.rule(n) for n, d in world.drugs.items() if n in ("cold", "cough")}
    lines = [
        purchase(world.shops[0], world.drugs["cold"], person, 1, batch_id=1),
        purchase(world.shops[0], world.drugs["cold"], person, 1, batch_id=2),
        purchase(world.shops[0], world.drugs["cough"], person, 1),
        purchase(world.shops[0], world.drugs["plain"], person, 9),
    ]
    answers = await gate.examine_bill(world.conn, rules, lines)
    assert [a and a[0] for a in answers] == [None, None, "limit_per_sale", None]


async def test_sales_of_the_same_transaction_that_are_not_recorded_yet_count(world: World) -> None:
    person = await world.person()
    first = purchase(world.shops[0], world.drugs["cold"], person, 2)
    second = purchase(world.shops[1], world.drugs["cold"], person, 1)
    assert await gate.examine(world.conn, world.rule("cold"), first) is None
    refusal = await gate.examine(world.conn, world.rule("cold"), second, pending=[first])
    assert refusal == ("limit_per_person", {"product": "cold", "limit": 2, "bought": 3, "days": 7})


async def test_prescription_drugs_are_bound_by_the_prescription_not_by_two_boxes(world: World) -> None:
    person = await world.person()
    assert await world.sell("asthma", person, 5) == "prescription_needed"
    assert await world.sell("asthma", person, 5, header={"prescription_no": "CF001"}) is None


async def test_a_hospital_hands_out_narcotics_to_a_known_person_checked_by_two(world: World) -> None:
    person, agent = await world.person(), await world.person()
    rule = world.rule("morphine", OrgType.MEDICAL)
    header: dict[str, object] = {}
    one = purchase(world.hospital, world.drugs["morphine"], None, 1, bill_type=323, header=header)
    for fill, code in (
        ({}, "real_name_needed"),
        ({"person": person}, "prescription_needed"),
        ({"header": {"prescription_no": "M1"}}, "second_person_needed"),
        ({"header": {"prescription_no": "M1", "second_person": "药师乙", "agent_person": agent}}, None),
    ):
        one = replace(one, **fill)  # type: ignore[arg-type]
        refusal = await gate.examine(world.conn, rule, one)
        assert (refusal[0] if refusal else None) == code
    await gate.record(world.conn, 1, [one])
    row = await world.conn.fetchrow("SELECT * FROM people.purchase WHERE bill_id = 1")
    assert (row["person"], row["agent"], row["prescription_no"]) == (person, agent, "M1")
    assert row["second_person"] == "药师乙"


async def test_an_agent_only_where_the_rule_allows_one(world: World) -> None:
    person, agent = await world.person(), await world.person()
    assert await world.sell("cold", person, header={"agent_person": agent}) == "agent_not_allowed"


async def test_what_may_not_be_sold_that_way_is_refused_whatever_is_shown(world: World) -> None:
    person = await world.person()
    assert await world.sell("cold", person, bill_type=326) == "sale_not_allowed"
    header = {"prescription_no": "M1", "second_person": "药师乙"}
    assert await world.sell("morphine", person, header=header) == "sale_not_allowed"


async def test_a_person_of_another_shop_cannot_be_named(world: World) -> None:
    person = await world.person(world.shops[0])
    assert await world.sell("cold", person, shop=1) == "person_unknown"
    assert await world.sell("cold", 999_999_999) == "person_unknown"
    # a branch may use whom its organisation registered
    await world.conn.execute("UPDATE org SET parent_id = $1 WHERE id = $2", *world.shops)
    assert await world.sell("cold", person, shop=1) is None


async def test_rules_are_data_with_region_and_day(world: World) -> None:
    item = next(i for i in world.registry.lists.whole("sale_rule").items if i.code == "ephedrine_otc")
    strict = replace(
        item,
        region="65",
        valid_from=date(2026, 6, 1),
        attrs={**item.attrs, "per_sale": 1, "period_days": 30},
        source="新疆测试规定",
    )
    world.registry._lists = world.registry.lists.over([("sale_rule", strict)])
    world.registry.generation += 1
    assert (world.rule("cold").per_sale, world.rule("cold").period_days) == (1, 30)
    assert world.rule("cold", region="370102").per_sale == 2
    assert world.rule("cold", day=date(2026, 5, 31)).per_sale == 2


@for_all(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 5)), max_size=8),
    st.integers(1, 7),
)
def test_the_busiest_stretch_is_found(others: list[tuple[int, int]], days: int) -> None:
    def at(hours: int) -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=hours)

    period = timedelta(hours=days)
    near = [(at(h), q) for h, q in others if abs(h) < days]
    slow = max(sum(q for when, q in near if at(s) <= when < at(s) + period) for s in range(-days + 1, 1))
    assert gate.most_within(period, at(0), near) == slow


async def test_two_shops_at_the_same_moment_cannot_both_pass_the_limit(pool: Pool) -> None:
    async with pool.acquire() as conn:
        world = await _world(conn)
        person = await world.person()
        rule, drug = world.rule("cold"), world.drugs["cold"]
    both_asked = asyncio.Barrier(2)

    async def sale(shop: int) -> str | None:
        async with pool.acquire() as conn:
            await conn.execute("SELECT 1")
            await both_asked.wait()
            async with conn.transaction():
                one = purchase(world.shops[shop], drug, person, 2)
                refusal = await gate.examine(conn, rule, one)
                await asyncio.sleep(0.05)  # the rest of the write path takes its time
                if refusal is None:
                    await gate.record(conn, next(_bills), [one])
                return refusal[0] if refusal else None

    for _ in range(5):
        assert sorted(str(r) for r in await asyncio.gather(sale(0), sale(1))) == ["None", "limit_per_person"]
        async with pool.acquire() as conn:
            for r in await conn.fetch("SELECT bill_id FROM people.purchase WHERE corrects IS NULL"):
                await gate.take_back(conn, r["bill_id"], next(_bills))


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_every_refusal_says_what_to_do_next(world: World, lang: str) -> None:
    from yaosu.errors import message

    for code in (
        "real_name_needed",
        "prescription_needed",
        "second_person_needed",
        "limit_per_sale",
        "limit_per_person",
        "agent_not_allowed",
        "sale_not_allowed",
        "person_unknown",
    ):
        entry = message(code)
        params = {"product": "复方感冒片", "limit": 2, "bought": 3, "days": 7, "rule": "r", "rule_en": "r"}
        assert entry.next_step(lang, params)
        assert "—" not in entry.text(lang, params)


async def test_class_two_psychotropics_are_not_sold_to_minors(world: World) -> None:
    shop = subject_of(world.shops[0], 4, "bill.write")
    header = {"prescription_no": "J1"}
    today = datetime.now(UTC)
    for years, code in ((17, "buyer_not_adult"), (19, None)):
        number = card(born=f"{today.year - years}{today:%m}01")
        person = await service.identify(world.conn, KEEPER, shop, given(number=number))
        assert await world.sell("sleep", person, header=header) == code
    passport = await service.identify(
        world.conn, KEEPER, shop, given(kind="2", number=f"E{next(_bills)}5678")
    )
    assert await world.sell("sleep", passport, header=header) is None
