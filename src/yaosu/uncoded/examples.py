"""Examples of the API reference."""

from __future__ import annotations

from typing import Any

LOT: dict[str, Any] = {
    "id": 5,
    "org_id": 4,
    "drug_id": 7,
    "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
    "batch_no": "240501",
    "produced_on": "2024-05-01",
    "expires_on": "2027-04-30",
    "bill_no": "WR-20260110-0001",
    "bill_id": 4711,
    "entered_at": "2026-01-10T09:12:00+08:00",
    "entered": 120,
    "left": 97,
    "zone": "无码专区 A-01",
    "supplier": {
        "id": 2,
        "name": "示例医药批发有限公司",
        "uscc": "91370102000000011K",
        "type": 2,
        "region": "370102",
    },
    "supplier_name": "示例医药批发有限公司",
    "invoice_no": "04410231",
    "invoice_date": "2025-06-12",
    "proof_id": 3,
    "age_days": 212,
    "state": "due",
    "due": "2026-02-28",
    "days_left": 49,
}
REQUEST: dict[str, Any] = {
    "id": 2,
    "lot_id": 5,
    "drug_id": 7,
    "batch_no": "240501",
    "qty": 100,
    "done_qty": 0,
    "reason": "历史库存补码",
    "state": "asked",
    "answer": "",
    "ship_bill_no": "",
    "asked_at": "2026-01-12T09:00:00+08:00",
    "answered_at": None,
    "closed_at": None,
    "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
    "org": {"id": 4, "name": "示例大药房", "uscc": "", "type": 4, "region": "650102"},
    "supplier": {"id": 2, "name": "示例医药批发有限公司", "uscc": "", "type": 2, "region": "650102"},
    "invoice_no": "04410231",
    "invoice_date": "2025-06-12",
}
MOVED: dict[str, Any] = {
    "bill_id": 4712,
    "bill_no": "WS-20260112-0001",
    "status": "accepted",
    "qty": 1,
    "results": [],
}
