"""Quality management over the API (R-E1, R-E2, R-E5, R-E6)."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.quality import api_checks, api_papers

router = APIRouter(prefix="/quality", tags=["quality"])
router.include_router(api_checks.router)
router.include_router(api_papers.router)
