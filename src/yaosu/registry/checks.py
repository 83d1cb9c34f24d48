"""Checks shared by the services: clean text, list entries, identifiers. Findings, never exceptions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date

from yaosu.codes.identifiers import (
    Checked,
    check_approval_number,
    check_cndc,
    check_gtin,
    check_national_drug_code,
    check_uscc,
    check_yibao,
    check_ypid,
    gtin14,
    holds_citizen,
)
from yaosu.errors import Finding
from yaosu.registry import lists
from yaosu.registry.drafts import LinkDraft, OrgDraft, ProductDraft

NAME_MAX = 200
TEXT_MAX = 500
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s.]{1,60}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{4,30}")
_OTHER_ID = re.compile(r"[0-9A-Za-z()（）\-/]{1,40}|无")
_LINKS = {
    "gtin": check_gtin,
    "retail_barcode": check_gtin,
    "bwm": check_national_drug_code,
    "yibao": check_yibao,
    "ypid": check_ypid,
    "cndc": check_cndc,
}
LINK_KINDS = tuple(_LINKS)


def text(value: str, where: str, longest: int = TEXT_MAX, needed: bool = False) -> Finding | None:
    """What is wrong with a free text: missing, too long, control characters, a citizen's number (design §6)."""
    if needed and not value.strip():
        return Finding("value_missing", {"field": where}, where)
    if len(value) > longest:
        return Finding("value_too_long", {"field": where, "length": len(value), "max": longest}, where)
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in value):
        return Finding("value_characters", {"field": where}, where)
    if holds_citizen(value):
        return Finding("personal_in_text", {"field": where}, where)
    return None


def entry(code_lists: lists.CodeLists, name: str, code: object, where: str) -> Finding | None:
    """What is wrong with a code of a list: it is not in the list today."""
    if code_lists.item(name, str(code)) is None:
        return Finding("value_not_in_list", {"field": where, "value": str(code)[:40], "list": name}, where)
    return None


def problem(checked: Checked, where: str) -> Finding | None:
    """The finding of an identifier check, or None when it passed."""
    if checked.problem is None:
        return None
    return Finding(checked.problem.code, checked.problem.params, where)


def link_value(link: LinkDraft, where: str) -> str | Finding:
    """A linked code in its stored form (GTIN and 69码 with 14 digits), or what is wrong with it."""
    check = _LINKS.get(link.kind)
    if check is None:
        return Finding(
            "value_not_in_list", {"field": where, "value": link.kind[:40], "list": "link_kind"}, where
        )
    checked = check(link.value)
    if checked.value is None:
        assert checked.problem is not None
        return Finding(checked.problem.code, checked.problem.params, where)
    return gtin14(checked.value) if check is check_gtin else checked.value


def region(code: str, where: str = "region") -> Finding | None:
    """What is wrong with a GB/T 2260 code: malformed, or in no province or city we know."""
    if lists.is_region(code):
        return None
    return Finding("region_unknown", {"value": code[:20]}, where)


def org(draft: OrgDraft, code_lists: lists.CodeLists) -> list[Finding]:
    """Everything wrong with an organisation that can be told without the database."""
    found = [
        text(draft.name, "name", NAME_MAX, needed=True),
        text(draft.short_name, "short_name", 50),
        text(draft.address, "address"),
        text(draft.contact_name, "contact_name", 50),
        entry(code_lists, "org_type", draft.type, "type"),
        region(draft.region),
    ]
    if draft.uscc:
        found.append(problem(check_uscc(draft.uscc), "uscc"))
    elif not draft.other_id or draft.other_id_kind is None:
        found.append(Finding("org_id_missing", {}, "uscc"))
    else:
        found.append(entry(code_lists, "id_kind_org", draft.other_id_kind, "other_id_kind"))
        if _OTHER_ID.fullmatch(draft.other_id) is None:
            found.append(Finding("org_other_id_shape", {"value": draft.other_id[:40]}, "other_id"))
    if draft.sub_type is not None:
        wrong = entry(code_lists, "org_sub_type", draft.sub_type, "sub_type")
        found.append(wrong)
        sub = code_lists.item("org_sub_type", draft.sub_type)
        if sub is not None and str(sub.attrs.get("type")) != str(draft.type):
            found.append(
                Finding("org_sub_type_of_other", {"sub_type": draft.sub_type, "type": draft.type}, "sub_type")
            )
        if sub is not None and sub.attrs.get("overseas") and draft.domestic_agent_id is None:
            found.append(Finding("org_domestic_agent_missing", {}, "domestic_agent_id"))
    if draft.contact_phone and _PHONE.fullmatch(draft.contact_phone) is None:
        found.append(Finding("value_shape", {"field": "contact_phone"}, "contact_phone"))
    if draft.contact_email and _EMAIL.fullmatch(draft.contact_email) is None:
        found.append(Finding("value_shape", {"field": "contact_email"}, "contact_email"))
    if draft.status not in (0, 1):
        found.append(Finding("value_shape", {"field": "status"}, "status"))
    return [f for f in found if f is not None]


_PRODUCT_TEXTS: Mapping[str, tuple[int, bool]] = {
    "generic_name": (NAME_MAX, True),
    "english_name": (NAME_MAX, False),
    "trade_name": (NAME_MAX, False),
    "dosage_form": (50, True),
    "strength": (NAME_MAX, True),
    "package_size": (NAME_MAX, True),
    "prep_unit": (20, False),
    "import_cert_no": (50, False),
    "import_permit_no": (50, False),
}
"""Lengths of the basic data set (standards §5.2); which ones are mandatory there."""

PREP_UNITS_MAX = 1_000_000


def product(draft: ProductDraft, code_lists: lists.CodeLists) -> list[Finding]:
    """Everything wrong with a product's own fields; ladder and linked codes are checked apart."""
    found: list[Finding | None] = [
        text(getattr(draft, name), name, longest, needed)
        for name, (longest, needed) in _PRODUCT_TEXTS.items()
    ]
    found += [
        entry(code_lists, "registration_class", draft.registration_class, "registration_class"),
        entry(code_lists, "prescription_kind", draft.prescription, "prescription"),
        entry(code_lists, "physic_type", draft.physic_type, "physic_type"),
        *(entry(code_lists, "product_flag", flag, "flags") for flag in sorted(draft.flags)),
    ]
    if draft.expiry_rule is not None:
        found.append(entry(code_lists, "expiry_rule", draft.expiry_rule, "expiry_rule"))
    if not 1 <= draft.shelf_life <= 36_500 or draft.shelf_life_unit not in (1, 2, 3):
        found.append(Finding("product_shelf_life", {}, "shelf_life"))
    if not 1 <= draft.prep_units_per <= PREP_UNITS_MAX:
        found.append(Finding("product_prep_units", {"max": PREP_UNITS_MAX}, "prep_units_per"))
    if draft.status not in (0, 1):
        found.append(Finding("value_shape", {"field": "status"}, "status"))
    if draft.approval_no:
        found.append(problem(check_approval_number(draft.approval_no), "approval_no"))
    elif not draft.import_cert_no and not draft.flags & {"hospital_prep", "decoction", "granule"}:
        # 饮片, 配方颗粒 and 院内制剂 carry filing numbers of other kinds
        found.append(Finding("product_approval_missing", {}, "approval_no"))
    return [f for f in found if f is not None]


def dates(begin: date | None, end: date | None, where: str) -> Finding | None:
    """What is wrong with a pair of days: the end lies before the beginning."""
    if begin is not None and end is not None and end < begin:
        return Finding("dates_reversed", {"begin": begin.isoformat(), "end": end.isoformat()}, where)
    return None
