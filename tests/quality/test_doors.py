"""Pages, API and command line of quality management as people and programs meet them."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import PASSWORD, make_account, make_org
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Pool, connect
from yaosu.quality import selfcheck
from yaosu.quality.commands import app
from yaosu.quality.pages_checks import read_quantities
from yaosu.registry.resolver import Registry, load_registry

HTML = {"accept": "text/html"}
HOSTILE = "<script>alert(1)</script>"
PAGES = (
    "/quality", "/quality?state=closed", "/quality/balance", "/quality/counts", "/quality/self-checks",
    "/quality/documents", "/quality/clues",
)  # fmt: skip


@dataclass
class Place:
    """A market in a database, and a client that signs in as anybody."""

    market: Market
    goods: Goods
    client: httpx.AsyncClient
    logins: dict[str, str] = field(default_factory=dict)
    token: str = ""

    async def enter(self, who: str) -> None:
        """Sign in with the browser's form."""
        self.client.cookies.clear()
        answer = await self.client.post(
            "/login", data={"login": self.logins[who], "password": PASSWORD}, headers=HTML
        )
        assert answer.status_code == 303
        page = await self.client.get("/account", headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None
        self.token = found.group(1)

    async def get(self, path: str) -> httpx.Response:
        """A page."""
        return await self.client.get(path, headers=HTML)

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        """A form."""
        return await self.client.post(path, data={"_csrf": self.token, **fields}, headers=HTML)

    async def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        """The API, with the session's token."""
        headers = {"X-CSRF-Token": self.token}
        return await self.client.request(method, f"/api/v1/quality{path}", json=body, headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Place]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        made = Place(market, goods, client)
        for who, org, role in (
            ("boss", market.wholesaler, "admin"),
            ("quality", market.wholesaler, "quality"),
            ("warehouse", market.wholesaler, "warehouse"),
            ("other", market.other, "admin"),
            ("regulator", await make_org(conn, 110, "370000"), "regulator"),
            ("operator", None, "operator"),
        ):
            _, made.logins[who] = await make_account(conn, org, role)
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield made
    client.cookies.clear()


@pytest.mark.parametrize("who", ["boss", "warehouse", "regulator", "operator"])
async def test_every_page_opens_for_everybody_who_may_read(place: Place, who: str) -> None:
    await place.enter(who)
    for path in PAGES:
        answer = await place.get(path)
        assert answer.status_code == 200, (path, answer.text[:300])


async def test_a_stranger_is_sent_to_sign_in_and_the_api_says_401(place: Place) -> None:
    place.client.cookies.clear()
    for path in PAGES:
        assert (await place.get(path)).status_code == 303, path
    assert (await place.client.get("/api/v1/quality/findings")).status_code == 401


async def test_who_may_only_read_may_not_run_a_check_or_send_a_clue(place: Place) -> None:
    await place.enter("warehouse")
    assert (await place.post("/quality/run")).status_code == 403
    assert (
        await place.send("POST", "/clues", {"kind": "other", "title": "甲", "text": "乙"})
    ).status_code == 403
    assert "立即核查" not in (await place.get("/quality")).text


async def test_a_check_on_demand_shows_every_rule_and_its_finding_is_answered_on_its_page(
    place: Place,
) -> None:
    await place.enter("quality")
    count = await place.post("/quality/counts", codes=place.goods.cases[0] + "\r\n")
    assert count.status_code == 303
    shown = await place.get(count.headers["location"])
    assert place.goods.cases[1] in shown.text
    run = await place.post("/quality/run")
    assert run.status_code == 303
    page = await place.get(run.headers["location"])
    assert "单据迟报比例" in page.text and "最近一次盘点存在无法解释的差异" in page.text
    (finding,) = (await place.send("GET", "/findings")).json()["items"]
    path = f"/quality/findings/{finding['id']}"
    assert (await place.post(path, act="answer", text=" ")).status_code == 422
    assert (await place.post(path, act="answer", text=HOSTILE)).status_code == 303
    text = (await place.get(path)).text
    assert HOSTILE not in text and "&lt;script&gt;" in text
    await place.enter("other")
    assert (await place.get(path)).status_code == 404
    assert (await place.get(count.headers["location"])).status_code == 404


async def test_a_self_check_is_filled_signed_filed_and_read_by_the_regulator(place: Place) -> None:
    await place.enter("quality")
    made = await place.post("/quality/self-checks")
    path = made.headers["location"]
    number = int(path.rsplit("/", 1)[1])
    items = [i["code"] for i in (await place.send("GET", f"/self-checks/{number}")).json()["items"]]
    fields = {f"a-{c}": "yes" for c in items} | {f"d-{c}": "2026-10-01" for c in items}
    fields |= {"items": ",".join(items), "filler": "王小明", "contact": "100", "checked_on": "2026-10-08"}
    wrong = await place.post(path, act="save", **{**fields, "checked_on": "2026-02-31"})
    assert wrong.status_code == 422
    assert (await place.post(path, act="save", **fields)).status_code == 303
    await place.enter("regulator")
    assert (await place.get(path)).status_code == 404
    await place.enter("boss")
    assert (await place.send("POST", f"/self-checks/{number}/sign", {"name": "李建国"})).status_code == 200
    assert (await place.post(path, act="file")).status_code == 303
    for kind in ("pdf", "docx", "xlsx"):
        answer = await place.get(f"{path}/file?format={kind}")
        assert answer.status_code == 200 and len(answer.content) > 3_000
    text = "".join(
        p.extract_text() for p in pypdf.PdfReader(io.BytesIO((await place.get(f"{path}/file")).content)).pages
    )
    assert "李建国" in text
    await place.enter("regulator")
    assert "内容与签署时一致" in (await place.get(path)).text


async def test_a_document_goes_from_template_to_acknowledged(place: Place) -> None:
    await place.enter("quality")
    head = {"kind": "trace_system", "number": "QM-1", "title": HOSTILE, "template": "trade"}
    made = await place.post("/quality/documents", **head)
    path = made.headers["location"]
    number = int(path.rsplit("/", 1)[1])
    assert (await place.post(path, act="save", content="# 一\n" + HOSTILE, in_qms="1")).status_code == 303
    assert HOSTILE not in (await place.get(path)).text
    assert (await place.post("/quality/documents", **head)).status_code == 409
    await place.enter("boss")
    assert (await place.post(path, act="approve", effective_on="2099-01-01")).status_code == 303
    await place.enter("warehouse")
    assert "我已学习" in (await place.get(path)).text
    assert (await place.post(path, act="read")).status_code == 303
    assert "我已学习" not in (await place.get(path)).text
    assert (await place.send("PUT", f"/documents/{number}/draft", {"content": "x"})).status_code == 403
    assert (await place.get(f"{path}/file?format=docx")).status_code == 200


async def test_a_clue_is_reported_and_answered_on_its_page(place: Place) -> None:
    await place.enter("quality")
    sent = await place.post(
        "/quality/clues",
        kind="resale",
        title=HOSTILE,
        text="情况",
        codes=place.goods.boxes[0] + "\r\nx",
        bills="",
    )
    assert sent.status_code == 303, sent.text[:500]
    path = sent.headers["location"]
    assert (await place.post("/quality/clues", kind="nothing", title="a", text="b")).status_code == 422
    await place.enter("regulator")
    text = (await place.get(path)).text
    assert HOSTILE not in text and "证据与报告时一致" in text
    assert (await place.post(path, act="note")).status_code == 303
    assert (await place.post(path, act="answer", text="已立案")).status_code == 303
    await place.enter("quality")
    assert "已立案" in (await place.get(path)).text


async def test_the_api_sets_a_plan_and_says_what_is_wrong_with_one(place: Place) -> None:
    await place.enter("quality")
    me = (await place.client.get("/api/v1/me")).json()["account_id"]
    assert (await place.send("PUT", "/plan", {"every": "month", "account_id": me})).status_code == 204
    assert (await place.send("GET", "/plan")).json()["every"] == "month"
    wrong = await place.send("PUT", "/plan", {"every": "day", "account_id": 2**31 - 1})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "quality_no_account")


