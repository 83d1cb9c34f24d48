"""A boxes-only model of everything the write path does, and a driver that throws random bills at both.

The model knows single boxes, which package holds which, opened boxes by preparation units, uncoded stock by
quantity, stops, and the bills on record. It predicts the fate of every scan of every bill, legal or not: moved,
booked to quarantine or refused; of voids and corrections whether later facts forbid them. The write path judges the
same bills in groups, as the committer would. After each group fates are compared, after each season every box,
package, opened box and account.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from circulation.helpers import Goods, Market, activate
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import Movement, MovementResult, Prepared, Quantity
from yaosu.circulation.prepare import prepare
from yaosu.errors import YaosuError
from yaosu.rules.bill_types import BillType, bill_types
from yaosu.stops import service as stops

TOTAL = 24
"""Preparation units in a box of the market's product."""
HEADER = {
    "reason": "1",
    "reason_text": "随机检验",
    "executer_name": "甲",
    "superviser_name": "乙",
    "invoice_no": "FP-1",
    "invoice_date": "2025-01-01",
}
DATES = (date(2026, 1, 1), date(2029, 12, 31))
SHIPS = (201, 202, 203, 209, 211, 212)
RECEIPTS = (102, 103, 104, 108)
USES = (321, 323)
OTHERS = (6, 7, 8, 101, 111, 112, 116, 204, 205, 206, 214, 215, 216, 220)
UNCODED = (21, 22, 23, 25)
GROUP = 24
"""Bills judged and written together."""

State = tuple[str, int, int | None]


@dataclass
class Split:
    """An opened box."""

    left: int
    out: int = 0
    lost: int = 0


@dataclass
class Line:
    """What a bill did to one code."""

    token: object
    pre: State
    post: str
    qty: int
    opened: bool = False
    part: int = 0


@dataclass
class Bill:
    """A bill on record, as the model remembers it."""

    movement: Movement
    kind: BillType
    lines: dict[str, Line]
    moved: dict[str, int] = field(default_factory=dict)
    """Uncoded smallest packages by batch."""
    supplemented: int = 0
    void: bool = False


@dataclass
class Stop:
    """A stop in force."""

    id: int
    codes: frozenset[str] | None
    """None: the whole batch."""
    org: int | None


