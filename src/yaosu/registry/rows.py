"""From database rows to values; shared by the stores and the cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

from yaosu.registry.model import Filing, Item, Level, Licence, Org, OrgCard, Prefix, Product, TraceSystem

Record = asyncpg.Record

PRODUCT_COLUMNS = (
    "generic_name",
    "english_name",
    "trade_name",
    "dosage_form",
    "strength",
    "package_size",
    "prep_unit",
    "prep_units_per",
    "shelf_life",
    "shelf_life_unit",
    "expiry_rule",
    "approval_no",
    "approval_expires",
    "import_cert_no",
    "import_cert_expires",
    "import_permit_no",
    "import_permit_expires",
    "registration_class",
    "prescription",
    "essential",
    "physic_type",
    "flags",
    "mah_id",
    "manufacturer_id",
    "packer_id",
    "agent_id",
    "status",
)
"""Columns of `product` that a caller sets, in the order of the statements."""


def card(row: Record) -> OrgCard:
    """The directory entry in `row`."""
    return OrgCard(
        id=row["id"],
        uscc=row["uscc"] or "",
        name=row["name"],
        type=row["type"],
        sub_type=row["sub_type"],
        region=row["region"],
        parent_id=row["parent_id"],
        domestic_agent_id=row["domestic_agent_id"],
        status=row["status"],
        short_name=row["short_name"],
        place=row["place"],
    )


def org(row: Record) -> Org:
    """The organisation in `row`."""
    return Org(
        card=card(row),
        other_id_kind=row["other_id_kind"],
        other_id=row["other_id"] or "",
        address=row["address"],
        contact_name=row["contact_name"],
        contact_phone=row["contact_phone"],
        contact_email=row["contact_email"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def licence(row: Record) -> Licence:
    """The licence in `row`."""
    names = ("id", "org_id", "kind", "number", "issued_on", "expires_on", "scope", "version")
    return Licence(**{name: row[name] for name in names})


def level(row: Record) -> Level:
    """The package level in `row`."""
    return Level(
        row["level"], row["name"], row["contains"], row["units_per"], row["identifier"], row["scheme"]
    )


def product(row: Record, levels: Iterable[Level], links: Iterable[tuple[str, str, int | None]]) -> Product:
    """The product in `row` with its ladder and links."""
    values: dict[str, Any] = {name: row[name] for name in PRODUCT_COLUMNS}
    values["flags"] = frozenset(values["flags"])
    return Product(
        id=row["id"], version=row["version"], levels=tuple(levels), links=tuple(sorted(links)), **values
    )


def system(row: Record) -> TraceSystem:
    """The trace system in `row`."""
    return TraceSystem(row["id"], row["name"], row["operator"], row["query_url"], row["own"])


def prefix(row: Record) -> Prefix:
    """The prefix in `row`."""
    names = ("prefix", "scheme", "filing_id", "system_id", "drug_id", "level")
    return Prefix(*(row[name] for name in names))


def filing(row: Record) -> Filing:
    """The filing in `row`, which carries its prefixes as an array."""
    return Filing(
        id=row["id"],
        org_id=row["org_id"],
        scheme=row["scheme"],
        rule_text=row["rule_text"],
        pattern=row["pattern"],
        pattern_upper=row["pattern_upper"],
        issuer=row["issuer"],
        samples=tuple(row["samples"]),
        system_id=row["system_id"],
        query_url=row["query_url"],
        filed_on=row["filed_on"],
        filing_no=row["filing_no"],
        status=row["status"],
        version=row["version"],
        prefixes=tuple(row["prefixes"]),
    )


def item(row: Record) -> Item:
    """The code-list item in `row`."""
    names = ("code", "zh", "en", "source", "region", "valid_from", "valid_to", "attrs", "version")
    return Item(**{name: row[name] for name in names})
