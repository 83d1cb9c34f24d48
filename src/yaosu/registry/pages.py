"""Pages of the registry."""

from __future__ import annotations

from fastapi import APIRouter

from yaosu.registry import pages_imports, pages_lists, pages_orgs, pages_products, places_pages

router = APIRouter()
# imports first: /orgs/import is not an organisation's number
for _part in (pages_imports, pages_orgs, pages_products, pages_lists, places_pages):
    router.include_router(_part.router)
