"""An institution and a bureau, two real servers, with a bad network between them (R-C6, R-C7)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from exchange.faults import Fault, FaultyProxy, faulty
from exchange.running import COMES_WITHIN_S, Running, running
from notify.clock import pauses_end
from registry.helpers import make_org
from yaosu.access.scopes import scopes_of
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection, connect
from yaosu.exchange.outbox import connections
from yaosu.insurance import institutions
from yaosu.insurance.institutions import Draft, Issued
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject

NATIONAL_CODE = "XA02BCA216A001010104475"
PATH = "/fsi/api/rsfComIfsService/callService"
MASTER = "5a" * 32
ENV = {"YAOSU_MASTER_SECRET": MASTER}


@dataclass
class Town:
    """A pharmacy's server and the bureau's, and a network that fails on demand."""

    shop: Running
    bureau: Running
    proxy: FaultyProxy
    market: Market
    goods: Goods
    link: int
    issued: Issued
    books: Connection
    """The bureau's database."""
    officer: Subject
    keeper: Keeper

    async def sell(self, codes: list[str], **more: Any) -> MovementResult:
        return await self.move(321, codes, **more)

    async def move(self, type: int, codes: list[str], **more: Any) -> MovementResult:
        result = await self.market.move(type, self.market.pharmacy, codes, **more)
        assert result.status in ("accepted", "void"), [(r.code, r.verdict) for r in result.results]
        return result

    async def deliveries(self, bill_no: str) -> list[Any]:
        return list(
            await self.market.conn.fetch(
                """SELECT d.* FROM delivery d JOIN bill b ON b.id = d.bill_id
                WHERE d.target = 'yibao' AND b.bill_no = $1 ORDER BY d.id""",
                bill_no,
            )
        )

    async def settled(
        self, bill_no: str, count: int = 1, states: tuple[str, ...] = ("processed",)
    ) -> list[Any]:
        """The bill's deliveries, once all of them came to one of these states."""
        until = asyncio.get_running_loop().time() + COMES_WITHIN_S
        while True:
            rows = await self.deliveries(bill_no)
            if len(rows) >= count and all(r["state"] in states for r in rows):
                return rows
            if asyncio.get_running_loop().time() > until:
                told = [(r["kind"], r["state"], r["attempts"], r["answer"]) for r in rows]
                raise AssertionError(
                    f"{bill_no}: {told}\n{self.bureau.log()[-1500:]}\n{self.shop.log()[-3000:]}"
                )
            # the pauses of the retry list are for the real world
            await pauses_end(self.market.conn)
            await asyncio.sleep(0.2)

    def fail(self, *faults: Fault) -> None:
        self.proxy.faults.extend(faults)

    async def reported(self, code: str) -> list[str]:
        """Transactions under which the bureau holds a code, those taken back left out."""
        rows = await self.books.fetch(
            """SELECT r.stage FROM insurance_report r JOIN insurance_report_code c ON c.report_id = r.id
            WHERE c.code = $1 AND r.deleted_at IS NULL ORDER BY r.id""",
            code,
        )
        return [r["stage"] for r in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(server_address: str, template_name: str, tmp_path_factory: Any) -> AsyncIterator[Town]:
    folder: Path = tmp_path_factory.mktemp("yibao")
    os.environ.pop("YAOSU_MASTER_SECRET", None)
    keeper = Keeper(bytes.fromhex(MASTER))
    with (
        running(server_address, template_name, folder / "bureau", ENV) as bureau,
        running(server_address, template_name, folder / "shop", ENV) as shop,
    ):
        books, conn = await connect(bureau.database), await connect(shop.database)
        office = await make_org(books, OrgType.GOVERNMENT, region="370000", sub_type=1103)
        registry = await load_registry(books)
        officer = Subject(
            "account", 7, office, "110", "insurer_admin", scopes_of("insurer_admin", "110"), region="370000"
        )
        async with books.transaction():
            draft = Draft("P37010200002", "康民大药房", "370102", "national")
            issued = await institutions.register(books, registry, keeper, officer, draft)
        market = await make_market(conn)
        await conn.execute(
            "INSERT INTO product_link (kind, value, drug_id) VALUES ('yibao', $1, $2)",
            NATIONAL_CODE,
            market.drug_id,
        )
        market.registry = await load_registry(conn)
        async with faulty(bureau.port, hang_s=2) as proxy:
            async with conn.transaction():
                link = await _connect(conn, keeper, market, proxy.url + PATH, issued)
            goods = await activate(market, cases=3)
            await market.ship(market.maker, market.pharmacy, goods.boxes[:20])
            yield Town(shop, bureau, proxy, market, goods, link, issued, books, officer, keeper)
        await books.close()
        await conn.close()


async def _connect(
    conn: Connection,
    keeper: Keeper,
    market: Market,
    url: str,
    issued: Issued,
    org: int = 0,
    profile: str = "national",
) -> int:
    account = {
        "fixmedins_code": issued.institution.code,
        "fixmedins_name": "康民大药房",
        "app_id": issued.institution.app,
        "mdtrtarea_admvs": "370102",
        "opter": "001",
        "opter_name": "收银员",
        "phar_name": "药师甲",
        "phar_prac_cert_no": "ZY0001",
        "invoice_default": "无",
        "platform_key": issued.bureau_key,
    }
    secret = {"secret": issued.secret, "private_key": issued.private_key}
    subject = market.subject(org or market.pharmacy)
    return await connections.add(conn, subject, keeper, "yibao", "医保", url, account, secret, profile)


async def test_nothing_leaves_while_a_catalogue_number_is_missing_and_then_it_goes(town: Town) -> None:
    boxes = town.goods.boxes
    bought = await town.move(102, boxes[:20], from_org=town.market.maker)
    (waiting,) = await town.settled(bought.bill_no, states=("failed", "given_up"))
    assert "机构目录编号" in waiting["answer"]
    assert town.proxy.met == []
    await town.market.conn.execute(
        "INSERT INTO counterpart (connection_id, kind, ours, theirs, more) VALUES ($1, 'product', $2, 'D001', $3)",
        town.link,
        town.market.drug_id,
        {"price": "12.5"},
    )
    await town.market.conn.execute(
        "UPDATE delivery SET state = 'pending', next_at = now(), settled_at = NULL WHERE id = $1",
        waiting["id"],
    )
    (done,) = await town.settled(bought.bill_no)
    assert "成功" in done["answer"]
    assert await town.reported(boxes[3]) == ["3503"]


async def test_a_sale_reaches_the_bureau_whatever_the_network_does_and_once(town: Town) -> None:
    box = iter(town.goods.boxes)
    faults: tuple[Fault, ...] = (
        "refuse", "lose_answer", "cut_answer", "twice", "error_500", "change_request", "change_answer",
    )  # fmt: skip
    for fault in faults:
        code = next(box)
        town.fail(fault)
        sold = await town.sell([code], header={"visit_no": f"V-{fault}"[:30]})
        (row,) = await town.settled(sold.bill_no)
        assert await town.reported(code) == ["3503", "3505"], (fault, row["answer"])
        acts = await town.books.fetchval("SELECT count(*) FROM insurance_settlement WHERE code = $1", code)
        assert acts == 1, fault


async def test_a_return_and_a_void_take_the_sale_back(town: Town) -> None:
    first, second = town.goods.boxes[10:12]
    sold = await town.sell([first])
    await town.settled(sold.bill_no)
    back = await town.move(116, [first], header={"reason": "1"})
    await town.settled(back.bill_no)
    assert await town.reported(first) == ["3503", "3505", "3506"]
    wrong = await town.sell([second])
    await town.settled(wrong.bill_no)
    await town.move(321, [], bill_no=wrong.bill_no, revision=2, void=True)
    rows = await town.settled(wrong.bill_no, 2)
    assert [r["kind"] for r in rows] == ["yibao.3505", "yibao.3507"]
    assert await town.reported(second) == ["3503"]


async def test_the_institution_s_server_dies_between_sending_and_writing_down(town: Town) -> None:
    code = town.goods.boxes[12]
    town.fail("hang")
    sold = await town.sell([code])
    until = asyncio.get_running_loop().time() + COMES_WITHIN_S
    while not any(fault == "hang" for fault, _ in town.proxy.met):
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(town.shop.kill)
    await pauses_end(town.market.conn, leases=True)
    await asyncio.to_thread(town.shop.start)
    (row,) = await town.settled(sold.bill_no)
    assert await town.reported(code) == ["3503", "3505"], row["answer"]
    assert await town.books.fetchval("SELECT count(*) FROM insurance_settlement WHERE code = $1", code) == 1


async def test_a_hospital_where_the_province_encrypts(town: Town) -> None:
    market, hospital = town.market, town.market.hospital
    async with town.books.transaction():
        registry = await load_registry(town.books)
        draft = Draft("H37010200001", "市立医院", "370102", "shanxi")
        issued = await institutions.register(town.books, registry, town.keeper, town.officer, draft)
    async with market.conn.transaction():
        link = await _connect(
            market.conn, town.keeper, market, town.proxy.url + PATH, issued, hospital, "shanxi"
        )
        await market.conn.execute(
            "INSERT INTO counterpart (connection_id, kind, ours, theirs) VALUES ($1, 'product', $2, 'H-7')",
            link,
            market.drug_id,
        )
    await asyncio.sleep(0.5)
    box = town.goods.boxes[22]
    await market.ship(market.maker, hospital, [box])
    bought = await market.move(102, hospital, [box], from_org=market.maker)
    await town.settled(bought.bill_no)
    used = await market.move(323, hospital, [box], header={"doctor": "王大夫"})
    await town.settled(used.bill_no)
    assert await town.reported(box) == ["3503", "3505"]
    wire = b"".join(request for _, request in town.proxy.met[-2:])
    assert box.encode() not in wire
    assert "王大夫".encode() not in wire


async def test_what_went_over_the_wire_is_signed_and_named_as_published(town: Town) -> None:
    bodies = [orjson.loads(r.partition(b"\r\n\r\n")[2]) for f, r in town.proxy.met if f == "pass"]
    bodies = [b for b in bodies if b["fixmedins_code"] == "P37010200002"]
    sale = next(b for b in bodies if b["infno"] == "3505")
    assert sale["signtype"] == "SM2"
    assert len(sale["cainfo"]) == 88
    row = sale["input"]["selinfo"]
    assert row["phar_prac_cert_no"] == "ZY0001"
    assert row["med_list_codg"] == NATIONAL_CODE
    assert all(len(b["msgid"]) == 30 for b in bodies)
    numbers = [b["input"]["selinfo"]["fixmedins_bchno"] for b in bodies if b["infno"] == "3505"]
    assert len(numbers) == len(set(numbers))
