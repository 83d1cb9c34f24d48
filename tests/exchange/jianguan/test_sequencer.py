"""Numbers of the feed when bills commit in another order than their ids were handed out."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from circulation.helpers import Market, activate, make_market
from exchange.jianguan.helpers import EPOCH
from production.helpers import make_maker, tree
from yaosu.db.engine import Connection, Pool, connect
from yaosu.exchange.jianguan import sequencer
from yaosu.exchange.jianguan import store_feed as store
from yaosu.production import activation
from yaosu.registry.resolver import load_registry

pytestmark = pytest.mark.asyncio(loop_scope="module")
FEED = 77


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        found = await make_market(conn)
        await conn.execute(store.ENSURE, FEED)
        yield found


async def number(market: Market, conn: Connection) -> int:
    registry = await load_registry(conn)
    async with conn.transaction():
        return await sequencer.number_bills(conn, registry, FEED, "src1", "37", EPOCH)


async def bills(conn: Connection) -> list[int]:
    rows = await conn.fetch("SELECT bill_id FROM jianguan_event WHERE feed = $1 ORDER BY seq", FEED)
    return [r["bill_id"] for r in rows]


async def test_a_bill_that_commits_late_is_not_missed(market: Market, database: str) -> None:
    slow, other = await connect(database), await connect(database)
    late = slow.transaction()
    await late.start()
    first = await slow.fetchval("SELECT nextval('bill_id_seq')")
    copy = Market(
        other, market.registry, market.batches, market.maker, market.wholesaler, market.other, market.pharmacy,
        market.store, market.hospital, market.drug_id,
    )  # fmt: skip
    await activate(copy, cases=1)
    await activate(copy, cases=1)
    for _ in range(3):
        await number(market, market.conn)
    before = await bills(market.conn)
    assert len(before) == 2
    assert first < min(before)
    low = await market.conn.fetchval("SELECT low FROM jianguan_feed WHERE connection = $1", FEED)
    assert low < first, "what may still commit must stay above the mark"
    # the slow one comes to its end at last
    await slow.execute(
        """
        INSERT INTO bill (id, owner, submitter, type, lines, qty, happened_at, submission_id, bill_no, content_hash,
            leaf, drug_ids) SELECT $1, owner, submitter, type, 0, 0, happened_at, submission_id, 'SPAET', '', '', '{}'
        FROM bill LIMIT 1""",
        first,
    )
    await late.commit()
    await number(market, market.conn)
    assert await bills(market.conn) == [*before, first]
    await slow.close()
    await other.close()


async def test_the_mark_rises_when_nobody_is_left_who_could_commit_below(market: Market) -> None:
    await activate(market, cases=1)
    for _ in range(3):
        await number(market, market.conn)
    low, last = await market.conn.fetchrow(
        "SELECT f.low, (SELECT max(id) FROM bill) FROM jianguan_feed f WHERE connection = $1", FEED
    )
    assert low == last


async def test_a_bill_is_numbered_after_what_it_builds_on_whatever_the_ids_say(market: Market) -> None:
    goods = await activate(market, cases=1)
    activation = await market.conn.fetchval("SELECT max(id) FROM bill")
    shipped = await market.ship(market.maker, market.wholesaler, goods.cases)
    received = await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    # ids as a race hands them out: the receipt took its own before the shipment did
    await market.conn.execute("SET session_replication_role = replica")
    low, high = sorted((shipped.bill_id, received.bill_id))
    for table, column in (("bill", "id"), ("bill_line", "bill_id")):
        await market.conn.execute(
            f"UPDATE {table} SET {column} = CASE {column} WHEN $1 THEN -$2::bigint ELSE -$1::bigint END "
            f"WHERE {column} IN ($1, $2)",
            low,
            high,
        )
        await market.conn.execute(f"UPDATE {table} SET {column} = -{column} WHERE {column} < 0")
    await market.conn.execute("UPDATE bill_line SET prev_bill = $2 WHERE bill_id = $1", low, high)
    await number(market, market.conn)
    assert (await bills(market.conn))[-3:] == [activation, high, low]


async def test_the_same_round_twice_numbers_nothing_again(market: Market) -> None:
    before = await bills(market.conn)
    assert await number(market, market.conn) == 0
    assert await bills(market.conn) == before


async def test_an_activation_tells_every_package_and_where_it_is_packed(pool: Pool, tmp_path: Path) -> None:
    async with pool.acquire() as conn:
        subject, _, registry = await make_maker(conn)
        packed = tree(1, 2, 3, flag=2)
        file = tmp_path / "relation.xml"
        file.write_bytes(packed.xml())
        async with conn.transaction():
            done = await activation.activate(conn, subject, file, registry, bytes(32))
        bill = await conn.fetchval("SELECT max(id) FROM bill WHERE type = 1")
        feed = FEED + 1
        await conn.execute(store.ENSURE, feed)
        async with conn.transaction():
            await sequencer.number_bills(conn, registry, feed, "src2", "", EPOCH)
        body = await conn.fetchval(
            "SELECT body FROM jianguan_event WHERE feed = $1 AND bill_id = $2", feed, bill
        )
    event = orjson.loads(zlib.decompress(body))
    assert done is not None
    assert [c["code"] for c in event["codes"]] == [packed.rows[0].code]
    assert {(i["code"], i["parent"]) for i in event["inside"]} == {
        (r.code, r.parent) for r in packed.rows[1:]
    }
    assert event["qty"] == 6
