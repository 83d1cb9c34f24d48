"""Examples of answers for the API reference."""

from __future__ import annotations

from typing import Any

_ORG = {"org_id": 7, "name": "某制药有限公司", "type": 1}
_PRODUCT = {
    "drug_id": 12,
    "name": "复方测试胶囊",
    "trade_name": None,
    "dosage_form": "胶囊剂",
    "strength": "每粒装0.3g",
    "package_size": "24粒/盒",
    "approval_no": "国药准字Z45021428",
    "mah": "某制药有限公司",
    "manufacturer": "某制药有限公司",
}
SHORT: dict[str, Any] = {
    "id": 3,
    "number": "ZH20260930-001",
    "title": "复方测试胶囊召回",
    "state": "published",
    "state_name": "召回中",
    "level": 1,
    "level_name": "一级召回",
    "kind": "active",
    "kind_name": "主动召回",
    "simulated": False,
    "public": True,
    "product": _PRODUCT,
    "issuer": _ORG,
    "owner": _ORG,
    "return_to": _ORG,
    "reason": "留样检验含量不合格",
    "hazard": "可能影响疗效",
    "measure": "return",
    "measure_name": "退回召回企业",
    "regions": [],
    "region_names": [],
    "contact": "质量部 0531-12345678",
    "batches": ["20260901"],
    "codes": [],
    "drafted_at": "2026-09-30T09:00:00+08:00",
    "approved_at": "2026-09-30T09:20:00+08:00",
    "approved_by": _ORG,
    "published_at": "2026-09-30T09:21:00+08:00",
    "ended_at": None,
    "end_reason": "",
    "clock": {"notice_hours": 24, "progress_days": 1, "summary_working_days": 10},
    "version": 3,
}
LEDGER = {
    "due": 120,
    "arrived": 0,
    "returned": 100,
    "under_way": 40,
    "destroyed": 0,
    "sold": 0,
    "now": 20,
    "quarantined": 20,
    "coming": 0,
}
TASK: dict[str, Any] = {
    "holder": {"org_id": 21, "name": "某大药房", "type": 4},
    "region": "370102",
    "region_name": "山东省 济南市",
    "state": "counted",
    "at_publication": {"on_hand": 120, "coming": 0, "sent": 0, "sold": 35},
    "told_at": "2026-09-30T09:21:00+08:00",
    "read_at": "2026-09-30T09:40:00+08:00",
    "counted_at": "2026-09-30T11:00:00+08:00",
    "counted": 118,
    "ledger_then": 120,
    "difference": -2,
    "sealed": 0,
    "missing": 2,
    "note": "",
    "done_at": None,
    "overdue": False,
    "ledger": LEDGER,
}
TIMES = {
    "located_ms": 86.4,
    "first_told_s": 0.1,
    "last_told_s": 0.1,
    "first_refused_s": 4.2,
    "first_read_s": 1140.0,
    "last_read_s": None,
    "holders": 214,
    "read": 180,
    "refused_scans": 3,
}
FIGURES = {
    "destroyed_home": 0,
    "recalled": 48000,
    "home": 5000,
    "sold": 9000,
    "back": 30000,
    "destroyed": 0,
    "outstanding": 18000,
    "on_the_way": 2000,
    "sealed": 6000,
    "rate": 0.625,
}
REPORT = {
    "id": 1,
    "n": 1,
    "kind": "progress",
    "name": "进展报告",
    "made_at": "2026-10-01T09:00:00+08:00",
    "figures": {**FIGURES, "holders": 214, "read": 180},
    "findings": "已通知全部单位",
}
ORDER: dict[str, Any] = {
    **SHORT,
    "may_manage": True,
    "runs": True,
    "due": {"notice": "2026-10-01T09:21:00+08:00", "progress": "2026-10-02T09:00:00+08:00"},
    "figures": FIGURES,
    "times": TIMES,
    "reports": [REPORT],
    "by_region": [
        {
            "region": "370000",
            "name": "山东省",
            "holders": 180,
            "read": 150,
            "done": 20,
            "due": 40000,
            "returned": 26000,
            "under_way": 2000,
            "destroyed": 0,
            "now": 14000,
        }
    ],
    "unnamed": 0,
    "task": None,
}
OWN_TASK: dict[str, Any] = {
    "order": SHORT,
    "due": "2026-10-01T09:21:00+08:00",
    **TASK,
    "scanned": {"qty": 118, "codes": 12},
    "scans": [{"code": "83857940000879766660", "qty": 10, "scanned_at": "2026-09-30T10:50:00+08:00"}],
    "bills": [
        {
            "id": 4711,
            "bill_no": "ZHCK-001",
            "type": 211,
            "to_org": 7,
            "from_org": None,
            "status": "A",
            "happened_at": "2026-09-30T15:00:00+08:00",
            "qty": 100,
        }
    ],
    "others": [],
}
SCANS: dict[str, Any] = {
    "bill_no": "",
    "bill_id": None,
    "url": "/recalls/3/task",
    "status": "accepted",
    "accepted": 1,
    "refused": 0,
    "total": 118,
    "results": [
        {
            "raw": "83857940000879766660",
            "code": "83857940000879766660",
            "severity": "ok",
            "verdict": "recall_scan_ours",
            "message": "属于召回范围，在本单位账上",
            "next": "",
            "qty": 10,
        }
    ],
}
LOCK: dict[str, Any] = {
    "id": 5,
    "number": "SD20260930-001",
    "kind": "lock",
    "kind_name": "锁定",
    "product": _PRODUCT,
    "batches": ["20260901"],
    "codes": [],
    "issuer": {"org_id": 90, "name": "某省药品监督管理局", "type": 110},
    "binds": None,
    "reason": "sampling",
    "reason_name": "抽检不合格",
    "reason_text": "省药检院 2026-118 号报告",
    "placed_at": "2026-09-30T09:00:00+08:00",
    "released_at": None,
    "released_by": None,
    "release_reason": "",
}
_PUBLIC = (
    "number", "title", "state", "state_name", "level", "level_name", "kind", "kind_name", "product", "reason", "hazard",
    "measure", "measure_name", "regions", "region_names", "contact", "batches", "published_at", "ended_at",
)  # fmt: skip
PUBLIC: dict[str, Any] = {
    **{key: SHORT[key] for key in _PUBLIC},
    "issuer": "某制药有限公司",
    "single_codes": 0,
}
