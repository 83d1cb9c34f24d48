"""Who may submit bills for whom beyond what it is (`registry.acting`): 委托储运 and other cases (R-B7, R-B8).

A delegation is an agreement of two: one side proposes, it holds from the other's acceptance until its last day or until
either ends it. It says what the agent may submit (kinds of bills, single types), of which products, from which
warehouses, and whether the agent may read the principal's records beyond the bills it submitted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.circulation import store_delegation as store
from yaosu.circulation.cache import CHINA
from yaosu.circulation.model import Movement
from yaosu.circulation.views import org_view, product_name
from yaosu.codes import NotACode, Scheme, parse
from yaosu.db.engine import Connection, Reads
from yaosu.errors import Finding, YaosuError
from yaosu.notify.service import tell
from yaosu.people import free_text
from yaosu.registry.acting import acted_for, acts_for
from yaosu.registry.lists import CodeLists
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

SCOPE = "grant.manage"
LIST = "delegation_kind"
LISTED_MAX = 10_000
DRUGS_MAX = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """What an agent may do. None means: everything of that sort."""

    kinds: tuple[str, ...] | None = None
    """List `delegation_kind`: in, out, return, use, stock."""
    bill_types: tuple[int, ...] | None = None
    """Single bill types besides the kinds."""
    drug_ids: tuple[int, ...] | None = None
    places: tuple[int, ...] | None = None
    """Warehouses of the principal (child organisations); None: all of them and the principal's own stock."""
    may_read: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


def us(registry: Registry, subject: Subject) -> list[int]:
    """In whose name the subject may agree to delegations."""
    return [subject.org, *(card.id for card in acted_for(registry, subject.org))]


async def to_answer(conn: Connection, registry: Registry, subject: Subject) -> int:
    """Offers of others that wait for our answer."""
    subject.require(SCOPE)
    found: int = await conn.fetchval(store.TO_ANSWER, us(registry, subject))
    return found


def state(row: Record) -> str:
    """offered, declined, withdrawn, ended, not_begun (agreed, its first day is to come) or in_force."""
    if row["declined_at"] is not None:
        return "declined"
    if row["revoked_at"] is not None:
        return "withdrawn"
    if row["valid_until"] is not None and row["valid_until"] <= datetime.now(UTC):
        return "ended"
    if row["accepted_at"] is None:
        return "offered"
    return "not_begun" if row["valid_from"] > datetime.now(UTC) else "in_force"


def _view(registry: Registry, row: Record, mine: Collection[int]) -> dict[str, Any]:
    stands = state(row)
    waits = None
    if stands == "offered":
        waits = row["agent"] if row["offered_by"] == row["principal"] else row["principal"]
    return {
        "id": row["id"],
        "principal": org_view(registry, row["principal"]),
        "agent": org_view(registry, row["agent"]),
        "valid_from": row["valid_from"],
        "valid_until": row["valid_until"],
        "revoked_at": row["revoked_at"],
        "accepted_at": row["accepted_at"],
        "state": stands,
        "waits_for": waits,
        "waits_for_us": waits in mine,
        "kinds": row["kinds"],
        "bill_types": row["bill_types"],
        "products": None
        if row["drug_ids"] is None
        else [{"id": d, "name": product_name(registry, d)} for d in row["drug_ids"]],
        "places": None if row["places"] is None else [org_view(registry, p) for p in row["places"]],
        "may_read": row["may_read"],
        "note": row["note"],
    }


async def listed(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    before: int | None = None,
    limit: int = LISTED_MAX,
    *,
    live: bool = False,
) -> list[dict[str, Any]]:
    """Delegations the organisation gave or holds, newest first; `live`: only those in force."""
    mine = us(registry, subject)
    return [_view(registry, row, mine) for row in await conn.fetch(store.LIST, mine, before, limit, live)]


async def one(conn: Connection, registry: Registry, subject: Subject, number: int) -> dict[str, Any]:
    """One of them; refused (`not_found`) for others'."""
    found = await listed(conn, registry, subject, min(number, 2**31 - 2) + 1, 1)
    if not found or found[0]["id"] != number:
        raise YaosuError("not_found", {"what": "委托" if subject.lang == "zh" else "Delegation"})
    return found[0]


