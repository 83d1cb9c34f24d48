"""The way of a box through the pages with a keyboard-wedge scanner, in a real browser (R-B1…B6, R-C1, R-X1…X3)."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from journey.world import World, alive, prepared, serving
from yaosu.cli.server import run_jobs
from yaosu.db.jobs import ensure_schema
from yaosu.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def world(database: str) -> World:
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_assets.py")], check=True, capture_output=True)
    return prepared(database)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder that server and worker share."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def address(world: World, database: str, folder: Path) -> Iterator[str]:
    asyncio.run(ensure_schema(database))
    with serving(database, folder) as base:
        yield base


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    # after the server: the database is made with a loop of its own, and playwright keeps one running
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def sign_in(browser: Browser, address: str, world: World, who: str) -> Page:
    """A fresh browser of somebody of that organisation, signed in with the keyboard."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN")
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    page.goto(address + "/login")
    page.locator("[name=login]").focus()
    page.keyboard.type(world.logins[who])
    page.keyboard.press("Tab")
    page.keyboard.type(world.password)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("今日工作")
    return page


def scan(page: Page, *codes: str) -> None:
    """What a scanner does: keys as fast as they go, then Enter."""
    for code in codes:
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def submitted(page: Page) -> str:
    """Press F9; the number of the bill that was recorded."""
    page.keyboard.press("F9")
    link = page.locator("[data-bill-link]")
    expect(link).to_be_visible()
    return str(link.get_attribute("href"))


def test_from_the_wholesaler_to_the_patient_and_what_is_unknown_to_quarantine(
    browser: Browser, address: str, world: World
) -> None:
    goods = world.goods
    pallet, case = goods.pallets[0], goods.cases[0]
    box, stranger = goods.boxes_of(0)[0], "83857939999999990001"

    # the wholesaler receives the pallet against the maker's notice
    page = sign_in(browser, address, world, "wholesaler")
    expect(page.locator(".kpi", has_text="待收货").locator(".kpi-value")).to_have_text("1")
    page.locator("a[href='/receive']").first.click()
    page.get_by_role("link", name=world.shipped).click()
    expect(page.locator("#scan-box")).to_be_focused()
    expect(page.locator(".tally")).to_contain_text("差 40")
    scan(page, pallet)
    expect(page.locator(".tally")).to_contain_text("已齐")
    submitted(page)
    expect(page.locator("[data-check=matched]")).to_contain_text("相符 40")

    # and ships one case of it to the pharmacy, chosen by typing
    page.goto(address + "/ship")
    alive(page, "[data-org-picker]")
    page.locator("#pick-to_org").focus()
    page.keyboard.type("大药房连锁")
    expect(page.locator("#list-to_org [aria-selected=true]")).to_contain_text("示例大药房连锁有限公司")
    page.keyboard.press("Enter")
    expect(page.locator("#scan-box")).to_be_focused()
    number = page.locator("[name=bill_no]").input_value()
    assert re.fullmatch(r"CK-\d{8}-0001", number)
    scan(page, case)
    expect(page.locator(".scan--ok, .scan--warn")).to_have_count(1)
    href = submitted(page)
    expect(page.locator("[name=bill_no]")).not_to_have_value(number)
    following = page.locator("[name=bill_no]").input_value()
    # the next of its day; at midnight the first of the new one
    assert following == number[:-1] + "2" or (following[:11] > number[:11] and following.endswith("-0001"))
    page.goto(address + href)
    expect(page.locator(".head-line")).to_contain_text("10 盒")
    page.goto(address + href + "/note")
    expect(page.locator(".paper-qr svg")).to_be_visible()
    expect(page.locator(".paper-table")).to_contain_text("251021")
    page.context.close()

    # the pharmacy receives the case; a code nobody announced is booked to quarantine, not to stock
    page = sign_in(browser, address, world, "pharmacy")
    page.goto(address + "/receive")
    page.get_by_role("link", name=number).click()
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, case, stranger)
    expect(page.locator(".scan--refused")).to_have_count(1)
    expect(page.locator(".station-last--refused")).to_contain_text("激活")
    submitted(page)
    expect(page.locator("[data-check=mismatch]")).to_contain_text("相符 10")
    page.goto(address + "/quarantine")
    expect(page.locator("table")).to_contain_text("尚未激活")

    # and sells a box out of the case
    page.goto(address + "/sell")
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, box)
    expect(page.locator(".station-last")).to_contain_text("拆出")
    sale = submitted(page)
    expect(page.locator("#last-sales tbody tr")).to_have_count(1)
    scan(page, box)
    expect(page.locator(".station-last--refused")).to_contain_text("已登记售出")
    page.goto(
        address + "/bills?bill_no=" + str(page.request.get(address + "/api/v1" + sale).json()["bill_no"])
    )
    expect(page.locator("tbody tr")).to_have_count(1)
    page.context.close()

    # the finding is back at the wholesaler, who answers it
    page = sign_in(browser, address, world, "wholesaler")
    expect(page.locator(".kpi", has_text="买方反馈不符").locator(".kpi-value")).to_have_text("1")
    page.goto(address + "/checks")
    page.get_by_role("link", name="答复").click()
    page.locator("[name=text]").focus()
    page.keyboard.type("非我方发货，请封存并退回。")
    page.get_by_role("button", name="答复买方").click()
    expect(page.locator(".said")).to_have_text("非我方发货，请封存并退回。")
    page.context.close()


