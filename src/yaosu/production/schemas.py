"""Bodies and answers of this room's API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, Name

CASE, BOX = "80217619000000001003", "82062339000000001004"
Code = Annotated[str, Field(min_length=1, max_length=4096)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
BillNo = Annotated[CleanText, Field(description="单据号; empty: given by the system")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LevelCount(_Body):
    """How many codes of one package level."""

    level: Annotated[int, Field(ge=1, le=9)] = Field(description="1 = smallest package", examples=[1])
    count: Count = Field(examples=[10000])


class RequestBody(_Body):
    """追溯码申请."""

    drug_id: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(examples=[1])
    levels: Annotated[list[LevelCount], Field(min_length=1, max_length=9)]
    purpose: CleanText = Field("", examples=["2026年10月生产计划"])
    client_ref: CleanText = Field("", description="your own number; a repetition gets the same answer")


class LevelOut(BaseModel):
    """Codes of one level in a request."""

    level: int
    scheme: str
    prefix: str
    count: int


class RequestOut(BaseModel):
    """A code request."""

    id: int
    drug_id: int
    filing_id: int
    state: str
    purpose: str
    client_ref: str
    total: int
    made_at: datetime
    downloaded_at: datetime | None
    downloads: int
    levels: list[LevelOut]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 17,
                "drug_id": 1,
                "filing_id": 1,
                "state": "ready",
                "purpose": "",
                "client_ref": "SQ-1",
                "total": 10050,
                "made_at": "2026-09-30T10:00:00+08:00",
                "downloaded_at": None,
                "downloads": 0,
                "levels": [{"level": 1, "scheme": "cn20", "prefix": "8206233", "count": 10000}],
            }
        }
    )


class RequestsOut(BaseModel):
    """A page of requests."""

    items: list[RequestOut]
    next: str | None


class OriginOut(BaseModel):
    """Where a code comes from."""

    code: str = Field(examples=[BOX])
    issued: bool
    request_id: int | None
    number: int | None = Field(description="position in the request's range of its level, 0 = first")
    level: int | None
    drug_id: int | None
    made_at: datetime | None


class FindingOut(BaseModel):
    """One thing said about one line."""

    code: str = Field(examples=["relation_parent_missing"])
    message: str = Field(examples=["第 12 行：上级码在文件中不存在"])
    next: str = Field(examples=["请补上该包装的上级行"])
    where: str = Field(examples=["line 12"])
    params: dict[str, Any]


class CheckOut(BaseModel):
    """Result of a dry run."""

    ok: bool
    file: str = Field(examples=["Relation_20260901.xml"])
    format: str = Field(examples=["xml"])
    encoding: str = Field(examples=["utf-8"])
    sha256: str = Field(description="of the file as received", examples=["9f2c…64 hexadecimal digits"])
    size: int
    codes: int
    boxes: int
    outermost: int
    levels: dict[str, int]
    batches: list[dict[str, Any]]
    errors: int
    counts: dict[str, int]
    findings: list[FindingOut]
    notes: list[FindingOut]


class ActivationOut(BaseModel):
    """What was activated."""

    bill_id: int
    bill_no: str = Field(examples=["JH-20260901-1f2e3d4c"])
    stock_bill: int | None
    sha256: str = Field(description="of the file as received", examples=["9f2c…64 hexadecimal digits"])
    codes: int
    boxes: int
    batches: list[dict[str, Any]]
    leaf: str = Field(description="of the tamper-evident log", examples=["9f2c…"])
    recorded_at: datetime
    repeated: bool
    notes: list[dict[str, Any]]


class RelationOut(BaseModel):
    """An activated relation file."""

    bill_id: int
    bill_no: str = Field(examples=["JH-20260901-1f2e3d4c"])
    file_name: str = Field(examples=["Relation_20260901.xml"])
    codes: int
    boxes: int
    size: int
    received_at: datetime
    format: str = Field(examples=["xml"])
    sha256: str = Field(description="of the file as received", examples=["9f2c…64 hexadecimal digits"])
    stock_bill: int | None
    batches: list[dict[str, Any]]


class RelationsOut(BaseModel):
    """A page of activated files."""

    items: list[RelationOut]
    next: str | None


class RelationJobBody(_Body):
    """Work on an uploaded file."""

    upload: UUID
    dry_run: bool = Field(False, description="only check")
    stock_in: bool = Field(False, description="also post the 生产入库 (101)")
    bill_no: BillNo = ""


class JobOut(BaseModel):
    """A job as far as it has come."""

    id: UUID
    kind: str = Field(examples=["relation_activate"])
    state: str = Field(description="queued, running, done, refused, failed", examples=["running"])
    done: int
    total: int
    result: dict[str, Any] | None = Field(
        description="done: as the direct call answers; refused: the problem; running: the phase"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class UploadBody(_Body):
    """A file to come."""

    name: Name = Field(examples=["Relation_20260901.xml"])
    size: Annotated[int, Field(ge=1, le=2**53)] = Field(description="bytes", examples=[105910404])
    sha256: Sha256 | None = Field(None, description="checked when complete")
    purpose: CleanText = Field("relation", examples=["relation"])


class UploadOut(BaseModel):
    """An upload."""

    id: UUID
    name: str = Field(examples=["Relation_20260901.xml"])
    purpose: str = Field(examples=["relation"])
    size: int
    offset: int = Field(description="bytes received: where to continue")
    state: str = Field(examples=["open"])
    expires_at: datetime


class PackBody(_Body):
    """Packages into a container."""

    container: Code = Field(examples=[CASE])
    codes: Annotated[list[Code], Field(min_length=1, max_length=2000)] = Field(examples=[[BOX]])
    bill_no: BillNo = ""


class UnpackBody(_Body):
    """Packages out of what they are in."""

    codes: Annotated[list[Code], Field(min_length=1, max_length=2000)] = Field(examples=[[BOX]])
    whole: bool = Field(False, description="the codes are containers: take everything out of them")
    bill_no: BillNo = ""


class ReplaceBody(_Body):
    """One code for another."""

    old: Code = Field(examples=[BOX])
    new: Code = Field(examples=["82062339000000009999"])
    reason: Name = Field(examples=["标签破损"])
    bill_no: BillNo = ""


class VoidBody(_Body):
    """Codes to be cancelled."""

    codes: Annotated[list[Code], Field(min_length=1, max_length=2000)] = Field(examples=[[BOX]])
    reason: Name = Field(examples=["抽样留样"])
    with_content: bool = Field(False, description="cancel what is inside too")
    bill_no: BillNo = ""


class PackedOut(BaseModel):
    """What a packing bill did."""

    bill_id: int
    bill_no: str = Field(examples=["ZX-42"])
    codes: int
    qty: int
    recorded_at: datetime
    repeated: bool
    container: str = Field(description="empty where none is concerned", examples=[CASE])
    container_qty: dict[int, int]
