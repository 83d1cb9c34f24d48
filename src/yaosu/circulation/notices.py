"""What a bill means for the other side: notices, receipt checks, quarantine (R-B1, R-B2, R-B4).

Runs inside the write path's transaction, over all bills of the group at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from yaosu.circulation import direct
from yaosu.circulation import store_notice as store
from yaosu.circulation.model import Flag
from yaosu.circulation.store_write import columns
from yaosu.db.engine import Connection
from yaosu.rules.judge import Verdict

if TYPE_CHECKING:
    from yaosu.circulation.posting import Posting

MEMO = frozenset(
    {
        "no_notice",
        "not_activated",
        "never_issued",
        "prefix_unknown",
        "registered_elsewhere",
        "not_shipped_to_you",
        "in_transit_elsewhere",
        "sold_elsewhere",
        "already_sold",
        "cancelled",
        "destroyed",
        "disabled",
        "opened_elsewhere",
        "recalled",
        "locked",
    }
)
"""Refusals of a receipt whose goods are in the buyer's hands all the same: they go to quarantine (R-B4)."""

KINDS = {
    "on_other_notice": "over",
    "from_other_sender": "over",
    "wrong_product": "wrong",
    "wrong_batch": "wrong",
    "expired": "expired",
    "not_activated": "not_activated",
    "never_issued": "unknown",
    "prefix_unknown": "unknown",
    "registered_elsewhere": "elsewhere",
    "in_transit_elsewhere": "elsewhere",
    "no_notice": "no_notice",
    "not_shipped_to_you": "no_notice",
    "sold_elsewhere": "sold",
    "already_sold": "sold",
    "cancelled": "invalid",
    "destroyed": "invalid",
    "disabled": "invalid",
    "opened_elsewhere": "sold",
    "recalled": "recalled",
    "locked": "recalled",
    "duplicate_in_bill": "",
    "inside_scanned_package": "",
    "already_in_stock": "",
}
"""Verdicts of a receipt by the kind that the receipt check counts them under; '' is not counted."""

DETAILS_MAX = 10_000
"""Codes listed in a receipt check."""

_HELD_BY_TYPE = {
    108: "recalled_goods",
    112: "held_for_scrap",
    115: "returned_goods",
    116: "returned_by_consumer",
}

BACK = "back_to_quarantine"
"""The verdict on goods that were in quarantine before and nobody released."""

Key = tuple[int, int, int]
"""(notice bill, product, batch)"""


async def record(conn: Connection, postings: Sequence[Posting]) -> None:
    """Everything the group's bills mean for notices, checks and quarantine."""
    await _announce(conn, postings)
    deltas = _progress(postings)
    await columns(conn, store.UPDATE_NOTICE_LINES, [(*key, *d) for key, d in sorted(deltas.items())])
    touched = sorted({key[0] for key in deltas})
    if touched:
        await conn.execute(store.UPDATE_NOTICES, touched)
    await _check(conn, postings)
    await _quarantine(conn, postings)
    await direct.announce(conn, postings)


async def _announce(conn: Connection, postings: Sequence[Posting]) -> None:
    """A notice to whoever goods are on their way to: the buyer, or the seller of rejected goods."""
    heads, lines, cancelled = [], [], []
    reduced: dict[Key, int] = {}
    for posting in postings:
        if posting.is_reversal:
            withdrawn = [p for p in posting.parts if p.first.pre == "O" and p.first.post != "O"]
            # what a correction leaves with the buyer stays announced; only the rest is withdrawn
            still = set(posting.kept_notices.values()) | ({posting.replaces} if posting.kept else set())
            cancelled += sorted({p.first.notice_bill for p in withdrawn} - still)
            for part in withdrawn:
                if part.first.notice_bill in still:
                    for batch_id, qty in part.contents.items():
                        one = (part.first.notice_bill, part.first.unit.drug_id, batch_id)
                        reduced[one] = reduced.get(one, 0) + qty
            continue
        sent: dict[int, dict[tuple[int, int], int]] = {}
        origin = {}
        for part in posting.parts:
            dest = part.first.dest
            if dest:
                per = sent.setdefault(dest, {})
                origin[dest] = posting.prepared.movement.owner
                for batch_id, qty in part.contents.items():
                    key = (part.first.unit.drug_id, batch_id)
                    per[key] = per.get(key, 0) + qty
        for dest, per in sent.items():
            when = posting.prepared.movement.happened_at
            heads.append((dest, posting.bill_id, origin[dest], when, sum(per.values())))
            lines += [(drug_id, posting.bill_id, batch_id, qty) for (drug_id, batch_id), qty in per.items()]
    if heads:
        columns_of = [list(c) for rows in (heads, lines) for c in zip(*rows, strict=True)]
        await conn.execute(store.INSERT_NOTICES, *columns_of)
    if cancelled:
        await conn.execute(store.CANCEL_NOTICES, cancelled)
    if reduced:
        await columns(conn, store.REDUCE_NOTICE_LINES, [(*key, qty) for key, qty in sorted(reduced.items())])
        touched = sorted({key[0] for key in reduced})
        await conn.execute(store.REDUCE_NOTICES, touched)
        await conn.execute(store.UPDATE_NOTICES, touched)


