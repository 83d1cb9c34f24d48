"""What the API of the uncoded room takes and gives."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import BigId, CleanText, IntId, Name
from yaosu.circulation.schemas import OrgRef, org_id
from yaosu.circulation.views import org_view, product_name
from yaosu.errors import Finding, YaosuError
from yaosu.registry.resolver import Registry
from yaosu.registry.uncoded_rules import Deadline
from yaosu.uncoded.model import ITEMS_MAX, Item, Lot, Opening

Qty = Annotated[int, Field(ge=1, le=10_000_000, description="smallest packages")]
BillNo = Annotated[
    CleanText, Field(max_length=64, description="Number of the bill; made when empty. Repeating it is safe.")
]
Reason = Annotated[CleanText, Field(min_length=1, max_length=500)]


def supplier_of(registry: Registry, given: int | str | None) -> int | None:
    """Our id of a supplier; refused (`uncoded_invalid`) for one that is not registered."""
    supplier = org_id(registry, "supplier", given)
    if supplier is not None and registry.org(supplier) is None:
        found = Finding("party_unknown", {"field": "supplier", "id": supplier}, "supplier")
        raise YaosuError("uncoded_invalid", {"count": 1}, [found])
    return supplier


class ItemIn(BaseModel):
    """A product and batch on the invoice."""

    model_config = ConfigDict(extra="forbid")
    drug_id: IntId
    batch_no: Name
    qty: Qty
    produced_on: date | None = None
    expires_on: date | None = Field(
        default=None, description="last day of use; needed for a new batch number"
    )
    zone: Annotated[CleanText, Field(max_length=60)] = ""

    def item(self) -> Item:
        """The value for the service."""
        return Item(self.drug_id, self.batch_no, self.qty, self.produced_on, self.expires_on, self.zone)


class OpeningIn(BaseModel):
    """Goods of one purchase invoice for the uncoded account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "invoice_no": "04410231",
                    "invoice_date": "2025-06-12",
                    "supplier": "91370102000000011K",
                    "zone": "无码专区 A-01",
                    "proof_id": 3,
                    "items": [
                        {
                            "drug_id": 7,
                            "batch_no": "240501",
                            "qty": 120,
                            "produced_on": "2024-05-01",
                            "expires_on": "2027-04-30",
                        }
                    ],
                }
            ]
        },
    )
    invoice_no: Name
    invoice_date: date = Field(description="day of purchase: it decides what the dates of the region allow")
    supplier: OrgRef = Field(default=None, description="our id or 统一社会信用代码 of a registered supplier")
    supplier_name: CleanText = Field(default="", description="name of a supplier that is not registered here")
    zone: Annotated[Name, Field(description="专区: where the goods stand apart")]
    proof_id: BigId
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=ITEMS_MAX)]
    bill_no: BillNo = ""
    happened_at: AwareDatetime | None = None

    def opening(self, registry: Registry) -> Opening:
        """The value for the service; refused (`uncoded_invalid`) for an unknown supplier."""
        return Opening(
            invoice_no=self.invoice_no,
            invoice_date=self.invoice_date,
            items=tuple(i.item() for i in self.items),
            zone=self.zone,
            proof_id=self.proof_id,
            supplier=supplier_of(registry, self.supplier),
            supplier_name=self.supplier_name,
            bill_no=self.bill_no,
            happened_at=self.happened_at,
        )


class AttachIn(BaseModel):
    """Papers for goods that entered by a movement without them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "bill_no": "WR-20260930-0001",
                    "invoice_no": "04410231",
                    "invoice_date": "2025-06-12",
                    "supplier_name": "某医药公司",
                    "zone": "无码专区 A-01",
                    "proof_id": 3,
                }
            ]
        },
    )
    bill_no: Name
    invoice_no: Name
    invoice_date: date
    supplier: OrgRef = None
    supplier_name: CleanText = ""
    zone: Name
    proof_id: BigId


class ReturnIn(BaseModel):
    """Goods of a lot back to the supplier."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"qty": 20, "reason_text": "逾期未补码，退回供货单位"}]},
    )
    qty: Qty
    reason_text: Reason
    bill_no: BillNo = ""


