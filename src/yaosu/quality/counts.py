"""盘点对账: what stands on the shelf against the books, each difference down to the bill or to the code.

A count by codes names every box that is missing and every one too many; a count by quantities can only say which
bills would explain a difference. A count moves nothing: surplus and shortage are posted by bills of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.people.free_text import NOT_KEPT, holds_citizen
from yaosu.quality import store_balance as store
from yaosu.quality.balance import SHELF, Reason
from yaosu.quality.refusals import missing
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace import verify
from yaosu.trace.model import Found

CODES_MAX = 20_000
SHELF_MAX = 50_000
"""Outermost packages that one count compares; more is asked for product by product."""
LINES_MAX = 2_000
LISTED_MAX = 2_000
"""Missing and surplus codes that a count lists; the sums cover all."""

Key = tuple[int, str]
Account = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A package with its content in smallest packages."""

    drug_id: int
    code: str
    batch_id: int
    qty: int
    last_bill: int
    parent: str | None = None

    @property
    def key(self) -> Key:
        """Product and code."""
        return (self.drug_id, self.code)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Counted without scanning: so many smallest packages of a batch."""

    drug_id: int
    batch_no: str
    qty: int


def missing_of(root: Piece, inside: Mapping[str, Sequence[Piece]], scanned: frozenset[str]) -> list[Piece]:
    """The largest packages of `root` of which nothing was scanned; empty when it or all it holds was scanned."""
    if root.code in scanned:
        return []
    parts = inside.get(root.code, ())
    if not any(_touched(part, inside, scanned) for part in parts):
        return [root]
    return [piece for part in parts for piece in missing_of(part, inside, scanned)]


def _touched(piece: Piece, inside: Mapping[str, Sequence[Piece]], scanned: frozenset[str]) -> bool:
    return piece.code in scanned or any(_touched(p, inside, scanned) for p in inside.get(piece.code, ()))


def _may_count(subject: Subject) -> int:
    subject.require("quality.read")
    if not subject.can("quality.manage"):
        subject.require("bill.write")
    return subject.org


async def by_codes(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    codes: Sequence[str],
    drug_id: int | None = None,
    batch_no: str = "",
) -> int:
    """Compare scanned codes with what the books say is on the shelf (I and Q); the number of the count.

    Refused: `quality_count_empty`, `too_many_codes`, `quality_count_too_large`, `quality_batch_unknown`.
    """
    org = _may_count(subject)
    wanted = list(dict.fromkeys(c.strip() for c in codes if c.strip()))
    if not wanted:
        raise YaosuError("quality_count_empty")
    if len(wanted) > CODES_MAX:
        raise YaosuError("too_many_codes", {"count": len(wanted), "limit": CODES_MAX})
    batch_id = await _batch(conn, drug_id, batch_no)
    asked = [verify.ask(registry, raw) for raw in wanted]
    looked = await verify.look(conn, asked, verify.BatchMemory())
    shelf = [
        Piece(*r.values()) for r in await store.rows(conn, store.SHELF, org, drug_id, batch_id, SHELF_MAX + 1)
    ]
    if len(shelf) > SHELF_MAX:
        raise YaosuError("quality_count_too_large", {"limit": SHELF_MAX})
    scanned = {key: looked.found[key] for one in asked for key in one.keys if key in looked.found}
    names = frozenset(key[1] for key in scanned)
    tops = {
        key: found for key, found in scanned.items() if not any(up.code in names for up in found.path[1:])
    }
    here = {key: found for key, found in tops.items() if _on_shelf(found, org)}
    over = [_over(found, org) for key, found in tops.items() if key not in here]
    over += [_unread(one) for one in asked if not any(key in looked.found for key in one.keys)]
    opened = sorted({(f.root.drug_id, f.root.code) for f in here.values() if f.root.code not in names})
    inside: dict[str, list[Piece]] = {}
    for row in await store.inside(conn, opened, SHELF_MAX):
        piece = Piece(
            row["drug_id"], row["code"], row["batch_id"], row["qty"], row["last_bill"], row["parent"]
        )
        inside.setdefault(row["parent"], []).append(piece)
    # what is inside a package moved with it: its last bill is the later of its own and the package's
    missing = [
        replace(piece, last_bill=max(piece.last_bill, root.last_bill))
        for root in shelf
        for piece in missing_of(root, inside, names)
    ]
    explained = await _explain_missing(conn, subject, org, missing)
    result = await _result(conn, registry, org, drug_id, batch_no, over, explained, len(scanned) - len(tops))
    return await _keep(conn, subject, "codes", drug_id, batch_no, result)


async def _batch(conn: Connection, drug_id: int | None, batch_no: str) -> int | None:
    if not batch_no:
        return None
    rows = await store.rows(conn, store.BATCH_OF, drug_id or 0, batch_no)
    if not rows:
        raise YaosuError("quality_batch_unknown", {"batch_no": batch_no})
    found: int = rows[0]["id"]
    return found


def _on_shelf(found: Found, org: int) -> bool:
    return found.root.holder == org and found.root.status in SHELF


Difference = tuple[Piece, Reason, bool]
"""What differs, why, and whether a record explains it."""


def _over(found: Found, org: int) -> Difference:
    """A package in hand that the books have somewhere else. Whose books is not said: that may be nobody's to know."""
    unit, root = found.unit, found.root
    piece = Piece(unit.drug_id, unit.code, unit.batch_id, unit.qty, unit.last_bill)
    bill: dict[str, object] = {"bill": root.last_bill}
    if root.status == "O" and root.dest == org:
        return piece, Reason("quality_over_coming", bill, unit.qty, f"/receive/{root.last_bill}"), True
    if root.holder == org and root.status in ("O", "S"):
        code = "quality_over_shipped" if root.status == "O" else "quality_over_sold"
        return piece, Reason(code, bill, unit.qty, f"/bills/{root.last_bill}"), True
    if root.holder == org and root.status == "A":
        return piece, Reason("quality_over_not_stocked", {}, unit.qty, f"/trace?code={unit.code}"), True
    if root.holder == org and root.status == "D":
        return piece, Reason("quality_over_opened", {}, unit.qty, f"/trace?code={unit.code}"), True
    if root.holder == org:
        reason = Reason("quality_over_ended", {"status": root.status}, unit.qty, f"/bills/{root.last_bill}")
        return piece, reason, True
    return piece, Reason("quality_over_elsewhere", {}, unit.qty, f"/trace?code={unit.code}"), False


