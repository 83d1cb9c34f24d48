"""Who reads what in the insurance room: a bureau its region, an institution its own (D10: insurer by settlement)."""

from __future__ import annotations

from dataclasses import dataclass

from yaosu.access.visibility import REGULATOR_TYPE, region_prefix
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.insurance import store
from yaosu.insurance.model import Institution
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

BUREAU = 1103
"""List `org_sub_type`: 医疗保障部门."""
HEADQUARTERS = 41


@dataclass(frozen=True, slots=True)
class Reader:
    """`prefix` set: a bureau, for institutions whose region begins so. Else the caller's own institutions."""

    prefix: str | None
    institutions: tuple[int, ...]

    @property
    def bureau(self) -> bool:
        """Whether it reads by office."""
        return self.prefix is not None

    @property
    def own(self) -> list[int] | None:
        """The institutions whose words it reads; None: everybody's."""
        return None if self.bureau else list(self.institutions)

    def covers(self, one: Institution) -> bool:
        """Whether an institution is the reader's, or in its remit."""
        if self.prefix is not None:
            return one.region.startswith(self.prefix)
        return one.id in self.institutions


def is_bureau(registry: Registry, subject: Subject) -> bool:
    """Whether the subject acts for an insurance bureau."""
    card = registry.org(subject.org_id) if subject.org_id is not None else None
    return card is not None and str(card.type) == REGULATOR_TYPE and card.sub_type == BUREAU


def bureau_prefix(registry: Registry, subject: Subject) -> str:
    """The region of a bureau; refused (`insurance_not_bureau`) for everybody else."""
    if not is_bureau(registry, subject):
        raise YaosuError("insurance_not_bureau")
    card = registry.org(subject.org)
    assert card is not None
    return region_prefix(card.region)


async def reader_of(conn: Connection, registry: Registry, subject: Subject) -> Reader:
    """How far the subject reads here. Other offices read nothing: what is settled is not their business."""
    if is_bureau(registry, subject):
        return Reader(bureau_prefix(registry, subject), ())
    if subject.org_id is None or subject.org_type == REGULATOR_TYPE:
        raise YaosuError("insurance_not_bureau")
    return Reader(None, tuple(await _own(conn, registry, subject)))


async def _own(conn: Connection, registry: Registry, subject: Subject) -> list[int]:
    """Institutions of the organisation, its places, and the stores of a chain's headquarters (R-B7)."""
    orgs = {subject.org, *(card.id for card in registry.family_of(subject.org))}
    card = registry.org(subject.org)
    if card is not None and card.sub_type == HEADQUARTERS:
        orgs |= set(registry.stores(subject.org))
    return [r["id"] for r in await conn.fetch(store.OF_ORGS, sorted(orgs))]


async def institution_for(
    conn: Connection, registry: Registry, subject: Subject, code: str = ""
) -> Institution:
    """The institution a caller acts for: its own, or for a bureau the one with that number in its remit.

    Refused: `insurance_not_registered`, `not_found`.
    """
    if code:
        row = await conn.fetchrow(store.BY_CODE, code)
        if row is not None and (await reader_of(conn, registry, subject)).covers(store.institution(row)):
            return store.institution(row)
        raise YaosuError("not_found", {"what": code[:30]})
    if is_bureau(registry, subject):
        raise YaosuError("insurance_institution_needed")
    row = await conn.fetchrow(store.BY_ORG, subject.org)
    if row is None:
        raise YaosuError("insurance_not_registered")
    return store.institution(row)
