"""What the API takes for cases."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText
from yaosu.circulation.schemas import INT_MAX, OrgRef

LONG_MAX = 2**63 - 1
Said = Annotated[CleanText, Field(min_length=1, max_length=4000)]
Reason = Annotated[CleanText, Field(min_length=2, max_length=500)]
Number = Annotated[CleanText, Field(min_length=1, max_length=64)]
KindText = Annotated[CleanText, Field(max_length=32, pattern=r"^[a-z_]*$")]


class GoodsIn(BaseModel):
    """Goods of a case that no check lists."""

    model_config = ConfigDict(extra="forbid")
    drug_id: Annotated[int, Field(ge=1, le=INT_MAX)]
    batch_no: Annotated[CleanText, Field(max_length=64)] = ""
    qty: Annotated[int, Field(ge=1, le=INT_MAX, description="Smallest sales packages.")]


class OpenIn(BaseModel):
    """What to open a case from: a receipt check, goods in quarantine, or a delivery with its goods."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"check_id": 88, "note": "少两盒，外箱完好"},
                {
                    "kind": "uncoded",
                    "seller": "91370102000000011K",
                    "goods": [{"drug_id": 7, "batch_no": "20250103", "qty": 10}],
                    "note": "外包装未见追溯码",
                },
            ]
        },
    )
    check_id: Annotated[int | None, Field(ge=1, le=LONG_MAX)] = None
    quarantine_ids: Annotated[list[Annotated[int, Field(ge=1, le=LONG_MAX)]], Field(max_length=500)] = Field(
        default_factory=list
    )
    bill_id: Annotated[int | None, Field(ge=1, le=LONG_MAX, description="Shipment or receipt.")] = None
    seller: OrgRef = Field(default=None, description="Supplier, where no delivery names it.")
    kinds: Annotated[list[KindText], Field(max_length=20)] = Field(
        default_factory=list, description="With `check_id`: only these kinds; all when left out."
    )
    kind: KindText = Field(default="", description="List `exception_kind`; with goods or quarantine entries.")
    goods: Annotated[list[GoodsIn], Field(max_length=1000)] = Field(default_factory=list)
    note: Annotated[CleanText, Field(max_length=4000)] = ""


class SayIn(BaseModel):
    """A question or an answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "请核对装箱单第3箱"}]})
    text: Said


class OfferIn(BaseModel):
    """A proposed resolution."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "sent", "text": "今日补发两盒", "bill_no": "XS20260930-0009"}]
        },
    )
    kind: Annotated[CleanText, Field(min_length=1, max_length=32, description="List `exception_resolution`.")]
    text: Annotated[CleanText, Field(max_length=4000)] = ""
    bill_no: Annotated[
        CleanText,
        Field(max_length=64, description="The seller's bill it rests on: goods sent, missing data."),
    ] = ""
    amount: Annotated[Decimal | None, Field(ge=0, max_digits=14, decimal_places=2)] = None
    credit_no: Annotated[CleanText, Field(max_length=64, description="Credit note number 折让单号.")] = ""


class AnswerOfferIn(BaseModel):
    """Yes, which closes the case, or no with the reason."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"accept": True, "text": "同意"}]}
    )
    accept: bool
    text: Annotated[CleanText, Field(max_length=4000)] = ""


class LinkIn(BaseModel):
    """The bill a proposal rests on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"bill_no": "XS20260930-0009"}]}
    )
    bill_no: Number


class ReasonIn(BaseModel):
    """Why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "扫描枪误读，实物已到"}]}
    )
    reason: Reason


class SuspendIn(BaseModel):
    """Own sale of the goods in question stops."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"scope": "batches", "reason": "批号存疑，先行停售"}]}
    )
    scope: Literal["batches", "codes"] = "batches"
    reason: Reason
