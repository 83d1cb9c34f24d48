"""What the API of narcotics takes, and examples of what it gives."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import BigId, CleanText, IntId
from yaosu.dispensing.narcotics_desk import CODES_MAX
from yaosu.dispensing.narcotics_rules import Dose
from yaosu.dispensing.narcotics_service import ITEMS_MAX, RxDraft
from yaosu.people.schemas import PERSON, PersonIn

Codes = Annotated[
    list[Annotated[str, Field(max_length=4096)]],
    Field(min_length=1, max_length=CODES_MAX, description="Scanned texts, any package level."),
]
Short = Annotated[CleanText, Field(max_length=64)]
Number = Annotated[Short, Field(min_length=1)]
Units = Annotated[int, Field(ge=1, le=100_000)]
PlaceRef = Annotated[
    IntId | None, Field(description="The place it happens in; the caller's organisation when left out.")
]
CODE = "83857930000879766660"


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")
    place: PlaceRef = None
    happened_at: AwareDatetime | None = Field(default=None, description="Business time; now when left out.")


class _Numbered(_In):
    bill_no: Short = Field(
        default="",
        description="The caller's number for this request: sending it again with the same content does nothing twice. "
        "The bill itself is numbered by the platform.",
    )
    type: int | None = Field(default=None, description="The bill type, as scan stations send it; not needed.")
    owner: IntId | None = Field(default=None, description="The same as `place`, as scan stations send it.")

    @property
    def where(self) -> int | None:
        """The place it happens in."""
        return self.place if self.place is not None else self.owner


class IssueIn(_Numbered):
    """Goods leave a place for another of the same hospital."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"place": 31, "to_org": 32, "codes": [CODE]}]}
    )
    to_org: IntId
    codes: Codes


class ReceiveIn(_Numbered):
    """What another place sent has arrived and is scanned."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"place": 32, "from_org": 31, "codes": [CODE]}]}
    )
    from_org: IntId
    notice: Short = Field(default="", description="The sender's bill number.")
    codes: Codes


class DispenseIn(_Numbered):
    """Boxes, or preparation units out of them, for a prescription."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prescription": 9, "codes": [CODE], "units": 2}]},
    )
    prescription: BigId
    codes: Codes
    units: Units | None = Field(
        default=None,
        description="Preparation units taken out of the boxes; all that is in them when left out.",
    )


class PrescriptionIn(BaseModel):
    """A prescription of one product. Identities are encrypted at once and come back masked only."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "place": 33,
                    "number": "MZ20261122-0007",
                    "drug_id": 7,
                    "case_kind": "pain",
                    "patient": PERSON,
                    "department": "肿瘤科",
                    "doctor": "王医师",
                    "diagnosis": "晚期癌痛",
                    "dose_units": 1,
                    "times_per_day": 2,
                    "days": 3,
                }
            ]
        },
    )
    place: PlaceRef = None
    number: Number
    drug_id: IntId
    case_kind: Annotated[Short, Field(description="List `narcotic_case`.")] = "ordinary"
    patient: PersonIn
    agent: PersonIn | None = Field(default=None, description="代办人 with an own document.")
    department: Number
    doctor: Number
    diagnosis: Annotated[CleanText, Field(min_length=1, max_length=200)]
    dose_units: Annotated[
        Decimal, Field(gt=0, le=1000, decimal_places=2, description="Preparation units at a time.")
    ]
    times_per_day: Annotated[int, Field(ge=1, le=24)]
    days: Annotated[int, Field(ge=1, le=60)]
    reason: CleanText = Field(default="", description="Why beyond the ordinary limit, where that is allowed.")
    prescribed_on: date | None = Field(default=None, description="Today when left out.")

    def draft(self, today: date) -> RxDraft:
        """The value for the service."""
        return RxDraft(
            number=self.number,
            drug_id=self.drug_id,
            case_kind=self.case_kind,
            patient=self.patient.given(),
            department=self.department,
            doctor=self.doctor,
            diagnosis=self.diagnosis,
            dose=Dose(self.dose_units, self.times_per_day, self.days),
            prescribed_on=self.prescribed_on or today,
            agent=self.agent.given() if self.agent else None,
            reason=self.reason,
        )

    def __repr__(self) -> str:
        return "PrescriptionIn(…)"

    __str__ = __repr__


class ConfirmIn(BaseModel):
    """The second person: empty for whoever is signed in, or somebody's own login and password."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"login": "checker.li", "password": "…"}]}
    )
    login: Annotated[str, Field(max_length=64)] = ""
    password: Annotated[str, Field(max_length=200)] = Field(default="", repr=False)


class BatchQty(BaseModel):
    """How many of one batch."""

    model_config = ConfigDict(extra="forbid")
    batch_id: IntId
    qty: Units


