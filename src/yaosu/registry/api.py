"""The registry over the API: organisations, products, filings, code lists, resolving, bulk import."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.registry import api_imports, api_lists, api_orgs, api_products, places_api

router = APIRouter()
for _part in (places_api, api_orgs, api_products, api_lists, api_imports):
    router.include_router(_part.router)
