"""A running server on a real database, with goods on their way and people who can sign in."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from access.helpers import PASSWORD, make_account
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.api.app import create_app
from yaosu.db.engine import connect
from yaosu.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = {
    "maker": "示例制药有限公司",
    "wholesaler": "示例医药批发有限公司",
    "other": "示例另一医药有限公司",
    "pharmacy": "示例大药房连锁有限公司",
    "store": "示例大药房连锁一店",
    "hospital": "示例市人民医院",
}


@dataclass
class World:
    """Who can sign in (by name of organisation) and the goods there are."""

    logins: dict[str, str]
    orgs: dict[str, int]
    goods: Goods
    shipped: str
    """Number of the maker's bill to the wholesaler."""
    password: str = PASSWORD


async def prepare(address: str) -> World:
    """Two pallets of four cases: one shipped to the wholesaler and not yet received, one still at the maker's."""
    conn = await connect(address)
    try:
        market: Market = await make_market(conn)
        orgs = {name: getattr(market, name) for name in NAMES}
        for name, text in NAMES.items():
            await conn.execute("UPDATE org SET name = $2, name_norm = $2 WHERE id = $1", orgs[name], text)
        await conn.execute("UPDATE product SET generic_name = '正骨水'")
        goods = await activate(market, cases=8, pallets=2, batch_no="251021")
        shipped = await market.ship(market.maker, market.wholesaler, goods.pallets[:1], bill_no="CK-YL-0930")
        logins = {}
        for name, org_id in orgs.items():
            _, logins[name] = await make_account(conn, org_id, "admin", login=f"{name}.{org_id}")
        return World(logins, orgs, goods, shipped.bill_no)
    finally:
        await conn.close()


def alive(page: Page, island: str) -> None:
    """Wait until a part of the page that its own module makes work (`[data-upload]`) listens."""
    from playwright.sync_api import expect

    expect(page.locator(f"{island}[data-live]").first).to_be_attached()


@contextmanager
def serving(address: str, data: Path) -> Iterator[str]:
    """The real application in a thread of its own; its address."""
    settings = Settings(data=data, database_url=address, host="127.0.0.1", port=0, public_url="")
    app = create_app(settings, address)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 150
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(60)


def prepared(address: str) -> World:
    """`prepare` for callers without a loop."""
    return asyncio.run(prepare(address))