def _checked(registry: Registry, principal: int, agent: int, scope: Scope) -> None:
    found: list[Finding] = []
    for field, org_id in (("principal", principal), ("agent", agent)):
        card = registry.org(org_id)
        if card is None or not card.active or card.place:
            found.append(Finding("party_unknown", {"field": field, "id": org_id}, field))
    if principal == agent:
        found.append(Finding("delegation_to_oneself", {}, "agent"))
    kinds = {item.code for item in registry.lists.get(LIST)}
    for kind in scope.kinds or ():
        if kind not in kinds:
            found.append(Finding("delegation_kind_unknown", {"kind": kind}, "kinds"))
    for code in scope.bill_types or ():
        if code not in submittable():
            found.append(Finding("bill_type_unknown", {"type": code}, "bill_types"))
    if scope.kinds is not None and not scope.kinds and not scope.bill_types:
        found.append(Finding("delegation_empty", {}, "kinds"))
    for drug_id in scope.drug_ids or ():
        if registry.product(drug_id) is None:
            found.append(Finding("delegation_product_unknown", {"id": drug_id}, "drug_ids"))
    for place in scope.places or ():
        card = registry.org(place)
        if card is None or not card.place or card.parent_id != principal:
            found.append(Finding("delegation_place_unknown", {"id": place}, "places"))
    if (scope.drug_ids is not None and not scope.drug_ids) or (scope.places is not None and not scope.places):
        found.append(Finding("delegation_empty", {}, "drug_ids"))
    begin = scope.valid_from or datetime.now(UTC)
    if scope.valid_until is not None and scope.valid_until <= begin:
        reason = f"> {begin.astimezone(CHINA):%Y-%m-%d %H:%M}"
        found.append(Finding("field_invalid", {"field": "valid_until", "reason": reason}, "valid_until"))
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found[:50])


async def offer(
    conn: Connection, registry: Registry, subject: Subject, principal: int, agent: int, scope: Scope
) -> int:
    """Propose a delegation, as its principal or as its agent; the other side is told. Its number."""
    subject.require(SCOPE)
    free_text.refuse(note=scope.note)
    sides = [(principal, agent), (agent, principal)]
    ours = [side for side in sides if acts_for(registry, subject.org, side[0])]
    if not ours:
        raise YaosuError("delegation_not_yours")
    mine, other = ours[0]
    _checked(registry, principal, agent, scope)

    def plain(values: Sequence[Any] | None) -> list[Any] | None:
        return sorted(set(values)) if values is not None else None

    made: int = await conn.fetchval(
        store.OFFER, principal, agent, scope.valid_from, scope.valid_until, plain(scope.kinds),
        plain(scope.bill_types), plain(scope.drug_ids), plain(scope.places), scope.may_read, scope.note[:500], mine,
        subject.account_id,
    )  # fmt: skip
    details = {
        "principal": principal,
        "agent": agent,
        "kinds": plain(scope.kinds),
        "drug_ids": plain(scope.drug_ids),
    }
    await audit.record(conn, subject, "delegation.give", ("delegation", made), details)
    await _tell(conn, registry, made, "notice_delegation_offered", mine, other)
    return made


async def give(
    conn: Connection, registry: Registry, subject: Subject, agent: int, valid_until: datetime | None
) -> int:
    """Propose to let `agent` submit everything in the subject's organisation's name; the delegation's number."""
    return await offer(conn, registry, subject, subject.org, agent, Scope(valid_until=valid_until))


async def _tell(conn: Connection, registry: Registry, number: int, kind: str, by: int, to: int) -> None:
    card = registry.org(by)
    name = card.name if card is not None else f"#{by}"
    await tell(conn, to, kind, {"name": name}, "/delegations", str(number))


async def _one(
    conn: Connection, registry: Registry, subject: Subject, number: int
) -> tuple[Record, list[int]]:
    """One delegation of the subject's, under lock; `not_found` for others'."""
    subject.require(SCOPE)
    mine = us(registry, subject)
    row = await conn.fetchrow(store.ONE, number, mine)
    if row is None:
        raise YaosuError("not_found", {"what": "委托授权" if subject.lang == "zh" else "Delegation"})
    return row, mine


async def answer(
    conn: Connection, registry: Registry, subject: Subject, delegation_id: int, *, accept: bool
) -> None:
    """Accept a proposal (it holds at once, or from its first day on) or decline it; by the side it waits for."""
    row, mine = await _one(conn, registry, subject, delegation_id)
    view = _view(registry, row, mine)
    if not view["waits_for_us"]:
        raise YaosuError("delegation_not_waiting")
    if accept:
        await conn.execute(store.ACCEPT, delegation_id, subject.account_id)
    else:
        await conn.execute(store.DECLINE, delegation_id)
    act = "accept" if accept else "decline"
    await audit.record(conn, subject, f"delegation.{act}", ("delegation", delegation_id), {})
    answering = view["waits_for"]
    other = row["principal"] if answering == row["agent"] else row["agent"]
    kind = "notice_delegation_accepted" if accept else "notice_delegation_declined"
    await _tell(conn, registry, delegation_id, kind, answering, other)


