"""A distributor lets a maker see its downstream data: which products, which fields, until when (R-B10)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from access.helpers import key_headers
from circulation.helpers import Market, activate, make_market
from grants.helpers import agreed, hidden, lines, seen, terms
from registry.helpers import make_org, make_product
from yaosu.access.visibility import visible
from yaosu.circulation import store_read
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.grants import service
from yaosu.notify import service as notify
from yaosu.registry.places import create_place


@pytest_asyncio.fixture(loop_scope="module")
async def market(db: Connection) -> Market:
    return await make_market(db)


async def _refused(act: object) -> str:
    with pytest.raises(YaosuError) as refused:
        await act  # type: ignore[misc]
    findings = refused.value.findings
    return findings[0].code if findings else refused.value.code


async def _shipped(market: Market) -> None:
    """Maker → wholesaler 20 boxes → pharmacy 10, hospital 10; the pharmacy's 3 are sold."""
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.pass_on(market.wholesaler, market.pharmacy, goods.boxes_of(0))
    await market.pass_on(market.wholesaler, market.hospital, goods.boxes_of(1))
    await market.move(321, market.pharmacy, goods.boxes_of(0)[:3])


async def _bills_seen(market: Market, reader: int, owner: int) -> int:
    rows = await store_read.bills(market.conn, visible(market.subject(reader)), owner=owner)
    return len(rows)


async def test_a_maker_sees_its_own_shipments_and_by_name_what_is_hidden_and_why(market: Market) -> None:
    await _shipped(market)
    view = await seen(market, market.maker)
    assert lines(view) == [(market.maker, market.wholesaler, 20)]
    assert hidden(view) == {market.wholesaler: ("no_grant", 20)}
    assert "未获得" in view["hidden"][0]["message"]


async def test_an_invitation_opens_nothing_until_it_is_accepted(market: Market) -> None:
    await _shipped(market)
    conn, registry = market.conn, market.registry
    maker, wholesaler = market.subject(market.maker), market.subject(market.wholesaler)
    asked = await service.offer(
        conn, registry, maker, market.wholesaler, market.maker, terms("flow", "parties")
    )
    view = await seen(market, market.maker)
    assert lines(view) == [(market.maker, market.wholesaler, 20)]
    assert view["hidden"][0]["invited"] is True
    told = (await notify.messages(conn, wholesaler))[0]
    assert (told.kind, told.link) == ("notice_grant_offered", f"/grants/{asked}")
    # the one who asks cannot answer, nor can a stranger
    assert await _refused(service.accept(conn, registry, maker, asked)) == "grant_not_waiting"
    stranger = market.subject(market.other)
    assert await _refused(service.accept(conn, registry, stranger, asked)) == "not_found"
    assert (
        await _refused(service.offer(conn, registry, maker, market.wholesaler, market.maker, terms("flow")))
        == "grant_waits"
    )
    await service.accept(conn, registry, wholesaler, asked)
    assert lines(await seen(market, market.maker)) == [
        (market.maker, market.wholesaler, 20),
        (market.wholesaler, market.pharmacy, 10),
        (market.wholesaler, market.hospital, 10),
    ]
    assert (await notify.messages(conn, maker))[0].kind == "notice_grant_accepted"


async def test_the_flow_is_followed_from_hand_to_hand_as_far_as_each_granted(market: Market) -> None:
    await _shipped(market)
    await agreed(market, market.wholesaler, market.maker, terms("flow", "parties"))
    assert hidden(await seen(market, market.maker)) == {
        market.pharmacy: ("no_grant", 10),
        market.hospital: ("no_grant", 10),
    }
    await agreed(market, market.pharmacy, market.maker, terms("flow"))
    view = await seen(market, market.maker)
    assert (market.pharmacy, None, 3) in lines(view)
    assert view["used"] == 3 and view["sent"] == 40
    assert hidden(view)[market.hospital] == ("no_grant", 10)


async def test_a_distributor_offers_by_itself_and_the_maker_accepts_or_declines(market: Market) -> None:
    conn, registry = market.conn, market.registry
    wholesaler, maker = market.subject(market.wholesaler), market.subject(market.maker)
    offered = await service.offer(conn, registry, wholesaler, market.wholesaler, market.maker, terms("flow"))
    assert await _refused(service.accept(conn, registry, wholesaler, offered)) == "grant_not_waiting"
    await service.decline(conn, registry, maker, offered)
    assert (await service.get(conn, registry, maker, offered)).state == "declined"
    assert (await notify.messages(conn, wholesaler))[0].kind == "notice_grant_declined"
    assert await _refused(service.accept(conn, registry, maker, offered)) == "grant_not_waiting"
    again = await service.offer(conn, registry, wholesaler, market.wholesaler, market.maker, terms("flow"))
    assert (await service.accept(conn, registry, maker, again)).state == "in_force"


