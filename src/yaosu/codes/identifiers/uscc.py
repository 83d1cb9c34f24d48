"""统一社会信用代码 (GB 32100-2015): the 18-character identity of a Chinese organisation.

1 registration authority, 1 kind of organisation, 6 administrative division, 9 organisation code (GB 11714,
with a check character of its own), 1 check character. Letters I, O, S, V and Z are not used.
"""

from __future__ import annotations

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze

CHARSET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE = {c: i for i, c in enumerate(CHARSET)}
_WEIGHTS_18 = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_WEIGHTS_9 = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AUTHORITIES = frozenset("123456789ANY")


def uscc_check_character(body: str) -> str:
    """Check character for the first 17 characters."""
    total = sum(_VALUE[c] * w for c, w in zip(body, _WEIGHTS_18, strict=True))
    return CHARSET[-total % 31]


def organisation_check_character(body: str) -> str:
    """Check character (0–9 or X) for the first 8 characters of an organisation code."""
    total = sum(_ORGANISATION.index(c) * w for c, w in zip(body, _WEIGHTS_9, strict=True))
    return "0123456789X0"[11 - total % 11]


def check_uscc(raw: str) -> Checked:
    """Check a 统一社会信用代码: length, characters, authority, both check characters. Value in upper case."""
    text = squeeze(raw).upper()
    if len(text) != 18:
        return bad("uscc_length", raw, length=len(text))
    wrong = sorted({c for c in text if c not in _VALUE})
    if wrong:
        return bad("uscc_characters", raw, characters="".join(wrong))
    if text[0] not in _AUTHORITIES or not text[2:8].isdigit():
        return bad("uscc_shape", raw)
    expected = uscc_check_character(text[:17])
    if text[17] != expected:
        return bad("uscc_check_digit", raw, value=text, expected=expected)
    if organisation_check_character(text[8:16]) != text[16]:
        return bad("uscc_organisation_check", raw, value=text, part=text[8:17])
    return good(text)
