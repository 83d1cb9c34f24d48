"""An order and its bill: planned, submitted through the one write path, confirmed.

The order (who gets which part of which box) is written down before its bill and confirmed after it. If the server
stops in between, the caller's repeat or the clock (`split_clock`) finds the bill by its number and finishes the order,
or forgets an order whose bill never came. So no part is ever booked without its owner, and none twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from asyncpg import Record

from yaosu.circulation import service as circulation
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement, MovementResult
from yaosu.db.engine import Connection, Pool
from yaosu.dispensing import split_store as store
from yaosu.dispensing import split_store_pool as pools
from yaosu.dispensing.split_model import Plan, Refused, Share
from yaosu.errors import Finding, YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


@dataclass(frozen=True, slots=True)
class Desk:
    """Who acts, and the doors they act through."""

    pool: Pool
    committer: Committer
    registry: Registry
    subject: Subject

    def owner(self, given: int | None) -> int:
        """Whose goods it is about: the subject's organisation, or a place or store of it.

        Refused (`forbidden`, `not_your_bill`) without the right to make bills there.
        """
        self.subject.require("bill.write")
        own = self.subject.org
        if given is None or given == own:
            return own
        card = self.registry.org(given)
        if card is None or card.parent_id != own:
            raise YaosuError("not_your_bill", {"name": card.name if card is not None else f"#{given}"})
        return given


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an order: its row and shares once it is done; else the refused bill."""

    order: Record | None
    shares: Sequence[Record]
    result: MovementResult | None = None
    replayed: bool = False


