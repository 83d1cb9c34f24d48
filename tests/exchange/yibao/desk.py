"""A pharmacy with a 医保 connection over a small market: bills go in by the write path, parcels come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circulation.helpers import Market, make_market
from yaosu import gm
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection
from yaosu.exchange.outbox.loading import load
from yaosu.exchange.outbox.model import Delivery, Link, Parcel
from yaosu.exchange.yibao import build
from yaosu.notify.outbox import Entry, enqueue_many
from yaosu.registry.resolver import load_registry

NATIONAL_CODE = "XA02BCA216A001010104475"
OWN_KEY, OWN_PUBLIC = gm.new_keys()
BUREAU_KEY, BUREAU_PUBLIC = gm.new_keys()
SECRET = "4117E877F5FA0A0188891283E4B617D5"
ACCOUNT = {
    "fixmedins_code": "P37020304446",
    "fixmedins_name": "康民大药房",
    "mdtrtarea_admvs": "370200",
    "opter": "001",
    "opter_name": "收银员",
    "phar_name": "药师甲",
    "phar_prac_cert_no": "ZY0001",
    "invoice_default": "无",
    "app_id": "43AF047BBA47FC8A1AE8EFB232BDBBCB",
    "platform_key": BUREAU_PUBLIC.hex(),
}
SECRETS = {"secret": SECRET, "private_key": OWN_KEY.hex()}


@dataclass
class Desk:
    """The market, and one organisation's connection in it."""

    market: Market
    link: Link

    @property
    def conn(self) -> Connection:
        return self.market.conn

    async def parcels(self, result: MovementResult) -> list[Parcel]:
        """What the bill gives; stored as deliveries, as the router does."""
        # a void answers with its reversal
        number = await self.conn.fetchval(
            "SELECT max(id) FROM bill WHERE owner = $1 AND bill_no = $2", result.owner, result.bill_no
        )
        bill = (await load(self.conn, self.market.registry, [number]))[number]
        made = await build.parcels(self.conn, self.market.registry, bill, self.link)
        await enqueue_many(
            self.conn,
            [
                Entry(self.link.org, "yibao", self.link.id, p.kind, p.body, p.key, p.lane, bill.id)
                for p in made
            ],
        )
        return made

    async def move(self, type: int, codes: Sequence[str], **more: Any) -> tuple[MovementResult, list[Parcel]]:
        """A bill of the organisation, accepted, and its parcels."""
        result = await self.market.move(type, self.link.org, codes, **more)
        assert result.status in ("accepted", "void"), [(r.code, r.verdict) for r in result.results]
        return result, await self.parcels(result)

    async def map_goods(self, theirs: str = "D001", **more: Any) -> None:
        """The organisation's catalogue number for the market's product."""
        await self.conn.execute(
            """INSERT INTO counterpart (connection_id, kind, ours, theirs, more) VALUES ($1, 'product', $2, $3, $4)
            ON CONFLICT (connection_id, kind, ours) DO UPDATE SET theirs = excluded.theirs, more = excluded.more""",
            self.link.id,
            self.market.drug_id,
            theirs,
            {"med_list_codg": NATIONAL_CODE, "price": "12.5", **more},
        )

    async def states(self) -> dict[str, str]:
        """State of every row that went out, by its number."""
        rows = await self.conn.fetch(
            "SELECT bchno, state FROM yibao_row WHERE connection_id = $1", self.link.id
        )
        return {r["bchno"]: r["state"] for r in rows}


async def open_desk(
    conn: Connection, who: str = "pharmacy", profile: str = "national", url: str = ""
) -> Desk:
    """A market whose pharmacy (or hospital) is connected."""
    market = await make_market(conn)
    market.registry = await load_registry(conn)
    org = getattr(market, who)
    number = await conn.fetchval(
        "INSERT INTO connection (org, channel, profile, title, url, account) VALUES ($1, 'yibao', $2, '医保', $3, $4) "
        "RETURNING id",
        org,
        profile,
        url,
        ACCOUNT,
    )
    return Desk(market, Link(number, org, "yibao", profile, "医保", url, ACCOUNT, SECRETS))


def delivery(desk: Desk, parcel: Parcel, number: int = 1, **more: Any) -> Delivery:
    """A parcel as the sender gets it."""
    import uuid

    return Delivery(
        number, desk.link.org, "yibao", desk.link.id, uuid.uuid4(), parcel.kind, parcel.body, 1, parcel.body["bill"],
        parcel.key, parcel.lane, **more,
    )  # fmt: skip


__all__ = ["Desk", "delivery", "open_desk"]
