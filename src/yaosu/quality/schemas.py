"""What the API takes."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from yaosu.access.types import BigId, CleanText, IntId, LongText, Name
from yaosu.quality.documents import CONTENT_MAX


def _storable(text: str) -> str:
    """Refuse what no text column can hold: a NUL, a lone half of a character."""
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise PydanticCustomError("text_unclean", "control characters are not allowed")
    return text


_Body = Annotated[str, Field(max_length=CONTENT_MAX), AfterValidator(_storable)]
_Code = Annotated[str, Field(max_length=20, pattern=r"^[a-z0-9_]+$")]


class PlanIn(BaseModel):
    """How often to check, and who answers for it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"every": "week", "account_id": 12, "active": True}}
    )
    every: Literal["day", "week", "month"]
    account_id: IntId
    active: bool = True


class SaidIn(BaseModel):
    """What was found and done, or a reason."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"text": "已联系供货方补传，当日收货"}}
    )
    text: Annotated[LongText, Field(min_length=1)]


class AssignIn(BaseModel):
    """Who takes a finding over, and until when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"account_id": 12, "due_at": "2026-10-08T18:00:00+08:00"}},
    )
    account_id: IntId
    due_at: AwareDatetime | None = None


class QuantityIn(BaseModel):
    """So many smallest packages of a batch."""

    model_config = ConfigDict(extra="forbid")
    drug_id: IntId
    batch_no: Annotated[CleanText, Field(min_length=1, max_length=64)]
    qty: Annotated[int, Field(ge=0, le=2**31 - 1)]


class CountIn(BaseModel):
    """A stock count: scanned codes, of all stock or of one product or batch; or quantities by batch."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"codes": ["83857930000000011234"], "drug_id": 7, "batch_no": "20260101"},
                {"quantities": [{"drug_id": 7, "batch_no": "20260101", "qty": 118}]},
            ]
        },
    )
    codes: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=20_000)] = []
    quantities: Annotated[list[QuantityIn], Field(max_length=2_000)] = []
    drug_id: IntId | None = None
    batch_no: Annotated[CleanText, Field(max_length=64)] = ""


class LineIn(BaseModel):
    """One line of a self-check table, filled in."""

    model_config = ConfigDict(extra="forbid")
    item: _Code
    answer: Literal["", "yes", "no", "na"]
    done_on: date | None = None
    remark: Annotated[LongText, Field(max_length=500)] = ""


class TableIn(BaseModel):
    """Lines and head of a self-check table; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "checked_on": "2026-10-08",
                "filler": "王小明",
                "contact": "0991-5550100",
                "items": [{"item": "t1", "answer": "yes", "done_on": "2026-10-01"}],
            }
        },
    )
    checked_on: date | None = None
    filler: Annotated[CleanText, Field(max_length=50)] = ""
    contact: Annotated[CleanText, Field(max_length=100)] = ""
    items: Annotated[list[LineIn], Field(max_length=50)] = []


class SignIn(BaseModel):
    """The responsible person's name as typed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "李建国"}})
    name: Annotated[Name, Field(max_length=50)]


_Content = Annotated[_Body, Field(min_length=1)]


class DocumentIn(BaseModel):
    """A new controlled document; with a template's name its text is the template's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "trace_system",
                "number": "QM-ZS-001",
                "title": "药品信息化追溯管理制度",
                "department": "质量管理部",
                "responsible": "质量负责人",
                "template": "trade",
            }
        },
    )
    kind: _Code
    number: Annotated[Name, Field(max_length=64)]
    title: Name
    department: Annotated[CleanText, Field(max_length=100)] = ""
    responsible: Annotated[CleanText, Field(max_length=100)] = ""
    template: Annotated[str, Field(max_length=20, pattern=r"^[a-z]*$")] = ""
    content: _Body = ""
    in_qms: bool = True


class DraftIn(BaseModel):
    """The draft's text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"content": "# 第一章 总则\n第一条 …", "change_note": "增加应急"}},
    )
    content: _Content
    change_note: Annotated[CleanText, Field(max_length=200)] = ""
    in_qms: bool = True


class ReviseIn(BaseModel):
    """Why there is a new version."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"change_note": "增加应急处理"}})
    change_note: Annotated[CleanText, Field(max_length=200)] = ""


class ApproveIn(BaseModel):
    """From which day it holds."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"effective_on": "2026-11-01"}})
    effective_on: date


class ClueIn(BaseModel):
    """A clue with codes and bills; what you may see of them goes along as evidence."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "resale",
                "title": "顾客出售整箱医保药",
                "text": "10月7日有人到店出售整箱降压药，外包装已拆。",
                "codes": ["83857930000000011234"],
                "bills": [],
            }
        },
    )
    kind: _Code
    title: Annotated[CleanText, Field(min_length=1)]
    text: Annotated[LongText, Field(min_length=1)]
    codes: Annotated[list[Annotated[CleanText, Field(min_length=1)]], Field(max_length=100)] = []
    bills: Annotated[list[BigId], Field(max_length=100)] = []
