"""Recalls over HTTP: the whole story by API, pages of every reader, documents, the public's view, the command line."""

from __future__ import annotations

import io
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from openpyxl import load_workbook
from typer.testing import CliRunner

from access.helpers import PASSWORD, key_headers, make_account
from recall.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Pool
from yaosu.recall.commands import app as commands
from yaosu.recall.pages_common import seconds, split_lines

Headers = dict[str, str]


@dataclass
class Trade:
    """A market on the module's database, keys of its parties, two people of the maker."""

    market: Market
    goods: Goods
    other_goods: Goods
    maker: Headers
    pharmacy: Headers
    hospital: Headers
    stranger: Headers
    people: list[str]
    shop_login: str


async def _signed_in(client: httpx.AsyncClient, login: str) -> httpx.AsyncClient:
    """A browser of somebody; the client keeps its cookie."""
    browser = httpx.AsyncClient(
        transport=client._transport, base_url="http://test", headers={"accept": "text/html"}
    )
    answer = await browser.post("/login", data={"login": login, "password": PASSWORD})
    assert answer.status_code == 303, answer.text[:300]
    return browser


async def _post(browser: httpx.AsyncClient, page: str, path: str, **form: str) -> httpx.Response:
    """Send a form of a page with its token."""
    text = (await browser.get(page)).text
    token = text.split('name="csrf-token" content="')[1].split('"')[0]
    return await browser.post(path, data={**form, "_csrf": token})


