"""Event 2001 for what was made here: activations as application data (R-A3, R-B9).

The platform hears of every activation by product and batch. Where the holder or maker of the product works in another
system, that system also gets the packages with everything inside, in events of a size that can be carried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange.basedata import Parties
from yaosu.exchange.outbox.model import RoutedBill, RoutedLine
from yaosu.exchange.xietong.tree import tree
from yaosu.registry.model import Product

ACTIVATION = 1
"""赋码激活 (rules/bill_types.yaml)."""
BOXES_PER_EVENT = 20_000


async def contents(conn: Connection, parties: Parties, bill: RoutedBill) -> list[dict[str, Any]]:
    """The content of each event that tells an activation, in order: always the same for the same bill."""
    found: list[dict[str, Any]] = []
    for drug_id in sorted({line.drug_id for line in bill.lines}):
        product = parties.registry.product(drug_id)
        if product is None or not product.levels:
            continue
        lines = [line for line in bill.lines if line.drug_id == drug_id]
        head = _head(parties, bill, product, lines)
        if not {product.mah_id, product.manufacturer_id} & parties.foreign:
            found.append(head)
            continue
        chunks = list(_chunks(lines))
        for number, chunk in enumerate(chunks, 1):
            packages = await tree(conn, chunk)
            part = {"part": number, "parts": len(chunks)}
            found.append({**head, **part, "packages": packages, "codes": [p["code"] for p in packages]})
    return found


def _head(
    parties: Parties, bill: RoutedBill, product: Product, lines: Sequence[RoutedLine]
) -> dict[str, Any]:
    batches: dict[tuple[str, str, str], int] = {}
    for line in lines:
        key = (line.batch_no, line.produced_on, line.expires_on)
        batches[key] = batches.get(key, 0) + line.qty
    return {
        "owner": parties.key(bill.owner),
        "bill_no": bill.bill_no,
        "type": bill.type,
        "kind": "make",
        "happened_at": bill.happened_at.isoformat(),
        "product": product.levels[0].identifier,
        "batches": [
            {"batch_no": number, "produced_on": made, "expires_on": expires, "qty": qty}
            for (number, made, expires), qty in sorted(batches.items())
        ],
    }


def _chunks(lines: Sequence[RoutedLine]) -> Iterator[list[RoutedLine]]:
    chunk: list[RoutedLine] = []
    boxes = 0
    for line in lines:
        if chunk and boxes + line.qty > BOXES_PER_EVENT:
            yield chunk
            chunk, boxes = [], 0
        chunk.append(line)
        boxes += line.qty
    if chunk:
        yield chunk