def _unread(one: verify.Asked) -> Difference:
    drug_id = one.keys[0][0] if one.keys else 0
    # whatever a scanner or a caller sent: what cannot be stored is shown as unreadable, never dropped
    raw = "".join(c if c.isprintable() else "\ufffd" for c in one.raw)
    if holds_citizen(raw):
        # an identity card read into the list of codes, with something around its number
        raw = NOT_KEPT
    text = one.code.text if one.code is not None else raw
    code = "quality_over_not_active" if one.keys else "quality_over_unknown"
    return Piece(drug_id, text, 0, 1 if one.keys else 0, 0), Reason(code, {}, 1 if one.keys else 0), False


async def _explain_missing(
    conn: Connection, subject: Subject, org: int, missing: Sequence[Piece]
) -> list[Difference]:
    """Each missing package with the refused scan that explains it, or the last bill that knew it."""
    listed = missing[:LISTED_MAX]
    refused = {
        r["code"]: r
        for r in await store.rows(conn, store.REFUSED_SCANS, org, [piece.code for piece in listed])
    }
    bills = await store.bills(conn, visible(subject), list({piece.last_bill for piece in listed}))
    found: list[Difference] = []
    for piece in missing:
        scan = refused.get(piece.code)
        last = bills.get(piece.last_bill)
        if scan is not None:
            params: dict[str, object] = {"bill_no": scan["bill_no"], "verdict": scan["verdict"]}
            reason = Reason("quality_missing_refused", params, piece.qty, f"/bills/{scan['id']}")
        else:
            number = last["bill_no"] if last is not None else "—"
            href = f"/bills/{last['id']}" if last is not None else f"/trace?code={piece.code}"
            reason = Reason("quality_missing_scan", {"bill_no": number}, piece.qty, href)
        found.append((piece, reason, scan is not None))
    return found


async def by_quantities(
    conn: Connection, registry: Registry, subject: Subject, quantities: Sequence[Quantity]
) -> int:
    """Compare counted quantities with the books; a batch that is not named is not compared. The number of the count.

    Refused: `quality_count_empty`, `quality_batch_unknown`, `quality_count_twice`, `quality_count_too_large`.
    """
    org = _may_count(subject)
    if not quantities:
        raise YaosuError("quality_count_empty")
    if len(quantities) > LINES_MAX:
        raise YaosuError("quality_count_too_large", {"limit": LINES_MAX})
    seen: set[Account] = set()
    lines: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    for one in quantities:
        batch_id = await _batch(conn, one.drug_id, one.batch_no or "—") or 0
        if (one.drug_id, batch_id) in seen:
            raise YaosuError("quality_count_twice", {"batch_no": one.batch_no})
        seen.add((one.drug_id, batch_id))
        rows = await store.rows(conn, store.BOOKED, org, one.drug_id, one.batch_no)
        booked = rows[0]["qty"] if rows else 0
        reasons = await _candidates(conn, org, one.drug_id, batch_id, one.qty - booked)
        room = abs(one.qty - booked)
        explained = min(room, sum(r.qty for r in reasons))
        lines.append(_line(registry, one.drug_id, one.batch_no, booked, one.qty, room - explained))
        kind = "over" if one.qty > booked else "missing"
        details += [_detail(kind, one.drug_id, one.batch_no, "", r, True) for r in reasons]
    result = {"lines": lines, "details": details, "inside": 0, "omitted": 0}
    return await _keep(conn, subject, "quantities", None, "", result)


