"""Named queries followed over a WebSocket (EPCIS 2.0 §8.2.5, §12.8): what is new, told while the connection lasts.

Nothing is kept of a connection when it ends; whoever comes back says from which record time on (`initialRecordTime`).
Nothing is kept for a slow reader either: the next events are read when the last message has gone out, so that a
connection holds one message, and one that takes too long is closed.

What is new is found again from a horizon on, before which nothing can turn up any more (`store.HORIZON`), and what was
told since then is remembered: an event whose transaction ends late is neither lost nor told twice. A database that
changed says so by its snapshot, so any number of server processes may write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import orjson
import structlog

from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.answering import Answering, Found
from yaosu.exchange.epcis.query import NOT_OF_NEWS, Parser
from yaosu.exchange.epcis.schedule import following
from yaosu.exchange.epcis.web import style
from yaosu.exchange.epcis.writing import Shown, Style, json_document, xml_document
from yaosu.subject import Subject

log = structlog.get_logger("yaosu.exchange.epcis")

PER_KEY, PER_SERVER = 10, 500
"""Connections open at once in one server process."""
LOOKS_AT_ONCE = 2
"""Connections that read the database at the same time; more wait their turn."""
LOOK_EVERY_S = 1.0
CHECK_EVERY_S = 5.0
"""Longest time between two looks at whether key and query still stand."""
LOOK_ANYWAY_S = 60.0
"""A stream looks after so long even when nobody said that there is something new."""
SEND_WITHIN_S = 30.0
"""Time a reader has for a message."""
MESSAGE_BYTES = 900_000
"""A message of several events is not longer: client libraries often take a million bytes at most."""
EVENTS_A_MESSAGE = 100

NORMAL, ONLY_TELLS, REFUSED, FAILED, TOO_SLOW = 1000, 1003, 1008, 1011, 1013
"""Why we close (RFC 6455 §7.4.1): query gone, caller spoke, key or right gone, our fault, a slow reader."""


class EndedError(Exception):
    """The conversation is over; what the close frame says."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason[:120]
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a connection asked for."""

    name: str
    made_at: datetime
    """When the query was made: another one of the same name is another query."""
    plan: dict[str, str] | None
    """The schedule; None for a stream."""
    report_empty: bool
    begin: datetime
    per_message: int
    epc: str
    words: str
    xml: bool
    number: str
    """Goes into the messages as subscriptionID."""


class Hub:
    """All connections of a server process."""

    def __init__(self, app: AppState) -> None:
        self.app = app
        self.gate = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._of_key: dict[int, int] = {}
        self._wakes: set[asyncio.Event] = set()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def place(self, key: int) -> Iterator[asyncio.Event]:
        """A place for one more connection, with the event that says that the database changed; refused
        (`epcis_too_many_sockets`) when there is none."""
        if self._of_key.get(key, 0) >= PER_KEY or len(self._wakes) >= PER_SERVER:
            limit = PER_KEY if self._of_key.get(key, 0) >= PER_KEY else PER_SERVER
            raise YaosuError("epcis_too_many_sockets", {"limit": limit})
        wake = asyncio.Event()
        self._of_key[key] = self._of_key.get(key, 0) + 1
        self._wakes.add(wake)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="epcis-sockets")
        try:
            yield wake
        finally:
            self._wakes.discard(wake)
            self._of_key[key] -= 1
            if not self._of_key[key]:
                del self._of_key[key]

    async def _watch(self) -> None:
        """Wake the connections when something was written, as long as there are any."""
        seen = ""
        try:
            while self._wakes:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    marker = await self.app.pool.fetchval(store.MARKER)
                except Exception as error:
                    # the database may be away for a moment
                    log.warning("epcis_sockets", error=type(error).__name__)
                    continue
                if marker != seen:
                    seen = marker
                    for wake in self._wakes:
                        wake.set()
        finally:
            self._watching = None

    async def stop(self) -> None:
        """End with the server."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching


