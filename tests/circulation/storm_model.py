"""A boxes-only model of everything the write path does: what `storm` holds it to.

It knows single boxes, which package holds which, opened boxes by preparation units, uncoded stock by quantity, stops,
and the bills on record, and predicts the fate of every scan of every bill, legal or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from circulation.helpers import Goods
from yaosu.circulation.model import Movement
from yaosu.rules.bill_types import BillType, bill_types

TOTAL = 24
"""Preparation units in a box of the market's product."""

State = tuple[str, int, int | None]


@dataclass
class Split:
    """An opened box; `opener` is the token of the bill that opened it."""

    left: int
    out: int = 0
    lost: int = 0
    opener: int = 0


@dataclass
class Line:
    """What a bill did to one code."""

    token: int
    pre: State
    post: str
    qty: int
    opened: bool = False
    part: int = 0
    sent: int = 0
    """The shipment that the goods were on before, of a shipment."""
    lost: str = ""
    """From which status the goods had been lost the time before."""
    out: bool = False
    """Whether it took the package out of another."""
    waited: bool = False
    """Whether the goods were to be released already before it (`Model.waiting`)."""
    giver: tuple[int, int] | None = None
    """Who delivered the goods to whom by it, in the direction of trade."""


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

    def __init__(self, goods: Goods, owner: int, hospital: int, chain: tuple[int, int]) -> None:
        self.hospital, self.maker, self.chain = hospital, owner, chain
        """The maker is the MAH too; the chain: headquarters and store."""
        self.lost: dict[str, str] = {}
        """Of boxes that are not there any more: their status before."""
        self.sent: dict[str, int] = {}
        """The latest shipment of each box, as far as it stands."""
        self.ships: dict[int, dict[str, str]] = {}
        """Of shipments that may leave quarantine or go under a stop: each code's status before."""
        self.passing_on: set[int] = set()
        """Shipments down the chain."""
        self.supplied: dict[tuple[int, int], int] = {}
        self.waiting: set[str] = set()
        """Boxes that came into quarantine and that nobody has let out by an act that does (see `released`)."""
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
        self.history: dict[str, list[int]] = {code: [] for code in self.inside}
        """Tokens of the bills that stand in the life of a package; later bills have higher ones."""
        self.tokens = 0
        self.taken: dict[tuple[str, int], tuple[str, int]] = {}
        """What a bill did inside a box: dispense, return or loss, and how many units."""
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
            return "quarantined" if receiving or kind.kind == "find" else "refused"
        if kind.kind == "ship" and kind.stopped and self.stopped(code, m.owner) and not self._homeward(m):
            return "refused"
        if kind.kind == "ship" and code in self.splits:
            return "refused"
        if kind.kind in ("use", "give_back", "open", "split_loss") and not self._splittable(kind, m, code):
            return "refused"
        if receiving and m.from_org and holder not in (m.from_org, m.owner):
            return "quarantined"
        if kind.kind == "find" and self.lost[next(iter(self.inside[code]))] == "Q":
            return "aside"
        if receiving and kind.post != "Q" and self._left_quarantine(code) and self.kin(holder, m.owner):
            return "aside"
        return "moved"

    def kin(self, one: int, other: int) -> bool:
        """Whether they are one legal entity or chain."""
        return one == other or {one, other} == set(self.chain)

    def _homeward(self, m: Movement) -> bool:
        """Whether stopped goods may go there: the maker, the store's headquarters, who delivered the batch."""
        assert m.to_org is not None
        upward = (m.to_org, m.owner) == self.chain
        return upward or m.to_org == self.maker or self.supplied.get((m.to_org, m.owner), 0) > 0

    def _left_quarantine(self, code: str) -> bool:
        """Whether goods on their way were sent from quarantine, as the shipment's lines tell."""
        lines = self.ships.get(self.sent[next(iter(self.inside[code]))])
        if lines is None:
            return False
        around = self.parents[code][-1] if self.parents[code] else code
        return lines.get(around, "Q" if "Q" in lines.values() else "") == "Q"

    def released(self, kind: BillType, m: Movement, pre: State, post: str, boxes: set[str]) -> None:
        """The rule that all this is for (R-B4): what came into quarantine becomes saleable by a release, by the
        acceptance of another firm that took it back, or when the bill that put it there is taken back (`take_back`)."""
        if post == "Q":
            self.waiting |= boxes
        elif kind.kind == "release" or (kind.kind == "receive" and not self.kin(pre[1], m.owner)):
            self.waiting -= boxes
        assert post not in ("I", "D", "S", "A") or not self.waiting & boxes, (m, pre, post)

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

    def move(self, kind: BillType, m: Movement, code: str, fate: str, token: int) -> Line:
        """Carry out one fate."""
        pre = self.state_of(code)
        assert pre is not None
        post, opened, part = "Q" if fate in ("quarantined", "aside") else kind.post, False, 0
        if fate == "moved":
            part = m.parts.get(code, 0)
            if part or kind.kind == "open":
                opened = code not in self.splits
                split = self.splits.setdefault(code, Split(TOTAL, opener=token))
                if kind.parts == "dispense":
                    split.left, split.out = split.left - part, split.out + part
                elif kind.parts == "return":
                    split.left, split.out = split.left + part, split.out - part
                elif kind.parts == "loss":
                    split.left, split.lost = split.left - part, split.lost + part
                post = "D" if split.left else "S"
            elif kind.kind in ("release", "find") and code in self.splits:
                post = "D" if self.splits[code].left else "S"
        giver, waited = None, bool(self.waiting & self.inside[code])
        one, out = next(iter(self.inside[code])), bool(self.parents[code])
        sent, lost = self.sent.get(one, 0), self.lost.get(one, "")
        if kind.kind == "receive" and pre[0] == "O" and sent in self.passing_on:
            giver = (pre[1], m.owner)
            self.supplied[giver] = self.supplied.get(giver, 0) + len(self.inside[code])
        self.take_out(code)
        dest = m.to_org if post == "O" else None
        for box in self.inside[code]:
            self.state[box] = (post, m.owner, dest)
            if post == "O":
                self.sent[box] = token
            if post == "N":
                self.lost[box] = pre[0]
        if post == "O" and kind.stopped:
            self.ships.setdefault(token, {})[code] = pre[0]
        elif post == "O":
            self.passing_on.add(token)
        self.released(kind, m, pre, post, self.inside[code])
        self.history[code].append(token)
        if part:
            self.taken[code, token] = (kind.parts, part)
        return Line(token, pre, post, len(self.inside[code]), opened, part, sent, lost, out, waited, giver)

    def moved_on(self, code: str, line: Line) -> bool:
        """Whether something came after the line that still stands."""
        return self.history[code][-1] != line.token or len(self.inside[code]) != line.qty

    def additive(self, code: str, line: Line) -> bool:
        """Whether what a bill moved of an opened box can be taken back under later bills: each of those still finds
        what it took, and outside what it brought back."""
        split = self.splits.get(code)
        if split is None or not (line.part or line.opened) or self.state[code][0] not in ("D", "S"):
            return False
        left, out = TOTAL, 0
        for token in self.history[code]:
            means, part = self.taken.get((code, token), ("", 0))
            if token == line.token or not part:
                continue
            left += part if means == "return" else -part
            out += {"dispense": part, "return": -part}.get(means, 0)
            if min(left, out) < 0:
                return False
        return True

    def take_back(self, bill: Bill, codes: Sequence[str]) -> None:
        """Reverse lines of a bill on which nothing was built, or parts of opened boxes."""
        for code in codes:
            line = bill.lines[code]
            on_top = self.history[code][-1] == line.token
            self.history[code].remove(line.token)
            split = self.splits.get(code)
            if split is not None and line.part:
                if bill.kind.parts == "dispense":
                    split.left, split.out = split.left + line.part, split.out - line.part
                elif bill.kind.parts == "return":
                    split.left, split.out = split.left - line.part, split.out + line.part
                else:
                    split.left, split.lost = split.left + line.part, split.lost - line.part
            if line.giver is not None:
                self.supplied[line.giver] -= line.qty
            for box in self.inside[code]:
                if on_top and line.post == "O":
                    self.sent[box] = line.sent
                if on_top and line.post == "N":
                    self.lost[box] = line.lost
                if on_top and line.pre[0] == "N" and line.out:
                    # it was lost as part of what was around it: nobody can tell any more
                    self.lost[box] = "Q"
                if on_top and line.post == "Q" and not line.waited:
                    self.waiting.discard(box)
                elif on_top and line.pre[0] == "Q":
                    self.waiting.add(box)
                status, holder, dest = line.pre if on_top else self.state[box]
                if split is not None and status in ("D", "S"):
                    status = "D" if split.left else "S"
                self.state[box] = (status, holder, dest)
            # the opening goes with the last bill that needs it
            if split is not None and not any(t >= split.opener for t in self.history[code]):
                del self.splits[code]
                self.state[code] = ("I", *self.state[code][1:])

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
            {k: Split(s.left, s.out, s.lost, s.opener) for k, s in self.splits.items()},
            dict(self.uncoded),
            dict(self.rest),
            (dict(self.lost), dict(self.sent), dict(self.supplied), set(self.waiting)),
        )

    def restore(self, saved: Any) -> None:
        """Go back."""
        *most, self.rest, ways = saved
        self.state, self.inside, self.parents, self.history, self.splits, self.uncoded = most
        self.lost, self.sent, self.supplied, self.waiting = ways

    # ── whole bills ──

    def expect(self, m: Movement) -> list[str] | str:
        """The fate of each scan, or the code of the error that refuses the bill; carries it out."""
        kind = bill_types()[m.type]
        before = self.bills.get(m.bill_no)
        saved = self.snapshot() if before is not None else None
        kept: dict[str, Line] = {}
        staying = 0
        if before is not None:
            moved_on = [c for c, line in before.lines.items() if self.moved_on(c, line)]
            # what was sold before a stop is not sold again by a correction
            stopped = [
                c
                for c, line in before.lines.items()
                if kind.kind == "use" and line.post == "S" and c not in moved_on and self.stopped(c, m.owner)
            ]
            kept = {
                c: before.lines[c]
                for c in (*moved_on, *stopped)
                if not m.void
                and c in m.codes
                and before.lines[c].post != "Q"
                and (kind.kind == "open" or "D" not in (before.lines[c].post, before.lines[c].pre[0]))
                and not before.lines[c].part
                and c not in m.parts
            }
            # codes that it leaves alone leave the uncoded account as it is
            staying = sum(line.qty for line in kept.values()) if kind.supplement else 0
            in_the_way = [c for c in moved_on if c not in kept and not self.additive(c, before.lines[c])]
            if in_the_way:
                self.why = str([(c, before.lines[c], len(self.inside[c]), self.history[c]) for c in moved_on])
                return "later_fact"
            if not self._take_back_uncoded(before, m, staying):
                return "later_fact"
            self.take_back(before, [c for c in before.lines if c not in kept])
            if m.void:
                before.void = True
                return []
        fates, bill = self._judge(kind, m, kept)
        refused = [f for f in fates if f not in ("moved", "aside")]
        memo = kind.kind == "receive" and any(f == "memo" for f in fates)
        nothing = all(f in ("refused", "memo") for f in fates) and not memo
        # a correction of goods without codes stands as a whole
        whole = m.mode == "atomic" or (kind.by_quantity and before is not None)
        if nothing or (refused and whole):
            if saved is not None:
                self.restore(saved)
            return ["refused" if f == "memo" or not whole else f for f in fates]
        self._carry_out(kind, m, fates, bill, kept)
        bill.supplemented += staying
        self.bills[m.bill_no] = bill
        return ["refused" if f == "memo" else f for f in fates]

    def _stopped_uncoded(self, kind: BillType, owner: int, batch_no: str) -> bool:
        """Goods without codes of a stopped batch are neither bought nor sold; suspended ones may still be bought."""
        if batch_no != self.batch_no or kind.code not in (21, 23):
            return False
        return any(
            stop.codes is None and (stop.org is None or (stop.org == owner and kind.code == 23))
            for stop in self.stops
        )

    def _judge(self, kind: BillType, m: Movement, kept: dict[str, Line]) -> tuple[list[str], Bill]:
        bill = Bill(m, kind, dict(kept))
        if kind.by_quantity:
            fates = []
            have = {q.batch_no: self.uncoded.get((m.owner, q.batch_no, "U"), 0) for q in m.quantities}
            for q in m.quantities:
                enough = kind.code == 21 or have[q.batch_no] >= q.qty
                stopped = self._stopped_uncoded(kind, m.owner, q.batch_no)
                fates.append("moved" if enough and not stopped else "refused")
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
        self.tokens += 1
        token = self.tokens
        for code, fate in zip(m.codes, fates, strict=True):
            if fate in ("moved", "quarantined", "aside") and code not in kept:
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

    def _take_back_uncoded(self, bill: Bill, m: Movement, staying: int) -> bool:
        if bill.kind.uncoded is not None and bill.kind.uncoded[1] == "U":
            owner = bill.movement.owner
            stays = {} if m.void else {q.batch_no: q.qty for q in m.quantities}
            have = {b: self.uncoded.get((owner, b, "U"), 0) for b in bill.moved}
            if any(have[b] - q + stays.get(b, 0) < 0 for b, q in bill.moved.items()):
                return False
        self._shift_uncoded(replace(bill, supplemented=bill.supplemented - staying), -1)
        return True