def trace_drug(trade: Trade) -> int:
    """The product of the recalled goods."""
    return trade.goods.drug_id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trade(pool: Pool, client: httpx.AsyncClient) -> Trade:
    """Goods at the pharmacy, on the way to the hospital and with the maker."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods, other = await activate(market, cases=4, batch_no="20260901"), await activate(market)
        await market.pass_on(market.maker, market.pharmacy, goods.cases[:1])
        await market.ship(market.maker, market.hospital, goods.cases[1:2])
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn, full=True)
        orgs = (market.maker, market.pharmacy, market.hospital, market.wholesaler)
        keys = [await key_headers(conn, org) for org in orgs]
        people = [(await make_account(conn, market.maker, role))[1] for role in ("quality", "admin")]
        shop = (await make_account(conn, market.pharmacy, "admin"))[1]
    return Trade(market, goods, other, *keys, people, shop)


def _draft(trade: Trade, **more: object) -> dict[str, object]:
    return {
        "drug_id": trade.goods.drug_id,
        "level": 1,
        "title": "复方测试胶囊召回",
        "reason": "留样检验含量不合格",
        "hazard": "可能影响疗效",
        "contact": "质量部 0531-12345678",
        "public": True,
        "batches": [trade.goods.batch_no],
        **more,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(trade: Trade, client: httpx.AsyncClient) -> int:
    """Drafted by key, approved and published by a person on the page of the order; its number of record."""
    made = await client.post("/api/v1/recalls", json=_draft(trade), headers=trade.maker)
    assert made.status_code == 201, made.text
    order = made.json()["id"]
    refused = await client.post(f"/api/v1/recalls/{order}/approve", headers=trade.maker)
    assert (refused.status_code, refused.json()["code"]) == (403, "recall_second_person")
    person = await _signed_in(client, trade.people[1])
    page = f"/recalls/{order}"
    assert (await _post(person, page, f"{page}/approve")).status_code == 303
    assert (await _post(person, page, f"{page}/publish")).status_code == 303
    return int(order)


async def test_the_story_by_api(trade: Trade, client: httpx.AsyncClient, running: int) -> None:
    order = (await client.get(f"/api/v1/recalls/{running}", headers=trade.maker)).json()
    assert (order["state"], order["times"]["holders"]) == ("published", 3)
    assert order["times"]["located_ms"] < 1000
    # the next verification anywhere names it
    seen = (await client.get(f"/api/v1/codes/{trade.goods.boxes[0]}", headers=trade.pharmacy)).json()
    assert seen["verdict"] == "recalled" and order["number"] in seen["message"]
    sale = {
        "type": 321,
        "bill_no": "LS-1",
        "happened_at": "2026-10-01T10:00:00+08:00",
        "codes": [trade.goods.boxes[0]],
    }
    sold = (await client.post("/api/v1/movements", json=sale, headers=trade.pharmacy)).json()
    assert (sold["status"], sold["results"][0]["verdict"]) == ("refused", "recalled")
    task = f"/api/v1/recalls/{running}/task"
    order = (await client.get(f"/api/v1/recalls/{running}", headers=trade.maker)).json()
    assert (await client.post(f"{task}/acknowledge", headers=trade.pharmacy)).json()["state"] == "read"
    checked = await client.post(
        f"{task}/scans/check", json={"codes": [trade.goods.cases[0]]}, headers=trade.pharmacy
    )
    assert checked.json()["results"][0]["verdict"] == "recall_scan_ours"
    kept = await client.post(
        f"{task}/scans", json={"codes": [trade.goods.cases[0]], "bill_no": "QD-1"}, headers=trade.pharmacy
    )
    assert (kept.json()["total"], kept.json()["status"]) == (10, "accepted")
    counted = await client.post(f"{task}/count", json={}, headers=trade.pharmacy)
    assert (counted.json()["counted"], counted.json()["difference"]) == (10, 0)
    refused = await client.post(f"{task}/close", headers=trade.pharmacy)
    assert (refused.status_code, refused.json()["params"]["gap"]) == (409, 10)
    back = {
        "type": 211,
        "bill_no": "ZH-1",
        "happened_at": "2026-10-01T12:00:00+08:00",
        "to_org": trade.market.maker,
        "codes": [trade.goods.cases[0]],
    }
    away = {**back, "bill_no": "ZH-0", "to_org": trade.market.other}
    for path, body in (
        ("/api/v1/movements", away),
        (
            "/api/v1/movements/check",
            {"context": {"type": 211, "to_org": away["to_org"]}, "codes": away["codes"]},
        ),
    ):
        astray = (await client.post(path, json=body, headers=trade.pharmacy)).json()["results"][0]
        assert astray["verdict"] == "not_way_home" and order["number"] in astray["message"]
        card = trade.market.registry.org(trade.market.maker)
        assert card is not None and card.name in astray["message"] and astray["next"]
    assert (await client.post("/api/v1/movements", json=back, headers=trade.pharmacy)).json()[
        "status"
    ] == "accepted"
    assert (await client.post(f"{task}/close", headers=trade.pharmacy)).json()["state"] == "done"
    order = (await client.get(f"/api/v1/recalls/{running}", headers=trade.maker)).json()
    assert order["times"]["first_refused_s"] is not None and order["times"]["refused_scans"] == 3
    holders = (await client.get(f"/api/v1/recalls/{running}/holders?state=done", headers=trade.maker)).json()
    assert [h["holder"]["org_id"] for h in holders["items"]] == [trade.market.pharmacy]
    line = holders["items"][0]["ledger"]
    assert (line["returned"], line["under_way"]) == (10, 10)
    report = await client.post(
        f"/api/v1/recalls/{running}/reports", json={"kind": "progress"}, headers=trade.maker
    )
    assert report.status_code == 201


async def test_a_holder_sees_its_own_part_and_a_stranger_nothing(
    trade: Trade, client: httpx.AsyncClient, running: int
) -> None:
    own = (await client.get(f"/api/v1/recalls/{running}", headers=trade.hospital)).json()
    assert own["figures"] is None and own["times"] is None
    assert own["task"]["at_publication"]["coming"] == 10
    holders = (await client.get(f"/api/v1/recalls/{running}/holders", headers=trade.hospital)).json()
    assert [h["holder"]["org_id"] for h in holders["items"]] == [trade.market.hospital]
    for path in ("", "/holders", "/task", "/letter", "/summary"):
        answer = await client.get(f"/api/v1/recalls/{running}{path}", headers=trade.stranger)
        assert answer.status_code == 404, path
    report = await client.get(f"/api/v1/recalls/{running}/summary", headers=trade.hospital)
    assert report.status_code == 404
    foreign = await client.get(
        f"/api/v1/recalls/{running}/letter?org={trade.market.pharmacy}", headers=trade.hospital
    )
    assert foreign.status_code == 404


async def test_letters_and_reports_are_real_documents(
    trade: Trade, client: httpx.AsyncClient, running: int
) -> None:
    letter = await client.get(f"/api/v1/recalls/{running}/letter", headers=trade.hospital)
    assert letter.content.startswith(b"%PDF-")
    sheet = await client.get(f"/api/v1/recalls/{running}/summary?format=xlsx", headers=trade.maker)
    book = load_workbook(io.BytesIO(sheet.content))
    cells = {str(c.value) for page in book.worksheets for row in page.iter_rows() for c in row if c.value}
    names = {trade.market.registry.org(o).name for o in (trade.market.pharmacy, trade.market.hospital)}  # type: ignore[union-attr]
    assert names <= cells
    assert any("留样检验含量不合格" in cell for cell in cells)


async def test_everybody_may_read_a_public_recall_without_signing_in(
    trade: Trade, client: httpx.AsyncClient, running: int
) -> None:
    found = (await client.get("/api/v1/public/recalls")).json()["items"]
    number = found[0]["number"]
    assert not {"codes", "holders", "task", "figures"} & set(found[0])
    one = (await client.get(f"/api/v1/public/recalls/{number}")).json()
    assert one["batches"] == [trade.goods.batch_no]
    assert (await client.get("/api/v1/public/recalls/ZH19990101-001")).status_code == 404
    html = {"accept": "text/html"}
    for path in ("/recalls/public", f"/recalls/public/{number}"):
        page = await client.get(path, headers=html)
        assert page.status_code == 200 and number in page.text
    box = await client.get(f"/q/{trade.goods.boxes[3]}", headers=html)
    assert number in box.text and f"/recalls/public/{number}" in box.text
    said = (await client.get(f"/api/v1/public/codes/{trade.goods.boxes[3]}")).json()
    assert (said["recall"], said["tone"]) == (number, "refused")


async def test_pages_of_the_maker_and_of_a_holder(
    trade: Trade, client: httpx.AsyncClient, running: int
) -> None:
    maker = await _signed_in(client, trade.people[0])
    for path in (
        "/recalls",
        "/recalls?tab=running",
        "/recalls/new",
        f"/recalls/{running}",
        "/locks",
        "/locks/new",
    ):
        assert (await maker.get(path)).status_code == 200, path
    # regions of holders are named in the reader's language
    assert "山东省" in (await maker.get(f"/recalls/{running}")).text
    maker.cookies.set("yaosu_lang", "en")
    english = (await maker.get(f"/recalls/{running}")).text
    maker.cookies.delete("yaosu_lang")
    assert "Shandong" in english and "山东省" not in english
    shop = await _signed_in(client, trade.shop_login)
    for path in (
        f"/recalls/{running}/task",
        f"/recalls/{running}/task/scan",
        f"/recalls/{running}",
        "/recalls",
    ):
        assert (await shop.get(path)).status_code == 200, path
    assert (await shop.get("/recalls/new")).status_code == 403
    where = f"/trace/batch?drug={trace_drug(trade)}&batch={trade.goods.batch_no}"
    assert f"/recalls/new?drug={trace_drug(trade)}" in (await maker.get(where)).text
    # what no form of ours sends is refused, never a failure
    odd = {"order_id": "9" * 30, "return_to": "²", "regions": "²²²²²²", "drug_id": "١٢"}
    for name, value in odd.items():
        form = {"drug_id": "1", "title": "a", "reason": "b", "contact": "c", "batches": "d", name: value}
        answer = await _post(maker, "/recalls/new", "/recalls", **form)
        assert 400 <= answer.status_code < 500, (name, answer.status_code)
    # a form with a mistake comes back with what was typed and what is wrong
    wrong = await _post(
        maker,
        "/recalls/new",
        "/recalls",
        drug_id=str(trade.goods.drug_id),
        title="再次召回",
        reason="复核",
        contact="质量部",
        batches="没有这批",
    )
    assert wrong.status_code == 422
    assert "没有这批" in wrong.text and "再次召回" in wrong.text
    right = await _post(
        maker,
        "/recalls/new",
        "/recalls",
        drug_id=str(trade.goods.drug_id),
        title="演练",
        reason="年度演练",
        contact="质量部",
        batches=trade.other_goods.batch_no,
        simulated="1",
        public="1",
    )
    assert right.status_code == 303
    drill = right.headers["location"]
    # the form says beside the box that a drill is not public, and so does the draft
    assert "不向消费者公开" in (await maker.get("/recalls/new")).text
    assert "不向消费者公开" in (await maker.get(drill)).text
    own = await _post(maker, drill, f"{drill}/approve")
    assert own.status_code == 403 and "起草人" in own.text
    assert (await maker.get(f"{drill}/edit")).status_code == 200
    assert (await _post(maker, drill, f"{drill}/cancel", reason="改期")).status_code == 303


async def test_a_suspension_by_page_and_its_release(trade: Trade, client: httpx.AsyncClient) -> None:
    shop = await _signed_in(client, trade.shop_login)
    made = await _post(
        shop,
        "/locks/new",
        "/locks",
        kind="suspension",
        drug_id=str(trade.other_goods.drug_id),
        batches=trade.other_goods.batch_no,
        reason="quality",
    )
    assert made.status_code == 303
    lock = made.headers["location"]
    assert (await shop.get(lock)).status_code == 200
    hidden = await client.get(f"/api/v1{lock}", headers=trade.stranger)
    assert hidden.status_code == 404
    assert (await _post(shop, lock, f"{lock}/release", reason="核实无误")).status_code == 303
    view = (await client.get(f"/api/v1{lock}", headers=trade.pharmacy)).json()
    assert view["release_reason"] == "核实无误"


async def test_recalls_on_the_command_line(
    trade: Trade, client: httpx.AsyncClient, running: int, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    runner = CliRunner()

    async def run(*args: str) -> str:
        done = await asyncio.to_thread(runner.invoke, commands, list(args))
        assert done.exit_code == 0, (args, done.output)
        return done.output

    assert "20260901" in await run("list", "--running")
    assert '"located_ms"' in await run("show", str(running))
    assert " ms" in await run("locate", str(trade.goods.drug_id), trade.goods.batch_no)
    number = await run(
        "lock", str(trade.goods.drug_id), "--org", str(trade.market.pharmacy), "--reason", "quality", "--own",
        "--code", trade.other_goods.boxes[0],
    )  # fmt: skip
    assert number.startswith("ZT")
    listed = await run("locks")
    assert number.strip() in listed
    refused = await asyncio.to_thread(
        runner.invoke, commands, ["publish", str(running), "--org", str(trade.market.maker)]
    )
    assert refused.exit_code == 1


def test_lines_of_a_form_and_measured_times_read_as_people_write_them() -> None:
    assert split_lines("A1，B2\n\n C3、D4;") == ["A1", "B2", "C3", "D4"]
    assert [seconds(v, "zh") for v in (None, 0.08, 4.2, 600.0, 90_000.0)] == [
        "—",
        "80 毫秒",
        "4.2 秒",
        "10.0 分钟",
        "25.0 小时",
    ]
