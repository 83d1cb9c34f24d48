"""The 20-digit trace code (NMPAB/T 1002-2019 option a; 码上放心 and the former 药品电子监管码).

Digits 1–7 are the 药品标识码 (product at one package level), 8–16 the serial number, 17–20 a check
field whose algorithm is the issuer's secret. It is therefore never checked here for codes of other issuers.
"""

from __future__ import annotations

from yaosu.codes.model import Scheme, TraceCode

NOTE_ROUNDED = "note_maybe_rounded"
"""Last five digits are zero: true of one code in 100,000, and of every code a spreadsheet has rounded."""
NOTE_LEADING_ZERO = "note_leading_zero"
"""The code starts with 0, unlike those of 码上放心 (8): a prefix that GS1 logistics labels use too."""

_new = tuple.__new__
_CN20 = Scheme.CN20
_ROUNDED = (NOTE_ROUNDED,)


def is_cn20(text: str) -> bool:
    """True if the text is exactly 20 ASCII digits."""
    return len(text) == 20 and text.isascii() and text.isdigit()


def cn20(text: str, notes: tuple[str, ...] = ()) -> TraceCode:
    """The trace code of 20 ASCII digits (the caller has checked that)."""
    if text[15:] == "00000":
        notes = (*notes, NOTE_ROUNDED)
    return _new(TraceCode, (text, _CN20, text[:7], text[7:], None, None, None, notes))


def split20(text: str) -> tuple[str, str, str]:
    """Product code (7), serial number (9) and check field (4) of 20 digits."""
    return text[:7], text[7:16], text[16:]
