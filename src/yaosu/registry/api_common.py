"""Parameters that the registry's operations share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query

from yaosu.access.types import CleanText
from yaosu.registry.parts import fresh_after

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
After = Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Words = Annotated[CleanText, Query(description="name, code or number")]
Region = Annotated[str, Query(pattern=r"^(\d{2}|\d{4}|\d{6})?$", description="leading digits of GB/T 2260")]
SmallQuery = Annotated[int | None, Query(ge=0, le=32_767)]

# declared before the connection, so that it runs after the commit
Fresh = Annotated[None, Depends(fresh_after, scope="function")]


def cursor(ids: list[int], limit: int) -> str | None:
    """The `next` of a page in the order of numbers: the last number when the page is full."""
    return str(ids[-1]) if ids and len(ids) == limit else None
