"""What people do with deliveries: see to whom a bill went and the answers, retry, hold, release, give up (R-X9)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.reach import asked
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError, message
from yaosu.exchange.outbox import backfill as backfills
from yaosu.exchange.outbox import connections, store_bills, store_route
from yaosu.exchange.outbox import store as store_links
from yaosu.exchange.outbox.connections import MANAGE, READ, owner_of
from yaosu.exchange.outbox.erp import NAME as OWN_SYSTEM
from yaosu.exchange.outbox.model import Channel, Delivery
from yaosu.notify import store_outbox
from yaosu.notify.service import tell
from yaosu.subject import Subject

STATES = ("pending", "sent", "accepted", "processed", "partly", "failed", "unknown", "given_up", "held")
REASON_MIN = 2
REASON_MAX = 200
REPLAY_MAX = 10_000


def _missing(subject: Subject) -> YaosuError:
    return YaosuError("not_found", {"what": "报送记录" if subject.lang == "zh" else "Delivery"})


def advice(row: Record) -> str:
    """The message code that says what is owed and what to do about a delivery."""
    state = row["state"]
    if state == "processed" and doubted(row["details"]):
        return "delivery_doubted"
    if state in ("processed", "partly", "given_up", "held"):
        return f"delivery_{state}"
    if state == "failed" and row["settled_at"] is not None:
        return "delivery_refused"
    if row["link_state"] == "held":
        return "delivery_link_held"
    if row["waits"]:
        return "delivery_waits"
    if row["settled_at"] is None and row["next_at"].year > 9000:
        return "delivery_at_rest"
    return f"delivery_{state}"


def doubted(details: Mapping[str, Any] | None) -> list[str]:
    """Codes that the other side took in with a doubt."""
    codes = (details or {}).get("codes") or {}
    return [c for c, said in codes.items() if isinstance(said, dict) and said.get("code") == "warned"]


def shown(row: Record, lang: str) -> dict[str, Any]:
    """The form of API answers and pages; never the content."""
    code = advice(row)
    params = {"title": row["title"], "answer": row["answer"][:200], "note": row["note"]}
    resting = row["settled_at"] is not None or row["next_at"].year > 9000
    return {
        "id": row["id"],
        "event": str(row["event"]),
        "connection": row["target_id"],
        "title": row["title"],
        "channel": row["target"],
        "bill": row["bill_id"],
        "bill_no": row["bill_no"],
        "revision": row["revision"],
        "bill_type": row["type"],
        "kind": row["kind"],
        "key": row["key"],
        "lane": row["lane"],
        "state": row["state"],
        "advice": code,
        "text": message(code).text(lang, params),
        "next": message(code).next_step(lang, params),
        "waits": row["waits"],
        "attempts": row["attempts"],
        "next_at": None if resting else row["next_at"].isoformat(),
        "created_at": row["created_at"].isoformat(),
        "settled_at": row["settled_at"].isoformat() if row["settled_at"] else None,
        "answer_status": row["answer_status"],
        "answer": row["answer"],
        "remote": row["remote"],
        "details": row["details"],
        "note": row["note"],
    }


async def listed(
    conn: Connection,
    subject: Subject,
    *,
    connection: int | None = None,
    states: Sequence[str] = (),
    bill: int | None = None,
    before: int | None = None,
    todo: bool = False,
    bill_no: str = "",
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The own organisation's deliveries, newest first; `todo`: only those that wait for a person."""
    subject.require(READ)
    if bill_no:
        text = store_bills.LISTED_NUMBERED
    elif bill is not None:
        text = store_bills.LISTED_BILL
    elif todo or (states and set(states) <= set(store_bills.UNSETTLED)):
        text = store_bills.LISTED_OPEN
    else:
        text = store_bills.LISTED
    given = (
        owner_of(subject), connection, list(states) or None, bill, before, todo, bill_no or None, limit
    )  # fmt: skip
    rows = await conn.fetch(asked(text, given), *given)
    return [shown(row, subject.lang) for row in rows]


async def get(conn: Connection, subject: Subject, delivery_id: int) -> dict[str, Any]:
    """One of them with every attempt, word for word; `not_found` for others'."""
    subject.require(READ)
    row = await conn.fetchrow(store_bills.ONE, owner_of(subject), delivery_id)
    if row is None:
        raise _missing(subject)
    attempts = [
        {**dict(a), "at": a["at"].isoformat()} for a in await conn.fetch(store_bills.ATTEMPTS, delivery_id)
    ]
    return {**shown(row, subject.lang), "tries": attempts}


async def counts(conn: Connection, subject: Subject) -> dict[int, dict[str, int]]:
    """Deliveries of each own connection by state; `at_rest` wait for a person, `unrouted` could not be prepared."""
    found: dict[int, dict[str, int]] = {}
    for row in await conn.fetch(store_bills.COUNTS, owner_of(subject)):
        found.setdefault(row["target_id"], {})[row["state"]] = row["count"]
    return found


