"""The judge: an order and its scans against the world, a verdict per code. Pure and replayable.

Two steps, so that `atomic` needs no undo: first every scan is looked at (`examine`), then what was accepted is
carried out (`carry_out`). Within one order no scanned code lies inside another and none stands twice, so the
verdicts do not depend on each other.

Reasons are chosen to be the most useful: what the caller can act on first (doubled scan, package and its
content in one bill), then what the unit is, then what it is to the caller (see docs/verdicts.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from yaosu.rules.bill_types import BillType
from yaosu.rules.lines import Alike, Line, alike
from yaosu.rules.way_home import WayHome
from yaosu.rules.world import Split, Stop, Unit, World

_CHINA = timezone(timedelta(hours=8))
"""Days are told as they count there."""


@dataclass(slots=True)
class Scan:
    """One scanned code, read and resolved. (Not frozen: a frozen one takes four times as long to make.)"""

    n: int
    raw: str
    code: str
    drug_id: int = 0
    problem: str = ""
    """A verdict reached before judging: unreadable, unknown, registered elsewhere."""
    params: Mapping[str, object] | None = None
    home: Mapping[str, object] | None = None
    """The trace system the code lives in, when that is another one: handled here once taken in (R-A4)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller says the goods are: a product, and a batch number when `batch_no` is not empty."""

    drug_id: int
    batch_no: str = ""


def _no_kin(_org: int) -> bool:
    return False


@dataclass(slots=True)
class Order:
    """What a bill asks for, as far as rules need it.

    `owner` is whose account it concerns; `to` the receiver; `notice` the shipping bill a receipt is checked
    against (0: whichever the goods came with); `rejects` codes and `reject_batches` batch numbers the buyer
    sends back unreceived; `reject_all` the whole delivery.
    """

    type: BillType
    owner: int
    happened_at: datetime
    to: int = 0
    sender: int = 0
    notice: int = 0
    atomic: bool = False
    expected: tuple[Expected, ...] = ()
    rejects: frozenset[str] = frozenset()
    reject_batches: frozenset[str] = frozenset()
    reject_all: bool = False
    parts: Mapping[str, int] = field(default_factory=dict)
    """Preparation units named for a code (拆零, R-C9)."""
    prep_units: Mapping[int, int] = field(default_factory=dict)
    """Preparation units in one smallest package, by product, where the bill opens or splits packages."""
    opened_life: Mapping[int, timedelta] = field(default_factory=dict)
    """How long an opened box of a product may be used, where that is limited."""
    kin: Callable[[int], bool] = _no_kin
    """Whether an organisation belongs to the same legal entity or chain as the owner."""
    way_home: WayHome | None = None
    """Where the bill sends goods back to, when it may move stopped ones."""


@dataclass(slots=True)
class Verdict:
    """What is said of one scan. `severity`: ok, warn (accepted, but look), refused.

    `evidence_bill` is the bill that explains a refusal (0: none); `quarantined` tells that the goods were
    booked to quarantine instead.
    """

    scan: Scan
    code: str = "accepted"
    severity: str = "ok"
    params: Mapping[str, object] | None = None
    evidence_bill: int = 0
    units: tuple[Unit, ...] = ()
    quarantined: bool = False
    rejected: bool = False
    stop: Stop | None = None
    """The recall, lock or suspension that refused it."""
    qty: int = 0
    """Smallest packages, where no unit says it: goods without codes, and what a correction leaves alone."""
    batch_id: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the unit moved as the order asked."""
        return self.severity != "refused"


