"""Examples of answers for the API's documentation."""

from __future__ import annotations

from typing import Any

PART_EXAMPLE = {
    "code": "83857930000879766660",
    "units": 6,
    "trdn_flag": "1",
    "batch_no": "20260301",
    "produced_on": "2026-03-01",
    "expires_on": "2028-02-29",
    "use_before": None,
}
ORDER_EXAMPLE: dict[str, Any] = {
    "order_id": 88,
    "number": "CL-20260930-0001",
    "kind": "dispense",
    "bill_id": 4711,
    "type": 323,
    "type_name": "使用出库",
    "pool_id": None,
    "happened_at": "2026-09-30T10:12:31+08:00",
    "status": "accepted",
    "replayed": False,
    "accepted": 1,
    "refused": 0,
    "lines": [
        {
            "n": 0,
            "status": "done",
            "drug_id": 7,
            "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
            "prep_unit": "粒",
            "units": 6,
            "prescription_no": "CF20260930017",
            "person": None,
            "dosage": "每次2粒，每日3次",
            "parts": [PART_EXAMPLE],
        }
    ],
}
BOX_EXAMPLE: dict[str, Any] = {
    "drug_id": 7,
    "code": "83857930000879766660",
    "product": "复方测试胶囊 每粒装0.3g 24粒/盒",
    "prep_unit": "粒",
    "org": {"id": 5, "name": "某医院", "uscc": "", "type": 3, "region": "370102"},
    "batch_no": "20260301",
    "produced_on": "2026-03-01",
    "expires_on": "2028-02-29",
    "total": 24,
    "dispensed": 6,
    "lost": 0,
    "left": 18,
    "opened_at": "2026-09-30T10:12:31+08:00",
    "opened_bill": 4711,
    "use_before": None,
    "until": "2028-03-01T00:00:00+08:00",
    "state": "open",
    "status": "D",
    "pool": None,
}
