"""Operations of this room: data grants, and groups of hospitals."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.grants.grants_api import router as grants_router
from yaosu.grants.groups_api import router as groups_router

router = APIRouter()
router.include_router(grants_router)
router.include_router(groups_router)
