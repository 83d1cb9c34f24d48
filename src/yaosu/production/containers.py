"""Logistics containers (SSCC, level 90): one row per product in them, so that products stay on their shards (D3).

They hold packages of any product and level, and one another, as a pallet holds cartons (R-X4). All rows of a container
stand in the same place: a container that goes into another has a row of each of its products there too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yaosu.codes import Scheme, TraceCode
from yaosu.production import store_packing as store
from yaosu.production.relation.logistics import DEPTH_MAX
from yaosu.production.store_packing import Package
from yaosu.production.world import LOGISTICS, Bench

CheckApart = Callable[[Bench, Sequence[Package]], None]


async def _open(bench: Bench, code: str, drug_ids: set[int]) -> list[Package]:
    """The container's rows, locked, after making sure that it is ours or empty; and all rows of what is around it."""
    await bench.lock_keys([(d, code) for d in sorted({*bench.labels[code], *drug_ids})])
    rows = bench.rows(code)
    roots = [bench.root(r) for r in rows if r.qty]
    if any(root.holder != bench.subject.org for root in roots):
        bench.refuse("pack_container_elsewhere", code, container=code)
    elif any(root.status not in {"A", "I"} for root in roots):
        bench.refuse("pack_container_busy", code, container=code)
    bench.stop_if_refused()
    around = sorted({one.code for row in rows if row.qty for one in bench.above(row)})
    if around:
        await bench.open_labels(around)
        await bench.lock_keys([(d, c) for c in around for d in bench.labels[c]])
    return rows


async def _check_nesting(
    bench: Bench, target: str, rows: Sequence[Package], inside: Sequence[Package]
) -> None:
    """Refuse containers that cannot go into `target`: what is around it, what is in another one, what is too deep."""
    around = {target, *(one.code for row in rows if row.qty for one in bench.above(row))}
    for one in inside:
        if one.code in around:
            bench.refuse("pack_into_itself", one.code)
        elif one.parent is not None and one.parent != target:
            # a box may be repacked; a whole carton that is told to be on two pallets is a mistake
            bench.refuse("pack_in_other", one.code, container=one.parent)
    bench.stop_if_refused()
    query = [one.drug_id for one in inside], [one.code for one in inside]
    for row in await bench.conn.fetch(store.DEPTH_INSIDE, *query, LOGISTICS):
        if len(around) + row["depth"] > DEPTH_MAX:
            bench.refuse("pack_too_deep", row["code"], container=target, limit=DEPTH_MAX)


async def pack_logistics(
    bench: Bench, target: TraceCode, scans: Sequence[TraceCode], check_apart: CheckApart
) -> tuple[int, dict[int, int]]:
    """Put packages of any products into a logistics container; quantity packed, and what it holds by product."""
    code = target.text
    await bench.open_labels([c.text for c in scans if c.scheme is Scheme.SSCC], make=code)
    packages = await bench.lock(scans)
    bench.stop_if_refused()
    check_apart(bench, packages)
    rows = await _open(bench, code, {p.drug_id for p in packages})
    nested = [p for p in packages if p.level == LOGISTICS]
    if nested:
        await _check_nesting(bench, code, rows, nested)
        bench.stop_if_refused()
    full = [row for row in rows if row.qty]
    status = bench.root(full[0]).status if full else None
    for one in packages:
        if not bench.check_held(one):
            continue
        own = bench.root(one).status
        status = status or own
        if one.parent == code:
            bench.refuse("pack_same_package", one.code, container=code)
        elif not one.qty:
            bench.refuse("pack_empty_package", one.code, container=code)
        elif own != status:
            bench.refuse("pack_mixed_status", one.code, status=own, other=status)
    await bench.check_stopped([*packages, *full])
    bench.stop_if_refused()
    await bench.number()
    # rows of what is not in there any more may have been left behind elsewhere; they do not come into use again
    for label in sorted(bench.labels):
        for one in bench.rows(label):
            if not one.qty:
                await _drop(bench, one)
    assert status is not None
    by_drug = {d: await _row(bench, code, d, status) for d in sorted({p.drug_id for p in packages})}
    for one in packages:
        left = bench.take_out(one)
        bench.event(one, status, status, left)
        bench.put_in(one, by_drug[one.drug_id])
    held = {d: bench.packages[(d, code)].qty for d in bench.labels[code]}
    await tidy_containers(bench)
    return sum(p.qty for p in packages), dict(sorted(held.items()))


