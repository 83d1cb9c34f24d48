"""Types of clean input for every room's API.

`CleanText` is text as PostgreSQL, pages and exports can carry it: no control characters, no lone surrogates,
no characters that turn the reading direction around (they make a name look like another), outer blanks and
characters without any width removed (two bill numbers that look the same are the same), composed form (NFC).
Length is counted in characters after that.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

TEXT_CHARS_MAX = 200
LONG_TEXT_CHARS_MAX = 4000

# C0 and C1 controls, surrogates, direction overrides and isolates, non-characters
_FOREIGN = "\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff"
_UNCLEAN = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f{_FOREIGN}]")
_UNCLEAN_LINES = re.compile(f"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f{_FOREIGN}]")
# soft hyphen, zero-width space, word joiner, byte order mark: what copying from sheets and pages leaves behind.
# Joiners (U+200C, U+200D) stay: they are part of scripts and pictures.
_WIDTHLESS = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))


def _composed(value: object) -> object:
    return (
        unicodedata.normalize("NFC", value.translate(_WIDTHLESS)).strip() if isinstance(value, str) else value
    )


def _one_line(value: str) -> str:
    if _UNCLEAN.search(value):
        raise PydanticCustomError("text_unclean", "control characters are not allowed")
    return value


def _lines(value: str) -> str:
    if _UNCLEAN_LINES.search(value):
        raise PydanticCustomError("text_unclean", "control characters are not allowed")
    return value


def is_clean(value: str) -> bool:
    """Whether one line of text can be stored as it is."""
    return _UNCLEAN.search(value) is None


CleanText = Annotated[
    str,
    BeforeValidator(_composed),
    StringConstraints(max_length=TEXT_CHARS_MAX),
    AfterValidator(_one_line),
]
"""One line, at most 200 characters; may be empty."""

Name = Annotated[
    str,
    BeforeValidator(_composed),
    StringConstraints(min_length=1, max_length=100),
    AfterValidator(_one_line),
]
"""One line, 1 to 100 characters: the name of something."""

LongText = Annotated[
    str,
    BeforeValidator(_composed),
    StringConstraints(max_length=LONG_TEXT_CHARS_MAX),
    AfterValidator(_lines),
]
"""Several lines, at most 4,000 characters."""

IntId = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""The number of a record in an int column; larger ones would fail in the database."""

BigId = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""The number of a record in a bigint column."""

_CHINA = ZoneInfo("Asia/Shanghai")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT_OR_DAY = WithJsonSchema(
    {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
)


def _at_day(value: object, days: int) -> object:
    """0:00 in China, `days` after a plain date; whatever else is given stays for the next check."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return value
    try:
        return datetime.combine(date.fromisoformat(value), time(), _CHINA) + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("date_parsing", "this day does not exist") from error


BeginMoment = Annotated[AwareDatetime, BeforeValidator(lambda v: _at_day(v, 0)), _MOMENT_OR_DAY]
"""A moment with its zone, or a day (2026-09-30) that stands for its beginning in China."""
EndMoment = Annotated[AwareDatetime, BeforeValidator(lambda v: _at_day(v, 1)), _MOMENT_OR_DAY]
"""A moment with its zone, or a last day (2026-09-30) that stands for its end in China, as on the pages."""
