"""Verbs of real-name sales: sell to a person, look at scans before, the special register, repeated buying (R-C2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.circulation import service as circulation
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement, MovementResult
from yaosu.db.engine import Connection, Pool
from yaosu.dispensing import realname_store as store
from yaosu.dispensing.realname_store import Wanted
from yaosu.edge.pages import CHINA
from yaosu.errors import Finding, YaosuError
from yaosu.people import envelope, gate, headers
from yaosu.people import service as people
from yaosu.people.keeper import Keeper
from yaosu.people.model import Given, Purchase
from yaosu.people.rules import SaleRule, products_under, sale_rules, texts
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

EXPORT_MAX = 5_000
"""Rows of one exported or printed register."""
LOOK_BACK_DAYS = 90
"""Repeated buying is looked for in this many days."""
REPEATED_MAX = 200


async def sell(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    keeper: Keeper,
    subject: Subject,
    movement: Movement,
    person: Given | None,
    agent: Given | None = None,
) -> tuple[MovementResult, int | None]:
    """One sale or use with the person it is for, in one call: registers the person, then goes the one write path.

    The submission as received is kept encrypted. Repeating the same number and content gives the same answer.
    Returns the result and the person's number. Refused (`invalid_request`) for a document that cannot be right.
    """
    findings = headers.findings(movement.header)
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    if person is None and agent is None:
        return await circulation.submit(pool, committer, registry, subject, movement), movement.person
    header = dict(movement.header)
    who = movement.person
    async with pool.acquire() as conn, conn.transaction():
        if person is not None:
            who = await people.identify(conn, keeper, subject, person, registry.lists)
        if agent is not None:
            header["agent_person"] = await people.identify(conn, keeper, subject, agent, registry.lists)
        named = [p for p in (who, header.get("agent_person")) if isinstance(p, int)]
        body = await envelope.seal(conn, keeper, named, movement.body)
    ready = replace(movement, person=who, header=header, body=body)
    return await circulation.submit(pool, committer, registry, subject, ready), who


@dataclass(frozen=True, slots=True)
class Demand:
    """What one scanned product asks of the sale, for the page."""

    drug_id: int
    rule: SaleRule
    refusal: gate.Refusal | None
    """What is still missing, or forbids it."""


async def demands(
    conn: Connection,
    registry: Registry,
    owner: int,
    movement: Movement,
    boxes: Mapping[int, int],
) -> dict[int, Demand]:
    """For the products in hand (`boxes`: smallest packages by product): their rule and what the gate would say now.

    Changes nothing and holds nobody; the write path asks again.
    """
    card = registry.org(owner)
    if card is None or not boxes:
        return {}
    day = movement.happened_at.astimezone(CHINA).date()
    rules = {
        drug_id: rule
        for drug_id, rule in sale_rules(registry, boxes, card.region, card.type, day).items()
        if rule.governs(movement.type)
    }
    lines = [
        Purchase(
            owner,
            movement.type,
            movement.person,
            drug_id,
            0,
            boxes[drug_id],
            (),
            movement.happened_at,
            movement.header,
        )
        for drug_id in rules
    ]
    answers = await gate.examine_bill(conn, rules, lines, only_asking=True) if lines else []
    return {
        line.drug_id: Demand(line.drug_id, rules[line.drug_id], answer)
        for line, answer in zip(lines, answers, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the special register as people see it. Persons are masked unless the reader gave a reason."""

    row: Any
    name: str
    number: str
    phone: str
    kind: str
    agent_name: str
    agent_number: str

    @property
    def cursor(self) -> str:
        """Names the row for the next page."""
        return f"{self.row['bill_id']}.{self.row['drug_id']}.{self.row['batch_id']}"


async def register(
    conn: Connection,
    registry: Registry,
    keeper: Keeper,
    subject: Subject,
    wanted: Wanted,
    limit: int,
    reason: str | None = None,
) -> list[Entry]:
    """The special register (专册), newest first (`person.read`). With a reason, and `person.unmask`, persons stand in
    full and each of them in the audit record."""
    subject.require("person.read")
    rows = await store.register(conn, visible(subject), wanted, limit)
    if subject.org_id != wanted.org:
        await record_read(conn, subject, "real-name register", wanted.org)
    ids = sorted({p for r in rows for p in (r["person"], r["agent"]) if p is not None})
    faces: dict[int, tuple[str, str, str, str]] = {}
    if reason is None:
        for masked in (await people.shown(conn, keeper, subject, ids)).values():
            faces[masked.person] = (
                masked.name_masked,
                masked.number_masked,
                masked.phone_masked,
                masked.kind,
            )
    else:
        subject.require("person.unmask")
        for one in (await people.unmask_all(conn, keeper, subject, ids, reason)).values():
            faces[one.person] = (one.name, one.number, one.phone, one.kind)
    gone = ("", "", "", "")
    return [Entry(row, *faces.get(row["person"], gone), *faces.get(row["agent"], gone)[:2]) for row in rows]


