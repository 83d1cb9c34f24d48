"""The interface's addresses and the pages."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.exchange.jianguan import protocol

router = APIRouter()
router.include_router(protocol.router)
