"""Subscriptions to named queries: what is new is posted to the subscriber's address (EPCIS 2.0 §8.2.5, §12.8).

`stream` looks every few seconds, a schedule when it is due. Events are found by record time with an hour's overlap, and
what has been sent is remembered for that hour, so that an event whose transaction ends late is neither lost nor sent
twice. A subscriber that does not answer 2xx gets the same events again, later and later, for good.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import structlog

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.answering import Answering, Found
from yaosu.exchange.epcis.capture import caller_of, subject_of
from yaosu.exchange.epcis.query import NOT_OF_NEWS, Parser
from yaosu.exchange.epcis.query_values import time_of
from yaosu.exchange.epcis.schedule import following, read
from yaosu.exchange.epcis.times import moment, stamp
from yaosu.exchange.epcis.web import VERSIONS, style
from yaosu.exchange.epcis.writing import DIGITAL_LINK, URN, json_document
from yaosu.notify import http
from yaosu.people.keeper import Keeper
from yaosu.subject import Subject

log = structlog.get_logger("yaosu.exchange.epcis")

PURPOSE = "epcis subscription"
OVERLAP = timedelta(hours=1)
EVENTS_AT_ONCE = 500
PER_ORG_MAX = 100
STREAM_EVERY_S = 5
BACK_OFF_S = (10, 30, 60, 300, 900, 3600)
_NONCE = 12
FROM, AT_ONCE = "from", "at_once"
"""Where `style` keeps the initial record time, and how many events a subscriber takes who wanted fewer (413)."""


async def subscribe(
    conn: Connection,
    keeper: Keeper,
    subject: Subject,
    query: str,
    given: Mapping[str, Any],
    hosts: frozenset[str],
    epc: str,
) -> dict[str, Any]:
    """Make a subscription of the query; the answer that tells its id."""
    dest = given.get("dest")
    if not isinstance(dest, str):
        raise YaosuError("epcis_subscription_form", {"field": "dest", "reason": "https://…"})
    try:
        http.split(dest, hosts)
    except http.AddressRefusedError as error:
        reason = error.zh if subject.lang == "zh" else error.en
        raise YaosuError("epcis_subscription_form", {"field": "dest", "reason": reason}) from None
    stream, schedule = given.get("stream") is True, given.get("schedule")
    if stream == (schedule is not None):
        raise YaosuError("epcis_subscription_form", {"field": "stream", "reason": "stream XOR schedule"})
    plan = read(schedule) if schedule is not None else None
    token = given.get("signatureToken", given.get("secret"))
    if token is not None and (not isinstance(token, str) or not 1 <= len(token) <= 200):
        raise YaosuError("epcis_subscription_form", {"field": "signatureToken", "reason": "1–200"})
    now = datetime.now(UTC)
    since = now
    if given.get("initialRecordTime") is not None:
        since = time_of("initialRecordTime", given["initialRecordTime"])
    if await conn.fetchval(store.COUNT_SUBSCRIPTIONS, subject.org) >= PER_ORG_MAX:
        raise YaosuError("epcis_subscription_form", {"field": "dest", "reason": f"≤ {PER_ORG_MAX}"})
    sealed = None
    if token is not None:
        nonce = os.urandom(_NONCE)
        sealed = nonce + keeper.cipher(PURPOSE).encrypt(nonce, token.encode(), str(subject.org).encode())
    begin = following(plan, now) if plan is not None else now
    row = await conn.fetchrow(
        store.INSERT_SUBSCRIPTION,
        *(subject.org, query, dest, sealed, plan, {"epc": epc, FROM: stamp(since)}, caller_of(subject)),
        *(bool(given.get("reportIfEmpty")), since, begin),
    )
    assert row is not None
    made = await conn.fetchrow(store.SUBSCRIPTION, subject.org, query, row["id"])
    assert made is not None
    return shown(made)


def shown(row: Any) -> dict[str, Any]:
    """A subscription as its owner sees it; the token is not shown again."""
    found: dict[str, Any] = {
        "subscriptionID": str(row["id"]),
        "queryName": row["query"],
        "dest": row["dest"],
        "createdAt": stamp(row["created_at"]),
        "initialRecordTime": row["style"].get(FROM) or stamp(row["created_at"]),
        "minRecordTime": stamp(row["since"]),
        "epcFormat": row["style"]["epc"],
        "reportIfEmpty": row["report_empty"],
    }
    if row["schedule"] is None:
        found["stream"] = True
    else:
        found["schedule"] = row["schedule"]
    if row["notified_at"] is not None:
        found["lastNotifiedAt"] = stamp(row["notified_at"])
    return found


async def _new(conn: Connection, app: AppState, row: Any) -> Found:
    """Events recorded since the last time that were not sent, some at a time."""
    subject: Subject = subject_of(row["caller"])
    query = Parser(row["definition"].get("@context", {})).read(
        {k: v for k, v in row["definition"].items() if k not in NOT_OF_NEWS}
    )
    since = row["since"] - OVERLAP if row["notified_at"] is not None else row["since"]
    # looking back never reaches behind the time that the subscription begins with
    begin = moment(row["style"].get(FROM, "")) or row["created_at"]
    query.ge_record = max(filter(None, (query.ge_record, since, begin)))
    sent = {r["event"] for r in await conn.fetch(store.SENT, row["id"])}
    found, token = Found(), ""
    most = at_once(row)
    while len(found.events) < most:
        page = await Answering(conn, subject, app.parts["registry"], query).page(EVENTS_AT_ONCE, token)
        for event, (key, at) in zip(page.events, page.recorded, strict=True):
            if key not in sent and len(found.events) < most:
                found.events.append(event)
                found.recorded.append((key, at))
        token = page.token
        if not token:
            break
    found.token = token
    return found


def at_once(row: Any) -> int:
    """How many events a subscriber is sent at most."""
    return min(int(row["style"].get(AT_ONCE, EVENTS_AT_ONCE)), EVENTS_AT_ONCE)


async def send_one(app: AppState) -> bool:
    """Notify one subscriber that is due; whether there was one."""
    async with app.pool.acquire() as conn, conn.transaction():
        now = datetime.now(UTC)
        row = await conn.fetchrow(store.DUE_SUBSCRIPTION, now)
        if row is None:
            return False
        later = (
            following(row["schedule"], now) if row["schedule"] else now + timedelta(seconds=STREAM_EVERY_S)
        )
        found = await _new(conn, app, row)
        if not found.events and not (row["report_empty"] and row["schedule"]):
            await conn.execute(store.ADVANCE, row["id"], row["since"], later, None)
            return True
        chosen = await style(conn, app.parts["registry"], row["style"].get("epc", DIGITAL_LINK), URN)
        body = orjson.dumps(json_document(found.events, chosen, row["query"], subscriptionID=str(row["id"])))
        status = await _post(app, row, body)
        if status == 413 and len(found.events) > 1:
            # too much for the subscriber: half of it, at once
            await conn.execute(store.AT_ONCE, row["id"], {AT_ONCE: len(found.events) // 2}, now)
            return True
        if not 200 <= status < 300:
            wait = BACK_OFF_S[min(row["failures"], len(BACK_OFF_S) - 1)]
            await conn.execute(store.FAILED, row["id"], now + timedelta(seconds=wait))
            return True
        newest = max((at for _, at in found.recorded), default=row["since"])
        keys, times = [k for k, _ in found.recorded], [at for _, at in found.recorded]
        await conn.execute(store.PUT_SENT, row["id"], keys, times)
        await conn.execute(store.FORGET_SENT, row["id"], newest - 2 * OVERLAP)
        more = len(found.events) >= at_once(row) or bool(found.token)
        await conn.execute(store.ADVANCE, row["id"], max(newest, row["since"]), now if more else later, now)
        return True


async def _post(app: AppState, row: Any, body: bytes) -> int:
    """The subscriber's answer; 0 when none came."""
    headers = {
        **VERSIONS,
        "content-type": "application/json",
        "GS1-EPC-Format": row["style"].get("epc", DIGITAL_LINK),
    }
    if row["secret"] is not None:
        keeper = Keeper(app.parts["master_secret"])
        sealed = row["secret"]
        token = keeper.cipher(PURPOSE).decrypt(sealed[:_NONCE], sealed[_NONCE:], str(row["org"]).encode())
        headers["GS1-Signature"] = "sha256=" + hmac.new(token, body, hashlib.sha256).hexdigest()
    try:
        answer = await http.post(row["dest"], body, headers, app.settings.webhook_hosts)
    except (http.AddressRefusedError, TimeoutError, httpx.HTTPError, OSError) as error:
        log.info("epcis_subscriber_away", subscription=str(row["id"]), error=type(error).__name__)
        return 0
    return answer.status
