"""The uncoded account as a browser and a program meet it."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from openpyxl import load_workbook

from access.helpers import PASSWORD, make_account, make_key, make_org
from circulation.helpers import Market, activate, make_market
from uncoded.helpers import PDF, png
from yaosu.db.engine import Pool
from yaosu.registry import sheets
from yaosu.uncoded.imports import COLUMNS, template

pytestmark = pytest.mark.asyncio(loop_scope="module")
HTML = {"accept": "text/html"}
ITEM = {"batch_no": "P-1", "qty": 30, "produced_on": "2024-05-01", "expires_on": "2059-04-30"}


@dataclass
class Place:
    """The market behind the real application; who can sign in, and whose keys there are."""

    market: Market
    client: httpx.AsyncClient
    logins: dict[str, str]
    keys: dict[str, str]

    async def enter(self, who: str) -> str:
        """Sign in; the token for forms."""
        self.client.cookies.clear()
        data = {"login": self.logins[who], "password": PASSWORD}
        assert (await self.client.post("/login", data=data, headers=HTML)).status_code == 303
        page = await self.client.get("/account", headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self.client.get(path, headers=HTML)

    async def call(self, who: str, method: str, path: str, **more: object) -> httpx.Response:
        """An operation of the API, by key."""
        self.client.cookies.clear()
        headers = {"authorization": f"Bearer {self.keys[who]}"}
        return await self.client.request(method, f"/api/v1/uncoded{path}", headers=headers, **more)  # type: ignore[arg-type]

    async def lot(self, who: str, mark: int, **more: object) -> int:
        """Goods entered over the API; the number of their lot."""
        files = {"file": ("发票.png", png(mark), "image/png")}
        proof = (await self.call(who, "POST", "/proofs", files=files)).json()["id"]
        item = {"drug_id": self.market.drug_id, **ITEM, "batch_no": f"P-{mark}"}
        body = {
            "invoice_no": f"F{mark}",
            "invoice_date": "2025-06-12",
            "supplier": self.market.wholesaler,
            "zone": "无码专区 A-01",
            "proof_id": proof,
            "items": [item],
            **more,
        }
        answer = await self.call(who, "POST", "/lots", json=body)
        assert answer.status_code == 201, answer.text
        found: int = answer.json()["lot_ids"][0]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Place]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        far = await make_org(conn, 4, "650102", name="天山大药房")
        regulator = await make_org(conn, 110, "370000")
        logins, keys = {}, {}
        for who in ("wholesaler", "pharmacy", "hospital"):
            _, logins[who] = await make_account(conn, getattr(market, who), "admin")
            keys[who] = await make_key(conn, getattr(market, who))
        _, logins["far"] = await make_account(conn, far, "admin")
        keys["far"] = await make_key(conn, far)
        _, logins["reader"] = await make_account(conn, market.pharmacy, "reader")
        _, logins["sales"] = await make_account(conn, market.pharmacy, "sales")
        _, logins["regulator"] = await make_account(conn, regulator, "regulator")
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
    yield Place(market, client, logins, keys)


async def test_an_invoice_is_entered_by_hand_with_its_proof(place: Place) -> None:
    token = await place.enter("pharmacy")
    assert (await place.get("/uncoded/new")).status_code == 200
    fields = {
        "_csrf": token,
        "rows": "3",
        "supplier": str(place.market.wholesaler),
        "invoice_no": "F-1",
        "invoice_date": "2025-06-12",
        "zone": "无码专区 A-01",
        "drug_0": "8385793",
        "batch_no_0": "HAND-1",
        "qty_0": "12",
        "produced_on_0": "2024-05-01",
        "expires_on_0": "2059-04-30",
    }
    files = {"proof": ("发票.pdf", PDF, "application/pdf")}
    wrong = await place.client.post(
        "/uncoded/new", data={**fields, "qty_0": "-1", "drug_0": "0000000"}, files=files, headers=HTML
    )
    assert wrong.status_code == 422 and "没有找到药品" in wrong.text
    kept = re.search(r'name="proof_id" value="(\d+)"', wrong.text)
    assert kept is not None and "HAND-1" in wrong.text
    more = await place.client.post("/uncoded/new", data={**fields, "more": "1"}, headers=HTML)
    assert more.status_code == 200 and 'name="drug_5"' in more.text and "HAND-1" in more.text
    late = await place.client.post(
        "/uncoded/new",
        data={**fields, "invoice_date": "2026-02-01", "proof_id": kept.group(1)},
        headers=HTML,
    )
    assert late.status_code == 422 and "2026-01-01" in late.text and "鲁药监规" in late.text
    done = await place.client.post("/uncoded/new", data={**fields, "proof_id": kept.group(1)}, headers=HTML)
    assert done.status_code == 303, done.text
    page = await place.get(done.headers["location"])
    assert "HAND-1" in page.text and "无码专区 A-01" in page.text and "2025-06-12" in page.text
    account = await place.get("/uncoded")
    assert "HAND-1" in account.text and "期限" in account.text and "鲁药监规" in account.text
    proof = await place.get(f"/uncoded/proofs/{kept.group(1)}")
    assert proof.content == PDF and proof.headers["content-disposition"].startswith("attachment")
    assert proof.headers["x-content-type-options"] == "nosniff"


async def test_every_end_is_a_form_of_the_lot(place: Place) -> None:
    lot = await place.lot("pharmacy", 11)
    token = await place.enter("pharmacy")

    async def post(way: str, **fields: str) -> httpx.Response:
        return await place.client.post(
            f"/uncoded/lots/{lot}/{way}", data={"_csrf": token, **fields}, headers=HTML
        )

    assert (await post("sale", qty="2", receipt_no="JS-1", reason="historical")).status_code == 303
    assert (await post("return", qty="3", reason_text="多购")).status_code == 303
    assert (await post("loss", qty="1", reason_text="破损")).status_code == 303
    assert (await post("zone", zone="B-07")).status_code == 303
    counted = {"counted": "22", "counter": "甲", "checker": "乙", "explanation": "短少两盒"}
    assert (await post("count", **counted)).status_code == 303
    asked = await post("ask", qty="20", reason_text="请补码")
    assert asked.status_code == 303 and "/uncoded/requests/" in asked.headers["location"]
    page = await place.get(f"/uncoded/lots/{lot}")
    for text in ("无码销售", "无码退货", "无码损耗", "B-07", "短少两盒", "待答复"):
        assert text in page.text
    refused = await post("return", qty="99", reason_text="多购")
    assert refused.status_code == 422 and "可动用 22" in refused.text
    assert (await post("sale", qty="x", receipt_no="", reason="")).status_code == 422
    request = asked.headers["location"]
    assert "就地补码" not in (await place.get(request)).text
    token = await place.enter("wholesaler")
    assert "就地补码" in (await place.get(request)).text
    assert "待答复" in (await place.get("/uncoded/requests?side=asked")).text
    empty = await place.client.post(
        f"{request}/answer", data={"_csrf": token, "kind": "in_place"}, headers=HTML
    )
    assert empty.status_code == 422
    said = await place.client.post(
        f"{request}/answer",
        data={"_csrf": token, "kind": "in_place", "ship_bill_no": "XS-1", "text": "已寄"},
        headers=HTML,
    )
    assert said.status_code == 303
    await place.enter("pharmacy")
    assert "XS-1" in (await place.get(request)).text
    assert "XS-1" in (await place.get(f"/uncoded/lots/{lot}/supplement")).text


async def test_who_may_what(place: Place) -> None:
    """Default deny: others' lots are not there; readers read; the regulator sees its region and no more."""
    lot = await place.lot("pharmacy", 12)
    await place.enter("reader")
    assert (await place.get("/uncoded")).status_code == 200
    assert "data-open" not in (await place.get(f"/uncoded/lots/{lot}")).text.split("<main", 1)[1]
    for path in ("/uncoded/new", "/uncoded/imports", f"/uncoded/lots/{lot}/supplement"):
        assert (await place.get(path)).status_code == 403
    await place.enter("sales")
    assert (await place.get("/uncoded/new")).status_code == 403
    await place.enter("hospital")
    assert (await place.get(f"/uncoded/lots/{lot}")).status_code == 404
    assert "没有符合条件" in (await place.get(f"/uncoded?org={place.market.pharmacy}")).text
    await place.enter("regulator")
    assert f"/uncoded/lots/{lot}" in (await place.get(f"/uncoded?org={place.market.pharmacy}")).text
    assert (await place.get(f"/uncoded/lots/{lot}")).status_code == 200
    for path in ("/return", "/sale", "/loss", "/counts", "/supplement", "/zone"):
        body: dict[str, object] = {
            "/return": {"qty": 1, "reason_text": "x"},
            "/loss": {"qty": 1, "reason_text": "x"},
            "/sale": {"qty": 1, "receipt_no": "1", "reason": "historical"},
            "/counts": {"counted": 1, "counter": "甲", "checker": "乙"},
            "/supplement": {"codes": ["1"]},
            "/zone": {"zone": "A"},
        }[path]  # type: ignore[assignment]
        answer = await place.call("hospital", "POST", f"/lots/{lot}{path}", json=body)
        assert answer.status_code == 404, (path, answer.text)
    place.client.cookies.clear()
    for path in ("/lots", "/deadlines", "/requests", "/book", "/counts", "/imports/template", "/proofs/1"):
        assert (await place.client.get(f"/api/v1/uncoded{path}")).status_code == 401


