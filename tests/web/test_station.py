"""The scan station in a real browser: nothing scanned is lost, doubled or sent twice (R-B2, R-B6, R-X1)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import segno
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, expect, sync_playwright

from journey.world import alive
from web.station_server import Counter, serving

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCREENS = ROOT / "build" / "screens"
STATION = "/page/styleguide_scan"
LATER_MS = 60_000
"""What comes after the station's own waiting times, 1, 2, 4 … s."""


LATER = """<input data-table-filter="rows"><table id="rows"><tbody>
<tr><td>一</td></tr><tr><td>二</td></tr></tbody></table>"""


def box(n: int) -> str:
    """A box's 20-digit code; its last digit is never 9, which the test server calls near expiry."""
    return f"8385793{n:012d}0"


@pytest.fixture(scope="module")
def seen() -> Counter:
    return Counter()


@pytest.fixture(scope="module")
def address(seen: Counter) -> Iterator[str]:
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_assets.py")], check=True, capture_output=True)
    with serving(seen) as base:
        yield base


@pytest.fixture(scope="module")
def play() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(play: Playwright) -> Iterator[Browser]:
    opened = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield opened
    opened.close()


@pytest.fixture
def context(browser: Browser, seen: Counter) -> Iterator[BrowserContext]:
    seen.clear()
    opened = browser.new_context(viewport={"width": 1366, "height": 768})
    yield opened
    opened.close()


@pytest.fixture
def station(context: BrowserContext, address: str) -> Iterator[Page]:
    troubles: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: troubles.append(m.text) if "Content Security Policy" in m.text else None)
    page.goto(address + STATION)
    expect(page.locator("#scan-box")).to_be_focused()
    yield page
    assert troubles == []


def scan(page: Page, *codes: str) -> None:
    """What a scanner does: keys as fast as they go, then Enter."""
    for code in codes:
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def paste(page: Page, codes: list[str]) -> None:
    page.evaluate(
        """text => { const data = new DataTransfer(); data.setData("text/plain", text);
        document.querySelector("#scan-box").dispatchEvent(
          new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })); }""",
        "\r\n".join(codes),
    )


def counted(page: Page) -> str:
    return page.locator("[data-scan-codes]").inner_text()


def test_two_hundred_codes_typed_without_pause_all_arrive_in_order(station: Page, seen: Counter) -> None:
    codes = [box(n) for n in range(200)]
    scan(station, *codes)
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("200")
    assert seen.checked == codes
    assert all(len(check["codes"]) <= 50 for check in seen.checks)
    assert seen.checks[0]["context"]["from_org"] == "7"
    assert set(seen.tokens) == {"token-of-the-session"}


def test_the_group_separator_of_a_gs1_code_survives_as_key_and_as_character(
    station: Page, seen: Counter
) -> None:
    station.keyboard.type("010692456188407421A1")
    station.keyboard.press("Control+BracketRight")
    station.keyboard.type("10251021")
    station.keyboard.press("Enter")
    station.evaluate("document.querySelector('#scan-box').value = '01069245618840742\\x1d21B2'")
    station.keyboard.press("Enter")
    expect(station.locator("[data-n]")).to_have_count(2)
    expect(station.locator("[data-n='1'] code")).to_contain_text("␝")
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("2")
    assert seen.checked == ["010692456188407421A1\x1d10251021", "01069245618840742\x1d21B2"]


def test_tab_ends_a_code_but_an_empty_box_lets_the_keyboard_move_on(station: Page, seen: Counter) -> None:
    station.keyboard.type(box(1))
    station.keyboard.press("Tab")
    expect(station.locator("#scan-box")).to_be_focused()
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    station.keyboard.press("Tab")
    expect(station.locator("[data-scan-camera]")).to_be_focused()


def test_a_code_scanned_again_is_said_to_be_so_and_not_counted_twice(station: Page, seen: Counter) -> None:
    scan(station, box(1), box(2), box(1))
    expect(station.locator("[data-scan-last]")).to_have_class("station-last station-last--duplicate")
    # the same code behind a symbology prefix is known only after the check
    scan(station, "]C1" + box(2))
    expect(station.locator("[data-scan-filter=duplicate] b")).to_have_text("1")
    assert counted(station) == "2"
    station.keyboard.press("F9")
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 2")
    assert seen.submissions[0]["codes"] == [box(1), box(2)]


def test_a_verdict_shows_reason_and_next_step_and_is_announced(station: Page) -> None:
    scan(station, "69245618840740000001")
    last = station.locator("[data-scan-last]")
    expect(last).to_contain_text("未知追溯码")
    expect(last).to_contain_text("放入待处理区，并联系供货单位")
    expect(station.locator("[data-scan-urgent]")).to_contain_text("未知追溯码")


