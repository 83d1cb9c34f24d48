"""What every packing bill does: recognise a repeat, read its scans, post, record (issue 2 §4).

A verb is `begin`, `read_scans`, its own judgement, `finish`; all or nothing, refused with a finding per code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from yaosu.access import audit
from yaosu.codes import TraceCode
from yaosu.codes.issue import derive, locate
from yaosu.db.leaf import leaf_hash
from yaosu.errors import YaosuError
from yaosu.production import store_activation
from yaosu.production import store_packing as store
from yaosu.production.issued import in_ranges, one_number
from yaosu.production.store_packing import Package
from yaosu.production.world import CODES_MAX, Bench

PACK, UNPACK, REPLACE, VOID = 2, 3, 4, 5
_PREFIX = {PACK: "ZX", UNPACK: "CX", REPLACE: "HM", VOID: "ZM"}


@dataclass(frozen=True, slots=True)
class Packed:
    """What a packing bill did."""

    bill_id: int
    bill_no: str
    codes: int
    """Packages with an event of their own."""
    qty: int
    """Smallest packages in them."""
    recorded_at: datetime
    repeated: bool = False
    container: str = ""
    container_qty: dict[int, int] = field(default_factory=dict)
    """What the container holds afterwards, by product."""


async def begin(bench: Bench, kind: int, bill_no: str, content: dict[str, Any]) -> tuple[str, Packed | None]:
    """The answer of then when the same bill number brings the same content (D8)."""
    if not bill_no:
        return "", None
    row = await bench.conn.fetchrow(store.BILL, bench.subject.org, bill_no)
    if row is None:
        return bill_no, None
    if row["content_hash"] != leaf_hash((f"{kind}|{bill_no}".encode(), orjson.dumps(content))):
        raise YaosuError("bill_number_taken", {"bill_no": bill_no})
    return bill_no, Packed(row["id"], bill_no, row["lines"], row["qty"], row["recorded_at"], True)


def read_scans(bench: Bench, codes: Sequence[str]) -> list[TraceCode]:
    """Readable codes, each once; refused when there are too many."""
    if not 1 <= len(codes) <= CODES_MAX:
        raise YaosuError("pack_too_many", {"limit": CODES_MAX})
    out: dict[str, TraceCode] = {}
    for raw in codes:
        code = bench.read(raw)
        if code is None:
            continue
        if code.text in out:
            bench.refuse("pack_twice", code.text)
        out[code.text] = code
    bench.stop_if_refused()
    return list(out.values())


def check_apart(bench: Bench, packages: Sequence[Package]) -> None:
    """Refuse packages that are inside others of the same bill: they cannot be handled apart from them."""
    keys = {p.key for p in packages}
    for one in packages:
        for around in bench.above(one):
            if around.key in keys:
                bench.refuse("pack_inside_other", one.code, container=around.code)
                break


async def finish(
    bench: Bench, kind: int, bill_no: str, header: dict[str, Any], action: str, qty: int
) -> Packed:
    """Record the bill with its lines under its number, or one of ours, and write it into the audit record."""
    number = bill_no or f"{_PREFIX[kind]}-{bench.bill_id}"
    at = await bench.record(kind, number, header, qty)
    await audit.record(
        bench.conn, bench.subject, action, ("bill", bench.bill_id), {"codes": bench.codes, "qty": qty}
    )
    return Packed(bench.bill_id, number, bench.codes, qty, at)


async def issued_or_foreign(bench: Bench, master: bytes, code: TraceCode) -> bool:
    """Under a prefix for which codes are issued here, a code must be one of them (D6)."""
    rows = await bench.conn.fetch(store_activation.ISSUED, [code.prefix])
    if not rows:
        return True
    number = locate(code.text, derive(master, rows[0]["key_id"]))
    ranges = [(r["start_no"], r["count"]) for r in rows]
    return bool(in_ranges(one_number(number), ranges)[0])
