"""Verbs that need the server's channels: add a connection as its channel asks for, test it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.erp import NAME as OWN_SYSTEM
from yaosu.exchange.outbox.model import Channel
from yaosu.notify import http, signing
from yaosu.people.keeper import Keeper
from yaosu.subject import Subject


@dataclass(frozen=True, slots=True)
class Made:
    """A new connection; `secret` was made by us and is shown this once, else empty."""

    id: int
    secret: str = ""


def channel_of(channels: Mapping[str, Channel], name: str) -> Channel:
    """The channel; `channel_unknown` for a name that is none."""
    found = channels.get(name)
    if found is None:
        raise YaosuError("channel_unknown", {"channel": name})
    return found


def described(channels: Mapping[str, Channel], lang: str) -> list[dict[str, Any]]:
    """What connections of each channel ask for."""
    return [
        {
            "channel": one.name,
            "name": one.zh if lang == "zh" else one.en,
            "fields": [
                {"name": name, "label": zh if lang == "zh" else en, "secret": secret}
                for name, zh, en, secret in one.fields
            ],
            "asks": one.ask is not None,
            "pulls": one.pull is not None,
            "whole": one.whole,
        }
        for one in channels.values()
    ]


async def add(
    conn: Connection,
    subject: Subject,
    keeper: Keeper,
    channels: Mapping[str, Channel],
    allowed: Collection[str],
    *,
    channel: str,
    title: str = "",
    url: str = "",
    account: Mapping[str, Any] | None = None,
    secret: Mapping[str, str] | None = None,
    profile: str = "",
    region: str = "",
    everyone: bool = False,
    since: datetime | None = None,
) -> Made:
    """A connection of a channel that this server has; the signing secret of an own system is made where none is given.

    Refused: `channel_unknown`, and what `connections.add` refuses.
    """
    chosen = channel_of(channels, channel)
    if chosen.whole:
        subject.require("registry.admin")
        everyone = True
    given = {k: v for k, v in (secret or {}).items() if v}
    made = ""
    if channel == OWN_SYSTEM and not given.get("secret"):
        made = given["secret"] = signing.secret_of(signing.new_salt() * 2, signing.new_salt())
    number = await connections.add(
        conn, subject, keeper, channel, title or chosen.zh, url, dict(account or {}), given, profile, region, everyone,
        since=since, allowed=allowed,
    )  # fmt: skip
    return Made(number, made)


async def test(
    conn: Connection, subject: Subject, keeper: Keeper, allowed: Collection[str], connection_id: int
) -> dict[str, Any]:
    """Whether the address answers and the credentials can be opened. Nothing of a bill is sent."""
    subject.require(connections.MANAGE)
    one = await connections.get(conn, subject, connection_id)
    try:
        await connections.open_link(conn, keeper, connection_id)
        credentials = "ok"
    except YaosuError as error:
        credentials = error.code
    status, answer = None, ""
    try:
        got = await http.call("GET", one.url, b"", {"user-agent": "Yaosu/1"}, allowed)
        status, answer = got.status, got.text[:300]
    except http.AddressRefusedError as error:
        answer = error.zh if subject.lang == "zh" else error.en
    except TimeoutError:
        answer = f"no answer within {http.TIMEOUT_S:g} s"
    except httpx.HTTPError as error:
        answer = type(error).__name__
    return {
        "id": connection_id,
        "reached": status is not None,
        "status": status,
        "answer": answer,
        "credentials": credentials,
    }
