"""Cases over HTTP: a story from the receipt check to the closed case, by API, by pages and from the command line."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from PIL import Image
from typer.testing import CliRunner

from access.helpers import PASSWORD, key_headers, make_account, make_org
from circulation.helpers import Market, activate, make_market
from yaosu.db.engine import Pool
from yaosu.exceptions.commands import app
from yaosu.registry.resolver import Registry

HTML = {"accept": "text/html"}
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Street:
    """The market of the module behind the real application."""

    market: Market
    client: httpx.AsyncClient
    boxes: list[str]
    keys: dict[str, dict[str, str]]
    logins: dict[str, str]
    taken: list[int] = field(default_factory=lambda: [0])

    def some(self, n: int) -> list[str]:
        """Boxes nobody used yet, in the wholesaler's stock."""
        self.taken[0] += n
        return self.boxes[self.taken[0] - n : self.taken[0]]

    async def api(self, who: str, method: str, path: str, **body: Any) -> httpx.Response:
        """A call with that organisation's key."""
        if method == "GET":
            return await self.client.get(f"/api/v1{path}", headers=self.keys[who])
        return await self.client.request(
            method, f"/api/v1{path}", headers=self.keys[who], json=body if body else None
        )

    async def short_check(self) -> int:
        """Three boxes announced, two found; the check's number."""
        boxes = self.some(3)
        sent = await self.market.ship(self.market.wholesaler, self.market.pharmacy, boxes)
        got = await self.market.move(
            102, self.market.pharmacy, boxes[:2], from_org=self.market.wholesaler, notice=sent.bill_no
        )
        return int(str(got.checks[0]["id"]))

    async def open(self) -> int:
        """A case of the pharmacy for a missing box."""
        made = await self.api("pharmacy", "POST", "/exceptions", check_id=await self.short_check())
        assert made.status_code == 201, made.text
        return int(made.json()["cases"][0])

    async def enter(self, who: str) -> str:
        """Sign in; the token for forms."""
        self.client.cookies.clear()
        answer = await self.client.post(
            "/login", data={"login": self.logins[who], "password": PASSWORD}, headers=HTML
        )
        assert answer.status_code == 303
        page = await self.client.get("/account", headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Street]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=10)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        keys, logins = {}, {}
        for who in ("maker", "wholesaler", "pharmacy", "hospital", "other"):
            keys[who] = await key_headers(conn, getattr(market, who))
            _, logins[who] = await make_account(conn, getattr(market, who), "admin")
        _, logins["reader"] = await make_account(conn, market.pharmacy, "reader")
        _, logins["regulator"] = await make_account(conn, await make_org(conn, 110, "370000"), "regulator")
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield Street(market, client, goods.boxes, keys, logins)
    client.cookies.clear()


def _photo() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (10, 90, 90)).save(out, "JPEG")
    return out.getvalue()


async def test_a_missing_box_is_settled_over_the_api_by_goods_sent(street: Street) -> None:
    case_id = await street.open()
    listed = (await street.api("wholesaler", "GET", "/exceptions?state=open&side=seller")).json()
    assert case_id in [c["id"] for c in listed["items"]]
    said = await street.api("wholesaler", "POST", f"/exceptions/{case_id}/messages", text="正在核对")
    assert said.json()["answered_at"] is not None
    again = await street.market.ship(street.market.wholesaler, street.market.pharmacy, street.some(1))
    body = {"kind": "sent", "text": "今日补发", "bill_no": again.bill_no}
    offered = await street.api("wholesaler", "POST", f"/exceptions/{case_id}/proposals", **body)
    assert offered.status_code == 200, offered.text
    offer = offered.json()["proposals"][0]["id"]
    path = f"/exceptions/{case_id}/proposals/{offer}/answer"
    own = await street.api("wholesaler", "POST", path, accept=True)
    assert (own.status_code, own.json()["code"]) == (409, "exception_own_proposal")
    done = await street.api("pharmacy", "POST", path, accept=True, text="收到")
    assert (done.json()["state"], done.json()["resolution_name"]) == ("closed", "补发")
    late = await street.api("pharmacy", "POST", f"/exceptions/{case_id}/messages", text="?")
    assert (late.status_code, late.json()["code"]) == (409, "exception_closed")


