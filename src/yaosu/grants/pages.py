"""Pages of this room: data grants, who read what, and groups of hospitals."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.grants import grants_pages, groups_pages

router = APIRouter()
for _part in (grants_pages, groups_pages):
    router.include_router(_part.router)
