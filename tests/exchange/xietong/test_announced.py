"""What is told to other systems beside movements: recalls, locks and activations of our own (R-A3, R-E4, R-B9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from exchange.xietong.helpers import trace_system
from production.helpers import make_maker, tree
from recall.helpers import draft_of, published, who
from registry.helpers import make_org
from yaosu.db.engine import Connection, Pool
from yaosu.edge.state import AppState
from yaosu.exchange.adopt.service import set_foreign
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.outbox.router import Router
from yaosu.exchange.xietong import client
from yaosu.exchange.xietong.announce import Announcer
from yaosu.exchange.xietong.channel import channel
from yaosu.production import activation
from yaosu.recall import locks
from yaosu.recall import service as recalls
from yaosu.registry.model import OrgType
from yaosu.subject import SYSTEM

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Ours:
    """A market whose codes live here, with a connection to a platform."""

    market: Market
    announcer: Announcer
    link: Link
    app: AppState

    async def told(self) -> list[dict[str, Any]]:
        """Contents of what goes to the platform, in order."""
        self.announcer._next.clear()
        await self.announcer.look(self.link)
        rows = await self.market.conn.fetch(
            "SELECT body FROM delivery WHERE target = 'xietong' AND target_id = $1 ORDER BY id", self.link.id
        )
        return [r["body"] for r in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ours]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        async with trace_system(pool, market, tmp_path_factory.mktemp("o")) as app:
            number = await conn.fetchval(
                "INSERT INTO connection (org, everyone, channel, title, url, account)"
                " VALUES ($1, true, 'xietong', 't', 'u', $2) RETURNING id",
                market.maker,
                {"app_id": "xt-a"},
            )
            link = Link(number, market.maker, "xietong", "", "t", "u", {"app_id": "xt-a"}, {}, True)
            yield Ours(market, Announcer(app), link, app)


async def test_our_recalls_are_told_once_from_publication_to_end_and_drills_are_not(ours: Ours) -> None:
    conn: Connection = ours.market.conn
    goods = await activate(ours.market, cases=1)
    await published(ours.market, conn, draft_of(goods, simulated=True))
    assert await ours.told() == []
    order = await published(ours.market, conn, draft_of(goods))
    (body,) = await ours.told()
    content = body["content"]
    assert (body["sub_type"], body["event_type"]) == ("2008", 20)
    assert (content["act"], content["number"], content["batches"]) == ("stop", order.number, [goods.batch_no])
    assert content["product"] == ours.market.prefixes[0]
    assert "contact" not in content, "it may name a person"
    assert len(await ours.told()) == 1, "told once"
    await recalls.cancel(
        conn, ours.market.registry, who(ours.market, ours.market.maker), order.id, "复检合格"
    )
    assert [b["content"]["act"] for b in await ours.told()] == ["stop", "lift"]
    assert len({b["event_id"] for b in await ours.told()}) == 2


async def test_a_lock_for_everybody_is_told_and_a_firms_own_suspension_is_not(ours: Ours) -> None:
    conn: Connection = ours.market.conn
    goods = await activate(ours.market, cases=1)
    subject, before = who(ours.market, ours.market.maker), len(await ours.told())
    given = {"drug_id": goods.drug_id, "batch_nos": [goods.batch_no], "codes": (), "reason": "quality"}
    await locks.place(conn, ours.market.registry, subject, kind="suspension", **given)  # type: ignore[arg-type]
    made = await locks.place(conn, ours.market.registry, subject, kind="lock", **given)  # type: ignore[arg-type]
    await ours.told()
    await locks.release(conn, ours.market.registry, subject, made, "已排除")
    new = (await ours.told())[before:]
    assert [(b["content"]["kind"], b["content"]["act"]) for b in new] == [("lock", "stop"), ("lock", "lift")]
    assert new[0]["content"]["reason"] == "quality"


async def test_an_activation_is_told_by_batch_and_with_every_package_where_its_holder_works_elsewhere(
    ours: Ours, tmp_path: Path
) -> None:
    conn: Connection = ours.market.conn
    subject, _, registry = await make_maker(conn)
    ours.app.parts["registry"] = registry
    router = Router(ours.app.pool, registry, ours.app.parts["keeper"], {"xietong": channel(ours.app)})

    async def made(name: str) -> tuple[Any, list[dict[str, Any]]]:
        """The packages of a relation file, and what is told of it."""
        packed = tree(1, 2, 3, flag=2, first=1 + 1000 * len(name))
        file = tmp_path / name
        file.write_bytes(packed.xml())
        before = len(await ours.told())
        async with conn.transaction():
            number = f"JH-{name}"
            options = activation.Options(bill_no=number)
            await activation.activate(conn, subject, file, registry, bytes(32), options)
        await ours.told()
        while await router.once():
            pass
        return packed, (await ours.told())[before:]

    _, (body,) = await made("one.xml")
    content = body["content"]
    assert (body["sub_type"], content["type"]) == ("2001", 1)
    assert [b["qty"] for b in content["batches"]] == [6]
    assert "packages" not in content, "the codes are nobody else's business"
    assert not await conn.fetchval("SELECT count(*) FROM route_due"), "told once"

    # a connection that is made only now hears of it when it is asked from a day before (R-X9)
    later = await conn.fetchval(
        "INSERT INTO connection (org, everyone, channel, title, url, account)"
        " VALUES ($1, true, 'xietong', 'u', 'u', $2) RETURNING id",
        ours.link.org,
        {"app_id": "xt-b"},
    )
    heard = (
        "SELECT body FROM delivery WHERE target = 'xietong' AND target_id = $1 AND body->>'sub_type' = '2001'"
    )
    await Announcer(ours.app).look(replace(ours.link, id=later))
    while await router.once():
        pass
    assert not await conn.fetch(heard, later)
    async with conn.transaction():
        assert await client.backfill(conn, SYSTEM, later, datetime(2020, 1, 1, tzinfo=UTC)) >= 1
    while await router.once():
        pass
    assert "JH-one.xml" in [r["body"]["content"]["bill_no"] for r in await conn.fetch(heard, later)]
    (standing,) = [s for s in await client.standings(conn, SYSTEM) if s.link.id == later]
    assert standing.backfill is not None and standing.backfill.state == "done"
    await conn.execute("UPDATE connection SET state = 'ended' WHERE id = $1", later)

    # made by contract for a holder that works in another system
    system = await conn.fetchval("INSERT INTO trace_system (name) VALUES ('系统丁') RETURNING id")
    holder = await make_org(conn, OrgType.MAKER)
    await set_foreign(conn, [holder], system)
    await conn.execute("UPDATE product SET mah_id = $1 WHERE mah_id = $2", holder, subject.org)
    await registry.refresh(conn)
    packed, (body,) = await made("second.xml")
    (pallet,) = body["content"]["packages"]
    inside = [pallet["code"], *(c["code"] for c in pallet["children"])]
    inside += [box["code"] for case in pallet["children"] for box in case["children"]]
    assert sorted(inside) == sorted(r.code for r in packed.rows)
