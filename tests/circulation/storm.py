"""A driver that throws random bills at the write path and at a boxes-only model of it (`storm_model`).

The model knows single boxes, which package holds which, opened boxes by preparation units, uncoded stock by
quantity, stops, and the bills on record. It predicts the fate of every scan of every bill, legal or not: moved,
booked to quarantine or refused; of voids and corrections whether later facts forbid them. The write path judges the
same bills in groups, as the committer would. After each group fates are compared, after each season every box,
package, opened box and account.
"""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from circulation.helpers import Market, activate
from circulation.storm_model import Bill, Model, Stop
from yaosu.circulation.apply import apply_group
from yaosu.circulation.assume import runs_of
from yaosu.circulation.model import Movement, MovementResult, Prepared, Quantity
from yaosu.circulation.prepare import prepare
from yaosu.circulation.store_write import AssumptionError
from yaosu.circulation.way_home import AloneError
from yaosu.errors import YaosuError
from yaosu.rules.bill_types import bill_types
from yaosu.stops import service as stops

HEADER = {
    "reason": "1",
    "reason_text": "随机检验",
    "executer_name": "甲",
    "superviser_name": "乙",
    "invoice_no": "FP-1",
    "invoice_date": "2025-01-01",
}
DATES = (date(2026, 1, 1), date(2059, 12, 31))
SHIPS = (201, 202, 203, 209, 211, 212)
RECEIPTS = (102, 103, 104, 108)
USES = (321, 323)
OTHERS = (6, 7, 8, 101, 111, 112, 116, 204, 205, 206, 214, 215, 216, 220)
UNCODED = (21, 22, 23, 25)
GROUP = 24
"""Bills judged and written together."""


