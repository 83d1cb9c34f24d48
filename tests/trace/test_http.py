"""Verify, history and where-is over HTTP: any form of code in the path, exports, pages, and who may not."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from openpyxl import load_workbook

from access.helpers import key_headers
from circulation.helpers import BOX, Goods, Market, activate, make_market
from yaosu.codes.issue import derive, iter_codes
from yaosu.db.engine import Pool
from yaosu.ledger.sheets import safe, to_csv, to_xlsx

Headers = dict[str, str]


@dataclass
class Trade:
    """A market on the module's database with keys of its organisations."""

    market: Market
    goods: Goods
    maker: Headers
    wholesaler: Headers
    stranger: Headers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trade(pool: Pool, client: httpx.AsyncClient) -> Trade:
    """A pallet shipped to the wholesaler."""
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=4, pallets=1, batch_no="B/26 甲")
        await market.pass_on(market.maker, market.wholesaler, goods.pallets)
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        keys = [await key_headers(conn, org) for org in (market.maker, market.wholesaler, market.other)]
    return Trade(market, goods, *keys)


async def test_one_code_four_levels_deep_is_verified(client: httpx.AsyncClient, trade: Trade) -> None:
    answer = await client.get(f"/api/v1/codes/{trade.goods.boxes[0]}", headers=trade.wholesaler)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"]["code"], body["holder"]["org_id"]) == ("I", trade.market.wholesaler)
    assert body["inside"]["code"] == trade.goods.pallets[0]


async def test_concurrent_questions_of_different_callers_get_their_own_answers(
    client: httpx.AsyncClient, trade: Trade
) -> None:
    async def ask(code: str, headers: Headers) -> tuple[str, bool]:
        body = (await client.get(f"/api/v1/codes/{code}", headers=headers)).json()
        return body["code"], body["holder"] is not None

    codes = trade.goods.boxes[:20]
    asked = [(code, headers) for code in codes for headers in (trade.wholesaler, trade.maker, trade.stranger)]
    found = await asyncio.gather(*(ask(code, headers) for code, headers in asked))
    assert found == [(code, headers is not trade.stranger) for code, headers in asked]


@pytest.mark.parametrize(
    "raw",
    ["(01)06901234567892(21)A/history", "]d20106901234567892\x1d21AB/contents", "69 012 345 678 92", "?"],
)
async def test_any_text_in_the_path_gets_a_verdict(client: httpx.AsyncClient, trade: Trade, raw: str) -> None:
    answer = await client.get("/api/v1/codes/" + quote(raw, safe=""), headers=trade.maker)
    assert answer.status_code == 200
    body = answer.json()
    assert body["found"] is False
    assert body["message"]
    if raw.startswith("("):
        assert body["code"] == raw


async def test_a_code_nobody_activated_says_to_makers_whether_it_was_issued_here(
    client: httpx.AsyncClient, trade: Trade, pool: Pool
) -> None:
    master = client._transport.app.state.yaosu.parts["master_secret"]  # type: ignore[attr-defined]
    async with pool.acquire() as conn:
        filing = await conn.fetchval("SELECT filing_id FROM code_prefix WHERE prefix = $1", BOX)
        request_id = await conn.fetchval(
            "INSERT INTO code_request (org, drug_id, filing_id, total) VALUES ($1, $2, $3, 10) RETURNING id",
            trade.market.maker,
            trade.market.drug_id,
            filing,
        )
        await conn.execute(
            "INSERT INTO code_range (request_id, level, scheme, prefix, key_id, start_no, count) "
            "VALUES ($1, 1, 'cn20', $2, 1, 0, 10)",
            request_id,
            BOX,
        )
    issued = b"".join(iter_codes(BOX, derive(master, 1), 0, 1)).decode()[:20]
    for code, warning in (
        (issued, "trace_issued_not_activated"),
        (f"{BOX}0000000000001", "trace_not_issued_here"),
    ):
        mine = (await client.get(f"/api/v1/codes/{code}", headers=trade.maker)).json()
        assert mine["kind"] == "not_activated"
        assert [w["code"] for w in mine["warnings"]] == [warning]
        assert mine["issued"]["here"] is (code == issued)
        theirs = (await client.get(f"/api/v1/codes/{code}", headers=trade.wholesaler)).json()
        assert theirs["issued"] is None


