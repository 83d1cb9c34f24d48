"""The 协同平台 as a counterpart of the outbox: what our firms do with codes of others, and what leaves to others."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill
from yaosu.exchange.xietong import behind, bills, envelope, wire

NAME = "xietong"
FINAL = frozenset(
    {
        "xietong_field",
        "xietong_data",
        "xietong_content",
        "xietong_event_differs",
    }
)
"""Refusals that the same event cannot outlive; the others may be mended on either side, so it is tried again."""


def channel(app: AppState) -> Channel:
    """The channel of this process."""

    async def build(conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        return await bills.build(conn, app.parts["registry"], bill, link)

    async def send(delivery: Delivery, link: Link) -> Outcome:
        body = delivery.body
        params = {
            "app_id": str(link.account.get("app_id", "")),
            "event_id": str(body["event_id"]),
            "event_type": str(body["event_type"]),
            "sub_type": str(body["sub_type"]),
            "usc_id": str(body["usc_id"]),
            "data": envelope.encode(envelope.pack(body["content"])),
        }
        key = link.secret.get("key", "")
        full = wire.signed({k: v for k, v in params.items() if v}, key, link.secret.get("private_key", ""))
        said = await wire.call(exchange_url(link.url), full, key, app.settings.webhook_hosts)
        if said.genuine and said.success:
            await behind.told(app.pool, link.id, params["event_id"], said, delivery.id)
        return outcome(said)

    return Channel(
        name=NAME,
        zh="药品追溯协同服务平台",
        en="Coordination platform",
        build=build,
        send=send,
        whole=True,
        fields=(
            ("app_id", "接入系统标识 app_id", "app_id", False),
            ("key", "密钥", "Key", True),
            ("private_key", "SM2 私钥（可选）", "SM2 private key (optional)", True),
        ),
    )


def exchange_url(url: str) -> str:
    """Where envelopes go, from the platform's address."""
    return url.rstrip("/") + "/xietong/exchange"


def outcome(said: wire.Said) -> Outcome:
    """What an answer means for a delivery. An answer that is not theirs is no answer: it is sent again, same event."""
    if not said.reached:
        return Outcome("pending", said.status, said.text)
    if not said.genuine:
        # refusals before anybody is known cannot be signed with a key both have
        if said.code in ("xietong_app_unknown", "xietong_sign", "xietong_role"):
            return Outcome("failed", said.status, said.text)
        return Outcome("unknown", said.status, said.text)
    if said.success:
        return Outcome("processed", said.status, said.text, remote=str(said.body.get("event_id", "")))
    return Outcome("failed", said.status, said.text, final=said.code in FINAL)