async def test_the_dates_are_counted_down_for_the_region(place: Place) -> None:
    """R-D1: 新疆 names the clearing day; overdue stock stands in red and cannot be sold."""
    lot = await place.lot("far", 13)
    body = {"qty": 1, "receipt_no": "1", "reason": "historical"}
    refused = await place.call("far", "POST", f"/lots/{lot}/sale", json=body)
    assert refused.status_code == 422 and refused.json()["code"] == "uncoded_settlement_blocked"
    assert "2026-03-01" in refused.json()["message"]
    dates = (await place.call("far", "GET", "/deadlines")).json()["items"]
    assert {d["date"] for d in dates} >= {"2026-02-28", "2026-03-01"} and all(d["source"] for d in dates)
    found = (await place.call("far", "GET", "/lots")).json()
    assert found["items"][0]["state"] == "overdue" and found["items"][0]["due"] == "2026-02-28"
    await place.enter("far")
    page = await place.get("/uncoded?tab=overdue")
    assert "已逾期" in page.text and "row--refused" in page.text and "新疆" in page.text
    assert "停止销售" in (await place.get(f"/uncoded/lots/{lot}")).text


async def test_codes_are_scanned_in_over_the_api(place: Place) -> None:
    """R-D1 over HTTP: the station's own body is taken; n boxes become n units."""
    pool: Pool = place.client._transport.app.state.yaosu.pool  # type: ignore[attr-defined]
    market = place.market
    async with pool.acquire() as conn:
        market.conn = conn
        goods = await activate(market, cases=1, per_case=5, batch_no="API-24")
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        await market.ship(market.wholesaler, market.pharmacy, goods.cases, bill_no="XS-API")
    item = {"drug_id": market.drug_id, "batch_no": "API-24", "qty": 5}
    lot = await place.lot("pharmacy", 14, items=[item])
    body = {"type": "24", "notice": "XS-API", "bill_no": "WB-API-1", "codes": goods.boxes[:3]}
    answer = await place.call("pharmacy", "POST", f"/lots/{lot}/supplement", json=body)
    assert answer.status_code == 200 and answer.json()["status"] == "accepted", answer.text
    again = await place.call("pharmacy", "POST", f"/lots/{lot}/supplement", json=body)
    assert again.json()["replayed"] is True
    found = (await place.call("pharmacy", "GET", f"/lots/{lot}")).json()
    assert found["left"] == 2 and [d["qty"] for d in found["draws"]] == [3]
    async with pool.acquire() as conn:
        market.conn = conn
        await market.conserved()