async def test_many_codes_are_verified_in_one_call(client: httpx.AsyncClient, trade: Trade) -> None:
    codes = [*trade.goods.boxes, "x"]
    answer = await client.post("/api/v1/codes/verify", json={"codes": codes}, headers=trade.wholesaler)
    items = answer.json()["items"]
    assert [i["found"] for i in items] == [True] * 40 + [False]
    too_many = await client.post("/api/v1/codes/verify", json={"codes": ["1"] * 1001}, headers=trade.maker)
    assert too_many.status_code == 422


async def test_history_contents_where_and_explain_answer(client: httpx.AsyncClient, trade: Trade) -> None:
    box = trade.goods.boxes[0]
    history = (await client.get(f"/api/v1/codes/{box}/history", headers=trade.wholesaler)).json()
    assert [e["bill_type"] for e in history["events"]] == [1, 201, 102]
    contents = (
        await client.get(f"/api/v1/codes/{trade.goods.pallets[0]}/contents", headers=trade.maker)
    ).json()
    assert len(contents["items"]) == 45
    path = f"/api/v1/batches/{trade.market.drug_id}/{quote(trade.goods.batch_no, safe='')}/where"
    where = (await client.get(path, headers=trade.wholesaler)).json()
    assert where["totals"] == {"I": 40}
    english = {**trade.maker, "accept-language": "en"}
    explained = (await client.get(f"/api/v1/codes/{box}/explain", headers=english)).json()
    assert "In the stock of" in explained["text"]


