"""What carries every firm's bills is fed by the operator's connections only; each system is told its own (D10)."""

from __future__ import annotations

import pytest

from access.helpers import make_org
from yaosu.db.engine import Connection
from yaosu.exchange.jianguan import store_feed
from yaosu.exchange.xietong import store_client


async def _link(conn: Connection, org: int, channel: str, everyone: bool) -> int:
    number: int = await conn.fetchval(
        "INSERT INTO connection (org, everyone, channel, title, url, account) "
        "VALUES ($1, $2, $3, 'x', 'https://x.example', $4) RETURNING id",
        org,
        everyone,
        channel,
        {"source_id": "s-1", "app_id": "s-1"},
    )
    return number


@pytest.mark.parametrize(
    ("channel", "links", "by_name"),
    [
        ("jianguan", store_feed.LINKS, store_feed.LINK_BY_SOURCE),
        ("xietong", store_client.LINKS, store_client.LINK_BY_APP),
    ],
)
async def test_a_firms_own_connection_is_no_feed_even_if_it_came_to_be(
    db: Connection, channel: str, links: str, by_name: str
) -> None:
    theirs = await _link(db, await make_org(db), channel, everyone=False)
    assert theirs not in {r["id"] for r in await db.fetch(links)}
    assert await db.fetchval(by_name, "s-1") is None
    ours = await _link(db, await make_org(db), channel, everyone=True)
    assert ours in {r["id"] for r in await db.fetch(links)}
    assert await db.fetchval(by_name, "s-1") == ours


async def test_a_system_hears_of_the_notices_of_its_own_goods_only(db: Connection) -> None:
    buyer, seller = await make_org(db), await make_org(db)

    async def bill(owner: int, no: str, drugs: list[int], notice: int | None = None) -> int:
        number: int = await db.fetchval(
            "INSERT INTO bill (owner, submitter, drug_ids, type, lines, qty, happened_at, submission_id, bill_no, "
            "content_hash, leaf, notice_bill) VALUES ($1, $1, $2, 201, 1, 1, now(), 1, $3, '', '', $4) RETURNING id",
            owner,
            drugs,
            no,
            notice,
        )
        return number

    first, second = await bill(seller, "CK-1", [7]), await bill(seller, "CK-2", [8])
    receipt = await bill(buyer, "RK-1", [7, 8], first)
    for notice in (first, second):
        await db.execute(
            "INSERT INTO receipt_check (receipt_bill, notice_bill, buyer, seller, outcome, counts, details) "
            "VALUES ($1, $2, $3, $4, 'matched', '{}', '{}')",
            receipt,
            notice,
            buyer,
            seller,
        )
    for drugs, told, named in (([7], ["CK-1"], "CK-1"), ([8], ["CK-2"], None), ([9], [], None)):
        rows = await db.fetch(store_client.CHECKS, receipt, drugs)
        assert [r["bill_no"] for r in rows] == told
        assert await db.fetchval(store_client.NOTICE_NO, receipt, drugs) == named
