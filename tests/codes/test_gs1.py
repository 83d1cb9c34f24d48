"""The table of GS1 application identifiers and the strict reader."""

from __future__ import annotations

import pytest

from yaosu.codes.gs1 import AI_LENGTH, AI_TABLE, GS, ElementProblem, ai_at, read_bracketed, read_elements


def test_no_identifier_is_the_beginning_of_another() -> None:
    for ai in AI_TABLE:
        assert not any(other != ai and other.startswith(ai) for other in AI_TABLE)
        assert AI_LENGTH[ai[:2]] == len(ai)


@pytest.mark.parametrize(
    ("ai", "low", "high", "numeric", "predefined"),
    [
        ("00", 18, 18, True, True),
        ("01", 14, 14, True, True),
        ("10", 1, 20, False, False),
        ("17", 6, 6, True, True),
        ("20", 2, 2, True, True),
        ("21", 1, 20, False, False),
        ("30", 1, 8, True, False),
        ("3103", 6, 6, True, True),
        ("3922", 1, 15, True, False),
        ("402", 17, 17, True, False),
        ("414", 13, 13, True, True),
        ("422", 3, 3, True, False),
        ("7003", 10, 10, True, False),
        ("8008", 8, 12, True, False),
        ("99", 1, 90, False, False),
    ],
)
def test_lengths_and_kinds_of_the_table(
    ai: str, low: int, high: int, numeric: bool, predefined: bool
) -> None:
    assert AI_TABLE[ai] == (low, high, numeric, predefined)


@pytest.mark.parametrize("ai", ["05", "09", "14", "19", "29", "38", "88"])
def test_identifiers_that_do_not_exist_are_not_made_up(ai: str) -> None:
    assert ai_at(ai + "123456", 0) is None


def test_elements_of_all_kinds_are_read_in_order() -> None:
    text = f"0106924561884074422156{GS}3103001234{'10'}AB{GS}{GS}30100{GS}7003261231{'1200'}{GS}21X"
    assert read_elements(text) == {
        "01": "06924561884074",
        "422": "156",
        "3103": "001234",
        "10": "AB",
        "30": "100",
        "7003": "2612311200",
        "21": "X",
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0106924561884074 21A", "code_gs1_unknown_ai"),
        ("01069245618840", "code_gs1_length"),
        (f"01069245{GS}21A", "code_gs1_length"),
        ("422156210", "code_gs1_length"),
        (f"10{GS}21A", "code_gs1_length"),
        ("1726XX01", "code_gs1_not_numeric"),
        ("17261301", "code_gs1_date"),
        ("10A\tB", "code_gs1_characters"),
        (f"10A{GS}10B", "code_gs1_ai_repeated"),
        ("21" + "A" * 600, "code_gs1_too_long"),
    ],
)
def test_what_breaks_the_rules_is_named(text: str, code: str) -> None:
    problem = read_elements(text)
    assert isinstance(problem, ElementProblem)
    assert problem.code == code


def test_the_same_identifier_twice_with_the_same_value_is_harmless() -> None:
    assert read_elements(f"10A{GS}10A") == {"10": "A"}


def test_brackets_inside_a_value_are_kept_when_they_hold_no_identifier() -> None:
    assert read_bracketed("(10)A(B)(1)(12345)(21)C") == {"10": "A(B)(1)(12345)", "21": "C"}