def digest(content: object) -> bytes:
    """SHA-256 of what an order asks for, so that a repeat is told from another order of the same number (D8)."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)).digest()


async def earlier(desk: Desk, org: int, number: str, content_hash: bytes) -> Record | None:
    """The order of that number, None when it is free; refused (`split_number_taken`) when it said something else."""
    row = await desk.pool.fetchrow(store.ORDER_BY_NUMBER, org, number)
    if row is not None and row["content_hash"] != content_hash:
        raise YaosuError("split_number_taken", {"number": number})
    return row


async def resume(desk: Desk, row: Record, body: bytes) -> Recorded:
    """Answer a repeat: the order as it is done, or finished now if its server did not come back to it."""
    shares = await desk.pool.fetch(store.SHARES, row["id"])
    if row["state"] == "done":
        return Recorded(row, shares, replayed=True)
    given = [
        Share(
            s["n"],
            s["drug_id"],
            s["code"],
            s["units"],
            s["whole"],
            s["prescription_no"],
            s["person_id"],
            s["dosage"],
        )
        for s in shares
    ]
    plan = Plan(
        row["org"],
        row["kind"],
        row["bill_type"],
        row["number"],
        row["happened_at"],
        row["content_hash"],
        given,
        row["pool_id"],
    )
    done = await settle(desk, row["id"], plan, body)
    return replace(done, replayed=True)


def lines_refused(refused: Sequence[Refused]) -> YaosuError:
    """The error that names every line with its reason."""
    findings = [Finding(r.code, r.params, f"lines[{r.n}]") for r in refused]
    return YaosuError("split_lines_refused", {"count": len(refused)}, findings)


async def _check_theirs(conn: Connection, plan: Plan) -> None:
    """Refuse lines that give back more than their prescription holds of the box.

    Two desks that take the same parts back at once take turns: the second sees what the first has planned.
    """
    named = [s for s in plan.shares if s.prescription_no]
    held: dict[tuple[int, str, str], int] = {}
    for drug_id, code in sorted({(s.drug_id, s.code) for s in named}):
        await conn.execute(store.LOCK_BOX, drug_id, code)
        for row in await conn.fetch(store.HELD_BY, drug_id, code, plan.org, plan.number):
            held[drug_id, code, row["prescription_no"]] = row["units"]
    refused = []
    for share in named:
        at = (share.drug_id, share.code, share.prescription_no)
        out = held.get(at, 0)
        if share.units > out:
            params = {"prescription": share.prescription_no, "out": max(out, 0), "asked": share.units}
            refused.append(Refused(share.n, "split_return_not_theirs", params))
        held[at] = out - share.units
    if refused:
        raise lines_refused(refused)


async def record(desk: Desk, plan: Plan, body: bytes) -> Recorded:
    """Write the order down, submit its bill, confirm it. Refused as a whole when its number is taken meanwhile."""
    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute(store.LAZY)
        if plan.kind == "return":
            await _check_theirs(conn, plan)
        order_id = await store.write_plan(conn, plan, desk.subject.account_id)
    if order_id is None:
        row = await earlier(desk, plan.org, plan.number, plan.content_hash)
        if row is None:
            raise YaosuError("too_busy")
        return await resume(desk, row, body)
    return await settle(desk, order_id, plan, body)


async def settle(desk: Desk, order_id: int, plan: Plan, body: bytes) -> Recorded:
    """Submit the bill of a planned order and confirm it; a refused bill takes the order back."""
    try:
        result = await circulation.submit(
            desk.pool, desk.committer, desk.registry, desk.subject, movement_of(plan, body)
        )
    except YaosuError:
        await undo(desk.pool, order_id, plan.pool_id)
        raise
    if result.status != "accepted":
        await undo(desk.pool, order_id, plan.pool_id)
        return Recorded(None, (), result)
    async with desk.pool.acquire() as conn, conn.transaction():
        await conn.execute(store.LAZY)
        row = await finish(conn, order_id, result.bill_id, plan.pool_id)
        if row is None:
            row = await conn.fetchrow(store.ORDER_BY_NUMBER, plan.org, plan.number)
        if row is None:
            # the clock forgot it a moment before its bill came: who got what is written down again
            again = await store.write_plan(conn, plan, desk.subject.account_id)
            assert again is not None
            order_id, row = again, await finish(conn, again, result.bill_id, None)
        shares = await conn.fetch(store.SHARES, order_id)
    return Recorded(row, shares, result)


async def finish(conn: Connection, order_id: int, bill_id: int, pool_id: int | None) -> Record | None:
    """Confirm an order once: what it had promised itself in a pool is given back, empty boxes leave the pool,
    boxes whose parts came back are in it again. None when it was confirmed before.
    """
    if pool_id is not None:
        # before the order and the boxes, as everybody does
        await conn.execute(pools.LOCK, pool_id)
    row = await conn.fetchrow(store.FINISH, order_id, bill_id)
    if row is None or pool_id is None:
        return row
    if row["kind"] == "return":
        await conn.execute(pools.PUT_BACK, order_id)
    else:
        await conn.execute(pools.RELEASE, order_id, pool_id)
        await conn.execute(pools.SETTLE, order_id, pool_id)
    return row


async def undo(pool: Pool, order_id: int, pool_id: int | None) -> None:
    """Take a planned order back with what it had promised itself."""
    async with pool.acquire() as conn, conn.transaction():
        await take_back(conn, order_id, pool_id)


async def take_back(conn: Connection, order_id: int, pool_id: int | None) -> None:
    """The same inside a transaction."""
    if pool_id is not None:
        await conn.execute(pools.LOCK, pool_id)
        state = await conn.fetchval("SELECT state FROM split_order WHERE id = $1 FOR UPDATE", order_id)
        if state == "planned":
            await conn.execute(pools.RELEASE, order_id, pool_id)
    await store.forget(conn, order_id)


def movement_of(plan: Plan, body: bytes) -> Movement:
    """The bill of an order: every box once, with the parts taken out of it; one refused box refuses it all."""
    parts: dict[str, int] = {}
    for share in plan.shares:
        if not share.whole:
            parts[share.code] = parts.get(share.code, 0) + share.units
    prescriptions = {s.prescription_no for s in plan.shares if s.prescription_no}
    people = {s.person_id for s in plan.shares}
    header: dict[str, Any] = {}
    if len(prescriptions) == 1:
        header["prescription_no"] = next(iter(prescriptions))
    return Movement(
        type=plan.bill_type,
        bill_no=plan.number,
        owner=plan.org,
        happened_at=plan.happened_at,
        codes=list(dict.fromkeys(s.code for s in plan.shares)),
        mode="atomic",
        header=header,
        body=body,
        parts=parts,
        # several people on one bill stand with their parts; the bill names a person when it is one
        person=next(iter(people)) if len(people) == 1 else None,
    )


async def time_of(desk: Desk, org: int, number: str, given: datetime | None) -> datetime:
    """When a bill happened: as stated, else as an earlier try of it said, else now; so that a repeat says the same."""
    if given is not None:
        return given
    found: datetime | None = await desk.pool.fetchval(store.TIME_OF, org, number)
    return found if found is not None else datetime.now(UTC)
