"""Take the pictures of the README from a running demo.

    make demo                                  # in one terminal
    python tools/screenshots.py [--url http://127.0.0.1:8600] [--data data] [--only receive]

Signs in with the demo accounts, goes to the pages, scans like a keyboard wedge, and leaves docs/images/*.png:
at most 256 colours each, which pages of text and lines do not miss. Nothing is submitted.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from yaosu.simulate.setup import PASSWORD
from yaosu.simulate.state import DemoState, load
from yaosu.simulate.texts import public_page

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DESK, TALL, PHONE = (1366, 768), (1366, 1240), (390, 844)
BYTES_MAX = 150_000
PIXELS = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, image.width, image.height).data;
  let text = "";
  for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
  return { width: image.width, height: image.height, data: btoa(text) };
}"""


def palette_png(width: int, height: int, rgba: bytes) -> bytes:
    """A PNG with the 256 most used colours; every other pixel takes the nearest of them."""
    pixels = np.frombuffer(rgba, dtype=np.uint8).reshape(-1, 4)[:, :3]
    packed = (pixels.astype(np.uint32) * np.array([65536, 256, 1], dtype=np.uint32)).sum(axis=1)
    colours, index, counts = np.unique(packed, return_inverse=True, return_counts=True)
    parts = np.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=1).astype(np.int32)
    # close shades first become one, so that rare but different colours keep a place
    kept: list[int] = []
    for n in np.argsort(-counts)[:6000].tolist():
        if len(kept) == 256:
            break
        if not kept or (np.abs(parts[kept] - parts[n]).max(axis=1) > 6).all():
            kept.append(n)
    chosen = parts[kept]
    nearest = np.empty(len(colours), dtype=np.uint8)
    for at in range(0, len(colours), 4096):
        block = parts[at : at + 4096, None, :] - chosen[None, :, :]
        nearest[at : at + 4096] = (block * block).sum(axis=2).argmin(axis=1)
    rows = nearest[index].reshape(height, width)
    raw = np.concatenate([np.zeros((height, 1), dtype=np.uint8), rows], axis=1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", chosen.astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + chunk(b"IEND", b"")
    )


class Camera:
    """Goes to pages as somebody and takes pictures."""

    def __init__(self, browser: Browser, base: str, demo: DemoState, data: Path) -> None:
        self.browser = browser
        self.base = base
        self.demo = demo
        self.data = data

    def page(self, login: str, size: tuple[int, int] = DESK) -> Page:
        """A page of somebody signed in; of nobody when `login` is empty."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale="zh-CN", timezone_id="Asia/Shanghai"
        )
        page = context.new_page()
        if login:
            page.goto(f"{self.base}/login")
            page.fill("input[name=login]", login)
            page.fill("input[name=password]", PASSWORD)
            page.press("input[name=password]", "Enter")
            page.wait_for_url(lambda url: "/login" not in url)
        return page

    def save(self, page: Page, name: str) -> None:
        """The picture, made small."""
        page.wait_for_load_state("networkidle")
        shot = page.screenshot(animations="disabled")
        bench = self.browser.new_page()
        pixels = bench.evaluate(PIXELS, base64.b64encode(shot).decode())
        bench.close()
        made = palette_png(pixels["width"], pixels["height"], base64.b64decode(pixels["data"]))
        IMAGES.mkdir(parents=True, exist_ok=True)
        (IMAGES / f"{name}.png").write_bytes(made)
        print(f"{name}.png  {len(made) // 1000} kB")
        if len(made) > BYTES_MAX:
            raise SystemExit(f"{name}.png is larger than {BYTES_MAX // 1000} kB")

    def api(self, login: str, path: str, **params: str) -> dict[str, object]:
        """An answer of the API to somebody."""
        with httpx.Client(base_url=f"{self.base}/api/v1", trust_env=False) as client:
            client.post("/sessions", json={"login": login, "password": PASSWORD}).raise_for_status()
            answer: dict[str, object] = client.get(path, params=params).raise_for_status().json()
            return answer

    # -- the pictures ----------------------------------------------------------------------------------------------

    def overview(self) -> None:
        """Today's duties of a pharmacy."""
        page = self.page("pharmacy")
        page.goto(f"{self.base}/")
        self.save(page, "overview")

    def receive(self) -> None:
        """The scan station in the middle of a receipt: matched scans and one that does not belong."""
        example = self.demo.examples["notice_pharmacy"]
        found = self.api("pharmacy", "/notices", state="open")
        notices: list[dict[str, object]] = found["items"]  # type: ignore[assignment]
        bill = next(n["bill_id"] for n in notices if n["bill_no"] == example.bill_no)
        tree: list[dict[str, str]] = self.api("pharmacy", f"/notices/{bill}")["packages"]  # type: ignore[assignment]
        page = self.page("pharmacy")
        page.goto(f"{self.base}/receive/{bill}")
        for code in (*(p["code"] for p in tree[:2]), self.demo.examples["no_notice"].code, tree[2]["code"]):
            page.keyboard.type(code)
            page.keyboard.press("Enter")
            page.wait_for_timeout(500)
        self.save(page, "receive")

    def trace(self) -> None:
        """Where a box has been, told from its own events and those of the packages around it."""
        page = self.page("regulator", TALL)
        page.goto(f"{self.base}/trace?code={self.demo.examples['sample'].code}")
        self.save(page, "trace")

    def public(self) -> None:
        """What a consumer sees on a phone."""
        page = self.page("", PHONE)
        page.goto(public_page(self.base, self.demo.examples["sample"].code))
        self.save(page, "public-phone")

    def recall(self) -> None:
        """How far a recall is: what each holder has done, as the maker sees it."""
        told = json.loads((self.data / "stories.json").read_text("utf-8"))["stories"]
        page = self.page("maker")
        page.goto(self.base + next(s for s in told if s["key"] == "recall")["steps"][0]["link"])
        self.save(page, "recall")


def main() -> int:
    """Take them all, or the one named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8600")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument(
        "--only", default="", choices=["", "overview", "receive", "trace", "public", "recall"]
    )
    chosen = parser.parse_args()
    demo = load(chosen.data)
    if demo is None or not demo.ready:
        print(f"no finished demo province in {chosen.data}", file=sys.stderr)
        return 1
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--lang=zh-CN"],
            env={**os.environ, "LANG": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"},
        )
        camera = Camera(browser, chosen.url.rstrip("/"), demo, chosen.data)
        pictures: list[Callable[[], None]] = [
            camera.overview, camera.receive, camera.trace, camera.public, camera.recall,
        ]  # fmt: skip
        for picture in pictures:
            if chosen.only in ("", picture.__name__):
                picture()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
