"""The transaction: lock the units of a group of bills, judge, write back set-based (design §1, D5, D8).

A group is one large bill, or many small ones that share a commit. Bills of a group are judged one after the
other in memory, each seeing what the one before it did; a refused bill changes nothing and never fails its
neighbours. Ids are taken after the locks, so along each unit's life bill ids rise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from yaosu.circulation import (
    late,
    lost,
    notices,
    purchases,
    repeats,
    revise,
    splits,
    uncoded,
    uncoded_revise,
    way_home,
)
from yaosu.circulation import store_write as store
from yaosu.circulation.answers import refusal
from yaosu.circulation.assume import runs_of
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.chains import Chains
from yaosu.circulation.evidence import add_evidence
from yaosu.circulation.load import load_limits, load_sent, load_world
from yaosu.circulation.model import Flag, Kept, MovementResult, Prepared
from yaosu.circulation.posting import Outcome, Posting
from yaosu.circulation.write import write
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.rules.bill_types import bill_types
from yaosu.rules.judge import Verdict, carry_out, examine
from yaosu.rules.lines import alike
from yaosu.rules.world import World
from yaosu.stops.service import count_hits, version_of

LATE_AFTER = timedelta(days=1)
"""A bill uploaded later than this after it happened is flagged (D14)."""


async def apply_group(
    conn: Connection,
    group: Sequence[Prepared],
    batches: BatchCache,
    *,
    lock: bool = False,
    late_gate: bool = False,
) -> list[Outcome]:
    """Judge and record `group` inside the caller's transaction; one outcome per bill, in order.

    Two bills of a group must not share owner and number (the committer sees to that). Without `lock` the units
    are read as they are, of long runs of alike boxes only a few, and written only if all were as judged.
    `ConflictError`, `UniqueViolation` and deadlocks mean that somebody was faster, or a run not alike: the caller rolls
    back and tries again with `lock`. With `late_gate` stops may be placed meanwhile, and it is a conflict when one was:
    for a bill that takes long, not for the last try.
    """
    outcomes: list[Outcome | None] = [None] * len(group)
    latest = await revise.latest_revisions(conn, group, late_gate=late_gate)
    todo: list[tuple[int, Prepared, revise.Previous | None]] = []
    for n, one in enumerate(group):
        previous = latest.get((one.movement.owner, one.movement.bill_no))
        try:
            if previous is not None and revise.is_repeat(one, previous):
                outcomes[n] = await revise.replay(conn, one, previous)
            elif previous is None and (told := await repeats.before(conn, one)) is not None:
                outcomes[n] = told
            else:
                revise.check_revision(one, previous)
                todo.append((n, one, previous))
        except YaosuError as error:
            outcomes[n] = error
    if todo:
        version = await _apply(conn, todo, outcomes, batches, lock)
        await _overtaken(conn, todo, outcomes)
        if late_gate and not (await store.gate_open(conn) and await version_of(conn) == version):
            raise store.ConflictError("the stops in force changed")
    return [o for o in outcomes if o is not None]


async def _overtaken(
    conn: Connection,
    todo: Sequence[tuple[int, Prepared, revise.Previous | None]],
    outcomes: list[Outcome | None],
) -> None:
    """A refused bill may be the repeat of one that another server committed after the group had asked for it: its
    goods have then already moved, by itself. It gets the first answer, not a refusal (R-X2); so does a sale that tells
    under another number what the owner has told before in another way (R-C6).
    """
    refused = [
        (n, one)
        for n, one, previous in todo
        if previous is None
        and isinstance(o := outcomes[n], MovementResult)
        and o.status == "refused"
        # where goods went to quarantine the refusal is the record
        and not o.bill_id
    ]
    if not refused:
        return
    latest = await revise.latest_revisions(conn, [one for _, one in refused])
    for n, one in refused:
        now = latest.get((one.movement.owner, one.movement.bill_no))
        said = outcomes[n]
        assert isinstance(said, MovementResult)
        if now is not None and revise.is_repeat(one, now):
            outcomes[n] = await revise.replay(conn, one, now)
        elif (told := await repeats.after(conn, one, said)) is not None:
            outcomes[n] = told


async def _apply(
    conn: Connection,
    todo: Sequence[tuple[int, Prepared, revise.Previous | None]],
    outcomes: list[Outcome | None],
    batches: BatchCache,
    lock: bool,
) -> int:
    """Judge and record; the version of the stops that it judged by."""
    # a correction or a locked try reads everything
    guess = not lock and all(previous is None for _, _, previous in todo)
    runs, keys = (
        runs_of([one for _, one, _ in todo]) if guess else ([], [k for _, one, _ in todo for k in one.keys])
    )
    containers = [code for _, one, _ in todo for code in one.containers]
    old: dict[int, list[revise.OldLine]] = {}
    for n, _, previous in todo:
        if previous is not None:
            old[n] = await revise.old_lines(conn, previous)
            keys += [(line.drug_id, line.code) for line in old[n]]
    world = await load_world(conn, keys, containers, batches, lock=lock, runs=runs)
    ids, version, routes = await store.next_ids(conn, len(todo) + len(old))
    await batches.routed.at(conn, routes)
    sold = bool(old) or any(one.kind.kind == "give_back" for _, one, _ in todo)
    await load_limits(conn, world, batches, version, sold=sold)
    flat = [line for lines in old.values() for line in lines]
    before = {(line.drug_id, line.notice) for line in flat if line.pre == "O" and line.notice}
    await load_sent(conn, world, [one.order for _, one, _ in todo], before)
    await lost.load(conn, world, flat, len(todo))
    await way_home.load(conn, world, [(one.order, one.scans) for _, one, _ in todo])
    for _, one, previous in todo:
        if previous is not None:
            await purchases.same_person(conn, one, previous.id)
    await purchases.hold(conn, [one for _, one, _ in todo])
    work = _Work(
        conn,
        world,
        batches,
        iter(ids),
        datetime.now(UTC),
        old,
        await revise.times_before(conn, old),
        await splits.entries_of(conn, flat) if flat else {},
        await Chains.load(conn, world, flat),
        await uncoded.load(conn, [one for _, one, _ in todo], world.stop_batches),
    )
    for n, one, previous in todo:
        if work.now - one.order.happened_at > LATE_AFTER:
            one.flags |= Flag.LATE
        try:
            if previous is not None and bill_types()[previous.type].kind == "use":
                # what a refused correction did to the register of persons is taken back with it
                async with conn.transaction():
                    outcome = await work.judge(n, one, previous)
                    if outcome is not None and outcome.status == "refused":
                        raise _RefusedError(outcome)
            else:
                outcome = await work.judge(n, one, previous)
        except _RefusedError as refused:
            outcome = refused.outcome
        except YaosuError as error:
            outcomes[n] = error
            continue
        outcomes[n] = outcome
    if world.assumed:
        parts = [part for posting in work.postings for part in posting.parts]
        moved = {id(part.first.unit): len(part.codes) for part in parts if part.first.unit.alike}
        if any(moved.get(id(run.unit)) != len(run.codes) for run in world.assumed):
            raise store.AssumptionError("a refusal must not rest on a guess")
    if work.postings:
        await write(conn, world, work.postings, work.replaced, work.now, batches.routed)
        await store.check_labels(conn, world.labels, containers)
    await count_hits(conn, work.hits)
    for n, posting in work.places:
        assert posting.result is not None
        posting.result.checks = posting.checks
        outcomes[n] = posting.result
    await add_evidence(conn, [o for n, _, _ in todo if isinstance(o := outcomes[n], MovementResult)])
    return version


class _RefusedError(Exception):
    """Leaves the savepoint of a correction that was refused."""

    def __init__(self, outcome: MovementResult) -> None:
        super().__init__()
        self.outcome = outcome


class _Work:
    """One group in the making: the world as the bills so far left it, and what will be written."""

    def __init__(
        self,
        conn: Connection,
        world: World,
        batches: BatchCache,
        ids: Iterator[int],
        now: datetime,
        old: Mapping[int, Sequence[revise.OldLine]],
        times: Mapping[int, datetime],
        split_entries: Mapping[tuple[int, int, str], Sequence[splits.Entry]],
        chains: Chains,
        books: uncoded.Books,
    ) -> None:
        self.conn, self.world, self.batches, self.ids, self.now = conn, world, batches, ids, now
        self.old, self.times, self.split_entries, self.chains, self.books = (
            old,
            times,
            split_entries,
            chains,
            books,
        )
        self.postings: list[Posting] = []
        self.places: list[tuple[int, Posting]] = []
        self.replaced: dict[int, str] = {}
        self.hits: list[tuple[int, int, str]] = []
        """Scans refused by a stop: (stop, organisation, code)."""

    async def judge(self, n: int, one: Prepared, previous: revise.Previous | None) -> MovementResult | None:
        """Judge one bill and change the world; its answer when nothing of it is written, else None.

        Raises YaosuError where it cannot follow the revision before it; the world is then as before.
        """
        undo = revise.Undo()
        reversal: Posting | None = None
        uncoded_before = self.books.mark()
        if previous is not None:
            reversal = await self._reversal(n, one, previous, undo)
            if one.movement.void:
                self.replaced[previous.id] = "V"
                self.postings.append(reversal)
                self.places.append((n, reversal))
                return None
        verdicts, moved, bought = await self._verdicts(one, reversal)
        refused = [v for v in verdicts if v.severity == "refused"]
        self.hits += [(v.stop.id, one.movement.owner, v.scan.code) for v in refused if v.stop is not None]
        keeps_record = any(v.quarantined for v in refused) or (
            one.kind.kind == "receive" and any(v.code in notices.MEMO for v in refused)
        )
        nothing = len(refused) == len(verdicts) and not keeps_record
        if nothing or (refused and (one.order.atomic or bought.broken)):
            undo.restore()
            self.books.undo(uncoded_before)
            return refusal(one, verdicts)
        posting = Posting(one, next(self.ids), [], verdicts)
        posting.transfers = moved.transfers
        await uncoded_revise.redate(self.conn, self.books)
        posting.parts = carry_out(self.world, one.order, verdicts, posting.bill_id)
        self.chains.add(posting.parts, posting.bill_id, reversal=False)
        await purchases.record(self.conn, one, posting.bill_id, bought)
        if any(v.code == "out_of_order" for v in posting.odd):
            posting.flags |= Flag.OUT_OF_ORDER
        if any(v.code == "no_notice" for v in refused):
            posting.flags |= Flag.NO_NOTICE
        if reversal is not None and previous is not None:
            self.postings.append(reversal)
            posting.kept, posting.kept_notices = reversal.kept, reversal.kept_notices
            posting.taken_back = reversal.codes
            posting.replaces = previous.id
            posting.flags |= Flag.CORRECTION
            self.replaced[previous.id] = "R"
        self.postings.append(posting)
        self.places.append((n, posting))
        return None

    async def _reversal(self, n: int, one: Prepared, previous: revise.Previous, undo: revise.Undo) -> Posting:
        """Take the revision before back, in the world and as a posting; raises `later_fact`."""
        stay = revise.left_alone(self.world, one, previous, self.old[n], self.chains, self.split_entries)
        alone = {(line.drug_id, line.code) for line in stay}
        back = [line for line in self.old[n] if (line.drug_id, line.code) not in alone]
        reversal = Posting(one, next(self.ids), [], ())
        entries = []
        kind = bill_types().get(previous.type)
        if kind is not None and kind.uncoded is not None:
            if kind.supplement:
                entries = uncoded_revise.supplemented(kind, one.movement.owner, back)
            else:
                entries = await uncoded.entries_of(self.conn, previous.id, previous.drug_ids)
            drug_ids = {entry[0] for entry, _ in entries}
            batch_ids = {entry[1] for entry, _ in entries}
            await uncoded.more(self.conn, self.books, {one.movement.owner}, drug_ids, batch_ids)
        lines, reversal.split_rows = revise.take_back(
            self.world, back, reversal.bill_id, self.times, undo, self.split_entries, self.chains
        )
        reversal.parts = alike(lines)
        try:
            await uncoded_revise.check(self.conn, self.books, one, entries)
            reversal.transfers = uncoded.take_back(self.books, one, entries)
        except YaosuError:
            undo.restore()
            raise
        self.chains.add(reversal.parts, reversal.bill_id, reversal=True)
        if kind is not None and kind.kind == "use":
            await purchases.take_back(self.conn, previous.id, reversal.bill_id)
        reversal.replaces, reversal.status = previous.id, "V"
        reversal.flags |= Flag.REVERSAL
        reversal.notice_bill = None
        reversal.kept = [
            Kept(
                line.code,
                line.drug_id,
                line.qty,
                line.bill_id,
                self.world.units[(line.drug_id, line.code)].last_bill,
            )
            for line in stay
        ]
        reversal.kept_notices = {(line.drug_id, line.code): line.notice for line in stay}
        if one.movement.void:
            reversal.taken_back = reversal.codes
        else:
            reversal.revision = -previous.revision
        return reversal

    async def _verdicts(
        self, one: Prepared, reversal: Posting | None
    ) -> tuple[list[Verdict], uncoded.Moved, purchases.Bought]:
        """What is said of each scan, or of each quantity; what moves without codes; what persons bought."""
        if one.kind.by_quantity:
            moved = await uncoded.judge(self.conn, self.books, one)
            # a correction stands as a whole: what has gone out rests on all of it
            return moved.verdicts, moved, purchases.Bought(broken=reversal is not None)
        stay = {kept.code: kept for kept in reversal.kept} if reversal is not None else {}
        scans = [scan for scan in one.scans if scan.code not in stay] if stay else one.scans
        verdicts = examine(self.world, one.order, scans)
        refused = [v for v in verdicts if v.severity == "refused"]
        if refused:
            await late.explain(self.conn, self.world, one.order, refused)
            if self.batches.issued is not None:
                await self.batches.issued.explain(self.conn, refused)
        moved = uncoded.Moved()
        if one.kind.supplement:
            names = {b: facts.batch_no for b, facts in self.world.batches.items()}
            moved = uncoded.supplement(self.books, one, verdicts, names)
        if stay:
            said = {id(v.scan): v for v in verdicts}
            seen: set[str] = set()
            verdicts = []
            for scan in one.scans:
                kept = stay.get(scan.code)
                if kept is None:
                    verdicts.append(said[id(scan)])
                elif scan.code in seen:
                    verdicts.append(Verdict(scan, "duplicate_in_bill", "refused"))
                else:
                    unit = self.world.units[(kept.drug_id, kept.code)]
                    later, qty = kept.later_bill, kept.qty
                    verdicts.append(
                        Verdict(scan, "kept", evidence_bill=later, qty=qty, batch_id=unit.batch_id)
                    )
                seen.add(scan.code)
        return verdicts, moved, await purchases.examine(self.conn, self.world, one, verdicts)
