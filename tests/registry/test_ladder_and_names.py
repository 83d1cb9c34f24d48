"""Ladder arithmetic and name normalisation hold for everything, not for examples only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.errors import Finding
from yaosu.registry import ladder
from yaosu.registry.drafts import LevelDraft
from yaosu.registry.names import normalise

factors = st.lists(st.integers(1, 30), min_size=0, max_size=4)


def drafts(steps: list[int]) -> list[LevelDraft]:
    contains = [1, *steps]
    return [LevelDraft(n, c, f"{8000000 + n}") for n, c in enumerate(contains, 1)]


@given(factors)
def test_the_text_form_of_a_ladder_reads_back_as_the_same_ladder(steps: list[int]) -> None:
    contains = (1, *steps)
    assert ladder.parse_ratio(ladder.format_ratio(contains)) == contains


@given(factors)
def test_each_level_holds_as_many_smallest_packages_as_its_factors_multiply_to(steps: list[int]) -> None:
    levels, found = ladder.build(drafts(steps))
    assert not found
    units = 1
    for level, step in zip(levels, [1, *steps], strict=True):
        units *= step
        assert level.units_per == units


@given(factors, st.randoms())
def test_the_order_in_which_levels_are_given_does_not_matter(steps: list[int], random: object) -> None:
    shuffled = drafts(steps)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ladder.build(shuffled) == ladder.build(drafts(steps))


@given(st.text(max_size=30))
def test_any_text_is_a_ratio_or_gets_a_reason(text: str) -> None:
    read = ladder.parse_ratio(text)
    assert isinstance(read, Finding) or (read[0] == 1 and all(f >= 1 for f in read))


def test_the_ratio_of_the_field_counts_from_the_top() -> None:
    assert ladder.parse_ratio("1:5:2500") == (1, 500, 5)
    assert ladder.parse_ratio("1：10：200") == (1, 20, 10)


@pytest.mark.parametrize(
    "text", ["", "2:10", "1:3:10", "1:10:5", "a", "1:-2", "1:0", "1::2", "1:" + "9" * 30]
)
def test_a_wrong_ratio_is_explained(text: str) -> None:
    assert isinstance(ladder.parse_ratio(text), Finding)


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ([], "ladder_empty"),
        ([LevelDraft(2, 10, "8000001")], "ladder_gap"),
        ([LevelDraft(1, 1, "8000001"), LevelDraft(3, 10, "8000002")], "ladder_gap"),
        ([LevelDraft(1, 1, "8000001"), LevelDraft(1, 1, "8000002")], "ladder_gap"),
        ([LevelDraft(1, 2, "8000001")], "ladder_contains"),
        ([LevelDraft(1, 1, "8000001"), LevelDraft(2, 0, "8000002")], "ladder_contains"),
        ([LevelDraft(1, 1, "8000001"), LevelDraft(2, 10, "8000001")], "ladder_identifier_twice"),
        ([LevelDraft(1, 1, "800000")], "identifier_cn20_shape"),
        ([LevelDraft(1, 1, "６９２４")], "identifier_cn20_shape"),
        ([LevelDraft(1, 1, "6924561884075", "gs1")], "gtin_check_digit"),
        ([LevelDraft(1, 1, "x", "nonsense")], "scheme_unknown"),
        ([LevelDraft(1, 1, "8000001"), LevelDraft(2, 20_000_000, "8000002")], "ladder_too_large"),
    ],
)
def test_a_wrong_ladder_is_refused_with_its_reason(levels: list[LevelDraft], code: str) -> None:
    assert code in [f.code for f in ladder.build(levels)[1]]


@given(st.text(max_size=60))
def test_normalising_a_name_twice_changes_nothing(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(st.text(st.characters(whitelist_categories=("Lo", "Nd", "Lu")), min_size=1, max_size=30))
def test_blanks_never_make_another_organisation(name: str) -> None:
    assert normalise(" ".join(name)) == normalise(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("国药控股（山东）有限公司", "国药控股(山东)有限公司"),
        ("国药控股〔山东〕有限公司", "国药控股【山东】 有限公司"),
        ("ＡＢＣ药业", "abc药业"),
        ("甲\u200b乙\u3000药房", "甲乙药房"),
        ("约翰·史密斯", "约翰•史密斯"),
    ],
)
def test_brackets_width_case_and_blanks_do_not_distinguish_names(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_different_names_stay_different() -> None:
    assert normalise("国药控股(山东)有限公司") != normalise("国药控股(山西)有限公司")