def examine(world: World, order: Order, scans: Sequence[Scan]) -> list[Verdict]:
    """A verdict for each scan, changing nothing. Scans and verdicts are in the same order."""
    kind = order.type
    pre, by_dest, owner = kind.pre, kind.by_dest, order.owner
    # the common case, decided in one look: an outermost package of one batch, with nothing stated about the goods
    simple = not (
        order.expected
        or order.rejects
        or order.reject_batches
        or order.reject_all
        or order.parts
        or kind.kind in _SPLITTING
        or world.held
        or world.sent
    )
    stops = bool(world.stop_batches or world.stop_codes)
    notice, sender = order.notice, order.sender
    allow_expired = kind.expired
    rows_of, batches, when = world.rows_of, world.batches, order.happened_at
    scanned = {scan.code for scan in scans}
    seen: set[str] = set()
    verdicts: list[Verdict] = []
    # what was said of the first of a run of alike packages holds for all: they share one row of `rows_of`
    run: tuple[Unit, ...] | None = None
    said: tuple[str, str, None, int] = ("accepted", "ok", None, 0)
    for scan in scans:
        if scan.problem:
            verdicts.append(Verdict(scan, scan.problem, "refused", scan.params))
            continue
        code = scan.code
        if code in seen:
            verdicts.append(Verdict(scan, "duplicate_in_bill", "refused"))
            continue
        seen.add(code)
        rows = rows_of.get(code)
        if rows is run and rows is not None:
            verdicts.append(Verdict(scan, *said, rows))
            continue
        if rows is None:
            if scan.home is not None:
                verdicts.append(Verdict(scan, "registered_elsewhere", "refused", scan.home))
            else:
                verdicts.append(Verdict(scan, "not_activated", "refused"))
            continue
        unit = rows[0]
        if (
            simple
            and unit.parent is None
            and len(rows) == 1
            and unit.status in pre
            and (
                unit.holder == owner
                if not by_dest
                else unit.dest == owner
                and (not sender or unit.holder in (sender, owner))
                and (not notice or unit.notice == notice)
            )
            and unit.qty > 0
            and unit.batch_id
            and (allow_expired or batches[unit.batch_id].expires_at > when)
            and (not stops or world.stop_of(unit, owner) is None)
            and unit.status not in _PERHAPS_OPENED
        ):
            late = unit.since is not None and when < unit.since
            # by position: named arguments cost more than all the rest
            verdicts.append(
                Verdict(scan, "accepted", "ok", None, 0, rows)
                if not late
                else Verdict(scan, "out_of_order", "warn", None, unit.last_bill, rows)
            )
            if unit.alike:
                run = rows
                said = ("out_of_order", "warn", None, unit.last_bill) if late else ("accepted", "ok", None, 0)
            continue
        verdicts.append(_examine_fully(world, order, scan, rows, scanned))
    return verdicts


def _examine_fully(
    world: World, order: Order, scan: Scan, rows: Sequence[Unit], scanned: set[str]
) -> Verdict:
    for row in rows:
        for around in world.ancestors(row):
            if around.code in scanned:
                return Verdict(scan, "inside_scanned_package", "refused", {"package": around.code})
    # what a bill before emptied of one of its products neither moves with a label nor stands in its way
    rows = [row for row in rows if row.qty] or rows
    worst: Verdict | None = None
    for row in rows:
        found = _examine_row(world, order, scan, row)
        if found.severity == "refused":
            found.units = tuple(rows) if found.quarantined else ()
            return found
        if found.severity == "warn" or worst is None:
            worst = found
    assert worst is not None
    worst.units = tuple(rows)
    return worst


