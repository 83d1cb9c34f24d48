"""The page of files as a browser meets it: drop, look, answer, confirm, result (R-I1, R-I3)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import AsyncIterator

import httpx
import openpyxl
import pytest
import pytest_asyncio

from access.helpers import PASSWORD, make_account
from exchange.files.world import World, make_world, number, scan_xml, stamp, table
from yaosu.db.engine import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")
HTML = {"accept": "text/html"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        yield await make_world(conn)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def csrf(world: World, client: httpx.AsyncClient) -> str:
    _, login = await make_account(world.market.conn, world.market.maker, "admin")
    got = await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
    assert got.status_code == 303
    found = re.search(
        r'name="csrf-token" content="([^"]+)"', (await client.get("/account", headers=HTML)).text
    )
    assert found is not None
    return found.group(1)


def keep(name: str, html: str) -> None:
    """For people who look at pages: written where the environment says."""
    folder = os.environ.get("YAOSU_TEST_PAGES")
    if folder:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
            file.write(html)


async def drop(client: httpx.AsyncClient, csrf: str, data: bytes, name: str = "出库.csv") -> httpx.Response:
    return await client.post("/files", data={"_csrf": csrf}, files={"file": (name, data)}, headers=HTML)


async def test_a_file_goes_from_drop_to_result(world: World, client: httpx.AsyncClient, csrf: str) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    home = await client.get("/files", headers=HTML)
    assert home.status_code == 200 and "文件收发" in home.text and "/files/template.xlsx" in home.text
    hostile = "<script>alert(1)</script>"
    rows = [
        (number("P"), "出库", stamp(), f"{hostile}药房", goods.boxes[0]),
        (number("P"), "201", stamp(), world.name(market.wholesaler), "8.38579E+19"),
    ]
    got = await drop(client, csrf, table(rows), f"{hostile}.csv")
    assert got.status_code == 303, got.text[:500]
    where = got.headers["location"]
    page = await client.get(where, headers=HTML)
    keep("preview.html", page.text)
    assert page.status_code == 200 and "<script>alert" not in page.text
    assert (
        "请先回答" in page.text
        and "设为文本格式" in page.text
        and "第 3 行" not in page.text.split("逐行问题")[0]
    )
    early = await client.post(where, data={"_csrf": csrf, "action": "send"}, headers=HTML)
    assert early.status_code == 422
    asked = dict(re.findall(r'name="(kind_\d+)" value="(\w+)"', page.text))
    texts = dict(re.findall(r'name="(text_\d+)" value="([^"]*)"', page.text))
    form = {"_csrf": csrf, "action": "send", "remember": "1", "skip_bad_shown": "1"}
    for key, kind in asked.items():
        n = key.partition("_")[2]
        text = texts[f"text_{n}"].replace("&lt;", "<").replace("&gt;", ">")
        answer = {"type": "201", "partner": str(market.wholesaler)}[kind]
        form |= {key: kind, f"text_{n}": text, f"answer_{n}": answer}
    sent = await client.post(where, data=form, headers=HTML)
    if sent.status_code == 303:
        page = await client.get(where, headers=HTML)
        if "请先回答" in page.text:
            # choosing the kind made the partner matter: the second question is asked now
            form = {"_csrf": csrf, "action": "send", "kind_0": "partner", "text_0": f"{hostile}药房"}
            sent = await client.post(where, data={**form, "answer_0": str(market.wholesaler)}, headers=HTML)
    else:
        form = {"_csrf": csrf, "action": "send", "kind_0": "partner", "text_0": f"{hostile}药房"}
        sent = await client.post(where, data={**form, "answer_0": str(market.wholesaler)}, headers=HTML)
    assert sent.status_code == 303, re.sub(r"<[^>]+>", "", sent.text)[:800]
    page = await client.get(where, headers=HTML)
    keep("result.html", page.text)
    assert "未受理的行" in page.text and "<script>alert" not in page.text
    assert (await market.status(goods.boxes[0]))[0] == "O"
    for form_ in ("csv", "xlsx"):
        assert (await client.get(f"{where}/result.{form_}", headers=HTML)).status_code == 200
    keep("home.html", (await client.get("/files", headers=HTML)).text)


async def test_the_preview_of_several_sheets_names_the_sheet_and_the_row_of_a_problem(
    world: World, client: httpx.AsyncClient, csrf: str
) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title in ("一月", "二月"):
        sheet = book.create_sheet(title)
        sheet.append(["单据编号", "单据类型", "单据时间", "往来单位", "追溯码"])
        sheet.append([number("S"), "217", stamp(), "", f"no code {title}"])
    data = io.BytesIO()
    book.save(data)
    got = await drop(client, csrf, data.getvalue(), "多表.xlsx")
    assert got.status_code == 303, got.text[:500]
    page = (await client.get(got.headers["location"], headers=HTML)).text
    assert "一月 第 2 行" in page and "二月 第 2 行" in page
    # formats have names for people
    cut = await drop(client, csrf, scan_xml("OA", [(number("X"), "x", ["83857930000000012345"])]), "a.xml")
    assert "出入库 XML 3.0 ·" in (await client.get(cut.headers["location"], headers=HTML)).text
    assert "scan_xml" not in (await client.get("/files", headers=HTML)).text


async def test_what_cannot_be_read_is_said_on_the_page_with_the_fix(
    client: httpx.AsyncClient, csrf: str
) -> None:
    cut = scan_xml("OA", [("1", "x", ["83857930000000012345"])])[:-40]
    got = await drop(client, csrf, cut)
    assert got.status_code == 422 and "中断" in got.text and "重新导出" in got.text
    none = await client.post("/files", data={"_csrf": csrf}, headers=HTML)
    assert none.status_code == 422
    assert (await client.post("/files", files={"file": ("a", cut)}, headers=HTML)).status_code == 403
    export = await client.get(
        "/files/export", params={"since": "2020-01-01", "until": "2020-01-02"}, headers=HTML
    )
    assert export.status_code == 422 and "没有单据内容" in export.text


async def test_a_preview_can_be_dropped_and_offices_have_no_files(
    client: httpx.AsyncClient, csrf: str
) -> None:
    got = await drop(client, csrf, table([(number("D"), "217", stamp(), "", "83857930000000012345")]))
    where = got.headers["location"]
    gone = await client.post(where, data={"_csrf": csrf, "action": "drop"}, headers=HTML)
    assert gone.headers["location"] == "/files"
    assert (await client.get(where, headers=HTML)).status_code == 404
