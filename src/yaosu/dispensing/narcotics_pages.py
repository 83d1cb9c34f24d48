"""Pages of narcotics: the desk, and what is done beside the ledger (R-C4)."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.dispensing import narcotics_pages_care, narcotics_pages_desk

router = APIRouter()
for _part in (narcotics_pages_desk, narcotics_pages_care):
    router.include_router(_part.router)
