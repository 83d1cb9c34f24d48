"""Identifiers around a drug: check digits, shapes, normal forms (R-A2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.codes.identifiers import (
    Checked,
    check_approval_number,
    check_cndc,
    check_gtin,
    check_identity_card,
    check_national_drug_code,
    check_sscc,
    check_uscc,
    check_yibao,
    check_ypid,
    gtin14,
    is_chinese_prefix,
    is_import_certificate,
    is_suspicious,
)
from yaosu.codes.identifiers.checksums import mod10_digit
from yaosu.codes.identifiers.identity_card import identity_card_check_character
from yaosu.codes.identifiers.uscc import CHARSET, organisation_check_character, uscc_check_character
from yaosu.errors import registry

CHECKS: list[Callable[[str], Checked]] = [
    check_gtin,
    check_sscc,
    check_national_drug_code,
    check_uscc,
    check_yibao,
    check_approval_number,
    check_cndc,
    check_ypid,
    check_identity_card,
]


@pytest.mark.parametrize(
    ("check", "raw", "value"),
    [
        (check_gtin, "6924561884074", "6924561884074"),
        (check_gtin, "６９２０３５６ ２００２２７", "6920356200227"),
        (check_gtin, "96385074", "96385074"),
        (check_gtin, "036000291452", "036000291452"),
        (check_gtin, "06924561884074", "06924561884074"),
        (check_sscc, "123456789012345675", "123456789012345675"),
        (check_sscc, "(00) 123456789012345675", "123456789012345675"),
        (check_sscc, "00123456789012345675", "123456789012345675"),
        (check_national_drug_code, "86904879000126", "86904879000126"),
        (check_national_drug_code, "86901110000020", "86901110000020"),
        (check_uscc, "53640000MJX173680A", "53640000MJX173680A"),
        (check_uscc, "53640000mjx173672f", "53640000MJX173672F"),
        (check_uscc, "91440300708461136T", "91440300708461136T"),
        (check_uscc, "９１３３０１００７９９６５５０５８Ｂ", "91330100799655058B"),
        (check_yibao, "XA02BCA216A001010104475", "XA02BCA216A001010104475"),
        (check_yibao, "za01bac0182010100280", "ZA01BAC0182010100280"),
        (check_yibao, "T000100001", "T000100001"),
        (check_approval_number, "国药准字Z45021428", "国药准字Z45021428"),
        (check_approval_number, "国药准字 h20193001", "国药准字H20193001"),
        (check_approval_number, "国药准字HJ20170001", "国药准字HJ20170001"),
        (check_approval_number, "国药准字C20200001", "国药准字C20200001"),
        (check_approval_number, "国药准字J20130001", "国药准字J20130001"),
        (check_approval_number, "H20171234", "H20171234"),
        (check_approval_number, "BH20171234", "BH20171234"),
        (check_approval_number, "HC20090012", "HC20090012"),
        (check_cndc, "04879001203", "04879001203"),
        (check_ypid, "yp-123/4", "YP-123/4"),
        (check_identity_card, "11010519491231002x", "11010519491231002X"),
    ],
)
def test_a_right_identifier_passes_in_its_normal_form(
    check: Callable[[str], Checked], raw: str, value: str
) -> None:
    assert check(raw) == Checked(value, None)


@pytest.mark.parametrize(
    ("check", "raw", "code"),
    [
        (check_gtin, "6924561884075", "gtin_check_digit"),
        (check_gtin, "69245618840", "gtin_length"),
        (check_gtin, "692456188407X", "gtin_not_digits"),
        (check_gtin, "0000000000000", "gtin_zero"),
        (check_sscc, "123456789012345674", "sscc_check_digit"),
        (check_sscc, "1234", "sscc_length"),
        (check_sscc, "12345678901234567X", "sscc_not_digits"),
        (check_national_drug_code, "86904879000127", "national_drug_code_check_digit"),
        (check_national_drug_code, "8690487900012", "national_drug_code_length"),
        (check_national_drug_code, "06924561884074", "national_drug_code_start"),
        (check_national_drug_code, "8690487900012O", "national_drug_code_not_digits"),
        (check_uscc, "53640000MJX173680B", "uscc_check_digit"),
        (check_uscc, "53640000MJX17368OA", "uscc_characters"),
        (check_uscc, "53640000MJX17368", "uscc_length"),
        (check_uscc, "5364A000MJX173680A", "uscc_shape"),
        (check_yibao, "XA02BCA216A0010101044", "yibao_shape"),
        (check_yibao, "6924561884074", "yibao_shape"),
        (check_approval_number, "国药准字X20200001", "approval_number_shape"),
        (check_approval_number, "国药准字H2020001", "approval_number_shape"),
        (check_approval_number, "鲁食药准字H20200001", "approval_number_shape"),
        (check_cndc, "1" * 21, "cndc_shape"),
        (check_ypid, "1" * 33, "ypid_shape"),
        (check_identity_card, "110105194912310021", "identity_card_check_digit"),
        (check_identity_card, "11010519491331002X", "identity_card_birth_date"),
        (check_identity_card, "1101051949123100", "identity_card_shape"),
    ],
)
def test_a_wrong_identifier_is_refused_with_its_reason(
    check: Callable[[str], Checked], raw: str, code: str
) -> None:
    checked = check(raw)
    assert checked.value is None
    assert checked.problem is not None
    assert checked.problem.code == code


def test_a_wrong_organisation_part_is_found_although_the_last_check_character_fits() -> None:
    body = "91440300708461137"  # the organisation code 70846113-6 with another check character
    whole = body + uscc_check_character(body)
    problem = check_uscc(whole).problem
    assert problem is not None
    assert problem.code == "uscc_organisation_check"


def test_an_identity_number_never_appears_in_a_problem() -> None:
    for raw in ("110105194912310021", "11010519491331002X", "1101051949123100"):
        assert raw not in repr(check_identity_card(raw))


@pytest.mark.parametrize("check", CHECKS)
@given(raw=st.one_of(st.text(max_size=60), st.from_regex(r"[0-9A-Z]{7,24}", fullmatch=True)))
def test_any_text_gets_a_value_or_an_explained_problem(check: Callable[[str], Checked], raw: str) -> None:
    checked = check(raw)
    assert (checked.value is None) != (checked.problem is None)
    if checked.value is not None:
        assert check(checked.value) == checked
    if checked.problem is not None:
        assert "—" not in registry()[checked.problem.code].text("zh", checked.problem.params)


@pytest.mark.parametrize(
    ("body", "place"),
    [("692456188407", p) for p in range(12)] + [("12345678901234567", p) for p in range(17)],
)
def test_one_wrong_digit_always_changes_the_mod_10_check_digit(body: str, place: int) -> None:
    others = {mod10_digit(f"{body[:place]}{d}{body[place + 1 :]}") for d in range(10)}
    assert len(others) == 10


@given(st.text(CHARSET, min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 30))
def test_one_wrong_character_always_changes_the_credit_code_check(body: str, place: int, shift: int) -> None:
    other = CHARSET[(CHARSET.index(body[place]) + shift) % 31]
    changed = body[:place] + other + body[place + 1 :]
    assert uscc_check_character(changed) != uscc_check_character(body)


def test_check_characters_of_known_numbers() -> None:
    assert organisation_check_character("70846113") == "6"
    assert identity_card_check_character("11010519491231002") == "X"


def test_keys_and_marks() -> None:
    assert gtin14("6924561884074") == "06924561884074"
    assert is_chinese_prefix("6924561884074")
    assert not is_chinese_prefix("4006381333931")
    assert is_import_certificate("H20171234")
    assert not is_import_certificate("国药准字H20171234")
    assert is_suspicious("86900000000014")
    assert is_suspicious("86912345123455")
    assert not is_suspicious("86904879000126")
