"""Clean text: what every room takes as text can be stored, shown and exported."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from yaosu.access.types import CleanText, IntId, LongText, Name

TEXT = TypeAdapter(CleanText)
LONG = TypeAdapter(LongText)


@given(st.text(st.characters(), max_size=300))
def test_whatever_passes_can_be_stored_and_is_its_own_clean_form(text: str) -> None:
    try:
        clean = TEXT.validate_python(text)
    except ValidationError:
        return
    clean.encode("utf-8")
    assert "\x00" not in clean
    assert "\n" not in clean
    assert clean == clean.strip() == unicodedata.normalize("NFC", clean)
    assert len(clean) <= 200
    assert TEXT.validate_python(clean) == clean


@pytest.mark.parametrize(
    "text", ["示例制药集团", "Ünïcode 药品", "a'; DROP TABLE org;--", "<b>", "𠮷野家", "👨‍👩‍👧"]
)
def test_ordinary_and_odd_names_pass_unchanged(text: str) -> None:
    assert TEXT.validate_python(f"  {text} ") == text


@pytest.mark.parametrize("text", ["XK-1\u200b", "\ufeffXK-1", "XK\u00ad-1", "X\u2060K-1 "])
def test_numbers_that_look_the_same_are_the_same(text: str) -> None:
    assert TEXT.validate_python(text) == "XK-1"


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "\u202egnp.exe", "a\nb", "\ud800", "a\x85b", "x" * 201])
def test_what_cannot_be_stored_or_misleads_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)


def test_long_text_may_have_lines_but_no_other_controls() -> None:
    assert LONG.validate_python("一\n二\t三") == "一\n二\t三"
    with pytest.raises(ValidationError):
        LONG.validate_python("a\x08")


def test_a_name_is_not_blank_and_a_number_fits_its_column() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(" \u3000 ")
    for number in (0, -1, 2**31):
        with pytest.raises(ValidationError):
            TypeAdapter(IntId).validate_python(number)