async def to_do(conn: Connection, subject: Subject) -> int:
    """How many of the own organisation's deliveries wait for a person: what `listed(todo=True)` shows."""
    subject.require(READ)
    found: int = await conn.fetchval(store_bills.TODO, owner_of(subject))
    return found


async def of_bill(conn: Connection, subject: Subject, bill_id: int) -> dict[str, Any]:
    """To whom a bill went, what they answered, what is still owed and why something is not; for own connections.

    `not_found` for bills that neither name the organisation nor went out over a connection of its own.
    """
    subject.require(READ)
    bill = await conn.fetchrow(store_bills.BILL, bill_id, owner_of(subject))
    if bill is None:
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    lang = subject.lang
    decisions = []
    for row in await conn.fetch(store_bills.DECISIONS, bill_id, owner_of(subject)):
        reason = row["reason"]
        decisions.append(
            {
                "connection": row["connection_id"], "title": row["title"], "channel": row["channel"],
                "owed": row["owed"], "parcels": row["parcels"], "rule": row["rule"], "reason": reason,
                "text": message(reason).text(lang, {"title": row["title"]}) if reason else "",
                "left_out": row["left_out"] or {}, "at": row["at"].isoformat(),
            }
        )  # fmt: skip
    waiting = [
        {"connection": r["connection_id"], "title": r["title"], "tries": r["tries"], "error": r["error"]}
        for r in await conn.fetch(store_bills.UNROUTED, bill_id, owner_of(subject))
    ]
    return {
        "bill": {
            "id": bill["id"], "bill_no": bill["bill_no"], "revision": bill["revision"], "type": bill["type"],
            "status": bill["status"], "recorded_at": bill["recorded_at"].isoformat(),
        },
        "due": await conn.fetchval(store_bills.DUE, bill_id) is not None,
        "decisions": decisions,
        "waiting": waiting,
        "deliveries": await listed(conn, subject, bill=bill_id, limit=200),
    }  # fmt: skip


async def _locked(conn: Connection, subject: Subject, delivery_id: int) -> Record:
    subject.require(MANAGE)
    await conn.fetchval(store_bills.LOCK_OF, owner_of(subject), delivery_id)
    row = await conn.fetchrow(store_bills.FOR_UPDATE, owner_of(subject), delivery_id)
    if row is None:
        raise _missing(subject)
    return row


async def retry(conn: Connection, subject: Subject, delivery_id: int) -> None:
    """Try again now, under the same key with the same content; what may have arrived is asked about first.

    Refused: `delivery_done`, `delivery_overtaken` (a later one of its lane has reached them), `delivery_pruned`.
    """
    row = await _locked(conn, subject, delivery_id)
    if row["state"] in ("processed", "partly") or (
        row["state"] in ("sent", "accepted") and row["settled_at"]
    ):
        raise YaosuError("delivery_done", {"delivery": delivery_id})
    await _restart(
        conn, subject, row, "unknown" if row["state"] in ("unknown", "sent", "accepted") else "pending"
    )
    await audit.record(conn, subject, "delivery.retry", ("delivery", delivery_id), {})


async def retry_all(conn: Connection, subject: Subject, connection_id: int, refused: bool = False) -> int:
    """Try everything of a connection again that waits for a person since nothing got through; how many.

    With `refused` also what they refused for good, after its cause was mended (wrong credentials, a missing product):
    at most `REPLAY_MAX`, and nothing of a lane of which something later has reached them.
    """
    subject.require(MANAGE)
    link = await connections.get(conn, subject, connection_id)
    if link.state == "ended":
        raise connections.missing(subject)
    await conn.fetchval(store_links.LOCK, connection_id)
    where = (link.channel, connection_id, subject.account_id)
    tags: list[str] = [await conn.execute(store_links.DUE_AGAIN, *where)]
    if refused:
        tags.append(await conn.execute(store_bills.RETRY_REFUSED, *where, REPLAY_MAX))
    count = sum(int(tag.rsplit(" ", 1)[1]) for tag in tags)
    details = {"count": count, "refused": refused}
    await audit.record(conn, subject, "connection.retry", ("connection", connection_id), details)
    return count


async def _restart(conn: Connection, subject: Subject, row: Record, state: str) -> None:
    if row["pruned"]:
        raise YaosuError("delivery_pruned", {"delivery": row["id"]})
    lane = (row["target"], row["target_id"], row["lane"], row["id"])
    if row["lane"] and await conn.fetchval(store_bills.OVERTAKEN, *lane):
        raise YaosuError("delivery_overtaken", {"delivery": row["id"]})
    await conn.execute(store_bills.RETRY, row["id"], state, subject.account_id)
    if row["lane"]:
        await conn.execute(store_bills.BACK_IN_LINE, *lane)


