"""Verbs of the people room: identify, show masked, unmask with a reason, new key, erase (R-C2, R-C4, design §6)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg
import orjson

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA
from yaosu.errors import Finding, YaosuError
from yaosu.people import documents, rules, store
from yaosu.people.keeper import SALT, Keeper
from yaosu.people.model import Given, Open, Shown
from yaosu.registry import lists
from yaosu.registry.lists import CodeLists
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

__all__ = ["Given", "find", "identify", "shown", "unmask", "unmask_all"]

REASON_MIN, REASON_MAX = 4, 200
ADULT = 18
"""Years of full age (民法典 art. 17)."""
UNUSED_DAYS = 1
"""A registered person of whom no sale came is forgotten after this time."""
ERASE_AT_ONCE = 500
REKEY_AT_ONCE = 500


def checked(given: Given, code_lists: CodeLists | None = None, today: date | None = None) -> Given:
    """`given` in normal form; refused with a finding per field, none of which repeats what was typed."""
    day = today or datetime.now(CHINA).date()
    number, wrong_number = documents.check_number(
        code_lists or lists.delivered(), given.kind, given.number, day
    )
    name, wrong_name = documents.check_name(given.name)
    phone, wrong_phone = documents.check_phone(given.phone)
    findings = [f for f in (wrong_number, wrong_name, wrong_phone) if f is not None]
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    return Given(given.kind, number, name, phone)


async def identify(
    conn: Connection,
    keeper: Keeper,
    subject: Subject,
    given: Given,
    code_lists: CodeLists | None = None,
) -> int:
    """The id of the person whom this document names, made at the first time; encrypted and matched by keyed hash.

    Name and telephone are kept for the subject's organisation only; whom it registered before needs no name again.
    Refused (`invalid_request`) for a document whose number cannot be right. Requires `bill.write`.
    """
    subject.require("bill.write")
    org = subject.org
    if not given.name.strip():
        known = await _told_before(conn, keeper, subject, given, code_lists)
        given = known if known is not None else given
    one = checked(given, code_lists)
    key_id: int = await conn.fetchval(store.KEY_ID)
    hashed = keeper.match(documents.identity(one.kind, one.number, code_lists or lists.delivered()))
    years = documents.age(one.number, datetime.now(CHINA).date())
    adult = None if years is None else years >= ADULT
    person: int | None = await conn.fetchval(store.TOUCH_PERSON, hashed, adult)
    if person is None:
        cipher = keeper.close(key_id, one.number.encode(), hashed)
        person = await conn.fetchval(
            store.NEW_PERSON, int(one.kind), key_id, hashed, cipher, os.urandom(SALT), adult
        )
    assert person is not None
    told = orjson.dumps({"name": one.name, "phone": one.phone})
    await conn.execute(store.PUT_GIVEN, person, org, key_id, keeper.close(key_id, told, _bound(person, org)))
    return person


async def _told_before(
    conn: Connection, keeper: Keeper, subject: Subject, given: Given, code_lists: CodeLists | None
) -> Given | None:
    """The same document with the name that this organisation entered the last time."""
    person = await find(conn, keeper, given.kind, given.number, code_lists)
    if person is None:
        return None
    row = await conn.fetchrow(store.GIVEN, person, subject.org)
    if row is None:
        return None
    told = orjson.loads(keeper.open(row["key_id"], row["cipher"], _bound(person, subject.org)))
    return Given(given.kind, given.number, told["name"], given.phone or told["phone"])


def _bound(person: int, org: int) -> bytes:
    return f"given {person} {org}".encode()


async def keep(conn: Connection, persons: Iterable[int | None]) -> None:
    """Keep persons whom a paper of its own names (a prescription), though no sale has come of it yet."""
    await conn.execute(store.KEEP, sorted({p for p in persons if p is not None}))


async def find(
    conn: Connection, keeper: Keeper, kind: str, number: str, code_lists: CodeLists | None = None
) -> int | None:
    """The person with that document, if one is known. What the caller may see of him is decided elsewhere."""
    today = datetime.now(CHINA).date()
    known = code_lists or lists.delivered()
    text, wrong = documents.check_number(known, kind, number, today)
    if wrong is not None:
        raise YaosuError("invalid_request", {"count": 1}, [wrong])
    found: int | None = await conn.fetchval(
        store.PERSON_BY_HASH, keeper.match(documents.identity(kind, text, known))
    )
    return found


async def shown(
    conn: Connection, keeper: Keeper, subject: Subject, person_ids: Iterable[int]
) -> dict[int, Shown]:
    """Persons masked, as far as an organisation in the subject's sight registered them; others are left out."""
    wanted = sorted({p for p in person_ids if p})
    if not wanted:
        return {}
    found = {}
    for row in await store.seen(conn, visible(subject), subject.org_id, wanted):
        one = _open(keeper, row)
        found[one.person] = Shown(
            one.person,
            one.kind,
            documents.mask_name(one.name),
            documents.mask_number(one.number),
            documents.mask_number(one.phone),
        )
    return found


def _open(keeper: Keeper, row: asyncpg.Record) -> Open:
    number = keeper.open(row["key_id"], row["cipher"], row["hash"]).decode()
    told = orjson.loads(keeper.open(row["given_key"], row["given"], _bound(row["id"], row["org"])))
    return Open(row["id"], str(row["kind"]), number, told["name"], told["phone"])


