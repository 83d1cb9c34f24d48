"""What the API of the insurance room takes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText

INT_MAX = 2**31 - 1
Scan = Annotated[str, Field(max_length=4096)]
Number = Annotated[CleanText, Field(max_length=64)]


class LineIn(BaseModel):
    """One billed line with its scans."""

    model_config = ConfigDict(extra="forbid")
    med_list_codg: Annotated[CleanText, Field(max_length=50, description="医保药品编码 billed.")] = ""
    quantity: Annotated[
        Decimal | None,
        Field(
            gt=0,
            lt=10**9,
            max_digits=16,
            decimal_places=4,
            description="Smallest packages; preparation units where `split`.",
        ),
    ] = None
    split: Annotated[bool, Field(description="拆零标志.")] = False
    unit: Annotated[
        Literal["pack", "prep"] | None, Field(description="What `quantity` counts, where it is otherwise.")
    ] = None
    codes: Annotated[list[Scan], Field(max_length=2000, description="Scans, in any form.")] = Field(
        default_factory=list
    )
    line_no: Annotated[Number, Field(description="费用明细流水号 of the line.")] = ""
    purchased_on: Annotated[
        date | None, Field(description="Day of the purchase invoice, for goods without codes.")
    ] = None


class CheckIn(BaseModel):
    """A settlement to be checked, and with `record` settled."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "act": "SY202609010001",
                "record": True,
                "lines": [
                    {
                        "med_list_codg": "XA02BCT040A001010100001",
                        "quantity": 2,
                        "codes": ["83857930000123456789", "83857930000123456790"],
                    }
                ],
            }
        },
    )
    act: Annotated[
        CleanText,
        Field(
            min_length=1, max_length=40, description="Number of the sale or settlement; again: the same act."
        ),
    ]
    institution: Annotated[
        CleanText, Field(max_length=30, description="fixmedins_code; needed from a bureau.")
    ] = ""
    visit: Annotated[CleanText, Field(max_length=30, description="就诊ID, where there is one.")] = ""
    settlement: Annotated[CleanText, Field(max_length=30, description="结算ID, where there is one.")] = ""
    sold_at: Annotated[AwareDatetime | None, Field(description="Now when left out.")] = None
    record: Annotated[bool, Field(description="Settle what is not refused; without it nothing is kept.")] = (
        False
    )
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=500)]


class TakeBackIn(BaseModel):
    """A settlement taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"act": "SY202609010001"}})
    act: Annotated[CleanText, Field(min_length=1, max_length=40)]
    institution: Annotated[CleanText, Field(max_length=30)] = ""


class TextIn(BaseModel):
    """What an institution says."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"text": "收银员连续扫码两次，已核对小票，实际只售出一盒。"}},
    )
    text: Annotated[CleanText, Field(min_length=1, max_length=4000)]


class CloseIn(BaseModel):
    """The end of a case."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"result": "data_error", "text": "核对小票属实，重复上传。"}},
    )
    result: Annotated[CleanText, Field(max_length=40, description="List `insurance_result`.")]
    text: Annotated[CleanText, Field(min_length=1, max_length=4000)]


class InstitutionIn(BaseModel):
    """An institution under agreement."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"code": "H37010200001", "name": "济南第一医院", "region": "370102", "org": 12}
        },
    )
    code: Annotated[str, Field(pattern=r"^[A-Z0-9]{4,12}$", description="fixmedins_code.")]
    name: Annotated[CleanText, Field(min_length=1, max_length=200)]
    region: Annotated[str, Field(pattern=r"^[0-9]{6}$", description="统筹区, GB/T 2260.")]
    profile: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,30}$", description="List `yibao_profile`.")] = (
        "national"
    )
    org: Annotated[int | None, Field(ge=1, le=INT_MAX, description="Organisation here, if it is one.")] = None
    public_key: Annotated[
        CleanText, Field(max_length=2048, description="Its SM2 public key; without it a pair is made.")
    ] = ""


class RenewIn(BaseModel):
    """New secrets."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"public_key": ""}})
    public_key: Annotated[CleanText, Field(max_length=2048)] = ""
