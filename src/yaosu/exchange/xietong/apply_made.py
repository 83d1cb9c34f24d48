"""What firms of another system made of products whose holder or maker works here: taken into our books (R-A3, R-A4)."""

from __future__ import annotations

from yaosu.errors import YaosuError
from yaosu.exchange.adopt import service as adopt
from yaosu.exchange.adopt.model import Upstream
from yaosu.exchange.xietong.apply_base import home_of, org_of
from yaosu.exchange.xietong.apply_bills import CODES_MAX, Booked, Desk, package, speaks_for
from yaosu.exchange.xietong.envelope import Content


async def apply(desk: Desk, origin: str, content: Content, last: bool) -> Booked:
    """Units in the account of the firm that made them; nothing to do where only batches are told."""
    async with desk.pool.acquire() as conn:
        home = await home_of(conn, origin)
        key = content.text("owner", True, 40)
        owner = await org_of(conn, desk.registry, key)
        if owner is None:
            raise YaosuError("xietong_no_firm_here", {"firm": key})
        if not await speaks_for(conn, origin, home, owner):
            raise YaosuError("xietong_not_your_firm", {"firm": key})
    value = content.text("product", True, 60)
    found = desk.registry.resolve_prefix(value)
    if found.system is None or found.drug_id is None or found.system.id != home:
        raise YaosuError("xietong_no_product_here", {"value": value})
    packages = [package(desk.registry, one, 0) for one in content.parts("packages", CODES_MAX)]
    if not packages:
        return Booked("done", None, {"note": "batches only"})
    number = content.text("bill_no", True, 64)
    upstream = Upstream(home, owner, owner, number, content.time("happened_at"), packages)
    taken, wrong = await adopt.take_in(desk.pool, desk.registry, desk.master, upstream)
    said = {"taken_in": len(taken), **({"refused": [f.as_json("zh") for f in wrong][:1000]} if wrong else {})}
    return Booked("partly" if wrong else "done", None, said)
