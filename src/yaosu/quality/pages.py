"""Pages of quality management."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.quality import pages_checks, pages_papers

router = APIRouter()
router.include_router(pages_checks.router)
router.include_router(pages_papers.router)