class SaleIn(BaseModel):
    """Goods of a lot sold or settled without a scan."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"qty": 1, "receipt_no": "JS202509300021", "reason": "historical"}]},
    )
    qty: Qty
    receipt_no: Reason = Field(description="number of the settlement or receipt")
    reason: Name = Field(description="code list `uncoded_sale_reason`, or an entry of `exemption`")
    note: CleanText = ""
    bill_no: BillNo = ""


class SupplementIn(BaseModel):
    """Codes scanned in for goods of a lot."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"codes": ["83857940000879766660"], "notice": "XS20260930-0001", "bill_no": ""}]
        },
    )
    codes: Annotated[list[Annotated[str, Field(max_length=4096)]], Field(min_length=1, max_length=10_000)]
    notice: CleanText = Field(
        default="", description="the supplier's shipping bill; the request's when empty"
    )
    bill_no: BillNo = ""
    type: Annotated[int, Field(ge=24, le=24, description="always 24; may be left out")] = 24


class ZoneIn(BaseModel):
    """A place in the 专区."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"zone": "无码专区 B-02"}]})
    zone: Name


class CountIn(BaseModel):
    """What two people counted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"counted": 118, "counter": "盘点员甲", "checker": "复核员乙", "explanation": "破损 2 盒"}
            ]
        },
    )
    counted: Annotated[int, Field(ge=0, le=2**31 - 1)]
    counter: Name
    checker: Name
    explanation: Annotated[CleanText, Field(max_length=500)] = ""


class AskIn(BaseModel):
    """A request to the supplier of a lot for codes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"lot_id": 5, "qty": 100, "reason": "历史库存补码"}]},
    )
    lot_id: IntId
    qty: Qty
    reason: Annotated[CleanText, Field(max_length=500)] = ""


class AnswerIn(BaseModel):
    """The supplier's answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "in_place", "ship_bill_no": "XS20260930-0001", "text": "码标随快递寄出"}]
        },
    )
    kind: Literal["in_place", "replaced", "declined"]
    text: Annotated[CleanText, Field(max_length=500)] = ""
    ship_bill_no: Annotated[CleanText, Field(max_length=64)] = ""


def lot_view(registry: Registry, lot: Lot, today: date, draws: bool = False) -> dict[str, Any]:
    """A lot as callers see it."""
    view: dict[str, Any] = {
        "id": lot.id,
        "org_id": lot.org,
        "drug_id": lot.drug_id,
        "product": product_name(registry, lot.drug_id),
        "batch_no": lot.batch_no,
        "produced_on": lot.produced_on,
        "expires_on": lot.expires_on,
        "bill_no": lot.bill_no,
        "bill_id": lot.bill_id,
        "entered_at": lot.entered_at,
        "entered": lot.entered,
        "left": lot.left,
        "zone": lot.zone,
        "supplier": org_view(registry, lot.supplier),
        "supplier_name": lot.supplier_name,
        "invoice_no": lot.invoice_no,
        "invoice_date": lot.invoice_date,
        "proof_id": lot.proof_id,
        "age_days": lot.age_days(today),
        "state": lot.state(today),
        "due": lot.due,
        "days_left": (lot.due - today).days if lot.due is not None else None,
    }
    if draws:
        view["draws"] = [
            {"bill_no": d.bill_no, "bill_id": d.bill_id, "type": d.type, "qty": qty, "at": d.at}
            for d, qty in lot.draws
        ]
    return view


def deadline_view(one: Deadline) -> dict[str, Any]:
    """A date with what is left of it."""
    return {
        "code": one.code,
        "title": one.title,
        "date": one.date,
        "days_left": one.days_left,
        "source": one.source,
    }


_REQUEST_PLAIN = (
    "id",
    "lot_id",
    "drug_id",
    "batch_no",
    "qty",
    "done_qty",
    "reason",
    "state",
    "answer",
    "ship_bill_no",
    "asked_at",
    "answered_at",
    "closed_at",
)


def request_view(registry: Registry, row: Any) -> dict[str, Any]:
    """A request for codes."""
    view = {name: row[name] for name in _REQUEST_PLAIN}
    view["product"] = product_name(registry, row["drug_id"])
    view["org"] = org_view(registry, row["org"])
    view["supplier"] = org_view(registry, row["supplier"])
    view["invoice_no"] = row["invoice_no"]
    view["invoice_date"] = row["invoice_date"]
    return view
