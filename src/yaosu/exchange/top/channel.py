"""The 码上放心 channel of the outbox (R-X9, R-X10): uploads of our bills, followed to the end, and upstream's bills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.exchange.adopt.model import Adopted, Upstream
from yaosu.exchange.adopt.service import adopt, foreign
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill
from yaosu.exchange.top.client import build as building
from yaosu.exchange.top.client import pacing, sending, store
from yaosu.exchange.top.client.buyers import buyer
from yaosu.exchange.top.client.families import TOKEN, Family, family_of, needs_token
from yaosu.exchange.top.client.fetching import Fetcher
from yaosu.exchange.top.client.identity import Call, Identities
from yaosu.exchange.top.client.talk import BUSY, LIMITED_S, Said, call
from yaosu.notify.pace import pace_of
from yaosu.registry.resolver import Registry

NAME = "top"
PULL_EVERY_S = 60
FIELDS = (
    ("app_key", "AppKey", "AppKey", False),
    ("app_secret", "AppSecret", "AppSecret", True),
    ("ref_ent_id", "本企业的 ref_ent_id", "Own ref_ent_id", False),
    ("system", "码上放心在“追溯系统”中的名称", "Its name among the trace systems", False),
    ("license", "WES 许可（批发、生产企业使用付费接口时）", "WES licence (paid tier)", True),
    ("delete", "可删除单据（yes/no）", "May delete bills (yes/no)", False),
    (
        "buyers",
        "零售单据上传购买人、医师、发药人（yes/no）",
        "Sales name buyer, doctor and dispenser (yes/no)",
        False,
    ),
)


QUEUED = "本 AppKey 的调用已按平台流量限制排满，稍后自动继续"
NOT_THEIR_ADDRESS = "连接地址不是运营单位为该追溯系统登记的接口地址，不接收其上游单据；请联系运营单位登记"


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are the same door; an empty one is none."""
    a, b = (urlsplit(x.strip().rstrip("/")) for x in (one, other))
    return bool(a.hostname) and (a.scheme, a.netloc.lower(), a.path) == (b.scheme, b.netloc.lower(), b.path)


def says_yes(link: Link, name: str) -> bool:
    """Whether a setting of a connection is on."""
    return str(link.account.get(name) or "").strip().lower() in ("yes", "true", "1", "是")


def channel(app: AppState) -> Channel:
    """The channel on a running server."""
    one = Top(app)
    return Channel(
        NAME,
        "码上放心",
        "Mashangfangxin",
        one.build,
        one.send,
        one.ask,
        pull=one.pull,
        pull_every_s=PULL_EVERY_S,
        fields=FIELDS,
    )


class Top:
    """The channel's verbs with what they need of the server."""

    def __init__(self, app: AppState) -> None:
        self._app = app
        self._tokens: dict[int, str] = {}

    @property
    def _registry(self) -> Registry:
        found: Registry = self._app.parts["registry"]
        return found

    def _family(self, link: Link) -> Family:
        card = self._registry.org(link.org)
        return family_of(card.type if card is not None else 2)

    async def build(self, conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        """What of a bill goes there; bills that came from there do not go back."""
        if bill.owner in await foreign(conn, [bill.owner]):
            return []
        can_delete = says_yes(link, "delete")
        family = self._family(link)
        if bill.kind == "receive" and bill.from_org is None and bill.lines:
            drugs = sorted({line.drug_id for line in bill.lines})
            bill = replace(bill, from_org=await conn.fetchval(store.SENDER, bill.id, drugs))
        return building.parcels(bill, family, can_delete=can_delete and bool(family.delete))

    def _caller(self, link: Link, patience_s: float = pacing.SEND_PATIENCE_S) -> Call:
        async def asked(method: str, params: Mapping[str, object]) -> Said:
            given = dict(params)
            if needs_token(method):
                given["license_token"] = await self._token(link, given, patience_s)
            return await self._call(link, method, given, patience_s)

        return asked

    async def _call(self, link: Link, method: str, params: Mapping[str, object], patience_s: float) -> Said:
        """One call in its AppKey's turn."""
        rate = pace_of(self._registry.lists, NAME).calls_per_s
        if await pacing.turn(self._app.pool, link, rate, patience_s) is None:
            return Said(0, QUEUED, code=BUSY)
        said = await call(link, method, params, datetime.now(UTC), self._app.settings.webhook_hosts)
        if said.limited:
            # everybody on this AppKey waits; the platform's ban lasts a second or two
            await pacing.shut(self._app.pool, link, LIMITED_S)
        return said

    async def _token(self, link: Link, params: Mapping[str, object], patience_s: float) -> str:
        """The token of the paid tier, asked for once a day or when it is refused."""
        if link.id not in self._tokens:
            given = {
                "ref_ent_id": params.get("ref_ent_id") or "",
                "license": link.secret.get("license") or "-",
            }
            said = await self._call(link, TOKEN, given, patience_s)
            model = said.model if isinstance(said.model, dict) else {}
            self._tokens[link.id] = str(model.get("license_token") or "")
            if not self._tokens[link.id]:
                return self._tokens.pop(link.id)
        return self._tokens[link.id]

    def _who(self, link: Link, patience_s: float = pacing.SEND_PATIENCE_S) -> Identities:
        return Identities(
            self._app.pool, self._registry, link, self._family(link), self._caller(link, patience_s)
        )

    async def _buyer(self, delivery: Delivery, link: Link) -> Mapping[str, str]:
        """Who a sale was to, where the firm wants it told; in a transaction of its own, with its audit record."""
        if delivery.body["what"] != "retail" or delivery.bill_id is None or not says_yes(link, "buyers"):
            return {}
        async with self._app.pool.acquire() as conn, conn.transaction():
            return await buyer(conn, self._app.parts["keeper"], self._registry.lists, link, delivery.bill_id)

    async def send(self, delivery: Delivery, link: Link) -> Outcome:
        """Levels 1 and 2."""
        self._tokens.pop(link.id, None) if delivery.tries else None
        person = await self._buyer(delivery, link)
        return await sending.send(delivery, self._family(link), self._who(link), self._caller(link), person)

    async def ask(self, delivery: Delivery, link: Link) -> Outcome:
        """Levels 3 and 4."""
        return await sending.ask(
            delivery, self._family(link), self._who(link), self._caller(link), datetime.now(UTC)
        )

    def _system(self, link: Link) -> int | None:
        wanted = str(link.account.get("system") or "")
        for system in self._registry.systems:
            if not system.own and wanted in (system.name, str(system.id)):
                return system.id
        return None

    async def pull(self, link: Link, cursor: Mapping[str, Any]) -> Mapping[str, Any]:
        """What upstream shipped to us. Without a known trace system nothing can be taken in."""
        system_id = self._system(link)
        reason = "连接未指明码上放心是哪个追溯系统"
        if system_id is not None:
            gateway = str(await self._app.pool.fetchval(store.GATEWAY, system_id) or "")
            reason = "" if same_address(gateway, link.url) else NOT_THEIR_ADDRESS
        if system_id is None or reason:
            return {**cursor, "waiting": {"system": {"tries": 0, "reason": reason}}}
        parts = self._app.parts

        async def take(upstream: Upstream) -> Adopted:
            return await adopt(
                self._app.pool, parts["committer"], self._registry, parts["master_secret"], upstream
            )

        fetcher = Fetcher(
            self._registry,
            link.org,
            system_id,
            self._family(link),
            self._who(link, pacing.PULL_PATIENCE_S),
            self._caller(link, pacing.PULL_PATIENCE_S),
            take,
        )
        return await fetcher.fetch(cursor, datetime.now(UTC))
