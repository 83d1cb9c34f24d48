"""Places inside an organisation: storehouse, pharmacies and wards of a hospital, warehouses (R-C4, R-B8)."""

from __future__ import annotations

import itertools

import httpx
import pytest

from access.helpers import key_headers
from access.helpers import subject_of as account_of
from circulation.helpers import Market, activate, make_market
from registry.helpers import OPERATOR, make_org, subject_of, uscc
from yaosu.access import accounts
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.ledger import service as ledger
from yaosu.registry import service, store_places
from yaosu.registry.drafts import OrgDraft
from yaosu.registry.lists import delivered
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.registry.service_orgs import draft_of

STORE, INPATIENT, WARD = 3901, 3902, 3904
_numbers = itertools.count(71_000_001)


async def hospital(conn: Connection, name: str = "") -> int:
    return await make_org(
        conn, OrgType.MEDICAL, uscc=uscc(next(_numbers)), name=name or f"示例医院{next(_numbers)}"
    )


async def refused(code: str, work: object) -> YaosuError:
    with pytest.raises(YaosuError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.code == code
    return caught.value


async def place_of(conn: Connection, org: int, name: str, kind: int, org_type: int = 3) -> int:
    return (await service.create_place(conn, subject_of(org, org_type), name, kind)).id


async def test_a_hospital_sets_up_its_storehouse_and_wards_itself_and_they_are_numbered_by_rule(
    db: Connection,
) -> None:
    org = await hospital(db)
    us = subject_of(org, 3)
    first = await service.create_place(db, us, "药库", STORE, "行政楼 1 层")
    second = await service.create_place(db, us, "内科一病区", WARD)
    card = (await service.get_org(db, us, org)).card
    assert [first.number, second.number] == [f"{card.uscc}-001", f"{card.uscc}-002"]
    assert (first.card.name, first.name, first.card.place) == (f"{card.name}·药库", "药库", True)
    assert (first.card.type, first.card.region, first.card.parent_id) == (3, card.region, org)
    assert [p.name for p in await service.places(db, us)] == ["药库", "内科一病区"]
    registry = await load_registry(db)
    assert [c.id for c in registry.places_of(org)] == [first.id, second.id]
    assert [c.id for c in registry.family_of(second.id)] == [org, first.id, second.id]


async def test_a_place_is_of_a_kind_its_organisation_can_have_and_has_a_name_of_its_own(
    db: Connection,
) -> None:
    org = await hospital(db)
    us = subject_of(org, 3)
    carrier = await make_org(db, OrgType.LOGISTICS)
    await refused("org_invalid", service.create_place(db, subject_of(carrier, 5), "药库", STORE))
    await refused("org_invalid", service.create_place(db, us, "门店", 42))
    await refused("org_invalid", service.create_place(db, us, "  ", WARD))
    ward = await place_of(db, org, "内科病区", WARD)
    await refused("place_name_taken", service.create_place(db, us, "内科 病区", WARD))
    await refused("place_inside_place", service.create_place(db, subject_of(ward, 3), "抢救室", WARD))
    await refused("forbidden", service.create_place(db, subject_of(org, 3, "org.read"), "外科", WARD))


async def test_the_directory_can_neither_make_a_place_nor_take_one_over(db: Connection) -> None:
    org = await hospital(db)
    draft = OrgDraft(
        name="假药库", type=3, region="370102", uscc=uscc(next(_numbers)), parent_id=org, sub_type=STORE
    )
    error = await refused("org_invalid", service.create_org(db, OPERATOR, draft))
    assert error.findings[0].code == "place_made_elsewhere"
    ward = await service.get_org(db, OPERATOR, await place_of(db, org, "病区", WARD))
    other = await hospital(db)
    moved = draft_of(ward)
    for change in ({"parent_id": other}, {"status": 0}, {"sub_type": 34}, {"name": "别的名称"}):
        fields = {f: getattr(moved, f) for f in OrgDraft.__dataclass_fields__} | change
        await refused(
            "org_invalid", service.update_org(db, OPERATOR, ward.id, OrgDraft(**fields), ward.version, True)
        )


async def test_outsiders_find_no_places_and_the_organisations_own_people_find_them_all(
    db: Connection,
) -> None:
    org = await hospital(db, "寻找示例医院")
    ward = await place_of(db, org, "产科病区", WARD)
    pharmacy = await place_of(db, org, "住院药房", INPATIENT)
    outsider = subject_of(await make_org(db, OrgType.WHOLESALER), 2)
    assert [o.id for o in await service.search_orgs(db, outsider, "寻找示例")] == [org]
    assert [o.id for o in await service.search_orgs(db, outsider, "产科病区")] == []
    assert await service.list_orgs(db, outsider, parent_id=org) == []
    await refused("org_not_found", service.get_org(db, outsider, ward))
    for insider in (subject_of(org, 3), subject_of(pharmacy, 3), OPERATOR):
        assert {o.id for o in await service.list_orgs(db, insider, parent_id=org)} == {ward, pharmacy}
        assert [o.id for o in await service.search_orgs(db, insider, "产科病区")] == [ward]
        assert (await service.get_org(db, insider, ward)).id == ward


async def test_a_new_name_of_the_hospital_stands_in_front_of_its_places_too(db: Connection) -> None:
    org = await hospital(db)
    ward = await place_of(db, org, "眼科", WARD)
    renamed = await service.rename_place(db, subject_of(org, 3), ward, "眼科病区")
    assert renamed.card.name.endswith("·眼科病区") and renamed.name == "眼科病区"
    found = await service.get_org(db, OPERATOR, org)
    fields = {f: getattr(draft_of(found), f) for f in OrgDraft.__dataclass_fields__} | {"name": "新示例医院"}
    await service.update_org(db, OPERATOR, org, OrgDraft(**fields), found.version)
    assert (await service.get_org(db, OPERATOR, ward)).name == "新示例医院·眼科病区"


async def market_with_places(db: Connection) -> tuple[Market, int, int, list[str]]:
    """A hospital with a storehouse and a ward, and four boxes in the storehouse."""
    market = await make_market(db)
    goods = await activate(market, cases=1, per_case=4)
    store = await place_of(db, market.hospital, "药库", STORE)
    ward = await place_of(db, market.hospital, "病区", WARD)
    await market.registry.refresh(db)
    await market.pass_on(market.maker, market.hospital, goods.cases)
    await transfer(market, market.hospital, store, goods.cases)
    return market, store, ward, goods.boxes


async def transfer(
    market: Market, giver: int, receiver: int, codes: list[str], by: int | None = None
) -> None:
    out = await market.move(203, giver, codes, to_org=receiver, by=by)
    assert out.status == "accepted", [(r.code, r.verdict) for r in out.results]
    into = await market.move(104, receiver, codes, from_org=giver, by=by)
    assert into.status == "accepted", [(r.code, r.verdict) for r in into.results]


async def test_goods_go_from_storehouse_to_ward_by_scanning_and_each_place_has_its_own_stock(
    db: Connection,
) -> None:
    market, store, ward, boxes = await market_with_places(db)
    # the hospital's own people give out and take in for its places
    await transfer(market, store, ward, boxes[:3], by=market.hospital)
    assert [await market.stock(org) for org in (market.hospital, store, ward)] == [0, 1, 3]
    assert await market.status(boxes[0]) == ("I", ward, None)
    # people of the ward use what the ward has, and not what the storehouse has
    used = await market.move(323, ward, boxes[:1])
    assert used.status == "accepted"
    assert (await market.move(323, ward, boxes[3:])).status == "refused"
    await market.conserved()


async def test_the_hospital_sees_all_of_its_places_and_a_ward_sees_itself_only(db: Connection) -> None:
    market, store, ward, boxes = await market_with_places(db)
    await transfer(market, store, ward, boxes[:1], by=market.hospital)

    async def seen(org: int) -> dict[int, int]:
        held = await store_places.holdings(db, visible(market.subject(org)), [store, ward])
        return {place: one.by_status["I"] for place, one in held.items()}

    assert await seen(market.hospital) == {store: 3, ward: 1}
    assert await seen(ward) == {ward: 1}
    assert await seen(market.wholesaler) == {}
    found = await service.places(db, market.subject(market.hospital))
    assert {p.id: (p.holding.by_status["I"], p.holding.products) for p in found} == {
        store: (3, 1),
        ward: (1, 1),
    }
    for place, qty in ((store, 3), (ward, 1)):
        lines, _ = await ledger.stock(db, market.subject(market.hospital), place)
        assert [(line.org, line.qty) for line in lines] == [(place, qty)]
    assert (await ledger.stock(db, market.subject(ward), store))[0] == []


async def test_a_stranger_may_not_submit_for_a_place_and_a_place_not_for_its_hospital(db: Connection) -> None:
    market, store, ward, boxes = await market_with_places(db)
    for by in (market.wholesaler, ward):
        with pytest.raises(YaosuError) as caught:
            await market.move(203, store, boxes[:1], to_org=ward, by=by)
        assert caught.value.code == "not_your_bill"


async def test_a_place_closes_when_the_ledger_says_it_is_empty_and_not_before(db: Connection) -> None:
    market, store, ward, boxes = await market_with_places(db)
    us = market.subject(market.hospital)
    await refused("place_not_empty", service.close_place(db, us, store))
    sent = await market.move(203, store, boxes, to_org=ward)
    assert sent.status == "accepted"
    # on its way from one to the other: neither is empty
    await refused("place_not_empty", service.close_place(db, us, store))
    await refused("place_not_empty", service.close_place(db, us, ward))
    await market.move(104, ward, boxes, from_org=store)
    await refused("org_not_found", service.close_place(db, market.subject(market.wholesaler), store))
    closed = await service.close_place(db, us, store)
    assert not closed.card.active
    await market.registry.refresh(db)
    assert [c.id for c in market.registry.places_of(market.hospital)] == [ward]
    back = await market.move(203, ward, boxes[:1], to_org=ward)
    assert back is not None
    with pytest.raises(YaosuError) as caught:
        await market.move(203, ward, boxes[1:2], to_org=store)
    assert [f.code for f in caught.value.findings] == ["party_abolished"]
    # what the ward used up stays its history and keeps it from nothing
    await market.move(104, ward, boxes[:1], from_org=ward)
    await market.move(323, ward, boxes)
    await service.close_place(db, us, ward)
    assert (await service.reopen_place(db, us, store)).card.active


async def test_an_administrator_manages_the_users_of_the_places_and_nobody_elses(db: Connection) -> None:
    org = await hospital(db)
    admin = await account_of(db, org)
    ward = await place_of(db, org, "急诊", WARD)
    made, _ = await accounts.create_account(
        db, admin, f"nurse{next(_numbers)}", "护士站", "warehouse", org_id=ward
    )
    assert made.org_id == ward
    assert [a.id for a in await accounts.accounts(db, admin, ward)] == [made.id]
    changed = await accounts.change_account(db, admin, made.id, active=False)
    assert not changed.active
    stranger = await account_of(db, await hospital(db))
    await refused("not_found", accounts.accounts(db, stranger, ward))
    await refused("not_found", accounts.account_of(db, stranger, made.id))
    # the ward's people have nothing to say about the hospital's
    await refused("not_found", accounts.accounts(db, await account_of(db, ward), org))


async def test_a_carrier_has_warehouses(db: Connection) -> None:
    carrier = await make_org(db, OrgType.LOGISTICS)
    made = await service.create_place(db, subject_of(carrier, 5), "一号库", 5901)
    registry = await load_registry(db)
    assert [c.name for c in registry.places_of(carrier)] == [made.card.name]


def test_every_kind_of_place_says_which_type_of_organisation_has_it() -> None:
    kinds = [i for i in delivered().get("org_sub_type") if i.attrs.get("place")]
    assert {str(i.attrs["type"]) for i in kinds} == {"2", "3", "5"}
    assert all(i.source == "平台补充" for i in kinds)


async def test_places_over_the_api_and_on_the_page(client: httpx.AsyncClient, pool: Pool) -> None:
    assert (await client.get("/api/v1/places")).status_code == 401
    async with pool.acquire() as conn:
        org = await hospital(conn)
        auth = await key_headers(conn, org)
        stranger = await key_headers(conn, await hospital(conn))
    body = {"name": "门诊药房", "sub_type": 3903, "address": "门诊楼 1 层"}
    made = await client.post("/api/v1/places", headers=auth, json=body)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    again = await client.post("/api/v1/places", headers=auth, json=body)
    assert (again.status_code, again.json()["code"]) == (409, "place_name_taken")
    renamed = await client.put(f"/api/v1/places/{number}", headers=auth, json={"name": "西药房"})
    assert renamed.json()["name"] == "西药房"
    for call in (
        client.put(f"/api/v1/places/{number}", headers=stranger, json={"name": "我的"}),
        client.post(f"/api/v1/places/{number}/close", headers=stranger),
        client.get(f"/api/v1/orgs/{number}", headers=stranger),
    ):
        assert (await call).status_code == 404
    page = await client.get("/places", headers=auth | {"accept": "text/html"})
    assert page.status_code == 200 and "西药房" in page.text and "药库" in page.text
    closed = await client.post(f"/api/v1/places/{number}/close", headers=auth)
    assert closed.json()["active"] is False
    listed = (await client.get("/api/v1/places", headers=auth)).json()
    assert [(p["name"], p["active"]) for p in listed["items"]] == [("西药房", False)]
