"""Narcotics as pharmacists meet them: pages and API on the real server, in their own sessions (R-C4)."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import orjson
import pytest_asyncio
from fastapi import FastAPI
from typer.testing import CliRunner

from access.helpers import key_headers, make_account, make_org
from dispensing.narcotics_helpers import PASSWORD, Ward, make_ward
from people.helpers import given
from yaosu.db.engine import Pool
from yaosu.dispensing import narcotics_commands as commands

HTML = {"accept": "text/html"}
PAGES = (
    "",
    "/issue",
    "/receive",
    "/acts",
    "/prescriptions",
    "/prescriptions/new",
    "/ampoules",
    "/counts",
    "/register",
)


@dataclass
class Desk:
    """A hospital on the real server."""

    ward: Ward
    client: httpx.AsyncClient

    async def sign_in(self, who: str) -> None:
        self.client.cookies.clear()
        form = {"login": self.ward.logins[who], "password": PASSWORD}
        assert (await self.client.post("/login", data=form, headers=HTML)).status_code == 303

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path, headers=HTML)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:500])
        return answer.text

    async def _token(self) -> str:
        found = re.search(r'name="csrf-token" content="([^"]+)"', await self.page("/narcotics"))
        assert found
        return found[1]

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        return await self.client.post(path, data={"_csrf": await self._token(), **fields}, headers=HTML)

    async def call(self, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        headers = {"x-csrf-token": await self._token()}
        answer = await self.client.post(f"/api/v1/narcotics{path}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/narcotics{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[Desk]:
    app: FastAPI = client._transport.app  # type: ignore[attr-defined]
    parts = app.state.yaosu.parts
    async with pool.acquire() as conn:
        ward = await make_ward(conn, pool, parts["committer"], parts["batches"])
        number, login = await make_account(conn, await make_org(conn, 110, "370000"), "regulator")
        assert number
        ward.logins["检查员"] = login
        await parts["registry"].refresh(conn, full=True)
    # identities are opened with the server's own key
    ward.desk = type(ward.desk)(
        pool, parts["committer"], parts["registry"], parts["batches"], parts["keeper"]
    )
    yield Desk(ward, client)


async def test_nobody_and_strangers_are_kept_out(desk: Desk) -> None:
    desk.client.cookies.clear()
    for path in PAGES:
        answer = await desk.client.get(f"/narcotics{path}", headers=HTML)
        assert answer.status_code == 303 and "/login" in answer.headers["location"], path
    await desk.sign_in("外人")
    for path in PAGES:
        assert (await desk.client.get(f"/narcotics{path}", headers=HTML)).status_code == 403, path


async def test_every_page_opens_for_those_who_work_and_for_those_who_look(desk: Desk) -> None:
    for who in ("药师甲", "护士甲"):
        await desk.sign_in(who)
        for path in PAGES:
            text = await desk.page(f"/narcotics{path}")
            assert "麻精药品" in text, path
    await desk.sign_in("质控")
    for path in ("", "/acts", "/prescriptions", "/ampoules", "/counts", "/register"):
        await desk.page(f"/narcotics{path}")
    await desk.page("/narcotics/issue", 403)


async def test_the_whole_way_of_an_ampoule_through_the_pages(desk: Desk) -> None:
    ward, boxes = desk.ward, desk.ward.goods.boxes
    # 发出 and 领入 as the stations send them, each confirmed in a different way
    await desk.sign_in("药师甲")
    issue = {"type": "203", "owner": str(ward.hospital), "to_org": str(ward.pharmacy), "codes": boxes[:2]}
    sent = await desk.call("/issues", {**issue, "bill_no": "MF-1"})
    assert (sent["status"], sent["accepted"], sent["missing"]) == ("waiting", 2, 1)
    again = await desk.call("/issues", {**issue, "bill_no": "MF-1"})
    assert again["id"] == sent["id"]
    other = await desk.call("/issues", {**issue, "codes": boxes[2:3], "bill_no": "MF-1"}, 409)
    assert other["code"] == "request_reused"
    page = await desk.page(sent["url"])
    assert 'name="password"' in page and "我已核对，确认" not in page
    wrong = await desk.post(
        f"{sent['url']}/confirm", login=desk.ward.logins["药师乙"], password="not-the-password"
    )
    assert wrong.status_code == 403 and "复核人的用户名或密码不正确" in wrong.text
    assert "not-the-password" not in wrong.text
    done = await desk.post(f"{sent['url']}/confirm", login=desk.ward.logins["药师乙"], password=PASSWORD)
    assert done.status_code == 303
    assert (await desk.get(f"/acts/{sent['id']}"))["state"] == "done"

    page = await desk.page(f"/narcotics/receive?place={ward.pharmacy}")
    assert sent["bill_no"] not in page and "data-scan-station" in page
    receipt = {"type": "104", "owner": ward.pharmacy, "from_org": ward.hospital, "codes": boxes[:2]}
    came = await desk.call(
        "/receipts", {**receipt, "notice": (await desk.get(f"/acts/{sent['id']}"))["bill_no"]}
    )
    await desk.sign_in("药师乙")
    assert "我已核对，确认" in await desk.page(came["url"])
    assert (await desk.post(f"{came['url']}/confirm")).status_code == 303
    stock = await desk.get(f"/stock?place={ward.pharmacy}")
    assert [(i["units"], i["packages"]) for i in stock["items"]] == [(20, 2)]

    # a prescription by the form; what was typed of the person does not come back
    await desk.sign_in("药师甲")
    patient = given("诸葛患者")
    form = {
        "place": ward.pharmacy,
        "number": "RX-9",
        "drug_id": ward.goods.drug_id,
        "case_kind": "ordinary",
        "patient_kind": "1",
        "patient_number": patient.number,
        "patient_name": patient.name,
        "department": "急诊科",
        "doctor": "医师甲",
        "diagnosis": "术后疼痛",
        "dose_units": "1",
        "times_per_day": "2",
        "days": "2",
    }
    refused = await desk.post("/narcotics/prescriptions/new", **form)
    assert refused.status_code == 422 and "一次常用量" in refused.text and "术后疼痛" in refused.text
    assert patient.number not in refused.text and patient.name not in refused.text
    made = await desk.post("/narcotics/prescriptions/new", **{**form, "case_kind": "pain"})
    assert made.status_code == 303
    address = made.headers["location"]
    page = await desk.page(address)
    assert "data-scan-station" in page and patient.number not in page and "诸葛患者" not in page
    rx = int(address.rsplit("/", 1)[1])

    # two out of a box of ten; the opened box passes the station's check afterwards
    given_out = await desk.call("/dispensings", {"prescription": rx, "codes": boxes[:1], "units": "2"})
    await desk.sign_in("护士甲")
    assert (await desk.call(f"/acts/{given_out['id']}/confirm", {}))["state"] == "done"
    context = {"type": 323, "owner": ward.pharmacy}
    await desk.sign_in("药师甲")
    checked = await desk.call("/dispensings/check", {"codes": boxes[:1], "context": context})
    assert [(r["severity"], "余 8 支" in r["message"]) for r in checked["results"]] == [("ok", True)]

    # ampoules come back and are destroyed before two
    (due,) = (await desk.get(f"/ampoules?place={ward.pharmacy}"))["items"]
    assert due["open"] == 2
    back = await desk.post(
        "/narcotics/ampoules/return",
        place=ward.pharmacy,
        bill_id=due["bill_id"],
        batch_id=due["batch_id"],
        qty=2,
        handed_by="患者本人",
    )
    act = int(back.headers["location"].rsplit("/", 1)[1])
    login = {"login": desk.ward.logins["药师乙"], "password": PASSWORD}
    assert (await desk.call(f"/acts/{act}/confirm", login))["state"] == "done"
    crushed = await desk.post(
        "/narcotics/ampoules/destroy",
        place=ward.pharmacy,
        drug_id=ward.goods.drug_id,
        batch_id=due["batch_id"],
        qty=2,
        method="碾碎",
    )
    act = int(crushed.headers["location"].rsplit("/", 1)[1])
    assert (await desk.call(f"/acts/{act}/confirm", login))["missing"] == 1
    login = {"login": desk.ward.logins["药师丙"], "password": PASSWORD}
    assert (await desk.call(f"/acts/{act}/confirm", login))["state"] == "done"

    # the count of the shift, by the sheet
    key = f"{ward.goods.drug_id}-{due['batch_id']}"
    short = await desk.post(
        "/narcotics/counts", place=ward.pharmacy, shift="白班", line=key, **{f"units-{key}": 17}
    )
    assert short.status_code == 422 and "与账面相差 -1" in short.text
    right = await desk.post(
        "/narcotics/counts", place=ward.pharmacy, shift="白班", line=key, **{f"units-{key}": 18}
    )
    assert right.status_code == 303
    act = int(right.headers["location"].rsplit("/", 1)[1])
    assert (await desk.call(f"/acts/{act}/confirm", login))["state"] == "done"
    assert [c["difference"] for c in (await desk.get("/counts"))["items"]] == [0]

    # the register: on the page, as JSON, as a sheet and as a paper
    ask = f"/register?place={ward.pharmacy}&drug_id={ward.goods.drug_id}"
    found = await desk.get(ask)
    assert (found["opening"], found["in"], found["out"], found["closing"]) == (0, 20, 2, 18)
    assert found["lines"][-1]["checker"] == "护士甲" and found["lines"][-1]["patient"]["name"]
    page = await desk.page(f"/narcotics/register?place={ward.pharmacy}&drug={ward.goods.drug_id}")
    assert "RX-9" in page and "诸葛患者" not in page and patient.number not in page
    assert "<th" in page and "处方医师" in page
    english = await desk.page(f"/narcotics/register?place={ward.pharmacy}&drug={ward.goods.drug_id}&lang=en")
    heads = re.findall(r"<th[^>]*>([^<]*)", english)
    assert "Prescriber" in heads and not re.search("[\u4e00-\u9fff]", "".join(heads))
    sheet = await desk.client.get(f"/api/v1/narcotics{ask}&format=xlsx")
    book = openpyxl.load_workbook(io.BytesIO(sheet.content))
    cells = [str(c.value) for row in book.active.iter_rows() for c in row if c.value is not None]  # type: ignore[union-attr]
    assert "RX-9" in cells and boxes[0] in cells
    assert not any("诸葛患者" in c or patient.number in c for c in cells)
    paper = await desk.client.get(f"/api/v1/narcotics{ask}&format=pdf")
    assert paper.content.startswith(b"%PDF") and "no-store" in paper.headers["cache-control"]


async def test_an_inspector_reads_the_registers_of_the_region_and_the_read_is_written_down(
    desk: Desk,
) -> None:
    await desk.sign_in("检查员")
    assert 'name="place"' in await desk.page("/narcotics")
    ward = desk.ward
    page = await desk.page(f"/narcotics/register?place={ward.hospital}&drug={ward.goods.drug_id}&whole=true")
    assert "期末结存" in page
    for path in ("/narcotics/issue", "/narcotics/prescriptions/new"):
        await desk.page(path, 403)
    async with ward.desk.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM read_record WHERE owner_org = $1", ward.hospital)


async def test_a_key_may_read_the_books_and_not_act(desk: Desk) -> None:
    desk.client.cookies.clear()
    ward = desk.ward
    async with ward.desk.pool.acquire() as conn:
        auth = await key_headers(conn, ward.hospital, ["narcotics.read", "narcotics.write", "bill.write"])
    stock = await desk.client.get("/api/v1/narcotics/stock", headers=auth)
    assert stock.status_code == 200
    body = {"place": ward.hospital, "to_org": ward.ward, "codes": ward.goods.boxes[5:6]}
    answer = await desk.client.post("/api/v1/narcotics/issues", json=body, headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (403, "narcotics_person_only")


async def test_the_command_line_prints_the_books_and_writes_the_register(desk: Desk, tmp_path: Path) -> None:
    ward = desk.ward
    app: FastAPI = desk.client._transport.app  # type: ignore[attr-defined]
    env = {"YAOSU_DATABASE_URL": app.state.yaosu.address, "YAOSU_DATA": str(app.state.yaosu.settings.data)}

    def run(*args: str) -> Any:
        return CliRunner().invoke(commands.app, [*args, "--org", str(ward.hospital)], env=env)

    stock = await asyncio.to_thread(run, "stock", "--json")
    assert stock.exit_code == 0, stock.output
    held = {(f["place"]["id"], f["units"]) for f in orjson.loads(stock.output)}
    assert held == {(ward.hospital, 180), (ward.pharmacy, 18)}
    drug = str(ward.goods.drug_id)
    for name in ("book.pdf", "book.xlsx"):
        made = await asyncio.to_thread(
            run, "register", "--drug", drug, "--place", str(ward.pharmacy), "--out", str(tmp_path / name)
        )
        assert made.exit_code == 0, made.output
        assert (tmp_path / name).stat().st_size > 1000
    printed = await asyncio.to_thread(run, "register", "--drug", drug, "--whole")
    assert "期末 198" in printed.output
    assert (await asyncio.to_thread(run, "due", "--json")).output.strip() == "[]"
    assert (await asyncio.to_thread(run, "counts", "--differences", "--json")).output.strip() == "[]"
    wrong = await asyncio.to_thread(run, "register", "--drug", "999999")
    assert wrong.exit_code == 1 and "没有标识为麻醉药品" in wrong.output
