"""Pages of the circulation room: the daily work with boxes (R-B1 … R-B6, R-C1, R-C3)."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.circulation import (
    pages_acting,
    pages_amounts,
    pages_bills,
    pages_corrections,
    pages_delegations,
    pages_movements,
    pages_quarantine,
    pages_receive,
    pages_scan,
)

router = APIRouter()
for part in (
    pages_scan,
    pages_movements,
    pages_receive,
    pages_quarantine,
    pages_bills,
    pages_corrections,
    pages_amounts,
    pages_delegations,
    pages_acting,
):
    router.include_router(part.router)
