"""Identity documents: shape by kind as data (list `id_kind_person`), normal form, masks. Pure.

No finding made here carries the number or the name, in its parameters or otherwise.
"""

from __future__ import annotations

import re
from datetime import date

from yaosu.codes.identifiers import check_identity_card
from yaosu.codes.identifiers.checked import squeeze
from yaosu.errors import Finding
from yaosu.registry.lists import CodeLists

_PUNCTUATION = str.maketrans("", "", "-–—－·.．/_（）()")
_PHONE = re.compile(r"\+?[0-9]{5,15}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{6,}", re.ASCII)
_OLDEST = 130
NAME_MAX = 50
NUMBER_MAX = 64


def normal(number: str) -> str:
    """Half width, capitals, without blanks, hyphens, dots and brackets."""
    return squeeze(number[: NUMBER_MAX * 2]).translate(_PUNCTUATION).upper()


def check_number(
    lists: CodeLists, kind: str, number: str, today: date, where: str = "person.number"
) -> tuple[str, Finding | None]:
    """The normal form of a document's number, and what is wrong with it, if anything (R-C2)."""
    item = lists.item("id_kind_person", kind, today)
    if item is None:
        return "", Finding("document_kind_unknown", {}, where.replace("number", "kind"))
    text = normal(number)
    if not text:
        return "", Finding("document_number_needed", {"kind": item.zh, "kind_en": item.en}, where)
    if item.attrs.get("check") == "gb11643":
        return _identity_card(lists, text, today, where)
    pattern = str(item.attrs.get("pattern") or ".{1,64}")
    if len(text) > NUMBER_MAX or re.fullmatch(pattern, text, re.ASCII) is None:
        return "", Finding("document_shape", {"kind": item.zh, "kind_en": item.en}, where)
    return text, None


def _identity_card(lists: CodeLists, text: str, today: date, where: str) -> tuple[str, Finding | None]:
    """GB 11643: shape, province, date of birth, check character."""
    checked = check_identity_card(text)
    if checked.value is None:
        assert checked.problem is not None
        return "", Finding(checked.problem.code, {}, where)
    if lists.item("region", checked.value[:2] + "0000", today) is None:
        return "", Finding("identity_card_region", {}, where)
    years = age(checked.value, today)
    if years is None or not 0 <= years <= _OLDEST:
        return "", Finding("identity_card_birth_date", {}, where)
    return checked.value, None


def age(number: str, today: date) -> int | None:
    """Full years of the holder of an identity-card number; None when the number does not say."""
    if check_identity_card(number).value is None:
        return None
    born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def identity(kind: str, number: str) -> str:
    """What tells persons apart: the citizen's number whatever document shows it (medical-insurance cards often do),
    else kind and number."""
    if check_identity_card(number).value is not None:
        return f"gb11643:{number}"
    return f"{kind}:{number}"


def check_name(name: str, where: str = "person.name") -> tuple[str, Finding | None]:
    """The name without outer blanks; refused when missing, too long, or a number in the wrong field."""
    text = " ".join(name.split())
    if not text:
        return "", Finding("person_name_needed", {}, where)
    if len(text) > NAME_MAX or _DIGITS.search(text) or not text.isprintable():
        return "", Finding("person_name_shape", {"limit": NAME_MAX}, where)
    return text, None


def check_phone(phone: str, where: str = "person.phone") -> tuple[str, Finding | None]:
    """The telephone number in digits; empty is right."""
    text = normal(phone)
    if text and _PHONE.fullmatch(text) is None:
        return "", Finding("person_phone_shape", {}, where)
    return text, None


def mask_name(name: str) -> str:
    """张三 → 张*, 欧阳修 → 欧**, John Smith → J***."""
    if not name:
        return ""
    return name[0] + ("***" if name.isascii() else "*" * max(1, len(name) - 1))


def mask_number(number: str) -> str:
    """First and last four of a long number (6501**********1234), less of a short one; never more than half."""
    keep = 4 if len(number) >= 16 else max(1, len(number) // 4)
    if len(number) <= 3:
        return "*" * len(number)
    return number[:keep] + "*" * (len(number) - 2 * keep) + number[-keep:]


def holds_number(text: str) -> bool:
    """Whether a free text holds something like a document's or telephone's number."""
    return re.search(r"[0-9]{7,}[0-9Xx]?", squeeze(text), re.ASCII) is not None
