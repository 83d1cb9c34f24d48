"""The till with a card reader that types like a keyboard, in a real browser (R-C2, R-X1)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from access.helpers import PASSWORD, make_account
from circulation.helpers import activate, make_market
from journey.world import alive, serving
from people.helpers import card
from registry.helpers import make_product
from yaosu.db.engine import connect
from yaosu.registry.resolver import load_registry

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
NUMBER = card("650102", "19850615", 321)


@dataclass
class Counter:
    """A pharmacy with boxes, and who stands behind its counter."""

    login: str
    boxes: list[str]


async def seed(address: str) -> Counter:
    """Six boxes of an ephedrine compound on the shelf."""
    conn = await connect(address)
    market = await make_market(conn)
    prefixes = ("8320001", "8320002", "8320003")
    levels = (("盒", 1, prefixes[0]), ("箱", 10, prefixes[1]), ("托盘", 40, prefixes[2]))
    drug = await make_product(conn, market.maker, levels=levels, flags=("ephedrine",), prescription="otc_a")
    registry = await load_registry(conn)
    market = replace(market, drug_id=drug, registry=registry, prefixes=prefixes)
    goods = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, goods.boxes[:6])
    _, login = await make_account(conn, market.pharmacy, "sales")
    await conn.close()
    return Counter(login, goods.boxes[:6])


@pytest.fixture(scope="module")
def counter(database: str) -> Counter:
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_assets.py")], check=True, capture_output=True)
    return asyncio.run(seed(database))


@pytest.fixture
def page(counter: Counter, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The clerk's browser, signed in."""
    with serving(database, tmp_path_factory.mktemp("data")) as base, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        opened = browser.new_context(base_url=base, viewport={"width": 1366, "height": 768}).new_page()
        opened.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
        opened.goto("/login")
        opened.fill("[name=login]", counter.login)
        opened.fill("[name=password]", PASSWORD)
        opened.keyboard.press("Enter")
        expect(opened.locator("h1")).to_have_text("今日工作")
        yield opened
        browser.close()


def keys(page: Page, text: str) -> None:
    """What a scanner or a card reader does: keys, then Enter, wherever the focus is."""
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def test_the_till_asks_for_the_card_takes_it_from_the_reader_and_keeps_nothing(
    page: Page, counter: Counter
) -> None:
    page.goto("/sell")
    alive(page, "[data-person-box]")
    expect(page.locator("#scan-box")).to_be_focused()
    fold = page.locator("details:has([data-person-box])")
    expect(fold).not_to_have_attribute("open", "")
    keys(page, counter.boxes[0])
    # the product asks for a document: the box comes out by itself
    expect(page.locator("[data-scan-last]")).to_contain_text("须实名登记")
    expect(fold).to_have_attribute("open", "")
    # the card lies on the reader while the focus is in the scan box
    expect(page.locator("[data-scan-box]")).to_be_focused()
    keys(page, NUMBER)
    expect(page.locator("[data-person-name]")).to_be_focused()
    expect(page.locator("[data-scan-codes]")).to_have_text("1")
    keys(page, "哈力克")
    expect(page.locator("[data-person-shown]")).to_contain_text("哈** · 身份证 6501**********")
    expect(page.locator("[data-scan-box]")).to_be_focused()
    expect(page.locator("[data-scan-last]")).to_contain_text("可以销售")
    page.keyboard.press("F9")
    expect(page.locator("[data-scan-answer]")).to_contain_text("接受 1")
    expect(fold).not_to_have_attribute("open", "")
    kept = json.dumps(page.evaluate("[{...localStorage}, {...sessionStorage}]")) + page.content()
    assert NUMBER not in kept
    assert "哈力克" not in kept
    # a known buyer needs the card only
    keys(page, counter.boxes[1])
    expect(page.locator("[data-scan-last]")).to_contain_text("须实名登记")
    keys(page, NUMBER)
    expect(page.locator("[data-scan-last]")).to_contain_text("可以销售")
    expect(page.locator("[data-person-shown]")).to_contain_text("哈**")
    keys(page, counter.boxes[2])
    expect(page.locator("[data-scan-codes]")).to_have_text("2")
    page.keyboard.press("F9")
    expect(page.locator("[data-scan-answer]")).to_contain_text("每人 7 天内最多 2 个最小包装")


def test_a_wrong_number_is_said_while_it_is_typed(page: Page, counter: Counter) -> None:
    page.goto("/sell/real-name")
    alive(page, "[data-person-box]")
    wrong = NUMBER[:16] + str((int(NUMBER[16]) + 1) % 10) + NUMBER[17]
    page.locator("[data-person-number]").click()
    page.keyboard.type(wrong)
    expect(page.locator("[data-person-said]")).to_contain_text("校验位不对")
    page.keyboard.press("Enter")
    expect(page.locator("[data-person-number]")).to_be_focused()
    page.locator("[data-person-kind]").select_option("2")
    page.locator("[data-person-number]").fill("E12345678")
    expect(page.locator("[data-person-said]")).to_contain_text("号码正确")
