"""A maker with goods in stock, its packing, and what must hold of all packages afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from production.helpers import MASTER
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.production import activation, packing
from yaosu.production.containers import DEPTH_MAX
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


class Shop:
    """A maker with two full cases of 3 × 4 boxes in stock, and what can be asked of it."""

    def __init__(
        self, db: Connection, subject: Subject, drug_id: int, registry: Registry, folder: Path
    ) -> None:
        self.db, self.subject, self.drug_id, self.registry, self.folder = (
            db,
            subject,
            drug_id,
            registry,
            folder,
        )

    async def activate(self, data: bytes) -> None:
        path = self.folder / "relation.xml"
        path.write_bytes(data)
        options = activation.Options(stock_in=True)
        await activation.activate(self.db, self.subject, path, self.registry, MASTER, options)

    async def unit(self, text: str, drug_id: int = 0) -> dict[str, object]:
        row = await self.db.fetchrow(
            "SELECT * FROM unit WHERE drug_id = $1 AND code = $2", drug_id or self.drug_id, text
        )
        assert row is not None
        return dict(row)

    async def pack(self, container: str, *codes: str, bill_no: str = "") -> packing.Packed:
        return await packing.pack(self.db, self.subject, self.registry, container, codes, bill_no)

    async def unpack(self, *codes: str, whole: bool = False) -> packing.Packed:
        return await packing.unpack(self.db, self.subject, self.registry, codes, whole)

    async def findings(self, call: object) -> list[Finding]:
        """What a refused bill says, which leaves nothing behind."""
        with pytest.raises(YaosuError) as refused:
            async with self.db.transaction():
                await call  # type: ignore[misc]
        assert refused.value.code == "pack_refused", refused.value.code
        assert all(f.next_step("zh") for f in refused.value.findings)
        return list(refused.value.findings)

    async def refused(self, call: object) -> list[str]:
        return [f.code for f in await self.findings(call)]

    async def sound(self) -> None:
        """Every count equals what is inside; state on the outermost only; the ledger says the same."""
        units = [dict(r) for r in await self.db.fetch("SELECT * FROM unit")]
        by_key = {(u["drug_id"], u["code"]): u for u in units}
        inside: dict[tuple[int, str], int] = {}
        for u in units:
            if u["parent"] is not None:
                assert u["status"] is None and u["holder"] is None and u["since"] is None, u
                key = (u["drug_id"], u["parent"])
                assert key in by_key, u
                inside[key] = inside.get(key, 0) + (1 if u["qty"] is None else u["qty"])
            else:
                assert u["status"] and u["holder"] and u["since"], u
        for key, u in by_key.items():
            if u["level"] > 1 and u["status"] != "C":
                assert u["qty"] == inside.get(key, 0), (u, inside.get(key, 0))
        stock: dict[tuple[int, str], int] = {}
        for u in units:
            if u["parent"] is None:
                qty = 1 if u["qty"] is None else u["qty"]
                stock[(u["drug_id"], u["status"])] = stock.get((u["drug_id"], u["status"]), 0) + qty
        rows = await self.db.fetch("SELECT drug_id, status, sum(qty)::int AS n FROM balance GROUP BY 1, 2")
        booked = {(r["drug_id"], r["status"]): r["n"] for r in rows if r["n"]}
        assert {k: v for k, v in booked.items() if k[1] != "P"} == {k: v for k, v in stock.items() if v}
        for drug_id in {k[0] for k in booked}:
            assert sum(v for k, v in booked.items() if k[0] == drug_id) == 0
        mixed = await self.db.fetch(
            "SELECT drug_id, code, sum(qty)::int AS n FROM container_batch GROUP BY 1, 2"
        )
        for r in mixed:
            held = by_key[(r["drug_id"], r["code"])]
            assert held["batch_id"] == 0 and held["qty"] == r["n"]
        # a logistics container stands in one place with all its rows, and its label says which they are
        labels = {
            r["code"]: sorted(r["drug_ids"]) for r in await self.db.fetch("SELECT * FROM logistics_container")
        }
        rows: dict[str, list[dict[str, object]]] = {}
        for u in units:
            if u["level"] == 90:
                rows.setdefault(u["code"], []).append(u)
        assert labels == {c: sorted(r["drug_id"] for r in held) for c, held in rows.items()}
        for held in rows.values():
            assert len({(r["parent"], r["status"], r["holder"]) for r in held}) == 1, held
            depth, one = 1, held[0]
            while one["parent"] is not None:
                depth, one = depth + 1, by_key[(one["drug_id"], one["parent"])]
                assert depth <= DEPTH_MAX, held
