"""Pages and gateway of the insurance room."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.insurance import gateway

router = APIRouter()
router.include_router(gateway.router)
