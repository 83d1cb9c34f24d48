"""The envelope's addresses and the operator's pages."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.exchange.xietong import protocol

router = APIRouter()
router.include_router(protocol.router)
