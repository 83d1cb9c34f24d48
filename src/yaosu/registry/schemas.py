"""Bodies and answers of the registry's API."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, IntId, LongText
from yaosu.registry.drafts import FilingDraft, LevelDraft, LicenceDraft, LinkDraft, OrgDraft, ProductDraft
from yaosu.registry.examples import (
    FILING_EXAMPLE,
    LICENCE_EXAMPLE,
    ORG_EXAMPLE,
    PRODUCT_EXAMPLE,
    SYSTEM_EXAMPLE,
    USCC,
)
from yaosu.registry.lists import region_path
from yaosu.registry.model import Filing, Level, Licence, Org, OrgCard, Product, TraceSystem

Small = Annotated[int, Field(ge=0, le=32_767)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, description="the version the change is based on")]


def like(example: dict[str, Any]) -> ConfigDict:
    """The configuration of an answer with this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def page(example: dict[str, Any]) -> ConfigDict:
    """The same for a page with one such entry."""
    return like({"items": [example], "next": None})


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not dropped silently."""

    model_config = ConfigDict(extra="forbid")


class OrgBody(Body):
    """An organisation; 统一社会信用代码 or another identifier is needed."""

    name: CleanText = Field(examples=["山东示例制药有限公司"])
    type: Small = Field(description="list org_type", examples=[1])
    region: CleanText = Field(description="GB/T 2260, six digits", examples=["370102"])
    uscc: CleanText = Field("", description="统一社会信用代码", examples=[USCC])
    other_id_kind: Small | None = Field(None, description="list id_kind_org")
    other_id: CleanText = ""
    short_name: CleanText = ""
    sub_type: Small | None = Field(None, description="list org_sub_type", examples=[13])
    address: CleanText = ""
    parent_id: IntId | None = Field(None, description="chain headquarters")
    domestic_agent_id: IntId | None = Field(None, description="境内责任人 of an overseas holder")
    contact_name: CleanText = ""
    contact_phone: CleanText = ""
    contact_email: CleanText = ""
    status: Small = Field(1, description="1 in use, 0 abolished")
    same_name_ok: bool = Field(False, description="a different organisation of the same name was checked")

    def draft(self) -> OrgDraft:
        """As the service takes it."""
        return OrgDraft(**self.model_dump(exclude={"same_name_ok", "version"}))


class OrgChange(OrgBody):
    """The whole organisation as it shall be."""

    version: Version = Field(examples=[1])


class OrgCardOut(BaseModel):
    """The directory entry that every signed-in organisation sees."""

    model_config = like(ORG_EXAMPLE)

    id: int
    uscc: str
    name: str
    short_name: str
    type: int
    sub_type: int | None
    region: str
    region_name: str
    parent_id: int | None
    status: int

    @classmethod
    def of(cls, card: OrgCard) -> OrgCardOut:
        """From the value."""
        return cls(**_card(card))


def _card(card: OrgCard) -> dict[str, Any]:
    names = ("id", "uscc", "name", "short_name", "type", "sub_type", "region", "parent_id", "status")
    return {n: getattr(card, n) for n in names} | {"region_name": region_path(card.region)}


class OrgOut(OrgCardOut):
    """An organisation; the later fields are blank for callers who only see the directory."""

    model_config = like(
        ORG_EXAMPLE
        | {
            "domestic_agent_id": None,
            "other_id_kind": None,
            "other_id": "",
            "address": "",
            "contact_name": "",
            "contact_phone": "",
            "contact_email": "",
            "version": 1,
            "updated_at": "2026-01-05T09:00:00+08:00",
        }
    )

    domestic_agent_id: int | None
    other_id_kind: int | None
    other_id: str
    address: str
    contact_name: str
    contact_phone: str
    contact_email: str
    version: int
    updated_at: datetime

    @classmethod
    def full(cls, org: Org) -> OrgOut:
        """From the value."""
        names = ("other_id_kind", "other_id", "address", "contact_name", "contact_phone", "contact_email")
        more = {n: getattr(org, n) for n in (*names, "version", "updated_at")}
        return cls(**_card(org.card), domestic_agent_id=org.card.domestic_agent_id, **more)


class OrgsOut(BaseModel):
    """A page of the directory."""

    model_config = page(ORG_EXAMPLE)

    items: list[OrgCardOut]
    next: str | None


class LicenceBody(Body):
    """A licence; the same kind and number replaces."""

    kind: Small = Field(description="list licence_kind", examples=[5])
    number: CleanText = Field(examples=["鲁20200001"])
    issued_on: date | None = Field(None, examples=["2020-12-01"])
    expires_on: date | None = Field(None, examples=["2025-11-30"])
    scope: LongText = ""

    def draft(self) -> LicenceDraft:
        """As the service takes it."""
        return LicenceDraft(**self.model_dump())


class LicenceOut(BaseModel):
    """A licence with what there is to say about its end."""

    model_config = like(LICENCE_EXAMPLE)

    id: int
    org_id: int
    kind: int
    number: str
    issued_on: date | None
    expires_on: date | None
    scope: str
    version: int
    warning: dict[str, Any] | None = None

    @classmethod
    def of(cls, one: Licence, warning: dict[str, Any] | None) -> LicenceOut:
        """From the value."""
        names = ("id", "org_id", "kind", "number", "issued_on", "expires_on", "scope", "version")
        return cls(**{n: getattr(one, n) for n in names}, warning=warning)


class LicencesOut(BaseModel):
    """Licences."""

    model_config = page(LICENCE_EXAMPLE)

    items: list[LicenceOut]
    next: str | None = None


class LevelBody(Body):
    """One package level."""

    level: Small = Field(description="1 = smallest sales package", examples=[1])
    contains: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        description="packages of the next lower level; 1 at level 1", examples=[1]
    )
    identifier: CleanText = Field(description="7-digit 药品标识码, GTIN or issuer key", examples=["8385793"])
    scheme: Literal["cn20", "gs1", "custom"] = "cn20"
    name: CleanText = Field("", examples=["盒"])


class LinkBody(Body):
    """One linked code (多码关联)."""

    kind: CleanText = Field(description="list link_kind", examples=["retail_barcode"])
    value: CleanText = Field(examples=["6924561884074"])
    level: Small | None = None


class ProductBody(Body):
    """A product: the basic data set, the ladder, the linked codes."""

    generic_name: CleanText = Field(examples=["复方示例胶囊"])
    english_name: CleanText = ""
    trade_name: CleanText = ""
    dosage_form: CleanText = Field(examples=["胶囊剂"])
    strength: CleanText = Field(examples=["每粒装0.3g"])
    package_size: CleanText = Field(examples=["24粒/盒"])
    prep_unit: CleanText = Field("", examples=["粒"])
    prep_units_per: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(1, examples=[24])
    shelf_life: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(examples=[24])
    shelf_life_unit: Small = Field(description="1 day, 2 month, 3 year", examples=[2])
    expiry_rule: CleanText | None = Field(None, description="list expiry_rule")
    approval_no: CleanText = Field("", examples=["国药准字Z45021428"])
    approval_expires: date | None = None
    import_cert_no: CleanText = ""
    import_cert_expires: date | None = None
    import_permit_no: CleanText = ""
    import_permit_expires: date | None = None
    registration_class: CleanText = Field(description="list registration_class", examples=["tcm"])
    prescription: CleanText = Field("rx", description="list prescription_kind")
    essential: bool = False
    physic_type: Small = Field(3, description="list physic_type")
    flags: Annotated[list[CleanText], Field(max_length=50)] = Field([], description="list product_flag")
    mah_id: IntId = Field(examples=[1])
    manufacturer_id: IntId = Field(examples=[1])
    packer_id: IntId | None = None
    agent_id: IntId | None = None
    status: Small = 1
    levels: Annotated[list[LevelBody], Field(max_length=9)]
    links: Annotated[list[LinkBody], Field(max_length=200)] = []

    def draft(self) -> ProductDraft:
        """As the service takes it."""
        values = self.model_dump(exclude={"levels", "links", "flags", "version"})
        return ProductDraft(
            **values,
            flags=frozenset(self.flags),
            levels=tuple(LevelDraft(**v.model_dump()) for v in self.levels),
            links=tuple(LinkDraft(**v.model_dump()) for v in self.links),
        )


class ProductChange(ProductBody):
    """The whole product as it shall be."""

    version: Version = Field(examples=[1])


class LevelOut(BaseModel):
    """One package level with its cumulative count."""

    level: int
    name: str
    contains: int
    units_per: int
    identifier: str
    scheme: str

    @classmethod
    def of(cls, level: Level) -> LevelOut:
        """From the value."""
        return cls(**{n: getattr(level, n) for n in cls.model_fields})


class LinkOut(BaseModel):
    """One linked code."""

    kind: str
    value: str
    level: int | None


_PRODUCT_FIELDS = tuple(n for n in ProductBody.model_fields if n not in ("flags", "levels", "links"))


class ProductOut(BaseModel):
    """A product."""

    model_config = like(PRODUCT_EXAMPLE)

    id: int
    generic_name: str
    english_name: str
    trade_name: str
    dosage_form: str
    strength: str
    package_size: str
    prep_unit: str
    prep_units_per: int
    shelf_life: int
    shelf_life_unit: int
    expiry_rule: str | None
    approval_no: str
    approval_expires: date | None
    import_cert_no: str
    import_cert_expires: date | None
    import_permit_no: str
    import_permit_expires: date | None
    registration_class: str
    prescription: str
    essential: bool
    physic_type: int
    flags: list[str]
    mah_id: int
    manufacturer_id: int
    packer_id: int | None
    agent_id: int | None
    status: int
    version: int
    ratio: str
    levels: list[LevelOut]
    links: list[LinkOut]

    @classmethod
    def of(cls, one: Product) -> ProductOut:
        """From the value."""
        return cls(
            id=one.id,
            version=one.version,
            ratio=one.ratio,
            flags=sorted(one.flags),
            levels=[LevelOut.of(v) for v in one.levels],
            links=[LinkOut(kind=k, value=v, level=lv) for k, v, lv in one.links],
            **{n: getattr(one, n) for n in _PRODUCT_FIELDS},
        )


class ProductsOut(BaseModel):
    """A page of products."""

    model_config = page(PRODUCT_EXAMPLE)

    items: list[ProductOut]
    next: str | None


class FilingBody(Body):
    """A code rule to be filed; `custom` gives pattern, issuer and samples instead of prefixes."""

    org_id: IntId = Field(examples=[1])
    scheme: Literal["cn20", "gs1", "custom"] = Field(examples=["cn20"])
    rule_text: LongText = Field(examples=["7位药品标识码，9位序列号，4位校验位"])
    filed_on: date = Field(examples=["2025-01-01"])
    prefixes: Annotated[list[CleanText], Field(max_length=10_000)] = Field(
        [], examples=[["8385793", "8385794"]]
    )
    pattern: CleanText = ""
    pattern_upper: bool = False
    issuer: CleanText = ""
    samples: Annotated[list[CleanText], Field(max_length=50)] = []
    system_id: IntId = Field(1, description="trace system; ours unless given")
    query_url: CleanText = ""
    filing_no: CleanText = ""
    status: Small = Field(1, description="1 in force, 0 withdrawn")

    def draft(self) -> FilingDraft:
        """As the service takes it."""
        values = self.model_dump(exclude={"prefixes", "samples", "version"})
        return FilingDraft(**values, prefixes=tuple(self.prefixes), samples=tuple(self.samples))


class FilingChange(FilingBody):
    """The whole filing as it shall be."""

    version: Version = Field(examples=[1])


class FilingOut(BaseModel):
    """A filing."""

    model_config = like(FILING_EXAMPLE)

    id: int
    org_id: int
    scheme: str
    rule_text: str
    pattern: str
    pattern_upper: bool
    issuer: str
    samples: list[str]
    system_id: int
    query_url: str
    filed_on: date
    filing_no: str
    status: int
    version: int
    prefixes: list[str]

    @classmethod
    def of(cls, one: Filing) -> FilingOut:
        """From the value."""
        return cls(**{n: getattr(one, n) for n in cls.model_fields})


class FilingsOut(BaseModel):
    """A page of filings."""

    model_config = page(FILING_EXAMPLE)

    items: list[FilingOut]
    next: str | None


class SystemBody(Body):
    """A trace system of others."""

    name: CleanText = Field(examples=["另一追溯平台"])
    operator: CleanText = Field("", examples=["某运营单位"])
    query_url: CleanText = Field("", examples=["https://trace.example.com/query"])


class SystemOut(BaseModel):
    """A trace system."""

    model_config = like(SYSTEM_EXAMPLE)

    id: int
    name: str
    operator: str
    query_url: str
    own: bool

    @classmethod
    def of(cls, one: TraceSystem) -> SystemOut:
        """From the value."""
        return cls(**{n: getattr(one, n) for n in cls.model_fields})


class SystemsOut(BaseModel):
    """Trace systems, ours first."""

    model_config = page(SYSTEM_EXAMPLE)

    items: list[SystemOut]
    next: str | None = None