def _progress(postings: Sequence[Posting]) -> dict[Key, tuple[int, int, int]]:
    """(received, quarantined, refused) by notice, product and batch."""
    found: dict[Key, list[int]] = {}
    for posting in postings:
        back = bool(posting.flags & Flag.REVERSAL)
        for part in posting.parts:
            line = part.first
            arrives = line.post == "O" if back else line.pre == "O"
            if not line.notice_bill or not arrives or (back and line.pre == "O"):
                continue
            state = line.pre if back else line.post
            column = 1 if state == "Q" else (2 if state == "O" else 0)
            for batch_id, qty in part.contents.items():
                row = found.setdefault((line.notice_bill, line.unit.drug_id, batch_id), [0, 0, 0])
                row[column] += -qty if back else qty
    return {key: (row[0], row[1], row[2]) for key, row in found.items()}


async def _check(conn: Connection, postings: Sequence[Posting]) -> None:
    receipts = [p for p in postings if p.prepared.kind.kind == "receive" and not p.flags & Flag.REVERSAL]
    if not receipts:
        return
    notice_ids = {part.first.notice_bill for p in receipts for part in p.parts if part.first.notice_bill}
    notice_ids |= {p.prepared.order.notice for p in receipts if p.prepared.order.notice}
    rows = await conn.fetch(store.NOTICE_STATE, sorted(notice_ids))
    per_notice: dict[int, list[dict[str, object]]] = {}
    seller = {}
    for row in rows:
        seller[row["bill_id"]] = row["from_org"]
        per_notice.setdefault(row["bill_id"], []).append(
            {
                "drug_id": row["drug_id"],
                "batch_id": row["batch_id"],
                "expected": row["expected"],
                "received": row["received"],
                "quarantined": row["quarantined"],
                "refused": row["refused"],
                "short": row["expected"] - row["received"] - row["quarantined"] - row["refused"],
            }
        )
    made = []
    for posting in receipts:
        made += _checks_of(posting, per_notice, seller)
    ids = []
    for row_ in made:
        ids.append(await conn.fetchval(store.INSERT_CHECK, *row_[1:]))
    for check_id, row_ in zip(ids, made, strict=True):
        posting = row_[0]
        posting.checks.append(
            {"id": check_id, "notice_bill": row_[2], "seller": row_[4], "outcome": row_[5], "counts": row_[6]}
        )


