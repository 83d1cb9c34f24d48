"""Texts that are digits only: which number of the trade it is, by length and check digit.

Order (documented because 20 digits can be read in three ways): ``00`` + 18 digits with a right SSCC check
digit is an SSCC; ``01`` + a right GTIN-14 + ``21`` + 2 digits is GS1; every other 20 digits are a 20-digit
trace code.
"""

from __future__ import annotations

from yaosu.codes.cn20 import NOTE_LEADING_ZERO, cn20
from yaosu.codes.gs1 import sscc_code
from yaosu.codes.gs1_lost import read
from yaosu.codes.identifiers.checksums import mod10_digit, mod10_ok
from yaosu.codes.identifiers.identity_card import check_identity_card
from yaosu.codes.identifiers.uscc import check_uscc
from yaosu.codes.model import NotACode, TraceCode

_NEAR_20 = (17, 18, 19, 21, 22, 23)


def digits20(text: str, notes: tuple[str, ...] = (), raw: str | None = None) -> TraceCode | NotACode:
    """The reading of exactly 20 ASCII digits, in the order of the module docstring."""
    if text[0] == "0":
        if text[1] == "0" and mod10_ok(text[2:]):
            return sscc_code(text[2:], notes)
        if text[1] == "1" and text[16:18] == "21" and mod10_ok(text[2:16]):
            return read(text, text if raw is None else raw, notes)
        return cn20(text, (*notes, NOTE_LEADING_ZERO))
    return cn20(text, notes)


def explain_digits(text: str, raw: str) -> NotACode:
    """Why a run of ASCII digits of any length but 20 is not a trace code."""
    n = len(text)
    if n == 7:
        return NotACode("code_is_product_code", {"value": text}, raw)
    if n == 8 and mod10_ok(text):
        return NotACode("code_is_ean8", {"value": text}, raw)
    if n == 11 and text[0] == "0":
        return NotACode("code_is_cndc", {"value": text}, raw)
    if n == 12 and mod10_ok(text):
        return NotACode("code_is_foreign_barcode", {"value": text}, raw)
    if n == 13:
        return _thirteen(text, raw)
    if n == 14:
        return _fourteen(text, raw)
    if n == 18:
        if check_identity_card(text).ok:
            return NotACode("code_is_identity_card", {}, "")
        if check_uscc(text).ok:
            return NotACode("code_is_uscc", {"value": text}, raw)
        if mod10_ok(text):
            return NotACode("code_sscc_without_ai", {"value": text}, raw)
    if n in _NEAR_20:
        code = "code_digits_missing" if n < 20 else "code_digits_extra"
        return NotACode(code, {"count": str(n), "difference": str(abs(20 - n))}, raw)
    if n % 20 == 0:
        return glued(text, raw)
    return NotACode("code_digit_count", {"count": str(n)}, raw)


def _thirteen(text: str, raw: str) -> NotACode:
    if mod10_ok(text):
        code = "code_is_retail_barcode" if text.startswith("69") else "code_is_foreign_barcode"
        return NotACode(code, {"value": text}, raw)
    if text.startswith("69"):
        expected = str(mod10_digit(text[:-1]))
        return NotACode("code_retail_barcode_check", {"value": text, "expected": expected}, raw)
    return NotACode("code_digit_count", {"count": "13"}, raw)


def _fourteen(text: str, raw: str) -> NotACode:
    if text.startswith("86") and mod10_ok(text):
        return NotACode("code_is_national_drug_code", {"value": text}, raw)
    if mod10_ok(text):
        return NotACode("code_is_gtin14", {"value": text}, raw)
    return NotACode("gtin_check_digit", {"value": text, "expected": str(mod10_digit(text[:-1]))}, raw)


def glued(text: str, raw: str) -> NotACode:
    """Several 20-digit codes without anything between them: name the first two and the count."""
    params = {"count": str(len(text) // 20), "first": text[:20], "second": text[20:40]}
    return NotACode("code_several_codes", params, raw)