async def test_the_balance_over_the_api_ties(place: Place) -> None:
    await place.enter("quality")
    query = "?from=2026-01-01T00:00:00%2B08:00&to=2099-01-01T00:00:00%2B08:00"
    body = (await place.send("GET", f"/balance{query}")).json()
    assert body["ties"] is True
    assert [line["units"] for line in body["items"]] == [20]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/counts", {"codes": ["\x00", "\ud800", "x" * 300]}),
        ("POST", "/documents", {"kind": "other", "number": "Z", "title": "t", "content": "\ud800"}),
        ("POST", "/clues", {"kind": "other", "title": "t", "text": "\x00"}),
        ("POST", "/clues", {"kind": "other", "title": "t", "text": "t", "bills": [2**63 - 1]}),
        ("POST", "/findings/1/assign", {"account_id": 1, "due_at": "0001-01-01T00:00:00+08:00"}),
        ("GET", "/balance?from=0001-01-01T00:00:00%2B08:00&to=9999-12-31T23:59:59-08:00", None),
        ("PUT", "/self-checks/1", {"items": [{"item": "zz", "answer": "yes", "remark": "\u202e"}]}),
    ],
)
async def test_hostile_input_gets_a_clear_error(place: Place, method: str, path: str, body: object) -> None:
    await place.enter("quality")
    answer = await place.client.request(
        method,
        f"/api/v1/quality{path}",
        content=json.dumps(body) if body is not None else None,
        headers={"X-CSRF-Token": place.token, "content-type": "application/json"},
    )
    assert answer.status_code < 500, answer.text
    assert answer.status_code in (201, 400, 404, 409, 422)


