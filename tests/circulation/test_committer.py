"""Many callers at once: shared commits, races between two servers, repeats, neighbours (D5, D8, design §6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.circulation import apply
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.service import submit
from yaosu.db.engine import Pool, open_pool
from yaosu.errors import YaosuError
from yaosu.stops import service as stops

WHEN = datetime.now(UTC) - timedelta(hours=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(pool: Pool, database: str) -> AsyncIterator[list[tuple[Pool, Committer]]]:
    """Two servers on one database, each with its own pool, cache and writers."""
    second = await open_pool(database)
    made = [(p, Committer(p, BatchCache())) for p in (pool, second)]
    for _, committer in made:
        committer.start()
    yield made
    for _, committer in made:
        await committer.stop()
    await second.close()


async def stocked(market: Market) -> Goods:
    goods = await activate(market, cases=3, per_case=20)
    await market.pass_on(market.maker, market.pharmacy, goods.cases)
    return goods


def sale(market: Market, number: str, codes: list[str], **more: Any) -> Movement:
    values: dict[str, Any] = {"happened_at": WHEN, "body": b"{}", **more}
    return Movement(type=321, bill_no=number, owner=market.pharmacy, codes=codes, **values)


async def sell(
    servers: list[tuple[Pool, Committer]], n: int, market: Market, movement: Movement
) -> MovementResult:
    pool, committer = servers[n % 2]
    return await submit(pool, committer, market.registry, market.subject(market.pharmacy), movement)


async def test_boxes_of_one_case_sold_at_once_over_two_servers_all_go_through(
    market: Market, servers: list[tuple[Pool, Committer]]
) -> None:
    goods = await stocked(market)
    sales = [sell(servers, n, market, sale(market, f"ALL{n}", [box])) for n, box in enumerate(goods.boxes)]
    results = await asyncio.gather(*sales)
    assert Counter(r.status for r in results) == {"accepted": len(goods.boxes)}
    left = await market.conn.fetch("SELECT qty FROM unit WHERE code = ANY($1::text[])", goods.cases)
    assert {r["qty"] for r in left} == {0}
    await market.conserved()


async def test_a_box_offered_by_ten_tills_at_once_is_sold_exactly_once(
    market: Market, servers: list[tuple[Pool, Committer]]
) -> None:
    goods = await stocked(market)
    for box in goods.boxes[:5]:
        sales = [sell(servers, n, market, sale(market, f"RACE-{box}-{n}", [box])) for n in range(10)]
        results = await asyncio.gather(*sales)
        assert Counter(r.status for r in results) == {"accepted": 1, "refused": 9}
        verdicts = {r.results[0].verdict for r in results if r.status == "refused"}
        assert verdicts == {"already_sold"}
    lines = await market.conn.fetchval(
        "SELECT count(*) FROM bill_line WHERE code = ANY($1::text[]) AND post = 'S'", goods.boxes[:5]
    )
    assert lines == 5


async def test_a_retry_that_overtakes_its_first_try_is_recorded_once(
    market: Market, servers: list[tuple[Pool, Committer]]
) -> None:
    goods = await stocked(market)
    movement = sale(market, "RETRY", goods.boxes[:2])
    results = await asyncio.gather(*(sell(servers, n, market, movement) for n in range(8)))
    assert {r.status for r in results} == {"accepted"}
    assert len({r.bill_id for r in results}) == 1
    assert sum(not r.replayed for r in results) == 1


async def test_a_bill_that_fails_does_not_fail_its_neighbours(
    market: Market, servers: list[tuple[Pool, Committer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    goods = await stocked(market)
    real = apply.carry_out

    def poisoned(world: Any, order: Any, verdicts: Any, bill_id: int) -> Any:
        if any(v.scan.code == goods.boxes[3] for v in verdicts):
            raise RuntimeError("a defect that strikes one bill")
        return real(world, order, verdicts, bill_id)

    monkeypatch.setattr(apply, "carry_out", poisoned)
    sales = [sell(servers, 0, market, sale(market, f"N{n}", [goods.boxes[n]])) for n in range(8)]
    results = await asyncio.gather(*sales, return_exceptions=True)
    assert [isinstance(r, RuntimeError) for r in results] == [n == 3 for n in range(8)]
    assert {r.status for r in results if isinstance(r, MovementResult)} == {"accepted"}


async def test_a_connection_that_dies_in_the_middle_leaves_nothing_behind(
    market: Market, servers: list[tuple[Pool, Committer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    goods = await stocked(market)
    real = apply.notices.record

    async def cut(conn: Any, postings: Any) -> None:
        await real(conn, postings)
        with pytest.raises(asyncpg.PostgresError):
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise asyncpg.ConnectionDoesNotExistError("cut")

    monkeypatch.setattr(apply.notices, "record", cut)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await sell(servers, 0, market, sale(market, "CUT", goods.boxes[:1]))
    monkeypatch.undo()
    assert await market.status(goods.boxes[0]) == ("I", market.pharmacy, None)
    again = await sell(servers, 0, market, sale(market, "CUT", goods.boxes[:1]))
    assert again.status == "accepted" and not again.replayed


async def test_shipping_a_case_and_selling_out_of_it_at_once_never_do_both(
    market: Market, servers: list[tuple[Pool, Committer]]
) -> None:
    for round_ in range(6):
        goods = await stocked(market)
        case, box = goods.cases[0], goods.boxes_of(0)[0]
        back = Movement(
            type=202,
            bill_no=f"BACK{round_}",
            owner=market.pharmacy,
            to_org=market.maker,
            happened_at=WHEN,
            codes=[case],
            body=b"{}",
        )
        shipped, sold = await asyncio.gather(
            sell(servers, round_, market, back),
            sell(servers, round_ + 1, market, sale(market, f"BOX{round_}", [box])),
        )
        expected = 19 if sold.status == "accepted" else 20
        assert shipped.status == "accepted" and shipped.qty == expected
        await market.conserved()


async def test_no_sale_commits_after_a_recall_was_published(
    pool: Pool, market: Market, servers: list[tuple[Pool, Committer]]
) -> None:
    """R-E4, R-X7: over two servers, with sales in flight at the moment of publication."""
    sold = "SELECT count(*) FROM unit WHERE batch_id = $1 AND status = 'S'"
    for attempt in range(5):
        goods = await stocked(market)
        sales = [
            asyncio.create_task(sell(servers, n, market, sale(market, f"RC{attempt}-{n}", [box])))
            for n, box in enumerate(goods.boxes)
        ]
        await asyncio.sleep(0.002 * attempt)
        async with pool.acquire() as conn:
            async with conn.transaction():
                stop = await stops.place(
                    conn,
                    kind="recall",
                    ref=attempt,
                    number=f"ZH-{attempt}",
                    title="异物",
                    level=1,
                    placed_by=market.maker,
                    reason="",
                    batches=[(goods.drug_id, goods.batch_id)],
                    codes=[],
                )
            at_publication = await conn.fetchval(sold, goods.batch_id)
        results = await asyncio.gather(*sales)
        assert await market.conn.fetchval(sold, goods.batch_id) == at_publication
        accepted = sum(1 for r in results if r.status == "accepted")
        assert accepted == at_publication
        assert {r.results[0].verdict for r in results if r.status != "accepted"} <= {"recalled"}
        hits = await stops.hits(market.conn, stop)
        assert sum(h.count for h in hits) == len(goods.boxes) - accepted
        await stops.lift(market.conn, stop, "演练结束")


async def test_a_full_queue_says_so_and_keeps_nothing(market: Market, pool: Pool) -> None:
    committer = Committer(pool, BatchCache())  # not started: nothing drains it
    committer._unanswered = set(range(4_000))  # type: ignore[arg-type]
    goods = await stocked(market)
    with pytest.raises(YaosuError) as caught:
        await submit(
            pool,
            committer,
            market.registry,
            market.subject(market.pharmacy),
            sale(market, "FULL", goods.boxes[:1]),
        )
    assert (caught.value.code, caught.value.http) == ("too_busy", 503)
