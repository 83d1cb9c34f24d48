"""A new sales package around packages that are active already (R-A5).

A relation file tells a package together with its content. A packaging line that tells first the codes and later what is
inside what (EPCIS commissioning, then aggregation) has nothing to put in that file for a case without content; the case
comes to be with the packing that fills it.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.db.engine import Connection
from yaosu.production import store_activation
from yaosu.production import store_packing as store
from yaosu.production.packing_steps import (
    PACK,
    Packed,
    begin,
    check_apart,
    finish,
    issued_or_foreign,
    read_scans,
)
from yaosu.production.relation.validate import acts_for
from yaosu.production.store_packing import Package
from yaosu.production.world import Bench
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


async def found(
    conn: Connection,
    subject: Subject,
    registry: Registry,
    master: bytes,
    container: str,
    codes: Sequence[str],
    batch_no: str,
    bill_no: str = "",
) -> Packed:
    """Pack `codes` into `container`, a code of the next level that comes to be by it (`production.write`).

    One packing bill, all or nothing, refused like packing; also where the code's prefix is not filed for a product of
    the caller's own, where it was not issued, where it exists, and where the packages are of another batch than
    `batch_no`.
    """
    subject.require("production.write")
    bench = Bench(conn, subject, registry)
    content = {"container": container.strip(), "codes": [c.strip() for c in codes]}
    bill_no, earlier = await begin(bench, PACK, bill_no, content)
    if earlier is not None:
        return earlier
    scans = read_scans(bench, codes)
    target = bench.read(container)
    bench.stop_if_refused()
    assert target is not None
    known = registry.resolve(target)
    product = registry.product(known.drug_id) if known.drug_id is not None else None
    step = product.level(known.level) if product is not None and known.level is not None else None
    if (
        known.kind != "known"
        or product is None
        or step is None
        or not acts_for(registry, product, subject.org)
    ):
        bench.refuse("pack_unit_unknown", target.text)
    elif not await issued_or_foreign(bench, master, target):
        bench.refuse("code_not_issued", target.text)
    bench.stop_if_refused()
    assert product is not None and step is not None
    packages = await bench.lock(scans)
    bench.stop_if_refused()
    check_apart(bench, packages)
    await bench.check_stopped(packages)
    batches = await store_activation.batch_facts(conn, [(product.id, batch_no)])
    batch_id = batches[product.id, batch_no].id if (product.id, batch_no) in batches else 0
    status = bench.root(packages[0]).status
    for one in packages:
        if not bench.check_held(one):
            continue
        if (one.drug_id, one.batch_id) != (product.id, batch_id):
            bench.refuse("pack_product", one.code, container=target.text)
        elif one.level != step.level - 1:
            bench.refuse("pack_level", one.code, level=one.level, container_level=step.level)
        elif bench.root(one).status != status:
            bench.refuse("pack_mixed_status", one.code, status=bench.root(one).status, other=status)
    if len(packages) > step.contains:
        count = {"container": target.text, "count": len(packages), "full": step.contains}
        bench.refuse("pack_overfull", target.text, **count)
    if await store_activation.existing(conn, product.id, [target.text]):
        bench.refuse("replace_new_exists", target.text)
    bench.stop_if_refused()
    assert status is not None
    await bench.number()
    await conn.execute(
        store.INSERT_UNIT,
        *(bench.bill_id, product.id, batch_id, step.level, target.text, None),
        *(status, subject.org, 0, bench.at),
    )
    fresh = Package(product.id, target.text, batch_id, step.level, None, status, subject.org, 0, 0)
    bench.packages[fresh.key] = fresh
    for one in packages:
        left = bench.take_out(one)
        bench.event(one, status, status, left)
        bench.put_in(one, fresh)
    bench.event(fresh, "P", status)
    done = await finish(bench, PACK, bill_no, content, "packing.pack", fresh.qty)
    held = {product.id: fresh.qty}
    return Packed(
        done.bill_id, done.bill_no, done.codes, fresh.qty, done.recorded_at, False, target.text, held
    )