def _checks_of(
    posting: Posting, per_notice: dict[int, list[dict[str, object]]], sellers: dict[int, int]
) -> list[tuple[Posting, int, int | None, int, int | None, str, dict[str, int], dict[str, object]]]:
    order = posting.prepared.order
    by_notice: dict[int, dict[str, int]] = {}
    for part in posting.parts:
        line = part.first
        counts = by_notice.setdefault(line.notice_bill, {})
        kind = "refused" if line.post == "O" else ("quarantined" if line.post == "Q" else "matched")
        counts[kind] = counts.get(kind, 0) + part.qty
    for kept in posting.kept:
        counts = by_notice.setdefault(posting.kept_notices.get((kept.drug_id, kept.code), 0), {})
        counts["matched"] = counts.get("matched", 0) + kept.qty
    main = order.notice or (next(iter(by_notice)) if len(by_notice) == 1 else 0)
    codes: list[dict[str, object]] = []
    odd = by_notice.setdefault(main, {}) if main or posting.refused else {}
    for v in posting.refused:
        kind = KINDS.get(v.code, "unreadable")
        if kind:
            odd[kind] = odd.get(kind, 0) + 1
            codes.append(_detail(v, kind))
    found = []
    for notice, counts in by_notice.items():
        lines = per_notice.get(notice, [])
        short = sum(int(str(li["short"])) for li in lines)
        if short > 0:
            counts["short"] = short
        mismatch = any(k not in ("matched", "short", "refused") for k in counts)
        outcome = "mismatch" if mismatch else ("refused" if counts.get("refused") else "matched")
        if outcome == "matched" and short > 0:
            outcome = "part"
        details: dict[str, object] = {"lines": lines, "codes": codes[:DETAILS_MAX] if notice == main else []}
        seller = sellers.get(notice) or (order.sender or None)
        found.append(
            (posting, posting.bill_id, notice or None, order.owner, seller, outcome, counts, details)
        )
    return found


def _detail(v: Verdict, kind: str) -> dict[str, object]:
    return {
        "code": v.scan.code,
        "raw": v.scan.raw if not v.scan.code else "",
        "verdict": v.code,
        "kind": kind,
    }


async def _quarantine(conn: Connection, postings: Sequence[Posting]) -> None:
    rows: list[tuple[object, ...]] = []
    closing: dict[int, tuple[int, list[str]]] = {}
    for posting in postings:
        movement, kind = posting.prepared.movement, posting.prepared.kind
        if posting.flags & Flag.REVERSAL:
            closing[posting.bill_id] = (
                movement.owner,
                [code for part in posting.parts if part.first.pre == "Q" for code in part.codes],
            )
            await conn.execute(store.CLOSE_OF_BILL, posting.replaces, posting.bill_id)
            if any(part.first.post == "Q" for part in posting.parts):
                await conn.execute(store.REOPEN_QUARANTINE, posting.replaces)
            continue
        leaving = [
            code
            for part in posting.parts
            if part.first.pre == "Q" or (kind.kind == "receive" and part.first.post == "I")
            for code in part.codes
        ]
        if leaving:
            closing[posting.bill_id] = (movement.owner, leaving)
        held = _HELD_BY_TYPE.get(kind.code, "returned_goods")
        arriving = [(part, code) for part in posting.parts if part.first.post == "Q" for code in part.codes]
        by_code: dict[str, Verdict] = {}
        if arriving:
            for v in posting.verdicts:
                by_code.setdefault(v.scan.code, v)
        for part, code in arriving:
            verdict = by_code[code]
            reason = verdict.code if verdict.quarantined else held
            params = dict(verdict.params or {})
            aside = part.first.unit.aside
            if reason == BACK and aside is not None and aside.verdict:
                # found again: they wait for what they waited for
                reason, params = aside.verdict, dict(aside.params)
            rows.append(
                (
                    movement.owner,
                    part.first.unit.drug_id,
                    code,
                    verdict.scan.raw,
                    part.first.qty,
                    True,
                    reason,
                    params,
                    posting.bill_id,
                )
            )
        if kind.kind == "receive":
            for v in posting.refused:
                if not v.quarantined and v.code in MEMO:
                    drug_id = v.scan.drug_id or None
                    row = (
                        movement.owner,
                        drug_id,
                        v.scan.code,
                        v.scan.raw.replace("\x00", "␀"),
                        0,
                        False,
                        v.code,
                    )
                    rows.append((*row, dict(v.params or {}), posting.bill_id))
    owners = {owner for owner, codes in closing.values() if codes}
    held_open = {r["org"] for r in await conn.fetch(store.HAVE_OPEN, list(owners))} if owners else set()
    for bill_id, (owner, codes) in closing.items():
        if codes and owner in held_open:
            await conn.execute(store.CLOSE_QUARANTINE, owner, codes, bill_id)
    await columns(conn, store.INSERT_QUARANTINE, rows)