class Storm:
    """Throws random bills at the write path and the model."""

    def __init__(self, market: Market, rng: random.Random) -> None:
        self.market, self.rng = market, rng
        self.actors = [market.maker, market.wholesaler, market.pharmacy, market.store, market.hospital]
        self.steps = self.moved = self.refused = self.forbidden = 0
        self.kinds: dict[str, int] = {}
        self.number = 0
        self.group_max = GROUP
        self.aside = self.astray = 0
        """Scans of goods that went back into quarantine, and of stopped ones that were sent to a stranger."""
        self.guessed = self.wrong = 0
        """Groups with units whose state was taken from others, and those where that was wrong."""

    async def season(self, bills: int) -> None:
        """Fresh goods, `bills` random steps, then everything is compared."""
        market = self.market
        goods = await activate(market, cases=6, per_case=4, pallets=2)
        self.model = Model(goods, market.maker, market.hospital, (market.pharmacy, market.store))
        self.everything = [*goods.pallets, *goods.cases, *goods.boxes]
        self.goods = goods
        done = 0
        while done < bills:
            done += await self.group()
            if self.rng.random() < 0.15:
                await self.stop_or_go()
        await self.compare()
        for stop in self.model.stops:
            await stops.lift(market.conn, stop.id, "季末")

    async def group(self) -> int:
        """One group of bills, judged together."""
        movements: list[Movement] = []
        numbers: set[str] = set()
        while len(movements) < self.group_max:
            m = self.movement()
            if m.bill_no in numbers:
                break
            numbers.add(m.bill_no)
            movements.append(m)
        market = self.market
        prepared: list[Prepared] = []
        for m in movements:
            prepared.append(await prepare(market.conn, market.registry, market.subject(m.owner), m))
        outcomes = await self.judged(prepared)
        for m, outcome in zip(movements, outcomes, strict=True):
            self.check(m, outcome)
        return len(movements)

    async def judged(self, prepared: list[Prepared], lock: bool = False) -> list[MovementResult | YaosuError]:
        """The outcomes of a group, as the committer comes to them."""
        market = self.market
        try:
            async with market.conn.transaction():
                outcomes = await apply_group(market.conn, prepared, market.batches, lock=lock)
            self.guessed += bool(runs_of(prepared)[0]) and not lock
        except AssumptionError:
            self.wrong += 1
            outcomes = await self.judged(prepared, lock=True)
        except AloneError:
            outcomes = [one for p in prepared for one in await self.judged([p])]
        return outcomes

    def check(self, m: Movement, outcome: MovementResult | YaosuError) -> None:
        """The model says the same of one bill."""
        expected = self.model.expect(m)
        self.steps += 1
        what = "void" if m.void else ("correction" if m.revision > 1 else bill_types()[m.type].kind)
        self.kinds[what] = self.kinds.get(what, 0) + 1
        if isinstance(outcome, YaosuError):
            assert outcome.code == expected, (m, outcome.code, expected)
            self.forbidden += 1
            return
        told = [
            ("aside" if r.accepted else "quarantined")
            if r.quarantined
            else ("moved" if r.accepted else "refused")
            for r in outcome.results
        ]
        assert told == expected, (
            m,
            [(r.code, r.verdict) for r in outcome.results],
            expected,
            [self.model.state_of(c) for c in m.codes],
            self.model.why,
        )
        self.aside += told.count("aside")
        self.astray += sum(r.verdict == "not_way_home" for r in outcome.results)
        self.moved += told.count("moved")
        self.refused += told.count("refused")

    def told(self, box: str) -> list[str]:
        """The bills that name a box or a package it started in, to understand a disagreement."""
        named = {box, *(c for c in self.everything if box in c)}
        return [
            f"{b.movement.bill_no}r{b.movement.revision}{' void' if b.void else ''} {b.movement.type} {b.lines.get(c)}"
            for b in self.model.bills.values()
            for c in named
            if c in b.lines
        ]

    # ── random bills ──

    def movement(self) -> Movement:
        """Mostly something somebody could do; now and then nonsense."""
        rng = self.rng
        choice = rng.random()
        live = [b for b in self.model.bills.values() if not b.void]
        if choice < 0.12 and live:
            # what was done lately is what people correct
            bill = rng.choice(live[-12:])
            return self.revision(bill)
        self.number += 1
        number = f"R{self.number}"
        when = datetime.now(UTC) - timedelta(minutes=30)
        if choice < 0.22:
            return self.quantity(number, when)
        code = rng.choice(self.everything)
        state = self.model.state_of(code)
        status, holder, dest = state if state is not None else ("I", rng.choice(self.actors), None)
        kind, owner, other = self._fitting(status, holder, dest)
        if rng.random() < 0.15:
            kind = rng.choice((*SHIPS, *RECEIPTS, *USES, *OTHERS, 24))
            owner = rng.choice(self.actors)
        spec = bill_types()[kind]
        if self.market.registry.org(owner).type not in spec.actors:  # type: ignore[union-attr]
            fitting = [
                a
                for a in self.actors
                if self.market.registry.org(a).type in spec.actors  # type: ignore[union-attr]
            ]
            owner = owner if not fitting else rng.choice(fitting)
        others = [a for a in self.actors if a != owner]
        if other == owner or other is None:
            other = rng.choice(others)
        codes = [code, *(rng.choice(self.everything) for _ in range(rng.choice((0, 0, 1, 2, 4))))]
        if rng.random() < 0.05:
            codes.append("83857930000000000009")
        parts: dict[str, int] = {}
        if spec.parts and (spec.kind == "split_loss" or rng.random() < 0.6):
            chosen = [c for c in dict.fromkeys(codes) if c in self.model.state or rng.random() < 0.1]
            parts = {c: rng.choice((1, 3, 6, 12, 24, 25)) for c in chosen}
        more: dict[str, Any] = {}
        if spec.kind == "ship":
            more["to_org"] = other
        elif spec.by_dest:
            more["from_org"] = holder if rng.random() < 0.85 and holder != owner else other
        if spec.code == 24:
            more["header"] = HEADER
        mode = "atomic" if rng.random() < 0.2 else "per_code"
        values: dict[str, Any] = {"header": HEADER, "mode": mode, "parts": parts, **more}
        return Movement(
            type=kind, bill_no=number, owner=owner, happened_at=when, codes=codes, body=b"{}", **values
        )

    def _fitting(self, status: str, holder: int, dest: int | None) -> tuple[int, int, int | None]:
        rng = self.rng
        if status == "O" and dest is not None:
            return rng.choice((*RECEIPTS[:3], 102, 102, 24)), dest, holder
        if status == "I":
            retail = holder in (self.market.pharmacy, self.market.store)
            ends = {True: (321, 321, 7), False: (323, 323, 7)}
            final = holder in (self.market.pharmacy, self.market.store, self.market.hospital)
            pool = (*SHIPS, 201, 201, *(ends[retail] if final else ()), 112, 206, 214, 215)
            return rng.choice(pool), holder, None
        by_status = {
            "Q": (6, 6, 6, 202, 214, 220),
            "S": (116,),
            "D": (321, 323, 323, 8, 112, 116),
            "N": (111, 111, 111),
            "A": (101, 201),
            "X": (201,),
        }
        if status == "Q" and rng.random() < 0.03:
            return 205, holder, None
        return rng.choice(by_status.get(status, (201,))), holder, None

    def quantity(self, number: str, when: datetime) -> Movement:
        """A bill about goods without codes."""
        rng, market = self.rng, self.market
        kind = rng.choice(UNCODED)
        owner = rng.choice((market.pharmacy, market.hospital))
        batches = rng.sample([self.model.batch_no, "W1", "W2"], rng.choice((1, 1, 2)))
        quantities = [
            Quantity(market.drug_id, b, rng.randint(1, 30 if kind == 21 else 12), *DATES) for b in batches
        ]
        to = {"to_org": market.wholesaler} if kind == 22 else {}
        mode = "atomic" if rng.random() < 0.2 else "per_code"
        return Movement(
            type=kind,
            bill_no=number,
            owner=owner,
            happened_at=when,
            codes=(),
            quantities=quantities,
            header=HEADER,
            mode=mode,  # type: ignore[arg-type]
            body=b"{}",
            **to,
        )

    def revision(self, bill: Bill) -> Movement:
        """A void or correction of a bill on record."""
        rng, old = self.rng, bill.movement
        values: dict[str, Any] = {
            name: getattr(old, name)
            for name in ("type", "bill_no", "owner", "happened_at", "from_org", "to_org", "header", "mode")
        }
        values["revision"] = old.revision + 1
        if rng.random() < 0.5:
            return Movement(codes=(), void=True, body=b"{}", **values)
        if bill.kind.by_quantity:
            changed = [Quantity(q.drug_id, q.batch_no, rng.randint(1, 12), *DATES) for q in old.quantities]
            return Movement(codes=(), quantities=changed, body=b"{}", **values)
        codes = list(dict.fromkeys(old.codes))
        if len(codes) > 1 and rng.random() < 0.4:
            codes.pop(rng.randrange(len(codes)))
        if rng.random() < 0.6:
            codes.append(rng.choice(self.everything))
        other = rng.random() < 0.3
        parts = {c: rng.choice((1, 3, 6, 12)) if other else p for c, p in old.parts.items() if c in codes}
        return Movement(codes=codes, parts=parts, body=b"{}", **values)

    async def stop_or_go(self) -> None:
        """Place a recall, lock or suspension, or lift one."""
        rng, market, model = self.rng, self.market, self.model
        if model.stops and rng.random() < 0.7:
            stop = model.stops.pop(rng.randrange(len(model.stops)))
            assert await stops.lift(market.conn, stop.id, "解除")
            return
        whole = rng.random() < 0.3
        code = rng.choice(self.everything)
        org = rng.choice(self.actors) if rng.random() < 0.4 else None
        made = await stops.place(
            market.conn,
            kind="suspension" if org is not None else rng.choice(("recall", "lock")),
            ref=1,
            number="T",
            title="随机检验",
            level=None,
            placed_by=market.maker,
            reason="",
            batches=[(self.goods.drug_id, self.goods.batch_id)] if whole else [],
            codes=[] if whole else [(self.goods.drug_id, code)],
            org=org,
        )
        within = frozenset([code, *(c for c in model.parents if code in model.parents[c])])
        model.stops.append(Stop(made, None if whole else within, org))

    async def compare(self) -> None:
        """Boxes, packages, opened boxes and uncoded accounts against the database; and the database with itself."""
        conn, model = self.market.conn, self.model
        for box, expected in model.state.items():
            found = await self.market.status(box)
            assert found == expected, (box, found, expected, self.told(box))
        rows = await conn.fetch(
            "SELECT code, coalesce(qty, 1) AS qty FROM unit WHERE code = ANY($1)", self.everything
        )
        assert {r["code"]: r["qty"] for r in rows} == {c: len(model.inside[c]) for c in self.everything}
        rows = await conn.fetch(
            "SELECT code, unit_left, unit_out, unit_lost FROM split_pack WHERE code = ANY($1)",
            self.everything,
        )
        told = {r["code"]: (r["unit_left"], r["unit_out"], r["unit_lost"]) for r in rows}
        opened = {c: (s.left, s.out, s.lost) for c, s in model.splits.items()}
        off = [c for c in {*told, *opened} if told.get(c) != opened.get(c)]
        assert not off, [(c, told.get(c), opened.get(c), self.told(c)) for c in off]
        rows = await conn.fetch(
            "SELECT x.org, b.batch_no, x.status, x.qty FROM balance x JOIN batch b ON b.drug_id = x.drug_id "
            "AND b.id = x.batch_id WHERE x.status IN ('U', 'T', 'W') AND x.qty <> 0"
        )
        booked = {(r["org"], r["batch_no"], r["status"]): r["qty"] for r in rows}
        assert booked == {k: q for k, q in model.uncoded.items() if q}
        await self.market.conserved()
