"""Packing after activation: pack, unpack, replace a code, void codes (issue 2 §4; each is a bill of its own type).

Every verb is one bill, all or nothing, refused with a finding per code (`pack_refused`). Only packages in the
caller's own account in status A or I can be handled; the ledger moves only when codes are voided.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.codes import Scheme, TraceCode
from yaosu.db.engine import Connection
from yaosu.production import store_activation
from yaosu.production import store_packing as store
from yaosu.production.containers import pack_logistics, tidy_containers
from yaosu.production.packing_steps import (
    PACK,
    REPLACE,
    UNPACK,
    VOID,
    Packed,
    begin,
    check_apart,
    finish,
    issued_or_foreign,
    read_scans,
)
from yaosu.production.store_packing import Package
from yaosu.production.world import LOGISTICS, Bench
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

__all__ = [
    "PACK",
    "REPLACE",
    "UNPACK",
    "VOID",
    "Packed",
    "pack",
    "replace",
    "unpack",
    "void",
]


async def pack(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    container: str,
    codes: Sequence[str],
    bill_no: str = "",
) -> Packed:
    """Put packages into a package of the next level, or into a logistics container (`bill.write`).

    A package that is in another one is taken out of it first (repack). A sales package holds one product and batch
    and no more than its ladder says; a logistics container (SSCC) holds anything, also other containers, up to
    `containers.DEPTH_MAX` inside one another. All must be in the same status. A container that is inside another one
    must be taken out first (`pack_in_other`).
    """
    subject.require("bill.write")
    bench = Bench(conn, subject, registry)
    content = {"container": container.strip(), "codes": [c.strip() for c in codes]}
    bill_no, earlier = await begin(bench, PACK, bill_no, content)
    if earlier is not None:
        return earlier
    scans = read_scans(bench, codes)
    target = bench.read(container)
    bench.stop_if_refused()
    assert target is not None
    if target.scheme is Scheme.SSCC:
        qty, held = await pack_logistics(bench, target, scans, check_apart)
    else:
        qty, held = await _pack_sales(bench, target, scans)
    done = await finish(bench, PACK, bill_no, content, "packing.pack", qty)
    return Packed(done.bill_id, done.bill_no, done.codes, qty, done.recorded_at, False, target.text, held)


async def _pack_sales(
    bench: Bench, target: TraceCode, scans: Sequence[TraceCode]
) -> tuple[int, dict[int, int]]:
    for code in scans:
        if code.scheme is Scheme.SSCC:
            bench.refuse("pack_no_nesting", code.text, container=target.text)
    bench.stop_if_refused()
    found = await bench.lock([*scans, target])
    bench.stop_if_refused()
    into, packages = found[-1], found[:-1]
    check_apart(bench, packages)
    await bench.check_stopped(found)
    if bench.check_held(into):
        status = bench.root(into).status
        for one in packages:
            if one.key == into.key or into.code in {p.code for p in _below(bench, one, into)}:
                bench.refuse("pack_into_itself", one.code)
            elif not bench.check_held(one):
                continue
            elif one.parent == into.code:
                bench.refuse("pack_same_package", one.code, container=into.code)
            elif (one.drug_id, one.batch_id) != (into.drug_id, into.batch_id):
                bench.refuse("pack_product", one.code, container=into.code)
            elif one.level != into.level - 1:
                bench.refuse("pack_level", one.code, level=one.level, container_level=into.level)
            elif bench.root(one).status != status:
                bench.refuse("pack_mixed_status", one.code, status=bench.root(one).status, other=status)
    bench.stop_if_refused()
    product = bench.registry.product(into.drug_id)
    step = product.level(into.level) if product is not None else None
    assert step is not None
    inside = await bench.conn.fetchval(store.COUNT_CHILDREN, into.drug_id, into.code)
    if inside + len(packages) > step.contains:
        bench.refuse(
            "pack_overfull",
            into.code,
            container=into.code,
            count=inside + len(packages),
            full=step.contains,
        )
    bench.stop_if_refused()
    await bench.number()
    for one in packages:
        status = bench.root(one).status or ""
        left = bench.take_out(one)
        bench.event(one, status, status, left)
        bench.put_in(one, into)
    await tidy_containers(bench)
    return sum(p.qty for p in packages), {into.drug_id: into.qty}


def _below(bench: Bench, one: Package, into: Package) -> list[Package]:
    """`into`, when it is inside `one`."""
    return [into] if any(p.key == one.key for p in bench.above(into)) else []


async def unpack(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    codes: Sequence[str],
    whole: bool = False,
    bill_no: str = "",
) -> Packed:
    """Take packages out of what they are in, or, with `whole`, everything out of the packages named (`bill.write`).

    Only what is directly inside comes out of a whole package: of a pallet the cartons, which stay packed. An emptied
    logistics container is free again.
    """
    subject.require("bill.write")
    bench = Bench(conn, subject, registry)
    content = {"codes": [c.strip() for c in codes], "whole": whole}
    bill_no, earlier = await begin(bench, UNPACK, bill_no, content)
    if earlier is not None:
        return earlier
    scans = read_scans(bench, codes)
    packages = await (_contents(bench, scans) if whole else bench.lock(scans))
    bench.stop_if_refused()
    if not whole:
        check_apart(bench, packages)
    for one in packages:
        if one.parent is None:
            bench.refuse("pack_not_packed", one.code)
        else:
            bench.check_held(one)
    await bench.check_stopped(packages)
    bench.stop_if_refused()
    await bench.number()
    qty = 0
    for one in packages:
        status = bench.root(one).status or ""
        left = bench.take_out(one)
        bench.event(one, status, status, left)
        qty += one.qty
    await tidy_containers(bench)
    return await finish(bench, UNPACK, bill_no, content, "packing.unpack", qty)


async def _contents(bench: Bench, scans: Sequence[TraceCode]) -> list[Package]:
    """What is directly inside the packages of these scans, locked lowest level first."""
    out: list[Package] = []
    await bench.open_labels([c.text for c in scans if c.scheme is Scheme.SSCC])
    for code in scans:
        if code.scheme is Scheme.SSCC:
            drugs = bench.labels[code.text]
        else:
            drug_id = bench.registry.resolve(code).drug_id
            drugs = [] if drug_id is None else [drug_id]
        before = len(out)
        for drug_id in drugs:
            for child in await store.children(bench.conn, drug_id, [code.text]):
                bench.packages.setdefault(child.key, child)
                out.append(bench.packages[child.key])
        if len(out) == before:
            bench.refuse("pack_not_packed", code.text)
    bench.stop_if_refused()
    await bench.lock_keys([(p.drug_id, p.parent or "") for p in out])
    # what is empty in there goes with the container it was emptied in
    return [p for p in out if p.qty or p.level != LOGISTICS]


async def replace(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    master: bytes,
    old: str,
    new: str,
    reason: str,
    bill_no: str = "",
) -> Packed:
    """A new code takes the place of a damaged one (`production.write`; 单码替换).

    The old code is cancelled and stays on record, linked to the new one; the new one stands where it stood, holds
    what it held. Refused: `replace_new_exists`, `replace_other_product`, `replace_elsewhere`, `code_not_issued`.
    """
    subject.require("production.write")
    bench = Bench(conn, subject, registry)
    content = {"old": old.strip(), "new": new.strip(), "reason": reason}
    bill_no, earlier = await begin(bench, REPLACE, bill_no, content)
    if earlier is not None:
        return earlier
    old_code, new_code = bench.read(old), bench.read(new)
    bench.stop_if_refused()
    assert old_code is not None and new_code is not None
    found_old, found_new = registry.resolve(old_code), registry.resolve(new_code)
    if old_code.scheme is Scheme.SSCC or found_old.drug_id is None:
        bench.refuse("pack_unit_unknown", old_code.text)
    elif found_new.kind != "known":
        bench.refuse("replace_elsewhere", new_code.text)
    elif (found_new.drug_id, found_new.level) != (found_old.drug_id, found_old.level):
        bench.refuse("replace_other_product", old_code.text, new=new_code.text)
    elif not await issued_or_foreign(bench, master, new_code):
        bench.refuse("code_not_issued", new_code.text)
    bench.stop_if_refused()
    drug_id = found_old.drug_id
    assert drug_id is not None
    # lowest level first, like every bill: what is inside, then the package itself, then what is around
    await store.children(conn, drug_id, [old_code.text])
    packages = await bench.lock([old_code])
    bench.stop_if_refused()
    package = packages[0]
    bench.check_held(package)
    await bench.check_stopped([package])
    if await store_activation.existing(conn, drug_id, [new_code.text]):
        bench.refuse("replace_new_exists", new_code.text)
    bench.stop_if_refused()
    await bench.number()
    root, parent, qty = bench.root(package), package.parent, package.qty
    status, holder = root.status or "", root.holder
    inside = parent is not None
    await conn.execute(
        store.INSERT_UNIT,
        *(bench.bill_id, drug_id, package.batch_id, package.level, new_code.text, parent),
        *(None if inside else status, None if inside else holder),
        *(None if package.level == 1 else qty, None if inside else bench.at),
    )
    await conn.execute(store.REPARENT, drug_id, old_code.text, new_code.text)
    package.parent, package.qty, package.status, package.holder = None, 0, "C", holder
    bench.event(package, status, "C", parent or "")
    fresh = Package(drug_id, new_code.text, package.batch_id, package.level, parent, None, None, qty, 0)
    bench.event(fresh, "P", status)
    await conn.execute(store.INSERT_REPLACED, drug_id, old_code.text, new_code.text, bench.bill_id, reason)
    return await finish(bench, REPLACE, bill_no, content, "packing.replace", qty)


async def void(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    codes: Sequence[str],
    reason: str,
    with_content: bool = False,
    bill_no: str = "",
) -> Packed:
    """Cancel codes that never left the organisation that activated them (`production.write`; 注销).

    The goods leave the books: A or I → C. A package that still holds others is refused (`void_not_empty`) unless
    `with_content` says that they are cancelled with it.
    """
    subject.require("production.write")
    bench = Bench(conn, subject, registry)
    content = {"codes": [c.strip() for c in codes], "reason": reason, "with_content": with_content}
    bill_no, earlier = await begin(bench, VOID, bill_no, content)
    if earlier is not None:
        return earlier
    scans = read_scans(bench, codes)
    for code in scans:
        if code.scheme is Scheme.SSCC:
            bench.refuse("void_logistics", code.text)
    bench.stop_if_refused()
    packages = await bench.lock(scans)
    bench.stop_if_refused()
    check_apart(bench, packages)
    await bench.check_stopped(packages)
    makers = {
        (r["drug_id"], r["id"]): r["maker"]
        for r in await conn.fetch(store.MAKERS, [p.drug_id for p in packages], [p.batch_id for p in packages])
    }
    for one in packages:
        if makers.get((one.drug_id, one.batch_id)) != subject.org:
            bench.refuse("void_not_at_maker", one.code)
        elif bench.check_held(one) and one.level > 1 and one.qty > 0 and not with_content:
            bench.refuse("void_not_empty", one.code)
    bench.stop_if_refused()
    await bench.number()
    moves: dict[tuple[int, int, str], int] = {}
    for one in packages:
        status = bench.root(one).status or ""
        left = bench.take_out(one, "C")
        bench.event(one, status, "C", left)
        key = (one.drug_id, one.batch_id, status)
        moves[key] = moves.get(key, 0) + one.qty
    await tidy_containers(bench)
    done = await finish(bench, VOID, bill_no, content, "packing.void", sum(moves.values()))
    for (drug_id, batch_id, status), qty in sorted(moves.items()):
        if qty:
            await store_activation.post(
                conn, bench.bill_id, drug_id, batch_id, (subject.org, subject.org), qty, (status, "C")
            )
    return done