async def _candidates(
    conn: Connection, org: int, drug_id: int, batch_id: int, difference: int
) -> list[Reason]:
    """Records that would explain a difference: goods announced and not received; scans that a bill refused."""
    if difference > 0:
        rows = await store.rows(conn, store.COMING, org, drug_id, batch_id)
        return [
            Reason("quality_over_coming", {"bill": r["id"]}, r["qty"], f"/receive/{r['id']}") for r in rows
        ]
    if difference < 0:
        rows = await store.rows(conn, store.REFUSED_OF_BATCH, org, drug_id, batch_id)
        return [
            Reason(
                "quality_missing_refused",
                {"bill_no": r["bill_no"], "verdict": r["verdict"], "code": r["code"]},
                r["qty"],
                f"/bills/{r['id']}",
            )
            for r in rows
        ]
    return []


def _line(
    registry: Registry, drug_id: int, batch_no: str, booked: int, counted: int, unexplained: int
) -> dict[str, Any]:
    product = registry.product(drug_id)
    name = f"{product.generic_name} {product.strength} {product.package_size}" if product else str(drug_id)
    return {
        "drug_id": drug_id,
        "product": name,
        "batch_no": batch_no,
        "booked": booked,
        "counted": counted,
        "difference": counted - booked,
        "unexplained": unexplained,
    }


def _detail(kind: str, drug_id: int, batch_no: str, code: str, reason: Reason, known: bool) -> dict[str, Any]:
    return {
        "kind": kind,
        "drug_id": drug_id,
        "batch_no": batch_no,
        "code": code,
        "explained": known,
        **_flat(reason),
    }


def _flat(reason: Reason) -> dict[str, Any]:
    plain = asdict(reason)
    return {"reason": plain.pop("code"), **plain}


async def _result(
    conn: Connection,
    registry: Registry,
    org: int,
    drug_id: int | None,
    batch_no: str,
    over: Sequence[Difference],
    missing: Sequence[Difference],
    inside: int,
) -> dict[str, Any]:
    """Per account what the books say and what was counted; and every difference."""
    booked: dict[Account, int] = {}
    numbers: dict[Account, str] = {}
    for r in await store.rows(conn, store.BOOKED, org, drug_id, batch_no or None):
        booked[r["drug_id"], r["batch_id"]] = r["qty"]
        numbers[r["drug_id"], r["batch_id"]] = r["batch_no"]
    changes: dict[Account, list[int]] = {}
    for sign, rows in ((1, over), (-1, missing)):
        for piece, _, known in rows:
            change = changes.setdefault((piece.drug_id, piece.batch_id), [0, 0])
            change[0] += sign * piece.qty
            change[1] += 0 if known else piece.qty
    unknown = [a for a in changes if a not in numbers and a[1]]
    for r in await store.rows(conn, store.BATCH_NUMBERS, [a[0] for a in unknown], [a[1] for a in unknown]):
        numbers[r["drug_id"], r["id"]] = r["batch_no"]
    lines = []
    for account in sorted({*booked, *changes}):
        moved, unexplained = changes.get(account, [0, 0])
        stock = booked.get(account, 0)
        lines.append(_line(registry, account[0], numbers.get(account, ""), stock, stock + moved, unexplained))
    details = [
        _detail(
            kind, piece.drug_id, numbers.get((piece.drug_id, piece.batch_id), ""), piece.code, reason, known
        )
        for kind, rows in (("missing", missing), ("over", over))
        for piece, reason, known in rows
    ]
    omitted = max(len(details) - LISTED_MAX, 0)
    return {"lines": lines, "details": details[:LISTED_MAX], "inside": inside, "omitted": omitted}


async def _keep(
    conn: Connection, subject: Subject, mode: str, drug_id: int | None, batch_no: str, result: dict[str, Any]
) -> int:
    lines = result["lines"]
    number: int = await conn.fetchval(
        store.ADD_COUNT,
        subject.org,
        subject.account_id,
        mode,
        drug_id,
        batch_no or None,
        sum(line["booked"] for line in lines),
        sum(line["counted"] for line in lines),
        sum(1 for line in lines if line["difference"] or line["unexplained"]),
        sum(line["unexplained"] for line in lines),
        result,
    )
    return number


async def get(conn: Connection, subject: Subject, number: int) -> Record:
    """One stock count; refused (`not_found`) when it is not the reader's to see."""
    subject.require("quality.read")
    sight = visible(subject)
    found = await store.count(conn, sight, number)
    if found is None:
        raise missing(subject, "盘点", "Stock count")
    if sight.records_reads:
        await record_read(conn, subject, f"stock count {number}", found["org"])
    return found


async def listed(
    conn: Connection, subject: Subject, before: int | None = None, org: int | None = None, limit: int = 50
) -> list[Record]:
    """Stock counts, newest first."""
    subject.require("quality.read")
    sight = visible(subject)
    if sight.records_reads:
        await record_read(conn, subject, "stock counts", org)
    return await store.counts(conn, sight, before or 2**62, org, limit)
