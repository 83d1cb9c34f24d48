"""Rows `way_top_retail`, `way_yibao`: sales and settlements of three boxes through another door than the native one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import orjson

from yaosu.access.scopes import scopes_of
from yaosu.bench import http
from yaosu.bench.database import Server
from yaosu.bench.http import SALE_CODES, Place
from yaosu.bench.load import post
from yaosu.bench.market import OPERATOR, uscc
from yaosu.bench.measure import Row, Say, Scale
from yaosu.bench.ways import AGO, Contest, Requests, Side, china, master_of, measured, top_program
from yaosu.insurance import envelope, institutions
from yaosu.insurance.envelope import Head, Keys
from yaosu.insurance.institutions import Draft, Issued
from yaosu.insurance.model import CHINA
from yaosu.people.keeper import Keeper
from yaosu.registry import service
from yaosu.registry.drafts import OrgDraft
from yaosu.subject import Subject

CONTAINS = (10, 20)
PER_CASE = 200
CONNECTIONS = 16
RETAIL = "alibaba.alihealth.drugtrace.top.lsyd.uploadretail"
CHECKS = "/api/v1/insurance/settlement-checks"
REPORT = "/fsi/api/rsfComIfsService/callService/3505"
YIBAO = "XA02BCT040A001010100001"
BUREAU_REGION = "370000"
SOLD = "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE status = 'S'"
SETTLED = "SELECT count(*) FROM insurance_settlement"
LINK = "INSERT INTO product_link (kind, value, drug_id) VALUES ('yibao', $1, $2)"


@dataclass(slots=True)
class Counter:
    """Pharmacies with boxes in their cases; a set of codes names its pharmacy."""

    at: Place
    scale: Scale
    runs: int
    store_of: dict[str, int]
    sets: list[list[str]]

    @property
    def sold(self) -> int:
        """Boxes in all runs, warm-up and both sides included."""
        return 2 * (self.runs + 1) * self.scale.way_sales * SALE_CODES

    async def against(
        self, id: str, say: Say, other: Side, native: Side, unit: str, work: str, text: str
    ) -> Row:
        """The row."""
        what = Contest(id, unit, work, self.sets, self.scale.way_sales, CONNECTIONS, 1, text)
        return await measured(self.at, say, self.runs, what, other, native)


@asynccontextmanager
async def counter(server: Server, say: Say, name: str, scale: Scale, runs: int) -> AsyncIterator[Counter]:
    """Pharmacies with what all runs sell, side by side: one sale of each in turn."""
    stores = scale.way_stores
    needed = -(-2 * (runs + 1) * scale.way_sales // stores) * SALE_CODES
    per_store = -(-needed // PER_CASE) * PER_CASE
    async with http.place(server, say, name, per_store * stores, stores, CONTAINS) as at:
        market, goods = at.market, at.goods
        wholesaler = market.wholesalers[0]
        await market.pass_on(market.maker, wholesaler, goods.cases)
        store_of: dict[str, int] = {}
        shelves: list[list[str]] = []
        cases = per_store // PER_CASE
        for n, store in enumerate(market.stores):
            await market.pass_on(wholesaler, store, goods.cases[n * cases : (n + 1) * cases])
            boxes = goods.boxes[n * per_store : (n + 1) * per_store]
            shelves.append(boxes)
            store_of |= dict.fromkeys(boxes, store)
        sets = [
            boxes[first : first + SALE_CODES] for first in range(0, needed, SALE_CODES) for boxes in shelves
        ]
        await http.ready(at)
        yield Counter(at, scale, runs, store_of, sets)


async def top(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Sales through the gateway of the incumbent's protocol, each pharmacy with its own key."""
    async with counter(server, say, "way_top_retail", scale, runs) as one:
        programs = {store: await top_program(one.at, store, "sales") for store in one.at.market.stores}

        def native(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            texts = [
                http.sale(one.at.keys[one.store_of[codes[0]]], f"{prefix}-{n}", codes)
                for n, codes in enumerate(sets)
            ]
            return Requests(texts, '"status":"accepted"')

        def calls(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            now = datetime.now(UTC)
            texts = []
            for n, codes in enumerate(sets):
                store = one.store_of[codes[0]]
                program = programs[store]
                business = {
                    "bill_code": f"{prefix}-{n}",
                    "bill_time": china(now),
                    "bill_type": "321",
                    "ref_user_id": program.names[store].ref_ent_id,
                    "trace_codes": ",".join(codes),
                }
                texts.append(program.call(RETAIL, business, now))
            return Requests(texts, '"msg_info":"成功"')

        row = await one.against(
            "way_top_retail", say, calls, native, "sales/s",
            f"sales (321) of {SALE_CODES} boxes by lsyd.uploadretail, form, hmac-sha256, {len(programs)} pharmacies",
            "the same sales through POST /api/v1/movements of the same server",
        )  # fmt: skip
        sold = await one.at.market.conn.fetchval(SOLD)
        if sold != one.sold:
            raise RuntimeError(f"{sold} boxes are sold in the ledger, not {one.sold}")
    return row


async def yibao(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Settled boxes reported to the bureau by 3505, against the check and settlement of the native API."""
    async with counter(server, say, "way_yibao", scale, runs) as one:
        market = one.at.market
        await market.conn.execute(LINK, YIBAO, market.drug_id)
        issued = await _institutions(one)
        keys = {store: await market.key(store, "insurance.settle") for store in market.stores}
        numbers = count(1)

        def native(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            texts = []
            for n, codes in enumerate(sets):
                line = {"med_list_codg": YIBAO, "quantity": len(codes), "codes": codes}
                body = {"act": f"{prefix}-{n}", "record": True, "lines": [line]}
                texts.append(post(CHECKS, keys[one.store_of[codes[0]]], orjson.dumps(body).decode()))
            return Requests(texts, '"decision":"ok"')

        def calls(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            texts = []
            for n, codes in enumerate(sets):
                body: dict[str, object] = {"selinfo": _sold(f"{prefix}-{n}", codes)}
                message = _sealed(issued[one.store_of[codes[0]]], "3505", body, next(numbers))
                texts.append(post(REPORT, "", message))
            return Requests(texts, '"infcode":"0"')

        row = await one.against(
            "way_yibao", say, calls, native, "sales/s",
            f"3505 of a sale of {SALE_CODES} boxes, signed SM2 and answered so, {len(issued)} institutions",
            f"POST {CHECKS} of the same sale with record, same server",
        )  # fmt: skip
        settled = await market.conn.fetchval(SETTLED)
        if settled != one.sold:
            raise RuntimeError(f"{settled} codes stand in the settlement ledger, not {one.sold}")
    return row


async def _institutions(one: Counter) -> dict[int, Issued]:
    """Every pharmacy under agreement with a bureau of its province."""
    conn, market = one.at.market.conn, one.at.market
    async with conn.transaction():
        draft = OrgDraft("测量省医疗保障局", 110, BUREAU_REGION, uscc=uscc(90_000_000), sub_type=1103)
        bureau = (await service.create_org(conn, OPERATOR, draft)).id
        await market.registry.refresh(conn, full=True)
        officer = Subject(
            "account",
            None,
            bureau,
            "110",
            "insurer_admin",
            scopes_of("insurer_admin", "110"),
            region=BUREAU_REGION,
        )
        keeper = Keeper(master_of(one.at))
        return {
            store: await institutions.register(
                conn, market.registry, keeper, officer,
                Draft(f"P3701020{store:04d}", f"测量药店{store}", "370102", "national", store),
            )
            for store in market.stores
        }  # fmt: skip


def _sealed(issued: Issued, infno: str, body: dict[str, object], number: int) -> str:
    """A signed message, as the institution's software makes it."""
    institution, at = issued.institution, datetime.now(CHINA)
    keys = Keys(
        institution.app, issued.secret, bytes.fromhex(issued.private_key), bytes.fromhex(issued.bureau_key)
    )
    head = Head(institution.code, institution.name, institution.region, opter="1001", opter_name="经办")
    made = envelope.request(head, infno, envelope.msgid(institution.code, at, number), at, body)
    return orjson.dumps(envelope.seal(made, keys, "SM2")).decode()


def _sold(key: str, codes: Sequence[str]) -> dict[str, object]:
    """A row of 3505."""
    return {
        "med_list_codg": YIBAO,
        "fixmedins_hilist_id": "Y1",
        "fixmedins_hilist_name": "测量胶囊",
        "fixmedins_bchno": key,
        "prsc_dr_name": "张医师",
        "phar_name": "李药师",
        "phar_prac_cert_no": "YS001",
        "hi_feesetl_type": "1",
        "setl_id": f"S{key}",
        "mdtrt_sn": f"M{key}",
        "psn_cert_type": "01",
        "psn_no": "3700001",
        "certno": "370102199001011234",
        "psn_name": "王某某",
        "manu_lotnum": "B1",
        "manu_date": "2026-01-01",
        "expy_end": "2059-12-31",
        "rx_flag": "1",
        "trdn_flag": "0",
        "rx_circ_flag": "0",
        "rtal_docno": f"R{key}",
        "sel_retn_cnt": len(codes),
        "sel_retn_time": china(datetime.now(UTC) - AGO),
        "sel_retn_opter_name": "赵",
        "mdtrt_setl_type": "1",
        "drugtracinfo": [{"drug_trac_codg": code} for code in codes],
    }
