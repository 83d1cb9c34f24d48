"""本位码 (国家药品编码本位码): 14 digits, one per approval number, name, form and strength.

``86`` country, ``9`` drugs, 5 digits firm, 5 digits product, 1 check digit (GB 18937, the GS1 mod-10 scheme).
It names a product, never a package: it is not a trace code.
"""

from __future__ import annotations

import re

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze
from yaosu.codes.identifiers.checksums import mod10_digit, mod10_ok

_RUN = re.compile(r"(\d)\1{6}")


def check_national_drug_code(raw: str) -> Checked:
    """Check a 本位码; the value is its 14 digits."""
    text = squeeze(raw)
    if not (text.isascii() and text.isdigit()):
        return bad("national_drug_code_not_digits", raw)
    if len(text) != 14:
        return bad("national_drug_code_length", raw, length=len(text))
    if not text.startswith("869"):
        return bad("national_drug_code_start", raw, start=text[:3])
    if not mod10_ok(text):
        return bad("national_drug_code_check_digit", raw, value=text, expected=mod10_digit(text[:-1]))
    return good(text)


def is_suspicious(value: str) -> bool:
    """True if 医保 would flag the code as doubtful: one digit seven times in a row, or a cycle."""
    body = value[3:13]
    return _RUN.search(value) is not None or any(body == (body[:n] * 10)[:10] for n in (1, 2, 3, 5))
