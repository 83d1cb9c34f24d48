"""Pages of this room: data grants, who read what, and groups of hospitals."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.grants.grants_pages import router as grants_router
from yaosu.grants.groups_pages import router as groups_router

router = APIRouter()
router.include_router(grants_router)
router.include_router(groups_router)
