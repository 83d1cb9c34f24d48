"""Pages hold to the content security policy, speak both languages and show each duty to those who have it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from web.rendering import WHOLESALER, page
from yaosu.edge.pages import WEB, china
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.xietong import client
from yaosu.subject import ADMIN, ANONYMOUS, Subject

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
SAMPLES = ["styleguide.html", "styleguide_scan.html", "styleguide_sign_in.html"]
CHINESE = re.compile(r"[\u3400-\u9fff]")

sys.path.insert(0, str(ROOT / "tools"))
import i18n  # noqa: E402


def of(org_type: str, *scopes: str) -> Subject:
    return Subject(
        kind="account", org_id=1, org_type=org_type, role="reader", scopes=frozenset(scopes), name="单位"
    )


def nav(subject: Subject) -> set[str]:
    side = page("styleguide.html", subject=subject).split('id="nav"')[1].split("</nav>")[0]
    return set(re.findall(r'<li><a href="([^"]+)"', side))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_no_template_has_an_inline_script_style_or_handler(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "inline script"
    assert "<style" not in text
    assert not re.search(r"\sstyle\s*=", text), "style attribute"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "event handler"
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", text), "an address outside"


def test_every_string_of_the_web_ground_has_english() -> None:
    own = {"base.html", "plain.html", "error.html", *SAMPLES} | {
        f"_components/{n}.html" for n in ("ui", "scan", "nav", "icons")
    }
    catalog = i18n.load()
    wanted = [
        message.id
        for message in i18n.collected()
        if message.id and any(place.removeprefix("web/templates/") in own for place, _ in message.locations)
    ]
    assert len(wanted) > 120
    assert [w for w in wanted if not getattr(catalog.get(w), "string", "")] == []


@pytest.mark.parametrize("template", SAMPLES)
def test_the_english_page_has_no_chinese_but_data_and_the_switch(template: str) -> None:
    text = page(template, lang="en")
    text = re.sub(r'<a class="top-link".*?</a>', "", text, flags=re.S).replace("药溯", "")
    left = {line.strip() for line in text.splitlines() if CHINESE.search(line)}
    data = ("正骨水", "示例", "广西", "南宁", "柳州", "国药准字")
    assert [line for line in left if not any(word in line for word in data)] == []


def test_a_wholesaler_sees_trade_but_neither_code_requests_nor_the_till() -> None:
    seen = nav(WHOLESALER)
    assert {"/", "/ship", "/receive", "/quarantine", "/stock", "/trace", "/packing"} <= seen
    assert not {"/code-requests", "/relations", "/sell", "/consumer-returns", "/filings"} & seen


def test_a_maker_sees_production_and_a_pharmacy_the_till() -> None:
    assert {"/code-requests", "/relations", "/packing", "/filings"} <= nav(of("1", ADMIN))
    pharmacy = nav(of("4", ADMIN))
    assert {"/sell", "/consumer-returns", "/receive"} <= pharmacy
    assert "/relations" not in pharmacy


def test_the_regulator_is_not_taken_for_a_maker() -> None:
    seen = nav(of("110", "trace.read", "stock.read", "product.read", "org.read"))
    assert {"/stock", "/trace", "/filings"} <= seen
    assert not {"/code-requests", "/ship", "/users"} & seen


def test_a_reader_without_a_permission_does_not_see_its_entry() -> None:
    assert "/users" not in nav(of("2", "trace.read"))
    assert "/ship" not in nav(of("2", "trace.read"))


def test_a_hostile_name_and_code_are_shown_as_text() -> None:
    hostile = "<script>alert(1)</script>"
    subject = Subject(
        kind="account", org_id=1, org_type="2", role=hostile, scopes=frozenset({ADMIN}), name=hostile
    )
    error = YaosuError(
        "invalid_request",
        {"count": 1},
        [Finding("field_invalid", {"field": hostile, "reason": '"'}, hostile)],
    )
    text = page("error.html", {"error": error, "body": error.as_json("zh")}, subject=subject)
    assert hostile not in text
    assert text.count("&lt;script&gt;") >= 3


def test_the_error_page_tells_what_is_wrong_where_and_what_to_do_with_and_without_sign_in() -> None:
    error = YaosuError(
        "invalid_request",
        {"count": 1},
        [Finding("field_invalid", {"field": "qty", "reason": "应为整数"}, "line 12")],
    )
    for subject in (WHOLESALER, ANONYMOUS):
        text = page("error.html", {"error": error, "body": error.as_json("zh")}, subject=subject)
        for part in (error.entry.zh.replace("{count}", "1"), error.entry.next_zh, "line 12", "qty：应为整数"):
            assert part in text
        assert ('id="nav"' in text) is (subject is WHOLESALER)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two colours."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_its_ground() -> None:
    css = (WEB / "assets" / "css" / "tokens.css").read_text()
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))
    pairs = [
        (text, ground)
        for text in ("ink", "ink-2", "ink-3", "teal-700")
        for ground in ("paper", "paper-2", "ground")
    ]
    pairs += [(tone, f"{tone}-bg") for tone in ("ok", "warn", "refused", "info")]
    pairs += [(tone, "paper") for tone in ("ok", "warn", "refused", "info")] + [("paper", "teal-700")]
    weak = {pair: round(contrast(*(colour[p] for p in pair)), 2) for pair in pairs}
    assert {pair: value for pair, value in weak.items() if value < 4.5} == {}


def test_the_lock_names_every_package_by_hash_and_none_by_address() -> None:
    text = (WEB / "package-lock.json").read_text("utf-8")
    assert "http" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in p and "resolved" not in p for name, p in packages.items() if name)


def test_built_assets_are_named_by_content_and_a_second_build_does_nothing() -> None:
    build = [sys.executable, str(ROOT / "tools" / "build_assets.py")]
    subprocess.run(build, check=True, capture_output=True)
    manifest = json.loads((WEB / "static" / "dist" / "manifest.json").read_text())
    for name in ("app.js", "app.css", "icon.svg"):
        assert (WEB / "static" / "dist" / manifest[name]).stat().st_size > 0
        assert manifest[name] != name
    licences = (WEB / "static" / "dist" / "licences.txt").read_text("utf-8")
    assert all(name in licences for name in ("htmx.org", "echarts", "zrender", "zxing-wasm"))
    assert len(licences) > 10_000
    again = subprocess.run(build, check=True, capture_output=True, text=True)
    assert "up to date" in again.stdout


def test_moments_are_shown_in_china_time_whatever_the_server_runs_on() -> None:
    assert china(datetime(2026, 11, 21, 23, 22, tzinfo=UTC)) == "2026-11-22 07:22"


@pytest.mark.parametrize("said", [{}, {"org": 25}, {"error": {"code": "TimeoutError"}}, {"refused": [{}]}])
def test_what_came_from_a_platform_is_shown_whatever_was_noted_of_it(said: dict[str, Any]) -> None:
    item = {
        "id": 3, "n": 3, "sub_type": "2003", "usc_id": "", "state": "done", "bill_id": None, "said": said,
        "received_at": "2026-11-22T14:40:19+08:00",
    }  # fmt: skip
    link: Any = SimpleNamespace(id=4, title="平台", url="https://platform.example")
    context = {
        "standing": client.Standing(link, {}, {}, 0, None, ""),
        "show": "inbox", "only": "", "items": [item], "sub_types": {}, "next": "",
    }  # fmt: skip
    assert "2026-11-22 14:40:19" in page("exchange/xietong_connection.html", context)
