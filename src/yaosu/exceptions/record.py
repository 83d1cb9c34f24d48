"""What every verb of the room does around a case: read it for its parties, write its record, tell the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exceptions import store
from yaosu.exceptions.model import kind_item
from yaosu.notify import service as notify
from yaosu.people import free_text
from yaosu.registry.acting import acts_for
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "exception.handle"


def missing(subject: Subject) -> YaosuError:
    """No such case, or not theirs to see: the same answer."""
    return YaosuError("not_found", {"what": "协查单" if subject.lang == "zh" else "Case"})


async def seen(conn: Connection, subject: Subject, case_id: int) -> Record:
    """The case as its reader sees it; refused (`not_found`) for everybody else."""
    subject.require("bill.read")
    row = await store.case(conn, visible(subject), case_id)
    if row is None:
        raise missing(subject)
    return row


def spoken_for(registry: Registry, subject: Subject, orgs: Iterable[int]) -> list[int]:
    """Those of `orgs` that the subject speaks for: itself, then stores, places, overseas holders (R-A7, R-B7)."""
    found = [org for org in dict.fromkeys(orgs) if acts_for(registry, subject.org_id, org)]
    return sorted(found, key=lambda org: org != subject.org_id)


def sides(registry: Registry, subject: Subject, row: Record) -> list[int]:
    """The sides of the trade that the subject speaks for: two for headquarters that sent goods to their own store."""
    return spoken_for(registry, subject, (row["buyer"], row["seller"]))


def side(registry: Registry, subject: Subject, row: Record, mah: Iterable[int] = ()) -> int:
    """The party that the subject speaks for, a side of the trade before any other; 0 for none."""
    return next(iter([*sides(registry, subject, row), *spoken_for(registry, subject, mah)]), 0)


async def parties(conn: Connection, case_id: int) -> dict[int, str]:
    """Organisations that take part, and as what."""
    return {r["org"]: r["role"] for r in await conn.fetch(store.PARTIES, case_id)}


async def locked(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, *, open_only: bool = True
) -> tuple[Record, int, dict[int, str]]:
    """The case under lock, the party acting, and all parties.

    Refused: `not_found` for outsiders, `forbidden` for readers by office or without the right,
    `exception_closed` once it is settled.
    """
    subject.require(SCOPE)
    await seen(conn, subject, case_id)
    row = await conn.fetchrow(store.LOCK, case_id)
    assert row is not None
    roles = await parties(conn, case_id)
    acting = side(registry, subject, row, roles)
    if not acting:
        raise YaosuError("forbidden", {"scope": SCOPE})
    if open_only and row["state"] != "open":
        raise YaosuError("exception_closed", {"case_no": row["case_no"]})
    return row, acting, roles


async def enter(
    conn: Connection,
    case_id: int,
    org: int | None,
    account_id: int | None,
    what: str,
    text: str = "",
    params: Mapping[str, object] | None = None,
) -> int:
    """One more line of the case's record; its number. Refused: `invalid_request` for a citizen's number in it."""
    free_text.refuse(text=text)
    made: int = await conn.fetchval(store.ENTER, case_id, org, account_id, what, text, dict(params or {}))
    return made


def words(
    registry: Registry, row: Record | Mapping[str, object], org: int | None = None
) -> dict[str, object]:
    """Parameters that every message about a case has."""
    kind = registry.lists.text("exception_kind", str(row["kind"]), "zh")
    card = registry.org(org) if org else None
    return {
        "case_no": row["case_no"],
        "kind": kind,
        "kind_en": registry.lists.text("exception_kind", str(row["kind"]), "en"),
        "org": card.name if card is not None else "",
        "qty": row["qty"],
    }


async def tell(
    conn: Connection,
    registry: Registry,
    row: Record | Mapping[str, object],
    to: Iterable[int],
    news: str,
    ref: object,
    org: int | None = None,
    more: Mapping[str, object] | None = None,
) -> None:
    """Messages to the parties in `to` but the one that acts; `ref` keeps the same news from being told twice."""
    case_id = row["id"]
    params = {**words(registry, row, org), **(more or {})}
    others = [one for one in to if one != org]
    await notify.tell_many(conn, others, news, params, f"/exceptions/{case_id}", f"exception:{case_id}:{ref}")


def holder_of(registry: Registry, drug_id: int) -> int | None:
    """The organisation that answers for a product: its MAH, or the domestic agent of an overseas one (R-A7)."""
    product = registry.product(drug_id)
    card = registry.org(product.mah_id) if product is not None else None
    if card is None:
        return None
    return card.domestic_agent_id or card.id


async def tell_holders(
    conn: Connection, registry: Registry, row: Record | Mapping[str, object], drug_ids: Iterable[int]
) -> list[int]:
    """Bring in the MAH of every product concerned (R-B3); the organisations that had not been told before."""
    found = []
    wanted = {holder_of(registry, drug_id) for drug_id in drug_ids}
    for org in sorted(one for one in wanted if one is not None):
        if await conn.fetchval(store.JOIN, row["id"], org, "mah") is not None:
            found.append(org)
    await tell(conn, registry, row, found, "notice_exception_upstream", "mah")
    return found


def is_upstream(registry: Registry, kind: str) -> bool:
    """Whether cases of the kind go to the MAH at once (list `exception_kind`)."""
    return bool(kind_item(registry.lists, kind).attrs.get("upstream"))