async def test_pages_refuse_days_that_cannot_be(place: Place) -> None:
    await place.enter("quality")
    for query in ("from=0001-01-01", "to=9999-12-31", "from=2026-02-30", "drug=999999999", "batch=%27"):
        assert (await place.get(f"/quality/balance?{query}")).status_code in (200, 422), query


def test_lines_of_a_quantity_count_are_read_and_a_wrong_one_is_named() -> None:
    found = read_quantities("7, 20260101, 118\n\n8\tA-1\t0\r\n7，B，2")
    assert [(q.drug_id, q.batch_no, q.qty) for q in found] == [
        (7, "20260101", 118),
        (8, "A-1", 0),
        (7, "B", 2),
    ]
    with pytest.raises(Exception, match="2: seven"):
        read_quantities("7 A 1\nseven A 1")


async def signed_table(database: str, market: Market, name: str) -> int:
    """A self-check table of the wholesaler, filled and signed."""
    conn = await connect(database)
    try:
        registry, boss = await load_registry(conn), market.subject(market.wholesaler)
        number = await selfcheck.begin(conn, registry, boss)
        _, rows = await selfcheck.get(conn, boss, number)
        answers = {row.item.code: ("yes", date(2026, 10, 1), "") for row in rows}
        await selfcheck.fill(conn, boss, number, answers, date(2026, 10, 8), "王小明", "100")
        await selfcheck.sign(conn, boss, number, name)
        return number
    finally:
        await conn.close()


def test_the_command_line_checks_balances_and_exports(
    place: Place, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    runner, org = CliRunner(), str(place.market.wholesaler)
    check = runner.invoke(app, ["check", "--org", org])
    assert check.exit_code == (2 if "✗" in check.output else 0), check.output
    assert "单据迟报比例" in check.output
    sheet = runner.invoke(app, ["balance", "--org", org])
    assert sheet.exit_code == 0, sheet.output
    made = str(asyncio.run(signed_table(database, place.market, "李建国")))
    tables = runner.invoke(app, ["selfcheck", "--org", org])
    (number,) = [n for n in re.findall(r"│ (\d+) .*李建国", tables.output) if n == made]
    target = tmp_path / "t.pdf"
    assert runner.invoke(app, ["selfcheck", number, "--out", str(target)]).exit_code == 0
    assert target.read_bytes().startswith(b"%PDF")
    assert runner.invoke(app, ["check", "--org", "99999"]).exit_code == 1
    asyncio.set_event_loop(asyncio.new_event_loop())
