"""What another trace system recalls or locks of its own codes takes hold here (R-E4, R-B9)."""

from __future__ import annotations

from typing import Literal

from yaosu.codes import TraceCode, parse
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.adopt import stops
from yaosu.exchange.adopt.stops import ForeignStop
from yaosu.exchange.xietong import stopping
from yaosu.exchange.xietong.apply_base import home_of, org_of
from yaosu.exchange.xietong.apply_bills import Booked, Desk
from yaosu.exchange.xietong.envelope import Content
from yaosu.exchange.xietong.stopping import Word
from yaosu.registry.resolver import Registry


async def apply(desk: Desk, origin: str, content: Content, last: bool) -> Booked:
    """Book one event. What is taken back before it came waits for it, and in the end is known as withdrawn."""
    word = stopping.read(content)
    kind: Literal["recall", "lock"] = "lock" if word.kind == "lock" else "recall"
    async with desk.pool.acquire() as conn, conn.transaction():
        home = await home_of(conn, origin)
        drug_id = _product(desk.registry, home, word.product)
        if word.act != "stop":
            if await stops.end(
                conn, desk.registry, home, kind, word.number, word.reason, lift=word.act == "lift"
            ):
                return Booked("done", None, {})
            if not last:
                return Booked("refused", None, {"note": "not come yet"}, held=True)
            await stops.never(conn, home, kind, word.number, drug_id)
            return Booked("done", None, {"note": "never came"})
        ours, new = await stops.take(conn, desk.registry, await _stop(conn, desk, home, drug_id, kind, word))
    if ours is None:
        return Booked("done", None, {"note": "withdrawn before it came"})
    return Booked("done", None, {kind: ours} if new else {kind: ours, "note": "repeated"})


def _product(registry: Registry, home: int, value: str) -> int:
    """Our number of the product; waits while it is not known, and is refused when the code is not of that system."""
    found = registry.resolve_prefix(value)
    if found.system is None or found.drug_id is None or found.system.id != home:
        raise YaosuError("xietong_no_product_here", {"value": value})
    return found.drug_id


async def _stop(
    conn: Connection, desk: Desk, home: int, drug_id: int, kind: Literal["recall", "lock"], word: Word
) -> ForeignStop:
    codes = []
    for raw in word.codes:
        code = parse(raw, desk.registry.customs)
        codes.append(code.text if isinstance(code, TraceCode) else raw)
    return ForeignStop(
        home=home,
        kind=kind,
        number=word.number,
        drug_id=drug_id,
        title=word.title,
        reason=word.reason,
        batch_nos=word.batches,
        codes=codes,
        level=word.level,
        ordered=word.ordered,
        public=word.public,
        hazard=word.hazard,
        measure=word.measure,
        regions=word.regions,
        goal=await org_of(conn, desk.registry, word.return_to),
    )
