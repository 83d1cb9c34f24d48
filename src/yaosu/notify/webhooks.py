"""Webhooks: where an organisation's programs are told (R-X2). Managed by whoever manages its API keys."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import httpx
import orjson
from asyncpg import Record

from yaosu.access import audit
from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.notify import http, outbox, signing, store
from yaosu.notify.model import Webhook
from yaosu.notify.outbox import Delivery, Outcome, Target
from yaosu.notify.service import UNHOOKED, kinds, tell
from yaosu.subject import Subject

SCOPE = "key.manage"
PER_ORG = 20
REPLAY_MAX = 10_000
TEST_KIND = "webhook_test"
STATES = ("pending", "processed", "failed", "given_up")


def _webhook(row: Record) -> Webhook:
    return Webhook(
        row["id"], row["org"], row["url"], tuple(row["kinds"]), row["salt"], row["active"], row["created_at"]
    )


def _missing(subject: Subject) -> YaosuError:
    return YaosuError("not_found", {"what": "推送订阅" if subject.lang == "zh" else "Webhook"})


async def listed(conn: Connection, subject: Subject) -> list[Webhook]:
    """The own organisation's subscriptions."""
    subject.require(SCOPE)
    return [_webhook(row) for row in await conn.fetch(store.WEBHOOKS, subject.org)]


async def get(conn: Connection, subject: Subject, webhook_id: int) -> Webhook:
    """One of them; `not_found` for others'."""
    subject.require(SCOPE)
    row = await conn.fetchrow(store.WEBHOOK, subject.org, webhook_id)
    if row is None:
        raise _missing(subject)
    return _webhook(row)


async def add(
    conn: Connection,
    subject: Subject,
    master: bytes,
    allowed: Collection[str],
    url: str,
    wanted: Sequence[str] = (),
) -> tuple[int, str]:
    """Subscribe an address to some kinds of messages (none named: all); its number and, this once, its secret.

    Refused: `webhook_url_refused`, `webhook_kind_unknown`, `webhook_too_many`.
    """
    subject.require(SCOPE)
    try:
        await http.resolve(http.split(url, allowed), allowed)
    except http.AddressRefusedError as error:
        raise YaosuError(
            "webhook_url_refused", {"reason": error.zh if subject.lang == "zh" else error.en}
        ) from error
    known = {one["kind"] for one in kinds()} - UNHOOKED
    unknown = [
        Finding("webhook_kind_unknown", {"kind": kind}, "kinds") for kind in wanted if kind not in known
    ]
    if unknown:
        raise YaosuError("webhook_kind_unknown", unknown[0].params, unknown)
    if len(await conn.fetch(store.WEBHOOKS, subject.org)) >= PER_ORG:
        raise YaosuError("webhook_too_many", {"limit": PER_ORG})
    salt = signing.new_salt()
    made: int = await conn.fetchval(
        store.ADD_WEBHOOK, subject.org, url, sorted(set(wanted)), salt, subject.account_id
    )
    await audit.record(conn, subject, "webhook.add", ("webhook", made), {"kinds": sorted(set(wanted))})
    return made, signing.secret_of(master, salt)


async def renew(conn: Connection, subject: Subject, master: bytes, webhook_id: int) -> str:
    """A new secret; the old one signs nothing from now on."""
    subject.require(SCOPE)
    salt = signing.new_salt()
    if await conn.fetchval(store.NEW_SALT, subject.org, webhook_id, salt) is None:
        raise _missing(subject)
    await audit.record(conn, subject, "webhook.renew", ("webhook", webhook_id), {})
    return signing.secret_of(master, salt)


async def set_active(conn: Connection, subject: Subject, webhook_id: int, active: bool) -> None:
    """Pause or resume. While paused nothing is put in for it; a replay brings what was missed."""
    subject.require(SCOPE)
    if await conn.fetchval(store.SET_ACTIVE, subject.org, webhook_id, active) is None:
        raise _missing(subject)
    await audit.record(conn, subject, "webhook.active", ("webhook", webhook_id), {"active": active})