async def _row(bench: Bench, code: str, drug_id: int, status: str) -> Package:
    """The row of a product in a container; made, where there is none, there and in all containers around it."""
    found = bench.packages.get((drug_id, code))
    if found is not None:
        return found
    beside = bench.rows(code)
    around = beside[0].parent if beside else None
    if around is not None:
        await _row(bench, around, drug_id, status)
    outermost = around is None
    fresh = Package(drug_id, code, 0, LOGISTICS, around, None, None, 0, bench.bill_id)
    if outermost:
        fresh.status, fresh.holder = status, bench.subject.org
    await bench.conn.execute(
        store.INSERT_UNIT,
        *(bench.bill_id, drug_id, 0, LOGISTICS, code, around, fresh.status, fresh.holder),
        *(0, bench.at if outermost else None),
    )
    bench.packages[fresh.key] = fresh
    bench.contents[fresh.key] = {}
    bench.labels[code] = sorted({*bench.labels[code], drug_id})
    return fresh


async def _drop(bench: Bench, row: Package) -> None:
    """The row of a container with nothing of a product in it goes, and lets go of empty packages that lie in it. Where
    something is left, that is an event: what was inside has its history by it."""
    if row.key not in bench.packages:
        return  # gone with the container it lay in
    for child in await store.children(bench.conn, row.drug_id, [row.code]):
        one = bench.packages.setdefault(child.key, child)
        if one.parent == row.code and one.level != LOGISTICS:
            _let_go(bench, one)
        elif one.parent == row.code:
            await _drop(bench, one)
    if row.parent is not None:
        _let_go(bench, row)
    await bench.conn.execute(store.DELETE_UNIT, *row.key)
    await bench.conn.execute(store.DROP_CONTAINER_BATCHES, *row.key)
    del bench.packages[row.key]
    bench.contents.pop(row.key, None)
    await bench.open_labels([row.code])
    if row.drug_id in bench.labels[row.code]:
        bench.labels[row.code].remove(row.drug_id)


def _let_go(bench: Bench, one: Package) -> None:
    """An empty package comes out of what is around it, though nobody handled it."""
    assert not one.qty, "only what is empty goes with its container"
    status = bench.root(one).status or ""
    left = bench.take_out(one)
    bench.event(one, status, status, left, emptied=True)


async def tidy_containers(bench: Bench) -> None:
    """A container with nothing in it ceases to exist: its label may be used again. Its events stay on record.

    Of containers that the bill took something out of, before it is recorded.
    """
    touched = sorted({p.code for p in bench.packages.values() if p.level == LOGISTICS and p.changed})
    await bench.open_labels(touched)
    await bench.lock_keys([(d, code) for code in touched for d in bench.labels[code]])
    rows = [p for p in bench.packages.values() if p.level == LOGISTICS and p.code in bench.labels]
    # innermost first: an empty one stands in a package that is still there
    for one in sorted(rows, key=lambda p: (-len(bench.above(p)), p.key)):
        if not one.qty:
            await _drop(bench, one)
    for code, drugs in sorted(bench.labels.items()):
        if drugs == bench.labels_stored.get(code) != []:
            continue
        if not drugs:
            await bench.conn.execute(store.DROP_CONTAINER, code)
        else:
            await bench.conn.execute(store.PUT_CONTAINER, code, bench.subject.org, drugs)