async def test_nobody_else_reads_a_case_or_its_photographs(street: Street) -> None:
    case_id = await street.open()
    url = f"/api/v1/exceptions/{case_id}/photos"
    headers = {**street.keys["pharmacy"], "content-type": "image/jpeg"}
    sent = await street.client.post(f"{url}?title=外箱", headers=headers, content=_photo())
    assert sent.status_code == 200, sent.text
    picture = sent.json()["photos"][0]["url"]
    shown = await street.client.get(picture, headers=street.keys["wholesaler"])
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert shown.headers["cache-control"] == "private, no-store"
    for path in (f"/api/v1/exceptions/{case_id}", picture):
        assert (await street.client.get(path, headers=street.keys["other"])).status_code == 404
        street.client.cookies.clear()
        assert (await street.client.get(path)).status_code == 401
    hostile = await street.client.post(url, headers=headers, content=b"<svg onload=alert(1)>")
    assert (hostile.status_code, hostile.json()["code"]) == (422, "photo_unreadable")
    large = await street.client.post(url, headers=headers, content=b"\xff\xd8\xff" * 2_000_000)
    assert (large.status_code, large.json()["code"]) == (413, "photo_too_large")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "exception_kind_unknown"),
        ({"check_id": 999999}, 404, "not_found"),
        ({"quarantine_ids": [1, 2]}, 422, "exception_no_goods"),
        ({"kind": "bad_mood", "goods": [{"drug_id": 1, "qty": 1}]}, 422, "exception_kind_unknown"),
        ({"kind": "uncoded", "goods": []}, 422, "exception_no_goods"),
        ({"kind": "uncoded", "goods": [{"drug_id": 99999, "qty": 1}]}, 404, "not_found"),
        ({"kind": "uncoded", "goods": [{"drug_id": 1, "qty": 0}]}, 422, "invalid_request"),
        ({"kind": "uncoded", "surprise": 1}, 422, "invalid_request"),
        ({"check_id": 1, "quarantine_ids": [1]}, 422, "invalid_request"),
        ({"check_id": 1, "kind": "short", "goods": [{"drug_id": 1, "qty": 1}]}, 422, "invalid_request"),
    ],
)
async def test_what_opens_no_case_is_told_why(
    street: Street, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await street.client.post("/api/v1/exceptions", headers=street.keys["pharmacy"], json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_a_reason_that_is_too_short_is_told_in_characters(street: Street) -> None:
    headers = {**street.keys["pharmacy"], "accept-language": "en"}
    answer = await street.client.post("/api/v1/exceptions/1/withdraw", headers=headers, json={"reason": "x"})
    assert answer.json()["findings"][0]["params"]["reason"] == "shorter than 2"


async def test_the_whole_exchange_is_done_on_pages(street: Street) -> None:
    check_id = await street.short_check()
    token = await street.enter("pharmacy")
    client = street.client
    assert "一键开立协查" in (await client.get(f"/checks/{check_id}", headers=HTML)).text
    made = await client.post(
        "/exceptions/open",
        data={"_csrf": token, "check_id": str(check_id), "note": HOSTILE},
        headers=HTML,
    )
    assert made.status_code == 303
    path = made.headers["location"]
    page = (await client.get(path, headers=HTML)).text
    assert HOSTILE not in page
    assert "短少" in page
    assert f'href="{path}"' in (await client.get(f"/checks/{check_id}", headers=HTML)).text
    sent = await client.post(
        f"{path}/photos",
        data={"_csrf": token, "title": "外箱"},
        files={"photo": ("a.jpg", _photo(), "image/jpeg")},
        headers=HTML,
    )
    assert sent.status_code == 303, sent.text
    bad = await client.post(
        f"{path}/photos",
        data={"_csrf": token},
        files={"photo": ("a.jpg", b"<html>", "image/jpeg")},
        headers=HTML,
    )
    assert (bad.status_code, "不是可读取的 JPEG 或 PNG 图片" in bad.text) == (422, True)
    token = await street.enter("wholesaler")
    unfit = await client.post(
        f"{path}/propose",
        data={"_csrf": token, "kind": "credited", "text": "折让", "amount": "一百"},
        headers=HTML,
    )
    assert unfit.status_code == 422
    offered = await client.post(
        f"{path}/propose",
        data={"_csrf": token, "kind": "credited", "amount": "18.5", "credit_no": "HZ-1"},
        headers=HTML,
    )
    assert offered.status_code == 303, offered.text
    token = await street.enter("pharmacy")
    page = (await client.get(path, headers=HTML)).text
    assert "HZ-1" in page
    assert "18.50" in page
    proposal = re.search(r'name="proposal" value="(\d+)"', page)
    assert proposal is not None
    done = await client.post(
        f"{path}/answer",
        data={"_csrf": token, "proposal": proposal.group(1), "yes": "accept"},
        headers=HTML,
    )
    assert done.status_code == 303
    assert "结案：折让" in (await client.get(path, headers=HTML)).text
    assert path in (await client.get("/exceptions?tab=closed", headers=HTML)).text


async def test_goods_of_a_closed_case_are_released_from_its_page(street: Street) -> None:
    market, client = street.market, street.client
    boxes = street.some(2)
    sent = await market.ship(market.wholesaler, market.pharmacy, boxes[:1])
    await market.ship(market.wholesaler, market.pharmacy, boxes[1:])
    await market.move(102, market.pharmacy, boxes, from_org=market.wholesaler, notice=sent.bill_no)
    held = await market.conn.fetchval("SELECT id FROM quarantine WHERE code = $1", boxes[1])
    token = await street.enter("pharmacy")
    assert boxes[1] in (await client.get("/quarantine", headers=HTML)).text
    made = await client.post("/exceptions/open", data={"_csrf": token, "ids": str(held)}, headers=HTML)
    path = made.headers["location"]
    assert path in (await client.get("/quarantine", headers=HTML)).text
    early = await client.post(
        "/quarantine/dispose",
        data={"_csrf": token, "ids": str(held), "way": "release", "bill_no": "DC-X", "reason_text": "急用"},
        headers=HTML,
    )
    assert (early.status_code, "异常协查" in early.text) == (200, True)
    case_id = int(path.rpartition("/")[2])
    offered = await street.api(
        "wholesaler", "POST", f"/exceptions/{case_id}/proposals", kind="accepted_as_is"
    )
    offer = offered.json()["proposals"][0]["id"]
    await street.api("pharmacy", "POST", f"/exceptions/{case_id}/proposals/{offer}/answer", accept=True)
    token = await street.enter("pharmacy")
    page = (await client.get(path, headers=HTML)).text
    assert "放行入库" in page
    form = {"way": "release", "ids": str(held), "bill_no": "DC-Y", "reason_text": "协查结案"}
    freed = await client.post("/quarantine/dispose", data={"_csrf": token, **form}, headers=HTML)
    assert freed.status_code == 303, freed.text
    assert (await market.status(boxes[1]))[0] == "I"
    assert "DC-Y" in (await client.get(path, headers=HTML)).text


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("pharmacy", "/exceptions", 200),
        ("pharmacy", "/exceptions/new", 200),
        ("reader", "/exceptions", 200),
        ("reader", "/exceptions/new", 403),
        ("regulator", "/exceptions", 200),
        ("regulator", "/exceptions/new", 403),
        ("pharmacy", "/exceptions/999999", 404),
        ("pharmacy", "/exceptions/x", 422),
        ("pharmacy", "/exceptions?tab=none", 422),
    ],
)
async def test_pages_of_cases_open_for_those_who_may(
    street: Street, who: str, path: str, status: int
) -> None:
    await street.enter(who)
    assert (await street.client.get(path, headers=HTML)).status_code == status


