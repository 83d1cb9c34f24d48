"""Bodies and answers of resolving, code lists and bulk import."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from yaosu.access.types import CleanText
from yaosu.registry.examples import ITEM_EXAMPLE, SYSTEM_EXAMPLE
from yaosu.registry.model import Item
from yaosu.registry.schemas import Body, SystemOut, like, page


class ResolutionOut(BaseModel):
    """What a scanned text is, and what the registry knows about it."""

    model_config = like(
        {
            "text": "83857940000879766660",
            "scheme": "cn20",
            "prefix": "8385794",
            "serial": "0000879766660",
            "batch": None,
            "expiry": None,
            "kind": "known",
            "drug_id": 7,
            "generic_name": "复方示例胶囊",
            "level": 2,
            "level_name": "箱",
            "units_per": 200,
            "system": SYSTEM_EXAMPLE,
            "query_url": "",
        }
    )

    text: str
    scheme: str
    prefix: str
    serial: str
    batch: str | None
    expiry: date | None
    kind: Literal["known", "elsewhere", "unknown"]
    drug_id: int | None
    generic_name: str | None
    level: int | None
    level_name: str | None
    units_per: int | None
    system: SystemOut | None
    query_url: str


class ItemBody(Body):
    """The operator's version of a code-list item."""

    zh: CleanText = Field(examples=["破损"])
    en: CleanText = Field(examples=["Damaged"])
    source: CleanText = Field(examples=["某通知第三条"])
    region: CleanText = Field("", description="leading digits of GB/T 2260; empty: nationwide")
    valid_from: date | None = None
    valid_to: date | None = None


class ItemOut(BaseModel):
    """One entry of a code list."""

    model_config = like(ITEM_EXAMPLE)

    code: str
    zh: str
    en: str
    source: str
    region: str
    valid_from: date
    valid_to: date | None
    attrs: dict[str, Any]
    version: int

    @classmethod
    def of(cls, one: Item) -> ItemOut:
        """From the value."""
        return cls(**{n: getattr(one, n) for n in cls.model_fields})


class ListOut(BaseModel):
    """A code list with its entries valid on the day asked for."""

    model_config = like(
        {
            "name": "return_reason",
            "zh": "退货原因",
            "en": "Return reasons",
            "source": "公开文档",
            "items": [ITEM_EXAMPLE],
            "next": None,
        }
    )

    name: str
    zh: str
    en: str
    source: str
    items: list[ItemOut]
    next: str | None = None


class ListName(BaseModel):
    """A code list in the index."""

    name: str
    zh: str
    en: str
    source: str
    count: int


class ListsOut(BaseModel):
    """The index of code lists."""

    model_config = page(
        {"name": "return_reason", "zh": "退货原因", "en": "Return reasons", "source": "公开文档", "count": 6}
    )

    items: list[ListName]
    next: str | None = None


class CellErrorOut(BaseModel):
    """What is wrong with one cell."""

    row: int
    column: str
    code: str
    message: str
    next: str
    where: str
    params: dict[str, Any]


class PreviewOut(BaseModel):
    """What a file would do; `id` confirms it when there are no errors."""

    model_config = like(
        {
            "id": None,
            "kind": "orgs",
            "file_name": "企业.xlsx",
            "rows": 120,
            "error_count": 1,
            "errors": [
                {
                    "row": 7,
                    "column": "统一社会信用代码",
                    "code": "uscc_length",
                    "message": "统一社会信用代码应为 18 位",
                    "next": "请核对营业执照",
                    "where": "7:统一社会信用代码",
                    "params": {"length": 17},
                }
            ],
        }
    )

    id: str | None
    kind: str
    file_name: str
    rows: int
    error_count: int
    errors: list[CellErrorOut]


class ImportedOut(BaseModel):
    """What a confirmed import registered."""

    model_config = like({"kind": "orgs", "rows": 120})

    kind: str
    rows: int