@pytest.mark.parametrize("what", ["history", "contents"])
async def test_nobody_and_strangers_learn_nothing(client: httpx.AsyncClient, trade: Trade, what: str) -> None:
    path = f"/api/v1/codes/{trade.goods.pallets[0]}/{what}"
    assert (await client.get(path)).status_code == 401
    stranger = await client.get(path, headers=trade.stranger)
    wholesaler = trade.market.registry.org(trade.market.wholesaler)
    assert wholesaler is not None
    assert wholesaler.name not in stranger.text
    assert trade.goods.cases[0] not in stranger.text
    if what == "contents":
        assert stranger.status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/stock",
        "/api/v1/statements?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z",
        "/api/v1/codes/1",
    ],
)
async def test_anonymous_callers_are_turned_away(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401


async def test_a_key_without_the_permission_is_refused(
    client: httpx.AsyncClient, trade: Trade, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        headers = await key_headers(conn, trade.market.wholesaler, ["bill.read"])
    for path in (f"/api/v1/codes/{trade.goods.boxes[0]}", "/api/v1/stock", "/api/v1/codes/1/history"):
        assert (await client.get(path, headers=headers)).status_code == 403


async def test_exports_open_in_a_spreadsheet(client: httpx.AsyncClient, trade: Trade) -> None:
    csv = await client.get(f"/api/v1/codes/{trade.goods.boxes[0]}/history?format=csv", headers=trade.maker)
    assert csv.content.startswith(b"\xef\xbb\xbf")
    assert "赋码激活" in csv.text
    for path in (
        f"/api/v1/codes/{trade.goods.pallets[0]}/contents?format=xlsx",
        f"/api/v1/batches/{trade.market.drug_id}/{quote(trade.goods.batch_no, safe='')}/where?format=xlsx",
        "/api/v1/stock?format=xlsx",
        "/api/v1/statements?format=xlsx&from=2026-01-01T00:00:00%2B08:00&to=2100-01-01T00:00:00%2B08:00",
    ):
        file = await client.get(path, headers=trade.wholesaler)
        sheet = load_workbook(io.BytesIO(file.content)).active
        assert sheet is not None
        assert sheet.max_row >= 2
    sheet = load_workbook(
        io.BytesIO(
            (
                await client.get(
                    f"/api/v1/codes/{trade.goods.pallets[0]}/contents?format=xlsx", headers=trade.maker
                )
            ).content
        )
    ).active
    assert sheet is not None
    assert sheet["A2"].value == trade.goods.pallets[0]


def test_no_cell_runs_as_a_formula() -> None:
    nasty = '=HYPERLINK("http://x")'
    assert safe(nasty) == "'" + nasty
    text = to_csv(["a"], [[nasty], ["@SUM(1)"], ["83857930000123456789"], ["a\x00b"]]).decode("utf-8-sig")
    assert text.splitlines()[1:] == [
        '"\'=HYPERLINK(""http://x"")"',
        "'@SUM(1)",
        "83857930000123456789\t",
        "ab",
    ]
    sheet = load_workbook(io.BytesIO(to_xlsx("t", ["a"], [[nasty]]))).active
    assert sheet is not None
    assert (sheet["A2"].data_type, sheet["A2"].value) == ("s", "'" + nasty)


async def test_stock_statement_and_levels_answer(client: httpx.AsyncClient, trade: Trade) -> None:
    stock = (await client.get("/api/v1/stock", headers=trade.wholesaler)).json()
    assert [(i["status"], i["qty"]) for i in stock["items"]] == [("I", 40)]
    levels = await client.get(
        "/api/v1/stock/levels",
        params={"drug_id": trade.market.drug_id, "batch_no": trade.goods.batch_no},
        headers=trade.wholesaler,
    )
    assert [(i["level"], i["name"], i["packages"]) for i in levels.json()["items"]] == [(3, "托盘", 1)]
    statement = await client.get(
        "/api/v1/statements",
        params={"from": "2026-01-01T00:00:00+08:00", "to": "2100-01-01T00:00:00+08:00"},
        headers=trade.wholesaler,
    )
    body = statement.json()
    assert body["ties"]
    assert body["items"][0]["came"] == {"102": 40}


@pytest.mark.parametrize(
    "query", ["cursor=abc", "cursor=WzFd", "status=ZZ", "at=yesterday", "drug_id=0", "limit=0"]
)
async def test_bad_input_gets_a_clear_refusal(client: httpx.AsyncClient, trade: Trade, query: str) -> None:
    answer = await client.get(f"/api/v1/stock?{query}", headers=trade.maker)
    assert answer.status_code == 422
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/trace",
        "/trace?code={box}",
        "/trace?code={case}",
        "/trace?code={pallet}",
        "/trace?code=6901234567892",
        "/trace?code=83857930000009999999",
        "/trace/batch",
        "/trace/batch?drug={drug}&batch={batch}",
        "/stock",
        "/stock?drug={drug}&batch={batch}",
        "/stock?at=2026-09-30",
        "/statements",
        "/statements?from=2025-01-01&to=2026-01-31",
    ],
)
@pytest.mark.parametrize("who", ["wholesaler", "maker", "stranger"])
async def test_pages_render_for_everybody_signed_in(
    client: httpx.AsyncClient, trade: Trade, path: str, who: str
) -> None:
    address = path.format(
        box=trade.goods.boxes[0],
        case=trade.goods.cases[0],
        pallet=trade.goods.pallets[0],
        drug=trade.market.drug_id,
        batch=quote(trade.goods.batch_no, safe=""),
    )
    headers = {**getattr(trade, who), "accept": "text/html"}
    page = await client.get(address, headers=headers)
    stranger_asks_for_others = who == "stranger" and "batch=" in address and "/trace" in address
    assert page.status_code == (404 if stranger_asks_for_others else 200), page.text[:2000]
    if who == "stranger":
        card = trade.market.registry.org(trade.market.wholesaler)
        assert card is not None
        assert card.name not in page.text


async def test_the_reference_describes_every_operation(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    mine = {
        p: ops
        for p, ops in paths.items()
        if "/codes/" in p or "/batches" in p or "/stock" in p or "statements" in p
    }
    ours = {p: op for p, ops in mine.items() for op in ops.values() if set(op["tags"]) & {"trace", "ledger"}}
    assert len(ours) >= 9
    for path, operation in ours.items():
        assert operation["summary"], path
        assert operation["description"], path
        ok = operation["responses"]["200"]["content"]["application/json"]
        assert ok.get("example") or ok["schema"], path
