"""A small market for tests: a maker, a wholesaler, pharmacies, a hospital, one product, coded goods.

Goods are activated by plain SQL as the production room leaves them, so that tests of movements stand alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from registry.helpers import make_org, make_product
from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.store_write import ConflictError
from yaosu.circulation.write import pack_bodies
from yaosu.db.engine import Connection
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry, load_registry
from yaosu.rules.states import WITHOUT_UNITS
from yaosu.subject import Subject

_numbers = itertools.count(1)
BOX, CASE, PALLET = "8385793", "8385794", "8385795"
ALL = frozenset(["*"])


@dataclass
class Goods:
    """One activated batch: codes by level."""

    drug_id: int
    batch_id: int
    batch_no: str
    boxes: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    pallets: list[str] = field(default_factory=list)

    def boxes_of(self, case: int) -> list[str]:
        """Boxes inside the case of that number."""
        per = len(self.boxes) // len(self.cases)
        return self.boxes[case * per : (case + 1) * per]


@dataclass
class Market:
    """Who there is; every organisation by name."""

    conn: Connection
    registry: Registry
    batches: BatchCache
    maker: int
    wholesaler: int
    other: int
    pharmacy: int
    store: int
    hospital: int
    drug_id: int
    prefixes: tuple[str, str, str] = (BOX, CASE, PALLET)

    def subject(self, org: int) -> Subject:
        """Somebody of `org` who may do everything there."""
        card = self.registry.org(org)
        assert card is not None
        return Subject("account", 1, org, str(card.type), "admin", ALL, region=card.region)

    async def submit(self, movement: Movement, by: int | None = None) -> MovementResult:
        """Through the write path; raises what it refuses."""
        subject = self.subject(by if by is not None else movement.owner)
        prepared = await prepare(self.conn, self.registry, subject, movement)
        try:
            async with self.conn.transaction():
                (outcome,) = await apply_group(self.conn, [prepared], self.batches)
        except ConflictError:
            # as the committer does
            async with self.conn.transaction():
                (outcome,) = await apply_group(self.conn, [prepared], self.batches, lock=True)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def move(self, type: int, owner: int, codes: Sequence[str], **more: Any) -> MovementResult:
        """One bill, numbered and dated by itself."""
        by = more.pop("by", None)
        return await self.submit(self.movement(type, owner, codes, **more), by)

    def movement(self, type: int, owner: int, codes: Sequence[str], **more: Any) -> Movement:
        """The value of one bill, numbered and dated by itself."""
        values: dict[str, Any] = {
            "bill_no": f"T{next(_numbers)}",
            "happened_at": datetime.now(UTC) - timedelta(minutes=30),
            **more,
        }
        return Movement(type=type, owner=owner, codes=list(codes), body=b"{}", **values)

    async def ship(self, sender: int, receiver: int, codes: Sequence[str], **more: Any) -> MovementResult:
        """201 from sender to receiver, all accepted."""
        result = await self.move(201, sender, codes, to_org=receiver, **more)
        assert result.status == "accepted", [(r.code, r.verdict) for r in result.results]
        return result

    async def pass_on(self, sender: int, receiver: int, codes: Sequence[str]) -> MovementResult:
        """Shipped and received."""
        await self.ship(sender, receiver, codes)
        result = await self.move(102, receiver, codes, from_org=sender)
        assert result.status == "accepted", [(r.code, r.verdict) for r in result.results]
        return result

    async def stock(self, org: int, status: str = "I") -> int:
        """Smallest packages in an account, from the ledger."""
        query = "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE org = $1 AND status = $2"
        found: int = await self.conn.fetchval(query, org, status)
        return found

    async def status(self, code: str) -> tuple[str | None, int | None, int | None]:
        """Status, holder and destination of a package, inherited where it has none of its own."""
        row = await self.conn.fetchrow("SELECT * FROM unit WHERE code = $1", code)
        while row["parent"] is not None:
            row = await self.conn.fetchrow(
                "SELECT * FROM unit WHERE drug_id = $1 AND code = $2", row["drug_id"], row["parent"]
            )
        return row["status"], row["holder"], row["dest"]

    async def conserved(self) -> None:
        """Nothing appears and nothing vanishes: accounts sum to nothing, and agree with the units."""
        off = await self.conn.fetch(
            "SELECT drug_id, batch_id, sum(qty) FROM balance GROUP BY 1, 2 HAVING sum(qty) <> 0"
        )
        assert off == []
        entries = await self.conn.fetch(
            """
            SELECT drug_id, batch_id, org, status, sum(delta) AS qty FROM (
                SELECT drug_id, batch_id, from_org AS org, from_status AS status, -qty AS delta FROM entry
                UNION ALL SELECT drug_id, batch_id, to_org, to_status, qty FROM entry) e
            GROUP BY 1, 2, 3, 4 HAVING sum(delta) <> 0"""
        )
        balances = await self.conn.fetch(
            "SELECT drug_id, batch_id, org, status, qty FROM balance WHERE qty <> 0"
        )
        assert {tuple(r) for r in entries} == {tuple(r) for r in balances}
        units = await self.conn.fetch(
            """
            SELECT drug_id, batch_id, holder AS org, status, sum(qty)::bigint AS qty FROM (
                SELECT u.drug_id, u.batch_id, u.holder, u.status, coalesce(u.qty, 1) AS qty FROM unit u
                WHERE u.parent IS NULL AND u.batch_id <> 0
                UNION ALL SELECT u.drug_id, c.batch_id, u.holder, u.status, c.qty FROM unit u
                JOIN container_batch c ON c.drug_id = u.drug_id AND c.code = u.code
                WHERE u.parent IS NULL AND u.batch_id = 0) x
            GROUP BY 1, 2, 3, 4 HAVING sum(qty) <> 0"""
        )
        held = {tuple(r) for r in balances if r["status"] not in WITHOUT_UNITS}
        assert {tuple(r) for r in units} == held


async def make_market(conn: Connection) -> Market:
    """Organisations and one product of three levels: box, case of 10, pallet of 4 cases."""
    maker = await make_org(conn, OrgType.MAKER)
    wholesaler = await make_org(conn, OrgType.WHOLESALER)
    other = await make_org(conn, OrgType.WHOLESALER, region="650102")
    pharmacy = await make_org(conn, OrgType.RETAIL, sub_type=41)
    store = await make_org(conn, OrgType.RETAIL, parent_id=pharmacy, sub_type=42)
    hospital = await make_org(conn, OrgType.MEDICAL)
    levels = (("盒", 1, BOX), ("箱", 10, CASE), ("托盘", 40, PALLET))
    drug_id = await make_product(conn, maker, levels=levels)
    registry = await load_registry(conn)
    return Market(conn, registry, BatchCache(), maker, wholesaler, other, pharmacy, store, hospital, drug_id)


async def activate(
    market: Market,
    *,
    cases: int = 2,
    per_case: int = 10,
    pallets: int = 0,
    batch_no: str = "",
    status: str = "I",
    expires_on: date | None = None,
) -> Goods:
    """Goods as the production room leaves them: packed, state on the outermost package, ledger posted."""
    conn, drug_id, maker = market.conn, market.drug_id, market.maker
    batch_no = batch_no or f"B{next(_numbers)}"
    batch_id = await conn.fetchval(
        "INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on) "
        "VALUES ($1, $2, $3, $4, $5) RETURNING id",
        drug_id,
        batch_no,
        maker,
        date(2026, 1, 1),
        expires_on or date(2059, 12, 31),
    )
    when = datetime(2026, 1, 2, tzinfo=UTC)
    bill_id = await conn.fetchval("SELECT nextval('bill_id_seq')")
    submission = await conn.fetchval(
        "INSERT INTO submission (parts, body) VALUES (1, $1) RETURNING id", pack_bodies([b""])
    )
    total = cases * per_case
    await conn.execute(
        """
        INSERT INTO bill (id, owner, submitter, type, lines, qty, happened_at, submission_id, bill_no, content_hash,
            leaf, drug_ids) VALUES ($1, $2, $2, 1, $3::int, $3::int, $4, $5, $6, '', '', $7)""",
        bill_id,
        maker,
        total,
        when,
        submission,
        f"JH{bill_id}",
        [drug_id],
    )
    goods = Goods(drug_id, batch_id, batch_no)
    rows = []

    def code(prefix: str) -> str:
        return f"{prefix}{next(_numbers):09d}{7919 * next(_numbers) % 9973 + 1:04d}"

    box, case_, pallet = market.prefixes
    goods.pallets = [code(pallet) for _ in range(pallets)]
    for n in range(cases):
        parent = goods.pallets[n * pallets // cases] if pallets else None
        case = code(case_)
        goods.cases.append(case)
        rows.append((2, case, parent, per_case))
        for _ in range(per_case):
            one = code(box)
            goods.boxes.append(one)
            rows.append((1, one, case, None))
    per_pallet = total // pallets if pallets else 0
    rows += [(3, p, None, per_pallet) for p in goods.pallets]
    await conn.executemany(
        """
        INSERT INTO unit (last_bill, drug_id, batch_id, level, code, parent, status, holder, qty, since)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
        [
            (
                bill_id,
                drug_id,
                batch_id,
                level,
                text,
                parent,
                *((status, maker) if parent is None else (None, None)),
                qty,
                when if parent is None else None,
            )
            for level, text, parent, qty in rows
        ],
    )
    await conn.execute(
        """
        INSERT INTO entry (bill_id, drug_id, batch_id, from_org, to_org, qty, from_status, to_status)
        VALUES ($1, $2, $3, $4, $4, $5, 'P', $6)""",
        bill_id,
        drug_id,
        batch_id,
        maker,
        total,
        status,
    )
    await conn.execute(
        "INSERT INTO balance (drug_id, batch_id, org, status, qty) "
        "VALUES ($1, $2, $3, 'P', $4::bigint), ($1, $2, $3, $5, $6::bigint)",
        drug_id,
        batch_id,
        maker,
        -total,
        status,
        total,
    )
    return goods
