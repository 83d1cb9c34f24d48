"""Verbs of the notify room: tell organisations something, and what they do with their messages.

`tell` is the one door for news, whatever room it comes from; a message page, the API and webhooks follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError, message, registry
from yaosu.notify import store
from yaosu.notify.model import KIND_PREFIX, Message
from yaosu.subject import Subject

SCOPE = "bill.read"
"""Who works with an organisation's bills reads what it is told about them."""
UNHOOKED = frozenset({"notice_webhook_given_up"})
"""News about webhooks does not go by webhook."""


async def tell(
    conn: Connection, org: int, kind: str, params: Mapping[str, object], link: str, ref: str
) -> None:
    """Tell an organisation something, in the caller's transaction: its message page and every active webhook of it.

    `kind` is a message code `notice_…`, `params` fill its text (plain values, never personal data), `link` is the page
    of ours that shows more, `ref` names the thing: the same (org, kind, ref) twice tells once. Raises ValueError for a
    kind nobody registered or a link elsewhere: defects of the caller.
    """
    await tell_many(conn, [org], kind, params, link, ref)


async def tell_many(
    conn: Connection, orgs: Iterable[int], kind: str, params: Mapping[str, object], link: str, ref: str
) -> int:
    """The same news for many organisations in one statement; how many had not heard it before."""
    wanted = sorted(set(orgs))
    if not wanted:
        return 0
    if not kind.startswith(KIND_PREFIX) or kind not in registry():
        raise ValueError(f"{kind!r} is no registered kind of message")
    if not link.startswith("/") or link.startswith("//"):
        raise ValueError(f"{link!r} is no page of ours")
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(params), default=str))
    body = {"kind": kind, "ref": ref, "link": link, "params": plain}
    told: int = await conn.fetchval(store.TELL, wanted, kind, ref, plain, link, body, kind not in UNHOOKED)
    return told


async def messages(
    conn: Connection,
    subject: Subject,
    *,
    before: int | None = None,
    unread: bool = False,
    kind: str | None = None,
    limit: int = 50,
) -> list[Message]:
    """The own organisation's messages, newest first."""
    subject.require(SCOPE)
    rows = await conn.fetch(store.MESSAGES, subject.org, before, unread, kind or None, limit)
    return [Message(*row.values()) for row in rows]


async def unread(conn: Connection, subject: Subject) -> int:
    """Unread messages of the own organisation, counted to 100."""
    subject.require(SCOPE)
    row = await conn.fetchrow(store.UNREAD, [subject.org])
    return int(row["unread"]) if row is not None else 0


async def mark_read(conn: Connection, subject: Subject, ids: Sequence[int]) -> list[int]:
    """Mark messages as read; those that were not before. Others' numbers change nothing."""
    subject.require(SCOPE)
    rows = await conn.fetch(store.MARK_READ, subject.org, list(ids), subject.account_id)
    return sorted(row["id"] for row in rows)


async def mark_all_read(conn: Connection, subject: Subject, up_to: int) -> None:
    """Mark everything up to a message as read, so that news that just came stays unread."""
    subject.require(SCOPE)
    await conn.execute(store.MARK_ALL, subject.org, subject.account_id, up_to)


async def open_message(conn: Connection, subject: Subject, message_id: int) -> str:
    """Mark one message as read and say where it leads; `not_found` for others'."""
    subject.require(SCOPE)
    link = await conn.fetchval(store.LINK, subject.org, message_id)
    if link is None:
        raise YaosuError("not_found", {"what": "消息" if subject.lang == "zh" else "Message"})
    await mark_read(conn, subject, [message_id])
    return str(link)


async def kinds_got(conn: Connection, subject: Subject) -> list[str]:
    """Kinds of messages the own organisation has got so far."""
    subject.require(SCOPE)
    return [row["kind"] for row in await conn.fetch(store.KINDS, subject.org)]


def kinds() -> list[dict[str, str]]:
    """Every kind of message there is, with its text in both languages."""
    found = [code for code in registry() if code.startswith(KIND_PREFIX)]
    return [{"kind": code, "zh": message(code).zh, "en": message(code).en} for code in sorted(found)]
