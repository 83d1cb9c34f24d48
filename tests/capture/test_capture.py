"""All codes of a case or a shelf in one capture: every family, wherever they stand, and nothing dropped (R-I2)."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import zxingcpp
from PIL import Image, ImageOps
from typer.testing import CliRunner

from access.helpers import PASSWORD, key_headers, make_account
from capture.pictures import jpeg, label, shelf
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.capture import service
from yaosu.capture.commands import app
from yaosu.capture.decode import Symbol, _misread, decode
from yaosu.db.engine import Pool
from yaosu.registry.resolver import Registry

ROOT = Path(__file__).parents[2]
GS1 = [f"01069012345678922109{n:04d}" for n in range(4)]
RETAIL = "6924561884074"


@dataclass
class Trade:
    market: Market
    goods: Goods
    headers: dict[str, str]
    login: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trade(pool: Pool, client: httpx.AsyncClient) -> Trade:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=1, per_case=10)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        _, login = await make_account(conn, market.wholesaler, "warehouse")
        return Trade(market, goods, await key_headers(conn, market.wholesaler), login)


def test_forty_labels_askew_in_shadow_are_all_read_with_their_places() -> None:
    linear = [f"8385793{n:013d}" for n in range(28)]
    matrix = [f"8385794{n:013d}" for n in range(10)]
    picture = shelf(linear, matrix, [RETAIL, "6901234567892"])
    found = decode(picture)
    assert {s.text for s in found} == {*linear, *matrix, RETAIL, "6901234567892"}
    assert len(found) == 40
    first = next(s for s in found if s.text == linear[0])
    x, y = first.middle
    assert abs(x - 280) < 40 and abs(y - 165) < 40


def test_a_line_read_wrongly_across_a_retail_barcode_is_no_code_of_its_own() -> None:
    linear = [f"8385794{n:013d}" for n in range(20)]
    matrix = [f"010692456188407521ABC{n:05d}" for n in range(30)]
    retail = [f"69{n:010d}" for n in range(10)]
    found = decode(shelf(linear, matrix, retail).rotate(90, expand=True))
    assert {s.text for s in found if s.format == "Code128"} <= set(linear)
    assert {s.text[:12] for s in found if s.text.startswith("69") or "EAN" in s.format} == set(retail)
    thin = Symbol("6200100000090", "EAN-13", ((58.0, 14.0), (58.0, 1.0), (55.0, 1.0), (55.0, 14.0)))
    whole = Symbol("6900000000090", "EAN-13", ((99.0, 14.0), (99.0, 1.0), (17.0, 1.0), (17.0, 14.0)))
    beside = Symbol("6900000000083", "EAN-13", ((99.0, 34.0), (99.0, 21.0), (17.0, 21.0), (17.0, 34.0)))
    assert _misread(thin, whole) and not _misread(whole, thin)
    assert not _misread(thin, beside) and not _misread(beside, whole) and not _misread(thin, thin)


def test_labels_lying_at_any_angle_are_found() -> None:
    codes = [f"8385793{n:013d}" for n in range(8)]
    picture = shelf(codes[:4], codes[4:], tilt=0)
    for angle in (17, 90, 180, 215, 301):
        turned = picture.rotate(angle, expand=True, fillcolor=(203, 196, 187))
        found = decode(turned)
        assert {s.text for s in found} == set(codes), angle
        for one in found:
            assert all(
                -20 <= x <= turned.width + 20 and -20 <= y <= turned.height + 20 for x, y in one.corners
            )


async def test_a_shelf_gives_codes_with_verdicts_and_says_what_the_rest_is(
    client: httpx.AsyncClient, trade: Trade
) -> None:
    boxes = trade.goods.boxes[:6]
    content = jpeg(shelf([*boxes, trade.goods.cases[0]], [boxes[0]], [RETAIL]))
    answer = await client.post(
        "/api/v1/captures?verify=true",
        content=content,
        headers={**trade.headers, "content-type": "image/jpeg"},
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body["codes"]) == {*boxes, trade.goods.cases[0]} and len(body["codes"]) == 7
    assert len(body["symbols"]) == 9
    twins = [s for s in body["symbols"] if s["code"] == boxes[0]]
    assert sorted(s["repeat"] for s in twins) == [False, True]
    (barcode,) = [s for s in body["symbols"] if s["kind"] == "retail"]
    assert barcode["raw"] == RETAIL and "商品条码" in barcode["message"]
    seen = next(s for s in body["symbols"] if s["code"] == boxes[1])
    assert seen["verdict"]["status"]["code"] == "I" and seen["products"][0]["drug_id"] == trade.goods.drug_id


async def test_what_was_read_moves_as_a_bill(client: httpx.AsyncClient, trade: Trade, pool: Pool) -> None:
    boxes = trade.goods.boxes[6:9]
    content = jpeg(shelf([], boxes))
    found = await client.post("/api/v1/captures", content=content, headers=trade.headers)
    async with pool.acquire() as conn:
        market = replace(trade.market, conn=conn)
        result = await market.move(201, market.wholesaler, found.json()["codes"], to_org=market.pharmacy)
    assert result.status == "accepted" and result.qty == 3


async def test_the_marked_picture_shows_what_was_read(client: httpx.AsyncClient, trade: Trade) -> None:
    plain = shelf(trade.goods.boxes[:2], [], [RETAIL], shadow=False)
    answer = await client.post("/api/v1/captures/picture", content=jpeg(plain), headers=trade.headers)
    assert answer.headers["content-type"] == "image/jpeg"
    marked = Image.open(io.BytesIO(answer.content)).convert("RGB").resize(plain.size)
    pixels = [marked.getpixel((x, y)) for x in range(0, plain.width, 2) for y in range(0, plain.height, 2)]
    green = sum(1 for r, g, b in pixels if g > 100 and r < 70 and b < 110)
    amber = sum(1 for r, g, b in pixels if r > 150 and 60 < g < 120 and b < 60)
    assert green > 400 and amber > 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "photo_unreadable"),
        (b"<svg/>", "photo_unreadable"),
        (b"\xff\xd8\xff" + b"\x00" * 100, "photo_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * (service.BYTES_MAX + 1), "photo_too_large"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 99, "photo_heic"),
        (jpeg(Image.new("RGB", (400, 300), "white")), "capture_nothing"),
    ],
)
async def test_what_is_no_picture_of_codes_is_refused_with_the_reason(
    client: httpx.AsyncClient, trade: Trade, content: bytes, code: str
) -> None:
    answer = await client.post("/api/v1/captures", content=content, headers=trade.headers)
    assert answer.status_code in (413, 422), answer.text
    assert answer.json()["code"] == code


def test_one_code_at_two_places_is_told_and_two_symbols_of_one_box_are_not() -> None:
    one, other = "83857940000879766660", "83857940000879766661"
    picture = shelf([one, other, one], [other], tilt=3)
    reads = service.classify(Registry(), decode(picture))
    found = service.Capture(picture.width, picture.height, reads, picture)
    assert sorted(found.codes) == [one, other]
    assert {c: len(n) for c, n in found.copies.items()} == {one: 2}
    (told,) = service.as_json(Registry(), found, "zh")["copies"]  # type: ignore[misc]
    assert told["message"] == f"码 {one} 在照片中出现在 2 处" and "复制" in told["next"]
    frames = {r.n: r.symbol.middle for r in reads}
    (a, b) = (frames[n] for n in told["symbols"])
    assert abs(a[0] - b[0]) > 900


def plain_png(mode: str) -> bytes:
    """A label drawn in black on nothing, or bright on dark."""
    drawn = label("83857940000879766660", zxingcpp.BarcodeFormat.Code128, 2).convert("L")
    if mode == "inverted":
        made = ImageOps.invert(drawn)
    else:
        made = Image.new("RGBA", drawn.size, (0, 0, 0, 0))
        made.putalpha(ImageOps.invert(drawn))
        made = made.quantize(4) if mode == "palette" else made
    out = io.BytesIO()
    made.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("mode", ["transparent", "palette", "inverted"])
def test_a_label_on_nothing_or_bright_on_dark_is_read(mode: str) -> None:
    _, symbols = service._work(plain_png(mode))
    assert [s.text for s in symbols] == ["83857940000879766660"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photo_is_turned_upright_as_the_telephone_held_it(turn: int) -> None:
    upright = shelf(["83857940000879766660"], tilt=0)
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x112] = turn
    upright.save(out, "JPEG", exif=exif)
    picture, symbols = service._work(out.getvalue())
    assert (picture.width > picture.height) == (turn < 5)
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for s in symbols for x, y in s.corners)
    assert len(symbols) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 3_000), (3_000, 2)])
def test_pictures_of_a_few_pixels_hold_nothing(size: tuple[int, int]) -> None:
    assert decode(Image.new("RGB", size, "white")) == []


async def test_a_stranger_learns_the_box_and_not_who_has_it(client: httpx.AsyncClient, trade: Trade) -> None:
    content = jpeg(shelf([trade.goods.boxes[9]]))
    assert (await client.post("/api/v1/captures", content=content)).status_code == 401


def test_the_command_reads_and_marks(
    trade: Trade, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    photo, out = tmp_path / "shelf.jpg", tmp_path / "marked.jpg"
    photo.write_bytes(jpeg(shelf(trade.goods.boxes[:3])))
    done = CliRunner().invoke(app, ["read", str(photo), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.output)["codes"]) == set(trade.goods.boxes[:3])
    assert out.read_bytes().startswith(b"\xff\xd8\xff")


@pytest.mark.browser
@pytest.mark.slow
def test_the_page_reads_a_photo_in_the_browser_and_the_station_takes_one(
    trade: Trade, database: str, tmp_path: Path
) -> None:
    from playwright.sync_api import expect, sync_playwright

    from journey.world import alive, serving

    subprocess.run([sys.executable, str(ROOT / "tools" / "build_assets.py")], check=True, capture_output=True)
    boxes = trade.goods.boxes[:4]
    photo = tmp_path / "shelf.jpg"
    photo.write_bytes(jpeg(shelf(boxes[:2], boxes[2:], [RETAIL])))
    with serving(database, tmp_path / "data") as base, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium",
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ],
        )
        page = browser.new_context(base_url=base, viewport={"width": 1366, "height": 768}).new_page()
        page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
        page.goto("/login")
        page.fill("[name=login]", trade.login)
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("今日工作")
        page.goto("/capture")
        alive(page, "[data-capture]")
        page.set_input_files("[data-capture-file]", photo)
        expect(page.locator("[data-capture-count]")).to_have_text("4", timeout=60_000)
        expect(page.locator(".capture-row--ok")).to_have_count(4)
        expect(page.locator(".capture-row--warn")).to_have_count(1)
        expect(page.locator(".capture-photo polygon")).to_have_count(5)
        page.locator("[data-capture-server]").click()
        expect(page.locator(".capture-photo polygon.ok")).to_have_count(4)
        page.goto("/ship")
        alive(page, "[data-scan-station]")
        page.locator("[data-scan-camera]").click()
        page.set_input_files(".camera input[type=file]", photo)
        expect(page.locator(".camera-count")).to_have_text("已扫 5 个", timeout=60_000)
        page.get_by_text("完成", exact=True).click()
        expect(page.locator("[data-scan-filter=ok] b")).to_have_text("4")
        browser.close()
