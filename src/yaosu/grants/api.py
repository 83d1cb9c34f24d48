"""Operations of this room: data grants, and groups of hospitals."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.grants import grants_api, groups_api

router = APIRouter()
for _part in (grants_api, groups_api):
    router.include_router(_part.router)
