"""Verbs of data grants: invite or offer, accept, decline, change, withdraw; and who read what (R-B10).

A grant is two firms' agreement: one side proposes, it holds from the other's acceptance, the grantor ends it at any
moment and the very next read is refused, because the gate (`access.visibility`) looks at the row itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.visibility import FIELDS
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.grants import store
from yaosu.grants.model import Grant, Read, Terms
from yaosu.notify.service import tell
from yaosu.registry.acting import acted_for, acts_for
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "grant.manage"
READ_SCOPE = "bill.read"
DRUGS_MAX = 500
NOTE_MAX = 500


def us(registry: Registry, subject: Subject) -> list[int]:
    """The organisations in whose name the subject may deal with grants: its own, and those it acts for."""
    return [subject.org, *(card.id for card in acted_for(registry, subject.org))]


def _grant(row: Record) -> Grant:
    return Grant(
        row["id"], row["grantor_org"], row["grantee_org"],
        tuple(row["drug_ids"]) if row["drug_ids"] is not None else None,
        tuple(f for f in FIELDS if f in row["fields"]), row["offered_by"], row["granted_at"], row["accepted_at"],
        row["until"], row["withdrawn_at"], row["declined_at"], row["note"], row["replaces"],
    )  # fmt: skip


async def listed(
    conn: Connection, registry: Registry, subject: Subject, before: int | None = None, limit: int = 100
) -> list[Grant]:
    """Grants given and held, proposals included, newest first."""
    subject.require(READ_SCOPE)
    return [_grant(r) for r in await conn.fetch(store.LIST, us(registry, subject), before, limit)]


async def to_answer(conn: Connection, registry: Registry, subject: Subject) -> int:
    """Offers of others that wait for our answer."""
    subject.require(SCOPE)
    found: int = await conn.fetchval(store.TO_ANSWER, us(registry, subject))
    return found


async def get(conn: Connection, registry: Registry, subject: Subject, grant_id: int) -> Grant:
    """One of them; `not_found` for others'."""
    subject.require(READ_SCOPE)
    row = await conn.fetchrow(store.ONE, grant_id, us(registry, subject))
    if row is None:
        raise YaosuError("not_found", {"what": "数据授权" if subject.lang == "zh" else "Data grant"})
    return _grant(row)


def _checked(registry: Registry, grantor: int, grantee: int, terms: Terms) -> Terms:
    """The terms with the base field; refused with everything that is wrong with them."""
    found: list[Finding] = []
    for field, org_id in (("grantor", grantor), ("grantee", grantee)):
        card = registry.org(org_id)
        if card is None or not card.active or card.place:
            found.append(Finding("grant_party_unknown", {"field": field, "id": org_id}, field))
    if grantor == grantee:
        found.append(Finding("grant_to_oneself", {}, "grantee"))
    odd = sorted(terms.fields - set(FIELDS))
    if odd:
        found.append(Finding("grant_field_unknown", {"field": "、".join(odd)[:200]}, "fields"))
    if terms.until is not None and terms.until <= datetime.now(UTC):
        found.append(Finding("grant_until_past", {}, "until"))
    if terms.drug_ids is not None and not terms.drug_ids:
        found.append(Finding("grant_no_products", {}, "drug_ids"))
    for drug_id in terms.drug_ids or ():
        product = registry.product(drug_id)
        if product is None or not product.owned_by(grantee):
            found.append(Finding("grant_product_not_theirs", {"id": drug_id}, "drug_ids"))
    if terms.drug_ids is None and not found and not _has_products(registry, grantee):
        found.append(Finding("grant_no_products", {}, "grantee"))
    if found:
        raise YaosuError("invalid_request", {"count": len(found)}, found[:50])
    drugs = tuple(sorted(set(terms.drug_ids))) if terms.drug_ids is not None else None
    return Terms(drugs, terms.fields | {"flow"}, terms.until, terms.note[:NOTE_MAX])


def _has_products(registry: Registry, org_id: int) -> bool:
    return any(product.owned_by(org_id) for product in registry.products().values())


async def offer(
    conn: Connection, registry: Registry, subject: Subject, grantor: int, grantee: int, terms: Terms
) -> int:
    """Propose a grant: the MAH invites a distributor, or the distributor offers it; the other side is told.

    The subject acts for exactly one of the two. Refused: `grant_not_yours`, `grant_waits` when such a proposal already
    waits for an answer, `invalid_request` with everything that is wrong.
    """
    subject.require(SCOPE)
    mine, other = _sides(registry, subject, grantor, grantee)
    terms = _checked(registry, grantor, grantee, terms)
    if await conn.fetchval(store.WAITING, grantor, grantee, mine) is not None:
        raise YaosuError("grant_waits")
    return await _put(conn, registry, subject, (grantor, grantee), (mine, other), terms, None, accepted=False)


def _sides(registry: Registry, subject: Subject, grantor: int, grantee: int) -> tuple[int, int]:
    """The side the subject acts for, and the other."""
    for mine, other in ((grantor, grantee), (grantee, grantor)):
        if acts_for(registry, subject.org, mine):
            return mine, other
    raise YaosuError("grant_not_yours")


async def _put(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    parties: tuple[int, int],
    sides: tuple[int, int],
    terms: Terms,
    replaces: int | None,
    *,
    accepted: bool,
) -> int:
    drugs = list(terms.drug_ids) if terms.drug_ids is not None else None
    values = (drugs, sorted(terms.fields), terms.until, terms.note, sides[0], replaces, accepted)
    made: int = await conn.fetchval(store.OFFER, *parties, *values)
    details = {
        "grantor": parties[0],
        "grantee": parties[1],
        "drug_ids": drugs,
        "fields": sorted(terms.fields),
    }
    await audit.record(conn, subject, "grant.offer", ("grant", made), details, org_id=sides[0])
    if not accepted:
        await _tell(conn, registry, made, "notice_grant_offered", sides, what_texts(registry, terms))
    return made


