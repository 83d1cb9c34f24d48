"""医联体/医共体: groups of hospitals whose members may transfer listed drugs to each other, scanned (R-C5).

A group has a lead hospital, members that accepted, and a list of drugs with validity. `transfer_findings` is what the
write path asks: one statement per bill, whatever the number of codes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from yaosu.access import audit
from yaosu.db.engine import Connection, Reads
from yaosu.errors import Finding, YaosuError
from yaosu.registry import checks
from yaosu.registry import groups_store as store
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

CHINA = ZoneInfo("Asia/Shanghai")
SCOPE = "grant.manage"
READ_SCOPE = "org.read"
NAME_MAX = 100
MEMBERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Member:
    """A hospital of a group; without `accepted_at` it was asked and has not answered."""

    org: int
    invited_at: datetime
    accepted_at: datetime | None
    left_at: datetime | None

    @property
    def state(self) -> str:
        """invited, member or left."""
        return "left" if self.left_at else "member" if self.accepted_at else "invited"


@dataclass(frozen=True, slots=True)
class Listed:
    """A drug that members may transfer."""

    id: int
    drug_id: int
    reason: str
    """List `transfer_reason`: urgent, short."""
    valid_from: date
    valid_to: date | None
    """Last day, inclusive; None: until ended."""
    ended_at: datetime | None

    def holds(self, day: date) -> bool:
        """Whether it may be transferred on that day."""
        return (
            self.ended_at is None
            and self.valid_from <= day
            and (self.valid_to is None or day <= self.valid_to)
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A group with its members and drugs."""

    id: int
    name: str
    kind: str
    lead: int
    created_at: datetime
    ended_at: datetime | None
    members: tuple[Member, ...] = ()
    drugs: tuple[Listed, ...] = ()

    def has(self, org: int) -> bool:
        """Whether the hospital is a member now."""
        return any(m.org == org and m.state == "member" for m in self.members)


def home(registry: Registry, org_id: int) -> int:
    """The organisation that a place (药库, 病区) belongs to; an organisation is its own home."""
    card = registry.org(org_id)
    return card.parent_id if card is not None and card.place and card.parent_id else org_id


async def transfer_findings(
    conn: Reads, registry: Registry, from_org: int, to_org: int, drug_ids: Collection[int], on: datetime
) -> dict[int, Finding]:
    """Why products may not be transferred (203/104) from one hospital to another at that time; empty when they may.

    Judged: transfers that leave a medical institution for another organisation. Inside one organisation, and for
    everybody else, there is nothing to say. One statement.
    """
    giver, taker = home(registry, from_org), home(registry, to_org)
    cards = registry.org(giver), registry.org(taker)
    if giver == taker or cards[0] is None or cards[1] is None or cards[0].type != OrgType.MEDICAL:
        return {}
    if giver in (cards[1].parent_id,) or taker in (cards[0].parent_id,):
        # a branch of the same institution
        return {}
    day = on.astimezone(CHINA).date()
    rows = await conn.fetch(store.MAY_TRANSFER, giver, taker, sorted(set(drug_ids)), on, day)
    names = {"from": cards[0].name, "to": cards[1].name}
    if not rows:
        return {drug_id: Finding("transfer_no_group", names, "to_org") for drug_id in drug_ids}
    listed = {row["drug_id"] for row in rows}
    group = rows[0]["name"]
    found = {}
    for drug_id in set(drug_ids) - listed:
        product = registry.product(drug_id)
        params = {**names, "group": group, "product": product.generic_name if product else f"#{drug_id}"}
        found[drug_id] = Finding("transfer_drug_not_listed", params, "codes")
    return found


async def may_transfer(
    conn: Reads, registry: Registry, from_org: int, to_org: int, drug_id: int, on: datetime
) -> Finding | None:
    """Why one product may not be transferred from one hospital to another at that time; None when it may (R-C5)."""
    return (await transfer_findings(conn, registry, from_org, to_org, [drug_id], on)).get(drug_id)


def _missing(subject: Subject) -> YaosuError:
    return YaosuError("not_found", {"what": "医联体" if subject.lang == "zh" else "Group"})


async def listed(conn: Connection, subject: Subject) -> list[Group]:
    """Groups the own hospital leads, belongs to or is asked to join; those that ended last."""
    subject.require(READ_SCOPE)
    return await _loaded(conn, [r["id"] for r in await conn.fetch(store.OF_ORG, subject.org)])


async def invited(conn: Connection, subject: Subject) -> int:
    """Groups that ask the own hospital to join."""
    subject.require(SCOPE)
    found: int = await conn.fetchval(store.INVITED, subject.org)
    return found


async def _loaded(conn: Connection, ids: Sequence[int]) -> list[Group]:
    members: dict[int, list[Member]] = {}
    drugs: dict[int, list[Listed]] = {}
    for row in await conn.fetch(store.MEMBERS, list(ids)):
        members.setdefault(row["group_id"], []).append(Member(*list(row.values())[1:]))
    for row in await conn.fetch(store.DRUGS, list(ids)):
        drugs.setdefault(row["group_id"], []).append(Listed(*list(row.values())[1:]))
    rows = {row["id"]: row for row in await conn.fetch(store.GROUPS, list(ids))}
    return [
        Group(
            i,
            rows[i]["name"],
            rows[i]["kind"],
            rows[i]["lead_org"],
            rows[i]["created_at"],
            rows[i]["ended_at"],
            tuple(members.get(i, ())),
            tuple(drugs.get(i, ())),
        )
        for i in ids
    ]


