"""Verbs of split dispensing at a station: look at a box, dispense parts, take parts back, write remainders off.

Every one that moves something is one bill through `circulation.service.submit`. Requirement: R-C9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import visible
from yaosu.circulation import service as circulation
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.prepare import scans_of
from yaosu.db.engine import Connection
from yaosu.dispensing import split_orders as orders
from yaosu.dispensing import split_store as store
from yaosu.dispensing.split_model import LINES_MAX, LOSS, OPEN, RETURN, Line, Plan, Refused, Share, last_day
from yaosu.dispensing.split_orders import Desk, Recorded, lines_refused
from yaosu.errors import YaosuError
from yaosu.people import free_text
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.subject import Subject

SALE, USE = 321, 323
"""How a pharmacy and a hospital dispense unless they say otherwise."""
EXPIRED_MAX = 5_000
"""Remainders closed by one bill."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A scanned box as the station shows it. `verdict` is '' when parts of it may be dispensed now."""

    raw: str
    code: str
    drug_id: int
    verdict: str = ""
    params: dict[str, object] | None = None
    opened: bool = False
    total: int = 0
    left: int = 0
    until: datetime | None = None
    batch_id: int = 0


def default_type(registry: Registry, owner: int) -> int:
    """321 for a pharmacy, 323 for a hospital."""
    card = registry.org(owner)
    return SALE if card is not None and card.type == 4 else USE


def dispensing_type(registry: Registry, owner: int, given: int | None) -> int:
    """The bill type asked for; refused (`pool_type_not_dispensing`) when it does not dispense parts."""
    code = given if given is not None else default_type(registry, owner)
    kind = submittable().get(code)
    if kind is None or kind.parts != "dispense":
        raise YaosuError("pool_type_not_dispensing", {"type": code})
    return code


async def look(
    conn: Connection,
    registry: Registry,
    batches: BatchCache,
    subject: Subject,
    owner: int,
    raws: Sequence[str],
) -> list[Looked]:
    """What remains in scanned boxes, and why none of it may be dispensed where that is so. Changes nothing."""
    now = datetime.now(UTC)
    movement = Movement(OPEN, "", owner, now, list(raws))
    results, _ = await circulation.check(conn, registry, batches, subject, movement)
    keys = [(r.drug_id, r.code) for r in results if r.code and r.drug_id]
    held = {(h["drug_id"], h["code"]): h for h in await store.held(conn, visible(subject), owner, keys)}
    found = []
    for one in results:
        pack = held.get((one.drug_id, one.code))
        product = registry.product(one.drug_id) if one.drug_id else None
        if pack is not None and one.verdict in ("opened", "accepted", "duplicate_in_bill"):
            # our own opened box: the question is only whether it is still good
            params: dict[str, object] = {"until": last_day(pack["until"]).isoformat()}
            gone = "pool_box_expired" if pack["until"] <= now else ""
            found.append(
                Looked(
                    one.raw,
                    one.code,
                    one.drug_id,
                    gone,
                    params,
                    True,
                    pack["total"],
                    pack["unit_left"],
                    pack["until"],
                    one.batch_id,
                )
            )
            continue
        verdict = "" if one.accepted or one.verdict == "duplicate_in_bill" else one.verdict
        total = product.prep_units_per if product is not None else 0
        found.append(
            Looked(
                one.raw,
                one.code,
                one.drug_id,
                verdict,
                dict(one.params or {}),
                False,
                total,
                total if not verdict else 0,
                None,
                one.batch_id,
            )
        )
    return found


async def open_boxes(
    desk: Desk, number: str, codes: Sequence[str], body: bytes, owner: int | None = None
) -> MovementResult:
    """Open boxes for split dispensing (bill type 7); one refused box does not hold the others up."""
    org = desk.owner(owner)
    when = await orders.time_of(desk, org, number, None)
    movement = Movement(OPEN, number, org, when, list(codes), body=body)
    return await circulation.submit(desk.pool, desk.committer, desk.registry, desk.subject, movement)


async def dispense(
    desk: Desk,
    number: str,
    lines: Sequence[Line],
    body: bytes,
    *,
    bill_type: int | None = None,
    happened_at: datetime | None = None,
    owner: int | None = None,
) -> Recorded:
    """Give parts of scanned boxes to patients: all lines or none, one bill, closed boxes opened by it.

    Several lines may name the same box; each part carries its trace code with 拆零标志. Repeating the same number and
    content is safe. Refused (`split_lines_refused`) with a finding for each line that cannot be.
    """
    return await _parts(desk, "dispense", number, lines, body, bill_type, happened_at, owner)


async def take_back(
    desk: Desk,
    number: str,
    lines: Sequence[Line],
    body: bytes,
    *,
    happened_at: datetime | None = None,
    owner: int | None = None,
    pool_id: int | None = None,
) -> Recorded:
    """Take parts back into their boxes (116 with parts): all lines or none.

    A line that names a prescription gives back at most what that prescription holds of the box.
    """
    return await _parts(desk, "return", number, lines, body, RETURN, happened_at, owner, pool_id)