def what_texts(registry: Registry, terms: Terms) -> dict[str, str]:
    """The products of a grant in a few words, in both languages."""
    if terms.drug_ids is None:
        return {"what_zh": "全部产品", "what_en": "all products"}
    names = [p.generic_name for p in map(registry.product, terms.drug_ids) if p is not None]
    shown, more = "、".join(names[:3]), len(names) > 3
    return {
        "what_zh": shown + (f" 等{len(names)}个品种" if more else ""),
        "what_en": shown + (f" and {len(names) - 3} more" if more else ""),
    }


async def _tell(
    conn: Connection,
    registry: Registry,
    grant_id: int,
    kind: str,
    sides: tuple[int, int],
    more: Mapping[str, str] | None = None,
) -> None:
    by, to = sides
    card = registry.org(by)
    name = card.name if card is not None else f"#{by}"
    await tell(conn, to, kind, {"name": name, **(more or {})}, f"/grants/{grant_id}", str(grant_id))


async def accept(conn: Connection, registry: Registry, subject: Subject, grant_id: int) -> Grant:
    """Accept a proposal; it is in force at once, and what it replaces ends with whatever else was proposed for it."""
    found, mine, other = await _answering(conn, registry, subject, grant_id)
    await conn.execute(store.ACCEPT, grant_id)
    if found.replaces is not None:
        await conn.execute(store.WITHDRAW, found.replaces)
        await conn.execute(store.LAPSE, found.replaces, None, grant_id)
    await audit.record(conn, subject, "grant.accept", ("grant", grant_id), {}, org_id=mine)
    await _tell(conn, registry, grant_id, "notice_grant_accepted", (mine, other))
    return await get(conn, registry, subject, grant_id)


async def decline(conn: Connection, registry: Registry, subject: Subject, grant_id: int) -> None:
    """Say no to a proposal; an earlier grant between the two stays as it was."""
    _, mine, other = await _answering(conn, registry, subject, grant_id)
    await conn.execute(store.DECLINE, grant_id)
    await audit.record(conn, subject, "grant.decline", ("grant", grant_id), {}, org_id=mine)
    await _tell(conn, registry, grant_id, "notice_grant_declined", (mine, other))


async def _answering(
    conn: Connection, registry: Registry, subject: Subject, grant_id: int
) -> tuple[Grant, int, int]:
    subject.require(SCOPE)
    await get(conn, registry, subject, grant_id)
    replaced = await conn.fetchrow(store.REPLACED, grant_id)
    await conn.fetchrow(store.LOCK, grant_id)
    found = await get(conn, registry, subject, grant_id)
    if replaced is not None and replaced["withdrawn_at"] is not None:
        raise YaosuError("grant_not_waiting")
    if found.waits_for is None or not acts_for(registry, subject.org, found.waits_for):
        raise YaosuError("grant_not_waiting")
    other = found.grantor if found.waits_for == found.grantee else found.grantee
    return found, found.waits_for, other


async def change(
    conn: Connection, registry: Registry, subject: Subject, grant_id: int, terms: Terms
) -> tuple[int, bool]:
    """Other terms for a grant in force; the new grant's number and whether it holds already.

    The grantor narrows at once. Everything wider, and whatever the grantee wishes, is a proposal to the other side; the
    old terms hold until it is accepted, or the same side proposes again.
    """
    subject.require(SCOPE)
    await conn.fetchrow(store.LOCK, grant_id)
    old = await get(conn, registry, subject, grant_id)
    if old.state != "in_force":
        raise YaosuError("grant_not_in_force")
    sides = _sides(registry, subject, old.grantor, old.grantee)
    terms = _checked(registry, old.grantor, old.grantee, terms)
    at_once = sides[0] == old.grantor and terms.within(old)
    parties = (old.grantor, old.grantee)
    await conn.execute(store.LAPSE, old.id, None if at_once else sides[0], None)
    made = await _put(conn, registry, subject, parties, sides, terms, old.id, accepted=at_once)
    if at_once:
        await conn.execute(store.WITHDRAW, old.id)
        await _tell(conn, registry, made, "notice_grant_narrowed", sides, what_texts(registry, terms))
    return made, at_once


async def withdraw(conn: Connection, registry: Registry, subject: Subject, grant_id: int) -> None:
    """End a grant, or take back a proposal; from the next read on nothing is seen through it.

    The grantor at any time; the grantee may give it up too. Other terms that were proposed for it can be accepted no
    more.
    """
    subject.require(SCOPE)
    await conn.fetchrow(store.LOCK, grant_id)
    found = await get(conn, registry, subject, grant_id)
    if found.state not in ("in_force", "offered"):
        raise YaosuError("grant_not_in_force")
    mine, other = _sides(registry, subject, found.grantor, found.grantee)
    if found.state == "offered" and found.waits_for == mine:
        raise YaosuError("grant_not_in_force")
    await conn.execute(store.WITHDRAW, grant_id)
    await conn.execute(store.LAPSE, grant_id, None, None)
    await audit.record(conn, subject, "grant.withdraw", ("grant", grant_id), {}, org_id=mine)
    await _tell(conn, registry, grant_id, "notice_grant_withdrawn", (mine, other))


async def reads(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    *,
    before: int | None = None,
    reader: int | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> Sequence[Read]:
    """Who read the own organisation's records, when and what, newest first (R-B10)."""
    subject.require(READ_SCOPE)
    rows = await conn.fetch(store.READS, us(registry, subject), before, reader, since, limit)
    return [Read(*row.values()) for row in rows]