def _examine_row(world: World, order: Order, scan: Scan, unit: Unit) -> Verdict:
    root = world.root(unit)
    reason = _state_reason(order, root)
    receiving = order.type.kind == "receive"
    # goods that come to hand are kept apart where they may not enter stock
    arriving = receiving or order.type.kind == "find"
    if not reason and unit.qty == 0:
        return Verdict(scan, "package_empty", "refused", {}, unit.last_bill)
    if not order.type.stopped:
        stop = world.stop_of(unit, order.owner)
        # a suspension is the owner's word about its own goods; a recall concerns everybody who has the box in hand,
        # only a receipt of what is in the own books already says that first
        beside = stop is not None and (
            stop.kind == "suspension" or (receiving and root.holder == order.owner)
        )
        if stop is not None and not (reason and beside):
            verdict = _STOPPED[stop.kind]
            held = arriving and not reason
            return Verdict(scan, verdict, "refused", stop.params, 0, quarantined=held, stop=stop)
    if reason:
        return Verdict(scan, reason, "refused", {"holder": root.holder or 0}, root.last_bill)
    case = world.held.get(root.key)
    if case is not None:
        return Verdict(scan, "exception_open", "refused", {"case": case}, root.last_bill)
    if order.type.kind in _TO_STOCK and root.aside is not None and root.aside.decided:
        return Verdict(scan, "exception_decided", "refused", {"case": root.aside.decided}, root.last_bill)
    if order.way_home is not None and (stops := world.stops_of(unit, order.owner)):
        ends = order.way_home.ends(world, order.owner, unit, stops)
        if ends:
            named = "、".join(world.names.get(org, f"#{org}") for org in ends)
            params = {**stops[0].params, "to": named}
            return Verdict(scan, "not_way_home", "refused", params, 0, stop=stops[0])
    if order.type.kind == "ship" and (split := world.split_of(unit)) is not None:
        # what was opened does not go back into the chain, whatever is left of it
        return Verdict(scan, "opened", "refused", {"left": split.left}, split.opened_bill)
    if order.parts or order.type.kind in _SPLITTING:
        refusal = _split_reason(world, order, scan, unit, root)
        if refusal is not None:
            return refusal
    facts = [world.batches[b] for b in world.batches_in(unit)]
    if receiving and _rejected(order, unit, [f.batch_no for f in facts]):
        return Verdict(scan, "rejected_by_you", "warn", rejected=True)
    if receiving and order.notice and root.notice != order.notice:
        return Verdict(scan, "on_other_notice", "refused", {}, root.notice or 0, quarantined=True)
    # what a buyer rejected comes back out of the receiver's own account
    if receiving and order.sender and root.holder not in (order.sender, order.owner):
        return Verdict(scan, "from_other_sender", "refused", {}, root.last_bill, quarantined=True)
    if order.expected:
        products = {e.drug_id for e in order.expected}
        if unit.drug_id not in products:
            return Verdict(scan, "wrong_product", "refused", {}, 0, quarantined=receiving)
        allowed = {e.batch_no for e in order.expected if e.drug_id == unit.drug_id}
        wrong = [f.batch_no for f in facts if f.batch_no not in allowed] if "" not in allowed else []
        if wrong:
            params = {"batch": "、".join(wrong), "expected": "、".join(sorted(allowed))}
            return Verdict(scan, "wrong_batch", "refused", params, 0, quarantined=receiving)
    if not order.type.expired:
        gone = [f for f in facts if f.expires_at <= order.happened_at]
        if gone:
            params = {"batch": gone[0].batch_no}
            return Verdict(scan, "expired", "refused", params, 0, quarantined=receiving)
    if _comes_from_quarantine(world, order, root):
        return Verdict(scan, "back_to_quarantine", "warn", {}, root.last_bill, quarantined=True)
    if root.since is not None and order.happened_at < root.since:
        return Verdict(scan, "out_of_order", "warn", {}, root.last_bill)
    if unit.parent is not None:
        return Verdict(scan, "taken_out", "ok", {"package": unit.parent})
    return Verdict(scan)


def _comes_from_quarantine(world: World, order: Order, root: Unit) -> bool:
    """Whether goods would enter stock that nobody released: found after they were lost in quarantine, turned away by
    whom they were sent to from there, or sent from there within one legal entity or chain (R-B4).
    """
    if order.type.post == "Q":
        return False
    if order.type.kind == "find":
        return root.aside is not None
    if order.type.kind != "receive" or not world.left_quarantine(root):
        return False
    return root.holder == order.owner or order.kin(root.holder or 0)


