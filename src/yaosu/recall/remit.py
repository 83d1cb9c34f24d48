"""Who may recall, approve and lock what: the product's firm, and drug regulators by their region (R-E4)."""

from __future__ import annotations

from yaosu.access.visibility import REGULATOR_TYPE, visible
from yaosu.errors import YaosuError
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

DRUG_REGULATOR = 1101
"""List `org_sub_type`; authorities that say no more of themselves count as such."""


def is_office(subject: Subject) -> bool:
    """Whether the subject acts for a supervising office."""
    return subject.org_type == REGULATOR_TYPE


def regulates(subject: Subject, registry: Registry) -> bool:
    """Whether the subject acts for a drug regulator.

    Health and insurance authorities read what is theirs to read; they order no recall and lock no goods.
    """
    office = registry.org(subject.org_id) if subject.org_id is not None and is_office(subject) else None
    return office is not None and office.sub_type in (None, DRUG_REGULATOR)


def in_charge(subject: Subject, registry: Registry, org_id: int) -> bool:
    """Whether the subject's office is the drug regulator responsible for the organisation's region."""
    if not regulates(subject, registry):
        return False
    sight = visible(subject)
    card = registry.org(org_id)
    return sight.kind == "regulator" and card is not None and card.region.startswith(sight.region_prefix)


def over_product(subject: Subject, registry: Registry, product: Product) -> bool:
    """Whether the subject may stop the product everywhere: its own firm, or the office in charge of that firm.

    Of an overseas holder the domestic responsible person acts (R-A7).
    """
    if subject.kind == "system":
        return True
    if subject.org_id is not None and product.owned_by(subject.org_id):
        return True
    mah = registry.org(product.mah_id)
    if mah is not None and mah.domestic_agent_id is not None and mah.domestic_agent_id == subject.org_id:
        return True
    return in_charge(subject, registry, product.mah_id) or in_charge(
        subject, registry, product.manufacturer_id
    )


def product_of(registry: Registry, drug_id: int) -> Product:
    """The product; refused (`not_found`)."""
    product = registry.product(drug_id)
    if product is None:
        raise YaosuError("not_found", {"what": f"#{drug_id}"})
    return product