async def test_uncoded_goods_are_reported_with_a_form(street: Street) -> None:
    token = await street.enter("pharmacy")
    form = {
        "_csrf": token,
        "kind": "uncoded",
        "seller": str(street.market.wholesaler),
        "drug_id": str(street.market.drug_id),
        "batch_no": "W-9",
        "note": "外包装未见追溯码",
    }
    unsaid = await street.client.post("/exceptions/new", data=form, headers=HTML)
    assert (unsaid.status_code, "请填写产品和数量" in unsaid.text, "W-9" in unsaid.text) == (422, True, True)
    made = await street.client.post("/exceptions/new", data={**form, "qty": "10"}, headers=HTML)
    assert made.status_code == 303
    await street.enter("maker")
    assert (await street.client.get(made.headers["location"], headers=HTML)).status_code == 200


async def test_the_seller_opens_a_case_for_its_own_shipment_from_the_bills_page(street: Street) -> None:
    sent = await street.market.ship(street.market.wholesaler, street.market.pharmacy, street.some(2))
    token = await street.enter("wholesaler")
    link = f"/exceptions/new?bill={sent.bill_id}"
    assert f'href="{link}"' in (await street.client.get(f"/bills/{sent.bill_id}", headers=HTML)).text
    assert sent.bill_no in (await street.client.get(link, headers=HTML)).text
    form = {
        "_csrf": token,
        "kind": "damaged",
        "bill_id": str(sent.bill_id),
        "drug_id": str(street.market.drug_id),
        "qty": "1",
        "note": "承运方报告一盒受潮",
    }
    made = await street.client.post("/exceptions/new", data=form, headers=HTML)
    assert made.status_code == 303, made.text
    await street.enter("pharmacy")
    page = (await street.client.get(made.headers["location"], headers=HTML)).text
    assert "承运方报告一盒受潮" in page
    await street.enter("other")
    assert (await street.client.get(link, headers=HTML)).status_code == 404


