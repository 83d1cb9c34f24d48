"""The lives of the units that a correction or void may give back: which bills stand, and who relies on what (R-X3).

A bill that was taken back leaves no trace in the state: when the buyer voids a receipt, the shipment can be corrected
as if nothing had come after it. Of an opened box (拆零) also a bill in the middle may be taken back, since parts are
additive; what must not break is what later bills took out of the box or brought back into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from yaosu.circulation import store_revise as store
from yaosu.circulation.store_holds import KEPT
from yaosu.circulation.store_write import bill_times
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.rules.lines import Alike, Line
from yaosu.rules.world import Unit, World

if TYPE_CHECKING:
    from yaosu.circulation.revise import OldLine
    from yaosu.circulation.splits import Entry

Key = tuple[int, str]
_CHINA = timezone(timedelta(hours=8))


@dataclass(slots=True)
class Step:
    """What one bill was in the life of one unit. `undoes`: the bill it took back, 0 when it is none that does."""

    prev: int
    undoes: int = 0
    since: datetime | None = None
    bill_no: str = ""
    parties: Sequence[int] = ()
    entries: list[Entry] = field(default_factory=list)
    """Preparation units that went out of the box or came back, where it is an opened one."""


@dataclass(slots=True)
class Share:
    """What one bill (0: one in the making) gave to a prescription out of a box, or took back from it."""

    prescription: str
    kind: str
    bill: int
    units: int


class Chains:
    """The bills along the lives of units that may be taken back. Kept up to date while a group is judged."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.of: dict[Key, dict[int, Step]] = {}
        self.origins: dict[int, datetime] = {}
        """Business times of the bills before the first step, of boxes that may be opened ones."""
        self.shares: dict[Key, list[Share]] = {}
        self.taken_out: dict[Key, tuple[int, Step]] = {}
        """Of packages that hold less than when the bill moved them: the last bill that took something out."""
        self.kept: dict[Key, Finding] = {}
        """Goods that a case keeps in quarantine: taking back the bill that put them there would let them out."""
        self.undone: dict[tuple[Key, int], int] = {}
        """What the reversals of this group take back, by unit and reversal."""
        self.owner = 0
        """Whose bill is being corrected: who may be told of later ones."""
        self.late: dict[Key, Finding] = {}
        """Units that the correction in hand would leave alone if it did not move past what came later."""

    @classmethod
    async def load(cls, conn: Connection, world: World, old: Sequence[OldLine]) -> Chains:
        """Chains of the units of `old`."""
        chains = cls(world)
        keys = sorted({(line.drug_id, line.code) for line in old})
        if not keys:
            return chains
        chains.of = {key: {} for key in keys}
        ids, codes = [k[0] for k in keys], [k[1] for k in keys]
        for r in await conn.fetch(store.CHAINS, ids, codes, [world.units[key].last_bill for key in keys]):
            step = Step(r["prev_bill"], r["undoes"], r["happened_at"], r["bill_no"] or "", r["parties"] or ())
            chains.of[(r["drug_id"], r["code"])][r["bill_id"]] = step
        less = {
            (x.drug_id, x.code)
            for x in old
            if sum(world.batches_in(world.units[x.drug_id, x.code]).values()) != x.qty
        }
        if less:
            rows = await conn.fetch(store.TAKEN_OUT, [k[0] for k in less], [k[1] for k in less])
            for r in rows:
                step = Step(0, 0, r["happened_at"], r["bill_no"], r["parties"])
                chains.taken_out[(r["drug_id"], r["code"])] = (r["bill_id"], step)
        held = [code for drug_id, code in keys if world.units[drug_id, code].status == "Q"]
        if held:
            for r in await conn.fetch(KEPT, held):
                case = r["held_case"] or r["decided_case"]
                verdict = "exception_open" if r["held_case"] else "exception_decided"
                chains.kept[(r["drug_id"], r["code"])] = Finding(verdict, {"case": case}, r["code"])
        boxes = [key for key in keys if key in world.splits]
        if boxes:
            await chains._load_boxes(conn, boxes)
        return chains

    async def _load_boxes(self, conn: Connection, boxes: Sequence[Key]) -> None:
        for drug_id, code in boxes:
            await conn.execute(store.LOCK_BOX, drug_id, code)
        ids, codes = [k[0] for k in boxes], [k[1] for k in boxes]
        for r in await conn.fetch(store.ENTRIES, ids, codes):
            step = self.of[(r["drug_id"], r["code"])].get(r["bill_id"])
            if step is not None and r["kind"] != "open":
                step.entries.append((r["kind"], r["qty"]))
        for r in await conn.fetch(store.SHARES, ids, codes):
            share = Share(r["prescription_no"], r["kind"], r["bill_id"], r["units"])
            self.shares.setdefault((r["drug_id"], r["code"]), []).append(share)
        first = {min(chain.items())[1].prev for key in boxes if (chain := self.of[key])}
        self.origins = await bill_times(conn, sorted(first))

    def add(self, parts: Sequence[Alike], bill_id: int, *, reversal: bool) -> None:
        """What the group has just done to such units."""
        if not self.of:
            return
        for line, key in ((p.first, (p.first.unit.drug_id, code)) for p in parts for code in p.codes):
            chain = self.of.get(key)
            if chain is None:
                continue
            if reversal:
                chain[bill_id] = Step(line.prev_bill, self.undone.get((key, bill_id), 0))
            else:
                unit = self.world.units[key]
                chain[bill_id] = Step(line.prev_bill, 0, unit.since, entries=self._entries(unit, line))

    def _entries(self, unit: Unit, line: Line) -> list[Entry]:
        """What a bill of this group did to a box: the difference to what the bills before it left."""
        split = self.world.splits.get(unit.key)
        if not line.part or split is None:
            return []
        out = lost = 0
        for bill in self.standing_bills(unit, line.prev_bill):
            for kind, qty in self._step(unit, bill).entries:
                out += qty if kind == "dispense" else (-qty if kind == "return" else 0)
                lost += qty if kind == "loss" else 0
        kind = "loss" if split.lost > lost else ("dispense" if split.out > out else "return")
        return [(kind, line.part)]

    def _step(self, unit: Unit, bill: int) -> Step:
        return self.of.get(unit.key, {}).get(bill) or Step(0)

    def standing_bills(self, unit: Unit, last: int | None = None) -> list[int]:
        """The bills of the unit's life up to `last` (all: None) that nobody took back, oldest first."""
        chain = self.of.get(unit.key, {})
        bill = unit.last_bill if last is None else last
        path = []
        while True:
            path.append(bill)
            bill = self._step(unit, bill).prev
            if bill not in chain:
                break
        stands: list[int] = []
        for bill in reversed(path):
            undoes = self._step(unit, bill).undoes
            if not undoes:
                stands.append(bill)
            elif undoes in stands:
                stands.remove(undoes)
        return stands

    def standing(self, unit: Unit) -> int:
        """The bill that the unit's state stands on; 0 where it stands on what brought it into the books."""
        bills = self.standing_bills(unit)
        return bills[-1] if bills else 0

    def time_without(self, line: OldLine) -> datetime | None:
        """The business time of the event that a box's state stands on once `line` is taken back."""
        unit = self.world.units[(line.drug_id, line.code)]
        rest = [bill for bill in self.standing_bills(unit) if bill != line.bill_id]
        if rest:
            return self._step(unit, rest[-1]).since
        chain = self.of.get(unit.key)
        return self.origins.get(min(chain.items())[1].prev) if chain else None

    def relies_on_opening(self, line: OldLine) -> bool:
        """Whether other bills than that of `line` need the box to be an opened one."""
        unit = self.world.units[(line.drug_id, line.code)]
        split = self.world.split_of(unit)
        assert split is not None
        return any(b >= split.opened_bill for b in self.standing_bills(unit) if b != line.bill_id)

    def obstacle(self, line: OldLine, entries: Sequence[Entry]) -> Finding | None:
        """What stands in the way of taking back a line after which something happened; None when nothing does.

        Only what went out of an opened box, or came back into it, can be taken back under later bills: while the box
        is there, and each later bill still finds in it what it took, and outside what it brought back.
        """
        unit = self.world.units[(line.drug_id, line.code)]
        split = self.world.split_of(unit)
        if unit.key in self.late:
            return self.late[unit.key]
        if not entries or split is None or unit.status not in ("D", "S") or unit.parent is not None:
            return self._moved_on(unit, line)
        left, out, lost = split.total, 0, 0
        for bill in self.standing_bills(unit):
            if bill == line.bill_id:
                continue
            for kind, qty in self._step(unit, bill).entries:
                left += qty if kind == "return" else -qty
                out += qty if kind == "dispense" else (-qty if kind == "return" else 0)
                lost += qty if kind == "loss" else 0
                if min(left, out, lost) < 0:
                    return self._finding("part_relied_on", unit, bill, self._step(unit, bill))
        return self._not_theirs(unit, line.bill_id)

    def _not_theirs(self, unit: Unit, gone: int) -> Finding | None:
        """Whether a prescription would have given back more than it ever got."""
        held: dict[str, int] = {}
        back: dict[str, int] = {}
        for share in self.shares.get(unit.key, ()):
            if share.bill == gone and share.bill:
                continue
            sign = 1 if share.kind == "dispense" else -1
            held[share.prescription] = held.get(share.prescription, 0) + sign * share.units
            if share.kind == "return":
                back[share.prescription] = max(back.get(share.prescription, 0), share.bill)
        for prescription, units in held.items():
            if units < 0:
                bill = back[prescription]
                return self._finding("part_relied_on", unit, bill, self._step(unit, bill))
        return None

    def too_late(self, line: OldLine, when: datetime) -> Finding | None:
        """The later event of the unit before which a bill that is moved to `when` would no longer lie."""
        unit = self.world.units[(line.drug_id, line.code)]
        bills = self.standing_bills(unit)
        after = bills[bills.index(line.bill_id) + 1 :] if line.bill_id in bills else []
        events = [(bill, self._step(unit, bill)) for bill in after]
        if unit.key in self.taken_out:
            events.append(self.taken_out[unit.key])
        root = self.world.root(unit)
        if root is not unit:
            events.append((root.last_bill, Step(0, since=root.since)))
        for bill, step in events:
            if step.since is not None and step.since < when:
                return self._finding("correction_past_later", unit, bill, step, time=when, later=step.since)
        return None

    def _moved_on(self, unit: Unit, line: OldLine) -> Finding:
        bill = self.standing(unit)
        if bill != line.bill_id:
            step = self._step(unit, bill)
            return self._finding("moved_on_since", unit, bill, step, time=step.since or unit.since)
        # a package that was taken out of it left no bill of its own here
        bill, step = self.taken_out.get(unit.key, (0, Step(0)))
        return self._finding("content_left_since", unit, bill, step, time=step.since)

    def _finding(self, code: str, unit: Unit, bill: int, step: Step, **times: datetime | None) -> Finding:
        """A finding that names the later bill to those who are party to it; the others learn what and when."""
        known = self.owner in step.parties
        params: dict[str, object] = {"code": unit.code, "bill": bill if known else 0}
        params["bill_no"] = step.bill_no if known and step.bill_no else "—"
        for name, at in times.items():
            params[name] = at.astimezone(_CHINA).isoformat(" ", "seconds") if at is not None else "—"
        return Finding(code, params, unit.code)
