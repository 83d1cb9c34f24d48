"""SSCC (系列货运包装箱代码): the 18-digit number of a logistics container.

Extension digit, GS1 company prefix (7–10 digits, length unknown to the reader), serial reference, mod-10
check digit.
"""

from __future__ import annotations

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze
from yaosu.codes.identifiers.checksums import mod10_digit, mod10_ok


def check_sscc(raw: str) -> Checked:
    """Check an SSCC given with or without its application identifier ``(00)`` or ``00``; the value is 18
    digits."""
    text = squeeze(raw).removeprefix("(00)")
    if len(text) == 20 and text.startswith("00"):
        text = text[2:]
    if not (text.isascii() and text.isdigit()):
        return bad("sscc_not_digits", raw)
    if len(text) != 18:
        return bad("sscc_length", raw, length=len(text))
    if not mod10_ok(text):
        return bad("sscc_check_digit", raw, value=text, expected=mod10_digit(text[:-1]))
    return good(text)
