"""What the API of real-name sales takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from yaosu.access.types import CleanText
from yaosu.circulation.model import Movement
from yaosu.circulation.schemas import CheckContext, CheckIn, MovementIn
from yaosu.people.schemas import DOCUMENT, PERSON, DocumentIn, PersonIn, Reason
from yaosu.registry.resolver import Registry

ShortText = Annotated[CleanText, Field(max_length=64)]

SALE: dict[str, JsonValue] = {
    "type": 321,
    "bill_no": "LS20260930-0001",
    "happened_at": "2026-09-30T10:12:31+08:00",
    "codes": ["83857940000879766660"],
    "person": PERSON,
}


class PrescriptionIn(BaseModel):
    """What the register keeps of a prescription."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"no": "CF20260930001", "doctor": "李医师"}]}
    )
    no: Annotated[ShortText, Field(min_length=1, description="处方编号")]
    doctor: ShortText = Field(default="", description="开方医师")


class SaleIn(MovementIn):
    """A movement of sale or use (321, 322, 323, 326, 327) together with the person it is for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [SALE]})
    person: PersonIn | None = Field(
        default=None, description="Who buys or is treated; needed where a rule says so."
    )
    agent: PersonIn | None = Field(
        default=None, description="代办人: who came instead, where the rule allows it."
    )
    prescription: PrescriptionIn | None = None
    second_person: ShortText = Field(default="", description="复核人: who checked besides the seller.")

    def movement(self, registry: Registry, own: int | None, body: bytes) -> Movement:
        """The value for `realname_service.sell`, prescription and second person in the header."""
        made = super().movement(registry, own, body)
        header = dict(made.header)
        if self.prescription is not None:
            header["prescription_no"] = self.prescription.no
            if self.prescription.doctor:
                header["doctor"] = self.prescription.doctor
        if self.second_person:
            header["second_person"] = self.second_person
        return replace(made, header=header)


class SaleContext(CheckContext):
    """The till's form so far: the field names are those of its inputs."""

    person_id: str = ""
    prescription_no: str = Field(default="", alias="header.prescription_no", max_length=200)
    second_person: str = Field(default="", alias="header.second_person", max_length=200)

    @property
    def person(self) -> int | None:
        """The registered buyer."""
        text = self.person_id
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def header(self) -> dict[str, object]:
        """What the gate reads of the header."""
        return {"prescription_no": self.prescription_no, "second_person": self.second_person}


class SaleCheckIn(CheckIn):
    """Scans to look at, with the buyer registered so far."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"codes": ["83857930000879766660"], "context": {"type": 321, "person_id": "4711"}}]
        },
    )
    context: SaleContext


class RegisterIn(BaseModel):
    """Filters of the special register; everything may be left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"since": "2026-09-01", "until": "2026-09-30", "document": DOCUMENT}]
        },
    )
    since: date | None = Field(default=None, description="First day (China time).")
    until: date | None = Field(default=None, description="Last day, inclusive.")
    product: ShortText = Field(default="", description="Part of the name, approval number or 药品标识码.")
    batch_no: ShortText = ""
    bill_no: ShortText = ""
    org: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    document: DocumentIn | None = Field(
        default=None, description="One buyer. In the body, since addresses are kept in histories and logs."
    )


class RegisterQueryIn(RegisterIn):
    """A page of the register."""

    after: Annotated[CleanText, Field(max_length=60, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class RegisterFileIn(RegisterIn):
    """A file of the register."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"format": "pdf", "since": "2026-09-01", "until": "2026-09-30"}]},
    )
    format: Annotated[str, Field(pattern="^(pdf|xlsx)$")] = "pdf"
    reason: Reason | None = Field(
        default=None, description="Given: persons in full (needs `person.unmask`). Left out: masked."
    )


def example_row(**more: Any) -> dict[str, Any]:
    """A row of the register, for the documentation."""
    return {
        "bill_id": 4711,
        "bill_no": "LS20260930-0001",
        "happened_at": "2026-09-30T10:12:31+08:00",
        "product": "复方盐酸伪麻黄碱缓释胶囊",
        "strength": "每粒含盐酸伪麻黄碱90mg",
        "maker": "某制药有限公司",
        "batch_no": "20260301",
        "qty": 2,
        "unit": "盒",
        "codes": ["83857940000879766660", "83857940000879766661"],
        "person_id": 4711,
        "name": "张*",
        "number": "1101**********002X",
        "kind_name": "身份证",
        "org": "某大药房",
        "seller": "李药师",
        "revision": 1,
        "recorded_at": "2026-09-30T10:12:33+08:00",
        "taken_back": False,
        "corrects": None,
        "corrects_revision": None,
        "reason": "",
        "net": 2,
        **more,
    }
