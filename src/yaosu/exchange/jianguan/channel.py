"""The regulator as a channel of connections.

Its bills do not go through single deliveries: the feed numbers them itself, because a regulator's record has to be
complete and in order as a whole (see `sequencer`).
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.jianguan.feed import NAME
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill, Standing


def channel(app: AppState) -> Channel:
    """The channel of this process."""

    async def build(conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        return []

    async def send(delivery: Delivery, link: Link) -> Outcome:
        return Outcome("failed", answer="the regulator feed has no single deliveries", final=True)

    async def stands(conn: Connection, link_id: int, bill_id: int) -> Standing:
        row = await conn.fetchrow(store.STANDS, link_id, bill_id)
        if row is None:
            return Standing("none")
        if row["seq"] <= row["acked"]:
            return Standing("done", f"{row['seq']} {row['event_id']}", "", row["sent_at"])
        return Standing("failed" if row["fails"] else "pending", f"{row['seq']}", row["said"])

    return Channel(
        name=NAME,
        zh="药品监管系统",
        en="Regulator",
        build=build,
        send=send,
        whole=True,
        stands=stands,
        fields=(
            ("source_id", "数据来源标识 sourceID", "sourceID", False),
            ("key", "密钥", "Key", True),
        ),
    )
