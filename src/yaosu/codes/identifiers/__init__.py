"""Identifiers around a drug: one file each, one result type (`Checked`)."""

from yaosu.codes.identifiers.approval_number import check_approval_number, is_import_certificate
from yaosu.codes.identifiers.checked import Checked
from yaosu.codes.identifiers.gtin import check_gtin, gtin14, is_chinese_prefix
from yaosu.codes.identifiers.identity_card import check_identity_card, holds_citizen
from yaosu.codes.identifiers.national_drug_code import check_national_drug_code, is_suspicious
from yaosu.codes.identifiers.opaque import check_cndc, check_ypid
from yaosu.codes.identifiers.sscc import check_sscc
from yaosu.codes.identifiers.uscc import check_uscc
from yaosu.codes.identifiers.yibao import check_yibao

__all__ = [
    "Checked",
    "check_approval_number",
    "check_cndc",
    "check_gtin",
    "check_identity_card",
    "check_national_drug_code",
    "check_sscc",
    "check_uscc",
    "check_yibao",
    "check_ypid",
    "gtin14",
    "holds_citizen",
    "is_chinese_prefix",
    "is_import_certificate",
    "is_suspicious",
]