async def test_a_form_without_its_token_does_nothing(street: Street) -> None:
    case_id = await street.open()
    await street.enter("pharmacy")
    path = f"/exceptions/{case_id}/withdraw"
    answer = await street.client.post(path, data={"reason": "误开"}, headers=HTML)
    assert answer.status_code == 403
    assert (await street.api("pharmacy", "GET", f"/exceptions/{case_id}")).json()["state"] == "open"


async def test_a_case_is_settled_from_the_command_line(street: Street, database: str, tmp_path: Path) -> None:
    buyer, seller = str(street.market.pharmacy), str(street.market.wholesaler)

    async def run(*args: str) -> tuple[int, Any]:
        env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path)}
        result = await asyncio.to_thread(CliRunner().invoke, app, list(args), env=env)
        text = result.stdout
        return result.exit_code, orjson.loads(text) if text.startswith("{") else result.output

    check_id = await street.short_check()
    code, made = await run("open", "--check", str(check_id), "--org", buyer, "--note", "少一盒")
    assert code == 0, made
    case = str(made["cases"][0])
    picture = tmp_path / "box.jpg"
    picture.write_bytes(_photo())
    assert (await run("attach", case, str(picture), "--org", buyer, "--title", "外箱"))[0] == 0
    assert (await run("say", case, "--org", seller, "--text", "核对中"))[0] == 0
    code, said = await run("show", case, "--org", str(street.market.other))
    assert (code, "不存在" in said or "not" in said) == (1, True)
    args = ("propose", case, "credited", "--org", seller, "--amount", "18.50", "--credit-no", "HZ-2")
    assert (await run(*args))[0] == 0
    assert (await run("suspend", case, "--org", buyer, "--reason", "批号存疑"))[0] == 0
    assert (await run("decline", case, "--org", buyer, "--text", "金额不对"))[0] == 0
    assert (await run("accept", case, "--org", buyer))[0] == 1
    assert (await run("lift", case, "--org", buyer, "--reason", "核对无误"))[0] == 0
    code, view = await run("withdraw", case, "--org", buyer, "--reason", "找到了")
    assert (code, view["state"]) == (0, "withdrawn")
    code, listed = await run("list", "--org", buyer, "--state", "closed")
    assert int(case) in [c["id"] for c in listed["items"]]
