"""The production room's API."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.production import api_packing, api_relations, api_requests, api_uploads

router = APIRouter()
for _part in (api_requests, api_relations, api_uploads, api_packing):
    router.include_router(_part.router)