_TO_STOCK = frozenset({"release", "find"})
"""Kinds of bills that bring own goods into saleable stock."""
_STOPPED = {"recall": "recalled", "lock": "locked", "suspension": "suspended"}
_PERHAPS_OPENED = frozenset({"D", "Q", "N"})
_SPLITTING = frozenset({"use", "give_back", "open", "split_loss"})
"""Kinds of bills that look at what is left of an opened box."""


def _split_reason(world: World, order: Order, scan: Scan, unit: Unit, root: Unit) -> Verdict | None:
    """Why an opened box, or a part of a box, cannot move so; None when it can (R-C9)."""
    part = order.parts.get(scan.code, 0)
    split = world.split_of(unit)
    if not part and order.type.kind != "open":
        if split is None:
            return None
        return Verdict(scan, "opened_name_parts", "refused", {"left": split.left}, unit.last_bill)
    prep = split.total if split is not None else order.prep_units.get(unit.drug_id, 1)
    if unit.level != 1 or prep < 2:
        return Verdict(scan, "split_not_possible", "refused", {"level": unit.level}, 0)
    if order.type.kind == "open":
        return None
    means = order.type.parts
    if split is None:
        if root.status == "S":
            # it was sold whole, so no part of it is out
            return Verdict(
                scan, "split_return_too_much", "refused", {"asked": part, "out": 0}, unit.last_bill
            )
        if part > prep:
            return Verdict(scan, "split_not_enough", "refused", {"asked": part, "left": prep}, unit.last_bill)
        return None
    if means == "return" and part > split.out:
        params: dict[str, object] = {"asked": part, "out": split.out}
        return Verdict(scan, "split_return_too_much", "refused", params, unit.last_bill)
    if means != "return" and part > split.left:
        params = {"asked": part, "left": split.left}
        return Verdict(scan, "split_not_enough", "refused", params, unit.last_bill)
    if means == "dispense" and split.use_before is not None and order.happened_at >= split.use_before:
        opened, until = (at.astimezone(_CHINA).date() for at in (split.opened_at, split.use_before))
        params = {"opened": opened.isoformat(), "until": until.isoformat()}
        return Verdict(scan, "split_opened_too_long", "refused", params, split.opened_bill)
    return None


def _split(world: World, order: Order, unit: Unit, part: int, bill_id: int) -> tuple[str, int]:
    """Carry out what a line does to the inside of a box: its status afterwards, and what an opening opened."""
    split = world.split_of(unit)
    opened = 0
    if split is None:
        total = order.prep_units[unit.drug_id]
        life = order.opened_life.get(unit.drug_id)
        until = order.happened_at + life if life is not None else None
        split = Split(total, total, 0, 0, order.owner, bill_id, order.happened_at, until)
        world.splits[unit.key] = split
        opened = total
    means = order.type.parts
    if means == "dispense":
        split.left -= part
        split.out += part
    elif means == "return":
        split.left += part
        split.out -= part
    elif means == "loss":
        split.left -= part
        split.lost += part
    split.touched = True
    assert min(split.left, split.out, split.lost) >= 0, "more came out of a box than was in it"
    assert split.left + split.out + split.lost == split.total
    return ("D" if split.left else "S"), opened


def _rejected(order: Order, unit: Unit, batch_nos: Sequence[str]) -> bool:
    return (
        order.reject_all
        or unit.code in order.rejects
        or (bool(order.reject_batches) and any(b in order.reject_batches for b in batch_nos))
    )


_WITH_OTHER = {
    "A": "not_shipped_to_you",
    "I": "held_elsewhere",
    "Q": "held_elsewhere",
    "O": "in_transit_elsewhere",
    "S": "sold_elsewhere",
    "C": "cancelled",
    "X": "destroyed",
    "N": "disabled",
    "D": "opened_elsewhere",
}
_WITH_SELF = {
    "A": "not_stocked_in",
    "D": "opened",
    "I": "already_in_stock",
    "Q": "in_quarantine",
    "O": "already_shipped",
    "S": "already_sold",
    "C": "cancelled",
    "X": "destroyed",
    "N": "disabled",
}


