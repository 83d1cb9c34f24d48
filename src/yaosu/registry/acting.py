"""Who may act in whose name without any delegation: one rule for submitting, activating, filing and reading.

* An organisation for itself, and for the places inside it.
* A chain's headquarters for its stores (R-B7): sub-types 42 直营连锁 and 43 加盟连锁 (standards §5.8).
* The domestic responsible person (境内责任人) for the overseas MAH that named it (R-A7).

Everything else needs a delegation that both sides accepted (`circulation.delegations`). The same rule stands in SQL in
`access.visibility` for reading; a test compares the two.
"""

from __future__ import annotations

from typing import Literal

from yaosu.registry.model import OrgCard
from yaosu.registry.resolver import Registry

Reason = Literal["self", "place", "store", "domestic_agent"]

STORE_TYPES = (42, 43)


def reason(registry: Registry, org_id: int | None, for_org: int) -> Reason | None:
    """Why `org_id` may act for `for_org`; None when it may not."""
    if org_id is None:
        return None
    if org_id == for_org:
        return "self"
    card = registry.org(for_org)
    if card is None:
        return None
    if card.parent_id == org_id:
        if card.place:
            return "place"
        if card.sub_type in STORE_TYPES:
            return "store"
    return "domestic_agent" if card.domestic_agent_id == org_id else None


def acts_for(registry: Registry, org_id: int | None, for_org: int) -> bool:
    """Whether `org_id` may act in the name of `for_org` by what it is (R-A7, R-B7)."""
    return reason(registry, org_id, for_org) is not None


def acted_for(registry: Registry, org_id: int) -> list[OrgCard]:
    """Everybody `org_id` may act for besides itself (a scan of all organisations: for pages)."""
    return [one for one in registry.orgs() if one.id != org_id and acts_for(registry, org_id, one.id)]
