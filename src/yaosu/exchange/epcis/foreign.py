"""Goods that nobody here handles: events about them are kept and returned, and the job says so (issue 4 §4).

Goods are ours when their product is filed here, when their container was packed here, or when their code is under a
company prefix that somebody filed a product of: then a number that does not exist is a mistake to be told, not somebody
else's goods. Codes without a GS1 key (药品追溯码, enterprise codes) are always ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from yaosu.db.engine import Connection
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.fields import Item
from yaosu.exchange.epcis.identifiers import to_code
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.shape import EPC_FIELDS
from yaosu.registry.resolver import Registry

HEAD = 7
"""Digits by which company prefixes are compared: the shortest that China issues (GB 12904)."""


def _codes(item: Item) -> Iterator[str]:
    """Trace codes that an event names, of all its fields."""
    for name in EPC_FIELDS:
        value = item.body.get(name)
        for one in value if isinstance(value, list) else [value] if value else ():
            code = to_code(inner_of(one))
            if code is not None:
                yield code


def _head(code: str) -> str:
    """The opening digits of the company prefix in a GTIN or SSCC."""
    return code[5 : 5 + HEAD]


async def foreign(conn: Connection, registry: Registry, items: Sequence[Item]) -> frozenset[int]:
    """Indices of the events that name only goods of nobody here.

    An event that says which bill it is (`yaosu:billType`) is never among them, and neither is one of a container that
    an event of the same document fills with our goods.
    """
    unsure: dict[int, set[str]] = {}
    for item in items:
        if item.own.get("billType") is not None:
            continue
        strange = _strange(registry, item)
        if strange is not None:
            unsure[item.index] = strange
    if not unsure:
        return frozenset()
    codes = sorted(set().union(*unsure.values()))
    labels = [c for c in codes if c.startswith("(00)")]
    known = {r["code"] for r in await conn.fetch(store.CONTAINER_DRUGS, labels)} if labels else set()
    heads = sorted({_head(c) for c in codes})
    filed = {r["head"] for r in await conn.fetch(store.FILED_HEADS, heads, HEAD)} if heads else set()
    known |= {c for c in codes if _head(c) in filed}
    return frozenset(unsure.keys() - _touched(items, unsure, known))


def _touched(items: Sequence[Item], unsure: Mapping[int, set[str]], known: set[str]) -> set[int]:
    """Events among `unsure` that name something known, or a container that an event of ours names."""
    naming: dict[str, list[int]] = {}
    for index, codes in unsure.items():
        for code in codes:
            naming.setdefault(code, []).append(index)
    labels = {c for c in naming if c.startswith("(00)")}
    if labels - known:
        known = known | {c for i in items if i.index not in unsure for c in _codes(i) if c in labels}
    found: set[int] = set()
    reached = [c for c in naming if c in known]
    while reached:
        for index in naming.pop(reached.pop(), ()):
            if index not in found:
                found.add(index)
                reached += [c for c in unsure[index] if c in labels]
    return found


def _strange(registry: Registry, item: Item) -> set[str] | None:
    """GS1 codes of an event of which none is of a product filed here; None when one is ours."""
    strange = set()
    for code in _codes(item):
        ours = code.startswith("(01)") and registry.resolve_prefix(code[4:18]).drug_id is not None
        if ours or not code.startswith(("(00)", "(01)")):
            return None
        strange.add(code)
    return strange
