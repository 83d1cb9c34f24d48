"""Starts the router, the sender's channels and the puller, once per server process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request

from yaosu.db.engine import Connection, Pool
from yaosu.edge.background import running
from yaosu.edge.state import AppState, state
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import deliveries
from yaosu.exchange.outbox.connections import open_link
from yaosu.exchange.outbox.erp import Erp
from yaosu.exchange.outbox.model import Channel, Delivery, Outcome, Send
from yaosu.exchange.outbox.pulling import Puller
from yaosu.exchange.outbox.router import Router
from yaosu.notify.outbox import Outbox, Target
from yaosu.people.keeper import Keeper
from yaosu.registry.groups import home
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


def target_of(pool: Pool, keeper: Keeper, channel: Channel) -> Target:
    """A channel as the outbox's sender sees it: the connection is opened for each attempt."""

    def through(act: Send) -> Callable[[Delivery], Awaitable[Outcome]]:
        async def one(delivery: Delivery) -> Outcome:
            try:
                async with pool.acquire() as conn:
                    link = await open_link(conn, keeper, delivery.target_id)
            except YaosuError as error:
                # no credentials: nothing left; a person has to give them
                return Outcome("failed", None, error.code)
            return await act(delivery, link)

        return one

    async def at_rest(conn: Connection, delivery: Delivery, outcome: Outcome) -> None:
        """The organisation hears of it on its message page, once a day for each connection."""
        await deliveries.tell_at_rest(conn, delivery, channel)

    return Target(through(channel.send), at_rest, through(channel.ask) if channel.ask is not None else None)


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Route, send and pull for the life of the server; `app.parts["router"]`."""
    registry: Registry = app.parts["registry"]
    keeper: Keeper = app.parts["keeper"]
    box: Outbox = app.parts["outbox"]
    channels: dict[str, Channel] = app.parts.setdefault("channels", {})
    own = Erp(registry, app.settings.webhook_hosts, app.settings.public_url).channel()
    channels.setdefault(own.name, own)
    for channel in channels.values():
        box.targets[channel.name] = target_of(app.pool, keeper, channel)
    router = Router(app.pool, registry, keeper, channels, box)
    app.parts["router"] = router
    async with running({"router": router.run(), "puller": Puller(app.pool, keeper, channels).run()}):
        yield


def channels_of(request: Request) -> dict[str, Channel]:
    """The server's channels by name."""
    found: dict[str, Channel] = state(request).parts.get("channels", {})
    return found


def places_of(request: Request, subject: Subject) -> list[int]:
    """The places of the subject's organisation: their bills go out through its connections."""
    registry: Registry = state(request).parts["registry"]
    own = subject.org_id
    return [c.id for c in registry.orgs() if own is not None and home(registry, c.id) == own != c.id]
