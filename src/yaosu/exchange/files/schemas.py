"""What the API takes for files."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText

INT_MAX = 2**31 - 1
OrgId = Annotated[int, Field(ge=1, le=INT_MAX)]
TypeCode = Annotated[int, Field(ge=1, le=999)]
Text = Annotated[CleanText, Field(max_length=200)]


class ChoicesIn(BaseModel):
    """Answers to the questions of a preview."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"partners": {"济南某某大药房": 12}, "types": {"出库": 201}}]},
    )
    type: TypeCode | None = Field(default=None, description="For bills whose kind the file does not tell.")
    types: Annotated[dict[Text, TypeCode], Field(max_length=100)] = Field(
        default_factory=dict, description="Bill types by the text in the file."
    )
    bill_no: Annotated[CleanText, Field(max_length=64)] = Field(
        default="", description="For a file that names no bill number."
    )
    partner: OrgId | None = Field(default=None, description="For bills that name no partner.")
    partners: Annotated[dict[Text, OrgId], Field(max_length=2000)] = Field(
        default_factory=dict, description="Organisations by the text in the file; remembered."
    )
    owner: OrgId | None = Field(default=None, description="库房: the place or store whose bills these are.")
    notice: Annotated[CleanText, Field(max_length=64)] = Field(
        default="", description="Receipts: the seller's bill."
    )
    happened_at: AwareDatetime | None = Field(default=None, description="For bills that name no time.")
    skip_bad: bool | None = Field(
        default=None, description="Send bills although lines of theirs are unreadable."
    )
    remember: bool = Field(default=True, description="Keep the partners for later files.")

    def values(self) -> dict[str, Any]:
        """What was given, for the store."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"remember"})
        return {k: v for k, v in given.items() if v not in (None, "", {})}


class FolderIn(BaseModel):
    """Whether the server watches a folder for the organisation."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"active": True}]})
    active: bool
