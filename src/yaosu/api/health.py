"""Liveness: whether the server answers and its database too."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu import __version__
from yaosu.edge.deps import Conn

router = APIRouter(tags=["operation"])


@router.get(
    "/health",
    summary="Health",
    description="Public. Answers when server and database work.",
    responses={200: {"content": {"application/json": {"example": {"status": "ok", "version": "0.1.0"}}}}},
)
async def health(conn: Conn) -> dict[str, str]:
    """Server and database answer."""
    await conn.fetchval("SELECT 1")
    return {"status": "ok", "version": __version__}
