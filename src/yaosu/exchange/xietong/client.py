"""A trace system as a client of the 协同平台: files what its registry holds, and fetches what is for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog

from yaosu import gm
from yaosu.db.engine import Connection, Pool
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.basedata import Item, everything
from yaosu.exchange.outbox import backfill as backfills
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.outbox.store import ONE
from yaosu.exchange.xietong import behind, envelope, wire
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.bills import event_id
from yaosu.exchange.xietong.channel import NAME, exchange_url
from yaosu.exchange.xietong.envelope import BASE, Envelope
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

log = structlog.get_logger("yaosu.xietong")

SUB_TYPES = {"firm": "1001", "product": "1002", "rule": "1003"}
FILE_ROUND = 200
PULL_LIMIT = 100
PAUSES_S = (2, 10, 60, 300, 1800)
"""Before a filing that did not get through is sent again; the last for ever."""
STAY = frozenset(
    {"xietong_taken", "xietong_field", "xietong_content", "xietong_data", "xietong_event_differs"}
)
"""Refusals that only a change of ours can mend: shown on the page, filed again when the content changes."""


def _digest(item: Item) -> bytes:
    return gm.sm3(orjson.dumps(dict(item.body), option=orjson.OPT_SORT_KEYS))


class Filer:
    """Files base data. One per process; several may run, since each piece has one event."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._seen: dict[int, int] = {}

    async def look(self, link: Link) -> int:
        """Note what is new or changed since it was filed; how many pieces. Only when the registry changed."""
        registry: Registry = self._app.parts["registry"]
        if self._seen.get(link.id) == registry.generation:
            return 0
        generation = registry.generation
        async with self._app.pool.acquire() as conn, conn.transaction():
            now = await everything(conn, registry)
            before = {(r["kind"], r["key"]): r for r in await conn.fetch(store.FILED, link.id)}
            app_id = str(link.account.get("app_id", ""))
            changed = []
            for item in now:
                digest = _digest(item)
                last = before.get((item.kind, item.key))
                if last is None or last["digest"] != digest:
                    # content that comes back is news too, so the event before belongs to its name
                    since = f"|{last['event_id']}" if last is not None else ""
                    key = f"{item.kind}|{item.key}|{digest.hex()}{since}"
                    changed.append(
                        (
                            link.id,
                            item.kind,
                            item.key,
                            item.ours,
                            digest,
                            event_id(app_id, key),
                            dict(item.body),
                        )
                    )
            if changed:
                await conn.executemany(store.PUT_FILED, changed)
        self._seen[link.id] = generation
        return len(changed)

    async def send(self, link: Link) -> int:
        """File what is due; how many attempts were made. A piece is not held up by another's refusal."""
        async with self._app.pool.acquire() as conn:
            due = await conn.fetch(store.DUE_FILED, link.id, FILE_ROUND)
        key, done, mended = link.secret.get("key", ""), 0, False
        for row in due:
            params = {
                "app_id": str(link.account.get("app_id", "")),
                "event_id": str(row["event_id"]),
                "event_type": str(BASE),
                "sub_type": SUB_TYPES[row["kind"]],
                "usc_id": str(row["body"].get("usc_id") or row["body"].get("mah") or ""),
                "data": envelope.encode(envelope.pack(row["body"])),
            }
            full = wire.signed(
                {k: v for k, v in params.items() if v}, key, link.secret.get("private_key", "")
            )
            said = await wire.call(exchange_url(link.url), full, key, self._app.settings.webhook_hosts)
            done += 1
            mended |= await self._settle(link, row, said)
            if not said.genuine and not said.code:
                break  # the platform cannot be reached now: the others need not be tried
        if mended:
            async with self._app.pool.acquire() as conn:
                await conn.execute(store.AGAIN, link.id, "", "")
        return done

    async def _settle(self, link: Link, row: Any, said: wire.Said) -> bool:
        """Keep what was said; whether something new is filed."""
        filed = said.genuine and said.success
        if filed:
            await behind.told(self._app.pool, link.id, str(row["event_id"]), said, None)
        refused = said.genuine and not said.success and said.code in STAY
        state = "filed" if filed else "refused" if refused else "due"
        pause = float(PAUSES_S[min(row["tries"], len(PAUSES_S) - 1)])
        number = str(said.body.get("filing_no", "")) if filed else ""
        where = (link.id, row["kind"], row["key"])
        async with self._app.pool.acquire() as conn, conn.transaction():
            await conn.execute(
                store.SET_FILED, *where, state, said.text[:500], number, pause, row["event_id"]
            )
            if number:
                await conn.execute(store.SET_FILING_NO, row["ours"], number)
        if refused:
            log.warning("xietong_filing_refused", kind=row["kind"], key=row["key"], code=said.code)
        return filed


