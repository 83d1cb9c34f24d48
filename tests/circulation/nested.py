"""A pallet of cartons and a case: logistics units in a logistics unit, of two products."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from circulation.helpers import Goods, Market, activate
from registry.helpers import make_product
from yaosu.production import packing
from yaosu.registry.resolver import load_registry
from yaosu.simulate.cast import with_check_digit

_labels = itertools.count(1)
OTHER = ("8390001", "8390002", "8390003")


def label() -> str:
    """A fresh SSCC."""
    return "(00)" + with_check_digit(f"06988888{next(_labels):09d}", 18)


@dataclass
class Stack:
    """A pallet: `mixed` holds a case and a box of one product and a case of the other, `plain` a case, and a case
    stands beside them. 10 + 1 + 10, 10, 10: 41 boxes, 31 of the first product.
    """

    market: Market
    one: Goods
    two: Goods
    pallet: str
    mixed: str
    plain: str
    loose: str
    """The box in the mixed carton."""

    @property
    def side(self) -> str:
        """The case that stands on the pallet as it is."""
        return self.one.cases[2]

    async def pack(self, org: int, container: str, *codes: str) -> packing.Packed:
        """Packed by `org`."""
        market = self.market
        done = await packing.pack(market.conn, market.subject(org), market.registry, container, codes)
        await self._earlier()
        return done

    async def unpack(self, org: int, *codes: str, whole: bool = False) -> packing.Packed:
        """Unpacked by `org`."""
        market = self.market
        done = await packing.unpack(market.conn, market.subject(org), market.registry, codes, whole)
        await self._earlier()
        return done

    async def _earlier(self) -> None:
        """Packing happens when it is told; the market's bills say half an hour before."""
        await self.market.conn.execute(
            "UPDATE unit SET since = since - interval '1 day' WHERE since IS NOT NULL"
        )

    async def holds(self, code: str) -> list[int]:
        """Smallest packages in a container, by product."""
        rows = await self.market.conn.fetch("SELECT qty FROM unit WHERE code = $1 ORDER BY drug_id", code)
        return [r["qty"] for r in rows]

    async def counted(self) -> None:
        """Every package holds what is inside it, containers stand in one place, and the ledger agrees."""
        await self.market.conserved()
        conn = self.market.conn
        wrong = await conn.fetch(
            """
            SELECT u.code, u.qty, sum(coalesce(c.qty, 1)) FROM unit u
            LEFT JOIN unit c ON c.drug_id = u.drug_id AND c.parent = u.code
            WHERE u.level > 1 GROUP BY u.drug_id, u.code, u.qty HAVING u.qty <> coalesce(sum(coalesce(c.qty, 1)), 0)
                AND count(c.code) > 0 OR count(c.code) = 0 AND u.qty <> 0"""
        )
        assert wrong == []
        wrong = await conn.fetch(
            "SELECT code FROM unit WHERE level = 90 AND qty > 0 GROUP BY code "
            "HAVING count(DISTINCT (coalesce(parent, ''), status, holder, dest)) > 1"
        )
        assert wrong == []
        wrong = await conn.fetch(
            """
            SELECT c.code FROM unit c JOIN (
                SELECT drug_id, code, sum(qty) AS qty FROM container_batch GROUP BY 1, 2) b USING (drug_id, code)
            WHERE c.batch_id = 0 AND b.qty <> c.qty"""
        )
        assert wrong == []


async def make_stack(market: Market) -> Stack:
    """Goods of two products in the maker's stock, packed."""
    conn = market.conn
    one = await activate(market, cases=6)
    levels = tuple(zip(("盒", "箱", "托盘"), (1, 10, 40), OTHER, strict=True))
    drug_id = await conn.fetchval("SELECT drug_id FROM code_prefix WHERE prefix = $1", OTHER[0])
    if drug_id is None:
        drug_id = await make_product(conn, market.maker, levels=levels, generic_name="第二测试片")
        market.registry = await load_registry(conn)
    two = await activate(replace(market, drug_id=drug_id, prefixes=OTHER), cases=4)
    stack = Stack(market, one, two, label(), label(), label(), one.boxes_of(3)[0])
    await stack.pack(market.maker, stack.mixed, one.cases[0], stack.loose, two.cases[0])
    await stack.pack(market.maker, stack.plain, one.cases[1])
    await stack.pack(market.maker, stack.pallet, stack.mixed, stack.plain, stack.side)
    return stack
