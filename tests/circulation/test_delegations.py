"""Acting for others: delegations with scope that both sides agreed to, and who needs none (R-A7, R-B7, R-B8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from registry.helpers import make_org, make_product
from yaosu.access.visibility import visible
from yaosu.circulation import delegations, direct, principal
from yaosu.circulation import store_read as store
from yaosu.circulation.delegations import Scope
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify import service as notify
from yaosu.registry import acting
from yaosu.registry.model import OrgType
from yaosu.registry.places import create_place


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> Market:
    return await make_market(db)


async def _logistics(market: Market) -> int:
    made = await make_org(market.conn, OrgType.LOGISTICS)
    await market.registry.refresh(market.conn)
    return made


async def _place(market: Market, parent: int, name: str) -> int:
    """A warehouse of `parent`."""
    made = await create_place(market.conn, market.subject(parent), name, 2901)
    await market.registry.refresh(market.conn)
    return made.id


async def _agreed(market: Market, principal_: int, agent: int, scope: Scope) -> int:
    made = await delegations.offer(
        market.conn, market.registry, market.subject(principal_), principal_, agent, scope
    )
    await delegations.answer(market.conn, market.registry, market.subject(agent), made, accept=True)
    return made


async def _code(act: Any) -> str:
    with pytest.raises(YaosuError) as refused:
        await act
    findings = refused.value.findings
    return findings[0].code if findings else refused.value.code


async def test_a_delegation_holds_from_the_other_sides_acceptance_and_ends_at_once(market: Market) -> None:
    agent = await _logistics(market)
    goods = await activate(market)
    conn, registry = market.conn, market.registry
    maker = market.subject(market.maker)
    made = await delegations.offer(conn, registry, maker, market.maker, agent, Scope())
    ship = {"to_org": market.wholesaler, "by": agent}
    assert await _code(market.move(201, market.maker, goods.cases[:1], **ship)) == "not_your_bill"
    # the side that proposed cannot accept
    assert (
        await _code(delegations.answer(conn, registry, maker, made, accept=True)) == "delegation_not_waiting"
    )
    await delegations.answer(conn, registry, market.subject(agent), made, accept=True)
    moved = await market.move(201, market.maker, goods.cases[:1], **ship)
    assert moved.status == "accepted"
    await delegations.withdraw(conn, registry, maker, made)
    assert await _code(market.move(201, market.maker, goods.cases[1:], **ship)) == "not_your_bill"
    kinds = [m.kind for m in await notify.messages(conn, market.subject(agent))]
    assert kinds == ["notice_delegation_withdrawn", "notice_delegation_offered"]


async def test_an_agent_proposes_itself_and_the_principal_declines(market: Market) -> None:
    agent = await _logistics(market)
    conn, registry = market.conn, market.registry
    made = await delegations.offer(conn, registry, market.subject(agent), market.maker, agent, Scope())
    (one,) = await delegations.listed(conn, registry, market.subject(market.maker))
    assert one["state"] == "offered" and one["waits_for_us"]
    await delegations.answer(conn, registry, market.subject(market.maker), made, accept=False)
    goods = await activate(market)
    refused = market.move(201, market.maker, goods.cases, to_org=market.wholesaler, by=agent)
    assert await _code(refused) == "not_your_bill"
    assert (await notify.messages(conn, market.subject(agent)))[0].kind == "notice_delegation_declined"


async def test_nobody_delegates_to_himself_or_until_before_it_begins(market: Market) -> None:
    conn, registry, maker = market.conn, market.registry, market.subject(market.maker)
    begin = datetime.now(UTC) + timedelta(days=9)
    late = Scope(valid_from=begin, valid_until=begin - timedelta(days=1))
    for agent, scope, code in (
        (market.maker, Scope(), "delegation_to_oneself"),
        (market.other, late, "field_invalid"),
    ):
        with pytest.raises(YaosuError) as refused:
            await delegations.offer(conn, registry, maker, market.maker, agent, scope)
        assert [finding.code for finding in refused.value.findings] == [code]


async def test_a_third_party_can_neither_propose_nor_end_a_delegation(market: Market) -> None:
    agent = await _logistics(market)
    stranger = market.subject(market.other)
    conn, registry = market.conn, market.registry
    assert (
        await _code(delegations.offer(conn, registry, stranger, market.maker, agent, Scope()))
        == "delegation_not_yours"
    )
    made = await _agreed(market, market.maker, agent, Scope())
    assert await _code(delegations.withdraw(conn, registry, stranger, made)) == "not_found"
    assert await delegations.listed(conn, registry, stranger) == []


async def test_an_agent_submits_only_the_kinds_of_bills_it_was_entrusted_with(market: Market) -> None:
    agent = await _logistics(market)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await _agreed(market, market.wholesaler, agent, Scope(kinds=("out",), bill_types=(206,)))
    out = await market.move(201, market.wholesaler, goods.cases[:1], to_org=market.pharmacy, by=agent)
    assert out.status == "accepted"
    # sampling was named as a single type, destruction was not
    sampled = await market.move(206, market.wholesaler, goods.boxes_of(1)[:1], by=agent)
    assert sampled.status == "accepted"
    back = market.move(202, market.wholesaler, goods.boxes_of(1)[1:2], to_org=market.maker, by=agent)
    assert await _code(back) == "delegation_not_of_type"


async def test_an_agent_moves_only_the_products_it_was_entrusted_with(market: Market) -> None:
    agent = await _logistics(market)
    levels = (("盒", 1, "8385796"), ("箱", 10, "8385797"))
    other = await make_product(market.conn, market.maker, levels=levels, package_size="12粒/盒")
    await market.registry.refresh(market.conn)
    goods = await activate(market)
    await _agreed(market, market.maker, agent, Scope(drug_ids=(other,)))
    refused = market.move(201, market.maker, goods.cases[:1], to_org=market.wholesaler, by=agent)
    assert await _code(refused) == "delegation_not_of_product"
    await _agreed(market, market.maker, agent, Scope(drug_ids=(market.drug_id,)))
    shipped = await market.move(201, market.maker, goods.cases[:1], to_org=market.wholesaler, by=agent)
    assert shipped.status == "accepted"
    # of a void, the products of the bill that it takes back count
    void = {
        "revision": 2,
        "void": True,
        "to_org": market.wholesaler,
        "header": {"void_reason": "x"},
        "by": agent,
    }
    taken = await market.move(201, market.maker, [], bill_no=shipped.bill_no, **void)
    assert taken.status == "void"
    assert not await delegations.allowed(
        market.conn, market.registry, market.maker, agent, 201, [market.drug_id, 99999]
    )
    assert await delegations.allowed(market.conn, market.registry, market.maker, agent, 201, [market.drug_id])


async def test_an_agent_works_only_in_the_warehouses_it_was_entrusted_with(market: Market) -> None:
    agent = await _logistics(market)
    north = await _place(market, market.wholesaler, "北库")
    south = await _place(market, market.wholesaler, "南库")
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    for place, case in ((north, 0), (south, 1)):
        await market.move(203, market.wholesaler, goods.cases[case : case + 1], to_org=place)
        await market.move(
            104, place, goods.cases[case : case + 1], from_org=market.wholesaler, by=market.wholesaler
        )
    await _agreed(market, market.wholesaler, agent, Scope(places=(north,), may_read=True))
    out = await market.move(201, north, goods.cases[:1], to_org=market.pharmacy, by=agent)
    assert out.status == "accepted"
    for owner, codes in ((south, goods.cases[1:]), (market.wholesaler, goods.cases[1:])):
        assert (
            await _code(market.move(201, owner, codes, to_org=market.pharmacy, by=agent)) == "not_your_bill"
        )
    # and reads only there
    rows = await store.bills(market.conn, visible(market.subject(agent)))
    assert {row["owner"] for row in rows} == {north}


async def test_a_delegation_is_over_after_its_last_moment_and_not_before_its_first(market: Market) -> None:
    agent = await _logistics(market)
    now = datetime.now(UTC)
    made = await _agreed(market, market.maker, agent, Scope(valid_until=now + timedelta(hours=1)))
    question = (market.conn, market.registry, market.maker, agent, 201, [market.drug_id])
    assert await delegations.allowed(*question)
    await market.conn.execute("UPDATE delegation SET valid_until = now() WHERE id = $1", made)
    assert not await delegations.allowed(*question)
    later = Scope(valid_from=now + timedelta(days=1), valid_until=now + timedelta(days=2))
    await _agreed(market, market.maker, agent, later)
    assert not await delegations.allowed(*question)


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (Scope(kinds=("everything",)), "delegation_kind_unknown"),
        (Scope(kinds=()), "delegation_empty"),
        (Scope(bill_types=(9999,)), "bill_type_unknown"),
        (Scope(drug_ids=(999_999,)), "delegation_product_unknown"),
        (Scope(drug_ids=()), "delegation_empty"),
        (Scope(places=(1,)), "delegation_place_unknown"),
        (Scope(valid_until=datetime(2020, 1, 1, tzinfo=UTC)), "field_invalid"),
    ],
)
async def test_a_scope_that_makes_no_sense_is_refused(market: Market, scope: Scope, code: str) -> None:
    agent = await _logistics(market)
    maker = market.subject(market.maker)
    assert (
        await _code(delegations.offer(market.conn, market.registry, maker, market.maker, agent, scope))
        == code
    )


async def test_reading_needs_leave_and_is_seen_by_the_principal(market: Market) -> None:
    agent = await _logistics(market)
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases)
    await _agreed(market, market.maker, agent, Scope())
    assert await store.bills(market.conn, visible(market.subject(agent))) == []
    await _agreed(market, market.maker, agent, Scope(may_read=True))
    assert len(await store.bills(market.conn, visible(market.subject(agent)))) == 2


async def test_the_principal_sees_its_stock_by_warehouse_and_each_move_as_it_happens(market: Market) -> None:
    agent = await _logistics(market)
    north = await _place(market, market.wholesaler, "北库")
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await _agreed(market, market.wholesaler, agent, Scope(places=(north,)))
    await market.move(203, market.wholesaler, goods.cases[:1], to_org=north)
    received = await market.move(104, north, goods.cases[:1], from_org=market.wholesaler, by=agent)
    us = market.subject(market.wholesaler)
    places = {w["org"]["id"]: w for w in await principal.warehouses(market.conn, market.registry, us)}
    assert places[north]["stock"] == {"I": 10} and places[market.wholesaler]["stock"] == {"I": 10}
    assert [a["id"] for a in places[north]["agents"]] == [agent] and places[market.wholesaler]["agents"] == []
    moves = await principal.movements(market.conn, market.registry, us, "zh")
    assert [(m["id"], m["agent"]["id"], m["qty"]) for m in moves] == [(received.bill_id, agent, 10)]
    out = await market.move(201, north, goods.boxes_of(0)[:4], to_org=market.pharmacy, by=agent)
    moves = await principal.movements(market.conn, market.registry, us, "zh", place=north)
    assert [m["id"] for m in moves] == [out.bill_id, received.bill_id]
    # nobody else sees them
    assert await principal.movements(market.conn, market.registry, market.subject(market.other), "zh") == []


async def test_headquarters_act_for_their_stores_and_see_what_waits_there(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
    await market.ship(market.pharmacy, market.store, goods.boxes_of(0)[:5])
    head = market.subject(market.pharmacy)
    (one,) = await principal.stores(market.conn, market.registry, head)
    assert (one["org"]["id"], one["notices_open"], one["stock"]) == (market.store, 1, {})
    await market.move(102, market.store, goods.boxes_of(0)[:5], from_org=market.pharmacy, by=market.pharmacy)
    (one,) = await principal.stores(market.conn, market.registry, head)
    assert (one["notices_open"], one["stock"]) == (0, {"I": 5})


async def test_the_domestic_responsible_person_submits_and_reads_for_the_overseas_holder(
    market: Market,
) -> None:
    person = await make_org(market.conn, OrgType.MAH)
    await market.conn.execute("UPDATE org SET domestic_agent_id = $1 WHERE id = $2", person, market.maker)
    await market.registry.refresh(market.conn)
    goods = await activate(market)
    shipped = await market.move(201, market.maker, goods.cases, to_org=market.wholesaler, by=person)
    assert shipped.status == "accepted"
    assert await store.bill(market.conn, visible(market.subject(person)), shipped.bill_id) is not None
    assert await store.bill(market.conn, visible(market.subject(market.other)), shipped.bill_id) is None
    assert acting.reason(market.registry, person, market.maker) == "domestic_agent"
    # not the other way round
    assert not acting.acts_for(market.registry, market.maker, person)


async def test_who_acts_for_whom_is_the_same_rule_for_writing_and_for_reading(market: Market) -> None:
    person = await make_org(market.conn, OrgType.MAH)
    await market.conn.execute("UPDATE org SET domestic_agent_id = $1 WHERE id = $2", person, market.maker)
    share = await make_org(market.conn, OrgType.WHOLESALER, parent_id=market.wholesaler)
    await _place(market, market.wholesaler, "东库")
    orgs = {card.id for card in market.registry.orgs()}
    assert share in orgs
    for org in orgs:
        sql, args = visible(market.subject(org)).apply("SELECT o.id FROM org o WHERE /*visible:org o.id*/")
        seen = {row["id"] for row in await market.conn.fetch(sql, *args)}
        assert seen == {other for other in orgs if acting.acts_for(market.registry, org, other)}, org


# -- 直调 -------------------------------------------------------------------------------------------


async def test_goods_go_straight_from_holder_to_buyer_and_the_seller_follows_without_holding_them(
    market: Market,
) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.other, goods.cases)
    # the wholesaler sells to the hospital; the goods go straight from the other wholesaler
    parties = {"to_org": market.hospital, "direct_org": market.wholesaler}
    sent = await market.move(207, market.other, goods.cases[:1], **parties)
    assert sent.status == "accepted"
    assert await market.stock(market.wholesaler) == 0 and await market.stock(market.wholesaler, "O") == 0
    seller = market.subject(market.wholesaler)
    (one,) = await direct.listed(market.conn, market.registry, seller, "zh")
    assert (one["role"], one["qty"], one["notice_state"], one["outcome"]) == ("directs", 10, "open", None)
    received = await market.move(
        102, market.hospital, goods.cases[:1], from_org=market.other, notice=sent.bill_no
    )
    assert received.status == "accepted"
    (one,) = await direct.listed(market.conn, market.registry, seller, "zh")
    assert (one["notice_state"], one["outcome"]) == ("received", "matched")
    assert await market.stock(market.hospital) == 10
    back = await market.move(
        237, market.hospital, goods.boxes_of(0)[:2], to_org=market.other, direct_org=market.wholesaler
    )
    assert back.status == "accepted"
    roles = {
        org: {d["role"] for d in await direct.listed(market.conn, market.registry, market.subject(org), "zh")}
        for org in (market.wholesaler, market.other, market.hospital, market.pharmacy)
    }
    assert roles == {
        market.wholesaler: {"directs"},
        market.other: {"sends", "receives"},
        market.hospital: {"sends", "receives"},
        market.pharmacy: set(),
    }
    await market.conserved()


async def test_a_direct_shipment_needs_three_firms_and_a_seller_among_them(market: Market) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.other, goods.cases)
    for third, code in (
        (market.other, "direct_same_party"),
        (market.hospital, "direct_same_party"),
        (market.pharmacy, "direct_not_trade"),
    ):
        act = market.move(207, market.other, goods.cases[:1], to_org=market.hospital, direct_org=third)
        assert await _code(act) == code
    assert (
        await _code(market.move(207, market.other, goods.cases[:1], to_org=market.hospital)) == "field_needed"
    )


async def test_a_delegation_with_its_first_day_to_come_is_agreed_but_not_in_force(market: Market) -> None:
    agent = await _logistics(market)
    begin = datetime.now(UTC) + timedelta(days=9)
    made = await _agreed(market, market.maker, agent, Scope(valid_from=begin))
    us = market.subject(agent)
    assert (await delegations.one(market.conn, market.registry, us, made))["state"] == "not_begun"
    goods = await activate(market)
    early = market.move(201, market.maker, goods.cases, to_org=market.wholesaler, by=agent)
    assert await _code(early) == "not_your_bill"
    await market.conn.execute(
        "UPDATE delegation SET valid_from = now() - interval '1 day' WHERE id = $1", made
    )
    assert (await delegations.one(market.conn, market.registry, us, made))["state"] == "in_force"
    later = await _agreed(market, market.maker, agent, Scope(valid_from=begin))
    await delegations.withdraw(market.conn, market.registry, us, later)
    assert (await delegations.one(market.conn, market.registry, us, later))["state"] == "withdrawn"


async def test_delegations_are_listed_page_by_page_and_one_is_found_among_thousands(market: Market) -> None:
    agent = await _logistics(market)
    made = [await _agreed(market, market.wholesaler, agent, Scope(kinds=("out",))) for _ in range(3)]
    await delegations.withdraw(market.conn, market.registry, market.subject(agent), made[1])
    us = market.subject(agent)
    first = await delegations.listed(market.conn, market.registry, us, limit=2)
    rest = await delegations.listed(market.conn, market.registry, us, before=first[-1]["id"], limit=2)
    assert [d["id"] for d in first + rest] == made[::-1]
    live = await delegations.listed(market.conn, market.registry, us, live=True)
    assert [d["id"] for d in live] == [made[2], made[0]]
    assert (await delegations.one(market.conn, market.registry, us, made[0]))["id"] == made[0]
    with pytest.raises(YaosuError) as strange:
        await delegations.one(market.conn, market.registry, market.subject(market.hospital), made[0])
    assert strange.value.code == "not_found"
