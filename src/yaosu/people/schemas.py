"""What the API takes and shows of persons."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText
from yaosu.people.model import Given, Open, Shown
from yaosu.registry.lists import CodeLists

PersonText = Annotated[CleanText, Field(max_length=100)]
Reason = Annotated[
    CleanText, Field(min_length=1, max_length=200, description="What for; goes into the audit record.")
]

DOCUMENT: dict[str, Any] = {"kind": "1", "number": "11010519491231002X"}
PERSON: dict[str, Any] = {**DOCUMENT, "name": "张三", "phone": "13800000000"}
MASKED: dict[str, Any] = {
    "person_id": 4711,
    "kind": "1",
    "kind_name": "身份证",
    "name": "张*",
    "number": "1101**********002X",
    "phone": "13*******00",
}
"""Examples; the number is the standard's own (GB 11643)."""


class DocumentIn(BaseModel):
    """A document as typed or read by a card reader."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [DOCUMENT]})
    kind: Annotated[CleanText, Field(max_length=4, description="Code list `id_kind_person`.")] = "1"
    number: PersonText


class PersonIn(DocumentIn):
    """A person with document. Encrypted at once; only masked texts ever come back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [PERSON]})
    name: PersonText = Field(
        default="",
        description="As on the document; may be left out for somebody the caller registered before.",
    )
    phone: PersonText = ""

    def given(self) -> Given:
        """The value for `service.identify`."""
        return Given(self.kind, self.number, self.name, self.phone)

    def __repr__(self) -> str:
        return "PersonIn(…)"

    __str__ = __repr__


class UnmaskIn(BaseModel):
    """Why somebody has to be seen in full."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "药监检查第3号，核对专册"}]}
    )
    reason: Reason


def masked_view(one: Shown, lists: CodeLists, lang: str) -> dict[str, Any]:
    """A person as anybody may see one."""
    return {
        "person_id": one.person,
        "kind": one.kind,
        "kind_name": lists.text("id_kind_person", one.kind, lang),
        "name": one.name_masked,
        "number": one.number_masked,
        "phone": one.phone_masked,
    }


def open_view(one: Open, lists: CodeLists, lang: str) -> dict[str, Any]:
    """A person in full, for whoever gave a reason."""
    return {
        "person_id": one.person,
        "kind": one.kind,
        "kind_name": lists.text("id_kind_person", one.kind, lang),
        "name": one.name,
        "number": one.number,
        "phone": one.phone,
    }
