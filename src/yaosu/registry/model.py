"""Values of the registry, as other rooms see them. Frozen; ids are the database's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

Kind = Literal["known", "elsewhere", "unknown"]

CN20, GS1, CUSTOM = "cn20", "gs1", "custom"
SCHEMES = (CN20, GS1, CUSTOM)
"""Code families on the market, named as `codes.Scheme` does (standards §2.1)."""


class OrgType:
    """企业类型, list `org_type` (standards §5.8)."""

    MAKER = 1
    WHOLESALER = 2
    MEDICAL = 3
    RETAIL = 4
    LOGISTICS = 5
    MAH = 7
    RANDOMISER = 8
    GOVERNMENT = 110


@dataclass(frozen=True, slots=True)
class OrgCard:
    """The directory entry of an organisation: what every signed-in organisation may see."""

    id: int
    uscc: str
    """统一社会信用代码; empty for those without."""
    name: str
    type: int
    """List `org_type`: 1 maker, 2 wholesaler, 3 medical, 4 retail, 5 logistics, 7 MAH, 110 government."""
    sub_type: int | None
    """List `org_sub_type`, e.g. 41 chain headquarters, 320 village clinic."""
    region: str
    """GB/T 2260, six digits."""
    parent_id: int | None
    """Chain headquarters of a store."""
    domestic_agent_id: int | None
    """境内责任人 of an overseas MAH (R-A7)."""
    status: int
    """1 in use, 0 abolished."""
    short_name: str = ""
    place: bool = False
    """A place inside the organisation `parent_id` (药库, 病区, 仓库): no organisation of its own towards others."""

    @property
    def active(self) -> bool:
        """Whether the organisation is in use."""
        return self.status == 1


@dataclass(frozen=True, slots=True)
class Org:
    """An organisation in full: its own people and the operator see this."""

    card: OrgCard
    other_id_kind: int | None
    """List `id_kind_org`; null when there is a 统一社会信用代码."""
    other_id: str
    address: str
    contact_name: str
    """追溯业务负责人."""
    contact_phone: str
    contact_email: str
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def id(self) -> int:
        """Same as `card.id`."""
        return self.card.id

    @property
    def name(self) -> str:
        """Same as `card.name`."""
        return self.card.name


@dataclass(frozen=True, slots=True)
class Licence:
    """资质: a licence or certificate of an organisation."""

    id: int
    org_id: int
    kind: int
    """List `licence_kind` (standards §5.8, 1–16)."""
    number: str
    issued_on: date | None
    expires_on: date | None
    """Last valid day; null: without end."""
    scope: str
    version: int


@dataclass(frozen=True, slots=True)
class Level:
    """One package level of a product's ladder."""

    level: int
    """1 = smallest sales package, upward. The only scale used."""
    name: str
    """盒, 中包装, 箱 …"""
    contains: int
    """Packages of the next lower level in a full one; 1 at level 1."""
    units_per: int
    """Smallest packages in a full one (cumulative)."""
    identifier: str
    """药品标识码 of the level: 7 digits, GTIN-14, or the issuer's key."""
    scheme: str
    """cn20, gs1 or custom."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product with its ladder and linked codes (standards §5.2; canonical names in docs/registry.md)."""

    id: int
    """drug_id everywhere else."""
    generic_name: str
    """药品通用名称."""
    english_name: str
    trade_name: str
    """药品商品名称."""
    dosage_form: str
    """剂型."""
    strength: str
    """制剂规格."""
    package_size: str
    """包装规格."""
    prep_unit: str
    """制剂单位: 片, 粒, 支 …"""
    prep_units_per: int
    """包装转换比: preparation units in one smallest sales package."""
    shelf_life: int
    shelf_life_unit: int
    """1 day, 2 month, 3 year."""
    expiry_rule: str | None
    """List `expiry_rule`; None accepts any of the four (standards §8.3)."""
    approval_no: str
    """药品批准文号."""
    approval_expires: date | None
    import_cert_no: str
    import_cert_expires: date | None
    import_permit_no: str
    import_permit_expires: date | None
    registration_class: str
    """List `registration_class`: chemical, tcm, biological."""
    prescription: str
    """List `prescription_kind`: rx, otc_a, otc_b."""
    essential: bool
    """国家基本药物."""
    physic_type: int
    """1 special substance, 2 special preparation, 3 ordinary, 9 unclassified."""
    flags: frozenset[str]
    """List `product_flag`: vbp, narcotic, psych1, psych2, blood, vaccine, ephedrine, decoction …"""
    mah_id: int
    manufacturer_id: int
    packer_id: int | None
    agent_id: int | None
    status: int
    version: int
    levels: tuple[Level, ...]
    """The ladder from level 1 upward, contiguous."""
    links: tuple[tuple[str, str, int | None], ...]
    """多码关联: (kind of list `link_kind`, value, package level or None)."""

    @property
    def drug_id(self) -> int:
        """The product's id under the name other rooms use."""
        return self.id

    @property
    def active(self) -> bool:
        """Whether the product is in use."""
        return self.status == 1

    @property
    def imported(self) -> bool:
        """Whether the imported layout applies: an import certificate, or an approval number with J (境外)."""
        return bool(self.import_cert_no) or self.approval_no[4:6] in ("HJ", "ZJ", "SJ")

    @property
    def ratio(self) -> str:
        """包装比例 as printed and as in the relation file's `cascade`, from the top, e.g. 1:10:200.

        The top level stands first; each further number is how many packages of that level the top holds.
        """
        top = self.levels[-1].units_per
        return ":".join(str(top // level.units_per) for level in reversed(self.levels))

    def level(self, number: int) -> Level | None:
        """The level `number`, or None when the ladder has no such level."""
        return self.levels[number - 1] if 1 <= number <= len(self.levels) else None

    def owned_by(self, org_id: int) -> bool:
        """Whether the organisation is MAH or manufacturer of the product."""
        return org_id in (self.mah_id, self.manufacturer_id)


@dataclass(frozen=True, slots=True)
class TraceSystem:
    """A trace system: ours or another's (R-A4)."""

    id: int
    name: str
    operator: str
    query_url: str
    own: bool


@dataclass(frozen=True, slots=True)
class Prefix:
    """A filed identifying part of codes."""

    prefix: str
    scheme: str
    filing_id: int
    system_id: int
    drug_id: int | None
    level: int | None


@dataclass(frozen=True, slots=True)
class Filing:
    """备案 of a code rule (R-A1)."""

    id: int
    org_id: int
    scheme: str
    rule_text: str
    pattern: str
    """custom: regular expression in the safe subset of `codes.check_pattern`."""
    pattern_upper: bool
    """custom: the issuer's codes have no lower-case letters."""
    issuer: str
    """custom: key of the pattern, also its prefix."""
    samples: tuple[str, ...]
    system_id: int
    query_url: str
    filed_on: date
    filing_no: str
    status: int
    version: int
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the registry knows about a code by its prefix alone.

    `known`: a product of ours, `drug_id` and `level` set. `elsewhere`: filed for another trace system, named
    by `system`; product and level when registered here all the same. `unknown`: the prefix is not filed, or
    filed for us without a product (`system` says which of the two).
    """

    kind: Kind
    drug_id: int | None = None
    level: int | None = None
    system: TraceSystem | None = None
    query_url: str = ""
    """Where the public asks about the code: the filing's address, else the system's."""


UNKNOWN = Resolution("unknown")


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a code list, valid in `region` from `valid_from` to `valid_to`, both inclusive."""

    code: str
    zh: str
    en: str
    source: str
    region: str = ""
    """"" nationwide, else the leading digits of GB/T 2260 it applies to."""
    valid_from: date = date(1949, 10, 1)
    valid_to: date | None = None
    attrs: Mapping[str, object] = field(default_factory=dict)
    """Further columns of the list (parent type, hours, days …)."""
    version: int = 0
    """0 as delivered; above, the operator's own version."""