def mailbox_url(url: str) -> str:
    """Where a mailbox is asked for, from the platform's address."""
    return url.rstrip("/") + "/xietong/mailbox"


async def pull(app: AppState, link: Link) -> int:
    """Fetch what came into the mailbox since; how many events. The place moves only over what is kept.

    Where the platform holds less of ours than it had said, or other mail than we got, it was restored from a backup:
    see `behind`.
    """
    async with app.pool.acquire() as conn:
        await conn.execute(store.ENSURE_PLACE, link.id)
        after = int(await conn.fetchval(store.ADVANCE, link.id))
        place = await conn.fetchrow(store.PLACE, link.id)
        sent = int(await conn.fetchval(store.SENT, link.id))
        held = await conn.fetchrow(store.HELD, link.id, after) if after else None
    key = link.secret.get("key", "")

    async def ask(after: int, limit: int, **more: str) -> wire.Said:
        params = {"app_id": str(link.account.get("app_id", "")), "after": str(after), "limit": str(limit)}
        full = wire.signed({**params, **more}, key, link.secret.get("private_key", ""))
        return await wire.call(mailbox_url(link.url), full, key, app.settings.webhook_hosts)

    check = {"check": str(held["event_id"])} if held is not None else {}
    said = await ask(after, PULL_LIMIT, **check, sent=str(sent))
    taken, trouble = 0, ""
    if said.genuine and said.success:
        async with app.pool.acquire() as conn, conn.transaction():
            again = await behind.held_less(conn, link.id, sent, said.body)
        last = said.body.get("last")
        last = last if isinstance(last, int) and not isinstance(last, bool) and last >= 0 else after
        # `agrees` also says no when they only lost events of ours: then the search finds nothing
        doubted = place is not None and place["doubted"]
        if last < after or said.body.get("agrees") is False or doubted:
            return again + int(await behind.rewind(app.pool, link.id, after, last, ask))
        events = said.body.get("events")
        for one in events if isinstance(events, list) else []:
            try:
                taken += await _take_pulled(app.pool, link, key, one)
            except YaosuError as error:
                # the place stays before it; the operator reads which one and why
                number = str(one.get("n", "?"))[:20] if isinstance(one, Mapping) else "?"
                trouble = trouble or f"n={number}: {error.code} {error.as_json('zh')['message']}"
                log.warning("xietong_pulled_refused", n=number, code=error.code)
    async with app.pool.acquire() as conn:
        await conn.execute(store.ASKED, link.id, (trouble or said.text)[:500])
        await conn.execute(store.ADVANCE, link.id)
    return taken


async def _take_pulled(pool: Pool, link: Link, key: str, one: object) -> int:
    """Keep one event of an answer; 1 when it is new. Refused: `xietong_field`, `xietong_data`, `xietong_sign`."""
    params = envelope.params_of(one)
    found = envelope.read(params)
    if not envelope.genuine(params, key):
        raise YaosuError("xietong_sign")
    async with pool.acquire() as conn, conn.transaction():
        return int(await take(conn, link.id, found))


async def link_of(conn: Connection, keeper: Keeper, app_id: str) -> Link | None:
    """The connection that the platform means by `app_id`."""
    number = await conn.fetchval(store.LINK_BY_APP, app_id)
    return await connections.open_link(conn, keeper, number) if number is not None else None


async def take(conn: Connection, link_id: int, found: Envelope) -> bool:
    """Put a genuine event into the inbox; whether it is new. Its content is looked at when it is booked.

    Refused: `xietong_field` without `n` and `from_app_id`, `xietong_data` when it is not base64, `xietong_numbers` when
    its number stands for another event (the place is then in doubt, see `behind.rewind`).
    """
    if not found.n:
        raise envelope.wrong("n", "必填", "required")
    if not found.from_app_id:
        raise envelope.wrong("from_app_id", "必填", "required")
    packed = envelope.decode(found.data)
    await conn.execute(store.ENSURE_PLACE, link_id)
    args = (
        found.n,
        found.event_id,
        found.event_type,
        found.sub_type,
        found.usc_id,
        found.from_app_id,
        packed,
    )
    if await conn.fetchval(store.TAKE, link_id, *args) is not None:
        await conn.execute(store.ADVANCE, link_id)
        return True
    held = await conn.fetchrow(store.HELD, link_id, found.n)
    if held is None or (held["event_id"], held["origin"]) != (found.event_id, found.from_app_id):
        raise YaosuError("xietong_numbers", {"n": found.n})
    return False


