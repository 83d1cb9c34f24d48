"""GTIN (商品条码 and its relatives): the number of a trade item, without a serial number.

Four lengths share one mod-10 check digit. The 13-digit form with prefix 690–699 is what Chinese shops call
69码. The 14-digit form adds a leading packaging indicator (1–8: a grouping of the same item). As a key, a
GTIN is stored with 14 digits, filled with zeros on the left.
"""

from __future__ import annotations

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze
from yaosu.codes.identifiers.checksums import mod10_digit, mod10_ok

LENGTHS = (8, 12, 13, 14)


def check_gtin(raw: str, length: int | None = None) -> Checked:
    """Check a GTIN-8/12/13/14; `length` asks for one of the four. The value keeps its own length."""
    text = squeeze(raw)
    if not (text.isascii() and text.isdigit()):
        return bad("gtin_not_digits", raw)
    if len(text) not in LENGTHS or (length is not None and len(text) != length):
        return bad("gtin_length", raw, length=len(text))
    if not mod10_ok(text):
        return bad("gtin_check_digit", raw, value=text, expected=mod10_digit(text[:-1]))
    if text.strip("0") == "":
        return bad("gtin_zero", raw)
    return good(text)


def gtin14(value: str) -> str:
    """Key form of a checked GTIN: 14 digits."""
    return value.zfill(14)


def is_chinese_prefix(value: str) -> bool:
    """True if the GTIN was issued by GS1 China (prefix 690–699)."""
    return value.zfill(14)[1:3] == "69"