def _file(*rows: dict[str, str]) -> bytes:
    heads = [c.zh for c in COLUMNS]
    return sheets.write_xlsx("库存", heads, [[row.get(c.key, "") for c in COLUMNS] for row in rows])


async def test_historical_stock_comes_from_a_file_all_rows_or_none(place: Place) -> None:
    """An error per cell; one bill per invoice; the same file twice enters nothing twice."""
    row = {
        "drug": "8385793",
        "batch_no": "FILE-1",
        "qty": "100",
        "produced_on": "2024/5/1",
        "expires_on": "20590430",
        "supplier": "某医药有限公司",
        "invoice_no": "IMP-1",
        "invoice_date": "2025年6月1日",
        "zone": "无码专区 C",
        "proof": "a.png",
    }
    second = {**row, "batch_no": "FILE-2", "invoice_no": "IMP-2", "proof": "b.png"}
    proofs = [
        ("proofs", ("a.png", png(21), "image/png")),
        ("proofs", ("b.png", png(22), "image/png")),
    ]

    async def send(*rows: dict[str, str]) -> httpx.Response:
        files = [("file", ("库存.xlsx", _file(*rows), "application/octet-stream")), *proofs]
        return await place.call("pharmacy", "POST", "/imports", files=files)

    bad = await send(
        row,
        {**second, "qty": "1.5", "proof": "c.png"},
        {**row, "drug": "没有的药", "invoice_date": "2025-13-01"},
        {**row, "batch_no": "FILE-3", "invoice_no": "IMP-3", "invoice_date": "2026-03-03"},
        {**row, "qty": ""},
    )
    assert bad.status_code == 422 and bad.json()["code"] == "uncoded_import_bad"
    places = {(f["where"], f["code"]) for f in bad.json()["findings"]}
    assert places == {
        ("3:数量", "uncoded_import_value"),
        ("3:凭证文件", "uncoded_import_proof"),
        ("4:药品", "uncoded_product_unknown"),
        ("4:发票日期", "uncoded_import_value"),
        ("5:发票日期", "uncoded_purchase_blocked"),
        ("6:数量", "value_missing"),
    }
    found = (await place.call("pharmacy", "GET", "/lots?q=IMP-1")).json()
    assert found["items"] == []
    done = await send(row, second)
    assert done.status_code == 201, done.text
    assert [b["qty"] for b in done.json()["bills"]] == [100, 100]
    assert (await send(row, second)).json() == {"bills": []}
    found = (await place.call("pharmacy", "GET", "/lots?q=IMP")).json()
    assert found["total_left"] == 200 and {i["batch_no"] for i in found["items"]} == {"FILE-1", "FILE-2"}
    token = await place.enter("pharmacy")
    files = [("file", ("x.csv", b"\xff\xfe broken", "text/csv")), *proofs]
    page = await place.client.post("/uncoded/imports", data={"_csrf": token}, files=files, headers=HTML)
    assert page.status_code == 422
    assert len(sheets.read(template(), "t.xlsx")) == 2


async def test_the_account_is_exported(place: Place) -> None:
    """专帐 as XLSX, PDF and DOCX."""
    await place.lot("pharmacy", 15)
    made = await place.call("pharmacy", "GET", "/book?format=xlsx")
    assert made.status_code == 200
    text = "\n".join(
        str(cell)
        for sheet in load_workbook(io.BytesIO(made.content)).worksheets
        for row in sheet.iter_rows(values_only=True)
        for cell in row
        if cell is not None
    )
    assert "无码药品专帐" in text and "P-15" in text and "鲁药监规" in text
    assert (await place.call("pharmacy", "GET", "/book?format=pdf")).content.startswith(b"%PDF-")
    await place.enter("pharmacy")
    assert (await place.get("/uncoded/book.pdf")).content.startswith(b"%PDF-")
    await place.enter("sales")
    assert (await place.get("/uncoded/book.pdf")).status_code == 403