async def doubt(conn: Connection, link_id: int) -> None:
    """Compare the mailbox with the platform's before anything else is fetched."""
    await conn.execute(store.DOUBT, link_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a trace system stands with the platform, for page, API and command line."""

    link: connections.Known
    filed: Mapping[str, Mapping[str, int]]
    inbox: Mapping[str, int]
    pulled: int
    asked_at: datetime | None
    said: str
    backfill: backfills.Backfill | None = None
    behind: Sequence[Mapping[str, Any]] = ()

    def as_json(self) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "connection": self.link.as_json(),
            "filed": {k: dict(v) for k, v in self.filed.items()},
            "inbox": dict(self.inbox),
            "pulled": self.pulled,
            "asked_at": self.asked_at.isoformat() if self.asked_at else None,
            "said": self.said,
            "backfill": self.backfill.as_json() if self.backfill else None,
            "behind": [dict(b) for b in self.behind],
        }


async def standings(conn: Connection, subject: Subject) -> list[Standing]:
    """Every connection to a platform. Operator only."""
    subject.require("registry.admin")
    found = []
    for row in await conn.fetch(store.LINKS):
        one = await conn.fetchrow(ONE, row["id"])
        assert one is not None
        place = await conn.fetchrow(store.PLACE, row["id"])
        filed: dict[str, dict[str, int]] = {}
        for count in await conn.fetch(store.COUNT_FILED, row["id"]):
            filed.setdefault(count["kind"], {})[count["state"]] = count["n"]
        inbox = {r["state"]: r["n"] for r in await conn.fetch(store.COUNT_INBOX, row["id"])}
        found.append(
            Standing(
                connections.known(one),
                filed,
                inbox,
                place["pulled"] if place else 0,
                place["asked_at"] if place else None,
                place["said"] if place else "",
                await backfills.of(conn, row["id"]),
                await behind.found(conn, row["id"]),
            )
        )
    return found


async def connect(
    conn: Connection,
    subject: Subject,
    keeper: Keeper,
    org: int,
    url: str,
    app_id: str,
    key: str,
    private_key: str = "",
    title: str = "",
    allowed: Sequence[str] | frozenset[str] = (),
    since: datetime | None = None,
) -> int:
    """Take part in a platform that has registered us: the connection's number. `org`: the firm that runs the system.

    Base data, recalls and locks in force are told in any case; `since`: activations and movements from then on too.
    """
    subject.require("registry.admin")
    await connections.check_org(conn, org)
    acting = Subject(
        subject.kind, subject.account_id, org, role=subject.role, scopes=frozenset({"*"}), lang=subject.lang
    )
    secret = {"key": key, **({"private_key": private_key} if private_key else {})}
    account = {"app_id": app_id}
    made = await connections.add(
        conn,
        acting,
        keeper,
        NAME,
        title or "药品追溯协同服务平台",
        url,
        account,
        secret,
        everyone=True,
        allowed=allowed,
    )
    await conn.execute(store.ENSURE_PLACE, made)
    if since is not None:
        await backfills.begin(conn, subject, made, None, since)
    return made


async def backfill(conn: Connection, subject: Subject, connection: int, since: datetime) -> int:
    """Tell a platform what was recorded from `since` on; how many bills are looked at. Operator only; `not_found`."""
    await _ours(conn, subject, connection)
    return await backfills.begin(conn, subject, connection, None, since)


async def backfill_state(conn: Connection, subject: Subject, connection: int, state: str) -> None:
    """Pause it (`paused`) or let it go on (`running`). Operator only; `not_found`."""
    await _ours(conn, subject, connection)
    await backfills.set_state(conn, subject, connection, state)


async def _ours(conn: Connection, subject: Subject, connection: int) -> None:
    subject.require("registry.admin")
    if connection not in {r["id"] for r in await conn.fetch(store.LINKS)}:
        raise connections.missing(subject)
