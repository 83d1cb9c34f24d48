"""Organisations and products for everyone's tests: valid numbers, made through the registry's own doors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import count
from typing import Any

from yaosu.codes.identifiers.uscc import organisation_check_character, uscc_check_character
from yaosu.db.engine import Connection
from yaosu.registry import service
from yaosu.registry.drafts import FilingDraft, LevelDraft, LinkDraft, OrgDraft, ProductDraft
from yaosu.registry.model import OrgType
from yaosu.subject import Subject

OPERATOR = Subject(
    kind="account",
    role="operator",
    name="运营单位",
    scopes=frozenset(
        {"registry.admin", "product.read", "product.write", "org.read", "org.write", "audit.read"}
    ),
)
"""The platform's operator: belongs to no organisation."""

_numbers = count(1)

_TITLES = {
    1: "制药有限公司",
    2: "医药有限公司",
    3: "医院",
    4: "大药房",
    5: "物流有限公司",
    7: "药业有限公司",
    110: "药品监督管理局",
}


def uscc(number: int, region: str = "370102") -> str:
    """A valid 统一社会信用代码 that differs for every `number` below 10^8."""
    organisation = f"{number:08d}"
    body = "91" + region + organisation + organisation_check_character(organisation)
    return body + uscc_check_character(body)


def subject_of(org_id: int, org_type: int, *scopes: str, region: str = "370102") -> Subject:
    """Somebody of that organisation with `scopes`; with every ordinary scope when none is named."""
    held = scopes or ("org.read", "org.write", "product.read", "product.write")
    return Subject(
        kind="account",
        account_id=org_id,
        org_id=org_id,
        org_type=str(org_type),
        role="admin",
        scopes=frozenset(held),
        region=region,
        name=f"user of {org_id}",
    )


async def make_org(
    conn: Connection, type: int = OrgType.MAKER, region: str = "370102", name: str = "", **more: Any
) -> int:
    """A registered organisation of that type; its id. Further fields of `OrgDraft` by name."""
    number = next(_numbers)
    more.setdefault("uscc", uscc(number, region if region != "000000" else "370102"))
    draft = OrgDraft(name=name or f"测试{number}号{_TITLES.get(type, '')}", type=type, region=region, **more)
    return (await service.create_org(conn, OPERATOR, draft)).id


async def make_product(
    conn: Connection,
    mah: int,
    manufacturer: int | None = None,
    levels: Sequence[tuple[str, int, str]] = (("盒", 1, "8385793"), ("箱", 200, "8385794")),
    *,
    scheme: str = "cn20",
    file: bool = True,
    links: Sequence[tuple[str, str]] = (),
    **more: Any,
) -> int:
    """A registered product with its ladder, its prefixes filed by `mah` for our own system; the drug_id.

    `levels` from the smallest up as (name, smallest packages in one, identifier). Further fields of
    `ProductDraft` by name. `file=False` leaves the prefixes unfiled.
    """
    drafts = []
    below = 1
    for number, (name, units, identifier) in enumerate(levels, 1):
        assert units % below == 0, "each level holds whole packages of the one below"
        drafts.append(LevelDraft(number, units // below, identifier, scheme, name))
        below = units
    values: dict[str, Any] = {
        "generic_name": "复方测试胶囊",
        "dosage_form": "胶囊剂",
        "strength": "每粒装0.3g",
        "package_size": "24粒/盒",
        "prep_unit": "粒",
        "prep_units_per": 24,
        "shelf_life": 24,
        "shelf_life_unit": 2,
        "registration_class": "tcm",
        "approval_no": "国药准字Z45021428",
    }
    draft = ProductDraft(
        mah_id=mah,
        manufacturer_id=manufacturer or mah,
        levels=tuple(drafts),
        links=tuple(LinkDraft(kind, value) for kind, value in links),
        **{**values, **more},
    )
    if file:
        await make_filing(conn, mah, [identifier for _, _, identifier in levels], scheme)
    return (await service.create_product(conn, OPERATOR, draft)).id


async def make_filing(
    conn: Connection, org_id: int, prefixes: Sequence[str], scheme: str = "cn20", system_id: int | None = None
) -> int:
    """Prefixes filed by an organisation, for our own system unless `system_id` names another; the filing's id."""
    if system_id is None:
        system_id = (await service.list_systems(conn, OPERATOR))[0].id
    draft = FilingDraft(
        org_id=org_id,
        scheme=scheme,
        rule_text="7位药品标识码，9位序列号，4位校验位",
        filed_on=date(2025, 1, 1),
        prefixes=tuple(prefixes),
        system_id=system_id,
    )
    return (await service.file_rule(conn, OPERATOR, draft)).id
