"""Rows completed when they are sent: catalogue, firms, and the person for this one request (design §6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from circulation.helpers import activate
from exchange.yibao.desk import ACCOUNT, NATIONAL_CODE, Desk, open_desk
from yaosu.db.engine import Connection
from yaosu.exchange.outbox.model import Parcel
from yaosu.exchange.yibao import fill
from yaosu.insurance.profiles import Profile, profile
from yaosu.people import service as people
from yaosu.people.keeper import Keeper
from yaosu.people.model import Given
from yaosu.registry import lists

KEEPER = Keeper(b"k" * 32)
CARD = "11010519491231002X"


async def completed(
    desk: Desk, parcel: Parcel, like: Profile | None = None, keeper: Keeper | None = KEEPER
) -> tuple[dict[str, Any], list[str]]:
    infno, rows = parcel.body["infno"], parcel.body["rows"]
    at = await fill.context(
        desk.conn,
        desk.market.registry,
        keeper,
        desk.link,
        like or Profile(),
        rows,
        infno,
        parcel.body["bill"],
    )
    made, findings = fill.complete(at, infno, rows[0])
    return made, [f.code for f in findings]


async def sold(db: Connection, **more: Any) -> tuple[Desk, Parcel, int]:
    desk = await open_desk(db)
    goods = await activate(desk.market)
    await desk.market.pass_on(desk.market.maker, desk.link.org, goods.boxes[:1])
    result, parcels = await desk.move(321, goods.boxes[:1], **more)
    return desk, parcels[0], result.bill_id


async def test_a_missing_catalogue_number_is_said_once_and_with_what_to_do(db: Connection) -> None:
    desk, parcel, _ = await sold(db)
    _, findings = await completed(desk, parcel)
    assert findings == ["yibao_mapping_missing", "yibao_mapping_missing"]
    await desk.map_goods()
    made, findings = await completed(desk, parcel)
    assert findings == []
    assert (made["med_list_codg"], made["fixmedins_hilist_id"], made["finl_trns_pric"]) == (
        NATIONAL_CODE,
        "D001",
        "12.5",
    )
    assert (made["phar_name"], made["sel_retn_opter_name"], made["prsc_dr_name"]) == (
        "药师甲",
        "收银员",
        "无",
    )
    assert made["psn_cert_type"] == "99"


async def test_the_own_product_number_may_be_the_catalogue_number(db: Connection) -> None:
    desk, parcel, _ = await sold(db)
    await db.execute(
        "INSERT INTO product_link (kind, value, drug_id) VALUES ('yibao', $1, $2)",
        NATIONAL_CODE,
        desk.market.drug_id,
    )
    await desk.market.registry.refresh(db, full=True)
    desk.link = replace(desk.link, account={**ACCOUNT, "catalogue": "own"})
    made, findings = await completed(desk, parcel)
    assert findings == []
    assert made["fixmedins_hilist_id"] == str(desk.market.drug_id)


async def test_the_buyer_goes_out_and_is_kept_nowhere(db: Connection) -> None:
    desk, parcel, bill_id = await sold(db, header={"doctor": "王大夫"})
    await desk.map_goods()
    subject = desk.market.subject(desk.link.org)
    person = await people.identify(db, KEEPER, subject, Given("1", CARD, "张三"))
    await db.execute(
        """INSERT INTO people.purchase (bill_id, person, happened_at, drug_id, batch_id, org, qty, bill_type, codes)
        VALUES ($1, $2, $3, $4, 1, $5, 1, 321, '{}')""",
        bill_id,
        person,
        datetime.now(UTC),
        desk.market.drug_id,
        desk.link.org,
    )
    made, findings = await completed(desk, parcel)
    assert findings == []
    assert (made["psn_name"], made["certno"], made["psn_cert_type"]) == ("张三", CARD, "01")
    assert made["prsc_dr_name"] == "王大夫"
    assert CARD not in str(await db.fetchval("SELECT body FROM delivery WHERE bill_id = $1", bill_id))
    record = await db.fetchrow("SELECT * FROM audit WHERE action = 'person.sent'")
    assert record is not None
    assert (record["org_id"], record["object_id"]) == (desk.link.org, str(person))
    # a preview has no keeper: nobody is opened, and what the bill says of persons is covered
    shown, _ = await completed(desk, parcel, keeper=None)
    assert "certno" not in shown
    covered = fill.mask(made)
    assert {covered["psn_name"], covered["certno"], covered["prsc_dr_name"], covered["phar_name"]} == {"＊"}
    assert covered["med_list_codg"] == NATIONAL_CODE
    # another firm's person stays closed to this one
    assert await people.for_delivery(db, KEEPER, desk.market.hospital, person, "yibao", {}) is None
    await db.execute("UPDATE people.person SET erased_at = now(), hash = NULL, cipher = NULL, salt = NULL")
    assert "certno" not in (await completed(desk, parcel))[0]


async def test_purchases_name_supplier_licence_and_maker_as_the_province_spells_it(db: Connection) -> None:
    desk = await open_desk(db)
    goods = await activate(desk.market)
    await desk.map_goods()
    await db.execute(
        "INSERT INTO org_licence (org_id, kind, number) VALUES ($1, 5, '鲁20160001')", desk.market.maker
    )
    await desk.market.ship(desk.market.maker, desk.link.org, goods.boxes[:1])
    _, (parcel,) = await desk.move(102, goods.boxes[:1], from_org=desk.market.maker)
    made, findings = await completed(desk, parcel)
    maker = desk.market.registry.org(desk.market.maker)
    assert maker is not None
    assert findings == []
    assert (made["spler_name"], made["spler_pmtno"], made["prodentp_name"]) == (
        maker.name,
        "鲁20160001",
        maker.name,
    )
    assert (made["purc_invo_no"], made["aprvno"]) == ("无", "国药准字Z45021428")
    guangzhou, findings = await completed(desk, parcel, profile(lists.delivered(), "guangzhou"))
    assert findings == []
    assert guangzhou["prdr_name"] == maker.name
    assert "prodentp_name" not in guangzhou


async def test_a_stock_change_without_a_price_waits_for_one(db: Connection) -> None:
    desk = await open_desk(db)
    goods = await activate(desk.market)
    await desk.map_goods(price="")
    await desk.market.pass_on(desk.market.maker, desk.link.org, goods.boxes[:1])
    _, (parcel,) = await desk.move(214, goods.boxes[:1], header={"reason_text": "盘亏"})
    made, findings = await completed(desk, parcel)
    assert (made["inv_chg_type"], made["cnt"], findings) == ("104", 1, ["yibao_field_missing"])
    await desk.map_goods(price="3.2")
    made, findings = await completed(desk, parcel)
    assert (made["pric"], findings) == ("3.2", [])
