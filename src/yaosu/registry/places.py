"""Places inside an organisation: a hospital's storehouse, pharmacies and wards, a warehouse of a wholesaler or carrier.

A place is a child organisation: stock, movements between places (203, 104), and who may look or submit work as
they do everywhere. Its organisation makes, renames and closes it; towards everybody else it does not exist.
Requirements: R-C4 (药库 → 药房 → 病区), R-B8 (stock per warehouse).
"""

from __future__ import annotations

from dataclasses import dataclass

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import checks, store_org
from yaosu.registry import store_places as store
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item, Org, OrgCard
from yaosu.registry.names import normalise
from yaosu.registry.service_lists import current
from yaosu.registry.service_orgs import place_name
from yaosu.subject import Subject

NUMBER_KIND = 8
"""List `id_kind_org`: 单位内部场所编号."""
NAME_MAX = 50
PLACES_MAX = 999
"""Places of one organisation, closed ones counted: their numbers have three digits."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place with what stands in it."""

    card: OrgCard
    number: str
    """The organisation's own number, a dash, and a running number of three digits."""
    address: str
    version: int
    holding: store.Holding

    @property
    def id(self) -> int:
        """The place's number as an organisation."""
        return self.card.id

    @property
    def name(self) -> str:
        """What its own people call it."""
        return self.card.short_name


def place_types(code_lists: CodeLists, org_type: int) -> list[Item]:
    """The kinds of places an organisation of this type can have (list `org_sub_type`, `place`)."""
    return [
        item
        for item in code_lists.get("org_sub_type")
        if item.attrs.get("place") and str(item.attrs.get("type")) == str(org_type)
    ]


async def places(conn: Connection, subject: Subject) -> list[Place]:
    """The places of the subject's organisation, those in use first; for people of a place, the places around them.

    Stock is shown as far as the subject sees it: its organisation's people see all, those of a place their own.
    """
    subject.require("org.read")
    around = await conn.fetchval(store_org.FAMILY, subject.org)
    found = await store_org.many(conn, store_org.PLACES, around)
    held = await store.holdings(conn, visible(subject), [o.id for o in found])
    return [_place(o, held) for o in found]


def _place(org: Org, held: dict[int, store.Holding]) -> Place:
    return Place(org.card, org.other_id, org.address, org.version, held.get(org.id, store.NOTHING))


async def create_place(
    conn: Connection, subject: Subject, name: str, sub_type: int, address: str = ""
) -> Place:
    """A new place inside the subject's own organisation (`org.write`).

    Refused: `place_inside_place` for people of a place; `org_invalid` for the name or a kind that the organisation's
    type does not have; `place_name_taken`; `place_too_many`.
    """
    around = await _around(conn, subject)
    name, address = name.strip(), address.strip()
    code_lists = await current(conn)
    found = [
        checks.text(name, "name", NAME_MAX, needed=True),
        checks.text(address, "address"),
    ]
    if str(sub_type) not in {item.code for item in place_types(code_lists, around.card.type)}:
        found.append(
            Finding("org_sub_type_of_other", {"sub_type": sub_type, "type": around.card.type}, "sub_type")
        )
    _refuse(found)
    await store_org.lock(conn)
    count = await conn.fetchval(store.COUNT, around.id)
    if count >= PLACES_MAX:
        raise YaosuError("place_too_many", {"limit": PLACES_MAX})
    full = place_name(around.name, name)
    await _check_name(conn, around.id, full, name, 0)
    number = f"{around.card.uscc or around.other_id or around.id}-{count + 1:03d}"
    values = (
        NUMBER_KIND, number, full, normalise(full), name, around.card.type, sub_type, around.card.region,
        address or around.address, around.id,
    )  # fmt: skip
    made = await store.one(conn, store.INSERT, *values)
    assert made is not None
    await conn.execute(store.RAISE_ROUTES)
    details = {"parent": around.id, "sub_type": sub_type}
    await audit.record(conn, subject, "place.create", ("org", made.id), details)
    return _place(made, {})


async def rename_place(conn: Connection, subject: Subject, place_id: int, name: str) -> Place:
    """Another name for a place; its number and its history stay. Refused like `create_place`, `org_not_found`."""
    around, old = await _own(conn, subject, place_id)
    name = name.strip()
    _refuse([checks.text(name, "name", NAME_MAX, needed=True)])
    full = place_name(around.name, name)
    await _check_name(conn, around.id, full, name, place_id)
    made = await store.one(conn, store_org.RENAME_PLACE, place_id, full, normalise(full), name)
    assert made is not None
    await audit.record(conn, subject, "place.rename", ("org", place_id), {"before": old.card.short_name})
    return _place(made, await store.holdings(conn, visible(subject), [place_id]))


async def close_place(conn: Connection, subject: Subject, place_id: int) -> Place:
    """Take a place out of use. Refused (`place_not_empty`) while goods stand in it, or travel from or to it."""
    _, old = await _own(conn, subject, place_id)
    held = (await store.holdings(conn, visible(subject), [place_id])).get(place_id, store.NOTHING)
    if not held.empty:
        params = {"name": old.card.short_name, "qty": sum(held.by_status.values()), "coming": held.coming}
        raise YaosuError("place_not_empty", params)
    return await _set_status(conn, subject, place_id, 0, "place.close")


async def reopen_place(conn: Connection, subject: Subject, place_id: int) -> Place:
    """Take a closed place into use again. Refused (`place_name_taken`) when another has its name by now."""
    around, old = await _own(conn, subject, place_id)
    await _check_name(conn, around.id, old.name, old.card.short_name, place_id)
    return await _set_status(conn, subject, place_id, 1, "place.reopen")


async def _set_status(conn: Connection, subject: Subject, place_id: int, status: int, action: str) -> Place:
    made = await store.one(conn, store.SET_STATUS, place_id, status)
    assert made is not None
    await audit.record(conn, subject, action, ("org", place_id))
    return _place(made, {})


async def _around(conn: Connection, subject: Subject) -> Org:
    """The subject's organisation, of which it may make places."""
    subject.require("org.write")
    found = await store_org.one(conn, store_org.BY_ID, subject.org)
    assert found is not None, "a subject's organisation exists"
    if found.card.place:
        raise YaosuError("place_inside_place")
    return found


async def _own(conn: Connection, subject: Subject, place_id: int) -> tuple[Org, Org]:
    around = await _around(conn, subject)
    await store_org.lock(conn)
    found = await store.one(conn, store.FOR_UPDATE, place_id, around.id)
    if found is None:
        raise YaosuError("org_not_found")
    return around, found


async def _check_name(conn: Connection, around: int, full: str, name: str, place_id: int) -> None:
    if await conn.fetchval(store.SAME_NAME, around, normalise(full), place_id):
        raise YaosuError(
            "place_name_taken", {"name": name}, [Finding("place_name_taken", {"name": name}, "name")]
        )


def _refuse(found: list[Finding | None]) -> None:
    wrong = [f for f in found if f is not None]
    if wrong:
        raise YaosuError("org_invalid", {"count": len(wrong)}, wrong)