def _state_reason(order: Order, root: Unit) -> str:
    """Why the unit's state does not allow the order; '' when it does."""
    status = root.status or "E"
    if order.type.by_dest:
        if status == "O" and root.dest == order.owner:
            return ""
        if root.holder == order.owner:
            return _WITH_SELF[status]
        if status in "AIQ":
            return "no_notice"
        return _WITH_OTHER[status]
    if status in order.type.pre and root.holder == order.owner:
        return ""
    if status == "O" and root.dest == order.owner:
        return "not_received_yet"
    if root.holder != order.owner:
        return _WITH_OTHER[status]
    if order.type.kind == "give_back" and status in "AIQD":
        return "not_sold"
    return _WITH_SELF[status]


def carry_out(world: World, order: Order, verdicts: Sequence[Verdict], bill_id: int) -> list[Alike]:
    """Apply what was accepted (and what goes to quarantine) to the world; the lines to record."""
    kind = order.type
    owner, when = order.owner, order.happened_at
    post, post_dest = kind.post, (order.to if kind.post == "O" else None)
    splitting = bool(order.parts) or kind.kind in ("open", "release", "find")
    returns = kind.kind == "ship" and kind.stopped
    lines: list[Line] = []
    runs: dict[int, list[str]] = {}
    for verdict in verdicts:
        for unit in verdict.units:
            if unit.alike:
                codes = runs.setdefault(id(unit), [])
                codes.append(verdict.scan.code)
                if len(codes) > 1:
                    continue
            part = opened = 0
            prev_bill = unit.last_bill
            root = unit if unit.parent is None else world.root(unit)
            pre, pre_holder, pre_dest = root.status or "", root.holder or 0, root.dest or 0
            notice_bill = root.notice or 0
            was_sent = world.sent.get((root.drug_id, notice_bill)) if world.sent else None
            came = world.left_quarantine(root) if was_sent is not None else False
            left = world.take_out(unit) if unit.parent is not None else ""
            if verdict.rejected:
                if was_sent is not None:
                    world.sent.setdefault((unit.drug_id, bill_id), {})[unit.code] = "Q" if came else "I"
                unit.status, unit.holder, unit.dest, unit.notice = "O", pre_holder, pre_holder, bill_id
            elif verdict.quarantined:
                unit.status, unit.holder, unit.dest, unit.notice = "Q", owner, None, None
            else:
                after = post
                if splitting:
                    part = order.parts.get(unit.code, 0)
                    if part or kind.kind == "open":
                        after, opened = _split(world, order, unit, part, bill_id)
                    elif kind.kind in ("release", "find") and (split := world.split_of(unit)) is not None:
                        after = "D" if split.left else "S"
                unit.status, unit.holder, unit.dest = after, owner, post_dest
                unit.notice = bill_id if after == "O" else None
            if returns:
                world.sent.setdefault((unit.drug_id, bill_id), {})[unit.code] = pre
            if unit.aside is not None or unit.status == "Q":
                unit.settle_aside(pre)
            unit.since, unit.last_bill, unit.touched = when, bill_id, True
            lines.append(
                Line(
                    unit,
                    pre,
                    unit.status,
                    pre_holder,
                    unit.holder,
                    pre_dest,
                    prev_bill,
                    notice_bill,
                    left,
                    {unit.batch_id: unit.qty} if unit.batch_id else world.batches_in(unit),
                    part,
                    opened,
                    (unit.dest or 0) if unit.status == "O" else 0,
                )
            )
    found = alike(lines)
    for one in found if runs else ():
        one.codes = runs.get(id(one.first.unit), one.codes)
    return found