async def test_withdrawal_takes_effect_at_the_very_next_read(market: Market) -> None:
    await _shipped(market)
    given = await agreed(market, market.wholesaler, market.maker, terms("flow", "parties", "bills", "codes"))
    assert len(lines(await seen(market, market.maker))) == 3
    assert await _bills_seen(market, market.maker, market.wholesaler) >= 3
    await service.withdraw(market.conn, market.registry, market.subject(market.wholesaler), given)
    assert lines(await seen(market, market.maker)) == [(market.maker, market.wholesaler, 20)]
    # what remains are the bills that name the maker itself
    rows = await store_read.bills(market.conn, visible(market.subject(market.maker)), owner=market.wholesaler)
    assert {row["type"] for row in rows} == {102}
    assert (await notify.messages(market.conn, market.subject(market.maker)))[
        0
    ].kind == "notice_grant_withdrawn"
    assert (
        await _refused(
            service.withdraw(market.conn, market.registry, market.subject(market.wholesaler), given)
        )
        == "grant_not_in_force"
    )


async def test_a_grant_ends_by_itself_when_its_time_is_over(market: Market) -> None:
    await _shipped(market)
    soon = datetime.now(UTC) + timedelta(hours=1)
    given = await agreed(market, market.wholesaler, market.maker, terms("flow", until=soon))
    assert len(lines(await seen(market, market.maker))) == 2
    await market.conn.execute(
        "UPDATE data_grant SET until = now() - interval '1 second' WHERE id = $1", given
    )
    assert len(lines(await seen(market, market.maker))) == 1
    found = await service.get(market.conn, market.registry, market.subject(market.maker), given)
    assert found.state == "ended"


async def test_only_granted_products_are_seen_and_only_the_grantees_own_can_be_granted(
    market: Market,
) -> None:
    stranger = await make_org(market.conn)
    levels = (("盒", 1, "8385796"), ("箱", 10, "8385797"))
    second = await make_product(market.conn, market.maker, levels=levels, package_size="12粒/盒")
    levels = (("盒", 1, "8385798"), ("箱", 10, "8385799"))
    foreign = await make_product(market.conn, stranger, levels=levels)
    await market.registry.refresh(market.conn)
    await _shipped(market)
    await agreed(market, market.wholesaler, market.maker, terms("flow", drugs=[second]))
    # granted for another product: this one stays hidden
    assert hidden(await seen(market, market.maker)) == {market.wholesaler: ("no_grant", 20)}
    offer = service.offer(
        market.conn, market.registry, market.subject(market.maker), market.other, market.maker,
        terms("flow", drugs=[market.drug_id, foreign]),
    )  # fmt: skip
    assert await _refused(offer) == "grant_product_not_theirs"


@pytest.mark.parametrize(
    ("grantor", "grantee", "what", "code"),
    [
        ("maker", "maker", terms("flow"), "grant_to_oneself"),
        ("pharmacy", "maker", terms("flow", until=datetime(2020, 1, 1, tzinfo=UTC)), "grant_until_past"),
        ("pharmacy", "maker", terms("everything"), "grant_field_unknown"),
        ("pharmacy", "maker", terms("flow", drugs=[]), "grant_no_products"),
        ("maker", "pharmacy", terms("flow"), "grant_no_products"),
        ("pharmacy", "wholesaler", terms("flow"), "grant_not_yours"),
    ],
)
async def test_terms_that_make_no_sense_are_refused_with_the_reason(
    market: Market, grantor: str, grantee: str, what: object, code: str
) -> None:
    act = service.offer(
        market.conn, market.registry, market.subject(market.maker), getattr(market, grantor),
        getattr(market, grantee), what,  # type: ignore[arg-type]
    )  # fmt: skip
    assert await _refused(act) == code


async def test_the_grantor_narrows_at_once_and_widening_waits_for_the_other_side(market: Market) -> None:
    await _shipped(market)
    conn, registry = market.conn, market.registry
    wholesaler, maker = market.subject(market.wholesaler), market.subject(market.maker)
    first = await agreed(market, market.wholesaler, market.maker, terms("flow", "parties"))
    narrow, at_once = await service.change(conn, registry, wholesaler, first, terms("flow"))
    assert at_once
    assert lines(await seen(market, market.maker)) == [
        (market.maker, market.wholesaler, 20),
        (market.wholesaler, None, 20),
    ]
    wide, at_once = await service.change(conn, registry, maker, narrow, terms("flow", "parties", "bills"))
    assert not at_once
    # the old terms hold until the wider ones are accepted
    assert (market.wholesaler, None, 20) in lines(await seen(market, market.maker))
    await service.accept(conn, registry, wholesaler, wide)
    assert (market.wholesaler, market.pharmacy, 10) in lines(await seen(market, market.maker))
    assert (await service.get(conn, registry, maker, narrow)).state == "withdrawn"
    assert await _refused(service.change(conn, registry, maker, first, terms("flow"))) == "grant_not_in_force"


