"""Examples of the API document."""

from __future__ import annotations

from typing import Any

CODE = "83857930000123456789"
FINDING: dict[str, Any] = {
    "rule": "settled_elsewhere",
    "message": "该追溯码已于 2026-09-01 10:12 在其他定点机构结算（统筹区 370102），疑似回流药",
    "next": "停止销售，查验购进票据，在医保核查中提交说明。",
}
OUTCOME: dict[str, Any] = {
    "act": "SY202609010001",
    "decision": "refuse",
    "recorded": False,
    "codes": [
        {
            "row": 1,
            "code": CODE,
            "raw": CODE,
            "verdict": "settled_elsewhere",
            "severity": "refuse",
            "message": FINDING["message"],
            "next": FINDING["next"],
            "findings": [{**FINDING, "severity": "refuse"}],
            "repeated": False,
            "case": "YB20260901000007",
        }
    ],
    "lines": [],
}
INSTITUTION: dict[str, Any] = {
    "id": 3,
    "code": "H37010200001",
    "name": "济南第一医院",
    "region": "370102",
    "profile": "national",
    "app": "9f3c0a5be1d24f7788aa01c2d3e4f506",
    "org": 12,
    "active": True,
    "made_at": "2026-09-01T10:00:00+08:00",
}
ISSUED: dict[str, Any] = {
    "id": 3,
    "code": "H37010200001",
    "name": "济南第一医院",
    "profile": "national",
    "app": "9f3c0a5be1d24f7788aa01c2d3e4f506",
    "secret": "（只显示一次）",
    "private_key": "（只显示一次）",
    "bureau_key": "3a0f…",
}
SETTLEMENT: dict[str, Any] = {
    "id": 51,
    "code": CODE,
    "institution": {"id": 3, "code": "H37010200001", "name": "济南第一医院", "region": "370102"},
    "sold_at": "2026-09-01T10:12:00+08:00",
    "recorded_at": "2026-09-01T10:12:01+08:00",
    "collected_at": None,
    "settled_at": "2026-09-01T10:12:01+08:00",
    "ended_at": None,
    "split": False,
    "units": None,
    "state": "S",
    "state_name": "已结算/销售",
    "severity": "ok",
    "med_list_codg": "XA02BCT040A001010100001",
    "numbers": {"doc": "SY202609010001"},
    "bill_id": 4711,
    "findings": [],
}
CASE: dict[str, Any] = {
    "id": 7,
    "number": "YB20260901000007",
    "rule": "settled_elsewhere",
    "title": "已在其他机构结算",
    "severity": "refuse",
    "code": CODE,
    "act": "SY202609010002",
    "side": "later",
    "hints": [{"code": "other_person", "text": "不同参保人"}],
    "times": 1,
    "state": "open",
    "opened_at": "2026-09-01T10:20:00+08:00",
    "due_at": "2026-09-11T10:20:00+08:00",
    "findings": [FINDING],
}
DOSSIER: dict[str, Any] = {
    "title": "药品追溯码说明材料",
    "generated_at": "2026-09-02T09:00:00+08:00",
    "code": CODE,
    "views": [],
    "settlements": [SETTLEMENT],
    "settled_by_others": [
        {"sold_at": "2026-08-30T09:00:00+08:00", "region": "650100", "split": False, "disputed": False}
    ],
    "reports": [],
    "cases": [],
    "files": [],
    "statements": [],
    "left_out": ["个人信息（参保人、医师、药师）一律不列"],
    "digest": {"sha256": "9b74…", "sm3": "66c7…"},
}
MESSAGE: dict[str, Any] = {
    "id": 88,
    "received_at": "2026-09-01T10:12:01+08:00",
    "institution": {"code": "H37010200001", "name": "济南第一医院"},
    "infno": "3505A",
    "msgid": "H37010200001202609011012000001",
    "rows": 3,
    "refused": 1,
    "kept": True,
    "infcode": "0",
    "err_msg": "",
    "warn_msg": "第2行 缺少必填项 零售单据号（rtal_docno）。（input.selinfoDetail[1].rtal_docno）[yibao_field_missing]",
}
PUBLIC: dict[str, Any] = {
    "code": CODE,
    "state": "once",
    "message": "查询到 1 次销售信息",
    "next": "如为本人购买则合规；不是本人购买的，极有可能为回流药、串换药或假药，请向医保部门举报。",
    "first_sold_on": "2026-09-01",
}
