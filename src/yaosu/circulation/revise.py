"""Repeats, corrections and voids (D8): the same number with the same content gets the same answer; a later
revision takes the earlier one back with reversing entries and leaves it on record.

A revision is only taken back while nothing was built on it: if a unit has moved on since, the correction is
refused and names the code and the later bill (R-X3). Parts of an opened box are additive: what a bill took out of it
comes back whoever was served from it since (decision 0024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from yaosu.circulation import splits
from yaosu.circulation import store_write as store
from yaosu.circulation.chains import Chains
from yaosu.circulation.evidence import add_evidence
from yaosu.circulation.model import CodeResult, MovementResult, Prepared
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.rules.lines import Line
from yaosu.rules.world import Split, Unit, World

FINDINGS_MAX = 200
"""Differences or later facts listed in one refusal; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The latest revision on record under a number."""

    id: int
    revision: int
    status: str
    content_hash: bytes
    type: int
    from_org: int | None
    to_org: int | None
    happened_at: datetime
    recorded_at: datetime
    flags: int
    qty: int
    leaf: bytes
    lines: int
    refused: int
    drug_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class OldLine:
    """A line of the bill that is taken back."""

    drug_id: int
    code: str
    batch_id: int
    qty: int
    pre: str
    post: str
    pre_holder: int
    pre_dest: int
    prev_bill: int
    bill_id: int
    notice: int
    left_parent: str


@dataclass
class Undo:
    """States to go back to when a correction is refused after its predecessor was taken back in memory."""

    saved: list[tuple[Unit, tuple[Any, ...]]] = field(default_factory=list)
    splits: list[tuple[Split, tuple[int, int, int, bool, bool]]] = field(default_factory=list)

    def save(self, unit: Unit) -> None:
        """Remember `unit` as it is."""
        state = (unit.status, unit.holder, unit.dest, unit.since, unit.last_bill, unit.notice, unit.touched)
        self.saved.append((unit, (*state, unit.aside)))

    def restore(self) -> None:
        """Put everything back, latest first."""
        for unit, (*state, aside) in reversed(self.saved):
            unit.status, unit.holder, unit.dest, unit.since, unit.last_bill, unit.notice, unit.touched = state
            unit.aside = aside
        for split, inside in reversed(self.splits):
            split.left, split.out, split.lost, split.undone, split.touched = inside
        self.saved.clear()
        self.splits.clear()


async def latest_revisions(
    conn: Connection, group: Sequence[Prepared], *, late_gate: bool = False
) -> dict[tuple[int, str], Previous]:
    """What is on record under the numbers of `group`. From then on no stop is placed, unless with `late_gate`."""
    owners = [p.movement.owner for p in group]
    numbers = [p.movement.bill_no for p in group]
    found = {}
    query = store.LATEST_REVISIONS_LATE if late_gate else store.LATEST_REVISIONS
    for row in await conn.fetch(query, owners, numbers):
        values = {name: row[name] for name in Previous.__slots__}
        found[(row["owner"], row["bill_no"])] = Previous(**values)
    return found


def is_repeat(one: Prepared, previous: Previous) -> bool:
    """Whether `one` is the submission that is already on record."""
    return one.movement.revision == previous.revision and one.content_hash == previous.content_hash


def check_revision(one: Prepared, previous: Previous | None) -> None:
    """Refuse (`bill_conflict`, `revision_gap`, `nothing_to_void`) what does not follow the record."""
    revision = one.movement.revision
    if previous is None:
        if revision != 1 or one.movement.void:
            raise YaosuError("nothing_to_revise", {"bill_no": one.movement.bill_no})
        return
    if revision == previous.revision + 1:
        if previous.status == "V":
            raise YaosuError("bill_is_void", {"bill_no": one.movement.bill_no})
        return
    if revision > previous.revision + 1 or revision < previous.revision:
        raise YaosuError(
            "revision_gap",
            {"bill_no": one.movement.bill_no, "latest": previous.revision, "given": revision},
        )
    raise YaosuError(
        "bill_conflict",
        {"bill_no": one.movement.bill_no, "bill_id": previous.id, "next_revision": revision + 1},
        _differences(one, previous),
    )


def _differences(one: Prepared, previous: Previous) -> list[Finding]:
    movement = one.movement
    pairs: list[tuple[str, object, object]] = [
        ("type", previous.type, movement.type),
        ("from_org", previous.from_org, movement.from_org),
        ("to_org", previous.to_org, movement.to_org),
        ("happened_at", previous.happened_at.isoformat(), movement.happened_at.isoformat()),
        ("codes", previous.lines + previous.refused, len(one.scans)),
    ]
    differing = [
        Finding("field_differs", {"field": name, "recorded": old or "—", "given": new or "—"}, name)
        for name, old, new in pairs
        if old != new and not (name == "happened_at" and previous.happened_at == movement.happened_at)
    ]
    return differing or [Finding("field_differs", {"field": "codes", "recorded": "≠", "given": "≠"}, "codes")]


async def replay(conn: Connection, one: Prepared, previous: Previous) -> MovementResult:
    """The answer the first submission got, put together from the record."""
    notes = {r["n"]: r for r in await conn.fetch(store.NOTES_OF, previous.id)}
    lines: dict[str, OldLine] = {}
    qty: dict[str, int] = {}
    for line in await old_lines(conn, previous):
        lines[line.code] = line
        qty[line.code] = qty.get(line.code, 0) + line.qty
    results = []
    for scan in one.scans:
        note = notes.get(scan.n)
        moved = lines.get(scan.code)
        if note is not None:
            verdict, params = note["verdict"], note["params"]
            severity = "refused" if note["severity"] == "R" else "warn"
        elif moved is not None and moved.bill_id != previous.id:
            verdict, severity, params = "kept", "ok", {}
        elif moved is not None and moved.left_parent:
            verdict, severity, params = "taken_out", "ok", {"package": moved.left_parent}
        else:
            verdict, severity, params = "accepted", "ok", {}
        results.append(
            CodeResult(
                raw=scan.raw,
                code=scan.code,
                verdict=verdict,
                severity=severity,
                params=params,
                quarantined=bool(note and note["quarantined"]),
                qty=qty.get(scan.code, 0),
                drug_id=scan.drug_id,
                batch_id=moved.batch_id if moved else 0,
                evidence_bill=note["evidence_bill"] if note else 0,
            )
        )
    for n, asked in enumerate(one.movement.quantities):
        note = notes.get(n)
        results.append(
            CodeResult(
                raw=f"{asked.batch_no} × {asked.qty}",
                code="",
                verdict=note["verdict"] if note is not None else "accepted",
                severity="refused" if note is not None else "ok",
                params=note["params"] if note is not None else {},
                qty=0 if note is not None else asked.qty,
                drug_id=asked.drug_id,
            )
        )
    refused = sum(1 for r in results if not r.accepted)
    status = "accepted" if not refused else ("partial" if refused < len(results) else "refused")
    result = MovementResult(
        owner=one.movement.owner,
        bill_id=previous.id,
        bill_no=one.movement.bill_no,
        revision=previous.revision,
        status="void" if one.movement.void else status,
        results=results,
        flags=previous.flags,
        replayed=True,
        qty=previous.qty,
        recorded_at=previous.recorded_at,
        leaf=previous.leaf.hex(),
    )
    await add_evidence(conn, [result])
    return result


async def old_lines(conn: Connection, previous: Previous) -> list[OldLine]:
    """The lines of the revision on record."""
    rows = await conn.fetch(store.LINES_OF, previous.id, list(previous.drug_ids))
    return [OldLine(**dict(row)) for row in rows]


async def times_before(conn: Connection, taken_back: Mapping[int, Sequence[OldLine]]) -> dict[int, datetime]:
    """Business times of the events that units go back to."""
    ids = {line.prev_bill for lines in taken_back.values() for line in lines}
    return await store.bill_times(conn, sorted(ids)) if ids else {}


def moved_on(world: World, line: OldLine, chains: Chains) -> bool:
    """Whether something happened to the unit after the line: a later bill, or a package taken out of it."""
    unit = world.units[(line.drug_id, line.code)]
    return chains.standing(unit) != line.bill_id or sum(world.batches_in(unit).values()) != line.qty


def left_alone(
    world: World,
    one: Prepared,
    previous: Previous,
    old: Sequence[OldLine],
    chains: Chains,
    split_entries: Mapping[tuple[int, int, str], Sequence[splits.Entry]],
) -> list[OldLine]:
    """Lines that the correction says again just as they were and that have moved on since, or were sold before a stop:
    they stay (R-X3).

    A line is the same when type, parties and its preparation units are, and its time does not move past what
    came later.
    """
    movement = one.movement
    chains.owner = movement.owner
    chains.late.clear()
    if movement.void or (movement.type, movement.from_org, movement.to_org) != (
        previous.type,
        previous.from_org,
        previous.to_org,
    ):
        return []
    codes = {scan.code for scan in one.scans if not scan.problem}
    found = []
    for line in old:
        if line.code not in codes or line.code in one.order.parts or not _may_stay(line, split_entries):
            continue
        unit = world.units[(line.drug_id, line.code)]
        if not moved_on(world, line, chains) and not _sold_and_stopped(world, one, line):
            continue
        if movement.happened_at > previous.happened_at:
            late = chains.too_late(line, movement.happened_at)
            if late is not None:
                chains.late[unit.key] = late
                continue
        found.append(line)
    return found


def _sold_and_stopped(world: World, one: Prepared, line: OldLine) -> bool:
    """Whether a recall, lock or suspension that came after a sale would refuse to sell the same goods again: the sale
    stays as it is, and what else was wrong with its bill is corrected."""
    unit = world.units[(line.drug_id, line.code)]
    stopped = world.stop_of(unit, one.movement.owner)
    return line.post == "S" and one.kind.kind == "use" and stopped is not None


def _may_stay(line: OldLine, split_entries: Mapping[tuple[int, int, str], Sequence[splits.Entry]]) -> bool:
    """Whether a line can be left alone at all: a plain one, or an opening, which has no other way to be said again."""
    if line.post == "Q":
        return False
    entries = split_entries.get((line.bill_id, line.drug_id, line.code))
    if entries is not None:
        return all(kind == "open" for kind, _ in entries)
    return "D" not in (line.pre, line.post)


def take_back(
    world: World,
    old: Sequence[OldLine],
    bill_id: int,
    times: Mapping[int, datetime],
    undo: Undo,
    split_entries: Mapping[tuple[int, int, str], Sequence[splits.Entry]],
    chains: Chains,
) -> tuple[list[Line], list[splits.SplitRow]]:
    """Reverse `old` in the world under `bill_id`; refused (`later_fact`) where a unit has moved on since.

    What went out of an opened box comes back into it under later bills too, while those stay right. A box that the
    line opened stays open as long as other bills rely on that, and closes with the last of them. Also the reversing
    entries of opened boxes.
    """
    under = [line for line in old if moved_on(world, line, chains)]
    found = [
        chains.obstacle(line, split_entries.get((line.bill_id, line.drug_id, line.code), ()))
        for line in under
    ]
    later = [finding for finding in found if finding is not None]
    # goods in dispute stay in quarantine, whatever becomes of the paper that brought them there (R-B4)
    later += [kept for line in old if (kept := chains.kept.get((line.drug_id, line.code))) is not None]
    if later:
        raise YaosuError("later_fact", {"count": len(later)}, later[:FINDINGS_MAX])
    below = {(line.drug_id, line.code) for line in under}
    lines = []
    rows: list[splits.SplitRow] = []
    for line in old:
        unit = world.units[(line.drug_id, line.code)]
        undo.save(unit)
        pre, pre_holder, pre_dest = unit.status or "", unit.holder or 0, unit.dest or 0
        # the notice the goods are on again, or the one that is withdrawn
        notice = line.notice or unit.notice or 0
        chains.undone[(unit.key, bill_id)] = line.bill_id
        split = world.split_of(unit)
        if split is not None:
            time = chains.time_without(line)
            undo.splits.append((split, split.state()))
            entries = split_entries.get((line.bill_id, line.drug_id, line.code), ())
            closes = not chains.relies_on_opening(line)
            rows += splits.undo(split, entries, closes=closes, at=(bill_id, line.drug_id, line.code))
        if unit.key not in below:
            unit.status, unit.holder, unit.dest = line.pre, line.pre_holder, line.pre_dest or None
            unit.notice = (line.notice or None) if line.pre == "O" else None
            unit.since = times.get(line.prev_bill, unit.since)
        if split is not None:
            # what the line said of the box may have changed since: a bill before it was taken back
            if split.undone:
                unit.status = "I"
            elif unit.status in ("D", "S"):
                unit.status = "D" if split.left else "S"
            unit.since = time or unit.since
        lines.append(
            Line(
                unit=unit,
                pre=pre,
                post=unit.status or "",
                pre_holder=pre_holder,
                post_holder=unit.holder or 0,
                pre_dest=pre_dest,
                prev_bill=unit.last_bill,
                notice_bill=notice,
                left_parent="",
                contents=world.batches_in(unit),
            )
        )
        unit.settle_aside(pre)
        if unit.status == "N":
            unit.aside = world.lost.get(unit.key)
        unit.last_bill, unit.touched = bill_id, True
    return lines, rows