class ReturnIn(_In):
    """Empty ampoules or used patches of a dispensing that came back."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"bill_id": 4711, "items": [{"batch_id": 5, "qty": 2}], "handed_by": "患者本人"}]
        },
    )
    bill_id: BigId
    items: Annotated[list[BatchQty], Field(min_length=1, max_length=ITEMS_MAX)]
    handed_by: Annotated[CleanText, Field(min_length=1, max_length=100)] = Field(
        description="患者本人, 代办人, or the nurse's name; never a document number."
    )


class DrugBatchQty(BatchQty):
    """How many of one product and batch."""

    drug_id: IntId


class DestroyIn(_In):
    """Ampoules or patches to destroy before two witnesses."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "place": 33,
                    "items": [{"drug_id": 7, "batch_id": 5, "qty": 2}],
                    "method": "碾碎后按医疗废物处置",
                }
            ]
        },
    )
    items: Annotated[list[DrugBatchQty], Field(min_length=1, max_length=ITEMS_MAX)]
    method: Number


class ResidueIn(_In):
    """What was left in an ampoule and is poured away before a second person."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"bill_id": 4711, "batch_id": 5, "amount": 0.5, "unit": "ml", "method": "大量水冲入下水道"}
            ]
        },
    )
    bill_id: BigId
    batch_id: IntId
    amount: Annotated[Decimal, Field(gt=0, lt=1_000_000, decimal_places=3)]
    unit: Annotated[Short, Field(min_length=1, max_length=10)]
    method: Number


class CountedIn(BaseModel):
    """What was counted of one batch, in preparation units."""

    model_config = ConfigDict(extra="forbid")
    drug_id: IntId
    batch_id: IntId
    units: Annotated[int, Field(ge=0, le=10_000_000)]
    note: CleanText = ""


class CountIn(_In):
    """交接班清点: everything in the safe."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "place": 33,
                    "shift": "白班",
                    "items": [{"drug_id": 7, "batch_id": 5, "units": 28, "note": ""}],
                }
            ]
        },
    )
    shift: Annotated[Short, Field(min_length=1)]
    items: Annotated[list[CountedIn], Field(min_length=1, max_length=ITEMS_MAX)]


PRODUCT: dict[str, Any] = {
    "id": 7,
    "name": "盐酸吗啡注射液 1ml:10mg 10支/盒",
    "kind": "narcotic",
    "kind_name": "麻醉药品",
    "unit": "支",
    "per": 10,
    "comes_back": "空安瓿",
}
PLACE = {"id": 33, "name": "门诊药房"}
MASKED = {"person_id": 4711, "kind": "1", "name": "张*", "number": "1101**********002X"}
ACT: dict[str, Any] = {
    "id": 12,
    "kind": "dispense",
    "kind_name": "调配使用",
    "state": "waiting",
    "place": PLACE,
    "prescription": 9,
    "units": 2,
    "lines": [
        {
            "code": CODE,
            "drug_id": 7,
            "batch_id": 5,
            "qty": 1,
            "product": PRODUCT["name"],
            "unit": "支",
            "units": 2,
        }
    ],
    "confirmations": 1,
    "missing": 1,
    "made_by": {"account_id": 3, "name": "药师甲"},
    "made_at": "2026-11-22T10:00:00+08:00",
    "happened_at": "2026-11-22T10:00:00+08:00",
    "confirmed": [],
    "bill_no": None,
    "bill_id": None,
    "status": "waiting",
    "accepted": 1,
    "refused": 0,
    "results": [],
    "url": "/narcotics/acts/12",
}
RX: dict[str, Any] = {
    "id": 9,
    "number": "MZ20261122-0007",
    "case_kind": "pain",
    "case_name": "门（急）诊癌症疼痛及中、重度慢性疼痛患者",
    "place": PLACE,
    "product": PRODUCT,
    "patient": MASKED,
    "agent": None,
    "department": "肿瘤科",
    "doctor": "王医师",
    "diagnosis": "晚期癌痛",
    "dose_units": "1",
    "times_per_day": 2,
    "days": 3,
    "units": 6,
    "dispensed": 0,
    "left": 6,
    "state": "open",
    "notes": [],
}
DUE: dict[str, Any] = {
    "bill_id": 4711,
    "bill_no": "MJ-20261122-000012",
    "place": PLACE,
    "product": PRODUCT,
    "batch_id": 5,
    "batch_no": "A2601",
    "due": 2,
    "returned": 0,
    "open": 2,
    "prescription": "MZ20261122-0007",
    "patient": MASKED,
}
COUNT: dict[str, Any] = {
    "act_id": 15,
    "place": PLACE,
    "product": PRODUCT,
    "batch_no": "A2601",
    "shift": "白班",
    "counted": 28,
    "booked": 28,
    "difference": 0,
    "note": "",
}
STOCK: dict[str, Any] = {
    "place": PLACE,
    "items": [
        {"product": PRODUCT, "batch_id": 5, "batch_no": "A2601", "units": 28, "packages": 3, "opened": 1}
    ],
}
REGISTER: dict[str, Any] = {
    "places": [PLACE],
    "product": PRODUCT,
    "opening": 0,
    "in": 30,
    "out": 2,
    "closing": 28,
    "closing_packages": 3,
    "lines": [
        {
            "bill_no": "MJ-20261122-000012",
            "type": 323,
            "batch_no": "A2601",
            "units_in": 0,
            "units_out": 2,
            "balance": 28,
            "codes": [CODE],
            "patient": MASKED,
            "prescription": "MZ20261122-0007",
            "doctor": "王医师",
            "handler": "药师甲",
            "checker": "药师乙",
            "confirmed": True,
        }
    ],
}
