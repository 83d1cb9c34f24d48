"""Lists for pages, API and command line. The operator's only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.xietong import store_client, store_hub
from yaosu.exchange.xietong.envelope import CHINA
from yaosu.subject import Subject


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v.astimezone(CHINA).isoformat()
        if isinstance(v, datetime)
        else str(v)
        if isinstance(v, UUID)
        else v
        for k, v in row.items()
    }


async def rules(conn: Connection, subject: Subject, after: int, limit: int) -> list[dict[str, Any]]:
    """Filed code rules, by number."""
    subject.require("registry.admin")
    found = []
    for row in await conn.fetch(store_hub.RULES, after, None, limit):
        one = _plain(dict(row))
        body = one.pop("body")
        found.append({**one, "prefixes": body.get("prefixes", []), "rule_text": body.get("rule_text", "")})
    return found


async def events(conn: Connection, subject: Subject, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Events the platform took, newest first."""
    subject.require("registry.admin")
    return [_plain(dict(r)) for r in await conn.fetch(store_hub.EVENTS, before, None, limit)]


async def tally(conn: Connection, subject: Subject) -> dict[int, dict[str, int]]:
    """How much each system filed."""
    subject.require("registry.admin")
    return {r["id"]: dict(r) for r in await conn.fetch(store_hub.TALLY)}


async def filed(
    conn: Connection, subject: Subject, connection: int, state: str, limit: int, skip: int = 0
) -> list[dict[str, Any]]:
    """What is filed with a platform, after the first `skip`; what is not filed comes first."""
    subject.require("registry.admin")
    rows = await conn.fetch(store_client.LIST_FILED, connection, state, limit, skip)
    return [_plain(dict(r)) for r in rows]


async def inbox(
    conn: Connection, subject: Subject, connection: int, state: str, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """What came from a platform, newest first."""
    subject.require("registry.admin")
    return [_plain(dict(r)) for r in await conn.fetch(store_client.INBOX, connection, state, before, limit)]


async def retry(conn: Connection, subject: Subject, number: int) -> None:
    """Book an event again; `not_found` for one that is done."""
    subject.require("registry.admin")
    if await conn.fetchval(store_client.RETRY, number) is None:
        raise YaosuError("not_found", {"what": "事件" if subject.lang == "zh" else "Event"})


async def file_again(conn: Connection, subject: Subject, connection: int, kind: str, key: str) -> None:
    """Send a refused filing once more."""
    subject.require("registry.admin")
    await conn.execute(store_client.AGAIN, connection, kind, key)
