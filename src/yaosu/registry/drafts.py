"""What a caller proposes to write: the same shapes for API, pages, files and the CLI."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class OrgDraft:
    """An organisation to be written; field meanings as in `model.Org`."""

    name: str
    type: int
    region: str
    uscc: str = ""
    other_id_kind: int | None = None
    other_id: str = ""
    short_name: str = ""
    sub_type: int | None = None
    address: str = ""
    parent_id: int | None = None
    domestic_agent_id: int | None = None
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""
    status: int = 1


@dataclass(frozen=True, slots=True)
class LicenceDraft:
    """A licence to be written; field meanings as in `model.Licence`."""

    kind: int
    number: str
    issued_on: date | None = None
    expires_on: date | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True)
class LevelDraft:
    """One package level to be written. `name` may be empty: the usual name is taken."""

    level: int
    contains: int
    identifier: str
    scheme: str = "cn20"
    name: str = ""


@dataclass(frozen=True, slots=True)
class LinkDraft:
    """One linked code (R-A2): `kind` of list `link_kind`; `level` when it names one package level."""

    kind: str
    value: str
    level: int | None = None


@dataclass(frozen=True, slots=True)
class ProductDraft:
    """A product to be written; field meanings as in `model.Product`."""

    generic_name: str
    dosage_form: str
    strength: str
    package_size: str
    shelf_life: int
    shelf_life_unit: int
    registration_class: str
    mah_id: int
    manufacturer_id: int
    levels: tuple[LevelDraft, ...]
    links: tuple[LinkDraft, ...] = ()
    english_name: str = ""
    trade_name: str = ""
    prep_unit: str = ""
    prep_units_per: int = 1
    expiry_rule: str | None = None
    approval_no: str = ""
    approval_expires: date | None = None
    import_cert_no: str = ""
    import_cert_expires: date | None = None
    import_permit_no: str = ""
    import_permit_expires: date | None = None
    prescription: str = "rx"
    essential: bool = False
    physic_type: int = 3
    flags: frozenset[str] = field(default_factory=frozenset)
    packer_id: int | None = None
    agent_id: int | None = None
    status: int = 1


@dataclass(frozen=True, slots=True)
class FilingDraft:
    """A filing of a code rule to be written; field meanings as in `model.Filing`.

    `cn20` and `gs1` name `prefixes`; `custom` gives `pattern`, `issuer` and at least one of `samples` instead.
    """

    org_id: int
    scheme: str
    rule_text: str
    filed_on: date
    prefixes: tuple[str, ...] = ()
    pattern: str = ""
    pattern_upper: bool = False
    issuer: str = ""
    samples: tuple[str, ...] = ()
    system_id: int = 1
    query_url: str = ""
    filing_no: str = ""
    status: int = 1
