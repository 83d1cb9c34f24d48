"""The forms in which results leave this room: the same for API, jobs and pages."""

from __future__ import annotations

from typing import Any

from yaosu.production.activation import Activation, Check
from yaosu.production.requests import CodeRequest, Origin

SHOWN_MAX = 10_000


def check_answer(found: Check, lang: str) -> dict[str, Any]:
    """Result of a dry run."""
    return {
        "ok": found.ok,
        "file": found.file_name,
        **found.summary(),
        "errors": found.errors.total,
        "counts": dict(found.errors.counts),
        "findings": [f.as_json(lang) for f in found.errors.kept[:SHOWN_MAX]],
        "notes": [f.as_json(lang) for f in found.notes.kept[:SHOWN_MAX]],
    }


def activation_answer(done: Activation) -> dict[str, Any]:
    """Result of an activation."""
    return {
        "bill_id": done.bill_id,
        "bill_no": done.bill_no,
        "stock_bill": done.stock_bill,
        "sha256": done.sha256,
        "codes": done.codes,
        "boxes": done.boxes,
        "batches": done.batches,
        "leaf": done.leaf,
        "recorded_at": done.recorded_at.isoformat(),
        "repeated": done.repeated,
        "notes": done.notes,
    }


def request_answer(request: CodeRequest) -> dict[str, Any]:
    """A code request."""
    return {
        "id": request.id,
        "drug_id": request.drug_id,
        "filing_id": request.filing_id,
        "state": request.state,
        "purpose": request.purpose,
        "client_ref": request.client_ref,
        "total": request.total,
        "made_at": request.made_at,
        "downloaded_at": request.downloaded_at,
        "downloads": request.downloads,
        "levels": [
            {"level": r.level, "scheme": r.scheme, "prefix": r.prefix, "count": r.count}
            for r in request.ranges
        ],
    }


def origin_answer(origin: Origin) -> dict[str, Any]:
    """Where a code comes from."""
    return {
        "code": origin.code,
        "issued": origin.issued,
        "request_id": origin.request_id,
        "number": origin.number,
        "level": origin.level,
        "drug_id": origin.drug_id,
        "made_at": origin.made_at,
    }