def test_a_verdict_is_read_out_in_words_and_not_as_a_code_for_machines(station: Page) -> None:
    def machine(route: Route) -> None:
        answer = route.fetch()
        results = [{**r, "severity": "refused", "verdict": "already_sold"} for r in answer.json()["results"]]
        route.fulfill(response=answer, json={"results": results})

    station.route("**/check", machine)
    scan(station, box(1))
    expect(station.locator("[data-scan-urgent]")).to_contain_text("不通过")
    expect(station.locator("[data-scan-urgent]")).not_to_contain_text("already_sold")


def test_the_scan_box_is_never_under_the_bar_on_top_and_escape_leads_back_to_it(station: Page) -> None:
    scan(station, *[box(n) for n in range(1, 16)])
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("15")
    for _ in range(12):
        station.keyboard.press("ArrowDown")
    expect(station.locator("#scan-box")).not_to_be_focused()
    station.mouse.wheel(0, 4000)
    station.keyboard.press("Escape")
    expect(station.locator("#scan-box")).to_be_focused()
    bar = station.locator("header.top").bounding_box()
    field = station.locator("#scan-box").bounding_box()
    assert bar is not None and field is not None
    assert field["y"] >= bar["height"]


def test_the_focus_comes_back_from_clicks_and_choices_but_not_from_somebody_typing(
    station: Page, seen: Counter
) -> None:
    expect_box = expect(station.locator("#scan-box"))
    station.locator("h1").click()
    expect_box.to_be_focused()
    station.locator("[data-scan-mute]").click()
    expect_box.to_be_focused()
    station.locator("#f-bill_type").select_option("103")
    station.locator("#f-note").click()
    station.keyboard.type("随货同行单 8")
    expect(station.locator("#f-note")).to_have_value("随货同行单 8")
    station.keyboard.press("Enter")
    expect_box.to_be_focused()
    # with the focus on a button a scan still lands in the box
    station.locator("[data-scan-camera]").focus()
    scan(station, box(7))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    assert seen.checked == [box(7)]


def test_many_lines_pasted_are_many_codes(station: Page, context: BrowserContext, seen: Counter) -> None:
    paste(station, [box(n) for n in range(30)])
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("30")
    assert seen.checked == [box(n) for n in range(30)]


def test_a_full_bill_of_ten_thousand_codes_is_taken_and_one_more_is_not(station: Page, seen: Counter) -> None:
    paste(station, [box(n) for n in range(10_000)])
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("10,000", timeout=LATER_MS)
    assert len(seen.checked) == len(set(seen.checked)) == 10_000
    scan(station, box(10_000))
    expect(station.locator("[data-notice=full]")).to_be_visible()
    assert counted(station) == "10,000"
    station.reload()
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("10,000")


def test_f9_takes_the_code_a_scanner_left_without_an_end(station: Page, seen: Counter) -> None:
    station.keyboard.type(box(1))
    station.keyboard.press("F9")
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 1")
    assert seen.submissions[0]["codes"] == [box(1)]


def test_without_network_scanning_goes_on_and_the_checks_follow_by_themselves(
    station: Page, context: BrowserContext, seen: Counter
) -> None:
    context.set_offline(True)
    scan(station, *[box(n) for n in range(5)])
    expect(station.locator("[data-notice=offline]")).to_contain_text("网络中断")
    expect(station.locator("[data-scan-filter=pending] b")).to_have_text("5")
    context.set_offline(False)
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("5")
    expect(station.locator("[data-notice=offline]")).to_have_count(0)
    assert seen.checked == [box(n) for n in range(5)]


def test_a_reload_loses_nothing(station: Page, seen: Counter) -> None:
    scan(station, box(1), box(2), "69245618840740000001")
    expect(station.locator("[data-scan-filter=refused] b")).to_have_text("1")
    station.reload()
    expect(station.locator("[data-n]")).to_have_count(3)
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("2")
    assert len(seen.checked) == 3, "verdicts are kept too"


def test_a_reload_before_any_check_loses_nothing_either(station: Page, seen: Counter) -> None:
    station.route("**/check", lambda route: route.abort())
    scan(station, box(1), box(2), box(3))
    expect(station.locator("[data-scan-filter=pending] b")).to_have_text("3")
    station.reload()
    expect(station.locator("[data-scan-filter=pending] b")).to_have_text("3")
    station.unroute("**/check")
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("3")
    assert seen.checked == [box(1), box(2), box(3)]