class Model:
    """Boxes, packages, opened boxes, quantities, stops and bills."""

    def __init__(self, goods: Goods, owner: int, hospital: int) -> None:
        self.hospital = hospital
        self.batch_no = goods.batch_no
        self.state: dict[str, State] = dict.fromkeys(goods.boxes, ("I", owner, None))
        self.inside: dict[str, set[str]] = {box: {box} for box in goods.boxes}
        self.parents: dict[str, list[str]] = {box: [] for box in goods.boxes}
        per = len(goods.boxes) // len(goods.cases)
        for n, case in enumerate(goods.cases):
            self.inside[case] = set(goods.boxes[n * per : (n + 1) * per])
            self.parents[case] = []
            for box in self.inside[case]:
                self.parents[box].append(case)
        for n, pallet in enumerate(goods.pallets):
            cases = [c for i, c in enumerate(goods.cases) if i * len(goods.pallets) // len(goods.cases) == n]
            self.inside[pallet] = set().union(*(self.inside[c] for c in cases))
            self.parents[pallet] = []
            for case in cases:
                self.parents[case].append(pallet)
                for box in self.inside[case]:
                    self.parents[box].append(pallet)
        self.history: dict[str, list[object]] = {code: [] for code in self.inside}
        self.rest: dict[str, State] = {}
        """State of packages that were emptied."""
        self.splits: dict[str, Split] = {}
        self.uncoded: dict[tuple[int, str, str], int] = {}
        self.stops: list[Stop] = []
        self.bills: dict[str, Bill] = {}
        self.why = ""
        """What stood in the way of the last correction that was forbidden."""

    # ── looking ──

    def state_of(self, code: str) -> State | None:
        """State of a package: that of any box in it, of an empty one that of what it stands in; None: unknown."""
        if code not in self.inside:
            return None
        if self.inside[code]:
            return self.state[next(iter(self.inside[code]))]
        return self.state_of(self.parents[code][-1]) if self.parents[code] else self.rest[code]

    def stopped(self, code: str, owner: int) -> bool:
        """Whether a stop forbids `owner` to move the package."""
        for stop in self.stops:
            if stop.org is not None and stop.org != owner:
                continue
            if stop.codes is None or code in stop.codes:
                return True
            if any(p in stop.codes for p in self.parents[code]):
                return True
            if any(self.inside[other] <= self.inside[code] for other in stop.codes if self.inside[other]):
                boxes = self.inside[code]
                within = (o for o in stop.codes if o == code or code in self.parents[o])
                if any(self.inside[o] & boxes for o in within):
                    return True
        return False

    def fate(self, kind: BillType, m: Movement, code: str) -> str:
        """moved, quarantined, refused, or memo: refused and kept on record as goods in hand; for a code that stands
        once and not inside another of the bill."""
        state = self.state_of(code)
        receiving = kind.kind == "receive"
        if state is None:
            return "memo" if receiving else "refused"
        status, holder, dest = state
        right = (
            status == "O" and dest == m.owner if kind.by_dest else status in kind.pre and holder == m.owner
        )
        if not right:
            return "memo" if receiving and (holder != m.owner or status in "SCXN") else "refused"
        if not self.inside[code]:
            return "refused"
        if not kind.stopped and self.stopped(code, m.owner):
            return "quarantined" if receiving else "refused"
        if kind.kind == "ship" and code in self.splits:
            return "refused"
        if kind.kind in ("use", "give_back", "open", "split_loss") and not self._splittable(kind, m, code):
            return "refused"
        if receiving and m.from_org and holder not in (m.from_org, m.owner):
            return "quarantined"
        return "moved"

    def _splittable(self, kind: BillType, m: Movement, code: str) -> bool:
        part = m.parts.get(code, 0)
        split = self.splits.get(code)
        if kind.kind == "open":
            return code in self.state
        if not part:
            return split is None
        if code not in self.state:
            return False
        if split is None:
            status = self.state[code][0]
            return status != "S" and part <= TOTAL
        return part <= (split.out if kind.parts == "return" else split.left)

    # ── changing ──

    def take_out(self, code: str) -> None:
        """The package leaves those around it."""
        gone = self.inside[code]
        for around in self.parents[code]:
            self.rest[around] = self.state[next(iter(gone))]
            self.inside[around] = self.inside[around] - gone
        for other in self.parents:
            if other != code and code in self.parents[other]:
                self.parents[other] = self.parents[other][: self.parents[other].index(code) + 1]
        self.parents[code] = []

    def move(self, kind: BillType, m: Movement, code: str, fate: str, token: object) -> Line:
        """Carry out one fate."""
        pre = self.state_of(code)
        assert pre is not None
        post, opened, part = "Q" if fate == "quarantined" else kind.post, False, 0
        if fate == "moved":
            part = m.parts.get(code, 0)
            if part or kind.kind == "open":
                opened = code not in self.splits
                split = self.splits.setdefault(code, Split(TOTAL))
                if kind.parts == "dispense":
                    split.left, split.out = split.left - part, split.out + part
                elif kind.parts == "return":
                    split.left, split.out = split.left + part, split.out - part
                elif kind.parts == "loss":
                    split.left, split.lost = split.left - part, split.lost + part
                post = "D" if split.left else "S"
            elif kind.kind in ("release", "find") and code in self.splits:
                post = "D" if self.splits[code].left else "S"
        self.take_out(code)
        dest = m.to_org if post == "O" else None
        for box in self.inside[code]:
            self.state[box] = (post, m.owner, dest)
        self.history[code].append(token)
        return Line(token, pre, post, len(self.inside[code]), opened, part)

    def moved_on(self, code: str, line: Line) -> bool:
        """Whether something came after the line that still stands."""
        return self.history[code][-1] is not line.token or len(self.inside[code]) != line.qty

    def take_back(self, bill: Bill, codes: Sequence[str]) -> None:
        """Reverse lines of a bill on which nothing was built."""
        for code in codes:
            line = bill.lines[code]
            self.history[code].pop()
            for box in self.inside[code]:
                self.state[box] = line.pre
            if line.part:
                split = self.splits[code]
                if bill.kind.parts == "dispense":
                    split.left, split.out = split.left + line.part, split.out - line.part
                elif bill.kind.parts == "return":
                    split.left, split.out = split.left - line.part, split.out + line.part
                else:
                    split.left, split.lost = split.left + line.part, split.lost - line.part
            if line.opened:
                del self.splits[code]

    def shift(self, owner: int, batch: str, status: str, qty: int) -> None:
        """Change an account of uncoded goods."""
        key = (owner, batch, status)
        self.uncoded[key] = self.uncoded.get(key, 0) + qty

    def snapshot(self) -> Any:
        """All that a refused correction goes back to."""
        return (
            dict(self.state),
            {k: set(v) for k, v in self.inside.items()},
            {k: list(v) for k, v in self.parents.items()},
            {k: list(v) for k, v in self.history.items()},
            {k: Split(s.left, s.out, s.lost) for k, s in self.splits.items()},
            dict(self.uncoded),
            dict(self.rest),
        )

    def restore(self, saved: Any) -> None:
        """Go back."""
        self.state, self.inside, self.parents, self.history, self.splits, self.uncoded, self.rest = saved

    # ── whole bills ──

    def expect(self, m: Movement) -> list[str] | str:
        """The fate of each scan, or the code of the error that refuses the bill; carries it out."""
        kind = bill_types()[m.type]
        before = self.bills.get(m.bill_no)
        saved = self.snapshot() if before is not None else None
        kept: dict[str, Line] = {}
        if before is not None:
            moved_on = [c for c, line in before.lines.items() if self.moved_on(c, line)]
            kept = {
                c: before.lines[c]
                for c in moved_on
                if not m.void
                and c in m.codes
                and before.lines[c].post not in ("Q", "D")
                and before.lines[c].pre[0] != "D"
                and not before.lines[c].part
                and c not in m.parts
            }
            if len(kept) < len(moved_on):
                self.why = str([(c, before.lines[c], len(self.inside[c]), self.history[c]) for c in moved_on])
                return "later_fact"
            if not self._take_back_uncoded(before):
                return "later_fact"
            self.take_back(before, [c for c in before.lines if c not in kept])
            if m.void:
                before.void = True
                return []
        fates, bill = self._judge(kind, m, kept)
        refused = [f for f in fates if f != "moved"]
        memo = kind.kind == "receive" and any(f == "memo" for f in fates)
        nothing = all(f in ("refused", "memo") for f in fates) and not memo
        if nothing or (refused and m.mode == "atomic"):
            if saved is not None:
                self.restore(saved)
            return ["refused" if f == "memo" or m.mode != "atomic" else f for f in fates]
        self._carry_out(kind, m, fates, bill, kept)
        self.bills[m.bill_no] = bill
        return ["refused" if f == "memo" else f for f in fates]

    def _judge(self, kind: BillType, m: Movement, kept: dict[str, Line]) -> tuple[list[str], Bill]:
        bill = Bill(m, kind, dict(kept))
        if kind.by_quantity:
            fates = []
            have = {q.batch_no: self.uncoded.get((m.owner, q.batch_no, "U"), 0) for q in m.quantities}
            for q in m.quantities:
                enough = kind.code == 21 or have[q.batch_no] >= q.qty
                fates.append("moved" if enough else "refused")
            return fates, bill
        fates, chosen, seen = [], set(m.codes), set()
        left = self.uncoded.get((m.owner, self.batch_no, "U"), 0)
        for code in m.codes:
            if code in seen:
                fates.append("refused")
                continue
            seen.add(code)
            if code in kept:
                fates.append("moved")
                continue
            if any(p in chosen and p not in kept for p in self.parents.get(code, [])):
                fates.append("refused")
                continue
            fate = self.fate(kind, m, code)
            if kind.code == 203 and m.owner == self.hospital:
                # no group of hospitals lists the product (R-C5)
                fate = "refused"
            if fate == "moved" and kind.supplement:
                qty = len(self.inside[code])
                if qty > left:
                    fate = "refused"
                else:
                    left -= qty
            fates.append(fate)
        return fates, bill

    def _carry_out(
        self, kind: BillType, m: Movement, fates: Sequence[str], bill: Bill, kept: dict[str, Line]
    ) -> None:
        if kind.by_quantity:
            for q, fate in zip(m.quantities, fates, strict=True):
                if fate == "moved":
                    bill.moved[q.batch_no] = q.qty
            self._shift_uncoded(bill, 1)
            return
        token = object()
        for code, fate in zip(m.codes, fates, strict=True):
            if fate in ("moved", "quarantined") and code not in kept:
                bill.lines[code] = self.move(kind, m, code, fate, token)
                if kind.supplement and fate == "moved":
                    bill.supplemented += bill.lines[code].qty
        self._shift_uncoded(bill, 1)

    def _shift_uncoded(self, bill: Bill, sign: int) -> None:
        if bill.kind.uncoded is None:
            return
        source, target = bill.kind.uncoded
        moved = dict(bill.moved)
        if bill.supplemented:
            moved[self.batch_no] = moved.get(self.batch_no, 0) + bill.supplemented
        for batch, qty in moved.items():
            self.shift(bill.movement.owner, batch, source, -sign * qty)
            self.shift(bill.movement.owner, batch, target, sign * qty)

    def _take_back_uncoded(self, bill: Bill) -> bool:
        if bill.kind.uncoded is not None and bill.kind.uncoded[1] == "U":
            owner = bill.movement.owner
            if any(self.uncoded.get((owner, b, "U"), 0) < q for b, q in bill.moved.items()):
                return False
        self._shift_uncoded(bill, -1)
        return True


class Storm:
    """Throws random bills at the write path and the model."""

    def __init__(self, market: Market, rng: random.Random) -> None:
        self.market, self.rng = market, rng
        self.actors = [market.maker, market.wholesaler, market.pharmacy, market.store, market.hospital]
        self.steps = self.moved = self.refused = self.forbidden = 0
        self.kinds: dict[str, int] = {}
        self.number = 0

    async def season(self, bills: int) -> None:
        """Fresh goods, `bills` random steps, then everything is compared."""
        market = self.market
        goods = await activate(market, cases=6, per_case=4, pallets=2)
        self.model = Model(goods, market.maker, market.hospital)
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
        while len(movements) < GROUP:
            m = self.movement()
            if m.bill_no in numbers:
                break
            numbers.add(m.bill_no)
            movements.append(m)
        market = self.market
        prepared: list[Prepared] = []
        for m in movements:
            prepared.append(await prepare(market.conn, market.registry, market.subject(m.owner), m))
        async with market.conn.transaction():
            outcomes = await apply_group(market.conn, prepared, market.batches)
        for m, outcome in zip(movements, outcomes, strict=True):
            self.check(m, outcome)
        return len(movements)

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
            "quarantined" if r.quarantined else ("moved" if r.accepted else "refused")
            for r in outcome.results
        ]
        assert told == expected, (
            m,
            [(r.code, r.verdict) for r in outcome.results],
            expected,
            [self.model.state_of(c) for c in m.codes],
            self.model.why,
        )
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
        parts = {c: p for c, p in old.parts.items() if c in codes}
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
