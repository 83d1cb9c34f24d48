"""Identity documents: shape by kind as data (list `id_kind_person`), normal form, masks. Pure.

No finding made here carries the number or the name, in its parameters or otherwise.
"""

from __future__ import annotations

import re
from datetime import date

from yaosu.codes.identifiers import check_identity_card
from yaosu.codes.identifiers.checked import squeeze
from yaosu.codes.identifiers.identity_card import identity_card_check_character
from yaosu.errors import Finding
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item

_PUNCTUATION = str.maketrans("", "", "-–—－·.．/_（）()")
_PHONE = re.compile(r"\+?[0-9]{5,15}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{6,}", re.ASCII)
_OLDEST = 130
CITIZEN = 18
FIFTEEN = 15
"""Characters of a citizen's number now, and until 1999."""
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
        return _identity_card(lists, item, text, today, where)
    pattern = str(item.attrs.get("pattern") or ".{1,64}")
    dropped = str(item.attrs.get("drop") or "")
    shape = "".join(c for c in text if c not in dropped)
    if len(text) > NUMBER_MAX or re.fullmatch(pattern, shape, re.ASCII) is None:
        return "", Finding("document_shape", {"kind": item.zh, "kind_en": item.en}, where)
    if item.attrs.get("check") == "gb11643_of_18" and len(shape) == CITIZEN:
        return _citizen(shape, today, where)
    return shape, None


def _identity_card(
    lists: CodeLists, item: Item, text: str, today: date, where: str
) -> tuple[str, Finding | None]:
    """GB 11643: shape, province, date of birth, check character."""
    if (longer := of_fifteen(text)) is not None:
        if item.attrs.get("fifteen") != "accepted":
            return "", Finding("identity_card_old", {}, where)
        text = longer
    found, wrong = _citizen(text, today, where)
    begins = item.attrs.get("begins")
    if wrong is None and isinstance(begins, list):
        if found[:2] not in {str(b) for b in begins}:
            wrong = Finding("document_shape", {"kind": item.zh, "kind_en": item.en}, where)
    elif wrong is None and lists.item("region", found[:2] + "0000", today) is None:
        wrong = Finding("identity_card_region", {}, where)
    return ("", wrong) if wrong is not None else (found, None)


def _citizen(text: str, today: date, where: str) -> tuple[str, Finding | None]:
    """18 characters with date of birth and check character after GB 11643, wherever they were issued."""
    checked = check_identity_card(text)
    if checked.value is None:
        assert checked.problem is not None
        return "", Finding(checked.problem.code, {}, where)
    years = age(checked.value, today)
    if years is None or not 0 <= years <= _OLDEST:
        return "", Finding("identity_card_birth_date", {}, where)
    return checked.value, None


def of_fifteen(number: str) -> str | None:
    """The 18 characters of the first-generation card's 15 digits (GB 11643: 19 before the year, check character);
    None where no date of birth stands in them. Those digits check nothing else, and the card is no longer valid."""
    if len(number) != FIFTEEN or not (number.isascii() and number.isdigit()) or number[0] == "0":
        return None
    body = f"{number[:6]}19{number[6:]}"
    return check_identity_card(body + identity_card_check_character(body)).value


def age(number: str, today: date) -> int | None:
    """Full years of the holder of an identity-card number; None when the number does not say."""
    if check_identity_card(number).value is None:
        return None
    born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def identity(kind: str, number: str, lists: CodeLists | None = None) -> str:
    """What tells persons apart: the citizen's number whatever document shows it (medical-insurance cards often do, old
    ones with 15 digits), else kind and number, without what counts its renewals (`person` of list `id_kind_person`)."""
    citizen = of_fifteen(number) or number
    if check_identity_card(citizen).value is not None:
        return f"gb11643:{citizen}"
    item = lists.item("id_kind_person", kind) if lists is not None else None
    kept = item.attrs.get("person") if item is not None else None
    return f"{kind}:{number[: int(str(kept))] if kept else number}"


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