@pytest.mark.parametrize("end", ["withdraw", "narrow"])
async def test_what_was_proposed_for_a_grant_ends_with_it(market: Market, end: str) -> None:
    await _shipped(market)
    conn, registry = market.conn, market.registry
    wholesaler, maker = market.subject(market.wholesaler), market.subject(market.maker)
    first = await agreed(market, market.wholesaler, market.maker, terms("flow", "parties"))
    old, _ = await service.change(conn, registry, wholesaler, first, terms("flow", "parties", "bills"))
    wide, _ = await service.change(conn, registry, wholesaler, first, terms("flow", "parties", "codes"))
    wish, _ = await service.change(conn, registry, maker, first, terms("flow", "parties", "bills", "codes"))
    # a side's newest word is the one that waits
    assert await _refused(service.accept(conn, registry, maker, old)) == "grant_not_waiting"
    if end == "withdraw":
        await service.withdraw(conn, registry, wholesaler, first)
    else:
        await service.change(conn, registry, wholesaler, first, terms("flow"))
    for who, number in ((maker, wide), (wholesaler, wish)):
        assert await _refused(service.accept(conn, registry, who, number)) == "grant_not_waiting"
    view = await seen(market, market.maker)
    expected = "no_grant" if end == "withdraw" else "no_parties"
    assert hidden(view)[market.wholesaler][0] == expected


async def test_of_two_proposals_for_one_grant_one_holds(market: Market) -> None:
    await _shipped(market)
    conn, registry = market.conn, market.registry
    wholesaler, maker = market.subject(market.wholesaler), market.subject(market.maker)
    first = await agreed(market, market.wholesaler, market.maker, terms("flow"))
    offered, _ = await service.change(conn, registry, wholesaler, first, terms("flow", "parties"))
    wished, _ = await service.change(conn, registry, maker, first, terms("flow", "parties", "codes"))
    await service.accept(conn, registry, maker, offered)
    assert await _refused(service.accept(conn, registry, wholesaler, wished)) == "grant_not_waiting"
    found = [g.id for g in await service.listed(conn, registry, maker) if g.state == "in_force"]
    assert found == [offered]


async def test_the_owner_sees_who_read_its_data_when_and_what(market: Market) -> None:
    await _shipped(market)
    wholesaler = market.subject(market.wholesaler)
    await agreed(market, market.wholesaler, market.maker, terms("flow", "parties"))
    assert await service.reads(market.conn, market.registry, wholesaler) == []
    await seen(market, market.maker)
    (read,) = await service.reads(market.conn, market.registry, wholesaler)
    assert (read.org, read.what) == (market.maker, f"flow {market.drug_id}")
    # own reads are nobody else's business, and others' records are not shown
    await seen(market, market.wholesaler)
    assert len(await service.reads(market.conn, market.registry, wholesaler)) == 1
    assert await service.reads(market.conn, market.registry, market.subject(market.pharmacy)) == []
    assert await service.reads(market.conn, market.registry, wholesaler, reader=market.other) == []


async def test_a_grant_covers_the_grantors_warehouses_and_moves_inside_a_firm_are_no_flow(
    market: Market,
) -> None:
    house = (await create_place(market.conn, market.subject(market.wholesaler), "一号库", 2901)).id
    await market.registry.refresh(market.conn)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.move(203, market.wholesaler, goods.cases, to_org=house)
    await market.move(104, house, goods.cases, from_org=market.wholesaler, by=market.wholesaler)
    await market.move(201, house, goods.cases[:1], to_org=market.hospital, by=market.wholesaler)
    assert hidden(await seen(market, market.maker)) == {market.wholesaler: ("no_grant", 20)}
    await agreed(market, market.wholesaler, market.maker, terms("flow", "parties", "bills"))
    view = await seen(market, market.maker)
    assert lines(view) == [
        (market.maker, market.wholesaler, 20),
        (market.wholesaler, market.hospital, 10),
    ]
    assert hidden(view) == {market.hospital: ("no_grant", 10)}
    assert await _bills_seen(market, market.maker, house) == 2
    (read,) = await service.reads(market.conn, market.registry, market.subject(market.wholesaler))
    assert read.owner == market.wholesaler


async def test_a_correction_and_a_void_are_taken_out_of_the_flow(market: Market) -> None:
    goods = await activate(market)
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases)
    assert lines(await seen(market, market.maker)) == [(market.maker, market.wholesaler, 20)]
    await market.move(
        201, market.maker, [], bill_no=shipped.bill_no, revision=2, void=True, to_org=market.wholesaler,
        header={"void_reason": "错单"},
    )  # fmt: skip
    assert lines(await seen(market, market.maker)) == []


