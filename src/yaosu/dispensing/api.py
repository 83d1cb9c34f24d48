"""Sale and use over the API: the operations of this room's three parts under one address."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from fastapi import APIRouter

PARTS = ("realname_api", "narcotics_api", "split_api")
"""Modules of this room that bring operations; each has a `router`."""

router = APIRouter()

for _name in PARTS:
    if find_spec(f"yaosu.dispensing.{_name}") is not None:
        router.include_router(import_module(f"yaosu.dispensing.{_name}").router)
