"""What the API of split dispensing and pools takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, IntId, Name
from yaosu.dispensing.split_model import LINES_MAX, UNITS_MAX, Line, Want

Number = Annotated[
    CleanText,
    Field(min_length=1, max_length=64, description="Your number of this act; repeating it is safe."),
]
RawCode = Annotated[str, Field(min_length=1, max_length=4096, description="Scanned text.")]
Units = Annotated[int, Field(ge=1, le=UNITS_MAX, description="Preparation units (片, 粒, 支 …).")]
Prescription = Annotated[CleanText, Field(max_length=64, description="处方号")]
Person = Annotated[
    int | None, Field(ge=1, le=2**63 - 1, description="Person as identified before, never a document number.")
]
Dosage = Annotated[CleanText, Field(max_length=100, description="用法用量, printed on the label.")]
Owner = Annotated[
    int | None,
    Field(ge=1, le=2**31 - 1, description="A place or store of yours; your organisation if left out."),
]
Reason = Annotated[CleanText, Field(min_length=2, max_length=500)]

_LINE = {
    "code": "83857930000879766660",
    "units": 6,
    "prescription_no": "CF20260930017",
    "dosage": "每次2片，每日3次",
}


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [value]})


class LineIn(BaseModel):
    """Part of one box for one prescription."""

    model_config = _example(_LINE)
    code: RawCode
    units: Units
    prescription_no: Prescription = ""
    person_id: Person = None
    dosage: Dosage = ""

    def line(self) -> Line:
        """The value."""
        return Line(self.code, self.units, self.prescription_no, self.person_id, self.dosage)


class PartsIn(BaseModel):
    """Parts given out, or taken back."""

    model_config = _example({"number": "CL-20260930-0001", "lines": [_LINE]})
    number: Number
    lines: Annotated[list[LineIn], Field(max_length=LINES_MAX)]
    type: Annotated[
        int | None,
        Field(ge=1, le=999, description="Bill type; 321 of a pharmacy, 323 of a hospital if left out."),
    ] = None
    happened_at: AwareDatetime | None = None
    owner: Owner = None


class BackIn(BaseModel):
    """Parts that come back into their boxes."""

    model_config = _example({"number": "CT-20260930-0001", "lines": [{**_LINE, "units": 2, "dosage": ""}]})
    number: Number
    lines: Annotated[list[LineIn], Field(max_length=LINES_MAX)]
    happened_at: AwareDatetime | None = None
    owner: Owner = None


class OpenIn(BaseModel):
    """Boxes to open."""

    model_config = _example({"number": "KF-20260930-0001", "codes": ["83857930000879766660"]})
    number: Number
    codes: Annotated[list[RawCode], Field(min_length=1, max_length=500)]
    owner: Owner = None


class LookIn(BaseModel):
    """Boxes to look at."""

    model_config = _example({"codes": ["83857930000879766660"]})
    codes: Annotated[list[RawCode], Field(min_length=1, max_length=500)]
    owner: Owner = None


class LossLineIn(BaseModel):
    """Part of one opened box that is lost."""

    model_config = _example({"code": "83857930000879766660", "units": 1})
    code: RawCode
    units: Units


class LossIn(BaseModel):
    """Parts written off, with the reason."""

    model_config = _example(
        {
            "number": "CS-20260930-0001",
            "reason": "分装时掉落污染",
            "lines": [{"code": "83857930000879766660", "units": 1}],
        }
    )
    number: Number
    reason: Reason
    lines: Annotated[list[LossLineIn], Field(max_length=LINES_MAX)]
    happened_at: AwareDatetime | None = None
    owner: Owner = None


class CloseExpiredIn(BaseModel):
    """Expired remainders to write off: all of them, or those named."""

    model_config = _example({"number": "CS-20260930-0002", "reason": "超过开封后使用期限"})
    number: Number
    reason: Reason
    codes: Annotated[list[RawCode] | None, Field(max_length=5000)] = None
    owner: Owner = None


class PoolIn(BaseModel):
    """A new pool."""

    model_config = _example({"name": "三病区包药机", "kind": "machine"})
    name: Name
    kind: Literal["ward", "machine", "counter"]
    type: Annotated[int | None, Field(ge=1, le=999, description="Bill type of its draws.")] = None
    opens: Annotated[
        bool | None, Field(description="Boxes are opened when loaded; so it is for a machine if left out.")
    ] = None
    owner: Owner = None


class LoadIn(BaseModel):
    """Scans of boxes or whole cases to put into a pool."""

    model_config = _example({"number": "ZC-20260930-0001", "codes": ["83857930000879766660"]})
    number: Number
    codes: Annotated[list[RawCode], Field(min_length=1, max_length=1000)]


class UnloadIn(BaseModel):
    """Boxes to take out of a pool."""

    model_config = _example({"codes": ["83857930000879766660"]})
    codes: Annotated[list[RawCode], Field(min_length=1, max_length=1000)]


class WantIn(BaseModel):
    """One draw: units of a product for one prescription."""

    model_config = _example({"drug_id": 7, "units": 6, "prescription_no": "ZY20260930-118"})
    drug_id: IntId
    units: Units
    prescription_no: Prescription = ""
    person_id: Person = None
    dosage: Dosage = ""

    def want(self) -> Want:
        """The value."""
        return Want(self.drug_id, self.units, self.prescription_no, self.person_id, self.dosage)


class DrawIn(WantIn):
    """A single draw with its number, or up to 500 draws in `draws`."""

    model_config = _example(
        {
            "number": "BY-20260930-0730",
            "draws": [
                {"drug_id": 7, "units": 6, "prescription_no": "ZY20260930-118"},
                {"drug_id": 7, "units": 3, "prescription_no": "ZY20260930-119"},
            ],
        }
    )
    number: Number
    drug_id: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None  # type: ignore[assignment]
    units: Units | None = None  # type: ignore[assignment]
    count: Annotated[
        int, Field(ge=1, le=LINES_MAX, description="The single draw so many times, as lines of their own.")
    ] = 1
    draws: Annotated[list[WantIn], Field(max_length=LINES_MAX)] = Field(default_factory=list)
    mode: Literal["per_line", "atomic"] = Field(
        default="per_line", description="per_line: what can be filled is. atomic: one short line refuses all."
    )
    happened_at: AwareDatetime | None = None

    def wants(self) -> list[Want]:
        """All draws: those of the list, and the single one as often as asked."""
        found = [one.want() for one in self.draws]
        if self.drug_id is not None and self.units is not None:
            single = Want(self.drug_id, self.units, self.prescription_no, self.person_id, self.dosage)
            found += [single] * self.count
        return found


class CountIn(BaseModel):
    """Counted boxes of a pool."""

    model_config = _example(
        {
            "number": "QD-20260930-0001",
            "reason": "日终清点",
            "counts": [{"code": "83857930000879766660", "units": 0}],
            "close": False,
        }
    )

    class One(BaseModel):
        """Units counted in one box."""

        model_config = _example({"code": "83857930000879766660", "units": 12})
        code: RawCode
        units: Annotated[int, Field(ge=0, le=UNITS_MAX)]

    number: Number
    reason: Reason
    counts: Annotated[list[One], Field(max_length=5000)]
    close: bool = Field(default=False, description="All boxes are counted; the pool is closed.")


class LevelIn(BaseModel):
    """From how many units on a product is reported for refilling."""

    model_config = _example({"refill_below": 100})
    refill_below: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="null: no report")]