def test_a_lost_answer_is_asked_for_again_with_the_same_bytes(station: Page, seen: Counter) -> None:
    scan(station, box(1), box(2))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("2")
    lost: list[str] = []
    losing = True

    def lose_answers(route: Route) -> None:
        if not losing:
            route.continue_()
            return
        lost.append(route.request.post_data or "")
        route.fetch()
        route.abort("connectionreset")

    station.route("**/submit", lose_answers)
    station.keyboard.press("F9")
    expect(station.locator("[data-notice=submit]")).to_contain_text("尚未送达")
    scan(station, box(3))  # the next bill goes on meanwhile
    losing = False
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 2", timeout=LATER_MS)
    first = seen.submissions
    assert len(first) >= 2
    assert all(s == first[0] for s in first)
    assert all(json.loads(body) == first[0] for body in lost)
    assert len(seen.bills) == 1
    expect(station.locator("[data-n]")).to_have_count(1)
    station.keyboard.press("F9")
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 1")
    assert seen.submissions[-1]["codes"] == [box(3)]
    assert seen.submissions[-1]["bill_no"] != seen.submissions[0]["bill_no"]


def test_a_submission_cut_off_by_a_reload_is_delivered_once_after_it(station: Page, seen: Counter) -> None:
    scan(station, box(1))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    station.route("**/submit", lambda route: route.abort())
    station.keyboard.press("Control+Enter")
    expect(station.locator("[data-notice=submit]")).to_be_visible()
    station.reload()
    expect(station.locator("[data-notice=submit]")).to_be_visible()
    station.unroute("**/submit")
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 1")
    assert [s["codes"] for s in seen.submissions] == [[box(1)]]


def test_a_refused_submission_keeps_the_list_and_says_why(station: Page, seen: Counter) -> None:
    seen.refuse_submission = True
    scan(station, box(1))
    station.keyboard.press("F9")
    expect(station.locator("[data-notice=submit]")).to_contain_text("请按逐项说明修改")
    expect(station.locator("[data-n]")).to_have_count(1)
    seen.refuse_submission = False
    station.keyboard.press("F9")
    expect(station.locator("[data-scan-answer]")).to_contain_text("接受 1")
    assert seen.submissions[0]["bill_no"] == seen.submissions[1]["bill_no"]


def test_a_row_goes_by_delete_and_the_last_one_by_undo(station: Page) -> None:
    scan(station, box(1), box(2), box(3))
    expect(station.locator("[data-n]")).to_have_count(3)
    station.keyboard.press("Control+z")
    expect(station.locator("[data-n]")).to_have_count(2)
    station.keyboard.press("ArrowDown")
    expect(station.locator("[data-n='2']")).to_be_focused()
    station.keyboard.press("Delete")
    expect(station.locator("[data-n]")).to_have_count(1)
    expect(station.locator("[data-n='1']")).to_be_focused()
    scan(station, box(3))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("2")


def test_the_tally_runs_against_the_notice_in_boxes(station: Page) -> None:
    tally = station.locator("[data-scan-tally]")
    scan(station, "83857940000000012340")
    expect(tally).to_contain_text("差 200")
    scan(station, "83857940000000012350")
    expect(tally).to_contain_text("已齐")
    scan(station, box(1))
    expect(tally).to_contain_text("多 1")


def test_a_second_window_takes_the_list_and_the_first_says_so(
    station: Page, context: BrowserContext, address: str
) -> None:
    scan(station, box(1))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    second = context.new_page()
    second.goto(address + STATION)
    expect(second.locator("[data-n]")).to_have_count(1)
    expect(station.locator("[data-notice=window]")).to_be_visible()
    expect(station.locator("#scan-box")).to_be_disabled()


def test_changing_the_counterpart_judges_the_list_again(station: Page, seen: Counter) -> None:
    scan(station, box(1))
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    with station.expect_response("**/check"):
        station.locator("#f-from_org").select_option("8")
    expect(station.locator("[data-scan-filter=ok] b")).to_have_text("1")
    assert [c["context"]["from_org"] for c in seen.checks] == ["7", "8"]