def test_a_bill_is_corrected_on_the_station_and_then_voided(
    browser: Browser, address: str, world: World
) -> None:
    goods = world.goods
    page = sign_in(browser, address, world, "maker")
    page.goto(address + f"/ship?to={world.orgs['hospital']}")
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, goods.cases[4], goods.cases[5])
    expect(page.locator(".scan--ok, .scan--warn")).to_have_count(2)
    page.goto(address + submitted(page))
    expect(page.locator(".head-line")).to_contain_text("20 盒")

    page.get_by_role("link", name="更正").click()
    expect(page.locator(".scan")).to_have_count(2)
    page.locator(f"button[data-remove='{2}']").click()
    page.locator("[name='header.correct_reason']").fill("多扫一箱")
    page.keyboard.press("F9")
    # what it would do is shown before anybody confirms it (R-X3)
    expect(page.locator("dialog#effects[open]")).to_contain_text(goods.cases[5])
    page.get_by_role("button", name="确认更正").click()
    expect(page.locator(".head-line")).to_contain_text("10 盒")
    expect(page.locator(".versions > li")).to_have_count(3)
    expect(page.locator(".diff").first).to_contain_text("20")

    page.get_by_role("link", name="作废", exact=True).click()
    expect(page.locator("main")).to_contain_text(goods.cases[4])
    page.locator("[name=reason]").fill("发错单位")
    page.get_by_role("button", name="确认作废").click()
    expect(page.locator("main")).to_contain_text("发错单位")
    page.context.close()


RELATION = """<?xml version="1.0" encoding="UTF-8"?><Document License=""><Events Version="3.0">
<Event Name="RelationCreate"><Relation productCode="9999999" subTypeNo="1" cascade="1:10" packageSpec="x" comment="">
<Batch batchNo="260923" madeDate="2026-09-23" validateDate="2028-09-22" workshop="" lineName="" lineManager="">
<Code curCode="{case}" packLayer="2" flag="0"/>
{boxes}
</Batch></Relation></Event></Events></Document>
"""


def received(page: Page, address: str, number: str, *codes: str) -> None:
    """Take in what the notice of that number announces."""
    page.goto(address + "/receive")
    page.get_by_role("link", name=number).click()
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, *codes)
    submitted(page)
    expect(page.locator("[data-check=matched]")).to_be_visible()


def shipped(page: Page, address: str, receiver: str, *codes: str) -> str:
    """Ship to the receiver, chosen by typing its name; the bill's number."""
    page.goto(address + "/ship")
    alive(page, "[data-org-picker]")
    page.locator("#pick-to_org").focus()
    page.keyboard.type(receiver)
    expect(page.locator("#list-to_org [aria-selected=true]")).to_contain_text(receiver)
    page.keyboard.press("Enter")
    expect(page.locator("#scan-box")).to_be_focused()
    number = page.locator("[name=bill_no]").input_value()
    scan(page, *codes)
    submitted(page)
    return number


def test_from_the_makers_relation_file_to_the_consumers_query(
    browser: Browser, address: str, world: World, database: str, folder: Path, tmp_path: Path
) -> None:
    case, boxes = "83857949100000000001", [f"8385793910000000{n:04d}" for n in range(1, 11)]
    lines = "\n".join(f'<Code curCode="{b}" packLayer="1" parentCode="{case}" flag="0"/>' for b in boxes)
    file = tmp_path / "Relation_260923_20260923120000.xml"
    file.write_text(RELATION.format(case=case, boxes=lines), "utf-8")

    # the maker uploads the relation file, which a worker checks and activates
    page = sign_in(browser, address, world, "maker")
    page.goto(address + "/relations")
    alive(page, "[data-upload]")
    page.locator("[data-upload-file]").set_input_files(file)
    expect(page.locator("[data-upload-id]")).not_to_have_value("")
    page.locator("[name=stock_in]").check()
    page.get_by_role("button", name="校验并激活").click()
    page.wait_for_url("**/relations/jobs/*")
    job = page.url
    work = threading.Thread(target=worked, args=(database, folder))
    work.start()
    work.join(300)
    page.goto(job)
    expect(page.locator("main")).to_contain_text("11 个码，10 盒")
    page.goto(address + "/relations")
    expect(page.locator("table").last).to_contain_text("260923")
    number = shipped(page, address, "示例医药批发有限公司", case)
    page.context.close()

    page = sign_in(browser, address, world, "wholesaler")
    received(page, address, number, case)
    number = shipped(page, address, "示例大药房连锁有限公司", case)
    page.context.close()

    page = sign_in(browser, address, world, "pharmacy")
    received(page, address, number, case)
    page.goto(address + "/sell")
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, boxes[4])
    submitted(page)
    page.context.close()

    # the consumer, on a phone and without signing in, types the code of the box
    phone = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN").new_page()
    phone.goto(address + "/q")
    phone.locator("input[name=code], #q-code").first.fill(boxes[4])
    phone.keyboard.press("Enter")
    phone.wait_for_url("**/q/*")
    expect(phone.locator("body")).to_contain_text("正骨水")
    expect(phone.locator("body")).to_contain_text("已售出")
    expect(phone.locator("body")).to_contain_text("260923")
    assert "示例医药批发" not in phone.content(), "no firm between maker and pharmacy is shown"
    phone.context.close()


def worked(database: str, data: Path) -> None:
    """What the worker process does, until nothing is left."""
    settings = Settings(data=data, database_url=database, host="", port=0, public_url="")
    asyncio.run(run_jobs(settings, database, until_empty=True))
