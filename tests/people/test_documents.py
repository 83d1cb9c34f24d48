"""Identity documents: shape, checksum, masks (R-C2)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from people.helpers import card
from yaosu.people import documents
from yaosu.registry import lists

LISTS = lists.delivered()
TODAY = date(2026, 6, 1)
PROVINCES = [i.code[:2] for i in LISTS.get("region", TODAY) if i.code.endswith("0000")]
births = st.dates(date(1900, 1, 1), TODAY)
numbers = st.builds(
    lambda p, rest, b, n: card(p + f"{rest:04d}", b.strftime("%Y%m%d"), n),
    st.sampled_from([p for p in PROVINCES if not p.startswith("0")]),
    st.integers(0, 9999),
    births,
    st.integers(0, 999),
)


def check(kind: str, number: str) -> str | None:
    """The code of what is wrong."""
    _, wrong = documents.check_number(LISTS, kind, number, TODAY)
    return wrong.code if wrong else None


@given(numbers)
@settings(deadline=None, max_examples=500)  # the lists are read at the first question
def test_every_right_identity_card_number_is_taken(number: str) -> None:
    assert check("1", number) is None


@given(numbers, st.integers(0, 17), st.integers(1, 9))
@settings(deadline=None, max_examples=300)
def test_one_wrong_digit_is_always_found(number: str, place: int, by: int) -> None:
    if number[place] == "X":
        wrong = number[:place] + str(by)
    else:
        wrong = number[:place] + str((int(number[place]) + by) % 10) + number[place + 1 :]
    assert check("1", wrong) is not None


@given(numbers, st.integers(0, 15))
def test_two_swapped_neighbours_are_always_found(number: str, place: int) -> None:
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert swapped == number or check("1", swapped) is not None


def test_region_and_birth_date_are_looked_at() -> None:
    assert check("1", card(region="990101")) == "identity_card_region"
    tomorrow = (TODAY + timedelta(days=1)).strftime("%Y%m%d")
    assert check("1", card(born=tomorrow)) == "identity_card_birth_date"
    assert check("1", card(born="18700101")) == "identity_card_birth_date"


@given(numbers)
def test_however_it_is_typed_the_number_is_the_same(number: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    for typed in (number.lower(), wide, f" {number[:6]} {number[6:14]}-{number[14:]}\r\n"):
        assert documents.check_number(LISTS, "1", typed, TODAY) == (number, None)


def test_the_first_generation_card_is_refused_by_name_and_its_number_is_the_same_person(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """15 digits ended on 2013-01-01; old medical-insurance cards still show them, and nobody counts twice by that."""
    assert check("1", "110101900101123") == "identity_card_old"
    assert check("1", "110101901301123") == "identity_card_shape", "no such month: no card of any time"
    now = card(region="110101", born="19900101", sequence=123)
    assert documents.of_fifteen("110101900101123") == now
    assert documents.identity("4", "110101900101123") == documents.identity("1", now)
    item = LISTS.item("id_kind_person", "1")
    assert item is not None
    # an operator that still takes them: kept with the 18 characters
    monkeypatch.setitem(item.attrs, "fifteen", "accepted")  # type: ignore[arg-type]
    assert documents.check_number(LISTS, "1", "110101 900101 123", TODAY) == (now, None)


@pytest.mark.parametrize("begins", ["81", "82", "83"])
def test_residents_of_hong_kong_macao_and_taiwan_have_numbers_of_their_own(begins: str) -> None:
    """83 is no province of the list of regions, and 81 and 82 stand on no other card of this kind."""
    assert check("13", card(region=begins + "0000")) is None
    assert check("13", card(region="370102")) == "document_shape"
    assert check("13", card(region=begins + "0000")[:-1] + "Y") == "identity_card_shape"


def test_the_permanent_residence_card_has_a_check_character_since_2023() -> None:
    """9, place, nationality, birth, sequence, MOD 11-2 as a citizen's number; the older card has letters."""
    new = card(region="931840", born="19850220", sequence=7)
    assert check("10", new) is None
    assert check("10", new.lower()) is None
    other = "0" if new[-1] != "0" else "1"
    assert check("10", new[:-1] + other) == "identity_card_check_digit"
    assert check("10", card(region="931840", born="19851340")) == "identity_card_birth_date"
    assert check("10", "USA310085022007") is None
    assert check("1", new) == "identity_card_region", "no citizen"


def test_a_renewed_permit_and_another_way_of_writing_are_the_same_person() -> None:
    def who(kind: str, number: str) -> str:
        found, wrong = documents.check_number(LISTS, kind, number, TODAY)
        assert wrong is None
        return documents.identity(kind, found, LISTS)

    assert who("11", "H1234567801") == who("11", "h12345678 02") == who("11", "H12345678")
    assert who("11", "M12345678") != who("11", "H12345678")
    assert who("3", "军字第1234567号") == who("3", "军字1234567") != who("3", "南字第1234567号")


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("2", "E12345678", "E1234 张"),
        ("3", "军字第1234567号", "第号"),
        ("4", "6501000012345", "12"),
        ("10", "CHN110000123456", "CHN1100"),
        ("11", "H12345678", "K12345678"),
        ("12", "12345678", "1234567"),
        ("9", "护照A1234", "a"),
    ],
)
def test_other_documents_have_their_shape_as_data(kind: str, right: str, wrong: str) -> None:
    assert check(kind, right) is None
    assert check(kind, wrong) == "document_shape"


def test_kinds_that_are_none_and_empty_numbers_are_named() -> None:
    assert check("77", "1") == "document_kind_unknown"
    assert check("2", "  ") == "document_number_needed"


@given(numbers)
def test_one_citizen_is_one_person_whatever_card_shows_the_number(number: str) -> None:
    assert documents.identity("1", number) == documents.identity("4", number)
    assert documents.identity("2", "E12345678") != documents.identity("9", "E12345678")


@given(st.text(min_size=1, max_size=30))
def test_a_mask_never_shows_more_than_half(text: str) -> None:
    masked = documents.mask_number(text)
    assert len(masked) == len(text)
    hidden = sum(1 for c in masked if c == "*")
    assert hidden * 2 >= len(text)


def test_masks_look_as_people_expect() -> None:
    assert documents.mask_number("650102198001011234") == "6501**********1234"
    assert documents.mask_name("张三") == "张*"
    assert documents.mask_name("欧阳修") == "欧**"
    assert documents.mask_name("John Smith") == "J***"
    assert documents.mask_name("") == ""


def test_full_years_count_by_the_birthday() -> None:
    assert documents.age(card(born="20080602"), TODAY) == 17
    assert documents.age(card(born="20080601"), TODAY) == 18
    assert documents.age("E12345678", TODAY) is None