def checked_reason(reason: str) -> str:
    """The reason for seeing somebody in full; refused when empty or itself holding a number."""
    text = " ".join(reason.split())
    if not REASON_MIN <= len(text) <= REASON_MAX or not text.isprintable():
        raise YaosuError("invalid_request", {"count": 1}, [Finding("reason_needed", {}, "reason")])
    if documents.holds_number(text):
        raise YaosuError("invalid_request", {"count": 1}, [Finding("reason_has_number", {}, "reason")])
    return text


async def unmask(conn: Connection, keeper: Keeper, subject: Subject, person_id: int, reason: str) -> Open:
    """A person in full. Needs `person.unmask` and a reason, which the audit record keeps; a read of what another
    organisation registered is also written down for that one. Refused (`not_found`) for persons out of sight."""
    found = await unmask_all(conn, keeper, subject, [person_id], reason)
    if person_id not in found:
        raise YaosuError("not_found", {"what": "人员" if subject.lang == "zh" else "Person"})
    return found[person_id]


async def unmask_all(
    conn: Connection, keeper: Keeper, subject: Subject, person_ids: Sequence[int], reason: str
) -> dict[int, Open]:
    """The same for several persons at once, e.g. a register for an inspector; one audit entry for each."""
    subject.require("person.unmask")
    text = checked_reason(reason)
    found = {}
    for row in await store.seen(conn, visible(subject), subject.org_id, sorted(set(person_ids))):
        found[row["id"]] = _open(keeper, row)
        await audit.record(conn, subject, "person.unmask", ("person", row["id"]), {"reason": text})
        await record_read(conn, subject, f"person {row['id']} unmasked", row["org"])
    return found


async def for_delivery(
    conn: Connection, keeper: Keeper, org: int, person_id: int, channel: str, details: Mapping[str, object]
) -> Open | None:
    """A person in full for one request to an authority that is owed this sale (医保, real-name upload), as `org` or the
    organisation it belongs to registered it; None after erasure. Written down as `person.sent`; kept nowhere else."""
    rows = await conn.fetch(store.FOR_DELIVERY, person_id, org)
    if not rows:
        return None
    subject = Subject("system", name=channel)
    await audit.record(
        conn, subject, "person.sent", ("person", person_id), {"channel": channel, **details}, org_id=org
    )
    return _open(keeper, rows[0])


async def new_key(conn: Connection, subject: Subject) -> int:
    """Begin a new generation of the encryption key; what is written from now on uses it. Its number."""
    subject.require("registry.admin")
    key_id: int = await conn.fetchval(store.NEW_KEY)
    await audit.record(conn, subject, "person.new_key", ("cipher_generation", key_id))
    return key_id


async def rekey(conn: Connection, keeper: Keeper, subject: Subject) -> int:
    """Write up to a few hundred old ciphers anew under the newest generation; how many there were. Repeat until 0."""
    subject.require("registry.admin")
    newest: int = await conn.fetchval(store.KEY_ID)
    persons = await conn.fetch(store.OLD_PERSONS, newest, REKEY_AT_ONCE)
    for row in persons:
        number = keeper.open(row["key_id"], row["cipher"], row["hash"])
        await conn.execute(
            store.PUT_PERSON_CIPHER, row["id"], newest, keeper.close(newest, number, row["hash"])
        )
    entries = await conn.fetch(store.OLD_GIVEN, newest, REKEY_AT_ONCE)
    for row in entries:
        bound = _bound(row["person"], row["org"])
        told = keeper.open(row["key_id"], row["cipher"], bound)
        await conn.execute(
            store.PUT_GIVEN_CIPHER, row["person"], row["org"], newest, keeper.close(newest, told, bound)
        )
    return len(persons) + len(entries)


async def erase_unused(conn: Connection, now: datetime) -> int:
    """Forget persons who were registered and of whom no sale came: it was refused or given up. How many."""
    rows = await conn.fetch(store.NEVER_USED, now - timedelta(days=UNUSED_DAYS), ERASE_AT_ONCE)
    return await _erase(conn, [r["id"] for r in rows])


async def erase_due(conn: Connection, registry: Registry, now: datetime) -> int:
    """Destroy cipher, match and salt of every person whose retention has ended (list `retention`). Purchases keep
    their quantities. How many persons were erased."""
    ended = _years_later(now.date(), -rules.shortest_years(registry))
    before = datetime(ended.year, ended.month, ended.day, tzinfo=UTC)
    after, erased = 0, 0
    while True:
        rows = await conn.fetch(store.DUE, before, after, ERASE_AT_ONCE)
        if not rows:
            return erased
        after = rows[-1]["id"]
        kept = {r["id"] for r in rows if _kept(registry, r, now.date())}
        erased += await _erase(conn, sorted({r["id"] for r in rows} - kept))


def _kept(registry: Registry, row: asyncpg.Record, today: date) -> bool:
    """Whether this purchase still needs its person."""
    if row["drug_id"] is None:
        # named by a paper of another room, e.g. a prescription nobody came for
        years = rules.kept_years(registry, None)[1]
        return _years_later(row["last_at"].date(), years) >= today
    after_expiry, after_sale = rules.kept_years(registry, registry.product(row["drug_id"]))
    until = _years_later(row["happened_at"].date(), after_sale)
    if row["expires_on"] is not None:
        until = max(until, _years_later(row["expires_on"], after_expiry))
    return until >= today


async def _erase(conn: Connection, persons: Sequence[int]) -> int:
    if persons:
        await conn.execute(store.ERASE, persons)
        await conn.execute(store.ERASE_GIVEN, persons)
    return len(persons)


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=min(9999, max(1, day.year + years)))
    except ValueError:  # 29 February
        return day.replace(year=min(9999, max(1, day.year + years)), day=28)
