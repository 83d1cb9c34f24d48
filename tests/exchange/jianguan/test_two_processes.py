"""The regulator feed between two processes with a bad network and power cuts: complete, in order, provably the same."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

import asyncpg
import orjson
import pytest

from exchange.faults import faulty
from exchange.jianguan.helpers import a_source, a_trace_system, feed_to, keeper_of
from exchange.running import running, until
from yaosu.db.engine import connect, open_pool
from yaosu.edge.state import AppState
from yaosu.exchange.jianguan.compare import Reconciler
from yaosu.exchange.outbox import connections
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings

SENT = "SELECT seq, event_id, kind, bill_id, digest, body FROM jianguan_event ORDER BY seq"
GOT = "SELECT seq, event_id, kind, digest, body FROM jianguan_received ORDER BY seq"


def _settings(folder: Path, database: str) -> Settings:
    return Settings(
        data=folder,
        database_url=database,
        host="127.0.0.1",
        port=0,
        public_url="http://test",
        webhook_hosts=frozenset({"127.0.0.1"}),
    )


@pytest.mark.asyncio
async def test_every_bill_arrives_once_in_order_through_faults_and_power_cuts(
    server_address: str, template_name: str, tmp_path: Path
) -> None:
    with (
        running(server_address, template_name, tmp_path / "s") as sender,
        running(server_address, template_name, tmp_path / "r", {"YAOSU_ROLE": "regulator"}) as regulator,
    ):
        trace = await a_trace_system(sender)
        market, goods = trace.market, trace.goods
        source, key = await a_source(regulator)
        async with faulty(regulator.port, hang_s=1) as proxy:
            proxy.faults.extend(
                ["lose_answer", "twice", "error_500", "pass", "cut_answer", "pass", "change_request", "pass"]
            )
            proxy.faults.extend(["change_answer", "pass", "refuse"])
            await feed_to(trace, proxy.url, source, key)
            accepted = 0

            async def story() -> None:
                nonlocal accepted
                for n, case in enumerate(goods.cases):
                    said = await trace.move(market.maker, 201, f"CK{n}", [case], to_org=market.wholesaler)
                    accepted += said["status"] == "accepted"
                    said = await trace.move(
                        market.wholesaler, 102, f"RK{n}", [case], from_org=market.maker, notice=f"CK{n}"
                    )
                    accepted += said["status"] == "accepted"
                    for k, box in enumerate(goods.boxes_of(n)[:4]):
                        said = await trace.move(
                            market.wholesaler, 201, f"XS{n}-{k}", [box], to_org=market.pharmacy
                        )
                        accepted += said["status"] == "accepted"

            async def cuts() -> None:
                for process in (sender, regulator):
                    await asyncio.sleep(0.7)
                    await asyncio.to_thread(process.kill)
                    await asyncio.to_thread(process.start)

            await asyncio.gather(story(), cuts())
            theirs = await connect(regulator.database)

            async def all_there() -> bool:
                bills = await trace.conn.fetchval("SELECT count(*) FROM bill WHERE revision > 0")
                numbered = await trace.conn.fetchval(
                    "SELECT count(DISTINCT bill_id) FROM jianguan_event WHERE bill_id IS NOT NULL"
                )
                held = await theirs.fetchval("SELECT contiguous FROM jianguan_source")
                last = await trace.conn.fetchval("SELECT seq FROM jianguan_feed")
                return bool(bills == numbered and last and held == last)

            await until(all_there)
            assert accepted == 4 * 6
            # how many requests the story took depends on the machine; every fault of the list is to be met
            later = iter([box for n in range(4) for box in goods.boxes_of(n)[4:]])
            while proxy.faults:
                box = next(later)
                said = await trace.move(
                    market.wholesaler, 201, f"HX-{box[-6:]}", [box], to_org=market.pharmacy
                )
                assert said["status"] == "accepted"
                await until(all_there)
            sent, got = await trace.conn.fetch(SENT), await theirs.fetch(GOT)
            assert [(r["seq"], r["event_id"], r["digest"]) for r in sent] == [
                (r["seq"], r["event_id"], r["digest"]) for r in got
            ]
            assert [r["seq"] for r in got] == list(range(1, len(got) + 1))
            assert len({r["event_id"] for r in got}) == len(got)
            numbers = [
                orjson.loads(zlib.decompress(r["body"])).get("billNo") for r in got if r["kind"] == "bill"
            ]
            for n in range(4):
                assert numbers.index(f"CK{n}") < numbers.index(f"RK{n}") < numbers.index(f"XS{n}-0")
            assert {r["kind"] for r in got} == {"firm", "rule", "product", "bill"}
            # and nothing of it names a person or a telephone
            assert not any(b"contact" in zlib.decompress(r["body"]) for r in got)
            assert {f for f, _ in proxy.met} >= {"lose_answer", "twice", "change_request", "change_answer"}
            # from here on the test itself compares: the sender would do so too, whenever it finds everything sent
            await asyncio.to_thread(sender.stop)
            await _reconcile(trace.conn, theirs, sender.data, sender.database, keeper_of(sender), trace.feed)
            await theirs.close()
        await trace.conn.close()


async def _reconcile(
    ours: asyncpg.Connection[asyncpg.Record],
    theirs: asyncpg.Connection[asyncpg.Record],
    folder: Path,
    database: str,
    keeper: object,
    feed: int,
) -> None:
    """What somebody changed and removed behind the regulator's back is found, named and put right."""
    pool = await open_pool(database, 4)
    app = AppState(_settings(folder, database), database, pool)
    app.parts["registry"], app.parts["keeper"] = await load_registry(ours), keeper
    link = await connections.open_link(ours, keeper, feed)  # type: ignore[arg-type]
    first = await Reconciler(app, link).run()
    assert first is not None
    assert first.equal
    assert (first.differing, first.resent, first.ours) == ([], 0, first.theirs)
    row = await theirs.fetchrow(
        "SELECT seq, body FROM jianguan_received WHERE kind = 'bill' ORDER BY seq LIMIT 1"
    )
    assert row is not None
    forged = zlib.decompress(row["body"]).replace(b'"qty":', b'"qty":1', 1)
    # the digest column still tells the old story; the event itself does not
    await theirs.execute(
        "UPDATE jianguan_received SET body = $2 WHERE seq = $1", row["seq"], zlib.compress(forged)
    )
    await theirs.execute("DELETE FROM jianguan_received WHERE seq = $1", row["seq"] + 9)
    second = await Reconciler(app, link).run()
    assert second is not None
    assert second.differing == [row["seq"], row["seq"] + 9]
    assert second.resent == 2
    assert second.equal
    assert [d[0] for d in second.days]
    held = await theirs.fetchval("SELECT body FROM jianguan_received WHERE seq = $1", row["seq"])
    assert zlib.decompress(held) != forged
    old = await theirs.fetchval("SELECT body FROM jianguan_replaced WHERE seq = $1", row["seq"])
    assert zlib.decompress(old) == forged
    checks = await theirs.fetch("SELECT equal, resent FROM jianguan_check ORDER BY id DESC LIMIT 2")
    assert [tuple(r) for r in checks] == [(True, 2), (True, 0)]
    await pool.close()