async def _parts(
    desk: Desk,
    kind: Any,
    number: str,
    lines: Sequence[Line],
    body: bytes,
    bill_type: int | None,
    happened_at: datetime | None,
    owner: int | None,
    pool_id: int | None = None,
) -> Recorded:
    org = desk.owner(owner)
    if kind == "dispense":
        bill_type = dispensing_type(desk.registry, org, bill_type)
    assert bill_type is not None
    if not lines:
        raise YaosuError("split_no_lines")
    if len(lines) > LINES_MAX:
        raise YaosuError("too_many_codes", {"count": len(lines), "limit": LINES_MAX})
    shares, refused = read_lines(desk.registry, lines)
    asked = [[s.code, s.units, s.prescription_no, s.person_id, s.dosage] for s in shares]
    content = orders.digest([kind, bill_type, pool_id, happened_at, asked])
    if not refused:
        row = await orders.earlier(desk, org, number, content)
        if row is not None:
            return await orders.resume(desk, row, body)
    if refused:
        raise lines_refused(refused)
    when = happened_at or datetime.now(UTC)
    plan = Plan(org, kind, bill_type, number, when, content, shares, pool_id)
    done = await orders.record(desk, plan, body)
    if done.order is None and done.result is not None:
        raise lines_refused(of_result(shares, done.result))
    return done


def read_lines(registry: Registry, lines: Sequence[Line]) -> tuple[list[Share], list[Refused]]:
    """Shares of the boxes that the lines' scans name, and the lines whose scan names none."""
    scans, _, _ = scans_of(registry, [line.code for line in lines])
    shares, refused = [], []
    for n, (line, scan) in enumerate(zip(lines, scans, strict=True)):
        if scan.problem or not scan.drug_id:
            refused.append(Refused(n, scan.problem or "split_code_needed", dict(scan.params or {})))
            continue
        if free_text.holds_citizen(f"{line.prescription_no} {line.dosage}"):
            refused.append(Refused(n, "personal_in_text", {"field": "prescription_no"}))
            continue
        shares.append(
            Share(
                n,
                scan.drug_id,
                scan.code,
                line.units,
                False,
                line.prescription_no,
                line.person_id,
                line.dosage,
            )
        )
    return shares, refused


def of_result(shares: Sequence[Share], result: MovementResult) -> list[Refused]:
    """The lines of a refused bill, by the boxes that it was refused for."""
    wrong = {r.code: r for r in result.results if not r.accepted}
    return [
        Refused(s.n, wrong[s.code].verdict, {"code": s.code, **(wrong[s.code].params or {})})
        for s in shares
        if s.code in wrong
    ]


async def lose(
    desk: Desk,
    number: str,
    lines: Sequence[Line],
    reason: str,
    body: bytes,
    *,
    happened_at: datetime | None = None,
    owner: int | None = None,
    header: dict[str, object] | None = None,
) -> MovementResult:
    """Write parts of opened boxes off (bill type 8) with the reason; all or none."""
    org = desk.owner(owner)
    if not lines:
        raise YaosuError("split_no_lines")
    shares, refused = read_lines(desk.registry, lines)
    if refused:
        raise lines_refused(refused)
    parts: dict[str, int] = {}
    for share in shares:
        parts[share.code] = parts.get(share.code, 0) + share.units
    movement = Movement(
        type=LOSS,
        bill_no=number,
        owner=org,
        happened_at=await orders.time_of(desk, org, number, happened_at),
        codes=list(parts),
        mode="atomic",
        header={"reason_text": reason, **(header or {})},
        body=body,
        parts=parts,
    )
    result = await circulation.submit(desk.pool, desk.committer, desk.registry, desk.subject, movement)
    if result.status != "accepted":
        raise lines_refused(of_result(shares, result))
    return result


async def expired_remainders(conn: Connection, subject: Subject, org: int) -> list[Record]:
    """Opened boxes of the organisation that are past their day with something left."""
    return await store.expired(conn, visible(subject), org, EXPIRED_MAX)


async def close_expired(
    desk: Desk,
    number: str,
    reason: str,
    body: bytes,
    *,
    codes: Sequence[str] | None = None,
    owner: int | None = None,
) -> MovementResult:
    """Write all expired remainders off in one bill, or those among `codes`.

    Refused (`split_nothing_expired`) when there are none.
    """
    org = desk.owner(owner)
    async with desk.pool.acquire() as conn:
        rows = await expired_remainders(conn, desk.subject, org)
    wanted = set(codes) if codes is not None else None
    lines = [Line(r["code"], r["unit_left"]) for r in rows if wanted is None or r["code"] in wanted]
    if not lines:
        raise YaosuError("split_nothing_expired")
    return await lose(desk, number, lines, reason, body, owner=org)


def limits(registry: Registry) -> tuple[timedelta, int]:
    """How long before its last day a box is expiring, and up to how many percent are a remainder."""
    values = {}
    for code in ("expiring_days", "remainder_percent"):
        item = registry.lists.item("split_limit", code)
        value = item.attrs.get("value") if item is not None else None
        values[code] = value if isinstance(value, int) and value > 0 else 0
    return timedelta(days=values["expiring_days"]), values["remainder_percent"]
