"""Logistics containers (SSCC, level 90): one row per product in them, so that products stay on their shards (D3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yaosu.codes import TraceCode
from yaosu.production import store_packing as store
from yaosu.production.store_packing import Package
from yaosu.production.world import LOGISTICS, Bench

CheckApart = Callable[[Bench, Sequence[Package]], None]


async def _open(bench: Bench, code: str, drug_ids: set[int]) -> list[Package]:
    """The container's rows, locked, after making sure that it is ours or empty; empty rows of others go."""
    row = await bench.conn.fetchrow(store.CONTAINER, [code])
    known: list[int] = row["drug_ids"] if row is not None else []
    await bench.lock_keys([(d, code) for d in sorted(set(known) | drug_ids)])
    rows = [bench.packages[(d, code)] for d in known if (d, code) in bench.packages]
    if row is None:
        return []
    if all(r.qty == 0 for r in rows):
        for one in rows:
            await bench.conn.execute(store.DELETE_UNIT, *one.key)
            await bench.conn.execute(store.DROP_CONTAINER_BATCHES, *one.key)
            del bench.packages[one.key]
            bench.contents.pop(one.key, None)
        return []
    if any(r.holder != bench.subject.org for r in rows):
        bench.refuse("pack_container_elsewhere", code, container=code)
    elif any(r.status not in {"A", "I"} for r in rows):
        bench.refuse("pack_container_busy", code, container=code)
    bench.stop_if_refused()
    return rows


async def pack_logistics(
    bench: Bench, target: TraceCode, scans: Sequence[TraceCode], check_apart: CheckApart
) -> tuple[int, dict[int, int]]:
    """Put packages of any products into a logistics container; quantity packed, and what it holds by product."""
    code = target.text
    packages = await bench.lock(scans)
    bench.stop_if_refused()
    check_apart(bench, packages)
    rows = await _open(bench, code, {p.drug_id for p in packages})
    status = rows[0].status if rows else None
    for one in packages:
        if not bench.check_held(one):
            continue
        own = bench.root(one).status
        status = status or own
        if one.parent == code:
            bench.refuse("pack_same_package", one.code, container=code)
        elif own != status:
            bench.refuse("pack_mixed_status", one.code, status=own, other=status)
    await bench.check_stopped([*packages, *rows])
    bench.stop_if_refused()
    await bench.number()
    for drug_id in sorted({p.drug_id for p in packages} - {r.drug_id for r in rows}):
        fresh = Package(drug_id, code, 0, LOGISTICS, None, status, bench.subject.org, 0, bench.bill_id)
        await bench.conn.execute(
            store.INSERT_UNIT,
            *(bench.bill_id, drug_id, 0, LOGISTICS, code, None, status, bench.subject.org, 0, bench.at),
        )
        bench.packages[fresh.key] = fresh
        bench.contents[fresh.key] = {}
        rows.append(fresh)
    by_drug = {r.drug_id: r for r in rows}
    for one in packages:
        left = bench.take_out(one)
        bench.event(one, status or "", status or "", left)
        bench.put_in(one, by_drug[one.drug_id])
    await bench.conn.execute(store.PUT_CONTAINER, code, bench.subject.org, sorted(by_drug))
    return sum(p.qty for p in packages), {d: r.qty for d, r in sorted(by_drug.items())}


async def tidy_containers(bench: Bench) -> None:
    """A container with nothing in it ceases to exist: its label may be used again. Its events stay on record."""
    for code in sorted({p.code for p in bench.packages.values() if p.level == LOGISTICS}):
        row = await bench.conn.fetchrow(store.CONTAINER, [code])
        if row is None:
            continue
        await bench.lock_keys([(d, code) for d in row["drug_ids"]])
        rows = [bench.packages[(d, code)] for d in row["drug_ids"] if (d, code) in bench.packages]
        left = [r for r in rows if r.qty > 0]
        for one in rows:
            if one.qty == 0:
                await bench.conn.execute(store.DELETE_UNIT, *one.key)
                await bench.conn.execute(store.DROP_CONTAINER_BATCHES, *one.key)
        if left:
            await bench.conn.execute(store.PUT_CONTAINER, code, row["packed_by"], [r.drug_id for r in left])
        else:
            await bench.conn.execute(store.DROP_CONTAINER, code)
