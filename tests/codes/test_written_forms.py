"""One code in every way that labels, scanners, links and people write it is one code; two codes never become one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.codes import NotACode, Scheme, TraceCode, parse
from yaosu.codes.gs1 import CHARSET_82

GTIN, GS = "06924561884074", "\x1d"
WIDE = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}
# characters that never begin something else: brackets and the like have tests of their own
_PLAIN = "".join(sorted(CHARSET_82 - set("()'\"%&?<>/;:=,+*!._-")))
serials = st.text(_PLAIN, min_size=1, max_size=20)
batches = st.text(_PLAIN, min_size=1, max_size=20)
hosts = st.sampled_from(["id.gs1.org", "yaopin.example.cn", "x.cn:8443", "a-b.example.com/zhuisu/m"])

FORMS: list[Callable[[str, str], str]] = [
    lambda s, b: f"(01){GTIN}(21){s}(10){b}",
    lambda s, b: f"(17)281231(10){b}(01){GTIN}(21){s}",
    lambda s, b: f"（01）{GTIN}（21）{s}（10）{b}",
    lambda s, b: f"[01]{GTIN}[10]{b}[21]{s}",
    lambda s, b: f"(01) {GTIN} (21) {s}",
    lambda s, b: f"01 {GTIN} 17 281231 10 {b} 21 {s}",
    lambda s, b: f"]d201{GTIN}21{s}{GS}10{b}",
    lambda s, b: f"]C1{GS}01{GTIN}10{b}{GS}21{s}",
    lambda s, b: f"]Q301{GTIN}1728123110{b}{GS}21{s}",
    lambda s, b: f"{GS}01{GTIN}21{s}{GS}10{b}{GS}",
    lambda s, b: f"01{GTIN}21{s}<GS>10{b}".translate({}),
    lambda s, b: f"(01){GTIN}(21){s}".translate(WIDE),
    lambda s, b: f"01{GTIN}10{b}{GS}21{s}".translate(WIDE),
]


def text_of(raw: str) -> str:
    found = parse(raw)
    assert isinstance(found, TraceCode), (raw, found)
    return found.text


@given(serials, batches, st.sampled_from(range(len(FORMS))))
def test_an_element_string_in_any_form_is_one_code(serial: str, batch: str, form: int) -> None:
    assert text_of(FORMS[form](serial, batch)) == f"(01){GTIN}(21){serial}"


@given(serials, batches, hosts, st.permutations(["17=281231", "linkType=gs1:pip", "utm=1"]), st.booleans())
def test_a_link_of_any_domain_and_order_is_one_code(
    serial: str, batch: str, host: str, more: list[str], short: bool
) -> None:
    asked = "&".join(more)
    found = {
        text_of(raw)
        for raw in (
            f"https://{host}/01/{GTIN}/21/{quote(serial, safe='')}?{asked}",
            f"https://{host}/01/{GTIN}/10/{quote(batch, safe='')}/21/{quote(serial, safe='')}?{asked}",
            f"http://{host}/01/{GTIN[1:] if short else GTIN}?{asked}&21={quote(serial, safe='')}",
            f"https://{host}/?21={quote(serial, safe='')}&{asked}&01={GTIN}",
        )
    }
    assert found == {f"(01){GTIN}(21){serial}"}


@given(serials, serials)
def test_two_serial_numbers_stay_two_codes(one: str, other: str) -> None:
    for form in FORMS:
        assert (text_of(form(one, "B")) == text_of(form(other, "B"))) == (one == other)


@given(st.from_regex(r"8[0-9]{19}", fullmatch=True))
def test_twenty_digits_stay_themselves_in_every_wrapping(code: str) -> None:
    groups = f"{code[:5]} {code[5:10]} {code[10:15]} {code[15:]}"
    wrapped = (
        *(code, f"]C0{code}", f"]d1{code}", f"]Q1{code}", f"\x02{code}\x03", f"'{code}", f'="{code}"'),
        *(code.translate(WIDE), f"追溯码：{code}", groups, f"https://t.example.cn/q?c={code}"),
        *(f"HTTP://T.EXAMPLE.CN/{code}", f"https://x.cn/m/{code}?from=scan#top"),
    )
    assert {text_of(raw) for raw in wrapped} == {code}
    found = parse(code)
    assert isinstance(found, TraceCode) and found.scheme is Scheme.CN20


@given(st.from_regex(r"8[0-9]{19}", fullmatch=True), st.sampled_from([1, 2]))
def test_twenty_digits_that_were_a_number_are_lost_and_said_so(code: str, places: int) -> None:
    written = f"{float(code):.{places}f}"
    found = parse(written)
    assert isinstance(found, NotACode) and found.code == "code_was_number"
    exact = parse(f"{code}.{'0' * places}")
    assert (isinstance(exact, TraceCode) and exact.text == code) or float(code) == int(code)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (f"01 {GTIN} 10 B1", "code_gs1_no_serial"),
        (f"01 {GTIN[:-1]}5 21 ABC", "gtin_check_digit"),
        ("21 ABC 10 B1", "code_unknown"),
        (f"https://x.cn/?01={GTIN}", "code_url_without_code"),
        (f"https://x.cn/?01={GTIN[:-1]}5&21=ABC", "gtin_check_digit"),
    ],
)
def test_half_a_code_is_refused_with_what_is_wrong(raw: str, code: str) -> None:
    found = parse(raw)
    assert isinstance(found, NotACode) and found.code == code
