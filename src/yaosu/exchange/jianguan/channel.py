"""The regulator as a channel of connections.

Its bills do not go through single deliveries: the feed numbers them itself, because a regulator's record has to be
complete and in order as a whole (see `sequencer`).
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.exchange.jianguan.feed import NAME
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill


def channel(app: AppState) -> Channel:
    """The channel of this process."""

    async def build(conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        return []

    async def send(delivery: Delivery, link: Link) -> Outcome:
        return Outcome("failed", answer="the regulator feed has no single deliveries", final=True)

    return Channel(
        name=NAME,
        zh="药品监管系统",
        en="Regulator",
        build=build,
        send=send,
        whole=True,
        fields=(
            ("source_id", "数据来源标识 sourceID", "sourceID", False),
            ("key", "密钥", "Key", True),
        ),
    )
