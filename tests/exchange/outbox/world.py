"""A market with connections, a router over a recording channel, and a receiver that keeps what it got by key."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from circulation.helpers import Market
from notify.clock import gates_open, pauses_end
from yaosu.db.engine import Connection, Pool
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill
from yaosu.exchange.outbox.parts import target_of
from yaosu.exchange.outbox.router import Router
from yaosu.notify.outbox import Outbox
from yaosu.people.keeper import Keeper
from yaosu.subject import Subject

KEEPER = Keeper(b"m" * 32)


@dataclass
class Other:
    """The other side of channel `top`: keeps what arrived by key, and answers what it is told to."""

    got: dict[str, dict[str, object]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: deque[Outcome] = field(default_factory=deque)
    told: deque[Outcome] = field(default_factory=deque)
    built: list[RoutedBill] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=list)

    def channel(self, name: str = "top") -> Channel:
        """With a question about what became of it."""
        return Channel(name, "对方", "The other side", self.build, self.send, self.ask)

    async def build(self, conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        if bill.bill_no in self.broken:
            await conn.execute("SELECT 1 / 0")
        self.built.append(bill)
        body = {
            "codes": [x.code for x in bill.lines],
            "gone": [x.code for x in bill.before if x.code not in {y.code for y in bill.lines}],
        }
        return [
            Parcel(
                "upbill", f"{bill.owner}:{bill.bill_no}:{bill.revision}", body, f"{bill.owner}:{bill.bill_no}"
            )
        ]

    async def send(self, delivery: Delivery, link: Link) -> Outcome:
        self.secrets.append(link.secret.get("app_secret", ""))
        outcome = self.answers.popleft() if self.answers else Outcome("processed", 200, "ok", remote="R1")
        if outcome.state != "pending":
            assert self.got.setdefault(delivery.key, dict(delivery.body)) == dict(delivery.body)
            self.order.append(delivery.key)
        return outcome

    async def ask(self, delivery: Delivery, link: Link) -> Outcome:
        self.asked.append(delivery.key)
        return self.told.popleft() if self.told else Outcome("processed", 200, "done", remote="R1")


@dataclass
class Exchange:
    """Router and sender over one channel."""

    pool: Pool
    market: Market
    other: Other
    router: Router
    box: Outbox

    async def connect(self, org: int, channel: str = "top", **more: object) -> int:
        """A connection of `org`; processes hear of it at their next bill."""
        async with self.pool.acquire() as conn, conn.transaction():
            given = {
                "title": "码上放心",
                "url": "https://example.com/router",
                "account": {},
                "secret": {"app_secret": "s3"},
            }
            return await connections.add(conn, self.subject(org), KEEPER, channel, **{**given, **more})  # type: ignore[arg-type]

    def subject(self, org: int) -> Subject:
        return self.market.subject(org)

    async def routed(self) -> None:
        """Everything that waits is routed, later tries included."""
        while await self.router.once():
            pass

    async def sent(self, rounds: int = 30) -> None:
        """Whatever can be sent is sent; time passes between tries."""
        for _ in range(rounds):
            async with self.pool.acquire() as conn:
                await pauses_end(conn, leases=True)
                await gates_open(conn)
            if not await self.box.once():
                return

    async def states(self, connection: int) -> list[tuple[str, str]]:
        """Key and state of each delivery, in order."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT key, state FROM delivery WHERE target_id = $1 AND target <> 'webhook' ORDER BY id",
                connection,
            )
        return [(r["key"].split(":", 1)[1], r["state"]) for r in rows]


def exchange(pool: Pool, market: Market) -> Exchange:
    other = Other()
    channels = {"top": other.channel(), "jianguan": other.channel("jianguan")}
    box = Outbox(
        pool, lambda: market.registry.lists, {n: target_of(pool, KEEPER, c) for n, c in channels.items()}
    )
    return Exchange(pool, market, other, Router(pool, market.registry, KEEPER, channels, box), box)


async def forgotten(box: Exchange) -> Exchange:
    """The same market without the connections and deliveries of the test before."""
    async with box.pool.acquire() as conn:
        await conn.execute(
            "TRUNCATE delivery, delivery_attempt, delivery_gate, connection, bill_due, route_due, route_decision;"
            "UPDATE route_version SET version = version + 1"
        )
    return exchange(box.pool, box.market)
