"""A coordination platform and trace systems for tests, in process or as processes of their own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from circulation.helpers import Market
from yaosu.api.app import create_app
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.exchange.xietong import envelope, hub
from yaosu.exchange.xietong.hub import System, SystemDraft
from yaosu.people.keeper import Keeper
from yaosu.settings import Settings
from yaosu.subject import SYSTEM

FIRM_A, FIRM_B = "91370102000090011M", "91370102000090029B"


@dataclass
class Platform:
    """A platform in this process."""

    app: AppState
    http: httpx.AsyncClient

    async def register(self, name: str, **more: str) -> Member:
        """A trace system that takes part."""
        async with self.app.pool.acquire() as conn, conn.transaction():
            system, key = await hub.register(
                conn, SYSTEM, self.app.parts["keeper"], SystemDraft(name, **more)
            )
        return Member(self, system, key)


@dataclass
class Member:
    """A trace system as a stranger would write it: nothing but the envelope."""

    platform: Platform
    system: System
    key: str

    def params(
        self, sub_type: str, content: Mapping[str, Any], event_id: str = "", **more: str
    ) -> dict[str, str]:
        """A signed transmission."""
        event_type = "10" if sub_type.startswith("1") else "20"
        params = {
            "app_id": self.system.app_id,
            "process_id": str(uuid.uuid4()),
            "event_id": event_id or str(uuid.uuid4()),
            "event_type": event_type,
            "sub_type": sub_type,
            "data": envelope.encode(envelope.pack(content)),
            "timestamp": envelope.stamp(datetime.now(UTC)),
            **more,
        }
        return envelope.sign(params, self.key)

    async def post(self, params: Mapping[str, str], path: str = "/xietong/exchange") -> dict[str, Any]:
        """What is answered."""
        answer = await self.platform.http.post(path, json=dict(params))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def tell(self, sub_type: str, content: Mapping[str, Any], event_id: str = "") -> dict[str, Any]:
        """One event."""
        return await self.post(self.params(sub_type, content, event_id))

    async def mail(self, after: int = 0, limit: int = 100) -> list[dict[str, str]]:
        """Its mailbox."""
        params = {
            "app_id": self.system.app_id,
            "process_id": str(uuid.uuid4()),
            "timestamp": envelope.stamp(datetime.now(UTC)),
            "after": str(after),
            "limit": str(limit),
        }
        body = await self.post(envelope.sign(params, self.key), "/xietong/mailbox")
        assert body["success"], body
        found: list[dict[str, str]] = body["events"]
        return found

    async def file(self, firm: str, prefix: str = "", customer: bool = True) -> None:
        """A firm, and a code rule with a product when a prefix is given."""
        said = await self.tell("1001", firm_content(firm, customer))
        assert said["success"], said
        if prefix:
            said = await self.tell("1003", rule_content(firm, prefix))
            assert said["success"], said
            said = await self.tell("1002", product_content(firm, prefix))
            assert said["success"], said


def firm_content(firm: str, customer: bool = True) -> dict[str, Any]:
    """企业基本信息."""
    return {"usc_id": firm, "name": f"企业{firm[-4:]}", "type": 1, "region": "370102", "customer": customer}


def rule_content(firm: str, *prefixes: str, rule_no: str = "", **more: Any) -> dict[str, Any]:
    """编码规则."""
    return {
        "rule_no": rule_no or prefixes[0],
        "usc_id": firm,
        "scheme": "cn20",
        "rule_text": "7位药品标识码，9位序列号，4位校验位",
        "prefixes": list(prefixes),
        **more,
    }


def product_content(firm: str, *prefixes: str) -> dict[str, Any]:
    """药品基本信息与包装级别."""
    return {
        "generic_name": "复方测试胶囊",
        "dosage_form": "胶囊剂",
        "strength": "每粒装0.3g",
        "package_size": "24粒/盒",
        "shelf_life": 24,
        "shelf_life_unit": 2,
        "registration_class": "tcm",
        "mah": firm,
        "manufacturer": firm,
        "levels": [
            {"level": n, "contains": 1 if n == 1 else 10, "scheme": "cn20", "identifier": prefix}
            for n, prefix in enumerate(prefixes, 1)
        ],
    }


@asynccontextmanager
async def platform(database: str, data: Path) -> AsyncIterator[Platform]:
    """A platform on a database."""
    settings = Settings(
        data=data,
        database_url=database,
        host="127.0.0.1",
        port=0,
        public_url="http://test",
        roles=frozenset({"coordination"}),
        webhook_hosts=frozenset({"127.0.0.1"}),
    )
    app = create_app(settings, database)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield Platform(app.state.yaosu, http)


@asynccontextmanager
async def trace_system(pool: Pool, market: Market, folder: Path) -> AsyncIterator[AppState]:
    """What the client's side of a trace system needs, in this process, without its loops."""
    app = AppState(Settings(folder, "", "127.0.0.1", 0, "http://test"), "", pool)
    committer = Committer(pool, market.batches)
    app.parts |= {"registry": market.registry, "committer": committer, "keeper": Keeper(b"k" * 32)}
    committer.start()
    try:
        yield app
    finally:
        await committer.stop()
