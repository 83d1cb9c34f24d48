"""Pages of sale and use: real name, narcotics, split packs."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from fastapi import APIRouter

PARTS = ("realname_pages", "narcotics_pages", "split_pages")
"""Modules of this room that bring pages; each has a `router`."""

router = APIRouter()

for _name in PARTS:
    if find_spec(f"yaosu.dispensing.{_name}") is not None:
        router.include_router(import_module(f"yaosu.dispensing.{_name}").router)