async def withdraw(conn: Connection, registry: Registry, subject: Subject, delegation_id: int) -> None:
    """End a delegation at once, or take a proposal back; by either side."""
    row, mine = await _one(conn, registry, subject, delegation_id)
    if state(row) not in ("in_force", "not_begun", "offered"):
        raise YaosuError("not_found", {"what": "委托授权" if subject.lang == "zh" else "Delegation"})
    await conn.execute(store.REVOKE, delegation_id)
    await audit.record(conn, subject, "delegation.withdraw", ("delegation", delegation_id), {})
    by = row["principal"] if row["principal"] in mine else row["agent"]
    other = row["agent"] if by == row["principal"] else row["principal"]
    await _tell(conn, registry, delegation_id, "notice_delegation_withdrawn", by, other)


def _types(lists: CodeLists, kinds: Sequence[str]) -> set[int]:
    """Bill types of these kinds."""
    found: set[int] = set()
    for kind in kinds:
        item = lists.item(LIST, kind)
        listed_ = item.attrs.get("types") if item is not None else None
        found |= set(listed_) if isinstance(listed_, list) else set()
    return found


def _covers_type(lists: CodeLists, row: Record, bill_type: int) -> bool:
    if row["kinds"] is None and row["bill_types"] is None:
        return True
    return bill_type in (row["bill_types"] or ()) or bill_type in _types(lists, row["kinds"] or ())


def _home(registry: Registry, owner: int) -> int:
    """The organisation a warehouse belongs to; others are their own."""
    card = registry.org(owner)
    return card.parent_id if card is not None and card.place and card.parent_id else owner


async def _in_force(conn: Reads, registry: Registry, owner: int, agent: int) -> list[Record]:
    """Delegations that cover this owner (the principal, or one of its warehouses) now."""
    rows = await conn.fetch(store.IN_FORCE, _home(registry, owner), agent)
    return [row for row in rows if row["places"] is None or owner in row["places"]]


async def allowed(
    conn: Reads, registry: Registry, principal: int, agent: int, bill_type: int, drug_ids: Collection[int]
) -> bool:
    """Whether `agent` may submit a bill of that type and those products in `principal`'s name at this moment (R-B8).

    `principal` may be a warehouse of the principal's. One statement.
    """
    for row in await _in_force(conn, registry, principal, agent):
        products = row["drug_ids"] is None or set(drug_ids) <= set(row["drug_ids"])
        if products and _covers_type(registry.lists, row, bill_type):
            return True
    return False


async def refusal(conn: Reads, registry: Registry, agent: int | None, movement: Movement) -> Finding | None:
    """Why an agent may not submit this movement for its owner; None when it may. One statement in most cases."""
    owner = registry.org(movement.owner)
    name = owner.name if owner is not None else f"#{movement.owner}"
    rows = await _in_force(conn, registry, movement.owner, agent) if agent is not None else []
    if not rows:
        return Finding("not_your_bill", {"name": name}, "owner")
    rows = [row for row in rows if _covers_type(registry.lists, row, movement.type)]
    if not rows:
        kind = submittable()[movement.type]
        return Finding("delegation_not_of_type", {"name": name, "type": kind.code, "label": kind.zh}, "type")
    if any(row["drug_ids"] is None for row in rows):
        return None
    drugs = await _products(conn, registry, movement)
    if any(drugs <= set(row["drug_ids"]) for row in rows):
        return None
    covered = {d for row in rows for d in row["drug_ids"]}
    odd = sorted(drugs - covered) or sorted(drugs)
    product = product_name(registry, odd[0]) or f"#{odd[0]}"
    return Finding("delegation_not_of_product", {"name": name, "product": product}, "codes")


async def _products(conn: Reads, registry: Registry, movement: Movement) -> set[int]:
    """Products that a movement touches, as far as codes tell; of a void those of the bill it takes back."""
    found = {q.drug_id for q in movement.quantities}
    containers = []
    for raw in movement.codes:
        code = parse(raw, registry.customs)
        if isinstance(code, NotACode):
            continue
        if code.scheme is Scheme.SSCC:
            containers.append(code.text)
            continue
        drug_id = registry.resolve(code).drug_id
        if drug_id is not None:
            found.add(drug_id)
    if containers:
        for row in await conn.fetch(store.DRUGS_OF_CONTAINERS, containers):
            found |= set(row["drug_ids"])
    if movement.void or movement.revision > 1:
        found |= set(await conn.fetchval(store.DRUGS_OF_BILL, movement.owner, movement.bill_no) or ())
    return found
