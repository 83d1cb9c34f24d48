"""Enterprise-defined codes by registered pattern."""

from __future__ import annotations

import time

import pytest

from yaosu.codes import CustomPattern, NotACode, Scheme, TraceCode, check_issuer, check_pattern, parse

ACME = CustomPattern("acme", "Acme", r"AC(?P<batch>[0-9]{4})-(?P<serial>[0-9A-Z]{8})", "upper")
CODE = "83857930000879766660"


def test_a_registered_code_is_read_with_its_parts() -> None:
    code = parse("ac2601-00ab12cd\r\n", [ACME])
    assert isinstance(code, TraceCode)
    assert (code.text, code.scheme, code.prefix) == ("acme:AC2601-00AB12CD", Scheme.CUSTOM, "acme")
    assert (code.serial, code.batch, code.notes) == ("00AB12CD", "2601", ("note_upper_cased",))


def test_without_its_pattern_the_same_text_is_unknown() -> None:
    answer = parse("AC2601-00AB12CD")
    assert isinstance(answer, NotACode)
    assert answer.code == "code_unknown"


def test_a_text_that_fits_two_issuers_is_not_guessed() -> None:
    other = CustomPattern("other", "Other", r"AC\d{4}-\w{8}")
    answer = parse("AC2601-00AB12CD", [ACME, other])
    assert isinstance(answer, NotACode)
    assert answer.code == "code_ambiguous"
    assert answer.params["readings"] == "acme:AC2601-00AB12CD | other:AC2601-00AB12CD"


def test_a_registered_address_is_read_as_the_issuers_code() -> None:
    web = CustomPattern("web", "Web", r"https://t\.example\.cn/q/[A-Z0-9]{10}")
    code = parse("https://t.example.cn/q/AB12CD34EF", [web])
    assert isinstance(code, TraceCode)
    assert code.prefix == "web"


@pytest.mark.parametrize("raw", [CODE, "6924561884074", "(01)06924561884075(21)A"])
def test_standard_forms_win_over_patterns(raw: str) -> None:
    wide = CustomPattern("wide", "Wide", r"[A-Z][0-9A-Z]{5,30}")
    assert parse(raw, [wide]) == parse(raw)


@pytest.mark.parametrize(
    "regex",
    [r"AC\d{10}", r"[A-Z]{2}-?\d{8,12}", r"(?:AB|CD)\d{9}", r"X[^0-9]{3}\d+", r"(?P<serial>Y\d{9})Z?"],
)
def test_a_plain_pattern_is_accepted(regex: str) -> None:
    assert check_pattern(regex) is None


@pytest.mark.parametrize(
    ("regex", "code"),
    [
        ("", "pattern_empty"),
        (r"(\d+)+x", "pattern_unsafe"),
        (r"(a|aa)+b", "pattern_unsafe"),
        (r"(?:(?:a))b", "pattern_unsafe"),
        (r"a*a*a*a*b", "pattern_unsafe"),
        (r"(?=a)a", "pattern_unsafe"),
        (r"(?i)abc", "pattern_unsafe"),
        (r"(A)\1", "pattern_unsafe"),
        (r"a{1,100000}", "pattern_unsafe"),
        (r"a**", "pattern_unsafe"),
        (r"a++", "pattern_unsafe"),
        (r"a+?", "pattern_unsafe"),
        (r"[abc", "pattern_unsafe"),
        (r"(abc", "pattern_unsafe"),
        (r"abc)", "pattern_unsafe"),
        (r"^abc$", "pattern_unsafe"),
        (r"abc\Z", "pattern_unsafe"),
        (r"[z-a]", "pattern_syntax"),
        (r"(?P<a>x)(?P<a>y)", "pattern_syntax"),
        (r"A?", "pattern_matches_empty"),
        (r"\d{20}", "pattern_matches_standard"),
        (r"\d{13}", "pattern_matches_standard"),
        (r".+", "pattern_matches_standard"),
        ("A" * 201, "pattern_too_long"),
        ("药\\d{9}", "pattern_characters"),
    ],
)
def test_a_dangerous_or_greedy_pattern_is_refused_with_its_reason(regex: str, code: str) -> None:
    problem = check_pattern(regex)
    assert problem is not None
    assert problem.code == code
    with pytest.raises(ValueError, match=code):
        CustomPattern("acme", "Acme", regex)


def test_the_worst_accepted_pattern_stays_fast() -> None:
    worst = CustomPattern("worst", "Worst", r"A[A-Z]*[A-Z]*[A-Z]*!")
    took = []
    for _ in range(3):
        start = time.process_time()
        parse("A" * 100, [worst])
        took.append(time.process_time() - start)
    # the quickest: what else the process clears away in between is not the pattern's
    assert min(took) < 0.1


@pytest.mark.parametrize("issuer", ["", "A", "a", "http", "https", "sscc", "a:b", "1ab", "a" * 21])
def test_an_issuer_key_that_could_be_confused_is_refused(issuer: str) -> None:
    problem = check_issuer(issuer)
    assert problem is not None
    assert problem.code == "pattern_issuer"
