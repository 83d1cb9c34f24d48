"""Issue without storing (D6, R-X8): unique, unguessable, located by computation."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yaosu.codes import NotACode, Scheme, TraceCode, parse
from yaosu.codes.issue import (
    CHUNK,
    COUNTER_SPACE,
    IssueKey,
    IssueRefusedError,
    Range,
    check_prefix,
    derive,
    iter_codes,
    locate,
    locate_many,
    nth,
)

MASTER = bytes(range(32))
KEY = derive(MASTER, 1)
PREFIX = "8385793"
GTIN = "06924561884074"
numbers = st.integers(0, COUNTER_SPACE - 1)


def lines(prefix: str, key: IssueKey, start: int, count: int) -> list[str]:
    return b"".join(iter_codes(prefix, key, start, count)).decode("ascii").splitlines()


@settings(deadline=None)
@given(st.sampled_from([PREFIX, "1234567", GTIN]), numbers, st.integers(0, 5))
def test_the_sequence_number_of_any_issued_code_is_found(prefix: str, sequence: int, key_id: int) -> None:
    key = derive(MASTER, key_id)
    code = nth(Range(prefix, key, sequence, 1), 0)
    assert locate(code, key) == sequence
    read = parse(code)
    assert isinstance(read, TraceCode)
    assert (read.text, read.prefix) == (code, prefix)
    assert read.scheme is (Scheme.CN20 if len(prefix) == 7 else Scheme.GS1)


def test_the_stream_gives_the_same_codes_as_single_issue_over_chunk_borders() -> None:
    start = 999_000_000
    stream = lines(PREFIX, KEY, start, CHUNK + 10)
    issued = Range(PREFIX, KEY, start, CHUNK + 10)
    assert len(stream) == CHUNK + 10
    for i in (0, 1, 31_250, CHUNK - 1, CHUNK, CHUNK + 9):
        assert stream[i] == nth(issued, i)


def test_a_stream_for_a_gtin_is_canonical() -> None:
    stream = lines(GTIN, KEY, 5, 3)
    assert stream == [nth(Range(GTIN, KEY, 5, 3), i) for i in range(3)]
    assert all(code.startswith(f"(01){GTIN}(21)") and len(code) == 35 for code in stream)


def test_half_a_million_codes_are_all_different_and_all_found_again() -> None:
    stream = lines(PREFIX, KEY, 123_456_789, 500_000)
    assert len(set(stream)) == 500_000
    assert len({code[7:16] for code in stream}) == 500_000
    assert locate_many(stream, KEY) == list(range(123_456_789, 123_956_789))


def test_the_permutation_reaches_both_ends_of_the_counter_space() -> None:
    last = Range(PREFIX, KEY, COUNTER_SPACE - 2, 2)
    assert [locate(nth(last, i), KEY) for i in (0, 1)] == [COUNTER_SPACE - 2, COUNTER_SPACE - 1]
    assert lines(PREFIX, KEY, COUNTER_SPACE - 2, 2) == [nth(last, 0), nth(last, 1)]


def test_a_random_guess_passes_the_check_once_in_ten_thousand() -> None:
    rnd = random.Random(20261121)
    guesses = [f"{PREFIX}{rnd.randrange(10**13):013d}" for _ in range(400_000)]
    passed = sum(number is not None for number in locate_many(guesses, KEY))
    assert 15 <= passed <= 75  # 40 expected; six standard deviations either side


def test_changing_a_printed_code_hardly_ever_gives_another_valid_one() -> None:
    codes = lines(PREFIX, KEY, 0, 20_000)
    neighbours = [code[:7] + f"{(int(code[7:]) + 10_000) % 10**13:013d}" for code in codes]
    assert sum(number is not None for number in locate_many(neighbours, KEY)) <= 15


def test_a_code_of_another_key_or_prefix_is_not_ours() -> None:
    codes = lines(PREFIX, KEY, 0, 20_000)
    assert sum(n is not None for n in locate_many(codes, derive(MASTER, 2))) <= 15
    moved = ["8385794" + code[7:] for code in codes]
    assert sum(n is not None for n in locate_many(moved, KEY)) <= 15


def test_two_keys_and_two_prefixes_give_unrelated_codes() -> None:
    ours = [code[7:16] for code in lines(PREFIX, KEY, 0, 50_000)]
    for other in (lines(PREFIX, derive(MASTER, 2), 0, 50_000), lines("8385794", KEY, 0, 50_000)):
        agreeing = sum(a == b[7:16] for a, b in zip(ours, other, strict=True))
        assert agreeing <= 2


@pytest.mark.parametrize("place", range(7, 20))
def test_each_digit_of_consecutive_codes_is_evenly_spread(place: int) -> None:
    counts = Counter(code[place] for code in lines(PREFIX, KEY, 0, 100_000))
    chi_square = sum((counts[str(d)] - 10_000) ** 2 / 10_000 for d in range(10))
    assert chi_square < 42  # 9 degrees of freedom: exceeded once in 300,000


def test_consecutive_codes_are_not_near_each_other() -> None:
    serials = [int(code[7:16]) for code in lines(PREFIX, KEY, 0, 50_000)]
    near = sum(abs(a - b) < 1_000_000 for a, b in pairwise(serials))
    assert 50 <= near <= 150  # 100 expected if independent


def test_locate_many_keeps_the_order_and_passes_over_foreign_texts() -> None:
    codes = [nth(Range(p, KEY, s, 1), 0) for p, s in ((PREFIX, 7), (GTIN, 8), ("1234567", 9))]
    mixed = [codes[1], "acme:X", codes[0], f"(01){GTIN}(21)ABC", "", codes[2], "８" + codes[0][1:]]
    assert locate_many(mixed, KEY) == [8, None, 7, None, None, 9, None]
    assert [locate(code, KEY) for code in mixed] == [8, None, 7, None, None, 9, None]


def test_a_range_knows_its_numbers() -> None:
    issued = Range(PREFIX, KEY, 100, 50)
    assert 100 in issued
    assert 149 in issued
    assert 150 not in issued
    with pytest.raises(IndexError):
        nth(issued, 50)


@pytest.mark.parametrize(
    ("prefix", "start", "count", "code"),
    [
        ("838579", 0, 1, "issue_prefix_shape"),
        ("838579X", 0, 1, "issue_prefix_shape"),
        ("８３８５７９３", 0, 1, "issue_prefix_shape"),
        ("0085793", 0, 1, "issue_prefix_zero"),
        ("06924561884075", 0, 1, "gtin_check_digit"),
        (PREFIX, -1, 1, "issue_range"),
        (PREFIX, 0, 0, "issue_range"),
        (PREFIX, COUNTER_SPACE - 1, 2, "issue_range"),
    ],
)
def test_what_cannot_be_issued_is_refused_before_the_first_code(
    prefix: str, start: int, count: int, code: str
) -> None:
    for refuse in (lambda: Range(prefix, KEY, start, count), lambda: iter_codes(prefix, KEY, start, count)):
        with pytest.raises(IssueRefusedError) as caught:
            refuse()
        assert caught.value.problem.code == code


def test_prefix_check_gives_the_same_answer_as_a_value() -> None:
    assert check_prefix(PREFIX) is None
    problem = check_prefix("0185793")
    assert isinstance(problem, NotACode)
    assert problem.code == "issue_prefix_zero"


def test_keys_are_derived_apart_and_never_shown() -> None:
    assert derive(MASTER, 1) == KEY
    assert derive(MASTER, 2) != KEY
    assert derive(bytes(32), 1) != KEY
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(Range(PREFIX, KEY, 0, 1))
    for master, key_id in ((b"short", 1), (MASTER, -1), (MASTER, 1 << 32)):
        with pytest.raises(IssueRefusedError):
            derive(master, key_id)
    with pytest.raises(IssueRefusedError):
        IssueKey(b"short")
