"""The last step of reading: why a text that is no trace code is none, and what it probably is instead."""

from __future__ import annotations

import re

from yaosu.codes.digits import explain_digits, glued
from yaosu.codes.gs1 import GS
from yaosu.codes.identifiers.approval_number import check_approval_number
from yaosu.codes.identifiers.identity_card import check_identity_card
from yaosu.codes.identifiers.uscc import check_uscc
from yaosu.codes.identifiers.yibao import check_yibao, looks_like_yibao_drug
from yaosu.codes.model import NotACode

_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d{1,3}", re.ASCII)
_LABELS = re.compile(
    r"药品追溯码|药品电子监管码|药品标识码|生产标识码|单品序列号|追溯码|监管码|序列号|校验码|[:,;\s]"
)
_BETWEEN_CODES = re.compile(r"[\s,;|/+&]+")
_LOOKALIKE = {"O": "0", "o": "0", "Q": "0", "D": "0", "I": "1", "l": "1", "i": "1", "|": "1", "!": "1"}
_LOOKALIKE.update({"Z": "2", "z": "2", "S": "5", "s": "5", "b": "6", "G": "6", "B": "8", "g": "9", "q": "9"})
_LOOKALIKE_MAX = 4
_JOINTS = str.maketrans("", "", " -._/\t\r\n")


def spreadsheet(text: str, raw: str) -> NotACode | None:
    """The reason if the text is a number that a spreadsheet has already damaged, otherwise None."""
    if 4 <= len(text) <= 40 and _SCIENTIFIC.fullmatch(text):
        digits = sum(c.isdigit() for c in re.split("[eE]", text)[0])
        return NotACode("code_scientific_notation", {"value": text, "kept": str(digits)}, raw)
    return None


def labelled_digits(text: str) -> str | None:
    """The 20 digits of a label (``药品标识码:8385793 序列号:0000879766660``), or None if it is none."""
    if text.isascii() or len(text) > 100:
        return None
    digits = _LABELS.sub("", text)
    return digits if len(digits) == 20 and digits.isascii() and digits.isdigit() else None


def explain(text: str, raw: str) -> NotACode:
    """The most useful reason why ``text`` (cleaned) is not a trace code. Specific reasons come first."""
    if text[0] == "]" and len(text) > 3:
        text = text[3:]
    joined = text.translate(_JOINTS)
    if joined.isascii() and joined.isdigit():
        return explain_digits(joined, raw)
    several = _several(text, raw)
    if several is not None:
        return several
    upper = joined.upper()
    if len(upper) == 18:
        if check_identity_card(upper).ok:
            return NotACode("code_is_identity_card", {}, "")
        if check_uscc(upper).ok:
            return NotACode("code_is_uscc", {"value": upper}, raw)
    if check_approval_number(text).ok:
        return NotACode("code_is_approval_number", {"value": upper}, raw)
    if looks_like_yibao_drug(upper) or (upper[:1] in ("X", "Z") and check_yibao(upper).ok):
        return NotACode("code_is_yibao", {"value": upper}, raw)
    letters = _letters(joined, raw)
    if letters is not None:
        return letters
    if GS in text:
        return NotACode("code_gs1_no_key", {"ais": ""}, raw)
    strange = sorted({c for c in text if not c.isascii()})
    if strange:
        return NotACode("code_unknown_characters", {"characters": "".join(strange[:20])}, raw)
    return NotACode("code_unknown", {"length": str(len(text))}, raw)


def _several(text: str, raw: str) -> NotACode | None:
    """Several 20-digit codes with commas, bars or line ends between them."""
    parts = [part for part in _BETWEEN_CODES.split(text) if part]
    if len(parts) > 1 and all(len(p) == 20 and p.isascii() and p.isdigit() for p in parts):
        return glued("".join(parts), raw)
    return None


def _letters(text: str, raw: str) -> NotACode | None:
    """A digit code with look-alike letters in it: name the positions and what was probably meant."""
    if not 18 <= len(text) <= 22:
        return None
    places = [i for i, c in enumerate(text) if not (c.isascii() and c.isdigit())]
    if not places or len(places) > _LOOKALIKE_MAX or any(text[i] not in _LOOKALIKE for i in places):
        return None
    meant = "".join(_LOOKALIKE.get(c, c) for c in text)
    params = {
        "positions": ", ".join(str(i + 1) for i in places),
        "letters": ", ".join(text[i] for i in places),
        "meant": meant,
    }
    return NotACode("code_letters_in_digits", params, raw)
