"""What the API of recalls, tasks and locks takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, IntId, LongText
from yaosu.circulation.schemas import OrgRef, RawCode, org_id
from yaosu.recall.model import BATCHES_MAX, CODES_MAX, Draft
from yaosu.recall.tasks import SCANS_MAX
from yaosu.registry.resolver import Registry

QTY_MAX = 2**53
Qty = Annotated[int, Field(ge=0, le=QTY_MAX)]
BatchNo = Annotated[CleanText, Field(min_length=1, max_length=64)]
Why = Annotated[LongText, Field(min_length=1, max_length=2000)]


class OrderIn(BaseModel):
    """A recall order (standards §5.10)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "drug_id": 12,
                    "level": 1,
                    "kind": "active",
                    "simulated": False,
                    "title": "复方测试胶囊召回",
                    "reason": "留样检验含量不合格",
                    "hazard": "可能影响疗效",
                    "measure": "return",
                    "contact": "质量部 0531-12345678",
                    "public": True,
                    "regions": [],
                    "batches": ["20260901"],
                    "codes": [],
                }
            ]
        },
    )
    drug_id: IntId
    level: Annotated[int, Field(ge=1, le=3, description="召回级别 1 一级 2 二级 3 三级")]
    kind: Annotated[Literal["active", "ordered"], Field(description="主动, 责令")] = "active"
    simulated: Annotated[bool, Field(description="模拟召回: a drill; nothing is stopped")] = False
    title: Annotated[CleanText, Field(min_length=1, max_length=200)]
    reason: Annotated[Why, Field(description="召回原因")]
    hazard: Annotated[LongText, Field(max_length=2000, description="健康危害评估")] = ""
    measure: Annotated[CleanText, Field(max_length=16, description="list `recall_measure`")] = "return"
    contact: Annotated[CleanText, Field(min_length=1, max_length=200, description="whom holders ask")]
    public: Annotated[bool, Field(description="是否向消费者公开; refused for a drill")] = False
    regions: Annotated[
        list[Annotated[str, Field(pattern=r"^\d{6}$")]],
        Field(max_length=100, description="GB/T 2260; empty: nationwide"),
    ] = []
    batches: Annotated[list[BatchNo], Field(max_length=BATCHES_MAX)] = []
    codes: Annotated[list[RawCode], Field(max_length=CODES_MAX, description="any package level")] = []
    return_to: OrgRef = Field(default=None, description="where goods go back to; the MAH when left out")
    version: Annotated[int | None, Field(ge=1, description="of the draft that is changed")] = None

    def draft(self, registry: Registry) -> Draft:
        """The value for the service."""
        return Draft(
            self.drug_id,
            self.level,
            self.kind,
            self.simulated,
            self.title,
            self.reason,
            self.hazard,
            self.measure,
            self.contact,
            self.public,
            tuple(self.regions),
            tuple(self.batches),
            tuple(self.codes),
            org_id(registry, "return_to", self.return_to),
        )


class ReasonIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "复检合格"}]})
    reason: Why


class FinishIn(BaseModel):
    """The end of a recall; the reason is needed while goods are outstanding."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": ""}]})
    reason: Annotated[LongText, Field(max_length=2000)] = ""


class ReportIn(BaseModel):
    """A report to the office in charge."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "progress", "findings": "已通知全部单位，正在回收"}]},
    )
    kind: Literal["progress", "summary"]
    findings: Annotated[LongText, Field(max_length=4000)] = ""


class CountIn(BaseModel):
    """What a holder found. `counted` left out takes the sum of the scanned codes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"counted": 118, "sealed": 0, "missing": 2, "note": "货架与库房均已清点"}]
        },
    )
    counted: Qty | None = None
    sealed: Annotated[Qty, Field(description="kept apart on site")] = 0
    missing: Annotated[Qty, Field(description="looked for and not found")] = 0
    note: Annotated[LongText, Field(max_length=2000)] = ""


class ScansIn(BaseModel):
    """Codes scanned for a count; further fields of the scan station are ignored."""

    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"examples": [{"codes": ["83857940000879766660"]}]}
    )
    codes: Annotated[list[RawCode], Field(max_length=SCANS_MAX)]
    bill_no: Annotated[CleanText, Field(max_length=64)] = ""


class LockIn(BaseModel):
    """A lock (by the product's firm or an office) or a suspension of sale by the firm itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "lock",
                    "drug_id": 12,
                    "batches": ["20260901"],
                    "codes": [],
                    "reason": "sampling",
                    "reason_text": "省药检院 2026-118 号报告",
                }
            ]
        },
    )
    kind: Literal["lock", "suspension"]
    drug_id: IntId
    batches: Annotated[list[BatchNo], Field(max_length=BATCHES_MAX)] = []
    codes: Annotated[list[RawCode], Field(max_length=CODES_MAX)] = []
    reason: Annotated[CleanText, Field(max_length=32, description="list `lock_reason`")]
    reason_text: Annotated[LongText, Field(max_length=1000)] = ""
    org: OrgRef = Field(default=None, description="only this firm's bills are stopped")
