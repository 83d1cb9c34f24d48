"""Examples in the API reference: one product, its maker, its filing."""

from __future__ import annotations

from typing import Any

USCC = "91370102000000019K"
ORG_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "uscc": USCC,
    "name": "山东示例制药有限公司",
    "short_name": "示例制药",
    "type": 1,
    "sub_type": 13,
    "region": "370102",
    "region_name": "山东省 济南市 历下区",
    "parent_id": None,
    "status": 1,
}
LICENCE_EXAMPLE: dict[str, Any] = {
    "id": 3,
    "org_id": 12,
    "kind": 5,
    "number": "鲁20200001",
    "issued_on": "2020-12-01",
    "expires_on": "2030-11-30",
    "scope": "",
    "version": 1,
    "warning": None,
}
LEVELS_EXAMPLE: list[dict[str, Any]] = [
    {"level": 1, "name": "盒", "contains": 1, "units_per": 1, "identifier": "8385793", "scheme": "cn20"},
    {"level": 2, "name": "箱", "contains": 200, "units_per": 200, "identifier": "8385794", "scheme": "cn20"},
]
PRODUCT_EXAMPLE: dict[str, Any] = {
    "id": 7,
    "generic_name": "复方示例胶囊",
    "english_name": "",
    "trade_name": "",
    "dosage_form": "胶囊剂",
    "strength": "每粒装0.3g",
    "package_size": "24粒/盒",
    "prep_unit": "粒",
    "prep_units_per": 24,
    "shelf_life": 24,
    "shelf_life_unit": 2,
    "expiry_rule": None,
    "approval_no": "国药准字Z45021428",
    "approval_expires": "2029-12-31",
    "import_cert_no": "",
    "import_cert_expires": None,
    "import_permit_no": "",
    "import_permit_expires": None,
    "registration_class": "tcm",
    "prescription": "rx",
    "essential": False,
    "physic_type": 3,
    "flags": ["vbp"],
    "mah_id": 12,
    "manufacturer_id": 12,
    "packer_id": None,
    "agent_id": None,
    "status": 1,
    "version": 1,
    "ratio": "1:200",
    "levels": LEVELS_EXAMPLE,
    "links": [{"kind": "retail_barcode", "value": "06924561884074", "level": None}],
}
FILING_EXAMPLE: dict[str, Any] = {
    "id": 5,
    "org_id": 12,
    "scheme": "cn20",
    "rule_text": "7位药品标识码，9位序列号，4位校验位",
    "pattern": "",
    "pattern_upper": False,
    "issuer": "",
    "samples": [],
    "system_id": 1,
    "query_url": "",
    "filed_on": "2025-01-01",
    "filing_no": "",
    "status": 1,
    "version": 1,
    "prefixes": ["8385793", "8385794"],
}
SYSTEM_EXAMPLE: dict[str, Any] = {
    "id": 1,
    "name": "药溯",
    "operator": "本系统运营单位",
    "query_url": "",
    "own": True,
}
ITEM_EXAMPLE: dict[str, Any] = {
    "code": "1",
    "zh": "破损",
    "en": "Damaged",
    "source": "码上放心开放接口出入库上传（公开文档）",
    "region": "",
    "valid_from": "1949-10-01",
    "valid_to": None,
    "attrs": {},
    "version": 0,
}
