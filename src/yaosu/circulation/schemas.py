"""What the API takes and gives for movements."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, field_validator

from yaosu.access.types import CleanText
from yaosu.circulation.model import CODES_MAX, Movement, Quantity
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry

Number = Annotated[CleanText, Field(min_length=1, max_length=64)]
RawCode = Annotated[str, Field(max_length=4096)]
OrgRef = Annotated[
    int | str | None,
    Field(description="Organisation: our id, or its 统一社会信用代码.", examples=["91370102000000011K"]),
]
HEADER_KEYS_MAX = 40
HEADER_TEXT_MAX = 2000
INT_MAX = 2**31 - 1


class ExpectedGoods(BaseModel):
    """A product the goods should be, and optionally the batch."""

    model_config = ConfigDict(extra="forbid")
    drug_id: Annotated[int, Field(ge=1, le=INT_MAX)]
    batch_no: Annotated[CleanText, Field(max_length=64)] = ""


class UncodedGoods(BaseModel):
    """Goods without trace codes, by product and batch (无码库)."""

    model_config = ConfigDict(extra="forbid")
    drug_id: Annotated[int, Field(ge=1, le=INT_MAX)]
    batch_no: Annotated[Number, Field(description="生产批号")]
    qty: Annotated[int, Field(ge=1, le=100_000_000, description="Smallest sales packages.")]
    produced_on: date | None = Field(
        default=None, description="生产日期; needed for a batch named the first time."
    )
    expires_on: date | None = Field(
        default=None, description="有效期至; needed for a batch named the first time."
    )


class MovementIn(BaseModel):
    """A business document that moves units (单据)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": 201,
                    "bill_no": "XS20260930-0001",
                    "happened_at": "2026-09-30T10:12:31+08:00",
                    "to_org": "91370102000000011K",
                    "mode": "per_code",
                    "codes": ["83857940000879766660"],
                    "header": {"to_address": "济南市历下区", "order_code": "DD0001"},
                }
            ]
        },
    )
    type: Annotated[int, Field(ge=1, le=999, description="单据类型: code list `bill_type`.")]
    bill_no: Annotated[
        Number, Field(description="单据编号: unique per owner; with `revision` the idempotency key.")
    ]
    happened_at: Annotated[AwareDatetime, Field(description="单据时间: when it happened (business time).")]
    codes: Annotated[
        list[RawCode],
        Field(
            max_length=CODES_MAX,
            description="Scanned texts as they came from the scanner, any package level.",
        ),
    ]
    revision: Annotated[
        int, Field(ge=1, le=30000, description="1, or the latest revision + 1 to correct it.")
    ] = 1
    owner: OrgRef = Field(default=None, description="货主; the caller's organisation when left out.")
    from_org: OrgRef = Field(default=None, description="发货方")
    to_org: OrgRef = Field(default=None, description="收货方")
    principal: OrgRef = Field(default=None, description="委托方")
    carrier: OrgRef = Field(default=None, description="配送方")
    direct_org: OrgRef = Field(default=None, description="直调企业")
    mode: Literal["atomic", "per_code"] = Field(
        default="per_code",
        description="atomic: one refused code refuses the bill. per_code: the others move.",
    )
    notice: Annotated[CleanText, Field(max_length=64)] = Field(
        default="", description="Receipts: the seller's bill number, to check against its notice."
    )
    expected: Annotated[list[ExpectedGoods], Field(max_length=1000)] = Field(
        default_factory=list, description="What the goods should be; others are refused or go to quarantine."
    )
    rejects: Annotated[list[RawCode], Field(max_length=CODES_MAX)] = Field(
        default_factory=list,
        description="Receipts: scanned codes that are rejected and go back to the sender.",
    )
    reject_batches: Annotated[list[Number], Field(max_length=1000)] = Field(
        default_factory=list, description="Receipts: batch numbers that are rejected."
    )
    reject_all: bool = Field(default=False, description="Receipts: the whole delivery is rejected.")
    header: Annotated[dict[str, JsonValue], Field(max_length=HEADER_KEYS_MAX)] = Field(
        default_factory=dict,
        description="Further fields of the data sets: from_address, to_address, from_person, to_person, order_code, "
        "reason, reason_text, executer_name, superviser_name, …",
    )

    parts: Annotated[
        dict[RawCode, Annotated[int, Field(ge=1, le=1_000_000)]], Field(max_length=CODES_MAX)
    ] = Field(
        default_factory=dict,
        description="拆零: preparation units dispensed, returned or lost, by scanned text (also in `codes`).",
    )
    quantities: Annotated[list[UncodedGoods], Field(max_length=1000)] = Field(
        default_factory=list,
        description="Goods without codes: bill types 21, 22, 23, 25; `codes` stays empty.",
    )
    person_id: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = Field(
        default=None,
        description="Who bought or used it, as identified before (real-name sales, narcotics).",
    )

    @field_validator("header")
    @classmethod
    def _flat(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, item in value.items():
            if isinstance(item, (list, dict)):
                raise ValueError(f"header.{key} must be a single value")
            if len(key) > 64 or (isinstance(item, str) and len(item) > HEADER_TEXT_MAX):
                raise ValueError(f"header.{key[:64]} is too long")
            if "\x00" in key or (isinstance(item, str) and "\x00" in item):
                raise ValueError(f"header.{key[:64]} holds a control character")
            if isinstance(item, int) and not -(2**63) <= item < 2**63:
                raise ValueError(f"header.{key[:64]} is a number beyond 64 bits; write it as text")
        return value

    def movement(self, registry: Registry, own: int | None, body: bytes) -> Movement:
        """The value for `service.submit`; organisations by id or 统一社会信用代码."""
        owner = org_id(registry, "owner", self.owner) if self.owner is not None else own
        if owner is None:
            raise YaosuError("forbidden", {"scope": "org"})
        return Movement(
            type=self.type,
            bill_no=self.bill_no,
            owner=owner,
            happened_at=self.happened_at,
            codes=self.codes,
            revision=self.revision,
            from_org=org_id(registry, "from_org", self.from_org),
            to_org=org_id(registry, "to_org", self.to_org),
            principal=org_id(registry, "principal", self.principal),
            carrier=org_id(registry, "carrier", self.carrier),
            direct_org=org_id(registry, "direct_org", self.direct_org),
            mode=self.mode,
            notice=self.notice,
            expected=[(e.drug_id, e.batch_no) for e in self.expected],
            rejects=self.rejects,
            reject_batches=self.reject_batches,
            reject_all=self.reject_all,
            header={k: v for k, v in self.header.items() if v not in (None, "")},
            body=body,
            parts=self.parts,
            quantities=[
                Quantity(q.drug_id, q.batch_no, q.qty, q.produced_on, q.expires_on) for q in self.quantities
            ],
            person=self.person_id,
        )


def org_id(registry: Registry, field: str, given: int | str | None) -> int | None:
    """Our id of an organisation named by id or 统一社会信用代码; an unknown one keeps its number for the finding."""
    if given is None or given == "":
        return None
    if isinstance(given, int):
        return given if 0 < given <= INT_MAX else 0
    text = given.strip().upper()
    found = registry.org_by_uscc(text)
    if found is not None:
        return found.id
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    from yaosu.errors import Finding

    raise YaosuError(
        "invalid_request", {"count": 1}, [Finding("party_unknown", {"field": field, "id": text[:40]}, field)]
    )


class LargeMovementIn(MovementIn):
    """The same document with up to a million codes, for a job."""

    codes: Annotated[list[RawCode], Field(max_length=1_000_000)]


class CheckContext(BaseModel):
    """The form of the scan station so far; everything may still be missing."""

    model_config = ConfigDict(extra="ignore")
    type: Annotated[int, Field(ge=1, le=999)]
    owner: OrgRef = None
    from_org: OrgRef = None
    to_org: OrgRef = None
    notice: str = ""
    parts: dict[str, int] = Field(default_factory=dict)


class CheckIn(BaseModel):
    """Scans to look at before they are submitted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"codes": ["83857930000879766660"], "context": {"type": 321}}]},
    )
    codes: Annotated[list[RawCode], Field(max_length=500)]
    context: CheckContext


class VoidIn(BaseModel):
    """Why a bill is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "发货对象选错"}]})
    reason: Annotated[CleanText, Field(min_length=2, max_length=500)]


class AnswerIn(BaseModel):
    """The seller's answer to a receipt check."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"kind": "agreed", "text": "少发一盒，今日补发"}]}
    )
    kind: Literal["agreed", "disputed"]
    text: Annotated[CleanText, Field(min_length=1, max_length=2000)]


class DismissIn(BaseModel):
    """What became of goods that never entered the books."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"disposition": "已退回供货方，随货同行单 0931"}]}
    )
    disposition: Annotated[CleanText, Field(min_length=2, max_length=500)]
