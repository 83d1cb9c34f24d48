"""公民身份号码 (GB 11643): the 18-character number of a Chinese identity card.

6 administrative division, 8 date of birth, 3 sequence, 1 check character (ISO 7064 mod 11-2). It is personal
data: no problem reported here ever carries the number, neither in its parameters nor as raw text.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime

from yaosu.codes.identifiers.checked import Checked, bad, good, squeeze

_SHAPE = re.compile(r"[1-9]\d{16}[\dX]", re.ASCII)
_LIKE = re.compile(r"(?<![0-9A-Za-z])[1-9](?:[ \-]?[0-9]){16}[ \-]?[0-9Xx](?![0-9A-Za-z])", re.ASCII)


def identity_card_check_character(body: str) -> str:
    """Check character (0–9 or X) for the first 17 digits."""
    total = 0
    for ch in body:
        total = (total + int(ch)) * 2 % 11
    return "0123456789X"[(12 - total) % 11]


def check_identity_card(raw: str) -> Checked:
    """Check an 18-character identity number: shape, birth date, check character. Value in upper case."""
    text = squeeze(raw).upper()
    if _SHAPE.fullmatch(text) is None:
        return bad("identity_card_shape", "")
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return bad("identity_card_birth_date", "")
    if born.year < 1850:
        return bad("identity_card_birth_date", "")
    if identity_card_check_character(text[:17]) != text[17]:
        return bad("identity_card_check_digit", "")
    return good(text)


def holds_citizen(text: str) -> bool:
    """Whether a right identity-card number of somebody born by now stands in `text`, also with blanks or hyphens."""
    for found in _LIKE.finditer(unicodedata.normalize("NFKC", text)):
        number = found.group().replace(" ", "").replace("-", "")
        if check_identity_card(number).value is not None and int(number[6:10]) <= datetime.now(UTC).year:
            return True
    return False