async def remove(conn: Connection, subject: Subject, webhook_id: int) -> None:
    """End a subscription; what was not sent yet stays unsent."""
    subject.require(SCOPE)
    if await conn.fetchval(store.REMOVE, subject.org, webhook_id) is None:
        raise _missing(subject)
    await conn.execute(store.DROP_PENDING, webhook_id)
    await audit.record(conn, subject, "webhook.remove", ("webhook", webhook_id), {})


async def test(conn: Connection, subject: Subject, webhook_id: int) -> dict[str, Any]:
    """Send a delivery of kind `webhook_test`; what comes of it stands in the deliveries a moment later."""
    await get(conn, subject, webhook_id)
    body: dict[str, Any] = {"ref": "", "link": "/webhooks", "params": {}, "message": None}
    number, event = await outbox.enqueue(conn, subject.org, "webhook", webhook_id, TEST_KIND, body)
    return {"delivery": number, "event": str(event)}


async def replay(
    conn: Connection,
    subject: Subject,
    webhook_id: int,
    from_message: int | None = None,
    since: datetime | None = None,
) -> tuple[int, int | None]:
    """Send everything again from a message or a time on, oldest first, under the same event ids.

    How many, and the number of the message to go on with when there are more than `REPLAY_MAX`.
    """
    await get(conn, subject, webhook_id)
    row = await conn.fetchrow(store.REPLAY, subject.org, webhook_id, from_message, since, REPLAY_MAX)
    assert row is not None
    await audit.record(conn, subject, "webhook.replay", ("webhook", webhook_id), {"count": row["count"]})
    return row["count"], row["last"] + 1 if row["count"] == REPLAY_MAX else None


async def deliveries(
    conn: Connection,
    subject: Subject,
    webhook_id: int,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Deliveries to one subscription, newest first, with what came of them."""
    await get(conn, subject, webhook_id)
    rows = await conn.fetch(store.DELIVERIES, subject.org, webhook_id, state or None, before, limit)
    found = []
    for row in rows:
        one = {key: value for key, value in row.items() if key != "body"}
        one["event"] = str(row["event"])
        one["message"] = row["body"].get("message")
        one["params"] = row["body"].get("params") or {}
        one["next_at"] = row["next_at"] if row["settled_at"] is None else None
        found.append(one)
    return found


class Sender:
    """Sends deliveries of the target `webhook`."""

    def __init__(self, pool: Pool, master: bytes, allowed: Collection[str], public_url: str) -> None:
        self._pool = pool
        self._master = master
        self._allowed = frozenset(allowed)
        self._public_url = public_url

    def target(self) -> Target:
        """For the outbox."""
        return Target(self.send, self.given_up)

    async def send(self, delivery: Delivery) -> Outcome:
        """One attempt. Any 2xx answer counts as received; 410 says never again."""
        async with self._pool.acquire() as conn:
            row = await conn.fetchrow(store.WEBHOOK_ANY, delivery.target_id)
        if row is None:
            return Outcome("failed", None, "removed", final=True)
        hook = _webhook(row)
        content = {**delivery.body, "link": self._public_url + str(delivery.body.get("link", "/"))}
        body = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        headers = signing.headers(
            signing.secret_of(self._master, hook.salt), delivery.event, delivery.kind, body
        )
        try:
            answer = await http.post(hook.url, body, headers, self._allowed)
        except http.AddressRefusedError as error:
            return Outcome("failed", None, str(error))
        except TimeoutError:
            return Outcome("failed", None, f"no answer within {http.TIMEOUT_S:g} s")
        except httpx.HTTPError as error:
            return Outcome("failed", None, type(error).__name__)
        if 200 <= answer.status < 300:
            return Outcome("processed", answer.status, answer.text)
        return Outcome("failed", answer.status, answer.text, final=answer.status == 410, wait_s=answer.wait_s)

    async def given_up(self, conn: Connection, delivery: Delivery, outcome: Outcome) -> None:
        """The organisation hears of it on its message page, once a day for each subscription."""
        row = await conn.fetchrow(store.WEBHOOK_ANY, delivery.target_id)
        if row is None:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
        await tell(
            conn,
            delivery.org,
            "notice_webhook_given_up",
            {"url": row["url"]},
            f"/webhooks/{row['id']}",
            f"{row['id']}:{day}",
        )
