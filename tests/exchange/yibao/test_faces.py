"""医保上报 as a program, a browser and the command line meet it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openpyxl import load_workbook
from typer.testing import CliRunner

from access.helpers import PASSWORD, make_account, make_key
from circulation.helpers import activate
from exchange.yibao.desk import NATIONAL_CODE, Desk, open_desk
from yaosu.db.engine import Pool
from yaosu.exchange.yibao.commands import app as commands

pytestmark = pytest.mark.asyncio(loop_scope="module")
HTML = {"accept": "text/html"}
MANAGER = ["bill.read", "exchange.read", "exchange.manage", "stock.read"]


@dataclass
class Shop:
    """A connected pharmacy with one sale, behind the real application."""

    desk: Desk
    client: httpx.AsyncClient
    keys: dict[str, str]
    login: str
    sale: int
    boxes: list[str]
    database: str

    async def call(self, method: str, path: str, who: str = "own", **more: Any) -> httpx.Response:
        self.client.cookies.clear()
        headers = {"authorization": f"Bearer {self.keys[who]}"} if who else {}
        return await self.client.request(method, f"/api/v1/yibao{path}", headers=headers, **more)

    async def enter(self) -> str:
        self.client.cookies.clear()
        data = {"login": self.login, "password": PASSWORD}
        assert (await self.client.post("/login", data=data, headers=HTML)).status_code == 303
        page = await self.client.get("/account", headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(pool: Pool, client: httpx.AsyncClient, database: str) -> AsyncIterator[Shop]:
    async with pool.acquire() as conn:
        async with conn.transaction():
            desk = await open_desk(conn)
            market = desk.market
            keys = {
                "own": await make_key(conn, market.pharmacy, MANAGER),
                "other": await make_key(conn, market.hospital, MANAGER),
                "reader": await make_key(conn, market.pharmacy, ["stock.read"]),
            }
            _, login = await make_account(conn, market.pharmacy, "admin")
            goods = await activate(market)
            await market.pass_on(market.maker, market.pharmacy, goods.boxes[:4])
            # not sent anywhere: this test is about what is shown
            await conn.execute("UPDATE connection SET state = 'held'")
            sold, _ = await desk.move(
                321, goods.boxes[:2], header={"settlement_id": "SET1", "doctor": "王大夫"}
            )
            await conn.execute("UPDATE delivery SET next_at = 'infinity'")
            await conn.execute("DELETE FROM bill_due")
        app: Any = client._transport.app  # type: ignore[attr-defined]
        await app.state.yaosu.parts["registry"].refresh(conn, full=True)
        yield Shop(desk, client, keys, login, sold.bill_id, goods.boxes, database)


async def test_the_preview_names_what_is_missing_and_hides_persons(shop: Shop) -> None:
    answer = await shop.call("GET", f"/preview?bill={shop.sale}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (row,) = body["rows"]
    assert [f["code"] for f in row["findings"]] == ["yibao_mapping_missing", "yibao_mapping_missing"]
    assert row["fields"]["setl_id"] == "SET1"
    assert row["fields"]["prsc_dr_name"] == "＊"
    assert "王大夫" not in answer.text
    assert body["sent"][0]["state"] == "owed"
    assert sorted(c["drug_trac_codg"] for c in row["fields"]["drugtracinfo"]) == sorted(shop.boxes[:2])


async def test_nobody_sees_another_s_rows(shop: Shop) -> None:
    for path in (f"/preview?bill={shop.sale}", f"/rows?bill={shop.sale}", "/preview?bill=999999999"):
        assert (await shop.call("GET", path, "other")).status_code == 404, path
        assert (await shop.call("GET", path, "")).status_code == 401
        assert (await shop.call("GET", path, "reader")).status_code == 403
    assert (await shop.call("GET", "/reported", "other")).json()["items"] == []
    assert (await shop.call("PUT", "/mapping", "reader", json={"lines": []})).status_code in (403, 422)
    refused = await shop.call("POST", "/stock", "other")
    assert refused.json()["code"] == "yibao_no_connection"


async def test_a_mapping_is_entered_whole_or_not_at_all(shop: Shop) -> None:
    drug = shop.desk.market.drug_id
    good = {"drug_id": drug, "fixmedins_hilist_id": "D001", "med_list_codg": NATIONAL_CODE, "price": "12.5"}
    bad = await shop.call(
        "PUT", "/mapping", json={"lines": [good, {**good, "drug_id": 999999, "price": "x"}]}
    )
    assert bad.status_code == 422
    assert bad.json()["findings"][0]["where"] == "lines[1]"
    assert not (await shop.call("GET", "/mapping")).json()["items"][0]["complete"]
    done = await shop.call("PUT", "/mapping", json={"lines": [good]})
    assert done.json() == {"lines": 1}
    (item,) = (await shop.call("GET", "/mapping")).json()["items"]
    assert (item["complete"], item["fixmedins_hilist_id"], item["price"]) == (True, "D001", "12.5")
    rows = (await shop.call("GET", f"/preview?bill={shop.sale}")).json()["rows"]
    assert rows[0]["findings"] == []
    assert rows[0]["fields"]["med_list_codg"] == NATIONAL_CODE


async def test_a_his_that_reports_itself_takes_the_rows(shop: Shop) -> None:
    made = (await shop.call("GET", f"/rows?bill={shop.sale}")).json()
    assert (made["infno"], made["input"]["selinfo"]["sel_retn_cnt"]) == ("3505", 2)
    fee = f"fee={shop.boxes[0]}=F-17"
    settled = (await shop.call("GET", f"/rows?bill={shop.sale}&form=settlement&{fee}")).json()[
        "drug_trac_info"
    ]
    by_code = {e["drug_trac_codg"]: e for e in settled}
    assert by_code[shop.boxes[0]] == {
        "feedetl_sn": "F-17",
        "drug_trac_codg": shop.boxes[0],
        "trdn_flag": "0",
        "min_prcunt_type": "1",
    }
    assert by_code[shop.boxes[1]]["feedetl_sn"].endswith("-1")
    book = await shop.call("GET", f"/rows?bill={shop.sale}&format=xlsx")
    sheet = load_workbook(io.BytesIO(book.content)).active
    assert sheet is not None
    cells = [str(c.value) for row in sheet.iter_rows() for c in row if c.value is not None]
    assert shop.boxes[0] in cells
    assert "王大夫" not in cells
    receipt = await shop.desk.conn.fetchval(
        "SELECT id FROM bill WHERE owner = $1 AND type = 102", shop.desk.market.pharmacy
    )
    wrong = await shop.call("GET", f"/rows?bill={receipt}&form=settlement")
    assert wrong.json()["code"] == "yibao_no_settlement"


async def test_the_stock_is_reported_once_a_day(shop: Shop) -> None:
    assert (await shop.call("POST", "/stock")).json() == {"rows": 1}
    assert (await shop.call("POST", "/stock")).json() == {"rows": 0}
    body = await shop.desk.conn.fetchval("SELECT body FROM delivery WHERE key LIKE 'stock/%'")
    assert body["infno"] == "3501"
    assert body["rows"][0]["fields"]["inv_cnt"] == 2
    await shop.desk.conn.execute("UPDATE delivery SET next_at = 'infinity'")


async def test_the_pages_show_it(shop: Shop) -> None:
    csrf = await shop.enter()
    for path, words in (
        ("/yibao", ["医保上报", "3505 商品销售"]),
        ("/yibao?state=refused", ["没有上报记录"]),
        (f"/yibao/bill?bill={shop.sale}", ["rx_flag", "处方药标志", "SET1"]),
        ("/yibao/mapping", ["目录对照", "D001"]),
    ):
        page = await shop.client.get(path, headers=HTML)
        assert page.status_code == 200, (path, page.text[:500])
        assert all(word in page.text for word in words), path
        assert "王大夫" not in page.text
    assert (
        f"/yibao/bill?bill={shop.sale}" in (await shop.client.get(f"/bills/{shop.sale}", headers=HTML)).text
    )
    form = {"_csrf": csrf, "drug_id": str(shop.desk.market.drug_id), "fixmedins_hilist_id": ""}
    wrong = await shop.client.post("/yibao/mapping", data=form, headers=HTML)
    assert wrong.status_code == 422
    assert "机构目录编号应为" in wrong.text
    saved = await shop.client.post(
        "/yibao/mapping", data={**form, "fixmedins_hilist_id": "D002"}, headers=HTML
    )
    assert saved.status_code == 303
    book = await shop.client.get(f"/yibao/bill.xlsx?form=settlement&bill={shop.sale}", headers=HTML)
    assert book.content[:2] == b"PK"
    assert (await shop.client.get("/yibao/bill?bill=999999999", headers=HTML)).status_code == 404


async def test_the_command_line_says_the_same(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("YAOSU_DATABASE_URL", shop.database)
    org = ["--org", str(shop.desk.market.pharmacy), "--data", str(tmp_path)]

    def run(*words: str) -> Any:
        return CliRunner().invoke(commands, [*words])

    made = await asyncio.to_thread(run, "preview", str(shop.sale), *org, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.output)["rows"][0]["infno"] == "3505"
    shown = await asyncio.to_thread(run, "preview", str(shop.sale), *org)
    assert shop.boxes[0] in shown.output
    target = tmp_path / "rows.xlsx"
    assert (await asyncio.to_thread(run, "rows", str(shop.sale), "--to", str(target), *org)).exit_code == 0
    assert target.read_bytes()[:2] == b"PK"
    settled = await asyncio.to_thread(run, "rows", str(shop.sale), "--settlement", *org)
    assert len(json.loads(settled.output)["drug_trac_info"]) == 2
    assert (await asyncio.to_thread(run, "mapping", *org)).exit_code == 0
    none = await asyncio.to_thread(run, "preview", "99999999", *org)
    assert none.exit_code == 1
    assert "shanxi" in run("profiles").output
