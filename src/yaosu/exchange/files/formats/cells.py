"""Cells as people and spreadsheet software leave them: text brought into one form, lost digits recognised.

Sources: domain/interfaces.md §2.11 (c, d, f); a spreadsheet keeps 15 digits of a number and 32,767 characters of a
cell, so a 20-digit code typed as a number has lost its last five digits for good.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

CHINA = timezone(timedelta(hours=8))
EXACT_DIGITS = 15
_EXPONENT = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}\Z", re.ASCII)
_ROUND = re.compile(r"[0-9]+\.0+\Z", re.ASCII)
_LONG = re.compile(r"[0-9]{16,}\.0*\Z", re.ASCII)
_FORCED = re.compile(r'="([^"=]*)"\Z')
_STAMP = re.compile(
    r"(?=\d{8}(?!\d)|\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月])"
    r"(\d{4})\s*[-/.年]?\s*(\d{1,2})\s*[-/.月]?\s*(\d{1,2})\s*日?"
    r"(?:[T\s]*(上午|下午|AM|PM)?\s*(?=\d{1,2}[:时]\d{1,2}(?!\d)|\d{4}(?!\d)|\d{6}(?!\d))"
    r"(\d{1,2})[:时]?(\d{1,2})[:分]?(?:(\d{1,2})(?:[.,]\d{1,9})?秒?)?\s*(AM|PM)?)?"
    r"\s*(Z|[+-]\d{2}:?\d{2})?\Z",
    re.IGNORECASE,
)
TIME_OF_DAY = re.compile(r"(?:上午|下午)?\s*\d{1,2}[:：时]\d{1,2}")
_AFTERNOON = {"下午", "PM"}
_SERIAL = re.compile(r"[1-9][0-9]{4}(?:\.[0-9]+)?\Z", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?\Z", re.ASCII)
SERIAL_ZERO = datetime(1899, 12, 30, tzinfo=CHINA)
LINE_BREAKS = re.compile(r"[\s,，;；、|]+")


def plain(text: str) -> str:
    """A cell without what spreadsheets put around text: blanks, a leading apostrophe, `="…"`, full width, marks.

    Separators of GS1 element strings (group separator) stay.
    """
    if not text:
        return ""
    if not text.isascii():
        text = _narrow(text)
    text = text.replace("_x000D_", "").replace("_x000d_", "").strip(" \t\r\n\v\f\xa0")
    forced = _FORCED.match(text)
    if forced is not None:
        return forced.group(1).strip()
    if text[:1] in "'‘’`" and len(text) > 1:
        return text[1:].strip()
    return text


@lru_cache(maxsize=4_096)
def _narrow(text: str) -> str:
    """One width, no invisible marks; names repeat on every line of a file, so they are remembered."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def lost_digits(text: str) -> bool:
    """Whether `text` is a long code after it was a number: scientific notation, or decimals behind 16 and more
    digits that are exactly what a floating number can hold (one code in thousands is so by chance).
    """
    if _EXPONENT.match(text) is not None:
        return True
    return _LONG.match(text) is not None and was_float(text.partition(".")[0])


def was_float(digits: str) -> bool:
    """Whether a number of 16 and more digits is one that a floating number holds exactly: 83857940000879763456 is."""
    return float(digits) == int(digits)


def number_text(raw: str) -> tuple[str, bool]:
    """Text of a cell that holds a number, and whether digits may be lost (more than 15 of them)."""
    if _ROUND.match(raw):
        raw = raw.partition(".")[0]
    if "e" in raw or "E" in raw:
        try:
            value = float(raw)
        except ValueError:
            return raw, True
        if abs(value) < 10**EXACT_DIGITS:
            return (str(int(value)) if value.is_integer() else repr(value)), False
        return raw, True
    digits = raw.lstrip("+-").replace(".", "").lstrip("0")
    return raw, raw.lstrip("+-").isdigit() and len(digits) > EXACT_DIGITS


@lru_cache(maxsize=4_096)
def moment(text: str) -> datetime | None:
    """A time as files write it; China time without a zone, the day's beginning without a time. None when it is none.

    2026-09-30 10:12:31 · 2026/9/30 10:12 · 20260930101231 · 2026年9月30日 · 2026-9-30 下午 1:05:00 ·
    2026-09-30T10:12:31.1234567+08:00 · in full width too · and the day number of spreadsheets (46295.425).
    """
    text = text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    compact = _COMPACT.match(text)
    found = compact or _STAMP.match(text)
    if found is not None:
        groups = list(found.groups())
        half, before, after, zone = "", "", "", CHINA
        given = None if compact else groups.pop()
        if not compact:
            after, before = groups.pop(7) or "", groups.pop(3) or ""
            half = (before or after).upper()
        parts = [int(g) if g else 0 for g in groups]
        if half:
            if (before and after) or not 1 <= parts[3] <= 12:
                return None
            parts[3] = parts[3] % 12 + (12 if half in _AFTERNOON else 0)
        if given in ("Z", "z"):
            zone = timezone.utc  # noqa: UP017 - a fixed offset like the others
        elif given:
            sign = -1 if given[0] == "-" else 1
            hours, minutes = int(given[1:3]), int(given[-2:])
            if hours > 14 or minutes > 59:
                return None
            zone = timezone(sign * timedelta(hours=hours, minutes=minutes))
        try:
            return datetime(*parts, tzinfo=zone)  # type: ignore[misc, arg-type]
        except ValueError:
            return None
    if _SERIAL.match(text):
        # rounded to seconds: the fraction of a day is never exact
        seconds = round(float(text) * 86_400)
        return SERIAL_ZERO + timedelta(seconds=seconds)
    return None


def day(text: str) -> date | None:
    """A date as files write it, by `moment`."""
    found = moment(text)
    return found.date() if found is not None else None


def whole(text: str, largest: int) -> int | None:
    """A count: whole, at least 1, at most `largest`; thousands may be marked. None when it is none."""
    text = text.replace(",", "").removesuffix(".0")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        return None
    value = int(text)
    return value if 1 <= value <= largest else None


def codes_in(cell: str) -> list[str]:
    """The codes in one cell: one, or several divided by line breaks, commas or blanks (interfaces §2.11 f).

    A cell is only divided when every piece alone could be a code; a bracketed GS1 string stays whole.
    """
    if len(cell) <= 30 or "(" in cell or "\x1d" in cell:
        return [cell]
    pieces = [p for p in LINE_BREAKS.split(cell) if p]
    if len(pieces) > 1 and all(len(p) >= 16 for p in pieces):
        return pieces
    return [cell]