async def test_the_flow_is_filtered_by_batch_period_region_and_shipper(market: Market) -> None:
    await _shipped(market)
    await agreed(market, market.wholesaler, market.maker, terms("flow", "parties"))
    (batch,) = {i["batch_no"] for i in (await seen(market, market.maker))["items"]}
    assert len(lines(await seen(market, market.maker, batch_no=batch))) == 3
    assert lines(await seen(market, market.maker, batch_no="NONE")) == []
    assert len(lines(await seen(market, market.maker, shipper=market.wholesaler))) == 2
    assert len(lines(await seen(market, market.maker, region="37"))) == 3
    assert lines(await seen(market, market.maker, region="65")) == []
    past = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
    assert lines(await seen(market, market.maker, period=past)) == []


READS_OF_THE_API = (
    "/api/v1/flow?drug_id={drug}",
    "/api/v1/bills",
    "/api/v1/bills?owner={wholesaler}",
    "/api/v1/bills/{bill}",
    "/api/v1/bills/{bill}/codes",
    "/api/v1/stock?org={wholesaler}",
    "/api/v1/stock?drug_id={drug}",
    "/api/v1/codes/{box}",
    "/api/v1/codes/{box}/history",
    "/api/v1/codes/{case}/contents",
    "/api/v1/batches/{drug}/{batch}/where",
    "/api/v1/notices",
    "/api/v1/receipt-checks",
    "/api/v1/quarantine",
    "/api/v1/grants",
    "/flow?drug={drug}",
    "/bills/{bill}",
)


@pytest.mark.parametrize(
    ("fields", "never"),
    [
        (("flow",), {"parties", "bills", "codes"}),
        (("flow", "parties"), {"bills", "codes"}),
        (("flow", "bills"), {"parties", "codes"}),
        (("flow", "parties", "bills"), {"codes"}),
        (("flow", "codes"), {"parties", "bills"}),
        (("flow", "parties", "bills", "codes"), set()),
    ],
)
async def test_a_field_that_was_not_granted_appears_in_no_answer_of_the_api(
    client: httpx.AsyncClient, pool: Pool, fields: tuple[str, ...], never: set[str]
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        for table in ("code_prefix", "package_level", "product_link"):
            await conn.execute(f"DELETE FROM {table}")  # each run brings the same prefixes anew
        await conn.execute("DELETE FROM filing")
        market = await make_market(conn)
        goods = await activate(market)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        box = goods.boxes_of(0)[0]
        sold = await market.ship(market.wholesaler, market.hospital, goods.boxes_of(0), bill_no="XS-SECRET-1")
        await agreed(market, market.wholesaler, market.maker, terms(*fields))
        headers = await key_headers(conn, market.maker)
    registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
    async with pool.acquire() as conn:
        await registry.refresh(conn, full=True)
    hospital = registry.org(market.hospital)
    secrets = {"parties": hospital.name, "bills": "XS-SECRET-1", "codes": box}
    values = {
        "drug": market.drug_id, "wholesaler": market.wholesaler, "bill": sold.bill_id, "box": box,
        "case": goods.cases[0], "batch": goods.batch_no,
    }  # fmt: skip
    shown: dict[str, set[str]] = {}
    for path in READS_OF_THE_API:
        answer = await client.get(path.format(**values), headers=headers)
        assert answer.status_code in (200, 403, 404), (path, answer.text)
        for name, secret in secrets.items():
            # a code that the caller asked about, and its own packing, are no secrets to the maker
            own = name == "codes" and ("{box}" in path or "{case}" in path)
            if secret in answer.text and not own:
                shown.setdefault(name, set()).add(path)
    assert {name: paths for name, paths in shown.items() if name in never} == {}
    # and what was granted is shown somewhere
    reachable = {"parties"} & set(fields)
    reachable |= {"bills"} & set(fields)
    if set(fields) == {"flow", "parties", "bills", "codes"}:
        reachable |= {"codes"}
    assert set(shown) == reachable
    view = (await client.get(f"/api/v1/flow?drug_id={market.drug_id}", headers=headers)).json()
    ours = [i for i in view["items"] if i["shipper"]["org_id"] == market.wholesaler]
    assert ours and all(("receiver" in i) == ("parties" in fields) for i in ours)
    assert all(("bills" in i) == ("bills" in fields) for i in ours)
    # by code, who has it and where it goes: only with codes and parties
    one = (await client.get(f"/api/v1/codes/{box}", headers=headers)).json()
    knows = json.dumps(one, ensure_ascii=False)
    wholesaler = registry.org(market.wholesaler).name
    assert (wholesaler in knows) == ({"codes", "parties"} <= set(fields))
