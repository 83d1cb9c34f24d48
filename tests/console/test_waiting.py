"""What waits stands on the overview, each with its number and its link, for those whose duty it is and nobody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest_asyncio

from access.helpers import PASSWORD, make_account, make_org
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.console import waiting
from yaosu.db.engine import Pool
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

HTML = {"accept": "text/html"}


@dataclass
class Firms:
    """Firms with goods, and whoever looks at the overview."""

    market: Market
    goods: Goods
    client: httpx.AsyncClient
    logins: dict[str, str]
    registry: Registry
    office: int

    async def page(self, who: str) -> str:
        """The overview as that account sees it."""
        self.client.cookies.clear()
        await self.client.post("/login", data={"login": self.logins[who], "password": PASSWORD}, headers=HTML)
        answer = await self.client.get("/", headers=HTML)
        assert answer.status_code == 200
        return answer.text

    async def of(self, subject: Subject) -> dict[str, waiting.Waiting]:
        """What waits for the subject."""
        found = await waiting.of(self.market.conn, self.registry, subject)
        return {one.what: one for one in found}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def firms(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Firms]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=4)
        logins = {}
        for who in ("maker", "wholesaler", "pharmacy", "hospital"):
            _, logins[who] = await make_account(conn, getattr(market, who), "admin")
        _, logins["reader"] = await make_account(conn, market.wholesaler, "reader")
        office = await make_org(conn, 110, "370000")
        _, logins["regulator"] = await make_account(conn, office, "regulator")
        _, logins["operator"] = await make_account(conn, None, "operator")
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield Firms(market, goods, client, logins, registry, office)
    client.cookies.clear()


def tile(page: str, href: str) -> str:
    """The number shown with the link."""
    part = page.partition('<ul class="waiting">')[2]
    found = re.search(r'<a href="' + re.escape(href) + r'">.*?<b>([^<]*)</b>', part, re.S)
    assert found is not None, href
    return found.group(1)


async def test_nothing_is_shown_where_nothing_waits(firms: Firms) -> None:
    for who in ("maker", "wholesaler", "pharmacy", "hospital", "regulator", "operator"):
        assert "待办事项" not in await firms.page(who)


async def test_an_offered_grant_waits_for_who_is_asked_and_not_for_who_asks(firms: Firms) -> None:
    market = firms.market
    await market.conn.execute(
        """INSERT INTO data_grant (grantor_org, grantee_org, fields, offered_by, accepted_at)
        VALUES ($1, $2, '{flow}', $2, NULL)""",
        market.wholesaler,
        market.maker,
    )
    assert tile(await firms.page("wholesaler"), "/grants") == "1"
    assert "待办事项" not in await firms.page("maker")
    # a reader has no say in it
    assert 'class="waiting"' not in await firms.page("reader")


async def test_a_lock_counts_for_who_has_the_goods_by_batch_or_inside_a_package(firms: Firms) -> None:
    market, conn = firms.market, firms.market.conn
    batch = await conn.fetchval("SELECT max(id) FROM batch WHERE drug_id = $1", firms.goods.drug_id)
    assert "locks" not in await firms.of(market.subject(market.pharmacy))
    lock = await conn.fetchval(
        """INSERT INTO goods_lock (kind, drug_id, issuer, number, reason, reason_text)
        VALUES ('lock', $1, $2, 'T-1', 'quality', '') RETURNING id""",
        firms.goods.drug_id,
        market.maker,
    )
    box = firms.goods.boxes_of(0)[0]
    await conn.execute("INSERT INTO goods_lock_code VALUES ($1, $2, $3)", firms.goods.drug_id, lock, box)
    assert (await firms.of(market.subject(market.maker)))["locks"].n == 1
    assert "locks" not in await firms.of(market.subject(market.pharmacy))
    await conn.execute("DELETE FROM goods_lock_code")
    await conn.execute("INSERT INTO goods_lock_batch VALUES ($1, $2, $3)", firms.goods.drug_id, batch, lock)
    assert (await firms.of(market.subject(market.maker)))["locks"].n == 1
    await conn.execute("UPDATE goods_lock SET released_at = now()")
    assert "locks" not in await firms.of(market.subject(market.maker))


async def test_a_case_past_its_time_comes_first_and_is_told_as_late(firms: Firms) -> None:
    market, conn = firms.market, firms.market.conn
    case = await conn.fetchval(
        """INSERT INTO exception_case (case_no, kind, buyer, seller, opened_by, answer_due, resolve_due)
        VALUES ('XC-1', 'missing', $1, $2, $1, now() - interval '1 hour', now() + interval '1 day') RETURNING id""",
        market.pharmacy,
        market.wholesaler,
    )
    await conn.execute(
        "INSERT INTO exception_party (case_id, org, role) VALUES ($1, $2, 'buyer'), ($1, $3, 'seller')",
        case,
        market.pharmacy,
        market.wholesaler,
    )
    seller = await waiting.of(conn, firms.registry, market.subject(market.wholesaler))
    assert (seller[0].what, seller[0].n, seller[0].late, seller[0].tone) == (
        "exceptions_answer",
        1,
        1,
        "refused",
    )
    buyer = await firms.of(market.subject(market.pharmacy))
    assert (buyer["exceptions"].n, buyer["exceptions"].late) == (1, 1)
    assert "exceptions" not in await firms.of(market.subject(market.hospital))
    assert "1 件已超期" in await firms.page("wholesaler")


async def test_a_quality_task_waits_for_those_who_answer_for_quality(firms: Firms) -> None:
    market, conn = firms.market, firms.market.conn
    await conn.execute(
        """INSERT INTO quality_finding (org, rule, area, params, evidence, first_check, last_check, due_at)
        VALUES ($1, 'T', 'coding', '{}', '[]', 1, 1, now() - interval '1 day')""",
        market.hospital,
    )
    mine = (await firms.of(market.subject(market.hospital)))["findings"]
    assert (mine.n, mine.late, mine.tone) == (1, 1, "refused")
    assert "findings" not in await firms.of(market.subject(market.pharmacy))


async def test_a_clue_waits_for_the_office_of_the_region_only(firms: Firms) -> None:
    conn = firms.market.conn
    far = await make_org(conn, 110, "110000")
    await conn.execute(
        """INSERT INTO quality_clue (org, kind, title, text, evidence, evidence_hash)
        SELECT id, 'T', 'T', 'T', '{}', '' FROM org WHERE id = $1""",
        await make_org(conn, 2, "370100"),
    )
    await firms.registry.refresh(conn)
    assert tile(await firms.page("regulator"), "/quality/clues?state=sent") == "1"
    _, firms.logins["far"] = await make_account(conn, far, "regulator")
    assert "线索待受理" not in await firms.page("far")
