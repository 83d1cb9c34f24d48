"""Recalls and locks that a trace system tells of its own codes, in force here (R-E4, R-B9).

A recall becomes a recall order of ours, so that whoever has the goods here is stopped, told and asked to count them; a
lock becomes a lock. The goods named may enter our books only later: `catch_up` stops them then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from yaosu.db.engine import Connection
from yaosu.exchange.adopt import store_stops as store
from yaosu.notify.service import tell_many
from yaosu.recall import locks, store_lock
from yaosu.recall import service as recalls
from yaosu.recall import store as store_recall
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.stops import service as stops
from yaosu.subject import SYSTEM

Kind = Literal["recall", "lock"]
NUMBER_MAX = 64


@dataclass(frozen=True, slots=True)
class ForeignStop:
    """What another system stops. `number` is theirs; `goal` where the goods go back to (one of our organisations)."""

    home: int
    kind: Kind
    number: str
    drug_id: int
    title: str
    reason: str
    batch_nos: Sequence[str] = ()
    codes: Sequence[str] = ()
    level: int = 1
    ordered: bool = False
    public: bool = False
    hazard: str = ""
    measure: str = "return"
    regions: Sequence[str] = ()
    goal: int | None = None


def number_here(home: int, number: str) -> str:
    """Under which number it stands in our books: two systems may use the same one."""
    return f"XT{home}-{number}"


async def take(conn: Connection, registry: Registry, stop: ForeignStop) -> tuple[int | None, bool]:
    """Put it into force, in the caller's transaction: the order or lock of ours, and whether it is new.

    One that was withdrawn before it came stays withdrawn (None). Refused: `stops_too_many_codes`.
    """
    known = await conn.fetchrow(store.KNOWN, stop.home, stop.kind, stop.number)
    if known is not None:
        return known["ours"], False
    product = registry.product(stop.drug_id)
    assert product is not None  # the caller resolved it
    batches = await _batches(conn, stop.drug_id, stop.batch_nos)
    units = await _units(conn, stop.drug_id, stop.codes)
    if stop.kind == "recall":
        made = await _recall(conn, registry, stop, product, batches, units)
    else:
        made = await _lock(conn, registry, stop, product, batches, [code for code, _, _ in units])
    named = (list(stop.batch_nos), list(stop.codes))
    await conn.execute(store.KEEP, stop.home, stop.kind, stop.number, stop.drug_id, made, True, *named)
    return made, True


async def _batches(conn: Connection, drug_id: int, numbers: Sequence[str]) -> list[int]:
    return [r["id"] for r in await conn.fetch(store_recall.BATCH_IDS, drug_id, list(numbers))]


async def _units(conn: Connection, drug_id: int, codes: Sequence[str]) -> list[tuple[str, int, int]]:
    rows = await conn.fetch(store_recall.UNITS, drug_id, list(codes))
    return [(r["code"], r["level"], r["qty"]) for r in rows]


async def _recall(
    conn: Connection,
    registry: Registry,
    stop: ForeignStop,
    product: Product,
    batches: list[int],
    units: list[tuple[str, int, int]],
) -> int:
    measure = stop.measure if registry.lists.item("recall_measure", stop.measure) is not None else "return"
    made: int = await conn.fetchval(
        store_recall.INSERT,
        *(product.id, product.mah_id, product.mah_id, product.manufacturer_id),
        stop.goal if stop.goal is not None else product.mah_id,
        *(stop.level, "ordered" if stop.ordered else "active", False, stop.public, measure),
        *(number_here(stop.home, stop.number), stop.title, stop.reason, stop.hazard, list(stop.regions)),
        *("", None),
    )
    await store_recall.put_goods(conn, made, product.id, batches, units)
    await conn.execute(store_recall.APPROVE, made, None, product.mah_id)
    await recalls.publish(conn, registry, SYSTEM, made)
    # reports to the office are the recalling firm's duty in its own system
    await conn.execute(store.NO_REPORTS, made)
    return made


async def _lock(
    conn: Connection,
    registry: Registry,
    stop: ForeignStop,
    product: Product,
    batches: list[int],
    codes: list[str],
) -> int:
    reason = stop.reason if registry.lists.item("lock_reason", stop.reason) is not None else "other"
    item = registry.lists.item("lock_reason", reason)
    number = number_here(stop.home, stop.number)
    head = ("lock", product.id, product.mah_id, None, number, reason, stop.title, None)
    made: int = await conn.fetchval(store_lock.INSERT, *head)
    label = "：".join(v for v in (item.zh if item is not None else "", stop.title) if v)
    stop_id = await stops.place(
        conn, kind="lock", ref=made, number=number, title=product.generic_name, level=None,
        placed_by=product.mah_id, reason=label, batches=[], codes=[],
    )  # fmt: skip
    await conn.execute(store_lock.SET_STOP, made, stop_id)
    await _more_locked(conn, made, stop_id, product.id, batches, codes)
    if batches:
        issuer = registry.org(product.mah_id)
        params = {
            "issuer": issuer.name if issuer is not None else "—",
            "number": number,
            "product": f"{product.generic_name} {product.strength}",
            "reason": label,
        }
        holders = [r["org"] for r in await conn.fetch(store_lock.HOLDERS, product.id, batches)]
        await tell_many(conn, holders, "notice_lock", params, f"/locks/{made}", f"lock:{made}")
    return made


async def _more_locked(
    conn: Connection, lock_id: int, stop_id: int, drug_id: int, batches: Sequence[int], codes: Sequence[str]
) -> None:
    if batches:
        await conn.execute(store_lock.PUT_BATCHES, drug_id, lock_id, sorted(batches))
    if codes:
        await conn.execute(store_lock.PUT_CODES, drug_id, lock_id, list(codes))
    await stops.extend(conn, stop_id, [(drug_id, b) for b in batches], [(drug_id, c) for c in codes])


async def end(
    conn: Connection, registry: Registry, home: int, kind: Kind, number: str, reason: str, lift: bool
) -> bool:
    """Withdrawn (`lift`: the goods move again) or, of a recall, ended (they do not); False when it never came."""
    known = await conn.fetchrow(store.KNOWN, home, kind, number)
    if known is None or known["ours"] is None:
        return False
    if lift and known["live"]:
        await conn.execute(store.ENDED, home, kind, number)
    state = await conn.fetchval(store.STATE_OF[kind], known["ours"])
    if state != "published":
        return True
    if kind == "lock":
        await locks.release(conn, registry, SYSTEM, known["ours"], reason)
    elif lift:
        await recalls.cancel(conn, registry, SYSTEM, known["ours"], reason)
    else:
        await recalls.finish(conn, registry, SYSTEM, known["ours"], reason)
    return True


async def never(conn: Connection, home: int, kind: Kind, number: str, drug_id: int) -> None:
    """Remember that it was withdrawn before it came."""
    await conn.execute(store.KEEP, home, kind, number, drug_id, None, False, [], [])


async def catch_up(conn: Connection, drug_ids: Collection[int]) -> int:
    """Stop what of the named goods has come into our books since, in the caller's transaction; how many stops grew."""
    grown = 0
    for row in await conn.fetch(store.LIVE, sorted(set(drug_ids))):
        drug_id, ours = row["drug_id"], row["ours"]
        had = await conn.fetchrow(store.NAMED[row["kind"]], ours)
        assert had is not None
        batches = [b for b in await _batches(conn, drug_id, row["batch_nos"]) if b not in had["batches"]]
        units = [u for u in await _units(conn, drug_id, row["codes"]) if u[0] not in had["codes"]]
        if not batches and not units:
            continue
        grown += 1
        if row["kind"] == "lock":
            await _more_locked(conn, ours, had["stop_id"], drug_id, batches, [u[0] for u in units])
            continue
        if batches:
            await conn.execute(store_recall.PUT_BATCHES, drug_id, ours, batches)
        if units:
            columns = [list(c) for c in zip(*units, strict=True)]
            await conn.execute(store_recall.PUT_CODES, drug_id, ours, *columns)
        await stops.extend(
            conn, had["stop_id"], [(drug_id, b) for b in batches], [(drug_id, u[0]) for u in units]
        )
    return grown
