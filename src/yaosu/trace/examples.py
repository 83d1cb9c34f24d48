"""Examples of the trace room's answers for the API reference."""

from __future__ import annotations

from typing import Any

_PRODUCT = {
    "drug_id": 12,
    "name": "阿莫西林胶囊",
    "trade_name": None,
    "dosage_form": "胶囊剂",
    "strength": "0.25g",
    "package_size": "24粒/盒",
    "approval_no": "国药准字H12345678",
    "mah": "某制药有限公司",
    "manufacturer": "某制药有限公司",
}
_WARNING = {
    "code": "trace_expired",
    "message": "已过有效期（有效期至 2026-08-31）。",
    "next": "不要销售或使用；存入待处理区，按不合格药品处理。",
    "params": {"date": "2026-08-31"},
    "severity": "refused",
}
VERIFIED: dict[str, Any] = {
    "raw": "83857930000123456789",
    "code": "83857930000123456789",
    "scheme": "cn20",
    "found": True,
    "kind": "unit",
    "verdict": "trace_expired",
    "message": _WARNING["message"],
    "next": _WARNING["next"],
    "product": _PRODUCT,
    "level": {"number": 1, "name": "盒"},
    "batches": [{"batch_no": "20240901", "produced_on": "2024-09-01", "expires_on": "2026-08-31", "qty": 1}],
    "qty": 1,
    "status": {"code": "I", "label": "在库"},
    "since": "2026-09-30T02:12:31+00:00",
    "inside": {"code": "83857940000000000017", "parent": "83857940000000000017"},
    "holder": {"org_id": 7, "name": "某大药房", "type": 4},
    "destination": None,
    "holder_hidden": False,
    "queries": {"count": 0, "first_at": None},
    "warnings": [_WARNING],
    "explanation": "这是某制药有限公司的阿莫西林胶囊……",
    "home_system": None,
    "issued": None,
    "others": [],
}
REFUSED: dict[str, Any] = {
    **dict.fromkeys(VERIFIED),
    "raw": "6901234567892",
    "found": False,
    "kind": "not_a_code",
    "verdict": "code_is_retail_barcode",
    "message": "这是商品条码（69码）6901234567892，不是追溯码：同一种商品的每一盒都相同。",
    "next": "请扫盒上“药品追溯码”字样旁的另一个条码。",
    "batches": [],
    "holder_hidden": False,
    "queries": {"count": 0, "first_at": None},
    "warnings": [],
    "explanation": "",
    "others": [],
}
_STAY = {
    "code": "83857930000123456789",
    "container": "83857940000000000017",
    "from_bill": 101,
    "from": "2026-09-01T00:00:00+00:00",
    "to_bill": 140,
    "to": "2026-09-30T02:12:31+00:00",
    "open": False,
    "renamed": False,
}
HISTORY: dict[str, Any] = {
    "code": VERIFIED["code"],
    "now": VERIFIED,
    "events": [
        {
            "bill_id": 120,
            "bill_no": "CK-20260903-001",
            "bill_type": 201,
            "title": "销售出库",
            "happened_at": "2026-09-03T01:00:00+00:00",
            "recorded_at": "2026-09-03T01:00:02+00:00",
            "owner": {"org_id": 3, "name": "某医药有限公司", "type": 2},
            "from": None,
            "to": {"org_id": 7, "name": "某大药房", "type": 4},
            "hidden": False,
            "before": "I",
            "after": "O",
            "certainty": "inferred",
            "via": "83857940000000000017",
            "because": [_STAY],
            "in_force": True,
            "bill_status": "A",
            "revision": 1,
            "flags": [],
            "replacement": None,
        }
    ],
    "hidden": 0,
    "earlier_omitted": 0,
    "stays": [_STAY],
}
CONTENTS: dict[str, Any] = {
    "code": "83857940000000000017",
    "drug_id": 12,
    "qty": 199,
    "complete": True,
    "items": [
        {
            "code": "83857940000000000017",
            "parent": None,
            "depth": 0,
            "level": {"number": 2, "name": "箱"},
            "qty": 199,
            "batch_no": "20240901",
        }
    ],
    "taken_out": [
        {
            "code": VERIFIED["code"],
            "parent": "83857940000000000017",
            "bill_id": 140,
            "qty": 1,
            "batch_no": "20240901",
        }
    ],
    "taken_out_complete": True,
    "next": None,
}
WHERE: dict[str, Any] = {
    "product": _PRODUCT,
    "batch": {"batch_no": "20240901", "produced_on": "2024-09-01", "expires_on": "2026-08-31"},
    "activated": 48000,
    "totals": {"I": 30000, "O": 8000, "S": 10000},
    "items": [{"holder": {"org_id": 7, "name": "某大药房", "type": 4}, "status": "I", "qty": 30000}],
    "on_the_way": [
        {
            "from": {"org_id": 3, "name": "某医药有限公司", "type": 2},
            "to": {"org_id": 7, "name": "某大药房", "type": 4},
            "qty": 8000,
            "shipped_at": "2026-09-03T01:00:00+00:00",
        }
    ],
    "hidden_holders": 0,
}
EXPLAINED: dict[str, Any] = {
    "code": VERIFIED["code"],
    "text": VERIFIED["explanation"],
    "warnings": [_WARNING],
}
PUBLIC: dict[str, Any] = {
    "code": VERIFIED["code"],
    "status": "S",
    "message": "该药品已售出。若不是您本人购买，请谨慎使用并咨询售药机构。",
    "tone": "warn",
    "recall": None,
    "notices": [],
    "queries": {"count": 1, "first_at": "2026-10-01 09:30"},
    "groups": [{"title": "基本信息", "items": [{"label": "药品通用名称", "value": "阿莫西林胶囊"}]}],
}


def _schema(value: object) -> dict[str, Any]:
    """A JSON schema that describes `value`: names and kinds of its fields, each null where nothing is known."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {k: _or_null(_schema(v)) for k, v in value.items()}}
    if isinstance(value, list):
        return {"type": "array", "items": _schema(value[0]) if value else {}}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {"type": kinds[type(value)]} if type(value) in kinds else {}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


def json_of(example: dict[str, Any]) -> dict[str, Any]:
    """The documented answer 200 of an operation that writes its JSON itself."""
    return {
        "description": "OK",
        "content": {"application/json": {"schema": _schema(example), "example": example}},
    }
