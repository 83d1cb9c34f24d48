"""Code lists over the API (D11)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from yaosu.access.openapi import problems
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.registry import service
from yaosu.registry.api_common import Fresh, Region
from yaosu.registry.schemas_lists import ItemBody, ItemOut, ListName, ListOut, ListsOut
from yaosu.registry.service_lists import known

router = APIRouter(tags=["registry"])

Listed = Annotated[str, Path(max_length=60, pattern=r"^[a-z][a-z0-9_]*$", examples=["bill_type"])]


@router.get(
    "/code-lists",
    summary="Index of code lists",
    description="Every list with its source.",
    response_model=ListsOut,
    responses=problems("unauthenticated", "forbidden"),
)
async def index(conn: Conn, subject: CurrentSubject) -> Any:
    """The index."""
    subject.require("org.read")
    lists = await service.current_lists(conn)
    items = []
    for name in lists.names():
        one = lists.whole(name)
        items.append(ListName(name=name, zh=one.zh, en=one.en, source=one.source, count=len(one.items)))
    return ListsOut(items=items)


@router.get(
    "/code-lists/{name}",
    summary="One code list",
    description="Entries valid on `at` (today) in `region`; the closest region wins.",
    response_model=ListOut,
    responses=problems("unauthenticated", "forbidden", "code_list_unknown", "invalid_request"),
)
async def one_list(
    conn: Conn,
    subject: CurrentSubject,
    name: Listed,
    at: Annotated[date | None, Query()] = None,
    region: Region = "",
) -> Any:
    """One list."""
    subject.require("org.read")
    lists = await service.current_lists(conn)
    one = lists.whole(known(name))
    items = [ItemOut.of(i) for i in lists.get(name, at, region)]
    return ListOut(name=name, zh=one.zh, en=one.en, source=one.source, items=items)


@router.put(
    "/code-lists/{name}/{code}",
    summary="Override an entry",
    description="For the operator: a new version of the entry, kept with its source; earlier versions remain.",
    response_model=ItemOut,
    responses=problems("unauthenticated", "forbidden", "code_list_unknown", "code_list_item_invalid"),
)
async def override(
    fresh: Fresh,
    conn: Conn,
    subject: CurrentSubject,
    name: Listed,
    code: Annotated[str, Path(max_length=40, pattern=r"^[A-Za-z0-9._-]+$", examples=["1"])],
    body: ItemBody,
) -> Any:
    """Put the operator's version in force."""
    made = await service.override_item(
        conn,
        subject,
        name,
        code,
        body.zh,
        body.en,
        body.source,
        body.region,
        body.valid_from,
        body.valid_to,
    )
    return ItemOut.of(made)