async def hold(conn: Connection, subject: Subject, delivery_id: int, reason: str) -> None:
    """Stop one delivery, and its lane behind it, until it is released. Refused: `delivery_done`,
    `delivery_reason_needed`."""
    row = await _locked(conn, subject, delivery_id)
    if row["settled_at"] is not None:
        raise YaosuError("delivery_done", {"delivery": delivery_id})
    await conn.execute(store_bills.HOLD, delivery_id, _reason(reason), subject.account_id)
    await audit.record(
        conn, subject, "delivery.hold", ("delivery", delivery_id), {"reason": reason[:REASON_MAX]}
    )


async def release(conn: Connection, subject: Subject, delivery_id: int) -> None:
    """Let a held one go; what was tried before is asked about first. Refused: `delivery_not_held`."""
    row = await _locked(conn, subject, delivery_id)
    if row["state"] != "held":
        raise YaosuError("delivery_not_held", {"delivery": delivery_id})
    await _restart(conn, subject, row, "unknown" if row["attempts"] else "pending")
    await audit.record(conn, subject, "delivery.release", ("delivery", delivery_id), {})


async def give_up(conn: Connection, subject: Subject, delivery_id: int, reason: str) -> None:
    """Owe it no longer, with a reason that stays on record; the next of its lane goes. Refused: `delivery_done`."""
    row = await _locked(conn, subject, delivery_id)
    if row["state"] == "processed":
        raise YaosuError("delivery_done", {"delivery": delivery_id})
    await conn.execute(store_bills.GIVE_UP, delivery_id, _reason(reason), subject.account_id)
    if row["lane"]:
        await conn.execute(store_outbox.RELEASE, row["target"], row["target_id"], row["lane"])
    details = {"reason": reason[:REASON_MAX]}
    await audit.record(conn, subject, "delivery.give_up", ("delivery", delivery_id), details)


def _reason(text: str) -> str:
    found = text.strip()[:REASON_MAX]
    if len(found) < REASON_MIN:
        raise YaosuError("delivery_reason_needed", {"least": REASON_MIN, "most": REASON_MAX})
    return found


async def backfill(
    conn: Connection, subject: Subject, connection_id: int, since: datetime, places: Sequence[int] = ()
) -> int:
    """Route every bill recorded from `since` on for a connection, in order and behind what is new; how many.

    `places`: those of the organisation whose bills count too. What was sent keeps its key and is not sent twice.
    """
    subject.require(MANAGE)
    link = await connections.get(conn, subject, connection_id)
    if link.state == "ended":
        raise connections.missing(subject)
    owners = None if link.everyone else [link.org, *places]
    return await backfills.begin(conn, subject, connection_id, owners, since)


async def backfill_state(conn: Connection, subject: Subject, connection_id: int, state: str) -> None:
    """Pause a back-fill (`paused`) or let it go on (`running`); `not_found` where none is under way."""
    subject.require(MANAGE)
    await connections.get(conn, subject, connection_id)
    await backfills.set_state(conn, subject, connection_id, state)


async def replay(
    conn: Connection,
    subject: Subject,
    connection_id: int,
    from_delivery: int | None = None,
    since: datetime | None = None,
) -> tuple[int, int | None]:
    """Send settled deliveries of the firm's own system again, in their order, under the same event ids.

    How many, and the delivery to go on with after `REPLAY_MAX`. Refused for other channels (`replay_own_only`): there
    the same thing is never sent twice; `backfill` brings what is missing.
    """
    subject.require(MANAGE)
    link = await connections.get(conn, subject, connection_id)
    if link.channel != OWN_SYSTEM or link.state == "ended":
        raise YaosuError("replay_own_only", {"title": link.title})
    await conn.fetchval(store_links.LOCK, connection_id)
    point = since or datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    rows = await conn.fetch(
        store_route.REPLAY, link.channel, connection_id, from_delivery or 0, point, REPLAY_MAX
    )
    details = {"count": len(rows)}
    await audit.record(conn, subject, "connection.replay", ("connection", connection_id), details)
    return len(rows), max(r["id"] for r in rows) + 1 if len(rows) == REPLAY_MAX else None


async def tell_at_rest(conn: Connection, delivery: Delivery, channel: Channel) -> None:
    """The organisation hears that something it owes ended unfinished, once a day for each connection."""
    row = await conn.fetchrow(store_links.ONE, delivery.target_id)
    if row is None or row["org"] == connections.PLATFORM:
        return
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
    params = {"title": row["title"] or channel.zh}
    link = f"/exchange/deliveries?todo=true&connection={row['id']}"
    await tell(conn, delivery.org, "notice_delivery_at_rest", params, link, f"{row['id']}:{day}")
