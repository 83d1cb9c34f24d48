"""From what was judged to what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from yaosu.circulation.model import CodeResult, MovementResult, Prepared
from yaosu.circulation.posting import Posting
from yaosu.rules.judge import Verdict


def code_result(verdict: Verdict) -> CodeResult:
    """A verdict in the form of the answer."""
    units, scan = verdict.units, verdict.scan
    # by position, because named arguments take four times as long
    return CodeResult(
        scan.raw,
        scan.code,
        verdict.code,
        verdict.severity,
        verdict.params,
        verdict.quarantined,
        units[0].qty if len(units) == 1 else sum(u.qty for u in units) or verdict.qty,
        scan.drug_id,
        units[0].batch_id if units else verdict.batch_id,
        verdict.evidence_bill,
    )


def result_of(posting: Posting, now: datetime) -> MovementResult:
    verdicts = posting.verdicts
    refused = len(posting.refused)
    if posting.status == "V":
        status = "void"
    elif not refused:
        status = "accepted"
    else:
        status = "partial" if refused < len(verdicts) else "refused"
    return MovementResult(
        owner=posting.prepared.movement.owner,
        bill_id=posting.bill_id,
        bill_no=posting.prepared.movement.bill_no,
        revision=posting.revision,
        status=status,
        results=[code_result(v) for v in verdicts],
        flags=posting.flags,
        qty=posting.qty,
        recorded_at=now,
        leaf=posting.leaf.hex(),
        checks=posting.checks,
        kept=posting.kept,
        taken_back=posting.taken_back,
    )


def refusal(one: Prepared, verdicts: Sequence[Verdict]) -> MovementResult:
    return MovementResult(
        owner=one.movement.owner,
        bill_id=0,
        bill_no=one.movement.bill_no,
        revision=one.movement.revision,
        status="refused",
        results=[code_result(v) for v in verdicts],
        flags=one.flags,
    )
