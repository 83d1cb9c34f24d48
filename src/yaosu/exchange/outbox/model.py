"""Values of the outbox: what was recorded, to whom it is owed, and what is sent (R-X9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from yaosu.db.engine import Connection
from yaosu.notify.outbox import Delivery, Outcome

__all__ = ["Channel", "Delivery", "Link", "Outcome", "Parcel", "RoutedBill", "RoutedLine", "Standing"]


@dataclass(frozen=True, slots=True)
class Link:
    """A connection as an adapter sees it: how one organisation reaches one counterpart.

    `account` is how they know the organisation (app_key, institution code, …), `secret` its credentials, opened for
    this use only: never log it, never put it into a body. `everyone` marks connections of the platform as a whole.
    """

    id: int
    org: int
    channel: str
    profile: str
    title: str
    url: str
    account: Mapping[str, Any]
    secret: Mapping[str, str]
    everyone: bool = False
    region: str = ""


@dataclass(frozen=True, slots=True)
class RoutedLine:
    """One accepted code of a bill, as the bill left it. `parts`: preparation units, where the box is opened (拆零).

    `home` is the trace system the code belongs to (registry.TraceSystem.id; R-A4).
    """

    code: str
    drug_id: int
    batch_id: int
    batch_no: str
    produced_on: str
    expires_on: str
    level: int
    qty: int
    home: int
    parts: int | None = None
    from_bill: int = 0
    """The earlier revision that moved it, when a correction left it alone; 0: this one."""


@dataclass(frozen=True, slots=True)
class RoutedBill:
    """A recorded bill with everything an adapter may need of it; loaded for many bills at once.

    `lines` is what stands after this revision; `before` what stood in the revision it replaces (empty for a first
    one). A void has no lines. `quantities` are goods without codes: (drug_id, batch_no, qty).
    """

    id: int
    owner: int
    submitter: int
    bill_no: str
    type: int
    kind: str
    revision: int
    void: bool
    from_org: int | None
    to_org: int | None
    principal: int | None
    carrier: int | None
    direct_org: int | None
    happened_at: datetime
    recorded_at: datetime
    header: Mapping[str, Any]
    lines: Sequence[RoutedLine]
    before: Sequence[RoutedLine] = ()
    quantities: Sequence[tuple[int, str, int]] = ()
    replaces: int | None = None
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One thing to send: made once, when the bill is routed, and never changed, so that a retry is the same thing.

    `key` is unique within its connection (an idempotency key that rises from the bill: owner, number, revision,
    part). Parcels of one `lane` go one after the other, in the order they were made; the next waits until the one
    before is settled.
    """

    kind: str
    key: str
    body: Mapping[str, Any]
    lane: str = ""


Build = Callable[[Connection, RoutedBill, Link], Awaitable[Sequence[Parcel]]]
Send = Callable[[Delivery, Link], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bill stands in a channel's own stream. `state`: `none` (it is not in it), `pending`, `failed`, `done`."""

    state: str
    remote: str = ""
    answer: str = ""
    at: datetime | None = None


Stands = Callable[[Connection, int, int], Awaitable[Standing]]


@dataclass(frozen=True, slots=True)
class Channel:
    """A kind of counterpart. `build` says what of a bill goes there; an empty answer means nothing is owed, and the
    reasons stand in the routing. `ask` looks up what became of something sent (levels 2 to 4 of an answer, or after
    no answer came); without it an unanswered delivery is sent again under the same key.

    `fields` are what a connection of this channel asks for: (name, Chinese, English, secret). `pull` fetches what they
    have for us, once in a while; it keeps its place in `connection.cursor`. `whole` channels carry what belongs to all
    firms of the platform; only its operator connects them.
    """

    name: str
    zh: str
    en: str
    build: Build
    send: Send
    ask: Send | None = None
    pull: Callable[[Link, Mapping[str, Any]], Awaitable[Mapping[str, Any]]] | None = None
    pull_every_s: int = 300
    fields: Sequence[tuple[str, str, str, bool]] = field(default_factory=tuple)
    whole: bool = False
    stands: Stands | None = None
    """For channels that carry bills in a stream of their own, without deliveries: (conn, connection, bill)."""
