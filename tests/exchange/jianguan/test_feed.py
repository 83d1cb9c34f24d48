"""A regulator that takes only part, says nothing useful or nonsense; and one that pulls and compares (R-F1, R-H1)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from circulation.helpers import activate, make_market
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.jianguan import compare, feed, form, held, parts, service
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.jianguan.wire import Said
from yaosu.exchange.outbox import connections
from yaosu.people.keeper import Keeper
from yaosu.settings import Settings
from yaosu.subject import SYSTEM

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Regulator:
    """What the other side does with a batch: (its seqs, the body) → answer."""

    takes: Callable[[list[int], Mapping[str, Any]], dict[str, Any]]
    batches: list[list[int]] = field(default_factory=list)

    async def call(self, url: str, source: str, key: str, body: Mapping[str, Any], allowed: object) -> Said:
        seqs = [e["seq"] for e in body.get("events", [])]
        self.batches.append(seqs)
        said = self.takes(seqs, body)
        return Said(said.get("success") is True, str(said.get("code", "")), said, genuine=True)


@dataclass
class World:
    app: AppState
    number: int
    last: int

    async def push(self, times: int = 1) -> None:
        async with self.app.pool.acquire() as conn:
            link = await connections.open_link(conn, self.app.parts["keeper"], self.number)
        for _ in range(times):
            async with self.app.pool.acquire() as conn:
                await conn.execute("UPDATE jianguan_feed SET next_at = now()")
            await feed.push(self.app, link)

    async def state(self) -> dict[str, Any]:
        async with self.app.pool.acquire() as conn:
            row = await conn.fetchrow("SELECT * FROM jianguan_feed WHERE connection = $1", self.number)
        assert row is not None
        return dict(row)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=4)
        for n, case in enumerate(goods.cases):
            await market.ship(market.maker, market.wholesaler, [case], bill_no=f"CK{n}")
        settings = Settings(tmp_path_factory.mktemp("d"), "", "127.0.0.1", 0, "http://test")
        app = AppState(settings, "", pool)
        app.parts |= {"registry": market.registry, "keeper": Keeper(b"k" * 32)}
        draft = service.FeedDraft(market.maker, "src1", "k" * 64, "https://8.8.8.8", "shandong")
        number = await service.add(conn, SYSTEM, app.parts["keeper"], draft, ())
        link = await connections.open_link(conn, app.parts["keeper"], number)
        assert link.region == "37", "a provincial profile carries its province"
        while await feed.number(app, link, service.EVER, {}):
            pass
        last = await conn.fetchval("SELECT seq FROM jianguan_feed WHERE connection = $1", number)
        yield World(app, number, last)


@pytest_asyncio.fixture(loop_scope="module")
async def world(made: World) -> World:
    async with made.app.pool.acquire() as conn:
        await conn.execute("UPDATE jianguan_feed SET acked = 0, fails = 0, said = ''")
        await conn.execute("DELETE FROM jianguan_check")
    return made


async def test_what_stands_before_a_refused_event_arrives_and_the_event_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = world.last - 2

    def takes(seqs: list[int], body: Mapping[str, Any]) -> dict[str, Any]:
        if bad in seqs:
            return {"success": False, "code": "field_wrong", "message": "ownerId"}
        return {"success": True, "contiguous": max(seqs)}

    regulator = Regulator(takes)
    monkeypatch.setattr(feed.wire, "call", regulator.call)
    await world.push(40)
    now = await world.state()
    assert now["acked"] == bad - 1, "everything before it is there"
    assert regulator.batches[-1] == [bad], "and it stands alone"
    assert f"#{bad} " in now["said"] and "CK" in now["said"] and "field_wrong" in now["said"]
    assert now["fails"] > 0


async def test_a_regulator_that_takes_the_beginning_of_a_batch_is_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def takes(seqs: list[int], body: Mapping[str, Any]) -> dict[str, Any]:
        return {"success": False, "code": "one_wrong", "contiguous": min(3, world.last)}

    monkeypatch.setattr(feed.wire, "call", Regulator(takes).call)
    await world.push(2)
    now = await world.state()
    assert (now["acked"], now["fails"]) == (3, 1)


@pytest.mark.parametrize("contiguous", [None, -1, 10**9, True, "5", 0])
async def test_a_receipt_that_cannot_be_or_brings_nothing_is_no_receipt(
    world: World, monkeypatch: pytest.MonkeyPatch, contiguous: Any
) -> None:
    monkeypatch.setattr(
        feed.wire, "call", Regulator(lambda s, b: {"success": True, "contiguous": contiguous}).call
    )
    await world.push(1)
    now = await world.state()
    assert (now["acked"], now["fails"]) == (0, 1)
    assert now["next_at"] > now["sent_at"] if now["sent_at"] else True


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"sums": []},
        {"sums": [{}]},
        {"sums": [{"count": "1", "qty": 2, "digest": "x"}]},
        {"sums": ["x"]},
        {"sums": [{"count": 1, "qty": 2, "digest": "x"}], "days": [1]},
    ],
)
async def test_nonsense_in_a_reconciliation_is_a_refusal_not_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    async with world.app.pool.acquire() as conn:
        await conn.execute("UPDATE jianguan_feed SET acked = seq")
    monkeypatch.setattr(compare.wire, "call", Regulator(lambda s, b: {"success": True, **answer}).call)
    with pytest.raises(YaosuError) as refused:
        await service.reconcile(world.app, SYSTEM, world.number)
    assert refused.value.code == "jianguan_no_answer"


async def test_one_regulators_trouble_is_not_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    async def one(app: AppState, row: Any, numbers: dict[int, int]) -> int:
        seen.append(row["id"])
        if len(seen) == 1:
            raise KeyError("sums")
        return 0

    async with world.app.pool.acquire() as conn:
        draft = service.FeedDraft(1, "src2", "k" * 64, "", "national")
        await service.add(conn, SYSTEM, world.app.parts["keeper"], draft, ())
    monkeypatch.setattr(parts, "_one", one)
    await parts.once(world.app, {})
    assert len(seen) >= 2


@pytest.mark.parametrize(("profile", "region"), [("shandong", "14"), ("nowhere", "")])
async def test_a_profile_carries_no_other_province(world: World, profile: str, region: str) -> None:
    async with world.app.pool.acquire() as conn:
        draft = service.FeedDraft(1, "src3", "k" * 64, "", profile, region)
        with pytest.raises(YaosuError) as refused:
            await service.add(conn, SYSTEM, world.app.parts["keeper"], draft, ())
    assert refused.value.code == "field_invalid"


async def test_a_regulator_that_pulls_compares_and_the_differing_event_has_a_name(world: World) -> None:
    async with world.app.pool.acquire() as conn:
        side = compare.numbered(world.number)
        told = await compare.answer(conn, side, {"ranges": [[1, world.last]], "days": True})
        (total,) = told["sums"]
        rows = await conn.fetch(store.AFTER, world.number, 0, 1000)
        pairs = [(r["event_id"], r["digest"]) for r in rows]
        assert total["digest"] == form.range_digest(pairs).hex()
        result = {
            "range": [1, world.last],
            "sum": {**total, "count": 1},
            "differing": [world.last],
            "resent": 0,
        }
        await compare.answer(conn, side, {"result": result})
        (check,) = await service.checks(conn, SYSTEM, world.number)
    assert check["equal"] is False
    (event,) = check["events"]
    assert event["seq"] == world.last and event["billNo"].startswith("CK") and event["eventID"]


async def test_a_forged_and_a_lost_event_are_found_named_and_put_right(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.app.pool.acquire() as conn, conn.transaction():
        source, _ = await held.register(conn, SYSTEM, world.app.parts["keeper"], "药溯", "37")
        # the feed knows itself by the name it was given first
        source = replace(source, source_id="src1")

    async def call(url: str, name: str, key: str, body: Mapping[str, Any], allowed: object) -> Said:
        """The regulator's own rooms, without the wire."""
        async with world.app.pool.acquire() as conn, conn.transaction():
            if url.endswith("/events"):
                told = await held.take(conn, source, body)
            else:
                told = await compare.answer(conn, compare.received(source.id), body)
        return Said(True, "jianguan_ok", {"success": True, **told}, genuine=True)

    monkeypatch.setattr(feed.wire, "call", call)
    monkeypatch.setattr(compare.wire, "call", call)
    await world.push(3)
    assert (await world.state())["acked"] == world.last
    first = await service.reconcile(world.app, SYSTEM, world.number)
    assert first is not None and first.equal and first.events == []
    async with world.app.pool.acquire() as conn:
        row = await conn.fetchrow(
            "SELECT seq, body FROM jianguan_received WHERE kind = 'bill' ORDER BY seq DESC LIMIT 1"
        )
        assert row is not None
        forged = zlib.compress(zlib.decompress(row["body"]).replace(b'"qty":', b'"qty":1', 1))
        await conn.execute("UPDATE jianguan_received SET body = $2 WHERE seq = $1", row["seq"], forged)
        await conn.execute("DELETE FROM jianguan_received WHERE seq = $1", row["seq"] - 1)
    second = await service.reconcile(world.app, SYSTEM, world.number)
    assert second is not None and second.equal and second.resent == 2
    assert [(e["seq"], e["there"]) for e in second.events] == [
        (row["seq"] - 1, "missing"),
        (row["seq"], "other"),
    ]
    assert all(e["billNo"].startswith("CK") and e["eventID"] and e["owner"] for e in second.events)