@dataclass
class Teller:
    """One conversation: tells what is new until somebody ends it. `still` says who the caller is now."""

    hub: Hub
    wanted: Wanted
    wake: asyncio.Event
    still: Callable[[], Awaitable[Subject]]
    send: Callable[[str], Awaitable[None]]
    since: datetime = field(init=False)
    told: dict[str, datetime] = field(default_factory=dict)
    """Key and record time of what was told and would be found again."""

    def __post_init__(self) -> None:
        self.since = self.wanted.begin
        self._definition: dict[str, object] = {}
        self._horizon: datetime | None = None
        """The horizon of a look that has begun, and the place it has come to."""
        self._token = ""

    async def run(self) -> None:
        """Tell for ever; EndedError when it is over."""
        plan = self.wanted.plan
        due = following(plan, datetime.now(UTC)) if plan is not None else datetime.now(UTC)
        loop = asyncio.get_running_loop()
        changed, looked = True, loop.time()
        while True:
            begun = loop.time()
            try:
                await self._allowed()
                if changed if plan is None else datetime.now(UTC) >= due:
                    told = await self._news()
                    looked = loop.time()
                    if plan is not None:
                        if not told and self.wanted.report_empty:
                            await self._say(await self._style(), [])
                        due = following(plan, datetime.now(UTC))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                # the database may be away for a moment; what was not told stays to be told
                log.warning("epcis_socket_look", error=type(error).__name__)
                self.wake.set()
            except YaosuError as error:
                await self._fault(error)
                raise EndedError(FAILED, f"{error.code}: {error.entry.text('en', error.params)}") from error
            # who has much to look through looks less often
            await asyncio.sleep(max(LOOK_EVERY_S / 2, 2 * (loop.time() - begun)))
            wait = CHECK_EVERY_S
            if plan is not None:
                wait = min(wait, max(0.0, (due - datetime.now(UTC)).total_seconds()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), wait)
            changed = self.wake.is_set() or loop.time() - looked > LOOK_ANYWAY_S
            self.wake.clear()

    async def _allowed(self) -> Subject:
        """The caller with today's rights; the end when key, right or query is gone."""
        try:
            subject = await self.still()
            subject.require("bill.read")
        except YaosuError as error:
            raise EndedError(REFUSED, f"{error.code}: {error.entry.text('en', error.params)}") from error
        async with self.hub.gate:
            row = await self.hub.app.pool.fetchrow(store.QUERY, subject.org, self.wanted.name)
        if row is None or row["created_at"] != self.wanted.made_at:
            raise EndedError(NORMAL, "epcis_no_such_name: the query was removed")
        self._definition = row["query"]
        return subject

    async def _news(self) -> bool:
        """Tell everything that is new, message by message; whether there was anything."""
        if self._horizon is None:
            async with self.hub.gate:
                self._horizon = await self.hub.app.pool.fetchval(store.HORIZON)
        horizon, anything = self._horizon, False
        while True:
            found, chosen = await self._page(await self._allowed(), self._token)
            fresh = []
            for event, (key, at) in zip(found.events, found.recorded, strict=True):
                if key not in self.told:
                    fresh.append(event)
                    # what is older is not met again, neither by this look nor by the next
                    if at >= horizon:
                        self.told[key] = at
            if fresh:
                anything = True
                await self._say(chosen, fresh)
            self._token = found.token
            if not self._token:
                break
        self.since, self._horizon = max(self.since, horizon), None
        self.told = {key: at for key, at in self.told.items() if at >= self.since}
        return anything

    async def _page(self, subject: Subject, token: str) -> tuple[Found, Style]:
        """Some events recorded from the horizon on. The database's connection is given back before they are told."""
        app, definition = self.hub.app, self._definition
        context = definition.get("@context")
        query = Parser(context if isinstance(context, dict) else {}).read(
            {k: v for k, v in definition.items() if k not in NOT_OF_NEWS}
        )
        query.ge_record = max(filter(None, (query.ge_record, self.since)))
        async with self.hub.gate, app.pool.acquire() as conn, conn.transaction():
            answering = Answering(conn, subject, app.parts["registry"], query)
            found = await answering.page(self.wanted.per_message, token)
            chosen = await style(conn, app.parts["registry"], self.wanted.epc, self.wanted.words)
        return found, chosen

    async def _style(self) -> Style:
        async with self.hub.app.pool.acquire() as conn:
            return await style(conn, self.hub.app.parts["registry"], self.wanted.epc, self.wanted.words)

    async def _say(self, chosen: Style, events: list[Shown]) -> None:
        """One EPCISQueryDocument, or several where it would be too long."""
        name, number = self.wanted.name, self.wanted.number
        if self.wanted.xml:
            text = xml_document(events, chosen, name, number)
        else:
            text = orjson.dumps(json_document(events, chosen, name, subscriptionID=number))
        if len(text) > MESSAGE_BYTES and len(events) > 1:
            half = len(events) // 2
            await self._say(chosen, events[:half])
            await self._say(chosen, events[half:])
            return
        await self._out(text.decode())

    async def _fault(self, error: YaosuError) -> None:
        """A fault in the form of an HTTP answer, before the end."""
        text = error.entry.text("en", error.params)
        kind = "epcisException:ImplementationException"
        await self._out(orjson.dumps({"type": kind, "title": text, "status": error.http}).decode())

    async def _out(self, text: str) -> None:
        try:
            await asyncio.wait_for(self.send(text), SEND_WITHIN_S)
        except TimeoutError:
            raise EndedError(TOO_SLOW, f"a message was not taken within {SEND_WITHIN_S:.0f} s") from None