def test_a_large_file_goes_up_in_pieces_and_resumes_where_it_stopped(
    context: BrowserContext, address: str, seen: Counter, tmp_path: Path
) -> None:
    file = tmp_path / "relation.xml"
    content = bytes(range(256)) * 4096 * 9  # 9 MB: three pieces
    file.write_bytes(content)
    page = context.new_page()
    page.goto(address + "/page/styleguide")
    sent: list[int] = []

    def cut_second(route: Route) -> None:
        sent.append(int(route.request.headers["upload-offset"]))
        if len(sent) == 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(
        "**/api/v1/uploads/u1", lambda r: cut_second(r) if r.request.method == "PATCH" else r.continue_()
    )
    alive(page, "[data-upload]")
    page.locator("[data-upload-file]").set_input_files(file)
    expect(page.locator("[data-upload-text]")).to_have_text("已上传", timeout=LATER_MS)
    assert bytes(seen.uploads["u1"]) == content
    assert seen.pieces == [0, 4194304, 8388608]
    assert sent == [0, 4194304, 4194304, 8388608]
    assert page.locator("[data-upload-id]").input_value() == "u1"


@pytest.mark.parametrize(
    "path", ["/page/styleguide", STATION, "/page/styleguide_sign_in", "/error", "/error?anonymous"]
)
@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_no_page_is_wider_than_its_screen_nor_breaks_the_policy(
    context: BrowserContext, address: str, path: str, size: tuple[int, int]
) -> None:
    troubles: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(address + path, wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    SCREENS.mkdir(parents=True, exist_ok=True)
    name = path.strip("/").replace("/", "-").replace("?", "-")
    page.screenshot(path=SCREENS / f"{name}-{size[0]}.png", full_page=True)
    assert troubles == []


def test_a_chart_is_drawn_from_its_table_and_prints_as_one(context: BrowserContext, address: str) -> None:
    page = context.new_page()
    page.goto(address + "/page/styleguide")
    expect(page.locator(".chart canvas")).to_be_visible()
    table = page.locator(".chart table")
    assert page.locator(".chart .table-wrap").evaluate("e => e.clientWidth") <= 1
    expect(table).to_contain_text("4,800")
    page.emulate_media(media="print")
    expect(page.locator(".chart canvas")).not_to_be_visible()
    assert table.evaluate("e => e.clientWidth") > 300


def test_what_htmx_brings_into_the_page_works_too(
    context: BrowserContext, address: str, seen: Counter
) -> None:
    page = context.new_page()
    page.goto(address + "/page/styleguide_sign_in")
    page.route("**/later", lambda route: route.fulfill(body=LATER, content_type="text/html"))
    page.evaluate("htmx.ajax('GET', '/later', { target: '#main', swap: 'innerHTML' })")
    page.locator("input[data-table-filter]").fill("二")
    expect(page.locator("#rows tbody tr:visible")).to_have_count(1)


def test_the_language_switch_turns_the_page_and_the_station(context: BrowserContext, address: str) -> None:
    page = context.new_page()
    page.goto(address + STATION)
    page.get_by_text("English").click()
    expect(page.locator("h1")).to_have_text("Receive")
    expect(page.locator("#scan-box")).to_be_focused()
    scan(page, box(1))
    expect(page.locator("[data-scan-tally]")).to_contain_text("short")


def test_the_navigation_opens_on_a_phone_without_script(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "/page/styleguide")
    expect(page.locator("#nav")).not_to_be_visible()
    page.locator(".dock a", has_text="全部").click()
    expect(page.locator("#nav")).to_be_visible()
    context.close()


def test_the_camera_of_a_phone_reads_a_code_into_the_list(
    play: Playwright, address: str, seen: Counter, tmp_path: Path
) -> None:
    """The browser's fake camera shows a QR code; the decoder runs under the content security policy."""
    film(tmp_path / "code.y4m", box(42))
    seen.clear()
    args = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ]
    args.append(f"--use-file-for-fake-video-capture={tmp_path / 'code.y4m'}")
    browser = play.chromium.launch(executable_path=CHROMIUM, args=args)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(address + STATION)
    alive(page, "[data-scan-station]")
    page.locator("[data-scan-camera]").click()
    expect(page.locator(".camera-count")).to_have_text("已扫 1 个", timeout=LATER_MS)
    page.get_by_text("完成", exact=True).click()
    expect(page.locator("[data-scan-filter=ok] b")).to_have_text("1")
    expect(page.locator("#scan-box")).to_be_focused()
    browser.close()
    assert seen.checked == [box(42)]


def film(path: Path, text: str) -> None:
    """A short grey film of one QR code, in the plain format a fake camera plays."""
    rows = [list(row) for row in segno.make_qr(text, error="m").matrix_iter(scale=12, border=4)]
    height, width = 480, 640
    picture = bytearray(b"\xeb" * (width * height))
    top, left = (height - len(rows)) // 2, (width - len(rows[0])) // 2
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                picture[(top + y) * width + left + x] = 16
    frame = b"FRAME\n" + bytes(picture) + b"\x80" * (width * height // 2)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420\n".encode() + frame * 10)