async def whole_register(
    conn: Connection,
    registry: Registry,
    keeper: Keeper,
    subject: Subject,
    wanted: Wanted,
    reason: str | None,
) -> list[Entry]:
    """All rows asked for, for a file or a printout; refused (`register_too_long`) past `EXPORT_MAX`. On record."""
    subject.require("export.read")
    found = await register(conn, registry, keeper, subject, wanted, EXPORT_MAX + 1, reason)
    if len(found) > EXPORT_MAX:
        raise YaosuError("register_too_long", {"limit": EXPORT_MAX})
    details: dict[str, object] = {"rows": len(found), "masked": reason is None}
    if reason is not None:
        details["reason"] = people.checked_reason(reason)
    await audit.record(conn, subject, "real_name.export", ("register", subject.org_id or 0), details)
    return found


@dataclass(frozen=True, slots=True)
class Repeat:
    """Somebody who bought often or much, as far as the reader sees."""

    code: str
    """Entry of list `repeat_buying`."""
    person: int
    purchases: int
    """Sales in the busiest stretch."""
    packages: int
    """Smallest packages in the busiest stretch."""
    days: int
    shops: int
    total: int
    first_at: datetime
    last_at: datetime
    name: str
    number: str


async def repeat_buyers(
    conn: Connection, registry: Registry, keeper: Keeper, subject: Subject, today: date | None = None
) -> list[Repeat]:
    """Who reached a threshold of list `repeat_buying` in the last 90 days: a shop sees its own sales (headquarters its
    stores'), a regulator those of its region (`person.read`)."""
    subject.require("person.read")
    day = today or datetime.now(CHINA).date()
    since = datetime.now(UTC) - timedelta(days=LOOK_BACK_DAYS)
    found: list[Repeat] = []
    for item in registry.lists.get("repeat_buying", day, subject.region):
        drug_ids = products_under(registry, texts(item, "rules"))
        if not drug_ids:
            continue
        days, purchases, packages = (int(str(item.attrs[n])) for n in ("days", "purchases", "packages"))
        rows = await store.repeated(
            conn, visible(subject), sorted(drug_ids), since, days, purchases, packages, REPEATED_MAX
        )
        found += [
            Repeat(
                item.code,
                r["person"],
                r["purchases"],
                r["packages"],
                days,
                r["shops"],
                r["total"],
                r["first_at"],
                r["last_at"],
                "",
                "",
            )
            for r in rows
        ]
    await record_read(conn, subject, "repeated buying", subject.org_id if subject.org_type != "110" else None)
    shown = await people.shown(conn, keeper, subject, [r.person for r in found])
    return [
        replace(one, name=shown[one.person].name_masked, number=shown[one.person].number_masked)
        if one.person in shown
        else one
        for one in found
    ]


def cursor(text: str | None) -> tuple[int, int, int] | None:
    """The place a page goes on from; refused (`invalid_request`) when it is none of ours."""
    if not text:
        return None
    parts = text.split(".")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
        reason = {"field": "after", "reason": "…"}
        raise YaosuError("invalid_request", {"count": 1}, [Finding("field_invalid", reason, "after")])
    return int(parts[0]), min(int(parts[1]), 2**31 - 1), min(int(parts[2]), 2**31 - 1)


def drugs_named(registry: Registry, text: str) -> Sequence[int] | None:
    """Listed products whose name, identifier or approval number holds `text`; None for no text."""
    wanted = text.strip().lower()
    if not wanted:
        return None
    return [
        p.id
        for p in registry.products().values()
        if p.flags
        and (
            wanted in p.generic_name.lower()
            or wanted in p.trade_name.lower()
            or wanted == p.approval_no.lower()
            or any(wanted == lv.identifier for lv in p.levels)
        )
    ]