async def get(conn: Connection, subject: Subject, group_id: int) -> Group:
    """One group; `not_found` for those the own hospital has nothing to do with."""
    subject.require(READ_SCOPE)
    found = await _loaded(conn, [group_id]) if await conn.fetchval(store.KNOWS, group_id, subject.org) else []
    if not found:
        raise _missing(subject)
    return found[0]


def _hospital(registry: Registry, org_id: int, field: str) -> None:
    card = registry.org(org_id)
    if card is None or not card.active or card.place or card.type != OrgType.MEDICAL:
        finding = Finding("group_hospital_needed", {"id": org_id}, field)
        raise YaosuError("invalid_request", {"count": 1}, [finding])


async def create(conn: Connection, registry: Registry, subject: Subject, name: str, kind: str) -> int:
    """Found a group; the own hospital leads it."""
    subject.require(SCOPE)
    _hospital(registry, subject.org, "lead")
    clean = name.strip()
    if not clean or len(clean) > NAME_MAX:
        raise YaosuError("field_invalid", {"field": "name", "reason": f"1–{NAME_MAX}"})
    if wrong := checks.text(clean, "name", NAME_MAX):
        raise YaosuError("invalid_request", {"count": 1}, [wrong])
    if registry.lists.item("care_group_kind", kind) is None:
        raise YaosuError("field_invalid", {"field": "kind", "reason": "care_group_kind"})
    made: int = await conn.fetchval(store.CREATE, clean, kind, subject.org)
    await conn.execute(store.JOIN_LEAD, made, subject.org)
    await audit.record(conn, subject, "group.create", ("group", made), {"kind": kind})
    return made


async def _led(conn: Connection, subject: Subject, group_id: int) -> Group:
    """A group the own hospital leads, under lock; `group_not_leader` for its other members."""
    subject.require(SCOPE)
    await conn.fetchrow(store.LOCK, group_id)
    found = await get(conn, subject, group_id)
    if found.lead != subject.org:
        raise YaosuError("group_not_leader", {"name": found.name})
    if found.ended_at is not None:
        raise YaosuError("group_ended", {"name": found.name})
    return found


async def invite(conn: Connection, registry: Registry, subject: Subject, group_id: int, org: int) -> Group:
    """Ask a hospital to join; again after it left."""
    found = await _led(conn, subject, group_id)
    _hospital(registry, org, "org")
    if any(m.org == org and m.state != "left" for m in found.members):
        raise YaosuError("group_already_asked")
    if len(found.members) >= MEMBERS_MAX:
        raise YaosuError("group_full", {"limit": MEMBERS_MAX})
    await conn.execute(store.INVITE, group_id, org)
    await audit.record(conn, subject, "group.invite", ("group", group_id), {"org": org})
    return found


async def accept(conn: Connection, subject: Subject, group_id: int) -> Group:
    """Join: the own hospital is a member from now on."""
    subject.require(SCOPE)
    found = await get(conn, subject, group_id)
    if await conn.fetchval(store.ACCEPT, group_id, subject.org) is None:
        raise YaosuError("group_not_invited")
    await audit.record(conn, subject, "group.join", ("group", group_id), {})
    return found


async def leave(conn: Connection, subject: Subject, group_id: int, org: int | None = None) -> Group:
    """Leave, or decline; the lead may take another member out. From now on nothing may be transferred."""
    subject.require(SCOPE)
    found = await get(conn, subject, group_id)
    who = org if org is not None else subject.org
    if subject.org not in (who, found.lead):
        raise YaosuError("group_not_leader", {"name": found.name})
    if who == found.lead:
        raise YaosuError("group_lead_stays")
    if await conn.fetchval(store.LEAVE, group_id, who) is None:
        raise YaosuError("group_not_invited")
    await audit.record(conn, subject, "group.leave", ("group", group_id), {"org": who})
    return found


async def end(conn: Connection, subject: Subject, group_id: int) -> Group:
    """Dissolve the group; by its lead."""
    found = await _led(conn, subject, group_id)
    await conn.execute(store.END, group_id)
    await audit.record(conn, subject, "group.end", ("group", group_id), {})
    return found


async def add_drug(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    group_id: int,
    drug_id: int,
    reason: str,
    valid_from: date,
    valid_to: date | None = None,
) -> int:
    """List a drug that members may transfer, for a reason and a time; by the lead. The entry's number."""
    await _led(conn, subject, group_id)
    found = []
    if registry.product(drug_id) is None:
        found.append(Finding("group_product_unknown", {"id": drug_id}, "drug_id"))
    if registry.lists.item("transfer_reason", reason) is None:
        found.append(Finding("field_invalid", {"field": "reason", "reason": "transfer_reason"}, "reason"))
    if valid_to is not None and valid_to < valid_from:
        found.append(Finding("field_invalid", {"field": "valid_to", "reason": f"≥ {valid_from}"}, "valid_to"))
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found)
    made: int = await conn.fetchval(
        store.ADD_DRUG, group_id, drug_id, reason, valid_from, valid_to, subject.account_id
    )
    await audit.record(conn, subject, "group.add_drug", ("group", group_id), {"drug_id": drug_id})
    return made


async def end_drug(conn: Connection, subject: Subject, group_id: int, entry: int) -> None:
    """Take a drug off the list, at once; by the lead."""
    await _led(conn, subject, group_id)
    if await conn.fetchval(store.END_DRUG, group_id, entry) is None:
        raise _missing(subject)
    await audit.record(conn, subject, "group.end_drug", ("group", group_id), {"entry": entry})
